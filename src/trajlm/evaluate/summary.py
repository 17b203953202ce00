"""The numbers that a report begins with, and its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trajlm.evaluate.curves import shares_outside
from trajlm.evaluate.rates import (
    DwellRow,
    RateRow,
    RateTables,
    Settled,
    SlowestProcess,
    rate_tables,
)
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.significance import PopulationRow, population_rows, rates_inside


@dataclass(frozen=True)
class ModelSummary:
    """How close one model is to the data.

    Parameters
    ----------
    D, D_interval
        The discrepancy and its 95 % interval.
    D_over_D0, D_over_D0_interval
        The same in units of the floor; NaN where there is no floor.
    n_terms
        Numbers that D is a mean over.
    n_trainings
        How many trainings it is a mean over.
    cross_entropy
        Nats per frame of the data; None where no model is at hand.
    rates_inside, rates_judged
        Rates, over all pairs and commit times, in the 95 % interval of the data, out of those
        that D is a mean over.
    settled
        How many rate constants of the table lie inside and outside the interval of the data, and
        how many the data does not settle.
    curves_outside
        For each curve, the share of its points far outside the data's band.
    unseen
        The same on data that no model was trained on; None without such data.
    """

    D: float
    D_interval: tuple[float, float]
    D_over_D0: float
    D_over_D0_interval: tuple[float, float]
    n_terms: int
    n_trainings: int
    cross_entropy: float | None
    rates_inside: int
    rates_judged: int
    settled: Settled
    curves_outside: Mapping[str, float]
    unseen: UnseenSummary | None


@dataclass(frozen=True)
class UnseenSummary:
    """How close the training data, or one model, is to data that no model was trained on.

    Parameters
    ----------
    D, D_interval
        The discrepancy to the unseen data and its 95 % interval.
    D_over_own
        D over that of the training data itself, seen as often; 1 for the training data.
    cross_entropy
        Nats per frame of the unseen data; None where no model is at hand.
    """

    D: float
    D_interval: tuple[float, float]
    D_over_own: float
    cross_entropy: float | None


@dataclass(frozen=True)
class Summary:
    """The numbers that a report begins with.

    Parameters
    ----------
    D0, D0_terms
        The floor and how many numbers it is a mean over.
    pairs, pairs_judged
        Ordered pairs of groups, and those with a number in D.
    models
        By name.
    own_unseen
        How close the training data itself is to the unseen data; None without such data.
    commit_time, corrected
        Of the table of rate constants, in units of time, and whether the stays that it misses are
        corrected for.
    rates, dwells, populations
        The rows of the tables.
    slowest
        The slowest process between the groups; None where they do not all lead to each other.
    """

    D0: float
    D0_terms: int
    pairs: int
    pairs_judged: int
    models: Mapping[str, ModelSummary]
    own_unseen: UnseenSummary | None
    commit_time: float
    corrected: bool
    rates: tuple[RateRow, ...]
    dwells: tuple[DwellRow, ...]
    populations: tuple[PopulationRow, ...]
    slowest: SlowestProcess | None


def summary(comparison: Evaluation) -> Summary:
    """Return the numbers that the page begins with, and its tables."""
    floor = comparison.reference.discrepancy
    tables = rate_tables(comparison)
    n_groups = comparison.reference.transitions.counts.shape[1]
    return Summary(
        D0=floor.value,
        D0_terms=floor.n_terms,
        pairs=n_groups * (n_groups - 1),
        pairs_judged=_pairs_judged(comparison),
        models={model.name: _model(comparison, model, tables) for model in comparison.models},
        own_unseen=_unseen(comparison, comparison.reference),
        commit_time=tables.commit_time,
        corrected=tables.corrected,
        rates=tables.rates,
        dwells=tables.dwells,
        populations=population_rows(comparison),
        slowest=tables.slowest,
    )


def _pairs_judged(comparison: Evaluation) -> int:
    """Return how many ordered pairs D is a mean over."""
    terms = comparison.models[0].discrepancy
    return len(set(zip(terms.source.tolist(), terms.target.tolist(), strict=True)))


def _model(comparison: Evaluation, model: SourceResult, tables: RateTables) -> ModelSummary:
    floor = comparison.data_at(model.lag).floor.value
    value = model.discrepancy.value
    low, high = model.discrepancy_interval or (math.nan, math.nan)
    scale = 1 / floor if floor > 0 else math.nan
    rates = rates_inside(comparison, model)
    return ModelSummary(
        D=value,
        D_interval=(low, high),
        D_over_D0=value * scale,
        D_over_D0_interval=(low * scale, high * scale),
        n_terms=model.discrepancy.n_terms,
        n_trainings=len(model.trainings),
        cross_entropy=model.cross_entropy,
        rates_inside=rates.n_inside,
        rates_judged=rates.n_judged,
        settled=tables.settled(model.name),
        curves_outside=shares_outside(comparison, model) if model.lag == 1 else {},
        unseen=_unseen(comparison, model),
    )


def _unseen(comparison: Evaluation, source: SourceResult) -> UnseenSummary | None:
    own = comparison.data_at(source.lag).unseen
    if source.unseen is None or own is None:
        return None
    value, of_own = source.unseen.discrepancy.value, own.value
    return UnseenSummary(
        D=value,
        D_interval=source.unseen.discrepancy_interval,
        D_over_own=value / of_own if of_own > 0 else math.nan,
        cross_entropy=source.unseen.cross_entropy,
    )
