"""Which model classes there are, by the kind that a model folder names."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import cast

from trajlm.errors import ModelFileError, TrajlmWarning
from trajlm.models.base import SequenceModel
from trajlm.models.files import CHECKPOINT, no_model, read_model

# Where each kind lives: a class is imported when a folder of its kind is loaded.
KINDS = {
    "lstm": "trajlm.lstm.model:LSTMModel",
    "msm": "trajlm.models.markov:MarkovModel",
    "hmm": "trajlm.models.hidden_markov:HiddenMarkovModel",
}


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
    if (folder / CHECKPOINT).exists():
        warnings.warn(
            f"{folder} holds an unfinished training, too: the model is the one that was there "
            "before it",
            TrajlmWarning,
            stacklevel=2,
        )
    return model


def read_any_model(folder: Path) -> SequenceModel:
    """Return the model in `folder` as `load_model` does, without a look at what else is there."""
    content = read_model(folder)
    try:
        cls = _class_of(KINDS[content.kind])
        return cls.from_arrays(content.space, content.record, content.sizes, content.arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise no_model(folder, error) from None


def describe_model(folder: str | Path) -> str:
    """Return a few lines that say what the model in `folder` is and how it was made.

    Raises
    ------
    InputError, ModelFileError
        As `load_model`.
    """
    model = load_model(folder)
    try:
        return "\n".join(f"{name}: {value}" for name, value in model.facts())
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFileError(
            f"{Path(folder) / 'model.json'} has a damaged training record ({error!r})"
        ) from None


def _class_of(place: str) -> type[SequenceModel]:
    module, _, name = place.partition(":")
    return cast("type[SequenceModel]", getattr(importlib.import_module(module), name))
