"""Counting runs of equal states and transitions in one pass, with no memory of their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arrays import I64
from trajlm.kernels.compiled import compiled, inlined

F64 = npt.NDArray[np.float64]
Path = npt.NDArray[np.integer[Any]]


@compiled
def longest_run(path: Path) -> int:
    """Return the number of frames of the longest run of one state."""
    longest = begin = 0
    for t in range(1, len(path) + 1):
        if t == len(path) or path[t] != path[begin]:
            longest = max(longest, t - begin)
            begin = t
    return longest


@compiled
def count_pairs(path: Path, lag: int, stride: int, n_states: int, counts: I64) -> None:
    """Add the pairs of states `lag` frames apart to `counts`, shape (n_states^2,).

    A pair begins every `stride` frames.
    """
    for t in range(0, len(path) - lag, stride):
        counts[np.int64(path[t]) * n_states + np.int64(path[t + lag])] += 1


@compiled
def count_runs(path: Path, state: int) -> int:
    """Return how many runs there are of a state."""
    n, inside = 0, False
    for now in path:
        n += now == state and not inside
        inside = now == state
    return n


@compiled
def write_runs(path: Path, state: int, durations: I64) -> None:
    """Write the number of frames of each run of a state to `durations`, shape (runs,)."""
    n, run = 0, 0
    for now in path:
        if now == state:
            run += 1
        elif run:
            durations[n] = run
            n, run = n + 1, 0
    if run:
        durations[n] = run


@compiled
def count_committed(
    path: Path,
    first: int,
    times: I64,
    n_states: int,
    edges: I64,
    block: I64,
    in_block: I64,
    touched: I64,
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
        The present block, and how many of its counts are above zero; shape (2,), zeros before the
        first trajectory.
    in_block, counts
        Transitions i -> j in the present block and in those before, shape (m n n,) for all
        commit times.
    touched
        Where `in_block` is above zero, shape (m n n,).
    squares
        Of the blocks before, the sum of count^2 over frames, shape (m n n,).
    """
    kept = np.full(len(times), -1)
    begin = 0
    for t in range(1, len(path) + 1):
        if t < len(path) and path[t] == path[begin]:
            continue
        while first + begin >= edges[block[0] + 1]:
            _close(edges, block, in_block, touched, counts, squares)
        state = np.int64(path[begin])
        for m in range(len(times)):
            if times[m] > t - begin:
                break
            if kept[m] != state:
                if kept[m] >= 0:
                    cell = (m * n_states + kept[m]) * n_states + state
                    if in_block[cell] == 0:
                        touched[block[1]] = cell
                        block[1] += 1
                    in_block[cell] += 1
                kept[m] = state
        begin = t


@compiled
def count_exposed(path: Path, times: I64, exposed: I64) -> None:
    """Add the frames of each state but the first c - 1 and the last c, for each commit time c.

    Parameters
    ----------
    path
        Shape (T,).
    times
        Increasing commit times, shape (m,).
    exposed
        Added to, shape (m, n).
    """
    begin, end = 0, len(path)
    counted = np.zeros(exposed.shape[1], np.int64)
    for now in path:
        counted[now] += 1
    for m in range(len(times)):
        if 2 * times[m] > len(path):
            break
        while begin < times[m] - 1:
            counted[path[begin]] -= 1
            begin += 1
        while end > len(path) - times[m]:
            end -= 1
            counted[path[end]] -= 1
        exposed[m] += counted


@compiled
def close_blocks(
    edges: I64, block: I64, in_block: I64, touched: I64, counts: I64, squares: F64
) -> None:
    """Add up what `count_committed` left of the last blocks."""
    while block[0] < len(edges) - 1:
        _close(edges, block, in_block, touched, counts, squares)


@inlined
def _close(edges: I64, block: I64, in_block: I64, touched: I64, counts: I64, squares: F64) -> None:
    """Add the counts of the present block to those of all, and go on to the next."""
    frames = edges[block[0] + 1] - edges[block[0]]
    # Not all cells: with many states few of them are ever above zero.
    for k in range(block[1]):
        cell = touched[k]
        counts[cell] += in_block[cell]
        squares[cell] += in_block[cell] ** 2 / frames
        in_block[cell] = 0
    block[0] += 1
    block[1] = 0
