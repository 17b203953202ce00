"""Commands that make data: simulate and discretize."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trajlm import discretize as cuts
from trajlm.analysis import best_by, score_states
from trajlm.cli.output import Overwrite, output
from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io import fret_efficiency, read_features, read_states, write_features, write_states
from trajlm.io.colvar import parse_pi
from trajlm.io.read import file_kind
from trajlm.provenance import Scaling
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


def number_of(text: str) -> float:
    """Return a number of the command line, such as ``-180``, ``pi`` or ``-2*pi/3``.

    Raises
    ------
    BadParameter
        It is none.
    """
    if (value := parse_pi(text.strip())) is None:
        raise typer.BadParameter(f"{text} is not a number, such as -180 or pi")
    return value


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
        parser=number_of,
        help="The columns are periodic, such as -180 180 or -pi pi (default: as the file says).",
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
    typer.Option(
        metavar="LOW HIGH", parser=number_of, help="Set values beyond these ends to them."
    ),
]


# FRET efficiencies from intensities; nothing of them where no option is given.
NO_FRET = (1.0, 0.0, 0.0, None, None)
Fret = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="DONOR ACCEPTOR", help="Columns of intensities to make FRET efficiencies from."
    ),
]
Gamma = Annotated[float, typer.Option(help="Of FRET: detection of the acceptor over the donor.")]
Leakage = Annotated[float, typer.Option(help="Of FRET: share of the donor seen as acceptor.")]
DirectExcitation = Annotated[
    float, typer.Option(help="Of FRET: share of --acceptor-excited in the acceptor's column.")
]
AcceptorExcited = Annotated[
    str | None, typer.Option(help="Of FRET: column after the acceptor's own excitation.")
]
Bleach = Annotated[
    float | None,
    typer.Option(
        help="Of FRET: end traces where the intensity falls for good below this share, such as 0.5."
    ),
]


def discretize(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="COLVAR, text, CSV, HDF5, npy or npz.")
    ],
    out: Annotated[Path, typer.Option(help="States to write: .npz, or .npy without dt.")],
    bins: Annotated[
        str | None,
        typer.Option(metavar="N[,N...]", help="Cut into equal bins: one column, or each of a few."),
    ] = None,
    range_: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--range",
            metavar="LOW HIGH",
            parser=number_of,
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
    stride: Annotated[
        int, typer.Option(min=1, help="Find k-means centres on one of this many frames.")
    ] = 1,
    labels: Annotated[
        Path | None,
        typer.Option(help="States made elsewhere, frame by frame; they get centres and time."),
    ] = None,
    tica: Annotated[
        int | None, typer.Option(metavar="LAG", help="Cut TICA's slow coordinates at this lag.")
    ] = None,
    vamp: Annotated[
        int | None, typer.Option(metavar="LAG", help="Cut VAMP's slow coordinates at this lag.")
    ] = None,
    dim: Annotated[int, typer.Option(help="Number of slow coordinates.")] = 2,
    scaling: Annotated[
        str, typer.Option(help="Of slow coordinates: kinetic_map | commute_map | none.")
    ] = "kinetic_map",
    column: Column = None,
    names: Annotated[
        str | None,
        typer.Option(help="Call the columns so, such as phi,psi, where the file has no names."),
    ] = None,
    time_column: TimeColumn = None,
    split_by: SplitBy = None,
    header_lines: HeaderLines = None,
    clip: Clip = None,
    fret: Fret = None,
    gamma: Gamma = 1.0,
    leakage: Leakage = 0.0,
    direct_excitation: DirectExcitation = 0.0,
    acceptor_excited: AcceptorExcited = None,
    bleach: Bleach = None,
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
    how = (bins, centers, kmeans, labels)
    if sum(x is not None for x in how) != 1:
        raise InputError("give one of --bins, --centers, --kmeans and --labels")
    if bins is None and (open_ends or range_):
        raise InputError("--open-ends and --range are for --bins: give these")
    if tica is not None and vamp is not None:
        raise InputError("give one of --tica and --vamp")
    discretizer = (
        None if labels else _discretizer(bins, range_, open_ends, centers, kmeans, (seed, stride))
    )
    slow = _slow_coordinates(tica, vamp, dim, scaling)
    if fret is None and (gamma, leakage, direct_excitation, acceptor_excited, bleach) != NO_FRET:
        raise InputError("--gamma, --leakage, --bleach and their like are for --fret: give it, too")
    if fret is not None:
        if column or period:
            raise InputError("--fret names the columns, and no efficiency is periodic")
        column = [*fret, *([acceptor_excited] if acceptor_excited else [])]
    with output(out, [*inputs, *([labels] if labels else [])]):
        features = read_features(
            list(inputs), columns=column, dt=dt, unit=unit, key=key, period=period,
            time_column=time_column, split_by=split_by, header_lines=header_lines,
            clip=None if fret else clip,
        )  # fmt: skip
        if fret:
            features = fret_efficiency(
                features, *features.names[:2], gamma=gamma, leakage=leakage,
                direct_excitation=direct_excitation, bleach=bleach, clip=clip,
                acceptor_excited=features.names[2] if acceptor_excited else None,
            )  # fmt: skip
        if names is not None:
            features = replace(features, names=tuple(name.strip() for name in names.split(",")))
        features = _filtered(features, average, decimate, smooth)
        if slow:
            features = slow.fit_transform(features)
        states = (
            discretizer.fit_transform(features)
            if discretizer
            else cuts.with_centers(read_states(labels or []), features)
        )
        if remove_spikes:
            states = cuts.remove_spikes(states, remove_spikes)
        write_states(out, states)
    if slow:
        say(slow.describe(features.dt, features.unit))
    tell(
        f"{out}: {counted(len(states), 'trajectory', 'trajectories')}, {states.n_frames:,} frames, "
        f"one each {duration(states.dt, states.unit)}; {int(states.visited().sum())} of "
        f"{states.n_states} states visited"
    )
    if states.unit == "frame":
        say(f"{inputs[0]} does not say how long a frame is: --dt and --unit give rates a time")
    elif states.unit == "time unit" and dt is None and file_kind(inputs[0]) != "npy":
        say(f"the time in {inputs[0]} has no unit: --unit names it, such as --unit s")


def score(
    paths: Annotated[
        list[Path], typer.Argument(metavar="STATES...", help="States of the same data.")
    ],
    lag: Annotated[int, typer.Option(min=1, help="In frames, the same for all.")],
    processes: Annotated[int, typer.Option(min=1, help="Slow processes that VAMP-2 counts.")] = 5,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the data.")] = 5,
) -> None:
    """Say how much of the dynamics states hold, on data that was not counted.

    Of states of the same data at the same lag, those of a higher score are better.
    """
    scores = []
    for path in paths:
        scores.append(score_states(read_states(path), lag, processes, folds))
        tell(f"{path}: {scores[-1].describe()}")
    if len(paths) == 1:
        return
    for name, values in (
        ("VAMP-2", [score.vamp2 for score in scores]),
        ("information", [score.information for score in scores]),
    ):
        best, alike = best_by(values)
        others = ", ".join(str(paths[k]) for k in alike)
        tell(f"best by {name}: {paths[best]}" + (f"; not told from it: {others}" if alike else ""))


def _discretizer(
    bins: str | None,
    range_: tuple[float, float] | None,
    open_ends: bool,
    centers: str | None,
    kmeans: int | None,
    how: tuple[int, int],
) -> cuts.Discretizer:
    if centers is not None:
        return cuts.NearestCenters(numbers(centers, "--centers"))
    if bins is None:
        return cuts.KMeans(kmeans or 0, *how)
    try:
        counts = [int(word) for word in bins.split(",")]
    except ValueError:
        raise InputError(f"--bins {bins} is no whole number, or several with commas") from None
    if len(counts) == 1:
        return cuts.Bins(counts[0], range=range_, open_ends=open_ends)
    if range_:
        raise InputError("--range is for the bins of one column: of several, it is that of each")
    return cuts.ProductBins([cuts.Bins(n, open_ends=open_ends) for n in counts])


def _slow_coordinates(
    tica: int | None, vamp: int | None, dim: int, scaling: str
) -> cuts.TICA | cuts.VAMP | None:
    known: dict[str, Scaling | None] = {
        "kinetic_map": "kinetic_map",
        "commute_map": "commute_map",
        "none": None,
    }
    if scaling not in known:
        raise InputError(f"--scaling {scaling} is none of {', '.join(known)}")
    if tica is not None:
        return cuts.TICA(tica, dim, known[scaling])
    return cuts.VAMP(vamp, dim, known[scaling]) if vamp is not None else None


def _filtered(features: Features, average: int, decimate: int, smooth: int) -> Features:
    if average != 1 and decimate != 1:
        raise InputError("give one of --average and --decimate")
    if average != 1:
        features = cuts.average(features, average)
    if decimate != 1:
        features = cuts.decimate(features, decimate)
    return cuts.smooth(features, smooth) if smooth != 1 else features


def numbers(text: str, option: str) -> list[float]:
    """Return the numbers in a list with commas.

    Raises
    ------
    InputError
        Something in it is not a number.
    """
    try:
        return [number_of(word) for word in text.split(",")]
    except typer.BadParameter:
        raise InputError(f"{option} {text} is not a list of numbers with commas") from None
