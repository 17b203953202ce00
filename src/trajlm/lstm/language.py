"""What `train` returns: a model of whole states, or of tokens of several columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trajlm.data import StateSpace
from trajlm.lstm.column_model import ColumnLSTMModel
from trajlm.lstm.model import LSTMModel
from trajlm.models.files import Tensors

LanguageModel = LSTMModel | ColumnLSTMModel


def language_model_from(
    space: StateSpace, record: Any, sizes: Mapping[str, Any], arrays: Tensors
) -> LanguageModel:
    """Rebuild a language model of either kind from what its `to_arrays` returned."""
    kind = ColumnLSTMModel if "columns" in sizes else LSTMModel
    return kind.from_arrays(space, record, sizes, arrays)
