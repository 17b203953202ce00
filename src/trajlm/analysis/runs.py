"""Runs of equal states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.util.arrays import I64, IntArray


@dataclass(frozen=True)
class Runs:
    """Maximal stretches of one state, over a list of trajectories, shape (k,) each.

    Parameters
    ----------
    values
        The state of each run, in the integers of the trajectories.
    starts
        Its first frame, counted over the whole list of trajectories.
    lengths
        Its number of frames.
    trajectory
        The trajectory it belongs to: a run never crosses a border.
    borders
        Where each trajectory begins, and at last the number of frames, shape (m + 1,).
    """

    values: IntArray
    starts: I64
    lengths: I64
    trajectory: npt.NDArray[np.int32]
    borders: I64

    def select(self, keep: npt.NDArray[np.bool_]) -> Runs:
        """Return the runs where `keep` is true; the gaps they leave stay empty."""
        if keep.all():
            return self
        return Runs(
            self.values[keep],
            self.starts[keep],
            self.lengths[keep],
            self.trajectory[keep],
            self.borders,
        )

    def changes(self) -> I64:
        """Return the index of each run whose successor differs, in the same trajectory."""
        differs = self.values[1:] != self.values[:-1]
        together = self.trajectory[1:] == self.trajectory[:-1]
        return np.flatnonzero(differs & together)


def encode_runs(trajectories: Sequence[npt.NDArray[Any]]) -> Runs:
    """Write trajectories of shape (T,) as runs of equal values."""
    borders = trajectory_borders(trajectories)
    # Trajectory by trajectory, so that long data is not copied.
    begins = [np.append(0, np.flatnonzero(s[1:] != s[:-1]) + 1) for s in trajectories]
    values = np.concatenate([s[b] for s, b in zip(trajectories, begins, strict=True)])
    numbers = np.arange(len(begins), dtype=np.int32)
    trajectory = np.repeat(numbers, [len(b) for b in begins])
    for begin, first in zip(begins, borders[:-1], strict=True):
        begin += first
    starts = np.concatenate(begins)
    del begins
    return Runs(values, starts, np.diff(starts, append=borders[-1]), trajectory, borders)


def longest_run(trajectories: Sequence[npt.NDArray[Any]]) -> int:
    """Return the number of frames of the longest stretch of one state."""
    from trajlm.kernels import counting

    return max(int(counting.longest_run(s)) for s in trajectories)


def trajectory_borders(trajectories: Sequence[npt.NDArray[Any]]) -> I64:
    """Return where each trajectory begins in the list, and the number of frames at the end."""
    lengths = np.fromiter((len(s) for s in trajectories), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)])
