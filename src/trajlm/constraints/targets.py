"""What is asked of a model, as users say it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trajlm.errors import InputError
from trajlm.util.arrays import F64
from trajlm.util.words import number, visible

Group = int | str


@dataclass(frozen=True)
class Population:
    """The share of the frames in a group of states.

    Parameters
    ----------
    group
        Name of the group; a number is that of the group, from 0.
    value, error
        Met within value - error to value + error; on the dot where the error is zero.
    """

    group: Group
    value: float
    error: float = 0.0

    def __post_init__(self) -> None:
        _check(self)
        if not 0 < self.value < 1:
            raise InputError(
                f"{self} cannot be met: no change of a model's probabilities makes a group certain "
                "or impossible, so give a population between 0 and 1"
            )

    def __str__(self) -> str:
        return f"population {self.group} = {_with_error(self)}"


@dataclass(frozen=True)
class Ratio:
    """An equilibrium constant: the population of one group over that of another.

    Parameters
    ----------
    first, second
        The groups.
    value, error
        As in `Population`.
    """

    first: Group
    second: Group
    value: float
    error: float = 0.0

    def __post_init__(self) -> None:
        _check(self)
        _check_positive(self)
        _check_two(self, self.first, self.second)

    def __str__(self) -> str:
        return f"ratio {self.first}/{self.second} = {_with_error(self)}"


@dataclass(frozen=True)
class Rate:
    """Committed transitions from one group to another in a time.

    Parameters
    ----------
    source, target
        The groups.
    value, error
        Transitions that hold for the commit time, over the total time, as in
        `trajlm.analysis.committed_transitions`.
    unit
        Of the time in which `value` counts, such as s; that of the model when empty.
    commit
        Frames that a stay must last to count.
    constant
        Divide by the time in the source, not by the total time: a rate constant.
    """

    source: Group
    target: Group
    value: float
    error: float = 0.0
    unit: str = ""
    commit: int = 1
    constant: bool = False

    def __post_init__(self) -> None:
        _check(self)
        _check_positive(self)
        _check_two(self, self.source, self.target)
        if self.commit < 1:
            raise InputError(f"{self}: the commit time is a number of frames from 1")

    @property
    def what(self) -> str:
        """Which kind of rate it is."""
        return "rate constant" if self.constant else "rate"

    def __str__(self) -> str:
        unit = f" per {self.unit}" if self.unit else ""
        return f"{self.what} {self.source}-{self.target} = {_with_error(self)}{unit}" + (
            f" (stays of {self.commit} frames)" if self.commit > 1 else ""
        )


@dataclass(frozen=True)
class Mean:
    """The mean of a column of the features that the states were cut from, over their centres.

    Parameters
    ----------
    column
        Its name, or its number from 0.
    value, error
        As in `Population`.
    """

    column: str | int
    value: float
    error: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def __str__(self) -> str:
        return f"mean {self.column} = {_with_error(self)}"


@dataclass(frozen=True, eq=False)
class StepMean:
    """The mean over all steps of a function of the state before and the state after.

    Parameters
    ----------
    function
        Shape (n_states, n_states), row for the state before; a function of one state has equal
        rows. Ones for the steps that are to be counted make it a number of steps a frame.
    value, error
        As in `Population`.
    name
        What it is called in messages and tables.
    """

    function: F64
    value: float
    error: float = 0.0
    name: str = "step mean"

    def __post_init__(self) -> None:
        _check(self)
        function = np.asarray(self.function, dtype=np.float64)
        if function.ndim != 2 or not np.isfinite(function).all():
            raise InputError(f"{self}: the function is no matrix of finite numbers")

    def __str__(self) -> str:
        return f"{visible(self.name)} = {_with_error(self)}"


Target = Population | Ratio | Rate | Mean | StepMean


def _with_error(target: Target) -> str:
    return f"{number(target.value, 4)}" + (f" ± {number(target.error)}" if target.error else "")


def _check(target: Target) -> None:
    if not (math.isfinite(target.value) and math.isfinite(target.error) and target.error >= 0):
        raise InputError(f"{target}: the value and its error are finite numbers, the error from 0")


def _check_positive(target: Ratio | Rate) -> None:
    if not target.value > 0:
        raise InputError(
            f"{target} cannot be met: no change of a model's probabilities stops what it does, so "
            "give a number above 0"
        )


def _check_two(target: Ratio | Rate, first: Group, second: Group) -> None:
    if first == second:
        raise InputError(f"{target} is about one group: give two")
