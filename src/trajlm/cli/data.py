"""Commands that make data: simulate and discretize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.output import Overwrite, output
from trajlm.errors import InputError
from trajlm.util.progress import progress, say
from trajlm.util.words import counted


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
    overwrite: Overwrite = False,
) -> None:
    """Simulate a system whose truth is known."""
    from trajlm.io import write_features
    from trajlm.systems import simulate as run_simulation
    from trajlm.util.words import duration

    with output(out, overwrite=overwrite):
        with progress(f"simulating {system}", frames * trajectories) as advance:
            features = run_simulation(system, frames, trajectories, seed, progress=advance)
        write_features(out, features)
    typer.echo(
        f"{out}: {features.n_frames:,} frames of {', '.join(features.names)}, "
        f"one each {duration(features.dt, features.unit)}"
    )


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
    period: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="The columns are periodic, such as -180 180 for an angle (default: as the file "
            "says).",
        ),
    ] = None,
    centers: Annotated[
        str | None, typer.Option(help="Nearest of these centres, such as -1.5,0,1.5.")
    ] = None,
    kmeans: Annotated[int | None, typer.Option(help="This many k-means centres.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column to use, by name or number from 0; may be repeated."),
    ] = None,
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
    dt: Annotated[float | None, typer.Option(help="Time between frames.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of dt, such as ps or ms.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Arrays of an npz or HDF5 file to read, such as 'E_*'.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of k-means.")] = 0,
) -> None:
    """Cut continuous data into states. Several inputs are separate trajectories."""
    from trajlm import discretize as cuts
    from trajlm.io import read_features, write_states
    from trajlm.io.read import file_kind
    from trajlm.util.words import duration

    if sum(x is not None for x in (bins, centers, kmeans)) != 1:
        raise InputError("give one of --bins, --centers and --kmeans")
    discretizer: cuts.Discretizer
    if bins is not None:
        discretizer = cuts.Bins(bins, range=range_)
    elif centers is not None:
        discretizer = cuts.NearestCenters(numbers(centers, "--centers"))
    else:
        assert kmeans is not None
        discretizer = cuts.KMeans(kmeans, seed=seed)
    with output(out, inputs):
        features = read_features(
            list(inputs), columns=column, dt=dt, unit=unit, key=key, period=period
        )
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
    typer.echo(
        f"{out}: {counted(len(states), 'trajectory', 'trajectories')}, {states.n_frames:,} frames, "
        f"one each {duration(states.dt, states.unit)}; {int(states.visited().sum())} of "
        f"{states.n_states} states visited"
    )
    if states.unit == "frame":
        say(f"{inputs[0]} does not say how long a frame is: --dt and --unit give rates a time")
    elif states.unit == "time unit" and dt is None and file_kind(inputs[0]) in ("text", "hdf5"):
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
