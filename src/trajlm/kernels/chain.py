"""Markov and hidden Markov chains: simulating them and scoring paths (forward algorithm)."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.compiled import compiled
from trajlm.kernels.random_streams import uniform

F64 = npt.NDArray[np.float64]


@numba.njit()
def draw(cumulative: F64, u: float) -> int:
    """Return the index that the uniform number `u` selects from cumulative probabilities."""
    index = 0
    while index < cumulative.shape[0] - 1 and u >= cumulative[index]:
        index += 1
    return index


@compiled
def simulate_chain(
    cumulative: F64, state: int, key: np.uint64, first: int, out: npt.NDArray[Any]
) -> int:
    """Write the states that follow `state`, by cumulative transition rows; return the last."""
    for t in range(out.shape[0]):
        state = draw(cumulative[state], uniform(key, np.uint64(first + t)))
        out[t] = state
    return state


@compiled
def simulate_hidden_chain(
    cumulative: F64,
    cumulative_emission: F64,
    hidden: int,
    key: np.uint64,
    first: int,
    out: npt.NDArray[Any],
) -> int:
    """Write what the hidden states that follow `hidden` emit; return the last hidden state."""
    for t in range(out.shape[0]):
        counter = np.uint64(2 * (first + t))
        hidden = draw(cumulative[hidden], uniform(key, counter))
        out[t] = draw(cumulative_emission[hidden], uniform(key, counter + np.uint64(1)))
    return hidden


@compiled
def forward_log_probs(
    transition: F64, emission: F64, initial: F64, path: npt.NDArray[Any], out: F64
) -> None:
    """Write ln P(path[t+1] | path[0..t]) by the scaled forward algorithm."""
    n = transition.shape[0]
    alpha = initial * emission[:, path[0]]
    alpha /= alpha.sum()
    after = np.empty(n)
    for t in range(path.shape[0] - 1):
        scale = 0.0
        for j in range(n):
            p = 0.0
            for i in range(n):
                p += alpha[i] * transition[i, j]
            after[j] = p * emission[j, path[t + 1]]
            scale += after[j]
        out[t] = math.log(scale)
        for j in range(n):
            alpha[j] = after[j] / scale
