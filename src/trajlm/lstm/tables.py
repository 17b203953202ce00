"""The weights of a network as the compiled step reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trajlm.lstm.loops import loops
from trajlm.lstm.quantization import precision
from trajlm.lstm.weights import LSTMWeights
from trajlm.util.arrays import F32

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent


@dataclass(frozen=True)
class StepTables:
    """The weights as the compiled step reads them.

    L is padded to whole vectors with units that stay zero, the states to whole panels with some
    that never come; the recurrent and read-out matrices are packed for the product's kernel.

    Parameters
    ----------
    inputs
        What each state adds to the gates, shape (n_states, 4L).
    recurrent
        In single precision, packed, (L, 4L).
    readout
        Packed matrix (L, n_labels), float32; the labels are the states, but in tokens of several
        columns.
    skip
        With the bias, shape (n_states or n_given, n_labels padded).
    given_inputs
        What is given adds to the gates, shape (n_given, 4L); no rows where nothing is.
    """

    inputs: F32
    recurrent: Recurrent
    readout: F32
    skip: F32
    given_inputs: F32

    @property
    def hidden_dim(self) -> int:
        """Padded number of hidden units."""
        return int(self.inputs.shape[1]) // 4


def step_tables(weights: LSTMWeights) -> StepTables:
    """Fold embedding, input weights and biases into tables of n_states rows."""
    from trajlm.kernels.arguments import NEVER
    from trajlm.kernels.arrays import cache_aligned

    panel, packed = loops().PANEL, loops().packed
    n_labels, L = weights.readout.shape
    padded, columns = precision.padded_units(L), -(-n_labels // panel) * panel
    readout = np.zeros((padded, columns), np.float32)
    readout[:L, :n_labels] = weights.readout.T
    skip = cache_aligned((len(weights.skip), columns))
    skip[:, n_labels:] = NEVER
    skip[:, :n_labels] = weights.skip + weights.readout_bias
    given = weights.embedding[:0] if weights.given is None else weights.given
    return StepTables(
        _by_gate(weights.embedding @ weights.input_weights.T + weights.gate_bias, padded),
        precision.single_precision(weights.recurrent_weights),
        packed(readout),
        skip,
        _by_gate(given @ weights.input_weights.T, padded),
    )


def _by_gate(table: F32, padded: int) -> F32:
    """Return a table (rows, 4L) with the units of each gate padded."""
    from trajlm.kernels.arrays import cache_aligned

    rows, columns = table.shape
    out = cache_aligned((rows, 4, padded))
    out[:, :, : columns // 4] = table.reshape(rows, 4, columns // 4)
    return out.reshape(rows, 4 * padded)
