"""All numbers of a comparison as plain values."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajlm.analysis import CommittedTransitions
from trajlm.errors import InputError
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.summary import summary
from trajlm.io.sources import read_bytes
from trajlm.models.record import ModelRecord
from trajlm.models.registry import read_record
from trajlm.provenance import Discretization
from trajlm.util.checked import UNEXPECTED
from trajlm.util.plain import as_values, from_values
from trajlm.util.versions import package_versions
from trajlm.util.words import complaint

RESULTS = "results.json"
READERS = {Discretization: Discretization.from_dict, ModelRecord: read_record}


def collect_results(comparison: Evaluation, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the report shows, by name, ready for `trajlm.util.atomic.write_json`."""
    return {
        "summary": as_values(summary(comparison)),
        "reference": _source(comparison.reference),
        "models": {model.name: _source(model) for model in comparison.models},
        "grouping": as_values(comparison.grouping),
        "space": as_values(comparison.space),
        "lags": as_values(comparison.lags),
        "unseen": as_values(comparison.unseen),
        "settings": as_values(comparison.settings),
        "how": as_values(how),
        "versions": versions(),
    }


def load_results(folder: Path) -> Evaluation:
    """Return the comparison whose ``results.json`` is in `folder`.

    Raises
    ------
    InputError
        There is no such file, it is damaged, or an earlier version wrote it.
    """
    path = folder / RESULTS
    if not path.exists():
        raise InputError(f"{folder} holds no comparison: {RESULTS} is missing")
    data = read_bytes(path)
    try:
        values = json.loads(data)
        values["models"] = list(values["models"].values())
        return from_values(Evaluation, values, READERS)
    except UNEXPECTED as error:
        raise InputError(
            f"{path} is not a comparison of this version of trajlm ({complaint(error)}): run it "
            "again"
        ) from None


def versions() -> dict[str, str]:
    """Return the versions of the packages behind a comparison; OpenMM's only where it ran."""
    unused = set() if "openmm" in sys.modules else {"openmm"}
    return {name: text for name, text in package_versions().items() if name not in unused}


def _source(source: SourceResult) -> dict[str, Any]:
    values: dict[str, Any] = as_values(source)
    values["transitions"] |= _rates(source.transitions)
    values["record"] = as_values(source.record)
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
