"""All numbers of a comparison as plain values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from trajlm.analysis import CommittedTransitions
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.summary import summary
from trajlm.util.plain import as_values
from trajlm.util.versions import package_versions

# Frames of an excerpt that go into the file.
EXCERPT_FRAMES = 1000


def collect_results(comparison: Evaluation, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the report shows, by name, ready for `trajlm.util.atomic.write_json`."""
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
    unused = set() if "openmm" in sys.modules else {"openmm"}
    return {name: text for name, text in package_versions().items() if name not in unused}


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
