"""Commands between molecular trajectories and states: features and backmap."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.output import check_output, output
from trajlm.discretize import find_difference
from trajlm.errors import InputError
from trajlm.io import read_md, read_states, write_features
from trajlm.io.md.backmap import backmap as run_backmap
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
        typer.Option("--from", metavar="TRAJ...", help="Original files, in their order."),
    ],
    states: Annotated[Path, typer.Option(help="States of the original, one trajectory a file.")],
    out: Annotated[Path, typer.Option(help=".xtc, .trr or .dcd file; a .pdb comes beside it.")],
    top: Annotated[Path | None, typer.Option(help=TOP_HELP)] = None,
    lane: Annotated[int, typer.Option(min=0, help="Which generated trajectory.")] = 0,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first frames of it.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Write every so many frames.")] = 1,
    atoms: Annotated[str, typer.Option(help="Selection of atoms to write.")] = "all",
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Choose the structure nearest to the one before.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of frames.")] = 0,
) -> None:
    """Turn generated states into structures that were in those states, to watch in VMD."""
    generated, source = _one_generated(paths, source)
    read = [generated, states, *source, *([top] if top else [])]
    written_files = dict.fromkeys((out, out.with_suffix(".pdb")))
    for path in written_files:
        check_output(path, read)
    original = read_states(states)
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
    if lane >= len(lanes):
        n_lanes = counted(len(lanes), "lane", "lanes")
        raise InputError(f"{generated} has {n_lanes}, counted from 0: no lane {lane}")
    wanted = lanes.trajectories[lane][:frames]
    with ExitStack() as held:
        for path in written_files:
            held.enter_context(output(path, read))
        with progress("writing", -(-len(wanted) // every)) as advance:
            written = run_backmap(
                wanted, original, list(source), out, top,
                atoms=atoms, smooth=smooth, every=every, seed=seed, progress=advance,
            )  # fmt: skip
    tell(f"{out}: {len(written.frame):,} frames; look with: vmd {written.structure} {out}")
    if len(lanes) > 1:
        print(f"lane {lane} of {len(lanes)}: --lane chooses another", file=sys.stderr)


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
        raise InputError(f"give one file of generated states (.npy or .npz), not {len(generated)}")
    if others and len(source) > 1:
        raise InputError("give the original files after one --from, or each after its own")
    return generated[0], [*source, *others]
