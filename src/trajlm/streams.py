"""Laying trajectories out as the contiguous streams that training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trajlm.data import IntArray, States

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

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
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
    pieces: npt.NDArray[np.int64]
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
            inputs = np.zeros((longest, self.n_streams), np.int64)
            targets = np.full((longest, self.n_streams), PADDING, np.int64)
            for lane, (k, begin, end) in enumerate(self.pieces[step]):
                s = self.trajectories[k]
                inputs[: end - begin, lane] = s[begin:end]
                targets[: end - begin, lane] = s[begin + 1 : end + 1]
            yield Window(inputs, targets, self.fresh[step])


def choose_n_streams(states: States, window: int, largest: int) -> int:
    """Return how many streams to use: fewer for small data, so that an epoch has enough steps."""
    n_windows = sum(-(-(len(s) - 1) // window) for s in states)
    return int(np.clip(n_windows // 50, 1, largest))


def lay_streams(
    states: States, n_streams: int, window: int, rng: np.random.Generator | None = None
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
    """
    order = np.arange(len(states)) if rng is None else rng.permutation(len(states))
    pieces: list[tuple[int, int, int]] = []
    begins: list[bool] = []
    for k in order:
        last = len(states.trajectories[k]) - 1
        shift = 0
        if rng is not None and last >= SHIFT_FROM * window:
            shift = int(rng.integers(window))
        if shift:
            # Memory that has run over the padding behind this piece is not used again.
            pieces.append((int(k), 0, shift))
            begins.append(True)
        cuts = [*range(shift, last, window), last]
        pieces += [(int(k), a, b) for a, b in pairwise(cuts)]
        begins += [a == shift for a in cuts[:-1]]
    n_steps = -(-len(pieces) // n_streams)
    table = np.zeros((n_steps * n_streams, 3), np.int64)
    table[: len(pieces)] = pieces
    fresh = np.ones(n_steps * n_streams, np.bool_)
    fresh[: len(begins)] = begins
    shape = (n_streams, n_steps)
    by_step = np.ascontiguousarray(table.reshape(*shape, 3).swapaxes(0, 1))
    fresh_by_step = np.ascontiguousarray(fresh.reshape(shape).T)
    fresh_by_step[0] = True
    return Streams(states.trajectories, window, by_step, fresh_by_step)
