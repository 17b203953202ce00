"""Labels of states that are not numbered one after the other, as other programs write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trajlm.errors import InputError
from trajlm.io.sources import PathLike, listed
from trajlm.util.arrays import AnyArray
from trajlm.util.warn import warn

# Up to so many states, empty ones cost little and keep their number.
SPARSE_FROM = 1000
# A label beyond so many times the next lower one, with so many empty numbers in between, stands
# alone: bins that data leaves out are fewer, and markers of missing values are 99, 255, 999, ...
ALONE, GAP = 4, 50
# States of which at most one in so many is visited are labels rather than numbers.
SPARSE = 10
COUNTED_AT_ONCE = 1 << 22
# Whole numbers below are exact in double precision.
EXACT = 2.0**53

Trajectories = Sequence[AnyArray]


def numbered(
    files: Sequence[tuple[PathLike, Trajectories]],
) -> tuple[list[list[AnyArray]], AnyArray | None]:
    """Return trajectories with labels that are far apart numbered from 0 on, alike in all files.

    Returns
    -------
    trajectories, labels
        Of each file, and the label of each number; None where labels are numbers already.

    Raises
    ------
    InputError
        One label alone far beyond the others, as it marks a missing value (which trajectory and
        frame).
    """
    as_they_are = [[_whole(s) for s in trajectories] for _, trajectories in files]
    every = [s for trajectories in as_they_are for s in trajectories]
    if not every or not all(s.dtype.kind in "iu" and s.ndim == 1 and len(s) for s in every):
        return as_they_are, None
    largest = max(int(s.max()) for s in every)
    if min(s.min() for s in every) < 0 or largest <= GAP:
        return as_they_are, None
    if largest < SPARSE_FROM and any(_has_near(s, largest) for s in every):
        return as_they_are, None
    labels = np.unique(np.concatenate([_labels(s) for s in every]))
    _check_lone(labels, files)
    if largest < SPARSE_FROM or SPARSE * len(labels) > largest:
        return as_they_are, None
    warn(
        f"{files[0][0]}: {len(labels)} labels, {listed(map(str, labels.tolist()))}, are numbered "
        f"0 to {len(labels) - 1} from here on, and kept as the centres of the states"
    )
    return [[np.searchsorted(labels, s) for s in trajectories] for trajectories in as_they_are], (
        labels.astype(np.float64)
    )


def _whole(s: AnyArray) -> AnyArray:
    """Return whole numbers that are held as floating-point ones, such as those of text, as such."""
    if s.dtype.kind != "f" or not (np.abs(s) < EXACT).all() or (s != np.floor(s)).any():
        return s
    return s.astype(np.int64)


def _parts(s: AnyArray) -> Iterator[AnyArray]:
    return (s[begin : begin + COUNTED_AT_ONCE] for begin in range(0, len(s), COUNTED_AT_ONCE))


def _has_near(s: AnyArray, largest: int) -> bool:
    """Return whether there are labels just below the largest, as the first frames mostly show."""
    return any(((part < largest) & (part >= largest - GAP)).any() for part in _parts(s))


def _labels(s: AnyArray) -> AnyArray:
    return np.unique(np.concatenate([np.unique(part) for part in _parts(s)])).astype(np.uint64)


def _check_lone(labels: AnyArray, files: Sequence[tuple[PathLike, Trajectories]]) -> None:
    """Refuse a label that stands alone beyond the others."""
    if len(labels) < 2:
        return
    lone, next_lower = int(labels[-1]), int(labels[-2])
    if lone <= max(ALONE * next_lower, next_lower + GAP):
        return
    for path, trajectories in files:
        for i, s in enumerate(trajectories):
            frames = np.flatnonzero(s == lone)
            if len(frames):
                raise InputError(
                    f"{path}: state {lone} in trajectory {i}, frame {frames[0]} stands alone, the "
                    f"others go to {next_lower}: if it marks missing values, leave these frames "
                    "out and save the stretches between them as arrays of one npz file; if it is "
                    f"a state, number it {next_lower + 1}"
                )
