"""The numbers that a report begins with, and its two tables, as plain values."""

from __future__ import annotations

from typing import Any

from trajlm.evaluate.curves import shares_outside
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.significance import population_rows, rate_rows, settled_commit_index
from trajlm.util.plain import as_values


def summary(comparison: Evaluation) -> dict[str, Any]:
    """Return the numbers that the page begins with, and its two tables."""
    floor = comparison.reference.discrepancy
    index = settled_commit_index(comparison.reference)
    transitions = comparison.reference.transitions
    return {
        "D0": floor.value,
        "D0_terms": floor.n_terms,
        "pairs": transitions.counts.shape[1] * (transitions.counts.shape[1] - 1),
        "pairs_judged": _pairs_judged(comparison),
        "models": {
            model.name: _verdict(model, floor.value)
            | {"curves_outside": shares_outside(comparison, model)}
            for model in comparison.models
        },
        "commit_time": float(transitions.commit_times[index] * transitions.dt),
        "rates": as_values(rate_rows(comparison, index)),
        "populations": as_values(population_rows(comparison)),
    }


def _pairs_judged(comparison: Evaluation) -> int:
    """Return how many ordered pairs D is a mean over."""
    terms = comparison.models[0].discrepancy
    return len(set(zip(terms.source.tolist(), terms.target.tolist(), strict=True)))


def _verdict(model: SourceResult, floor: float) -> dict[str, Any]:
    value = model.discrepancy.value
    low, high = model.discrepancy_interval or (float("nan"),) * 2
    scale = 1 / floor if floor > 0 else float("nan")
    return {
        "D": value,
        "D_interval": [low, high],
        "D_over_D0": value * scale,
        "D_over_D0_interval": [low * scale, high * scale],
        "n_terms": model.discrepancy.n_terms,
        "cross_entropy": model.cross_entropy,
    }
