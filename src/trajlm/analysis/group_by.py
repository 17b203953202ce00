"""The ways of making groups: by edges, by a list, by PCCA+ and by hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis.group_names import names_by_place
from trajlm.analysis.grouping import Grouping, one_coordinate
from trajlm.analysis.hidden import HiddenStates
from trajlm.analysis.pcca import pcca_sets
from trajlm.data import States, StatesLike, as_states
from trajlm.discretize import periods_of
from trajlm.discretize.periodic import Period, nearest
from trajlm.errors import InputError
from trajlm.provenance import Rule
from trajlm.util.arrays import F64, I64


def group_by_edges(
    states: StatesLike,
    edges: Sequence[float],
    running_mean: int = 1,
    names: Sequence[str] = (),
    wrap: bool | None = None,
) -> Grouping:
    """Group states by thresholds on their coordinate: k edges make k + 1 groups.

    A value equal to an edge belongs to the upper group. On a periodic coordinate `wrap` makes
    one group, the first, of what lies below the first edge and from the last one up: k edges
    then make k groups. That is the default with a running mean, which then goes over the border.

    Parameters
    ----------
    states
        The reference, with centres on one coordinate.
    edges
        Increasing thresholds, shape (k,).
    running_mean
        Frames of the running mean over the centres, 1 for none.
    names
        One name a group; the numbers from 0 when not given.
    wrap
        Whether the first and the last interval are one group, over the periodic border.

    Raises
    ------
    InputError
        No centres, more than one coordinate, edges that do not increase, a group without
        any state, or `wrap` with a single edge, or with a running mean of a coordinate that is
        not known to be periodic.
    """
    states = as_states(states)
    centers = one_coordinate(states.centers)
    cuts = np.atleast_1d(np.asarray(edges, dtype=np.float64))
    if (
        cuts.ndim != 1
        or len(cuts) == 0
        or not np.isfinite(cuts).all()
        or (np.diff(cuts) <= 0).any()
    ):
        raise InputError(f"the edges are {cuts.tolist()}: give increasing numbers")
    assignment = np.digitize(centers, cuts).astype(np.int64)
    missing = np.setdiff1d(np.arange(len(cuts) + 1), assignment)
    if len(missing):
        raise InputError(
            f"the edges {cuts.tolist()} leave group {missing[0]} without any state: the state "
            f"centres run from {centers.min():g} to {centers.max():g}"
        )
    circular = running_mean > 1 and periods_of(states.space)[0] is not None
    if wrap and (len(cuts) < 2 or (running_mean > 1 and not circular)):
        raise InputError(
            f"{len(cuts)} edge(s) and a running mean over {running_mean} frames were given with "
            "wrap: groups over a periodic border need two or more edges, and a running mean a "
            "coordinate whose period is known"
        )
    if wrap is None:
        wrap = circular and len(cuts) > 1
    if wrap:
        assignment %= len(cuts)
    return _grouping(states, assignment, "edges", running_mean, names, cuts)


def group_by_list(
    states: StatesLike, assignment: Sequence[int], running_mean: int = 1, names: Sequence[str] = ()
) -> Grouping:
    """Group states by a list of the group of each.

    Parameters
    ----------
    states
        The reference; centres on one coordinate are needed for a running mean only.
    assignment
        The group of each state, shape (n_states,): every number from 0 to the largest.
    running_mean
        Frames of the running mean over the centres, 1 for none.
    names
        One name a group; the numbers from 0 when not given.

    Raises
    ------
    InputError
        Not one whole number a state, or a group without any state.
    """
    states = as_states(states)
    given = np.asarray(assignment)
    if given.shape != (states.n_states,) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"the list of groups has shape {given.shape} and type {given.dtype}: one integer for "
            f"each of the {states.n_states} states is needed"
        )
    used = np.unique(given)
    if not np.array_equal(used, np.arange(len(used))):
        raise InputError(f"the groups in the list are {used.tolist()}: use every number from 0")
    return _grouping(states, given.astype(np.int64), "list", running_mean, names, None)


def group_by_pcca(
    states: StatesLike,
    n_groups: int,
    lag: int = 1,
    running_mean: int = 1,
    names: Sequence[str] = (),
) -> Grouping:
    """Group states by PCCA+ on a reversible Markov state model of the data.

    The model is made on the largest connected set of visited states. States of too few frames
    to tell their group count as one with the state they exchange most with
    (`trajlm.analysis.pcca`). Each state goes to the group in which its membership is largest;
    one outside the connected set joins the group of the nearest connected state, over the
    period if there is one, or, without centres, the most populated group. Groups are numbered by
    their mean centre (first coordinate), or by their mean state number without centres, so that
    the numbers do not depend on the algorithm. Source: Roeblitz and Weber, Adv. Data Anal.
    Classif. 7:147 (2013), as in deeptime.

    Parameters
    ----------
    states
        The reference.
    n_groups
        Number of groups, at least 2.
    lag
        Lag of the Markov state model in frames.
    running_mean
        Frames of the running mean over the centres, 1 for none.
    names
        One name a group; when not given, the mean centre on one coordinate or two, else the number.

    Raises
    ------
    InputError
        A lag that no trajectory spans, or more groups than connected or separable states.
    """
    states = as_states(states)
    connected, sets = pcca_sets(states, n_groups, lag)
    in_set = np.bincount(sets, weights=states.counts()[connected], minlength=n_groups)
    assignment = np.full(states.n_states, np.argmax(in_set), dtype=np.int64)
    if states.centers is not None:
        points = states.centers.reshape(states.n_states, -1)
        assignment = sets[nearest(points, points[connected], periods_of(states.space))]
    assignment[connected] = sets
    order = np.argsort(_sort_keys(states, assignment, n_groups), kind="stable")
    found = _grouping(states, np.argsort(order)[assignment], "pcca", running_mean, names, None)
    if names:
        return found
    return replace(found, names=names_by_place(states, found.group_centers) or found.names)


def group_by_hidden_states(
    states: StatesLike,
    transition_matrix: npt.ArrayLike,
    emission: npt.ArrayLike,
    stationary_distribution: npt.ArrayLike,
    names: Sequence[str] = (),
) -> Grouping:
    """Group by the hidden states of a hidden Markov model, for data whose noise hides the states.

    A threshold on a noisy coordinate counts noise as transitions. Here each trajectory becomes a
    path of hidden states, drawn from its probability given the whole trajectory. The most probable
    path (Viterbi) is no longer right where noise hides short stays: it leaves them out, and its
    rates are too low. In drawn paths they are as frequent as the model expects.

    Groups are numbered by their mean centre (first coordinate), else as the hidden states are.

    Parameters
    ----------
    states
        The reference.
    transition_matrix, emission, stationary_distribution
        Of the hidden states, shapes (m, m), (m, n_states) and (m,), as a fitted
        `trajlm.HiddenMarkovModel` has them.
    names
        One name a group; the numbers from 0 when not given.

    Raises
    ------
    InputError
        Matrices that do not fit together or to the states.
    """
    states = as_states(states)
    T, E, pi = (
        np.asarray(x, np.float64) for x in (transition_matrix, emission, stationary_distribution)
    )
    m = len(pi)
    if T.shape != (m, m) or E.shape != (m, states.n_states):
        raise InputError(
            f"the hidden states have matrices of shapes {T.shape} and {E.shape}: "
            f"{(m, m)} and {(m, states.n_states)} are needed"
        )
    order = np.arange(m)
    if states.centers is not None:
        first = states.centers.reshape(states.n_states, -1)[:, 0]
        order = np.argsort(E @ first, kind="stable")
    T, E, pi = T[np.ix_(order, order)], E[order], pi[order]
    assignment = (pi[:, None] * E).argmax(axis=0).astype(np.int64)
    found = _grouping(states, assignment, "hmm", 1, names, None, n_groups=m)
    hidden = HiddenStates(*(np.ascontiguousarray(x) for x in (T, E, pi)))
    means = None if states.centers is None else E @ states.centers
    return replace(found, hidden=hidden, group_centers=means)


def _sort_keys(states: States, assignment: I64, n_groups: int) -> F64:
    means = _mean_by_group(states, assignment, n_groups)
    if means is None:
        numbers = np.arange(states.n_states, dtype=np.float64)
        return np.array([numbers[assignment == g].mean() for g in range(n_groups)])
    return means.reshape(n_groups, -1)[:, 0]


def _mean_by_group(states: States, assignment: I64, n_groups: int) -> F64 | None:
    """Return the mean centre of each group by population, plain where it was never visited."""
    if states.centers is None:
        return None
    weights = states.counts()
    periods = periods_of(states.space)
    means = []
    for group in range(n_groups):
        members = assignment == group
        visits = weights[members] if weights[members].any() else None
        points = states.centers[members].reshape(members.sum(), -1)
        mean = [group_mean(x, visits, period) for x, period in zip(points.T, periods, strict=True)]
        means.append(mean if states.centers.ndim == 2 else mean[0])
    return np.array(means)


def group_mean(x: F64, weights: I64 | None, period: Period | None) -> float:
    """Return the weighted mean of numbers; on a circle, from where it is cut opposite to them."""
    if period is None:
        return float(np.average(x, weights=weights))
    low, length = period[0], period[1] - period[0]
    around = np.average(np.exp(2j * np.pi * (x - low) / length), weights=weights)
    middle = low + np.angle(around) * length / (2 * np.pi)
    off = (x - middle + length / 2) % length - length / 2
    return low + float(middle - low + np.average(off, weights=weights)) % length


def _grouping(
    states: States,
    assignment: I64,
    method: Rule,
    running_mean: int,
    names: Sequence[str],
    edges: F64 | None,
    n_groups: int = 0,
) -> Grouping:
    n_groups = n_groups or int(assignment.max()) + 1
    if running_mean < 1:
        raise InputError(f"the running mean is over {running_mean} frames: give 1 for none")
    if running_mean > 1:
        one_coordinate(states.centers)
    if names and len(names) != n_groups:
        raise InputError(f"{len(names)} names were given for {n_groups} groups")
    return Grouping(
        assignment=assignment,
        method=method,
        running_mean=running_mean,
        centers=states.centers,
        edges=edges,
        group_centers=_mean_by_group(states, assignment, n_groups),
        names=tuple(names) or tuple(str(g) for g in range(n_groups)),
        period=periods_of(states.space)[0] if running_mean > 1 else None,
    )
