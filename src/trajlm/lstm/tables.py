"""The weights of the language model as the compiled step reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trajlm.lstm.loops import loops
from trajlm.lstm.quantization import precision
from trajlm.lstm.weights import F32, LSTMWeights

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
        Packed matrix (L, n_states), float32.
    skip
        Shape (n_states, n_states padded).
    """

    inputs: F32
    recurrent: Recurrent
    readout: F32
    skip: F32

    @property
    def hidden_dim(self) -> int:
        """Padded number of hidden units."""
        return int(self.inputs.shape[1]) // 4


def step_tables(weights: LSTMWeights) -> StepTables:
    """Fold embedding, input weights and biases into tables of n_states rows."""
    from trajlm.kernels.arguments import NEVER
    from trajlm.kernels.arrays import cache_aligned

    panel, packed = loops().PANEL, loops().packed
    n, L = weights.readout.shape
    padded, columns = precision.padded_units(L), -(-n // panel) * panel
    inputs = cache_aligned((n, 4, padded))
    folded = weights.embedding @ weights.input_weights.T + weights.gate_bias
    inputs[:, :, :L] = folded.reshape(n, 4, L)
    readout = np.zeros((padded, columns), np.float32)
    readout[:L, :n] = weights.readout.T
    skip = cache_aligned((n, columns))
    skip[:, n:] = NEVER
    skip[:, :n] = weights.skip + weights.readout_bias
    recurrent = precision.single_precision(weights.recurrent_weights)
    return StepTables(inputs.reshape(n, 4 * padded), recurrent, packed(readout), skip)
