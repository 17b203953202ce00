"""The arrays of the language model: embedding, LSTM, linear output and a bigram skip.

For states s(0..T): x(t) = E[s(t)]; h(t) the LSTM's output; logits
z(t) = D h(t) + b + B[s(t)]; Q(s(t+1)=k | s(0..t)) = softmax(z(t))_k
(Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), eqs. 1-4; the skip B is ours).
The weights live here as plain arrays: scoring and generating need no PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LSTMWeights:
    """The arrays of the network, float32; gate order i, f, g, o.

    Parameters
    ----------
    embedding
        E, shape (n_states, M).
    input_weights, recurrent_weights, gate_bias
        Shapes (4L, M), (4L, L) and (4L,).
    readout, readout_bias
        D, shape (n_states, L), and b, shape (n_states,).
    skip
        B, shape (n_states, n_states), row s for the present state; all zero without the skip.
    """

    embedding: F32
    input_weights: F32
    recurrent_weights: F32
    gate_bias: F32
    readout: F32
    readout_bias: F32
    skip: F32

    def __post_init__(self) -> None:
        if self.embedding.ndim != 2 or self.recurrent_weights.ndim != 2:
            raise ValueError("the weights are not matrices")
        n, M = self.embedding.shape
        L = self.recurrent_weights.shape[1]
        if min(n, M, L) < 1:
            raise ValueError(f"the network has {n} states, M = {M} and L = {L}")
        expected = {
            "embedding": (n, M),
            "input_weights": (4 * L, M),
            "recurrent_weights": (4 * L, L),
            "gate_bias": (4 * L,),
            "readout": (n, L),
            "readout_bias": (n,),
            "skip": (n, n),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
