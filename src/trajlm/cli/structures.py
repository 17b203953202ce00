"""Commands between molecular trajectories and states: features and backmap."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from trajlm.analysis.metastable import default_grouping
from trajlm.cli.data import Column, Key, Periodic
from trajlm.cli.output import check_output, output
from trajlm.data import States
from trajlm.discretize import backmap_features, find_difference
from trajlm.discretize.values import Choice
from trajlm.errors import InputError
from trajlm.io import read_features, read_md, read_states, write_features
from trajlm.io.md.backmap import backmap as run_backmap
from trajlm.io.md.backmap import write_structures
from trajlm.util.atomic import atomic_paths, lone_writer
from trajlm.util.progress import progress, tell
from trajlm.util.words import counted, duration

TOP_HELP = "Topology (GRO, PDB, PRMTOP, PSF ..., no .tpr); HDF5 trajectories hold their own."


def features(
    trajectories: Annotated[
        list[Path], typer.Argument(metavar="TRAJ...", help="xtc, trr, nc, h5 or dcd files.")
    ],
    out: Annotated[Path, typer.Option(help="Features file to write (.npz).")],
    top: Annotated[Path | None, typer.Option(help=TOP_HELP)] = None,
    dihedrals: Annotated[
        str, typer.Option(help="Such as phi,psi,chi1, or atom numbers from 0: 4-6-8-10.")
    ] = "",
    distances: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SELECTION[,SELECTION]",
            help="All pairs of atoms in one selection or between two; may be repeated.",
        ),
    ] = None,
    rmsd: Annotated[Path | None, typer.Option(help="Structure to compare with.")] = None,
    rmsd_atoms: Annotated[
        str, typer.Option(help="Selection that is superposed and compared.")
    ] = "element != H",
    dt: Annotated[
        float | None, typer.Option(help="Time between frames; DCD files need it.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of dt (default ps).")] = None,
) -> None:
    """Compute dihedrals, distances or RMSD from molecular dynamics, one file a trajectory.

    Selections are mdtraj's, such as 'name CA and resid 0 to 9'. Angles are in radians,
    distances in nm.
    """
    if out.suffix != ".npz":
        raise InputError(f"{out} does not end in .npz: give a name that does")
    with output(out, [*trajectories, *(path for path in (top, rmsd) if path)]):
        with progress("reading", None) as advance:
            found = read_md(
                list(trajectories),
                top,
                dihedrals=[word for word in dihedrals.split(",") if word.strip()],
                distances=distances or [],
                rmsd=rmsd,
                rmsd_atoms=rmsd_atoms,
                dt=dt,
                unit=unit,
                progress=advance,
            )
        write_features(out, found)
    shown = ", ".join(found.names[:8])
    if found.n_columns > 8:
        shown += f" ... ({found.n_columns} columns: trajlm info {out} lists them)"
    tell(
        f"{out}: {counted(len(found.trajectories), 'trajectory', 'trajectories')}, "
        f"{found.n_frames:,} frames, one each {duration(found.dt, found.unit)}, of {shown}"
    )


def backmap(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="GENERATED", help="Generated states, .npy or .npz."),
    ],
    source: Annotated[
        list[Path],
        typer.Option("--from", metavar="FILE...", help="Original files, in their order."),
    ],
    states: Annotated[Path, typer.Option(help="States of the original, one trajectory a file.")],
    out: Annotated[
        Path,
        typer.Option(help="Structures: .xtc, .trr or .dcd, a .pdb comes beside. Features: .npz."),
    ],
    top: Annotated[Path | None, typer.Option(help=TOP_HELP)] = None,
    lane: Annotated[
        int | None,
        typer.Option(min=0, help="Which generated trajectory (default: 0; all for features)."),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first frames of it.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Write every so many frames.")] = 1,
    atoms: Annotated[str, typer.Option(help="Selection of atoms to write.")] = "all",
    smooth: Annotated[
        bool,
        typer.Option("--smooth", help="Go on as the original did, with jumps as short as it has."),
    ] = False,
    mean: Annotated[
        bool, typer.Option("--mean", help="Features: the mean of each state, not one frame of it.")
    ] = False,
    column: Column = None,
    key: Key = None,
    period: Periodic = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of frames.")] = 0,
) -> None:
    """Turn generated states into structures that were in those states, or into values of features.

    The original files are molecular trajectories for structures to watch, or features, such as a
    COLVAR file, for coordinates to analyse: the end of the name to write says which.
    """
    generated, source = _one_generated(paths, source)
    read = [generated, states, *source, *([top] if top else [])]
    written_files = (out,) if out.suffix == ".npz" else (out, out.with_suffix(".pdb"))
    for path in written_files:
        check_output(path, read)
    original = read_states(states)
    lanes = _lanes_of(generated, states, original, lane)
    if out.suffix == ".npz":
        wanted = replace(
            lanes, trajectories=tuple(s[:frames:every] for s in lanes), dt=lanes.dt * every
        )
        with output(out, read):
            features = read_features(list(source), columns=column, key=key, period=period)
            choice: Choice = "mean" if mean else "smooth" if smooth else "random"
            values = backmap_features(wanted, original, features, choice, seed)
            write_features(out, values)
        n_lanes = counted(len(lanes), "trajectory", "trajectories")
        tell(f"{out}: {n_lanes}, {values.n_frames:,} frames of {', '.join(values.names[:8])}")
        return
    for option, given in (("mean", mean), ("column", column), ("key", key), ("period", period)):
        if given:
            raise InputError(f"--{option} is for features: give an --out that ends in .npz")
    first = lanes[0][:frames]
    with ExitStack() as held:
        for path in dict.fromkeys(written_files):
            held.enter_context(output(path, read))
        with progress("writing", -(-len(first) // every)) as advance:
            done = run_backmap(
                lanes.with_trajectories([first]) if len(first) > 1 else first,
                original, list(source), out, top,
                atoms=atoms, smooth=smooth, every=every, seed=seed, progress=advance,
            )  # fmt: skip
    tell(f"{out}: {len(done.frame):,} frames; look with: vmd {done.structure} {out}")
    if lane is None and len(lanes) > 1:
        print(f"lane 0 of {len(lanes)}: --lane chooses another", file=sys.stderr)


def structures(
    states: Annotated[Path, typer.Argument(help="States, one trajectory a file.")],
    source: Annotated[
        list[Path],
        typer.Option("--from", metavar="TRAJ...", help="Their trajectories, in their order."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for GROUP.xtc and GROUP.pdb.")],
    top: Annotated[Path | None, typer.Option(help=TOP_HELP)] = None,
    group: Annotated[
        str | None,
        typer.Option(help="As for compare: pcca:N, edges:X,Y,... or list:G,G,..."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Structures of each.")] = 10,
    atoms: Annotated[str, typer.Option(help="Selection of atoms to write.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of frames.")] = 0,
) -> None:
    """Write structures of each metastable state: frames of the data at random, superposed."""
    from trajlm.cli.compare import parse_grouping

    original = read_states(states)
    grouping = parse_grouping(group, original, 1) or default_grouping(original)
    labels = np.concatenate(original.trajectories)
    groups = grouping.assignment[labels]
    rng = np.random.default_rng(seed)
    members = {k: own for k in range(grouping.n_groups) if len(own := labels[groups == k])}
    files = [out / f"{k}.{suffix}" for k in members for suffix in ("xtc", "pdb")]
    for file in files:
        check_output(file, [states, *source, *([top] if top else [])])
    # All at once: never those of one run beside those of another.
    with lone_writer(out), atomic_paths(*files) as written:
        for own, file, first in zip(members.values(), written[::2], written[1::2], strict=True):
            write_structures(
                rng.choice(own, frames), original, list(source), file, first, top,
                atoms=atoms, seed=seed,
            )  # fmt: skip
    for (k, own), file in zip(members.items(), files[::2], strict=True):
        share = f"{len(own) / len(labels):.2%} of the data"
        tell(f"{file}: {counted(frames, 'frame', 'frames')} of {grouping.names[k]}, {share}")


def _lanes_of(generated: Path, states: Path, original: States, lane: int | None) -> States:
    """Return the generated lanes that are wanted, checked to be of the states of the original."""
    lanes = read_states(generated)
    if different := find_difference(lanes.space, original.space):
        raise InputError(
            f"the states in {generated} are {different[0]}, those in {states} are {different[1]}: "
            "give the states that the model learned"
        )
    if lanes.n_states > original.n_states:
        raise InputError(
            f"{generated} holds state {lanes.n_states - 1}, but {states} has {original.n_states} "
            "states, counted from 0: give the states that the model learned"
        )
    if lane is not None:
        if lane >= len(lanes):
            n_lanes = counted(len(lanes), "lane", "lanes")
            raise InputError(f"{generated} has {n_lanes}, counted from 0: no lane {lane}")
        lanes = lanes[lane : lane + 1]
    if lanes.unit == "frame":  # an array of states does not say how long a frame is
        lanes = replace(lanes, dt=original.dt, unit=original.unit)
    return lanes


def _one_generated(paths: list[Path], source: list[Path]) -> tuple[Path, list[Path]]:
    """Return the generated states, and all files after --from, of which only one is its own.

    Raises
    ------
    InputError
        Two files of states, or files whose order among the originals is not known.
    """
    generated = [path for path in paths if path.suffix in (".npy", ".npz")]
    others = [path for path in paths if path not in generated]
    if len(paths) == 1:
        return paths[0], source
    if len(generated) != 1:
        raise InputError(
            f"give one file of generated states (.npy or .npz), not {len(generated)}, and each "
            "original .npy or .npz file after a --from of its own"
        )
    if others and len(source) > 1:
        raise InputError("give the original files after one --from, or each after its own")
    return generated[0], [*source, *others]
