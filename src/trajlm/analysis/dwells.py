"""Dwell times and their survival curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.data import StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64

Flags = npt.NDArray[np.bool_]

# Share by which times differ that are equal but for single precision.
SAME_TIME = 1e-6


@dataclass(frozen=True)
class DwellTimes:
    """Unbroken stays in one state, in order of time, shape (k,) each.

    Parameters
    ----------
    durations
        Frames of each stay that were seen.
    cut_at_start
        The stay was already running at the first frame of its trajectory.
    cut_at_end
        It was still running at the last frame (right-censored).
    dt, unit
        Time between two frames and its unit.
    """

    durations: I64
    cut_at_start: Flags
    cut_at_end: Flags
    dt: float
    unit: str

    @property
    def censored(self) -> Flags:
        """Which stays are cut by the begin or the end of their trajectory."""
        return self.cut_at_start | self.cut_at_end

    @property
    def complete(self) -> I64:
        """Durations of the stays that were seen from begin to end, in frames."""
        return self.durations[~self.censored]


@dataclass(frozen=True)
class Survival:
    """Probability that a dwell lasts longer than a time (Kaplan-Meier), shape (m,) each.

    Parameters
    ----------
    times
        Zero and the durations at which dwells ended, in `unit`. The curve is a step that holds
        from each time to the next.
    probability
        P(dwell > time).
    low, high
        Its interval (Greenwood's variance on the log-log scale).
    level
        Probability that an interval holds the truth.
    unit
        Unit of the times.
    """

    times: F64
    probability: F64
    low: F64
    high: F64
    level: float
    unit: str


def dwell_times(states: StatesLike, state: int) -> DwellTimes:
    """Collect the stays in one state, whole ones and those cut by a trajectory's ends.

    Raises
    ------
    InputError
        A state that does not exist.
    """
    states = as_states(states)
    if not 0 <= state < states.n_states:
        raise InputError(f"there is no state {state}: the states are 0 to {states.n_states - 1}")
    from trajlm.kernels.counting import count_runs, write_runs

    ends = np.cumsum([0, *(count_runs(s, state) for s in states)])
    durations = np.empty(ends[-1], np.int64)
    cut_at_start, cut_at_end = np.zeros((2, ends[-1]), np.bool_)
    for s, begin, end in zip(states, ends[:-1], ends[1:], strict=True):
        write_runs(s, state, durations[begin:end])
        if begin < end:
            cut_at_start[begin] = s[0] == state
            cut_at_end[end - 1] = s[-1] == state
    return DwellTimes(durations, cut_at_start, cut_at_end, states.dt, states.unit)


def survival(dwells: DwellTimes, level: float = 0.95) -> Survival:
    """Estimate the survival of dwells by the product of Kaplan and Meier (JASA 53:457, 1958).

    Dwells already running at the first frame are left out, since their begin is unknown. One
    that is cut after c frames is known to last at least c frames: it is at risk up to c - 1.

    Raises
    ------
    InputError
        No dwell that began inside its trajectory.
    """
    from scipy.special import ndtri

    ended, counts, at_risk = _life_table(dwells)
    hazard = counts / at_risk
    probability = np.cumprod(1 - hazard)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(hazard / (at_risk - counts))
        spread = np.exp(-ndtri((1 - level) / 2) * np.sqrt(greenwood) / np.abs(np.log(probability)))
        low, high = probability**spread, probability ** (1 / spread)
    if len(probability) and probability[-1] == 0:
        # Greenwood's variance is infinite once no dwell is left: keep the last upper bound.
        low[-1], high[-1] = 0.0, high[-2] if len(high) > 1 else 1.0
    return Survival(
        times=np.concatenate([[0.0], ended * dwells.dt]),
        probability=np.concatenate([[1.0], probability]),
        low=np.concatenate([[1.0], low]),
        high=np.concatenate([[1.0], high]),
        level=level,
        unit=dwells.unit,
    )


def cramer_von_mises(curve: Survival, reference: Survival) -> float:
    r"""Return the Cramér-von Mises distance of two dwell-time distributions.

    .. math:: \omega^2 = \int (S(t) - S_0(t))^2 \, dF_0(t)

    over the dwells of the reference that ended, with F_0 = 1 - S_0 (Anderson, Ann. Math. Stat.
    33:1148 (1962)). It is zero where they agree, and 1/3 where one lies wholly below the other.

    Parameters
    ----------
    curve, reference
        S and S_0, their times in the same unit.

    Raises
    ------
    InputError
        Curves in different units of time.
    """
    if curve.unit != reference.unit:
        raise InputError(
            f"the curves are in {curve.unit} and {reference.unit}: compare them in one unit"
        )
    ended = -np.diff(reference.probability)
    # A step holds up to the next time; times agree but for rounding.
    at = np.searchsorted(curve.times, reference.times[1:] * (1 + SAME_TIME), side="right") - 1
    # Half of a step counts before it and half after, so that equal curves are at distance zero.
    before = np.searchsorted(curve.times, reference.times[1:] * (1 - SAME_TIME), side="left") - 1
    off = (curve.probability[at] + curve.probability[before]) / 2
    off -= (reference.probability[1:] + reference.probability[:-1]) / 2
    return float((off**2 * ended).sum() / ended.sum())


def _life_table(dwells: DwellTimes) -> tuple[I64, I64, I64]:
    """Return the durations at which dwells ended, how many did, and how many could have."""
    known = ~dwells.cut_at_start
    if not known.any():
        raise InputError(
            "no dwell began inside a trajectory: the state is never entered, so its survival "
            "is unknown"
        )
    ended, counts = _tally(dwells.complete)
    followed, how_many = _tally((dwells.durations - dwells.cut_at_end)[known])
    shorter = np.concatenate([[0], np.cumsum(how_many)])[np.searchsorted(followed, ended)]
    return ended, counts, how_many.sum() - shorter


def _tally(durations: I64) -> tuple[I64, I64]:
    """Return the durations that occur, in order, and how often they do."""
    if len(durations) < durations.max(initial=0):
        return np.unique(durations, return_counts=True)
    # Without sorting, which takes longest where dwells are many.
    counts = np.bincount(durations)
    found = np.flatnonzero(counts)
    return found, counts[found]
