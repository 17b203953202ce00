"""Whether there can be any stationary process with the means that are asked for.

The shares p_s of the states, and for each commit time tau the fluxes N_gh of committed transitions
between groups, satisfy

    sum_s p_s = 1,    sum_h N_gh = sum_h N_hg,    tau sum_h N_gh <= p_g,

since what enters a group leaves it, and each stay lasts the commit time. Targets are bounds of
linear functions of p and N, so that linear programming says whether all can be met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.analysis.grouping import Grouping
from trajlm.constraints.measures import CommittedFlux, Measure, Quantity, StepFunction
from trajlm.constraints.targets import Mean, Population, Rate, Ratio
from trajlm.errors import InputError
from trajlm.util.arrays import F64
from trajlm.util.words import listed, number

# Slack of bounds, relative, so that rounding contradicts nothing.
SLACK = 1e-9
# Of a group whose share divides: of none at all, any ratio would do.
LEAST_SHARE = 1e-4


def check_feasible(quantities: Sequence[Quantity], grouping: Grouping) -> None:
    """Refuse targets that no process meets, alone or together.

    Raises
    ------
    InputError
        The message names the fewest targets that contradict each other or, of one alone, how far
        it can go.
    """
    program = _Program(quantities, grouping)
    if program.possible(quantities):
        return
    at_fault = list(quantities)
    for quantity in quantities:
        fewer = [q for q in at_fault if q is not quantity]
        if not program.possible(fewer):
            at_fault = fewer
    if len(at_fault) > 1:
        names = listed([str(q.target) for q in at_fault])
        raise InputError(
            f"{names} contradict each other: {_why(at_fault)}; change or leave out one"
        )
    (alone,) = at_fault
    raise InputError(f"{alone.target} cannot be met: {program.reach(alone)}")


def _why(quantities: Sequence[Quantity]) -> str:
    kinds = {type(q.target) for q in quantities}
    if kinds == {Population}:
        return "populations of all groups are one together"
    if kinds == {Rate}:
        return "as many transitions lead into a group as out of it"
    return "no stationary process has all of them"


@dataclass
class _Program:
    """The linear program of some targets: its variables are p, then N of each commit time."""

    quantities: Sequence[Quantity]
    grouping: Grouping

    def __post_init__(self) -> None:
        self.n = len(self.grouping.assignment)
        measures = [m for q in self.quantities for m in q.measures]
        self.commits = sorted({m.commit for m in measures if isinstance(m, CommittedFlux)})
        G = self.grouping.n_groups
        self.size = self.n + len(self.commits) * G * G
        members = self.grouping.assignment == np.arange(G)[:, None]
        equal, below = [np.append(np.ones(self.n), np.zeros(self.size - self.n))], []
        for commit in self.commits:
            for g in range(G):
                out, into = np.zeros((2, self.size))
                for h in range(G):
                    if h != g:
                        out[self._flux(commit, g, h)] = 1.0
                        into[self._flux(commit, h, g)] = 1.0
                equal.append(out - into)
                held = commit * out
                held[: self.n] = -members[g].astype(np.float64)
                below.append(held)
        self.equal, self.below = np.array(equal), np.array(below).reshape(-1, self.size)

    def possible(self, quantities: Sequence[Quantity]) -> bool:
        """Return whether there may be a process that meets these targets."""
        rows = [row for q in quantities if self._is_linear(q) for row in self._bounds(q)]
        return self._solve(np.zeros(self.size), rows) is not None

    def reach(self, quantity: Quantity) -> str:
        """Say how far a target alone can go."""
        above = self._row(quantity.above)
        what = "it"
        if quantity.below is not None:
            if isinstance(quantity.above, CommittedFlux):
                most = 1 / quantity.above.commit / quantity.per_frame
                return f"with stays of that many frames it is at most {number(most, 4)}"
            return "no stationary process has it"
        ends = [self._solve(sign * above, []) for sign in (1, -1)]
        assert None not in ends
        low, high = ends[0] / quantity.per_frame, -ends[1] / quantity.per_frame  # type: ignore[operator]
        if isinstance(quantity.target, Mean):
            return f"the centres of the states go from {number(low, 4)} to {number(high, 4)}"
        if isinstance(quantity.target, Rate):
            return f"with stays of that many frames it is at most {number(high, 4)}"
        return f"{what} goes from {number(low, 4)} to {number(high, 4)}"

    def _solve(self, cost: F64, rows: list[tuple[F64, float]]) -> float | None:
        from scipy.optimize import linprog

        matrix = np.concatenate([self.below, *(r[None] for r, _ in rows)])
        limits = np.append(np.zeros(len(self.below)), [limit for _, limit in rows])
        total = np.append(1.0, np.zeros(len(self.equal) - 1))
        found = linprog(cost, matrix, limits, self.equal, total, bounds=(0, None), method="highs")
        return float(found.fun) if found.status == 0 else None

    def _bounds(self, quantity: Quantity) -> list[tuple[F64, float]]:
        """Return rows and limits, row . x <= limit, that say that a target is met."""
        low, high = quantity.bounds
        above = self._row(quantity.above)
        scale = 1 / max(np.abs(above).max() * 1e-3, abs(high), 1e-12)
        if quantity.below is None:
            slack = SLACK * max(
                abs(low), abs(high), 1.0 if isinstance(quantity.target, Mean) else 0
            )
            return [
                (scale * above, scale * (high + slack)),
                (-scale * above, scale * (slack - low)),
            ]
        below = self._row(quantity.below)
        return [
            (-below, -LEAST_SHARE),
            (scale * (above - high * (1 + SLACK) * below), 0.0),
            (scale * (low * (1 - SLACK) * below - above), 0.0),
        ]

    def _is_linear(self, quantity: Quantity) -> bool:
        """Whether a target is about shares of states and fluxes between groups alone."""
        return all(
            isinstance(m, CommittedFlux) or (isinstance(m, StepFunction) and m.is_of_states)
            for m in quantity.measures
        )

    def _row(self, measure: Measure) -> F64:
        row = np.zeros(self.size)
        if isinstance(measure, CommittedFlux):
            row[self._flux(measure.commit, measure.source, measure.target)] = 1.0
        elif isinstance(measure, StepFunction):
            row[: self.n] = measure.function[0]
        return row

    def _flux(self, commit: int, source: int, target: int) -> int:
        G = self.grouping.n_groups
        return self.n + (self.commits.index(commit) * G + source) * G + target


def check_seen(quantities: Sequence[Quantity], values: Sequence[float], where: str) -> None:
    """Refuse what a model never does: there are no paths to give more weight to.

    Parameters
    ----------
    values
        Of the targets in the model.
    where
        In what it was not seen.

    Raises
    ------
    InputError
        A population, ratio or rate that is zero in the model.
    """
    for quantity, value in zip(quantities, values, strict=True):
        if isinstance(quantity.target, Population | Ratio | Rate) and not 0 < value < np.inf:
            raise InputError(
                f"{quantity.target} cannot be met: {where} it is {'infinite' if value else '0'}, "
                "and paths that a model does not make cannot be given more weight; train on data "
                "that shows them"
            )
        if isinstance(quantity.target, Population) and value >= 1:
            raise InputError(
                f"{quantity.target} cannot be met: {where} no state outside the group is visited"
            )
