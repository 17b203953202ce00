"""What the data can settle: each rate and population with its interval, and the models' beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.evaluate.result import Evaluation, SourceResult

# Quantiles of the normal distribution: half of a 68 % interval over half of a 95 % one.
NARROWER = 0.994 / 1.960

Place = Literal["inside", "edge", "above", "below", "unknown"]


@dataclass(frozen=True)
class ModelValue:
    """What a model gives, and where that lies against the 95 % interval of the data.

    A population at the edge lies inside it, but outside the 68 % interval. The model's own
    interval, from what it generated, is NaN where it is not known.
    """

    name: str
    value: float
    place: Place
    low: float = math.nan
    high: float = math.nan


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


def placed(name: str, value: tuple[float, float, float], low: float, high: float) -> ModelValue:
    """Return the value of a model, with its own interval, beside the interval of the data."""
    own, own_low, own_high = (float(x) for x in value)
    return ModelValue(name, own, _place(own, low, high), own_low, own_high)


def _place(value: float, low: float, high: float) -> Place:
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return "unknown"
    if value < low:
        return "below"
    return "above" if value > high else "inside"
