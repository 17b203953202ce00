"""Laying trajectories out as the contiguous streams that training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trajlm.data import States
from trajlm.util.arrays import I64, IntArray

# Target of a frame that is only padding; the value that PyTorch's cross-entropy leaves out.
PADDING = -100
# Trajectories of at least this many windows have their borders shifted from epoch to epoch.
SHIFT_FROM = 10


@dataclass(frozen=True)
class Window:
    """What one training step reads.

    Parameters
    ----------
    inputs, targets
        States and the states one frame later, shape (frames, streams), as many frames as the
        longest piece; targets are `PADDING` behind the end of a piece.
    fresh
        Streams whose memory must be cleared first, since a trajectory (or a stream's share of
        one) begins here; shape (streams,).
    """

    inputs: I64
    targets: I64
    fresh: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Streams:
    """A schedule of windows: for each step and stream a piece of one trajectory.

    Parameters
    ----------
    trajectories
        The data.
    window
        Frames a window.
    pieces
        Trajectory, first frame, and last frame (exclusive) of each piece, shape
        (steps, streams, 3); an idle place has length zero.
    fresh
        Shape (steps, streams).
    """

    trajectories: tuple[IntArray, ...]
    window: int
    pieces: I64
    fresh: npt.NDArray[np.bool_]

    @property
    def n_steps(self) -> int:
        """Number of windows, that is, of gradient steps."""
        return len(self.pieces)

    @property
    def n_streams(self) -> int:
        """Number of streams side by side."""
        return int(self.pieces.shape[1])

    @property
    def n_targets(self) -> int:
        """Number of frames predicted, each exactly once."""
        return int((self.pieces[:, :, 2] - self.pieces[:, :, 1]).sum())

    def part(self, lanes: slice) -> Streams:
        """Return some of the streams, in as many steps; windows where all idle have no frames."""
        return replace(self, pieces=self.pieces[:, lanes], fresh=self.fresh[:, lanes])

    def __iter__(self) -> Iterator[Window]:
        for step in range(self.n_steps):
            longest = int((self.pieces[step, :, 2] - self.pieces[step, :, 1]).max(initial=0))
            frames = np.full((self.n_streams, longest + 1), PADDING, np.int64)
            for lane, (k, begin, end) in enumerate(self.pieces[step].tolist()):
                frames[lane, : end - begin + 1] = self.trajectories[k][begin : end + 1]
            # What is read behind the end of a piece does not matter, but must be a state.
            inputs = np.maximum(frames[:, :-1], 0)
            yield Window(inputs.T, frames[:, 1:].T, self.fresh[step])


def choose_n_streams(states: States, window: int, largest: int) -> int:
    """Return how many streams to use: fewer for small data, so that an epoch has enough steps."""
    n_windows = sum(-(-(len(s) - 1) // window) for s in states)
    return int(np.clip(n_windows // 50, 1, largest))


def lay_streams(
    states: States,
    n_streams: int,
    window: int,
    rng: np.random.Generator | None = None,
    both_ways: bool = False,
) -> Streams:
    """Cut trajectories into windows and deal them to streams, contiguous in each stream.

    Every transition of every trajectory is a target exactly once. A trajectory that is longer
    than what is left of a stream goes on in the next one with cleared memory; two trajectories
    are never joined, since each begins at the border of a window with cleared memory.

    Parameters
    ----------
    rng
        Where given, the trajectories are taken in random order, and in long ones the borders of
        the windows fall elsewhere each time.
    both_ways
        Half of the streams, chosen by `rng`, are read backwards in time.
    """
    order = np.arange(len(states)) if rng is None else rng.permutation(len(states))
    lengths = np.array([len(s) for s in states])
    pieces: list[tuple[int, int, int]] = []
    for k in order:
        last = int(lengths[k]) - 1
        shift = 0
        if rng is not None and last >= SHIFT_FROM * window:
            shift = int(rng.integers(window))
        if shift:
            pieces.append((int(k), 0, shift))
        cuts = [*range(shift, last, window), last]
        pieces += [(int(k), a, b) for a, b in pairwise(cuts)]
    n_steps = -(-len(pieces) // n_streams)
    table = np.zeros((n_steps * n_streams, 3), np.int64)
    table[: len(pieces)] = pieces
    by_stream = table.reshape(n_streams, n_steps, 3)
    trajectories = states.trajectories
    if both_ways and rng is not None:
        turned = rng.permutation(n_streams) < rng.integers(n_streams, n_streams + 2) // 2
        by_stream[turned] = _backwards(by_stream[turned], lengths)
        trajectories += tuple(s[::-1] for s in trajectories)
    by_step = np.ascontiguousarray(by_stream.swapaxes(0, 1))
    return Streams(trajectories, window, by_step, _fresh(by_step, window))


def _backwards(pieces: IntArray, lengths: IntArray) -> IntArray:
    """Return pieces (streams, steps, 3) as they lie in the reversed trajectories, last first."""
    k, begin, end = np.moveaxis(pieces[:, ::-1], -1, 0)
    last = lengths[k] - 1
    turned: IntArray = np.stack([k + len(lengths), last - end, last - begin], axis=-1)
    return turned


def _fresh(pieces: IntArray, window: int) -> npt.NDArray[np.bool_]:
    """Return where the memory is cleared: unless the piece before ends where this one begins.

    Memory that has run over the padding behind a short piece is not used again.
    """
    fresh = np.ones(pieces.shape[:2], np.bool_)
    before, now = pieces[:-1], pieces[1:]
    follows = (before[..., 0] == now[..., 0]) & (before[..., 2] == now[..., 1])
    fresh[1:] = ~follows | (before[..., 2] - before[..., 1] < window)
    return fresh
