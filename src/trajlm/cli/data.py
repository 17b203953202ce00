"""Commands that make data: simulate and discretize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trajlm import discretize as cuts
from trajlm.cli.output import Overwrite, output
from trajlm.errors import InputError
from trajlm.io import read_features, write_features, write_states
from trajlm.io.read import file_kind
from trajlm.systems import simulate as run_simulation
from trajlm.util.progress import progress, say, tell
from trajlm.util.words import counted, duration


def simulate(
    system: Annotated[str, typer.Argument(help="linear3 | triangular3 | four_state | alanine")],
    out: Annotated[Path, typer.Option(help="Features file to write (.npz).")],
    frames: Annotated[
        int,
        typer.Option(
            min=1, max=10**11, help="Frames a trajectory: 1 time unit each, 0.1 ps for alanine."
        ),
    ] = 100_000,
    trajectories: Annotated[
        int, typer.Option(min=1, max=10**6, help="Independent trajectories.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the result.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a system whose truth is known."""
    with output(out, overwrite=overwrite):
        with progress(f"simulating {system}", frames * trajectories) as advance:
            features = run_simulation(
                system, frames, trajectories, seed, progress=advance, n_threads=threads
            )
        write_features(out, features)
    tell(
        f"{out}: {features.n_frames:,} frames of {', '.join(features.names)}, "
        f"one each {duration(features.dt, features.unit)}"
    )


# What settles what a file does not say; the same for every command that reads features.
Column = Annotated[
    list[str] | None,
    typer.Option(help="Column to use, by name or number from 0; may be repeated."),
]
Dt = Annotated[float | None, typer.Option(help="Time between frames.")]
Unit = Annotated[str | None, typer.Option(help="Unit of dt, such as ps or ms.")]
Key = Annotated[
    str | None, typer.Option(help="Arrays of an npz or HDF5 file to read, such as 'E_*'.")
]
Periodic = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="The columns are periodic, such as -180 180 for an angle (default: as the file says).",
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(help="Column that holds the time, where its name does not say so."),
]
SplitBy = Annotated[
    str | None,
    typer.Option(help="Column that tells trajectories apart, such as the number of a molecule."),
]
HeaderLines = Annotated[
    int | None,
    typer.Option(min=0, help="Lines above the numbers, the last with the names (default: found)."),
]
Clip = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="Set values beyond these ends to them."),
]


def discretize(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="COLVAR, text, CSV, HDF5, npy or npz.")
    ],
    out: Annotated[Path, typer.Option(help="States to write: .npz, or .npy without dt.")],
    bins: Annotated[int | None, typer.Option(help="Cut one column into equal bins.")] = None,
    range_: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--range",
            metavar="LOW HIGH",
            help="Where the bins begin and end (default: the data's range).",
        ),
    ] = None,
    open_ends: Annotated[
        bool,
        typer.Option("--open-ends", help="The outermost bins hold what lies beyond them, too."),
    ] = False,
    period: Periodic = None,
    centers: Annotated[
        str | None, typer.Option(help="Nearest of these centres, such as -1.5,0,1.5.")
    ] = None,
    kmeans: Annotated[int | None, typer.Option(help="This many k-means centres.")] = None,
    column: Column = None,
    time_column: TimeColumn = None,
    split_by: SplitBy = None,
    header_lines: HeaderLines = None,
    clip: Clip = None,
    average: Annotated[
        int, typer.Option(help="Means of this many frames first; dt grows as many times.")
    ] = 1,
    decimate: Annotated[
        int, typer.Option(help="Keep one of this many frames first; dt grows as many times.")
    ] = 1,
    smooth: Annotated[int, typer.Option(help="Running mean over this many frames first.")] = 1,
    remove_spikes: Annotated[
        int, typer.Option(help="Remove stays that last at most this many frames.")
    ] = 0,
    dt: Dt = None,
    unit: Unit = None,
    key: Key = None,
    seed: Annotated[int, typer.Option(min=0, help="Of k-means.")] = 0,
) -> None:
    """Cut continuous data into states. Several inputs are separate trajectories."""
    if sum(x is not None for x in (bins, centers, kmeans)) != 1:
        raise InputError("give one of --bins, --centers and --kmeans")
    if open_ends and bins is None:
        raise InputError("--open-ends is for --bins: give these")
    discretizer: cuts.Discretizer
    if bins is not None:
        discretizer = cuts.Bins(bins, range=range_, open_ends=open_ends)
    elif centers is not None:
        discretizer = cuts.NearestCenters(numbers(centers, "--centers"))
    else:
        assert kmeans is not None
        discretizer = cuts.KMeans(kmeans, seed=seed)
    with output(out, inputs):
        features = read_features(
            list(inputs), columns=column, dt=dt, unit=unit, key=key, period=period,
            time_column=time_column, split_by=split_by, header_lines=header_lines, clip=clip,
        )  # fmt: skip
        if average != 1 and decimate != 1:
            raise InputError("give one of --average and --decimate")
        if average != 1:
            features = cuts.average(features, average)
        if decimate != 1:
            features = cuts.decimate(features, decimate)
        if smooth != 1:
            features = cuts.smooth(features, smooth)
        states = discretizer.fit(features).transform(features)
        if remove_spikes:
            states = cuts.remove_spikes(states, remove_spikes)
        write_states(out, states)
    tell(
        f"{out}: {counted(len(states), 'trajectory', 'trajectories')}, {states.n_frames:,} frames, "
        f"one each {duration(states.dt, states.unit)}; {int(states.visited().sum())} of "
        f"{states.n_states} states visited"
    )
    if states.unit == "frame":
        say(f"{inputs[0]} does not say how long a frame is: --dt and --unit give rates a time")
    elif states.unit == "time unit" and dt is None and file_kind(inputs[0]) != "npy":
        say(f"the time in {inputs[0]} has no unit: --unit names it, such as --unit s")


def numbers(text: str, option: str) -> list[float]:
    """Return the numbers in a list with commas.

    Raises
    ------
    InputError
        Something in it is not a number.
    """
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text} is not a list of numbers with commas") from None
