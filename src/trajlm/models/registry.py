"""Which model classes there are, by the kind that a model folder names."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from trajlm.models.base import SequenceModel
from trajlm.models.files import holds_training, no_model, read_model
from trajlm.models.record import ModelRecord
from trajlm.util.checked import UNEXPECTED
from trajlm.util.warn import warn
from trajlm.util.words import lines

# Where each kind lives: a class is imported when a folder of its kind is loaded.
KINDS = {
    "lstm": "trajlm.lstm.model:LSTMModel",
    "conditional": "trajlm.lstm.conditional:ConditionalModel",
    "ensemble": "trajlm.lstm.ensemble:EnsembleModel",
    "lstm-columns": "trajlm.lstm.column_model:ColumnLSTMModel",
    "msm": "trajlm.models.markov:MarkovModel",
    "hmm": "trajlm.models.hidden_markov:HiddenMarkovModel",
    "ngram": "trajlm.models.ngram:NGramModel",
}
# By which the first version of a record tells its kind.
VERSION_1_KEYS = {"lstm": "history", "hmm": "n_hidden", "msm": "lag"}


def load_model(folder: str | Path) -> SequenceModel:
    """Return the model in `folder`. Loading never runs code from the files.

    Raises
    ------
    InputError
        There is no such folder.
    ModelFileError
        A file is missing, damaged, of another version, or the two do not belong together.

    Warns
    -----
    TrajlmWarning
        A training in the folder is to replace the model, and is not finished.
    """
    folder = Path(folder)
    model = read_any_model(folder)
    if holds_training(folder):
        warn(
            f"{folder} holds an unfinished training, too: the model is the one that was there "
            "before it",
        )
    return model


def read_any_model(folder: Path) -> SequenceModel:
    """Return the model in `folder` as `load_model` does, without a look at what else is there."""
    content = read_model(folder)
    try:
        cls = _class_of(KINDS[content.kind])
        record = _record_of(cls, content.record)
        return cls.from_arrays(content.space, record, content.sizes, content.arrays)
    except UNEXPECTED as error:
        raise no_model(folder, error) from None


def describe_model(folder: str | Path) -> str:
    """Return a few lines that say what the model in `folder` is and how it was made.

    Raises
    ------
    InputError, ModelFileError
        As `load_model`.
    """
    return lines("", load_model(folder).facts())


def read_record(values: object) -> ModelRecord | None:
    """Return the record of a model of any kind, from its plain values in a report.

    Raises
    ------
    ValueError
        Values that describe no record.
    """
    if not isinstance(values, dict) or not values:
        return None
    # The first version did not say the kind.
    unsaid = next((kind for kind, key in VERSION_1_KEYS.items() if key in values), None)
    kind = values.get("kind", unsaid)
    if kind not in KINDS:
        raise ValueError(f"there is no model of kind {kind!r:.40}")
    return _record_of(_class_of(KINDS[kind]), values)


def _record_of(cls: type[SequenceModel], values: object) -> ModelRecord | None:
    # The first version wrote an empty mapping where nothing was known.
    return None if values is None or values == {} else cls.record_type.from_dict(values)


def _class_of(place: str) -> type[SequenceModel]:
    module, _, name = place.partition(":")
    return cast("type[SequenceModel]", getattr(importlib.import_module(module), name))
