"""The tables of a comparison as flat records, one a line."""

from __future__ import annotations

from typing import Any

from trajlm.evaluate.significance import PopulationRow, RateRow
from trajlm.evaluate.summary import ModelSummary


def model_record(name: str, row: ModelSummary) -> dict[str, Any]:
    """Return how close a model is to the data, and to unseen data where there is some."""
    record: dict[str, Any] = {
        "model": name,
        "D": row.D,
        "D_low": row.D_interval[0],
        "D_high": row.D_interval[1],
        "D_over_D0": row.D_over_D0,
        "rates_inside": row.rates_inside,
        "rates_judged": row.rates_judged,
        "cross_entropy": row.cross_entropy,
        "n_trainings": row.n_trainings,
    }
    if row.unseen is not None:
        record |= {
            "D_unseen": row.unseen.D,
            "D_unseen_low": row.unseen.D_interval[0],
            "D_unseen_high": row.unseen.D_interval[1],
            "D_unseen_over_own": row.unseen.D_over_own,
            "cross_entropy_unseen": row.unseen.cross_entropy,
        }
    return record


def rate_records(row: RateRow) -> list[dict[str, Any]]:
    """Return the rate of one ordered pair, in the data and in each model."""
    pair = {"source": row.source, "target": row.target}
    data = {
        **pair,
        "of": "data",
        "rate": row.rate,
        "low": row.low,
        "high": row.high,
        "n_transitions": row.count,
        "place": None,
    }
    models = [
        {**pair, "of": m.name, "rate": m.value, "low": None, "high": None, "place": m.place}
        for m in row.models
    ]
    return [data, *models]


def population_records(row: PopulationRow) -> list[dict[str, Any]]:
    """Return the population of one group, in the data and in each model."""
    of_data = {"population": row.value, "low": row.low, "high": row.high, "place": None}
    data = {"group": row.group, "of": "data", **of_data}
    models = [
        {
            "group": row.group,
            "of": m.name,
            "population": m.value,
            "low": None,
            "high": None,
            "place": m.place,
        }
        for m in row.models
    ]
    return [data, *models]
