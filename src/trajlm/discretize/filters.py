"""What is done to a trajectory before and after it is cut: means, decimation, spike removal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trajlm.data import Features, FeaturesLike, States, StatesLike, as_features, as_states
from trajlm.discretize.periodic import to_circles
from trajlm.errors import InputError
from trajlm.provenance import Averaged, Decimated, RunningMean, SpikesRemoved
from trajlm.util.arrays import F64, IntArray
from trajlm.util.trajectories import owned


def smooth(features: FeaturesLike, window: int) -> Features:
    """Return the running mean over `window` frames, full windows only.

    Frame t of the result is the mean of the frames t .. t + window - 1, so a trajectory of T
    frames becomes T - window + 1 frames of the same dt. Trajectories are not joined. A periodic
    column takes the circular mean, the direction of the mean of (cosine, sine).

    Parameters
    ----------
    features
        Trajectories of shape (T, d).
    window
        Number of frames, at least 1.

    Raises
    ------
    InputError
        A window below 1 or a trajectory shorter than the window.
    """
    features = as_features(features)
    _check_frames(window, 1, "window of the running mean")
    for i, x in enumerate(features.trajectories):
        if len(x) < window:
            raise InputError(
                f"trajectory {i} has {len(x)} frames, too few for a running mean over {window}: "
                "leave it out or take a shorter window"
            )
    means = []
    for x in features.trajectories:
        on_circles, back = to_circles(x, features.periods)
        means.append(owned(back(_running_mean(on_circles, window))))
    steps = (*features.steps, RunningMean(int(window)))
    return replace(features, trajectories=tuple(means), steps=steps)


def average(features: FeaturesLike, n: int) -> Features:
    """Return the means of successive blocks of `n` frames; dt becomes n dt.

    Block k is the mean of the frames k n .. k n + n - 1; frames left over at the end are
    dropped. Noise falls as one over the root of n, and nothing faster than n dt is left. A
    periodic column takes the circular mean.

    Parameters
    ----------
    features
        Trajectories of shape (T, d).
    n
        Frames a block, at least 1.

    Raises
    ------
    InputError
        Fewer than one frame a block or a trajectory shorter than a block.
    """
    features = as_features(features)
    _check_frames(n, 1, "block of the averages")
    means = []
    for i, x in enumerate(features.trajectories):
        if len(x) < n:
            raise InputError(
                f"trajectory {i} has {len(x)} frames, too few for averages over {n}: leave it out "
                "or average over fewer"
            )
        on_circles, back = to_circles(x, features.periods)
        n_blocks = len(x) // n
        blocks = on_circles[: n_blocks * n].reshape(n_blocks, n, -1)
        means.append(owned(back(blocks.mean(axis=1))))
    steps = (*features.steps, Averaged(int(n)))
    return replace(features, trajectories=tuple(means), dt=features.dt * n, steps=steps)


def decimate(features: FeaturesLike, n: int) -> Features:
    """Return every `n`-th frame, from the first of each trajectory; dt becomes n dt.

    Nothing is averaged: what is faster than n dt is not removed but seen as noise. `average`
    removes it.

    Parameters
    ----------
    features
        Trajectories of shape (T, d).
    n
        At least 1.

    Raises
    ------
    InputError
        A number below 1.
    """
    features = as_features(features)
    _check_frames(n, 1, "step of the decimation")
    return replace(
        features,
        trajectories=tuple(x[::n] for x in features.trajectories),
        dt=features.dt * n,
        steps=(*features.steps, Decimated(int(n))),
    )


def _running_mean(x: F64, window: int) -> F64:
    """Return the means of all full windows along axis 0, in time linear in T.

    Each window is the end of one block of `window` frames and the start of the next, so no sum
    runs over more than a window and rounding errors do not build up along the trajectory.
    """
    n_frames, d = x.shape
    n_blocks = -(-n_frames // window)
    padded = np.zeros((n_blocks * window, d))
    padded[:n_frames] = x
    blocks = padded.reshape(n_blocks, window, d)
    starts = np.cumsum(blocks, axis=1).reshape(-1, d)
    ends = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].copy()
    ends[:, 0] = 0  # a window that is a whole block is counted by its start alone
    n_windows = n_frames - window + 1
    total = ends.reshape(-1, d)[:n_windows] + starts[window - 1 : n_frames]
    return np.asarray(total / window, dtype=np.float64)


def remove_spikes(states: StatesLike, threshold: int) -> States:
    """Split each stay of at most `threshold` frames between its neighbours.

    One walk over the change points from left to right: where the stretch between two changes
    is `threshold` frames or shorter, its first half takes the label of the frame before it, as
    the walk has left that frame, and its second half the label of the frame after it. Of an odd
    number of frames the middle one belongs to the second half. The first and the last stay of
    a trajectory have a change on one side only and are never removed; the change points are
    those of the trajectory as it was given. Where short stretches follow each other, the walk
    has already given the end of one the label of the next, so each of them lives on from the
    middle of the one before it to its own middle.

    This is the walk of the program of Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), with the
    change points taken exactly instead of from a gradient.

    Parameters
    ----------
    states
        Discrete trajectories; each is treated alone.
    threshold
        Longest stretch that is removed, in frames; 0 removes nothing.

    Raises
    ------
    InputError
        A threshold that is no whole number of frames.
    """
    states = as_states(states)
    _check_frames(threshold, 0, "threshold of the spike removal")
    cleaned = tuple(_without_spikes(s, threshold) for s in states.trajectories)
    how = states.discretization
    discretization = replace(how, steps=(*how.steps, SpikesRemoved(int(threshold))))
    return replace(states, trajectories=cleaned, discretization=discretization)


def _without_spikes(s: IntArray, threshold: int) -> IntArray:
    changes = np.flatnonzero(s[1:] != s[:-1]) + 1
    if len(changes) < 2:
        return s
    labels = s[np.concatenate([[0], changes])]
    lengths = np.diff(np.concatenate([[0], changes, [len(s)]]))
    short: npt.NDArray[np.bool_] = lengths <= threshold
    short[[0, -1]] = False
    # After a short stretch the frame before carries this stretch's own label.
    before = np.where(np.roll(short, 1), labels, np.roll(labels, 1))
    after = np.roll(labels, -1)
    halves = np.column_stack([lengths // 2, lengths - lengths // 2])
    new_labels = np.column_stack([np.where(short, before, labels), np.where(short, after, labels)])
    return owned(np.repeat(new_labels.ravel(), halves.ravel()))


def _check_frames(value: int, least: int, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"the {what} must be a whole number of frames from {least}, not {value}")
