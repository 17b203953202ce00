"""What is drawn of each state: a coordinate of its centre with name, unit and period."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, MaxNLocator

from trajlm.data import StateSpace
from trajlm.discretize import periods_of
from trajlm.discretize.periodic import Period, wrap
from trajlm.util.arrays import F64

# A circle stays open at the ends of its domain where no other place is visited so much less often.
MUCH_LESS = 4.0


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of the states.

    Parameters
    ----------
    values
        Where each state lies, shape (n_states,); its number where there is no coordinate.
    name, unit
        What it is; the unit is empty where it is not known.
    period
        The ends of the circle as it is drawn, or None.
    domain
        Its ends as users know them.
    is_number
        Whether states are drawn by their numbers.
    """

    values: F64
    name: str
    unit: str = ""
    period: Period | None = None
    domain: Period | None = None
    is_number: bool = False

    @property
    def label(self) -> str:
        """Name and unit, for an axis."""
        return f"{self.name} / {self.unit}" if self.unit else self.name

    def opened(self, populations: F64) -> Coordinate:
        """Return the coordinate with its circle opened where the fewest frames lie.

        A curve is broken where it goes over the border, and few do there.
        """
        if self.period is None:
            return self
        order = np.argsort(self.values)
        shares = populations[order] + np.roll(populations[order], 1)
        k = int(np.argmin(shares))
        if k == 0 or shares[0] < MUCH_LESS * shares[k]:
            return self
        border = float(self.values[order[k - 1 : k + 1]].mean())
        ends = border, border + self.period[1] - self.period[0]
        return replace(self, values=wrap(self.values, *ends), period=ends)

    def moved(self, values: F64) -> F64:
        """Return other values of the coordinate as they lie where the circle was opened."""
        return values if self.period is None else wrap(values, *self.period)

    def in_domain(self, values: F64) -> F64:
        """Return values as users know them, wherever the circle was opened."""
        return values if self.domain is None else wrap(values, *self.domain)

    def label_ticks(self, axis: Axis) -> None:
        """Write round numbers of the domain at the axis, wherever the circle was opened."""
        if self.domain is not None:
            axis.set_major_locator(_CircleLocator(*self.domain))
            axis.set_major_formatter(CircleFormatter(*self.domain))


class _CircleLocator(MaxNLocator):
    """Round numbers of a periodic domain, wherever on the circle the axis runs."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(4)
        self.ends = low, high

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        low, high = self.ends
        wanted = np.asarray(super().tick_values(vmin, vmax), dtype=np.float64)
        step = float(wanted[1] - wanted[0])
        places = step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
        # The lower end is the upper one: the last place must not come too near the first.
        places = places[(places < places[0] + (high - low) - 0.49 * step) | (places == places[0])]
        turns = range(int((vmin - low) // (high - low)), int((vmax - low) // (high - low)) + 1)
        found = np.concatenate([places + turn * (high - low) for turn in turns])
        return list(map(float, found[(found >= vmin) & (found <= vmax)]))


class CircleFormatter(Formatter):
    """A number on the circle as it is in its domain."""

    def __init__(self, low: float, high: float) -> None:
        self.ends = low, high

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the words at a tick."""
        low, high = self.ends
        inside = float(wrap(np.array([x + 1e-9 * (high - low)]), low, high)[0])
        return f"{round(inside, 6):.4g}".replace("-", "−")


def coordinate_of(space: StateSpace, column: int | None = None) -> Coordinate:
    """Return one coordinate of the states: the only one, or that of a column of several.

    Without either, the coordinate is the number of the state.
    """
    centers = space.centers
    n_columns = 0 if centers is None else centers.size // space.n_states
    if centers is None or (n_columns > 1 and column is None):
        numbers = np.arange(space.n_states, dtype=np.float64)
        return Coordinate(numbers, "state", is_number=True)
    k = 0 if column is None or n_columns == 1 else column
    how = space.discretization
    named = len(how.columns) == n_columns
    name = how.columns[k] if named else ("centre of state" if n_columns == 1 else f"column {k}")
    unit = how.column_units[k] if named and how.column_units else ""
    period = periods_of(space)[k]
    values = centers.reshape(space.n_states, n_columns)[:, k]
    return Coordinate(values, name, unit, period, period)
