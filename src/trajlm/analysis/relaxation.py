"""How fast the states forget where they were: transition probabilities over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.transitions import check_lag, transition_matrix
from trajlm.analysis.uncertainty import independent_parts, jackknife_error
from trajlm.data import States, StatesLike, as_states
from trajlm.util.arrays import F64, I64

# Parts that are left out in turn for an interval.
N_PARTS = 10
# Pairs of frames that are enough at any lag: of more data, not every frame begins a pair.
ENOUGH_PAIRS = 10_000_000


@dataclass(frozen=True)
class TransitionProbabilities:
    """P(s(t + lag) = j | s(t) = i) at several lags, shape (m, n, n) each.

    Parameters
    ----------
    lags
        In frames, shape (m,).
    values, low, high
        The probabilities and their interval.
    level
        Probability that an interval holds the truth.
    dt, unit
        Time between two frames and its unit.
    """

    lags: I64
    values: F64
    low: F64
    high: F64
    level: float
    dt: float
    unit: str


def transition_probabilities(
    states: StatesLike, lags: npt.ArrayLike, level: float = 0.95, intervals: bool = True
) -> TransitionProbabilities:
    """Count the transition matrix at each of several lags.

    The Chapman-Kolmogorov test holds a model's T(t) against that of the data: a model that has
    the kinetics of these states right, Markovian between them or not, gives the same curves.

    Parameters
    ----------
    states
        Trajectories; no pair goes from one to the next.
    lags
        In frames.
    level
        Probability that an interval holds the truth; intervals are Student's t over ten parts of
        the data that are left out in turn (jackknife), each taken as independent.
    intervals
        Whether to find them; else they reach from zero to one.

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    states = as_states(states)
    times = np.atleast_1d(np.asarray(lags, dtype=np.int64))
    for lag in times:
        check_lag(states, int(lag))
    frames = states.counts()
    parts = independent_parts(states, N_PARTS) if intervals else []
    found = [_at_lag(states, parts, frames, int(lag), level) for lag in times]
    values, low, high = (np.array(each) for each in zip(*found, strict=True))
    return TransitionProbabilities(times, values, low, high, level, states.dt, states.unit)


def _at_lag(
    states: States, parts: list[States], frames: I64, lag: int, level: float
) -> tuple[F64, F64, F64]:
    """Return the matrix at a lag with its interval."""
    from scipy.special import stdtrit

    stride = max(1, states.n_frames // ENOUGH_PAIRS)
    all_counts = states.transition_counts(lag, stride)
    value = transition_matrix(all_counts, frames)
    n = len(parts)
    if n < 2:
        return value, np.zeros_like(value), np.ones_like(value)
    # A pair that ends in the next part is in none of them.
    in_parts = np.array([part.transition_counts(lag, stride) for part in parts])
    left_out = [transition_matrix(in_parts.sum(axis=0) - own, frames) for own in in_parts]
    half = stdtrit(n - 1, (1 + level) / 2) * jackknife_error(np.array(left_out))
    return value, np.clip(value - half, 0.0, 1.0), np.clip(value + half, 0.0, 1.0)
