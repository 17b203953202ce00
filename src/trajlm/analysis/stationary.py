"""Mean first-passage times from all that short trajectories show, not whole passages alone.

A frame belongs to the source if the source was visited last, to the target if the target was. In
a stationary process the mean first-passage time is the time that belongs to the source over the
arrivals from there at the target (Hill's relation: Suárez et al., J. Chem. Theory Comput. 10:2658
(2014)), whatever the distribution of the passages: a trajectory that begins in the middle of one
counts with what it shows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trajlm.analysis.passages import FirstPassage, mean_first_passage_time
from trajlm.analysis.uncertainty import FEW_EVENTS, count_interval, jackknife_error
from trajlm.data import States
from trajlm.util.arrays import F64, IntArray
from trajlm.util.words import counted

# Groups of trajectories that are left out in turn; of fewer trajectories than that the spread of
# the durations gives the interval.
N_GROUPS = 20
# Share of the passages that the ends of trajectories may cut without harm even where the
# trajectories are not stationary.
FEW_CUT = 0.2
# Below this probability a drift within the trajectories is taken to be real.
DRIFT = 0.01
# Weight, in frames, that keeps a state out of which nothing tells whether it belongs to the source
# or the target: it then belongs to neither.
NOTHING = 1e-6


class _Sums(NamedTuple):
    """What trajectories add up to, by groups of them, over the k states in which any is open.

    A trajectory is open before its first visit to source or target.

    Parameters
    ----------
    steps, arrivals
        Steps from frames that belong to the source, and arrivals from there at the target,
        shape (g,).
    frames, owned
        Frames in each of the k states, and those that belong to the source, shape (g, k).
    open_frames
        Open frames in state j of trajectories that begin in state i, shape (g, k, k).
    open_steps, open_arrivals
        Steps from open frames of trajectories that begin in state i, and how many of these come
        to the target first, shape (g, k).
    """

    steps: F64
    arrivals: F64
    frames: F64
    owned: F64
    open_frames: F64
    open_steps: F64
    open_arrivals: F64

    def total(self) -> _Sums:
        return _Sums(*(value.sum(axis=0) for value in self))

    def without(self, k: int) -> _Sums:
        return _Sums(*(value.sum(axis=0) - value[k] for value in self))


def stationary_first_passage_time(
    states: States,
    source: int | Sequence[int],
    target: int | Sequence[int],
    level: float = 0.95,
) -> FirstPassage:
    """Estimate the mean first-passage time from trajectories as short as they may be.

    The mean is (steps from frames that belong to the source) / (arrivals from there at the
    target), where a frame belongs to the set that was visited last. Before the first visit of a
    trajectory that is not known: the probability is taken from the frames of the same state that
    are known, in the whole data. On one long trajectory that is `mean_first_passage_time`.

    The interval is that of the number of arrivals (`count_interval`), with the dispersion that
    leaving out groups of trajectories in turn shows (jackknife) or, of fewer than 20 trajectories,
    the squared coefficient of variation of the durations, at least 1.

    It is reliable from ten arrivals on, where the trajectories are stationary or few passages are
    cut, and where most arrivals are known to come from the source.

    Parameters
    ----------
    states
        Trajectories; no passage goes from one to the next.
    source, target
        States, two sets that do not overlap.
    level
        Probability that the interval holds the truth.

    Raises
    ------
    InputError
        An empty set, a state that does not exist, or one that is in both sets.
    """
    whole = mean_first_passage_time(states, source, target, level)
    label = np.full(states.n_states, -1, dtype=np.int8)
    label[np.asarray(source, dtype=np.int64)] = 0
    label[np.asarray(target, dtype=np.int64)] = 1
    visited = states.visited()
    if not visited[label == 0].any():
        return _unknown(whole, "the source was never visited")
    sums, cut, drift = _sums(states, label)
    exposure, arrivals, guessed = _ratio(sums.total())
    if exposure == 0:
        return _unknown(whole, "no passage was begun")
    if arrivals < 0.5:
        low = exposure / float(count_interval(0, 1.0, level)[1])
        why = f"no passage was completed in {exposure:,.0f} frames"
        return _result(whole, (np.inf, low, np.inf), 0, cut, why)
    phi = _dispersion(sums, whole, exposure, arrivals)
    few, many = (float(c) for c in count_interval(arrivals, phi, level))
    mean = exposure / arrivals, exposure / many, exposure / few if few > 0 else np.inf
    why = _why_unreliable(arrivals, guessed, cut, len(states), drift)
    return _result(whole, mean, round(arrivals), cut, why)


def _unknown(whole: FirstPassage, why: str) -> FirstPassage:
    return _result(whole, (np.nan, np.nan, np.nan), 0, 0, why)


def _result(
    whole: FirstPassage, mean: tuple[float, float, float], n_events: int, cut: int, why: str
) -> FirstPassage:
    value, low, high = (x * whole.dt for x in mean)
    return FirstPassage(value, low, high, whole.durations, n_events, cut, whole.dt, whole.unit, why)


def _why_unreliable(
    arrivals: float, guessed: float, cut: int, n_trajectories: int, drift: float
) -> str:
    if arrivals < FEW_EVENTS:
        return f"{counted(round(arrivals), 'passage was', 'passages were')} completed"
    if cut <= FEW_CUT * (arrivals + cut):
        return ""
    if n_trajectories < N_GROUPS and cut > arrivals:
        return (
            f"the ends of {n_trajectories} trajectories cut {cut} passages and "
            f"{arrivals:.0f} were completed"
        )
    if drift < DRIFT:
        return (
            "the trajectories are shorter than most passages and not stationary: how often the "
            "source was visited last changes from their first to their second halves"
        )
    if guessed > 0.5 * arrivals:
        return (
            "the trajectories are so short that most arrivals are not known to come from the source"
        )
    return ""


def _sums(states: States, label: npt.NDArray[np.int8]) -> tuple[_Sums, int, float]:
    """Return the sums by group, the passages that are cut at the end, and the p-value of a drift.

    The drift is that of the time that belongs to the source, from the first to the second half of
    each trajectory, in Student's t test over trajectories.
    """
    begins = np.unique([int(s[0]) for s in states if label[s[0]] < 0]).astype(np.int64)
    place = np.full(states.n_states, -1)
    place[begins] = np.arange(len(begins))
    g, k, n = min(N_GROUPS, len(states)), len(begins), states.n_states
    sums = _Sums(*(np.zeros((g, *shape)) for shape in ((), (), (k,), (k,), (k, k), (k,), (k,))))
    cut, moved = 0, []
    for i, s in enumerate(states):
        row = i % g
        belongs, first = _last_visited(label, s)
        owned = belongs == 0
        sums.frames[row] += np.bincount(s, minlength=n)[begins]
        sums.owned[row] += np.bincount(s[owned], minlength=n)[begins]
        sums.steps[row] += owned[:-1].sum()
        sums.arrivals[row] += (owned[:-1] & (belongs[1:] == 1)).sum()
        cut += int(owned[-1])
        if first:
            begin = place[s[0]]
            sums.open_frames[row, begin] += np.bincount(s[:first], minlength=n)[begins]
            sums.open_steps[row, begin] += min(first, len(s) - 1)
            sums.open_arrivals[row, begin] += first < len(s) and belongs[first] == 1
        if first < len(s) // 2:
            half = (len(s) - first) // 2
            moved.append(owned[first + half :].mean() - owned[first : first + half].mean())
    return sums, cut, _drift(np.array(moved))


def _drift(moved: F64) -> float:
    from scipy.special import stdtr

    if len(moved) < N_GROUPS or not moved.any():
        return 1.0
    t = abs(moved.mean()) / (moved.std(ddof=1) / np.sqrt(len(moved)) + 1e-12)
    return float(2 * stdtr(len(moved) - 1, -t))


def _last_visited(label: npt.NDArray[np.int8], s: IntArray) -> tuple[npt.NDArray[np.int8], int]:
    """Return the label visited last at each frame, -1 before the first visit, and its frame."""
    here = label[s]
    when = np.maximum.accumulate(np.where(here >= 0, np.arange(len(s)), -1))
    first = int(np.searchsorted(when, 0))
    belongs = here[np.maximum(when, 0)]
    belongs[:first] = -1
    return belongs, first


def _ratio(total: _Sums) -> tuple[float, float, float]:
    """Return the steps, the arrivals, and how many of these are not known to be from the source.

    The share q_j of the frames in state j that belongs to the source holds the open ones, with
    the share of the state where their trajectory begins:
    frames_j q_j = owned_j + sum_i q_i open_frames_ij.
    """
    system = np.diag(total.frames + NOTHING) - total.open_frames.T
    shares = np.linalg.solve(system, total.owned)
    guessed = float(shares @ total.open_arrivals)
    steps = float(total.steps + shares @ total.open_steps)
    return steps, float(total.arrivals) + guessed, guessed


def _dispersion(sums: _Sums, whole: FirstPassage, exposure: float, arrivals: float) -> float:
    """Return the variance over the mean of as many arrivals as leave the mean as uncertain."""
    from scipy.special import ndtri, stdtrit

    n = len(sums.steps)
    if n < N_GROUPS:
        durations = whole.durations
        if len(durations) < 2:
            return 1.0
        return max(float(durations.var(ddof=1) / durations.mean() ** 2), 1.0)
    rates = []
    for k in range(n):
        steps, events, _ = _ratio(sums.without(k))
        rates.append(events / steps if steps else 0.0)
    # Few groups tell their spread roughly: Student's t instead of the normal distribution.
    widening = (stdtrit(n - 1, 0.975) / ndtri(0.975)) ** 2
    relative = jackknife_error(np.array(rates)) * exposure / arrivals
    return max(float(arrivals * relative**2 * widening), 0.2)
