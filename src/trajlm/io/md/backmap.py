"""From generated states back to structures: each becomes a frame of the original trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trajlm.data import IntArray, States, StatesLike, as_states, as_trajectory
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
from trajlm.util.atomic import atomic_paths
from trajlm.util.warn import warn
from trajlm.util.words import counted

Integers = npt.NDArray[np.int64]

# Frames written at once.
CHUNK = 200
# Atoms that a rotation can be found for.
LEAST_FIT = 3
# Frames of the wanted state among which the nearest structure is taken.
N_CANDIDATES = 20
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

    trajectory: Integers
    frame: Integers
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
        False: a frame at random. True: while the state stays, the original goes on; where it
        cannot, the nearest in RMSD to the frame before, among 20 frames of the state.
    every
        Write every so many generated frames.
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
    states, lane = as_states(states), as_trajectory(generated)[::every]
    if len(lane) == 0 or int(lane.max()) >= states.n_states:
        raise InputError(
            f"{len(lane)} generated frames for {states.n_states} states of the original: both "
            "must be of the same states, and not empty"
        )
    files = as_paths(trajectories)
    topology = load_topology(top, files[0])
    chosen = select_atoms(topology, atoms)
    fit = select_atoms(topology.subset(chosen), HEAVY_ATOMS)
    frame_ps = states.dt * PICOSECONDS.get(states.unit, 1.0) * every
    with FrameReader(files, topology, chosen) as reader:
        index = _StateIndex(states, *_origins(states, reader, files, topology))
        choose = _Smooth(index, reader, fit, every, seed) if smooth else _Random(index, seed)
        origins: list[Integers] = []
        first = None
        structure = out.with_suffix(".pdb")
        with atomic_paths(out, structure) as (frames_file, structure_file):
            with FrameWriter(frames_file) as writer:
                for begin in range(0, len(lane), CHUNK):
                    origins.append(choose(lane[begin : begin + CHUNK]))
                    frames = reader.read(*index.files(origins[-1]))
                    first = frames[0] if first is None else first
                    if len(fit) >= LEAST_FIT:
                        frames.xyz = superposed(frames.xyz, first.xyz[0], fit)
                    writer.write(frames.xyz, begin, frame_ps)
                    if progress:
                        progress(len(frames))
            assert first is not None
            first.save_pdb(str(structure_file))
    trajectory, frame = index.files(np.concatenate(origins))
    n_unseen = int((~states.visited()[lane]).sum())
    if n_unseen:
        warn(
            f"{n_unseen} of {len(lane)} generated frames are in states that the original never "
            "visits: they repeat the frame before",
        )
    return Backmap(trajectory, frame, n_unseen, structure)


class _StateIndex:
    """The frames of the original by state, numbered over all trajectories."""

    def __init__(self, states: States, files: Integers, frames: Integers) -> None:
        self.labels = np.concatenate(states.trajectories).astype(np.int64)
        lengths = np.array([len(s) for s in states])
        self.borders = np.concatenate([[0], np.cumsum(lengths)])
        self.by_state = np.argsort(self.labels, kind="stable")
        counts = np.bincount(self.labels, minlength=states.n_states)
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.counts = counts
        self.file_of, self.frame_of = files, frames

    def draw(self, rng: np.random.Generator, state: int, n: int) -> Integers:
        """Return up to `n` different frames of one state, none for a state never seen."""
        members: Integers = self.by_state[self.first[state] : self.first[state + 1]]
        if len(members) <= n:
            return members
        return rng.choice(members, n, replace=False)

    def files(self, numbers: Integers) -> tuple[Integers, Integers]:
        """Return the file and the frame in it of numbered frames."""
        return self.file_of[numbers], self.frame_of[numbers]


class _Random:
    """A frame of each state at random."""

    def __init__(self, index: _StateIndex, seed: int) -> None:
        self.index, self.rng = index, np.random.default_rng(seed)
        self.last = 0

    def __call__(self, lane: IntArray) -> Integers:
        counts = self.index.counts[lane]
        picks = self.index.first[lane] + self.rng.integers(0, np.maximum(counts, 1))
        seen = counts > 0
        chosen = self.index.by_state[np.minimum(picks, len(self.index.by_state) - 1)]
        # A state never seen repeats the last frame before it that was.
        source = np.maximum.accumulate(np.where(seen, np.arange(len(lane)), -1))
        chosen = np.where(source >= 0, chosen[source], self.last)
        self.last = int(chosen[-1])
        return chosen


class _Smooth:
    """The original goes on while the state allows; else the nearest of some frames."""

    def __init__(
        self, index: _StateIndex, reader: FrameReader, fit: Integers, every: int, seed: int
    ) -> None:
        self.index, self.reader, self.fit, self.every = index, reader, fit, every
        self.rng = np.random.default_rng(seed)
        self.last = -1

    def __call__(self, lane: IntArray) -> Integers:
        chosen = np.empty(len(lane), dtype=np.int64)
        for k, state in enumerate(lane.tolist()):
            self.last = chosen[k] = self._next(state)
        return chosen

    def _next(self, state: int) -> int:
        if self.last >= 0:
            following = self.last + self.every
            border = self.index.borders[np.searchsorted(self.index.borders, self.last, "right")]
            if following < border and self.index.labels[following] == state:
                return following
        candidates = self.index.draw(self.rng, state, 1 if self.last < 0 else N_CANDIDATES)
        if len(candidates) == 0:
            return max(self.last, 0)
        if len(candidates) == 1 or len(self.fit) < LEAST_FIT:
            return int(candidates[0])
        frames = self.reader.read(*self.index.files(np.append(candidates, self.last)))
        fitted = frames.xyz[:, self.fit]
        return int(candidates[np.argmin(rmsd(fitted[:-1], fitted[-1]))])


def _origins(
    states: States, reader: FrameReader, files: list[PathLike], topology: Topology
) -> tuple[Integers, Integers]:
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
