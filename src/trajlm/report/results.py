"""All numbers of a comparison as plain values."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trajlm.report.curves import shares_outside
from trajlm.report.settled import population_rows, rate_rows, settled_commit_index

if TYPE_CHECKING:
    from trajlm.analysis import CommittedTransitions
    from trajlm.comparison import Comparison, SourceResult

# Frames of an excerpt that go into the file.
EXCERPT_FRAMES = 1000


def collect_results(comparison: Comparison, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the report shows, by name, ready for `trajlm.atomic.write_json`."""
    return {
        "summary": summary(comparison),
        "reference": _source(comparison.reference),
        "models": {model.name: _source(model) for model in comparison.models},
        "grouping": as_values(comparison.grouping),
        "space": as_values(comparison.space),
        "settings": as_values(comparison.settings),
        "how": as_values(how),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages behind a comparison; OpenMM's only where it ran."""
    from trajlm.models.files import package_versions

    unused = set() if "openmm" in sys.modules else {"openmm"}
    return {name: text for name, text in package_versions().items() if name not in unused}


def summary(comparison: Comparison) -> dict[str, Any]:
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


def _pairs_judged(comparison: Comparison) -> int:
    """Return how many ordered pairs D is a mean over."""
    terms = comparison.models[0].discrepancy
    return len(set(zip(terms.source.tolist(), terms.target.tolist(), strict=True)))


def as_values(obj: Any) -> Any:
    """Return dataclasses as mappings of their fields, and anything unknown as its text."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {f.name: as_values(getattr(obj, f.name)) for f in dataclasses.fields(obj)}
    if isinstance(obj, Mapping):
        return {str(key): as_values(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [as_values(value) for value in obj]
    if obj is None or isinstance(obj, str | bool | int | float | np.ndarray | np.generic):
        return obj
    return os.fspath(obj) if isinstance(obj, os.PathLike) else str(obj)


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


def _source(source: SourceResult) -> dict[str, Any]:
    values: dict[str, Any] = as_values(source)
    values["transitions"] |= _rates(source.transitions)
    values["excerpt"] = source.excerpt[:EXCERPT_FRAMES]
    return values


def _rates(transitions: CommittedTransitions) -> dict[str, Any]:
    low, high = transitions.rate_intervals()
    shortest, longest = transitions.waiting_time_intervals()
    return {
        "rates": transitions.rates(),
        "rates_low": low,
        "rates_high": high,
        "mean_waiting_times": transitions.mean_waiting_times(),
        "mean_waiting_times_low": shortest,
        "mean_waiting_times_high": longest,
    }
