"""What a paper's table holds: rate constants, dwell times and the slowest process, with intervals.

Of the data and of every model, at one commit time, the stays that it misses corrected for
(`trajlm.analysis.rate_constants`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlm.analysis import (
    ExponentialMixture,
    RateConstants,
    Survival,
    count_interval,
    cramer_von_mises,
    rate_constants,
)
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.significance import ModelValue, placed, seen_pairs, typical_dwells
from trajlm.util.arrays import I64

# Share of the typical dwell in the shortest-lived group that a stay must last to count: long
# enough that most flicker over a threshold does not, short enough that few stays are missed.
COMMIT_SHARE = 0.15
# Frames that a stay of a hidden state must last: one that lasts a single frame cannot be told
# from a frame in which the state changed.
COMMIT_HIDDEN = 2


@dataclass(frozen=True)
class RateRow:
    """The rate constant of one ordered pair of groups.

    Parameters
    ----------
    source, target
        Names of the groups.
    count, flicker
        Transitions in the data at the commit time of the table, and at one frame.
    rate_constant, low, high
        Of the data, with its interval, per unit of time spent in the source.
    at_one_frame
        All changes of group over the time spent in the source, nothing corrected.
    models
        Rate constants of the models.
    """

    source: str
    target: str
    count: int
    flicker: int
    rate_constant: float
    low: float
    high: float
    at_one_frame: float
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
class DwellRow:
    """The mean dwell time in one group, and the exponentials fitted to its stays.

    Parameters
    ----------
    group
        Its name.
    value, low, high
        One over the sum of the rate constants that lead out of it, with its interval.
    models
        The same of the models.
    fits
        By source, the data first, what was fitted to unbroken stays; None where there are few.
    distances
        By model, the Cramér-von Mises distance of its unbroken stays to those of the data; NaN
        where either has none.
    """

    group: str
    value: float
    low: float
    high: float
    models: tuple[ModelValue, ...]
    fits: tuple[tuple[str, ExponentialMixture | None], ...]
    distances: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class SlowestProcess:
    """The slowest exchange between groups, by the rate constants.

    Parameters
    ----------
    between
        The names of the groups on its two sides.
    time, low, high
        Its relaxation time in the data, and the interval.
    count
        Transitions in the data from one side to the other, both ways together.
    models
        Relaxation times of the slowest process of each model.
    """

    between: tuple[tuple[str, ...], tuple[str, ...]]
    time: float
    low: float
    high: float
    count: int
    models: tuple[ModelValue, ...]


@dataclass(frozen=True)
class Settled:
    """How many rate constants the data settles, and how many of a model agree.

    Parameters
    ----------
    inside, outside
        Of the model, against the 95 % interval of the data where that counts ten transitions.
    unsettled
        Pairs of which the data counts fewer.
    """

    inside: int
    outside: int
    unsettled: int


def commit_index(comparison: Evaluation) -> int:
    """Return the index of the commit time of the table.

    The one that was asked for, or the nearest to it that was counted; else two frames for hidden
    states, and for other groups the one nearest to `COMMIT_SHARE` of the typical dwell of the
    shortest-lived.
    """
    transitions = comparison.reference.transitions
    wanted = 1.0
    if comparison.commit_time is not None:
        wanted = comparison.commit_time / transitions.dt
    elif comparison.grouping.method == "hmm":
        wanted = COMMIT_HIDDEN
    elif typical := typical_dwells(comparison.reference):
        wanted = COMMIT_SHARE * min(typical) / transitions.dt
    return int(np.argmin(np.abs(np.log(transitions.commit_times / max(wanted, 1.0)))))


@dataclass(frozen=True)
class RateTables:
    """The tables of rates, dwells and the slowest process."""

    commit_time: float
    corrected: bool
    rates: tuple[RateRow, ...]
    dwells: tuple[DwellRow, ...]
    slowest: SlowestProcess | None

    def settled(self, model: str) -> Settled:
        """Return how many settled rate constants of a model lie inside the interval."""
        judged = [row for row in self.rates if row.reliable]
        places = [m.place for row in judged for m in row.models if m.name == model]
        inside = places.count("inside")
        outside = places.count("above") + places.count("below")
        return Settled(inside, outside, len(self.rates) - inside - outside)


def rate_tables(comparison: Evaluation) -> RateTables:
    """Return rate constants and dwell times of the data and of every model, side by side."""
    index = commit_index(comparison)
    data = comparison.reference.transitions
    time = int(data.commit_times[index])
    found = rate_constants(data, time)
    models = [(model.name, rate_constants_of(model, time)) for model in comparison.models]
    return RateTables(
        commit_time=time * data.dt,
        corrected=found.corrected,
        rates=tuple(_rate_rows(comparison, found, index, models)),
        dwells=tuple(_dwell_rows(comparison, found, models)),
        slowest=_slowest(comparison, found, index, models),
    )


Models = list[tuple[str, RateConstants | None]]


def rate_constants_of(source: SourceResult, time: int) -> RateConstants | None:
    """Return the rate constants at a commit time in frames of the data; None where it has none."""
    times = source.transitions.commit_times * source.lag
    found = np.flatnonzero(times == time)
    if not len(found):
        return None
    index = int(found[0])
    rates = rate_constants(source.transitions, time // source.lag)
    if len(source.trainings) < 2:
        return rates
    # As far apart as the transitions of the trainings are.
    low, high = source.rate_intervals()
    mean = source.transitions.rates()[index]
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = (rates.values * x[index] / mean for x in (low, high))
    return RateConstants(
        rates.values, lower, upper, rates.dwells, rates.dwells_low, rates.dwells_high,
        rates.commit_time, rates.corrected, rates.unit,
    )  # fmt: skip


def _rate_rows(
    comparison: Evaluation, found: RateConstants, index: int, models: Models
) -> list[RateRow]:
    data, names = comparison.reference.transitions, comparison.grouping.names
    with np.errstate(divide="ignore", invalid="ignore"):
        at_one_frame = data.counts[0] / data.time_in_state[:, None] / data.dt
    rows = []
    for i, j in seen_pairs(comparison):
        low, high = float(found.low[i, j]), float(found.high[i, j])
        values = [
            (name, (np.nan,) * 3 if k is None else (k.values[i, j], k.low[i, j], k.high[i, j]))
            for name, k in models
        ]
        rows.append(
            RateRow(
                source=names[i],
                target=names[j],
                count=int(data.counts[index, i, j]),
                flicker=int(data.counts[0, i, j]),
                rate_constant=float(found.values[i, j]),
                low=low,
                high=high,
                at_one_frame=float(at_one_frame[i, j]),
                models=tuple(placed(name, value, low, high) for name, value in values),
            )
        )
    return rows


def _dwell_rows(comparison: Evaluation, found: RateConstants, models: Models) -> list[DwellRow]:
    sources = (comparison.reference, *comparison.models)
    rows = []
    for k, name in enumerate(comparison.grouping.names):
        low, high = float(found.dwells_low[k]), float(found.dwells_high[k])
        values = [
            (m, (np.nan,) * 3 if r is None else (r.dwells[k], r.dwells_low[k], r.dwells_high[k]))
            for m, r in models
        ]
        fits = tuple((s.name, s.dwell_fits[k] if s.dwell_fits else None) for s in sources)
        placed_models = tuple(placed(m, value, low, high) for m, value in values)
        of_data = comparison.reference.survivals[k]
        distances = tuple((s.name, _distance(s.survivals[k], of_data)) for s in comparison.models)
        value = float(found.dwells[k])
        rows.append(DwellRow(name, value, low, high, placed_models, fits, distances))
    return rows


def _distance(curve: Survival | None, of_data: Survival | None) -> float:
    if curve is None or of_data is None:
        return float("nan")
    return cramer_von_mises(curve, of_data)


def _slowest(
    comparison: Evaluation, found: RateConstants, index: int, models: Models
) -> SlowestProcess | None:
    """Return the slowest process, None where the groups do not all lead to each other."""
    time, sides = _relaxation(found)
    if sides is None:
        return None
    data, names = comparison.reference.transitions, comparison.grouping.names
    across = sides[:, None] != sides
    n = int(data.counts[index][across].sum())
    dispersion = float(np.max(data.dispersion[index][across]))
    # Both ways alternate: half as many events as transitions are independent.
    fewest, most = (float(c) for c in count_interval(n / 2, dispersion, 0.95))
    low, high = time * n / 2 / most, time * n / 2 / fewest if fewest > 0 else np.inf
    others = []
    for name, rates in models:
        value = np.nan if rates is None else _relaxation(rates)[0]
        others.append(placed(name, (value, np.nan, np.nan), low, high))
    groups = [tuple(n for n, s in zip(names, sides, strict=True) if s == side) for side in (0, 1)]
    return SlowestProcess((groups[0], groups[1]), time, low, high, n, tuple(others))


def _relaxation(found: RateConstants) -> tuple[float, I64 | None]:
    """Return the slowest relaxation time, and the side of it on which each group lies.

    That is -1 / lambda of the slowest eigenvalue of the rate matrix; the sides are told by the
    sign of its right eigenvector. Infinite, and no sides, where a group is not left or not reached.
    """
    rates = np.nan_to_num(found.values)
    seen = np.flatnonzero(np.isfinite(found.dwells) & (rates.sum(axis=1) > 0))
    if len(seen) < max(2, int(np.isfinite(found.low).any(axis=1).sum())):
        return np.inf, None
    K = rates[np.ix_(seen, seen)]
    K = K - np.diag(K.sum(axis=1))
    values, vectors = np.linalg.eig(K)
    order = np.argsort(-values.real)
    slowest = values[order[1]].real
    if not slowest < 0:
        return np.inf, None
    vector = vectors[:, order[1]].real
    sides = np.zeros(len(rates), np.int64)
    sides[seen] = (vector > 0) != (vector[0] > 0)
    return float(-1 / slowest), sides
