"""The numbers of a system as plain values for ``results.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from trajlm.evaluate.result import SourceResult
from trajlm.evaluate.summary import summary
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.models.record import HiddenMarkovRecord, MarkovRecord, NGramRecord
from trajlm.reproduce.benchmark.run import SystemResult
from trajlm.util.versions import package_versions
from trajlm.util.words import counted


def collect(result: SystemResult, command: str) -> dict[str, Any]:
    """Return everything measured on a system as plain values."""
    comparison, system = result.comparison, result.system
    data, unseen, own = comparison.reference, comparison.unseen, comparison.reference.unseen
    assert unseen is not None
    assert own is not None
    return {
        "system": system.name,
        "title": system.title,
        "about": system.about,
        "source": system.source,
        "left_out": system.left_out,
        "command": command,
        "options": asdict(result.options),
        "machine": result.machine,
        "versions": package_versions(),
        "n_states": comparison.space.n_states,
        "dt": comparison.space.dt,
        "unit": comparison.space.unit,
        "groups": list(comparison.grouping.names),
        "frames": data.n_frames,
        "frames_unseen": unseen.n_frames,
        "runs": comparison.settings["n_runs"],
        "terms": own.discrepancy.n_terms,
        "D0": data.discrepancy.value,
        "own": own.discrepancy.value,
        "own_interval": list(own.discrepancy_interval),
        "models": {m.name: _model(result, m) for m in comparison.models},
        "relaxation": [asdict(error) for error in result.relaxation],
        "relaxation_lags": list(system.relaxation_lags),
    }


def _model(result: SystemResult, source: SourceResult) -> dict[str, Any]:
    found = summary(result.comparison).models[source.name]
    assert found.unseen is not None
    assert source.unseen is not None
    # Each training has the same terms, those of the unseen stretch.
    terms = np.abs(source.unseen.discrepancy.log_ratios).reshape(len(source.trainings), -1)
    seconds = result.seconds.get(source.name, ())
    return {
        "how": _how(source),
        "lag": source.lag,
        "trainings": len(source.trainings),
        "D": found.unseen.D,
        "D_interval": list(found.unseen.D_interval),
        "D_runs": terms.mean(axis=1).tolist(),
        "D_over_own": found.unseen.D_over_own,
        "D_training": found.D,
        "nats": found.unseen.cross_entropy,
        "seconds": float(np.mean(seconds)) if seconds else None,
    }


def _how(source: SourceResult) -> str:
    """Say how the models of one kind were made."""
    record = source.record
    if isinstance(record, LSTMRecord | ColumnLSTMRecord):
        text = "default settings" + ", groups first" * isinstance(record, ColumnLSTMRecord)
        columns = record.settings.columns
        return text if columns == "auto" else f"{text} but columns = {columns}"
    if isinstance(record, HiddenMarkovRecord):
        text = f"{record.n_hidden} hidden states by BIC"
        return f"{text}, the most tried" if record.stopped_at_most else text
    if isinstance(record, NGramRecord):
        return f"after the last {counted(record.order, 'state', 'states')}, with back-off"
    balance = "reversible" if isinstance(record, MarkovRecord) and record.reversible else ""
    return f"lag {counted(source.lag, 'frame', 'frames')}, {balance or 'not reversible'}"
