"""Counting stays and transitions in one pass over a trajectory, with no memory of its length."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Path = npt.NDArray[np.integer[Any]]


@numba.njit(nogil=True, cache=True)
def longest_stay(path: Path) -> int:
    """Return the number of frames of the longest stay in one state."""
    longest = begin = 0
    for t in range(1, len(path) + 1):
        if t == len(path) or path[t] != path[begin]:
            longest = max(longest, t - begin)
            begin = t
    return longest


@numba.njit(nogil=True, cache=True)
def count_stays(path: Path, state: int) -> int:
    """Return how many stays there are in a state."""
    n, inside = 0, False
    for now in path:
        n += now == state and not inside
        inside = now == state
    return n


@numba.njit(nogil=True, cache=True)
def write_stays(path: Path, state: int, durations: I64) -> None:
    """Write the number of frames of each stay in a state to `durations`, shape (stays,)."""
    n, stay = 0, 0
    for now in path:
        if now == state:
            stay += 1
        elif stay:
            durations[n] = stay
            n, stay = n + 1, 0
    if stay:
        durations[n] = stay


@numba.njit(nogil=True, cache=True)
def count_committed(
    path: Path,
    first: int,
    times: I64,
    edges: I64,
    block: I64,
    in_block: I64,
    counts: I64,
    squares: F64,
) -> None:
    """Add the committed transitions of one trajectory; call it for one after the other.

    Parameters
    ----------
    path
        Shape (T,).
    first
        The number of its first frame, counted over all trajectories.
    times
        Increasing commit times, shape (m,).
    edges
        Frames, counted over all trajectories, where blocks begin and end, shape (n_blocks + 1,).
    block
        The present block, shape (1,), zero before the first trajectory.
    in_block, counts
        Transitions i -> j in the present block and in those before, shape (m, n, n).
    squares
        Of the blocks before, the sum of count^2 over frames, shape (m, n, n).
    """
    kept = np.full(len(times), -1)
    begin = 0
    for t in range(1, len(path) + 1):
        if t < len(path) and path[t] == path[begin]:
            continue
        while first + begin >= edges[block[0] + 1]:
            close_block(edges, block, in_block, counts, squares)
        state = np.int64(path[begin])
        for m in range(len(times)):
            if times[m] > t - begin:
                break
            if kept[m] != state:
                if kept[m] >= 0:
                    in_block[m, kept[m], state] += 1
                kept[m] = state
        begin = t


@numba.njit(nogil=True, cache=True)
def close_block(edges: I64, block: I64, in_block: I64, counts: I64, squares: F64) -> None:
    """Add the counts of the present block to those of all, and go on to the next."""
    frames = edges[block[0] + 1] - edges[block[0]]
    now, total, square = in_block.reshape(-1), counts.reshape(-1), squares.reshape(-1)
    for k in range(len(now)):
        if now[k]:
            total[k] += now[k]
            square[k] += now[k] ** 2 / frames
            now[k] = 0
    block[0] += 1
