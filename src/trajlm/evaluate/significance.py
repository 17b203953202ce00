"""What the data can settle: each rate and population with its interval, and the models' beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate.result import Evaluation, SourceResult

# Share of the typical dwell in the shortest-lived group that a stay must last to count.
COMMIT_SHARE = 0.3

# Quantiles of the normal distribution: half of a 68 % interval over half of a 95 % one.
NARROWER = 0.994 / 1.960

Place = Literal["inside", "edge", "above", "below", "unknown"]


@dataclass(frozen=True)
class ModelValue:
    """What a model gives, and where that lies against the 95 % interval of the data.

    A population at the edge lies inside it, but outside the 68 % interval.
    """

    name: str
    value: float
    place: Place


@dataclass(frozen=True)
class RateRow:
    """One ordered pair of groups.

    Parameters
    ----------
    source, target
        Names of the groups.
    flicker
        Transitions in the data at the shortest commit time.
    count
        Transitions at the commit time of the table.
    rate, low, high
        Rate at that commit time and its interval, per unit of time of the whole data.
    rate_constant
        The same transitions per unit of time spent in the source.
    models
        Rates of the models.
    """

    source: str
    target: str
    flicker: int
    count: int
    rate: float
    low: float
    high: float
    rate_constant: float
    models: tuple[ModelValue, ...]

    @property
    def reliable(self) -> bool:
        """Whether there are enough transitions to judge a model by."""
        return bool(self.count >= FEW_EVENTS)

    @property
    def factor(self) -> float:
        """High over low, infinite where nothing was counted."""
        return self.high / self.low if self.low > 0 else float("inf")


@dataclass(frozen=True)
class PopulationRow:
    """The share of frames in one group: of the data with its interval, and of the models."""

    group: str
    value: float
    low: float
    high: float
    models: tuple[ModelValue, ...]


def typical_dwells(reference: SourceResult) -> list[float]:
    """Return for each group that is entered the dwell above which half of its time is spent.

    The plain median would be that of the flicker over a threshold: many dwells, but little time.
    """
    typical = []
    for curve in reference.survivals:
        if curve is None:
            continue
        time_spent = np.cumsum(-np.diff(curve.probability) * curve.times[1:])
        middle = np.searchsorted(time_spent, time_spent[-1] / 2)
        typical.append(float(curve.times[1:][middle]))
    return typical


def settled_commit_index(reference: SourceResult) -> int:
    """Return the index of the commit time at which most flicker no longer counts.

    It is the one nearest to a third of the typical dwell of the shortest-lived group.
    """
    typical = typical_dwells(reference)
    if not typical:
        return 0
    transitions = reference.transitions
    wanted = COMMIT_SHARE * min(typical) / transitions.dt
    return int(np.argmin(np.abs(np.log(transitions.commit_times / max(wanted, 1.0)))))


def rate_rows(comparison: Evaluation, index: int) -> tuple[RateRow, ...]:
    """Return a row for each ordered pair that the data or a model ever shows."""
    data = comparison.reference.transitions
    names = comparison.grouping.names
    low, high = data.rate_intervals()
    rates, waits = data.rates(), data.mean_waiting_times()
    time = int(data.commit_times[index])
    generated = [(model.name, _rates_at(model, time)) for model in comparison.models]
    rows = []
    for i, j in seen_pairs(comparison):
        bounds = float(low[index, i, j]), float(high[index, i, j])
        models = [(name, float(found[i, j])) for name, found in generated]
        rows.append(
            RateRow(
                source=names[i],
                target=names[j],
                flicker=int(data.counts[0, i, j]),
                count=int(data.counts[index, i, j]),
                rate=float(rates[index, i, j]),
                low=bounds[0],
                high=bounds[1],
                rate_constant=float(1 / waits[index, i, j]),
                models=_placed(models, bounds),
            )
        )
    return tuple(rows)


def population_rows(comparison: Evaluation) -> tuple[PopulationRow, ...]:
    """Return a row for each group."""
    data = comparison.reference.group_free_energy
    low, high = data.population_intervals
    rows = []
    for k, name in enumerate(comparison.grouping.names):
        bounds = float(low[k]), float(high[k])
        models = [
            (model.name, float(model.group_free_energy.populations[k]))
            for model in comparison.models
        ]
        value = float(data.populations[k])
        placed = tuple(_with_edge(model, value, *bounds) for model in _placed(models, bounds))
        rows.append(PopulationRow(name, value, *bounds, placed))
    return tuple(rows)


@dataclass(frozen=True)
class RatesInside:
    """At which pairs and commit times a model agrees with the data, shape (m, n, n) each.

    Parameters
    ----------
    inside
        Whether the rate of the model, the mean over its trainings, lies in the 95 % interval of
        the data.
    judged
        Whether the data counts enough transitions for the rate to be a term of D.
    """

    inside: npt.NDArray[np.bool_]
    judged: npt.NDArray[np.bool_]

    @property
    def n_inside(self) -> int:
        """Number of judged rates that lie inside."""
        return int((self.inside & self.judged).sum())

    @property
    def n_judged(self) -> int:
        """Number of judged rates."""
        return int(self.judged.sum())


def rates_inside(comparison: Evaluation, model: SourceResult) -> RatesInside:
    """Return which rates of a model lie inside the interval of the data, at all commit times."""
    data = comparison.data_at(model.lag).transitions
    low, high = data.rate_intervals()
    rates = model.transitions.rates()
    return RatesInside((low <= rates) & (rates <= high), data.counts >= MIN_COUNT)


def agrees_from(comparison: Evaluation, model: SourceResult) -> float | None:
    """Return the commit time from which on a model agrees with the data, in units of time.

    At that commit time and all longer ones every judged rate lies inside the interval of the
    data. None where it does not agree even at the longest.
    """
    found = rates_inside(comparison, model)
    data = comparison.data_at(model.lag).transitions
    outside = np.any(found.judged & ~found.inside, axis=(1, 2))
    known = np.flatnonzero(np.any(found.judged, axis=(1, 2)))
    if len(known) == 0 or outside[known[-1]]:
        return None
    wrong = np.flatnonzero(outside)
    first = wrong[-1] + 1 if len(wrong) else 0
    return float(data.commit_times[first] * data.dt)


def _rates_at(model: SourceResult, commit_time: int) -> npt.NDArray[np.float64]:
    """Return the rates at a commit time in frames of the data; NaN where the model has none."""
    times = model.transitions.commit_times * model.lag
    rates = model.transitions.rates()
    found = np.flatnonzero(times == commit_time)
    return rates[found[0]] if len(found) else np.full(rates.shape[1:], np.nan)


def _with_edge(model: ModelValue, value: float, low: float, high: float) -> ModelValue:
    """Tell a population at the edge of the interval, on the logarithmic scale of populations."""
    if model.place != "inside" or not (model.value > 0 and low > 0 and value > 0):
        return model
    bound = high if model.value > value else low
    likely = abs(np.log(model.value / value)) <= NARROWER * abs(np.log(bound / value))
    return model if likely else replace(model, place="edge")


def seen_pairs(comparison: Evaluation) -> tuple[tuple[int, int], ...]:
    """Return the ordered pairs with a transition at any commit time, in the data or a model."""
    sources = (comparison.reference, *comparison.models)
    counts = sum(source.transitions.counts.sum(axis=0) for source in sources)
    return tuple((int(i), int(j)) for i, j in np.argwhere(np.asarray(counts) > 0))


def _placed(
    values: Sequence[tuple[str, float]], bounds: tuple[float, float]
) -> tuple[ModelValue, ...]:
    return tuple(ModelValue(name, value, _place(value, *bounds)) for name, value in values)


def _place(value: float, low: float, high: float) -> Place:
    if not np.isfinite([value, low, high]).all():
        return "unknown"
    if value < low:
        return "below"
    return "above" if value > high else "inside"
