"""What the targets are about: means over the paths of a model, which can be measured and solved.

Each measure is the mean over the frames of a stationary path of a contribution that is known once
its frame is. Targets are such means, or the ratio of two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trajlm.analysis.grouping import Grouping
from trajlm.constraints.targets import Group, Mean, Population, Rate, Ratio, StepMean, Target
from trajlm.data import StateSpace
from trajlm.discretize import periods_of
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64, IntArray
from trajlm.util.words import counted, listed, visible

if TYPE_CHECKING:
    from torch import Tensor


# Units of time in seconds; others are only equal to themselves.
SECONDS = {
    "fs": 1e-15, "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1.0, "min": 60.0, "h": 3600.0,
}  # fmt: skip


# Of a share or a rate a frame: less is none.
LEAST = 1e-12


class Measure(ABC):
    """A mean over the frames of a path."""

    # Frames before and after a decision in which it still shows whether it counts.
    memory: int = 1

    @abstractmethod
    def contributions(self, path: IntArray) -> F64:
        """Return what each frame contributes, shape (T,); the first of them nothing of a step."""

    @abstractmethod
    def of_chain(self, P: Tensor, pi: Tensor) -> Tensor:
        """Return the mean in a stationary Markov chain, such that it has a gradient by P."""

    @abstractmethod
    def among(self, states: I64) -> Measure:
        """Return the same measure of a chain of some of the states."""


@dataclass(frozen=True, eq=False)
class StepFunction(Measure):
    """The mean of f(s(t), s(t+1)), shape (n, n); equal rows for a function of one state."""

    function: F64

    @property
    def is_of_states(self) -> bool:
        """Whether the state before does not matter."""
        return bool((self.function == self.function[0]).all())

    def contributions(self, path: IntArray) -> F64:
        """Return f of each step at the frame that it leads to."""
        found = np.empty(len(path))
        found[1:] = self.function[path[:-1], path[1:]]
        found[0] = self.function[0, path[0]] if self.is_of_states else 0.0
        return found

    def of_chain(self, P: Tensor, pi: Tensor) -> Tensor:
        """Return sum_ij pi_i P_ij f_ij."""
        import torch

        return (pi[:, None] * P * torch.from_numpy(self.function)).sum()

    def among(self, states: I64) -> StepFunction:
        """Return the function of the remaining states."""
        return StepFunction(self.function[np.ix_(states, states)])


@dataclass(frozen=True, eq=False)
class CommittedFlux(Measure):
    """Committed transitions from group `source` to group `target` a frame.

    A transition counts at the frame at which the stay in the target has lasted the commit time.
    With `both_ways` it is the mean of those there and those back, which are as many in a process
    without a direction of time: asked to have more of the first alone, it would have to get one.
    """

    groups: I64
    source: int
    target: int
    commit: int
    both_ways: bool = False

    @property
    def memory(self) -> int:  # type: ignore[override]
        """Two stays of the commit time."""
        return 2 * self.commit

    def contributions(self, path: IntArray) -> F64:
        """Return one at each frame that completes a transition."""
        own = self.groups[path]
        starts = np.flatnonzero(np.diff(own, prepend=-1) != 0)
        lengths = np.diff(starts, append=len(own))
        held = starts[lengths >= self.commit]
        before, after = own[held[:-1]], own[held[1:]]
        found = np.zeros(len(path))
        for g, h in self._ways:
            done = held[1:][(before == g) & (after == h)]
            found[done + self.commit - 1] = 1 / len(self._ways)
        return found

    @property
    def _ways(self) -> tuple[tuple[int, int], ...]:
        there = (self.source, self.target)
        return (there, there[::-1]) if self.both_ways else (there,)

    def of_chain(self, P: Tensor, pi: Tensor) -> Tensor:
        """Solve the flux.

        With B the part of P inside the groups, O the rest and tau the commit time, a stay that
        begins in state s lasts with probability c = B^(tau-1) 1; it ends, without having lasted,
        where the next one begins with the matrix S = (1 - B^(tau-1)) (1 - B)^-1 O, and with
        L = B^(tau-1) (1 - B)^-1 O having lasted. If x(s) is the flux of stays that begin in s
        while the last one that lasted was in the source, and e that of all, then
        x = e_source L (1 - S)^-1, and the flux wanted is x c over the states of the target.
        """
        import torch

        groups = torch.from_numpy(self.groups)
        eye = torch.eye(len(P), dtype=P.dtype)
        inside = P * (groups[:, None] == groups)
        lasts = torch.linalg.matrix_power(inside, self.commit - 1)
        ends = torch.linalg.solve(eye - inside, P - inside)
        short, long = (eye - lasts) @ ends, lasts @ ends
        begins = pi @ (P - inside)
        total = P.new_zeros(())
        for g, h in self._ways:
            x = torch.linalg.solve((eye - short).T, (begins * (groups == g)) @ long)
            total = total + (x * lasts.sum(dim=1))[groups == h].sum()
        return total / len(self._ways)

    def among(self, states: I64) -> CommittedFlux:
        """Return the flux between what is left of the groups."""
        return replace(self, groups=self.groups[states])


@dataclass(frozen=True, eq=False)
class Quantity:
    """What one target is about: a measure, or one over another, in the target's own unit.

    Parameters
    ----------
    target
        As the user gave it.
    above, below
        The measures.
    key
        The same for two targets that are about the same.
    per_frame
        Times the target's value gives that of the measures.
    unit
        Of time, of a rate.
    """

    target: Target
    above: Measure
    below: Measure | None
    key: object
    per_frame: float = 1.0
    unit: str = ""

    @property
    def name(self) -> str:
        """What the target is about, in words."""
        return str(self.target).partition(" = ")[0] + self._stays

    @property
    def _stays(self) -> str:
        commit = self.target.commit if isinstance(self.target, Rate) else 1
        return f" (stays of {commit} frames)" if commit > 1 else ""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value that the measures may have, a frame."""
        value, error = self.target.value, self.target.error
        return (value - error) * self.per_frame, (value + error) * self.per_frame

    @property
    def measures(self) -> tuple[Measure, ...]:
        """One or two."""
        return (self.above,) if self.below is None else (self.above, self.below)

    def value(self, means: Sequence[float]) -> float:
        """Return the value in the target's own unit, of the means of the measures."""
        under = max(means[1], LEAST) if self.below is not None else 1.0
        return means[0] / under / self.per_frame

    def scaled(self, value: float) -> float:
        """Return the value on the scale on which models answer evenly.

        That is the logit of a population, the logarithm of what is positive, else the value over
        the spread of its function.
        """
        if isinstance(self.target, Population):
            p = min(max(value, LEAST), 1 - LEAST)
            return math.log(p / (1 - p))
        return math.log(max(value, LEAST)) if self._is_positive else value / self.spread

    def slope(self, value: float) -> float:
        """Return the derivative of `scaled`."""
        if isinstance(self.target, Population):
            return 1 / max(value * (1 - value), LEAST)
        return 1 / max(value, LEAST) if self._is_positive else 1 / self.spread

    def combined(self, values: Sequence[tuple[float, F64]]) -> tuple[float, F64]:
        """Return the scaled value and how it answers, of those of the measures.

        Parameters
        ----------
        values
            Of each measure its mean, and any linear answer of it, such as advantages.
        """
        mean, answer = values[0]
        if self.below is not None:
            under, of_under = values[1]
            under = max(under, LEAST)
            answer = answer / under - mean / under**2 * of_under
            mean = mean / under
        return self.scaled(mean), self.slope(mean) * answer

    def among(self, states: I64) -> Quantity:
        """Return the same about the chain of some of the states."""
        return replace(
            self,
            above=self.above.among(states),
            below=None if self.below is None else self.below.among(states),
        )

    @property
    def _is_positive(self) -> bool:
        above = self.above
        return not (isinstance(above, StepFunction) and above.function.min() < 0) and not (
            isinstance(self.target, Mean)
        )

    @property
    def spread(self) -> float:
        """The spread of a function that may be negative."""
        assert isinstance(self.above, StepFunction)
        return float(self.above.function.std()) or 1.0


def make_quantity(
    target: Target, space: StateSpace, grouping: Grouping, reversible: bool = False
) -> Quantity:
    """Return what a target is about; with `reversible`, steps count there and back alike.

    Raises
    ------
    InputError
        An unknown group or column, a unit that the model's time cannot be compared with, or a
        function of another number of states.
    """
    groups = grouping.assignment
    match target:
        case Population():
            group = group_number(target, target.group, grouping)
            return Quantity(target, _share(groups, group), None, group)
        case Ratio():
            first, second = (
                group_number(target, g, grouping) for g in (target.first, target.second)
            )
            shares = _share(groups, first), _share(groups, second)
            return Quantity(target, *shares, ("ratio", first, second))
        case Rate():
            source, goal = (
                group_number(target, g, grouping) for g in (target.source, target.target)
            )
            flux = CommittedFlux(groups, source, goal, target.commit, reversible)
            below = _share(groups, source) if target.constant else None
            ways = tuple(sorted((source, goal))) if reversible and not below else (source, goal)
            per_frame, unit = _frames_in_unit(target, space), target.unit or space.unit
            about = target.what, ways, target.commit
            return Quantity(target, flux, below, about, per_frame, unit)
        case Mean():
            column, centers = _column(target, space)
            return Quantity(target, _of_states(centers), None, ("mean", column))
        case StepMean():
            function = np.asarray(target.function, dtype=np.float64)
            if function.shape != (space.n_states, space.n_states):
                raise InputError(
                    f"{target}: the function has shape {function.shape}, but the model has "
                    f"{space.n_states} states"
                )
            if reversible and not (function == function[0]).all():
                function = (function + function.T) / 2
            return Quantity(target, StepFunction(function), None, function.tobytes())


def group_number(target: Target, group: Group, grouping: Grouping) -> int:
    """Return the number of a group that is given by its name or, where none has that, its number.

    Raises
    ------
    InputError
        There is none of that name; the message lists those that there are.
    """
    names = grouping.names or tuple(str(g) for g in range(grouping.n_groups))
    if str(group) in names:
        return names.index(str(group))
    if str(group).isdecimal() and int(group) < grouping.n_groups:
        return int(group)
    known = listed([visible(name) for name in names])
    raise InputError(f"{target}: there is no group {visible(str(group))!r}, the groups are {known}")


def _of_states(values: F64) -> StepFunction:
    return StepFunction(np.broadcast_to(values, (len(values), len(values))).copy())


def _share(groups: I64, group: int) -> StepFunction:
    return _of_states((groups == group).astype(np.float64))


def _column(target: Mean, space: StateSpace) -> tuple[int, F64]:
    """Return the number of a column, and the centre of each state on it."""
    if space.centers is None:
        raise InputError(
            f"{target}: the states of the model have no centres, so no column has a mean; give a "
            "population, or the mean of a function of the state"
        )
    centers = space.centers.reshape(space.n_states, -1)
    names = space.discretization.columns or tuple(f"x{k}" for k in range(centers.shape[1]))
    if str(target.column) in names:
        k = names.index(str(target.column))
    elif str(target.column).isdecimal() and int(target.column) < centers.shape[1]:
        k = int(target.column)
    else:
        known = listed([visible(name) for name in names])
        columns = "the column is" if len(names) == 1 else "the columns are"
        raise InputError(
            f"{target}: there is no column {visible(str(target.column))!r}, {columns} {known}"
        )
    if periods_of(space)[k] is not None:
        raise InputError(
            f"{target}: the column is periodic, and where a circle is cut decides its mean; give "
            "populations, or the mean of its sine and cosine as functions of the state"
        )
    return k, np.asarray(centers[:, k])


def _frames_in_unit(target: Rate, space: StateSpace) -> float:
    """Return how many of the target's units of time a frame is."""
    unit = target.unit or space.unit
    if unit == space.unit:
        return space.dt
    if unit in ("frame", "frames"):
        return 1.0
    if unit in SECONDS and space.unit in SECONDS:
        return space.dt * SECONDS[space.unit] / SECONDS[unit]
    frame = counted(1, "frame", "frames") if space.unit == "frame" else f"{space.dt:g} {space.unit}"
    raise InputError(
        f"{target}: the model makes one step each {frame}, which is not known in {visible(unit)}: "
        "give the rate in the model's unit of time, or in frames"
    )
