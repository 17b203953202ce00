"""Grouping of fine states into metastable ones, the same way for every data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.analysis.pcca import pcca_sets
from trajlm.analysis.runs import Integers
from trajlm.data import States, StatesLike, as_states, smallest_unsigned
from trajlm.discretize import periods_of
from trajlm.discretize.periodic import Period, nearest
from trajlm.errors import InputError
from trajlm.provenance import Discretization, Grouped, Rule, RunningMean
from trajlm.util.trajectories import owned
from trajlm.util.words import without_surrogates

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """A rule from fine states to groups, made once and applied to any data of those states.

    Made by `group_by_edges`, `group_by_list` or `group_by_pcca`.

    Parameters
    ----------
    assignment
        The group of each fine state, shape (n_states,).
    method
        ``"edges"``, ``"list"`` or ``"pcca"``.
    running_mean
        Frames of the running mean taken over the state centres before grouping; 1 for none.
        A threshold on a noisy coordinate counts noise as transitions; a running mean does not.
    centers
        Centre of each fine state, shape (n_states,) for one coordinate or (n_states, d); None
        when unknown.
    edges
        Thresholds on the coordinate, for the method ``"edges"``.
    group_centers
        Mean centre of each group, weighted with the populations of the data it was made from,
        over the period if there is one.
    names
        One name a group.
    period
        Periodic domain (low, high) of the coordinate, over which the running mean is taken; None
        where there is none, or no running mean.
    """

    assignment: Integers
    method: Rule
    running_mean: int = 1
    centers: Floats | None = None
    edges: Floats | None = None
    group_centers: Floats | None = None
    names: tuple[str, ...] = ()
    period: Period | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.assignment.max()) + 1

    def apply(self, states: StatesLike) -> States:
        """Return the grouped trajectories, with the dt and unit of `states`.

        With a running mean of w frames only full windows count: a trajectory of T frames gives
        T - w + 1, each value the mean of the centres in its window. The mean is then cut at the
        edges or, for other methods, takes the group of the fine state nearest to it. On a periodic
        coordinate it is the direction of the mean on the circle.

        Raises
        ------
        InputError
            More states than the grouping knows, or a trajectory shorter than the window.
        """
        states = as_states(states)
        if states.n_states > len(self.assignment):
            raise InputError(
                f"the data have {states.n_states} states but the grouping knows "
                f"{len(self.assignment)}: make the grouping from data of the same states"
            )
        if self.running_mean == 1:
            # As small as States keep them: long data is not copied in eight bytes a frame.
            small = self.assignment.astype(smallest_unsigned(self.n_groups))
            grouped = [owned(small[s]) for s in states]
        else:
            grouped = [self._smoothed(s, i) for i, s in enumerate(states)]
        return States(
            grouped,
            n_states=self.n_groups,
            dt=states.dt,
            unit=states.unit,
            centers=self.group_centers,
            discretization=self._described(states.discretization),
        )

    def describe(self) -> str:
        """Say in one sentence how fine states become groups."""
        if self.edges is not None:
            rule = "by the edges " + ", ".join(f"{edge:g}" for edge in self.edges)
            if self.n_groups == len(self.edges):
                rule += ", the first group over the periodic border"
        else:
            rule = "by PCCA+" if self.method == "pcca" else "by a list"
        smoothed = ""
        if self.running_mean > 1:
            smoothed = (
                f", after a running mean of the state centres over {self.running_mean} frames"
            )
        return f"{len(self.assignment)} states in {self.n_groups} groups {rule}{smoothed}."

    def _described(self, fine: Discretization) -> Discretization:
        """Return how the groups were made, given how the fine states were."""
        assignment, cut = tuple(self.assignment.tolist()), fine.method
        if isinstance(cut, Grouped):
            # Groups of groups are groups of the finest states.
            assignment, cut = tuple(assignment[g] for g in cut.assignment), cut.fine
        method = Grouped(
            self.method,
            assignment,
            cut,
            self.running_mean,
            None if self.edges is None else tuple(self.edges.tolist()),
            tuple(without_surrogates(name) for name in self.names),
        )
        smoothed = (RunningMean(self.running_mean),) if self.running_mean > 1 else ()
        return replace(fine, method=method, steps=(*fine.steps, *smoothed))

    def _smoothed(self, trajectory: npt.NDArray[np.integer[Any]], index: int) -> Integers:
        centers = _one_coordinate(self.centers)
        window = self.running_mean
        if len(trajectory) < window + 1:
            raise InputError(
                f"trajectory {index} has {len(trajectory)} frames: a running mean over {window} "
                f"needs at least {window + 1}"
            )
        if self.period is not None:
            means = _circular_means(centers, trajectory, window, self.period)
        else:
            means = _window_sums(centers[trajectory], window) / window
            # A mean of equal numbers can differ from them by rounding, and must not cross an edge.
            means += 8 * np.finfo(np.float64).eps * np.abs(centers).max()
        if self.edges is not None:
            return np.digitize(means, self.edges) % self.n_groups
        order = np.argsort(centers)
        if self.period is not None:
            # The nearest state may lie over the border: the last below the first, and so on.
            order = np.concatenate([order[-1:], order, order[:1]])
            length = self.period[1] - self.period[0]
            shift = np.zeros(len(order))
            shift[[0, -1]] = -length, length
            places = centers[order] + shift
        else:
            places = centers[order]
        return self.assignment[order][np.digitize(means, (places[1:] + places[:-1]) / 2)]


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
    centers = _one_coordinate(states.centers)
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
        One name a group; the numbers from 0 when not given.

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
    return _grouping(states, np.argsort(order)[assignment], "pcca", running_mean, names, None)


def _sort_keys(states: States, assignment: Integers, n_groups: int) -> Floats:
    means = _mean_by_group(states, assignment, n_groups)
    if means is None:
        numbers = np.arange(states.n_states, dtype=np.float64)
        return np.array([numbers[assignment == g].mean() for g in range(n_groups)])
    return means.reshape(n_groups, -1)[:, 0]


def _mean_by_group(states: States, assignment: Integers, n_groups: int) -> Floats | None:
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
        mean = [_mean(x, visits, period) for x, period in zip(points.T, periods, strict=True)]
        means.append(mean if states.centers.ndim == 2 else mean[0])
    return np.array(means)


def _mean(x: Floats, weights: Integers | None, period: Period | None) -> float:
    """Return the mean of numbers; on a circle, from where it is cut opposite to them."""
    if period is None:
        return float(np.average(x, weights=weights))
    low, length = period[0], period[1] - period[0]
    around = np.average(np.exp(2j * np.pi * (x - low) / length), weights=weights)
    middle = low + np.angle(around) * length / (2 * np.pi)
    off = (x - middle + length / 2) % length - length / 2
    return low + float(middle - low + np.average(off, weights=weights)) % length


def _grouping(
    states: States,
    assignment: Integers,
    method: Rule,
    running_mean: int,
    names: Sequence[str],
    edges: Floats | None,
) -> Grouping:
    n_groups = int(assignment.max()) + 1
    if running_mean < 1:
        raise InputError(f"the running mean is over {running_mean} frames: give 1 for none")
    if running_mean > 1:
        _one_coordinate(states.centers)
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


def _one_coordinate(centers: Floats | None) -> Floats:
    if centers is None:
        raise InputError("the states have no centres: group them by a list, without running mean")
    if centers.ndim == 2 and centers.shape[1] == 1:
        return centers[:, 0]
    if centers.ndim != 1:
        raise InputError(
            f"the states lie on {centers.shape[1]} coordinates: edges and a running mean need one"
        )
    return centers


def _circular_means(
    centers: Floats, trajectory: npt.NDArray[np.integer[Any]], window: int, period: Period
) -> Floats:
    """Return the direction of the mean on the circle over all full windows, within the period."""
    low, length = period[0], period[1] - period[0]
    turns = 2 * np.pi * (centers - low) / length
    sines, cosines = (_window_sums(f(turns)[trajectory], window) for f in (np.sin, np.cos))
    # As for an ordinary mean, what lies on an edge must not fall below it by rounding.
    angles = np.arctan2(sines, cosines) + 64 * np.finfo(np.float64).eps
    return low + length * (angles / (2 * np.pi) % 1.0)


def _window_sums(x: Floats, window: int) -> Floats:
    """Return the sums over all full windows, shape (T - window + 1,).

    Sums over 1, 2, 4 ... frames are added as the binary digits of `window` ask: log2(window)
    roundings, where a cumulative sum would gather those of the whole trajectory.
    """
    n_windows = len(x) - window + 1
    total = np.zeros(n_windows)
    offset, span = 0, 1
    while True:
        if window & span:
            total += x[offset : offset + n_windows]
            offset += span
        if 2 * span > window:
            return total
        x = x[:-span] + x[span:]
        span *= 2
