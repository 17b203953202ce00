"""Grouping of fine states into metastable ones, the same way for every data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trajlm.analysis.hidden import HiddenStates, draw_paths
from trajlm.analysis.transitions import name_states
from trajlm.analysis.windows import circular_means, window_sums
from trajlm.data import States, StatesLike, as_states, smallest_unsigned
from trajlm.discretize.periodic import Period
from trajlm.errors import InputError
from trajlm.provenance import Discretization, Grouped, Rule, RunningMean
from trajlm.util.arrays import F64, I64, IntArray
from trajlm.util.trajectories import owned
from trajlm.util.words import html, without_surrogates


@dataclass(frozen=True)
class Grouping:
    """A rule from fine states to groups, made once and applied to any data of those states.

    Made by `group_by_edges`, `group_by_list`, `group_by_pcca` or `group_by_hidden_states`.

    Parameters
    ----------
    assignment
        The group of each fine state, shape (n_states,); the most probable one where the groups
        are hidden states.
    method
        ``"edges"``, ``"list"``, ``"pcca"`` or ``"hmm"``.
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
    hidden
        For the method ``"hmm"``, the hidden states that are the groups: the group of a frame is
        then drawn from its probability given the whole trajectory.
    """

    assignment: I64
    method: Rule
    running_mean: int = 1
    centers: F64 | None = None
    edges: F64 | None = None
    group_centers: F64 | None = None
    names: tuple[str, ...] = ()
    period: Period | None = None
    hidden: HiddenStates | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return max(len(self.names), int(self.assignment.max()) + 1)

    def apply(self, states: StatesLike) -> States:
        """Return the grouped trajectories, with the dt and unit of `states`.

        With a running mean of w frames only full windows count: a trajectory of T frames gives
        T - w + 1, each value the mean of the centres in its window. The mean is then cut at the
        edges or, for other methods, takes the group of the fine state nearest to it. On a periodic
        coordinate it is the direction of the mean on the circle.

        Hidden states are drawn path by path (`trajlm.analysis.hidden`), with the same random
        numbers in every call.

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
        if self.hidden is not None:
            grouped = draw_paths(self.hidden, states)
        elif self.running_mean == 1:
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
            rules = {"pcca": "by PCCA+", "hmm": "by the hidden states of a hidden Markov model"}
            rule = rules.get(self.method, "by a list")
        smoothed = ""
        if self.running_mean > 1:
            smoothed = (
                f", after a running mean of the state centres over {self.running_mean} frames"
            )
        return f"{len(self.assignment)} states in {self.n_groups} groups {rule}{smoothed}."

    def _repr_html_(self) -> str:
        facts = [("rule", self.describe())]
        for k, name in enumerate(self.names or map(str, range(self.n_groups))):
            members = np.flatnonzero(self.assignment == k)
            facts.append((f"group {name}", f"{name_states(members)}, {len(members)} in all"))
        return html("Grouping", facts)

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

    def _smoothed(self, trajectory: IntArray, index: int) -> I64:
        centers = one_coordinate(self.centers)
        window = self.running_mean
        if len(trajectory) < window + 1:
            raise InputError(
                f"trajectory {index} has {len(trajectory)} frames: a running mean over {window} "
                f"needs at least {window + 1}"
            )
        if self.period is not None:
            means = circular_means(centers, trajectory, window, self.period)
        else:
            means = window_sums(centers[trajectory], window) / window
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


def one_coordinate(centers: F64 | None) -> F64:
    """Return centres that lie on one coordinate, shape (n_states,).

    Raises
    ------
    InputError
        There are none, or they lie on several.
    """
    if centers is None:
        raise InputError("the states have no centres: group them by a list, without running mean")
    if centers.ndim == 2 and centers.shape[1] == 1:
        return centers[:, 0]
    if centers.ndim != 1:
        raise InputError(
            f"the states lie on {centers.shape[1]} coordinates: edges and a running mean need one"
        )
    return centers
