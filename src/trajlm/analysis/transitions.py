"""The transition matrix of counts, all states in their own numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.kernels.stochastic import connected_sets
from trajlm.util.arrays import F64, I64
from trajlm.util.words import listed

# States that a sentence names.
NAMED = 6


def check_lag(states: States, lag: int) -> None:
    """Raise if no trajectory spans the lag.

    Raises
    ------
    InputError
        A lag below one frame, or of as many frames as the longest trajectory has or more.
    """
    longest = max(len(s) for s in states)
    if not 1 <= lag < longest:
        raise InputError(f"lag {lag} is out of range: the longest trajectory has {longest} frames")


def transition_matrix(counts: npt.ArrayLike, populations: npt.ArrayLike) -> F64:
    """Return the row-normalised counts, shape (n, n).

    A state that was visited at the ends of trajectories alone goes to the states joined to it, by
    their populations; one that was never visited goes to all.

    Parameters
    ----------
    counts
        Transitions from row to column, shape (n, n).
    populations
        Frames in each state, shape (n,).
    """
    C, frames = np.asarray(counts, dtype=np.float64), np.asarray(populations, dtype=np.float64)
    rows = C.sum(axis=1, keepdims=True)
    T: F64 = np.divide(C, rows, out=np.zeros_like(C), where=rows > 0)
    unknown = np.flatnonzero(rows[:, 0] == 0)
    if len(unknown):
        joined = connected_sets(C, directed=False)
        for state in unknown:
            weights = frames * (joined == joined[state]) if frames[state] else frames
            T[state] = weights / weights.sum()
    return T


def name_states(states: I64) -> str:
    """Return states as words, of many the first: "states 0, 1 and 7"."""
    names = [str(k) for k in states[:NAMED]]
    if len(states) > NAMED:
        names.append(f"{len(states) - NAMED} more")
    return f"state{'s' if len(states) > 1 else ''} {listed(names)}"


def counted_transition_matrix(states: States, lag: int = 1) -> F64:
    """Return the transition matrix of the counts at `lag` frames, see `transition_matrix`."""
    check_lag(states, lag)
    return transition_matrix(states.transition_counts(lag), states.counts())
