"""The tables of a comparison as flat records, one a line."""

from __future__ import annotations

from typing import Any

from trajlm.evaluate.rates import DwellRow, RateRow
from trajlm.evaluate.significance import ModelValue, PopulationRow
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
        "settled_inside": row.settled.inside,
        "settled_outside": row.settled.outside,
        "unsettled": row.settled.unsettled,
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
    """Return the rate constant of one ordered pair, in the data and in each model."""
    pair = {"source": row.source, "target": row.target}
    data = {
        **pair,
        "of": "data",
        "rate_constant": row.rate_constant,
        "low": row.low,
        "high": row.high,
        "n_transitions": row.count,
        "at_one_frame": row.at_one_frame,
        "place": None,
    }
    return [data, *(_model_record(pair, "rate_constant", m) for m in row.models)]


def dwell_records(row: DwellRow) -> list[dict[str, Any]]:
    """Return the mean dwell time in one group, and what was fitted, in the data and models."""
    group = {"group": row.group}
    data = {**group, "of": "data", "mean": row.value, "low": row.low, "high": row.high}
    records = [{**data, "place": None}, *(_model_record(group, "mean", m) for m in row.models)]
    distances = dict(row.distances)
    for record, (name, fit) in zip(records, row.fits, strict=True):
        record["distance"] = distances.get(name)
        record["time_constants"] = [] if fit is None else fit.time_constants.tolist()
        record["weights"] = [] if fit is None else fit.weights.tolist()
    return records


def _model_record(of: dict[str, str], what: str, m: ModelValue) -> dict[str, Any]:
    return {**of, "of": m.name, what: m.value, "low": m.low, "high": m.high, "place": m.place}


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
