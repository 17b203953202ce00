"""From generated states back to structures: each becomes a frame of the original trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajlm.data import States, StatesLike, as_states, as_trajectory
from trajlm.errors import InputError
from trajlm.io.md.features import HEAVY_ATOMS, select_atoms
from trajlm.io.md.superpose import rmsd, superposed
from trajlm.io.md.trajectories import (
    WRITTEN,
    FrameReader,
    FrameWriter,
    Topology,
    load_topology,
    stretches_of,
)
from trajlm.io.sources import PathLike, Paths, as_paths
from trajlm.provenance import frames_after, origin_of_frames
from trajlm.util.arrays import F64, I64
from trajlm.util.atomic import atomic_paths
from trajlm.util.frames import Distances, FramesByState, RandomFrames, SmoothFrames, frames_a_step
from trajlm.util.warn import warn
from trajlm.util.words import counted

# Frames written at once.
CHUNK = 200
# Frames of each state among which a smooth path is sought.
N_CANDIDATES = 20
# Atoms that a rotation can be found for.
LEAST_FIT = 3
PICOSECONDS = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6, "µs": 1e6, "ms": 1e9, "s": 1e12}


@dataclass(frozen=True)
class Backmap:
    """What was written.

    Parameters
    ----------
    trajectory, frame
        Of each written frame, where it came from, shape (n,) each.
    n_unseen
        Generated frames in a state that the original never visits; they repeat the frame
        before them.
    structure
        PDB file of the first frame, the topology of the written trajectory.
    """

    trajectory: I64
    frame: I64
    n_unseen: int
    structure: Path


def backmap(
    generated: StatesLike,
    states: StatesLike,
    trajectories: Paths,
    out: PathLike,
    top: PathLike | None = None,
    *,
    atoms: str = "all",
    smooth: bool = False,
    every: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Backmap:
    """Write a trajectory of structures for one generated lane.

    Each generated state becomes a frame of the original trajectory that was in that state,
    superposed on the first one by its heavy atoms. Structures are those of the data: what lies
    within a state follows the original, not the model.

    Parameters
    ----------
    generated
        One lane of states, shape (T,), or States of one trajectory.
    states
        The states of the original, one trajectory a file.
    trajectories, top
        The original files and their topology, as for `read_md`.
    out
        File to write (xtc, trr or dcd); a PDB file of the same name takes the first frame.
    atoms
        Selection in mdtraj's language of the atoms to write.
    smooth
        False: a frame at random. True: the original goes on while it visits the generated states;
        where it does not, it is joined where the jumps in RMSD are shortest, among 20 frames of
        each state (`trajlm.util.frames.SmoothFrames`).
    every
        Write every so many generated frames. Where these are further apart than those of the
        data, as those of a model of a lag time, the original goes on in steps as long.
    seed
        Of the choice.
    progress
        Called with the number of frames newly written.

    Raises
    ------
    InputError
        Files that do not fit the states, generated states beyond theirs, another suffix.
    OutputError
        A file cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in WRITTEN:
        raise InputError(f"{out} ends in none of {', '.join(WRITTEN)}: give one of these")
    structure = out.with_suffix(".pdb")
    with atomic_paths(out, structure) as (frames, first_frame):
        trajectory, frame, n_unseen = write_structures(
            generated, states, trajectories, frames, first_frame, top,
            atoms=atoms, smooth=smooth, every=every, seed=seed, progress=progress,
        )  # fmt: skip
    if n_unseen:
        warn(
            f"{n_unseen} of {len(frame)} generated frames are in states that the original never "
            "visits: they repeat the frame before",
        )
    return Backmap(trajectory, frame, n_unseen, structure)


def write_structures(
    generated: StatesLike,
    states: StatesLike,
    trajectories: Paths,
    out: Path,
    structure: Path,
    top: PathLike | None = None,
    *,
    atoms: str = "all",
    smooth: bool = False,
    every: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[I64, I64, int]:
    """Write what `backmap` does to `out` and its first frame to `structure`, as they are named.

    Returns
    -------
    trajectory, frame, n_unseen
        As of `Backmap`.

    Raises
    ------
    InputError
        As `backmap`.
    """
    states, lane = as_states(states), as_trajectory(generated)[::every]
    if len(lane) == 0 or int(lane.max()) >= states.n_states:
        raise InputError(
            f"{len(lane)} generated frames for {states.n_states} states of the original: both "
            "must be of the same states, and not empty"
        )
    files = as_paths(trajectories)
    topology = load_topology(top, files[0])
    written = select_atoms(topology, atoms)
    fit = select_atoms(topology.subset(written), HEAVY_ATOMS)
    step = every
    if isinstance(generated, States):
        step *= frames_a_step(generated.dt, generated.unit, states.dt, states.unit)
    frame_ps = states.dt * PICOSECONDS.get(states.unit, 1.0) * step
    with FrameReader(files, topology, written) as reader:
        file_of, frame_of = _origins(states, reader, files, topology)
        distances = _rmsd_between(reader, file_of, frame_of, fit)
        frames_by_state = FramesByState(states.trajectories, states.n_states)
        choose = (
            SmoothFrames(frames_by_state, distances, step, N_CANDIDATES, seed)
            if smooth
            else RandomFrames(frames_by_state, seed)
        )
        origins: list[I64] = []
        first = None
        with FrameWriter(out) as writer:
            for begin in range(0, len(lane), CHUNK):
                origins.append(choose(lane[begin : begin + CHUNK]))
                frames = reader.read(file_of[origins[-1]], frame_of[origins[-1]])
                first = frames[0] if first is None else first
                if len(fit) >= LEAST_FIT:
                    frames.xyz = superposed(frames.xyz, first.xyz[0], fit)
                writer.write(frames.xyz, begin, frame_ps)
                if progress:
                    progress(len(frames))
        assert first is not None
        first.save_pdb(str(structure))
    chosen = np.concatenate(origins)
    return file_of[chosen], frame_of[chosen], int((~states.visited()[lane]).sum())


def _rmsd_between(reader: FrameReader, file_of: I64, frame_of: I64, fit: I64) -> Distances:
    """Return what measures the squared RMSD of some frames from others, over the atoms to fit."""

    def distances(some: I64, others: I64) -> F64:
        if len(fit) < LEAST_FIT:
            return np.zeros((len(some), len(others)))
        wanted, places = np.unique(np.concatenate([some, others]), return_inverse=True)
        fitted = reader.read(file_of[wanted], frame_of[wanted]).xyz[:, fit]
        x, y = fitted[places[: len(some)]], fitted[places[len(some) :]]
        return np.array([rmsd(y, one) ** 2 for one in x])

    return distances


def _origins(
    states: States, reader: FrameReader, files: list[PathLike], topology: Topology
) -> tuple[I64, I64]:
    """Return the file and the frame in it of each frame of the states, after checking lengths.

    What was averaged belongs to the frame in the middle of those that it was averaged over.
    Where there are more trajectories than files, these were cut where frames are missing.
    """
    stretches = [(i, np.arange(reader.n_frames(i))) for i in range(len(files))]
    if len(files) < len(states):
        stretches = [(i, p) for i, f in enumerate(files) for p in stretches_of(f, topology)]
    if len(stretches) != len(states):
        raise InputError(
            f"{counted(len(files), 'file was', 'files were')} given for states of "
            f"{counted(len(states), 'trajectory', 'trajectories')}: give the files that "
            "the states were made from, in their order"
        )
    steps = states.discretization.steps
    stride, offset = origin_of_frames(steps)
    frames = []
    for (i, stretch), s in zip(stretches, states, strict=True):
        n = len(stretch)
        expected = frames_after(steps, n)
        if len(s) != expected:
            filtered = f", of which filters leave {max(expected, 0)}," if expected != n else ""
            raise InputError(
                f"{files[i]} has {n} frames{filtered} but its states have {len(s)}: give the files "
                "that the states were made from, in their order"
            )
        frames.append(stretch[stride * np.arange(len(s)) + offset])
    numbers = np.repeat([i for i, _ in stretches], [len(f) for f in frames])
    return numbers, np.concatenate(frames)
