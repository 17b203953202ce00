"""PCCA+ on states of which some were hardly ever visited."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.kernels.stochastic import connected_sets
from trajlm.util.arrays import F64, I64

# Largest error of an eigenvector's entry, in standard deviations of it over the data.
ENTRY_ERROR = 0.2
# A set of states that holds less than this share of the frames is left out where nothing leads
# from it to the others and back.
RARE_SET = 1e-2
# Transitions that are put between sets that the data never joins.
FAINT = 1e-3


def pcca_sets(states: States, n_groups: int, lag: int) -> tuple[I64, I64]:
    """Return the connected states and the PCCA+ set of each, in no particular order.

    PCCA+ takes the states at the ends of the slow eigenvectors as the corners of its sets, and
    those are the rare ones where chance has thrown them: they are merged first
    (`merge_rare_states`).

    Raises
    ------
    InputError
        A lag that no trajectory spans, or more groups than connected or separable states.
    """
    connected, counts = _connected_counts(states, lag)
    if not 2 <= n_groups <= len(connected):
        raise InputError(
            f"{n_groups} groups were asked for: PCCA+ needs at least 2 and at most the "
            f"{len(connected)} states that are connected at a lag of {lag} frames"
        )
    merged, model = _merged_model(states, connected, counts, n_groups)
    if model.n_states == n_groups:
        return connected, merged
    try:
        sets = np.asarray(model.pcca(n_groups).assignments, dtype=np.int64)
    except (AssertionError, ValueError):
        raise InputError(
            f"PCCA+ finds no {n_groups} groups among the {len(connected)} states that are "
            f"connected at a lag of {lag} frames: ask for fewer groups, or give them by a list"
        ) from None
    if len(np.unique(sets)) < n_groups:
        raise InputError(
            f"PCCA+ leaves one of {n_groups} groups without any state: ask for fewer groups"
        )
    return connected, sets[merged]


def slow_timescales(states: States, lag: int, n: int) -> F64:
    """Return the n longest timescales, in lags, of the model that `pcca_sets` groups.

    Next to none where it has fewer processes.

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    connected, counts = _connected_counts(states, lag)
    moduli = np.zeros(n)
    if len(connected) > 1:
        _, model = _merged_model(states, connected, counts, n + 1)
        found = np.sort(np.abs(np.linalg.eigvals(model.transition_matrix)))[::-1][1 : n + 1]
        moduli[: len(found)] = found
    return np.asarray(-1 / np.log(np.clip(moduli, 1e-12, 1 - 1e-12)))


def _connected_counts(states: States, lag: int) -> tuple[I64, F64]:
    """Return the states to group and the transitions between them, which lead to each other.

    These are the states of the largest set that do, where it holds nearly all frames. Where the
    data crosses to another set without coming back, or holds sets that it never joins, leaving
    them out would put the only slow step inside a group: then each transition counts both ways,
    and sets that nothing joins are joined by next to nothing.

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    longest = max(len(s) for s in states)
    if not 1 <= lag < longest:
        raise InputError(
            f"the lag is {lag} frames: it must lie between 1 and {longest - 1}, one less than "
            "the frames of the longest trajectory"
        )
    counts, frames = states.transition_counts(lag).astype(np.float64), states.counts()
    largest = _largest(connected_sets(counts), frames)
    if frames[largest].sum() >= (1 - RARE_SET) * states.n_frames:
        return largest, counts[np.ix_(largest, largest)]
    joined = connected_sets(counts, directed=False)
    shares = np.bincount(joined, weights=frames) / states.n_frames
    kept = np.flatnonzero((shares[joined] >= RARE_SET) & (frames > 0))
    both_ways = counts[np.ix_(kept, kept)]
    both_ways = (both_ways + both_ways.T) / 2
    weights = frames[kept] / frames[kept].sum()
    apart = joined[kept][:, None] != joined[kept]
    return kept, both_ways + FAINT * np.where(apart, np.outer(weights, weights), 0.0)


def _largest(sets: I64, frames: I64) -> I64:
    """Return the states of the set with the most frames."""
    return np.flatnonzero(sets == np.argmax(np.bincount(sets, weights=frames)))


def _merged_model(states: States, connected: I64, counts: F64, at_least: int) -> tuple[I64, Any]:
    """Return the merged state of each connected one, and a reversible model of those."""
    from deeptime.markov import TransitionCountModel
    from deeptime.markov.msm import MaximumLikelihoodMSM

    steps = states.transition_counts()[np.ix_(connected, connected)]
    merged = merge_rare_states(states.counts()[connected], steps, counts, at_least)
    members = np.eye(int(merged.max()) + 1)[merged]
    merged_counts = TransitionCountModel(members.T @ counts @ members)
    return merged, MaximumLikelihoodMSM(reversible=True).fit_fetch(merged_counts)


def merge_rare_states(frames: I64, steps: I64, counts: F64, at_least: int) -> I64:
    """Merge states of too few frames to tell their group with those they exchange most with.

    After n frames, the entry of a state in an eigenvector of eigenvalue lambda is known to
    about 1 / (lambda sqrt(n)) standard deviations of that eigenvector. Too few are those that
    leave the slowest process more than `ENTRY_ERROR`, but no state of the mean number of frames.
    The rarest is merged first; what is merged counts as one, so that a basin of rare states
    stays together.

    Parameters
    ----------
    frames
        Frames of each state, shape (n,).
    steps
        Transitions from frame to frame, shape (n, n).
    counts
        Transitions at the lag of the model, shape (n, n), connected.
    at_least
        Number of states that are left in any case.

    Returns
    -------
    ndarray, shape (n,)
        The number of the merged state of each, from 0.
    """
    both = counts + counts.T
    rows = both.sum(axis=1)
    slowest = np.linalg.eigvalsh(both / np.sqrt(np.outer(rows, rows)))[-2]
    enough = min((ENTRY_ERROR * max(slowest, 1e-9)) ** -2, frames.mean())
    owner = np.arange(len(frames))
    held = frames.astype(np.float64)
    exchange = (steps + steps.T).astype(np.float64)
    np.fill_diagonal(exchange, 0.0)
    for _ in range(len(frames) - at_least):
        rare = (held < enough) & exchange.any(axis=1)
        if not rare.any():
            break
        state = int(np.argmin(np.where(rare, held, np.inf)))
        into = int(np.argmax(exchange[state]))
        owner[owner == state] = into
        held[into] += held[state]
        exchange[into] += exchange[state]
        exchange[:, into] += exchange[:, state]
        exchange[state], exchange[:, state], exchange[into, into] = 0.0, 0.0, 0.0
    merged: I64 = np.unique(owner, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return merged
