"""The groups that kinetics are compared between where none were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.analysis.group_by import group_by_list, group_by_pcca, group_mean
from trajlm.analysis.group_names import names_by_place
from trajlm.analysis.grouping import Grouping
from trajlm.analysis.kinetics import committed_transitions
from trajlm.analysis.pcca import slow_timescales
from trajlm.analysis.rates import rate_constants
from trajlm.data import States
from trajlm.discretize import periods_of
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64

# States up to this number are compared as they are; more are grouped.
FEW_STATES = 5
# Lag, in frames, of the Markov model behind the default grouping; a stay of so many counts.
GROUPING_LAG = 10
# Numbers of groups that are tried: the first three by their timescales, the others after them.
FIRST_TRIED, MOST_GROUPS = (2, 3, 4), 6
# Height above the lower of the two wells beside it, in kT, from which on a barrier is one; lower
# ones are taken where those tell nothing.
BARRIERS = (1.0, 0.5)
# Correlation of successive frames within a group up to which the coordinate is white noise there;
# up to which it may be noise mostly, and what share of it is then left after another frame.
WHITE, MOSTLY_WHITE, SLOWLY = 0.15, 0.5, 0.7
# Rate constants at one frame over those between stays of five, from which on groups flicker.
FLICKER = 1.3


def default_grouping(states: States) -> Grouping:
    """Return the states as they are up to five, else groups that the data can judge models by.

    The first choice are PCCA+ groups, 2 to 4 as the implied timescales of the Markov state model,
    at a lag of ten frames, have their largest ratio; basins that the data never joins, or joins
    once, are groups of their own. Where no pair of these groups has 20 transitions between stays
    of ten frames, other groups are tried: on one coordinate as many as the barriers of the free
    energy part, of 1 kT or, if that does not do, of half of it, since more would split a basin;
    else other numbers up to six.

    Groups are named by their mean centre on one coordinate or two, else by number.
    """
    if states.n_states <= FEW_STATES:
        return group_by_list(states, list(range(states.n_states)))
    first = None
    for grouping in _candidates(states):
        first = first or grouping
        if _tells(states, grouping):
            return grouping
    assert first is not None
    return first


def is_noisy(states: States, grouping: Grouping) -> bool:
    """Return whether the groups are hidden by noise: a hidden Markov model is to tell them then.

    The coordinate is noise about levels where successive frames of a group are hardly correlated,
    or not at once and then slowly less, as where a group holds two levels; within a well of
    molecular dynamics the correlation decays from one. And the noise matters where it crosses the
    borders of the groups: the rate constants fall with the commit time.
    """
    if states.centers is None or states.n_frames < 2 * GROUPING_LAG:
        return False
    off = _off_the_mean(states, grouping)
    one, two = (_correlation(states, grouping, off, lag) for lag in (1, 2))
    if not (abs(one) <= WHITE or (one <= MOSTLY_WHITE and two >= SLOWLY * one)):
        return False
    found = committed_transitions(grouping.apply(states), [1, GROUPING_LAG // 2], n_blocks=1)
    at_once, lasting = (np.nansum(rate_constants(found, int(c)).values) for c in found.commit_times)
    return bool(at_once > FLICKER * lasting)


def _off_the_mean(states: States, grouping: Grouping) -> F64:
    """Return the distance of each state from the mean of its group, shape (n_states, d)."""
    assert states.centers is not None
    points = states.centers.reshape(states.n_states, -1)
    periods, frames = periods_of(states.space), states.counts()
    off = np.empty_like(points)
    for g in range(grouping.n_groups):
        members = np.flatnonzero(grouping.assignment == g)
        weights = frames[members] if frames[members].any() else None
        for k, period in enumerate(periods):
            moved = points[members, k] - group_mean(points[members, k], weights, period)
            if period is not None:
                length = period[1] - period[0]
                moved = (moved + length / 2) % length - length / 2
            off[members, k] = moved
    return off


def _correlation(states: States, grouping: Grouping, off: F64, lag: int) -> float:
    """Return the correlation over a lag of what lies off the mean, within the groups."""
    groups = grouping.assignment
    counts = states.transition_counts(lag) * (groups[:, None] == groups)
    covariance = float(np.einsum("ij,ik,jk->", counts, off, off))
    variance = float((counts.sum(axis=0) + counts.sum(axis=1)) / 2 @ (off**2).sum(axis=1))
    return covariance / variance if variance > 0 else 1.0


def _candidates(states: States) -> Iterator[Grouping]:
    lag = min(GROUPING_LAG, max(len(s) for s in states) - 1)
    timescales = slow_timescales(states, lag, FIRST_TRIED[-1])
    ratios = timescales[:-1] / timescales[1:]
    order = [FIRST_TRIED[k] for k in np.argsort(-ratios, kind="stable")]
    yield group_by_pcca(states, order[0], lag)
    if states.centers is not None and states.centers.size == states.n_states:
        for least in BARRIERS:
            if (assignment := _between_barriers(states, least)) is not None:
                # Between low barriers PCCA+ deals out the states of few frames at will.
                if least == BARRIERS[0]:
                    with suppress(InputError):
                        yield group_by_pcca(states, max(assignment) + 1, lag)
                found = group_by_list(states, assignment)
                yield replace(found, names=names_by_place(states, found.group_centers))
        return
    for n_groups in [*order[1:], *range(FIRST_TRIED[-1] + 1, MOST_GROUPS + 1)]:
        with suppress(InputError):
            yield group_by_pcca(states, n_groups, lag)


def _tells(states: States, grouping: Grouping) -> bool:
    """Return whether some pair of groups has enough transitions to judge a model by."""
    found = committed_transitions(grouping.apply(states), [GROUPING_LAG], n_blocks=1)
    return bool((found.counts >= MIN_COUNT).any())


def _between_barriers(states: States, least: float) -> list[int] | None:
    """Return the group of each state, cut at the barriers of its free energy on one coordinate."""
    from scipy.signal import find_peaks

    centers = states.centers
    assert centers is not None
    turned = np.argsort(centers.ravel())
    if periods_of(states.space)[0] is not None:
        # Around a circle the highest barrier is where it is cut open.
        turned = np.roll(turned, -int(states.counts()[turned].argmin()))
    free_energy = -np.log(np.maximum(states.counts()[turned], 0.5))
    barriers = find_peaks(free_energy, prominence=least)[0]
    if not 1 <= len(barriers) < MOST_GROUPS:
        return None
    groups = np.zeros(states.n_states, np.int64)
    groups[turned] = np.searchsorted(barriers, np.arange(states.n_states), side="left")
    return [int(g) for g in _by_centre(states, groups)]


def _by_centre(states: States, groups: I64) -> I64:
    """Return the groups numbered by their mean centre."""
    assert states.centers is not None
    frames, period = states.counts(), periods_of(states.space)[0]
    means = []
    for g in range(int(groups.max()) + 1):
        inside = groups == g
        weights = frames[inside] if frames[inside].any() else None
        means.append(group_mean(states.centers.ravel()[inside], weights, period))
    numbered: I64 = np.argsort(np.argsort(means))[groups]
    return numbered
