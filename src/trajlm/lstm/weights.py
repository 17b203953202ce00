"""The arrays of a network: embedding, LSTM, linear output and a bigram skip.

For states s(0..T): x(t) = E[s(t)]; h(t) the LSTM's output; logits
z(t) = D h(t) + b + B[s(t)]; Q(s(t+1)=k | s(0..t)) = softmax(z(t))_k
(Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), eqs. 1-4; the skip B is ours).
The network of a later column of a token is given the number q(t) of the labels before it:
x(t) = E[s(t)] + G[q(t)] and z(t) = D h(t) + b + B[q(t)].
The weights live here as plain arrays: scoring and generating need no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.util.arrays import F32, F64


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
        D, shape (n_labels, L), and b, shape (n_labels,); in tokens of one column the labels are
        the states.
    skip
        B, shape (n_states, n_labels), row s for the present state, or (n_given, n_labels); all zero
        without the skip.
    given
        G, shape (n_given, M), where something is given.
    """

    embedding: F32
    input_weights: F32
    recurrent_weights: F32
    gate_bias: F32
    readout: F32
    readout_bias: F32
    skip: F32
    given: F32 | None = None

    def __post_init__(self) -> None:
        if self.embedding.ndim != 2 or self.recurrent_weights.ndim != 2:
            raise ValueError("the weights are not matrices")
        n, M = self.embedding.shape
        L = self.recurrent_weights.shape[1]
        n_labels = self.readout.shape[0]
        if min(n, M, L, n_labels) < 1:
            raise ValueError(f"the network has {n} states, M = {M} and L = {L}")
        rows = n if self.given is None else len(self.given)
        expected = {
            "embedding": (n, M),
            "input_weights": (4 * L, M),
            "recurrent_weights": (4 * L, L),
            "gate_bias": (4 * L,),
            "readout": (n_labels, L),
            "readout_bias": (n_labels,),
            "skip": (rows, n_labels),
        }
        if self.given is not None:
            expected["given"] = (rows, M)
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    def arrays(self) -> dict[str, F32]:
        """Return all arrays that there are, by name."""
        return {name: x for name, x in vars(self).items() if x is not None}


def read_weights(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> LSTMWeights:
    """Return the weights among the arrays of a model file whose names begin with `prefix`.

    Raises
    ------
    ValueError
        They do not fit each other, or are not finite.
    TypeError
        One is missing.
    """
    weights = LSTMWeights(
        **{
            name.removeprefix(prefix): x.astype(np.float32, copy=False)
            for name, x in arrays.items()
            if name.startswith(prefix)
        }
    )
    if not all(np.isfinite(x).all() for x in weights.arrays().values()):
        raise ValueError("a weight is not a finite number")
    return weights


def last_step(weights: LSTMWeights, state: int, hidden: F32, cell: F32) -> F64:
    """Return the logits after a step from memory (L,) by the equations, shape (rows, n_labels).

    A row for each number that may be given, or one where nothing is.
    """
    w = {name: x.astype(np.float64) for name, x in weights.arrays().items()}
    read = w["embedding"][state] + w.get("given", np.zeros((1, 1)))
    gates = read @ w["input_weights"].T + w["gate_bias"] + w["recurrent_weights"] @ hidden
    i, f, g, o = np.split(gates, 4, axis=1)
    c = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    skip = w["skip"] if "given" in w else w["skip"][state]
    logits: F64 = (_sigmoid(o) * np.tanh(c)) @ w["readout"].T + w["readout_bias"] + skip
    return logits


def _sigmoid(x: F64) -> F64:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))
