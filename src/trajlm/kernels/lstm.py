"""The LSTM step on the CPU, one lane at a time.

The product of embedding and input weights is a table of n_states rows (`inputs`), so a step is
one recurrent product of L by 4L numbers, the gates, and one read-out product of L by n_states.
Gate order is i, f, g, o as in PyTorch. Matrices are stored with the hidden unit first, so that
the inner loops run over contiguous gates or states and vectorise without a reduction; L is
padded with units that stay zero to a multiple of `UNROLL`.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.random import uniform

UNROLL = 8
HALF = np.float32(0.5)
# Beyond this, tanh is 1 in single precision.
CLAMP = np.float32(7.90531110763549805)

F32 = npt.NDArray[np.float32]


@numba.njit(fastmath=True, error_model="numpy")
def tanh32(x: np.float32) -> np.float32:
    """Rational approximation of tanh (odd degree 13 over even degree 6), a few ulp in float32.

    The library's tanh is a call that stops the loop from being vectorised; this is not.
    """
    x = min(max(x, -CLAMP), CLAMP)
    y = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * y + np.float32(2.00018790482477e-13)
    p = p * y + np.float32(-8.60467152213735e-11)
    p = p * y + np.float32(5.12229709037114e-08)
    p = p * y + np.float32(1.48572235717979e-05)
    p = p * y + np.float32(6.37261928875436e-04)
    p = p * y + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * y + np.float32(1.18534705686654e-04)
    q = q * y + np.float32(2.26843463243900e-03)
    q = q * y + np.float32(4.89352518554385e-03)
    return x * p / q


@numba.njit(fastmath=True, error_model="numpy")
def add_product(out: F32, matrix: F32, vector: F32) -> None:
    """Add ``vector @ matrix`` to `out`; eight rows at a time, so `out` is loaded once for eight."""
    for j in range(0, vector.shape[0], UNROLL):
        v0, v1, v2, v3 = vector[j], vector[j + 1], vector[j + 2], vector[j + 3]
        v4, v5, v6, v7 = vector[j + 4], vector[j + 5], vector[j + 6], vector[j + 7]
        m0, m1, m2, m3 = matrix[j], matrix[j + 1], matrix[j + 2], matrix[j + 3]
        m4, m5, m6, m7 = matrix[j + 4], matrix[j + 5], matrix[j + 6], matrix[j + 7]
        for k in range(out.shape[0]):
            out[k] += (
                m0[k] * v0 + m1[k] * v1 + m2[k] * v2 + m3[k] * v3
                + m4[k] * v4 + m5[k] * v5 + m6[k] * v6 + m7[k] * v7
            )  # fmt: skip


@numba.njit(fastmath=True, error_model="numpy")
def step(state: int, hidden: F32, cell: F32, inputs: F32, recurrent: F32, gates: F32) -> None:
    """Advance `hidden` and `cell` (L,) in place by one input `state`."""
    L = hidden.shape[0]
    row = inputs[state]
    for k in range(4 * L):
        gates[k] = row[k]
    add_product(gates, recurrent, hidden)
    for k in range(L):
        i = HALF + HALF * tanh32(HALF * gates[k])
        f = HALF + HALF * tanh32(HALF * gates[L + k])
        g = tanh32(gates[2 * L + k])
        o = HALF + HALF * tanh32(HALF * gates[3 * L + k])
        cell[k] = f * cell[k] + i * g
        hidden[k] = o * tanh32(cell[k])


@numba.njit(fastmath=True, error_model="numpy")
def exponentials(
    state: int, hidden: F32, readout: F32, skip: F32, inverse_temperature: np.float32, z: F32
) -> tuple[float, float]:
    """Fill `z` with exp(logits - largest); return their sum and the largest logit."""
    row = skip[state]
    for k in range(z.shape[0]):
        z[k] = row[k]
    add_product(z, readout, hidden)
    largest = z[0]
    for k in range(1, z.shape[0]):
        largest = max(largest, z[k])
    total = 0.0
    for k in range(z.shape[0]):
        z[k] = math.exp((z[k] - largest) * inverse_temperature)
        total += z[k]
    return total, largest


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def generate_lane(
    inputs: F32,
    recurrent: F32,
    readout: F32,
    skip: F32,
    state: int,
    hidden: F32,
    cell: F32,
    inverse_temperature: np.float32,
    key: np.uint64,
    first: int,
    out: npt.NDArray[Any],
) -> int:
    """Write ``out.shape[0]`` sampled states of one lane and return the last of them.

    `hidden` and `cell` are carried in place; `first` is the number of states that this lane has
    made before, which is also the position in its random stream.
    """
    gates = np.empty(inputs.shape[1], np.float32)
    z = np.empty(skip.shape[1], np.float32)
    for t in range(out.shape[0]):
        step(state, hidden, cell, inputs, recurrent, gates)
        total, _ = exponentials(state, hidden, readout, skip, inverse_temperature, z)
        threshold = uniform(key, np.uint64(first + t)) * total
        cumulative = 0.0
        state = z.shape[0] - 1
        for k in range(z.shape[0]):
            cumulative += z[k]
            if threshold < cumulative:
                state = k
                break
        out[t] = state
    return state


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def score_lane(
    inputs: F32,
    recurrent: F32,
    readout: F32,
    skip: F32,
    path: npt.NDArray[Any],
    hidden: F32,
    cell: F32,
    out: npt.NDArray[np.float64],
) -> None:
    """Write ``ln Q(path[t+1] | path[0..t])`` for each t; `hidden` and `cell` are carried.

    `out` has one element fewer than `path`, or none when only the state is to be advanced, in
    which case the last state of `path` is left as the input of the next step.
    """
    gates = np.empty(inputs.shape[1], np.float32)
    z = np.empty(skip.shape[1], np.float32)
    for t in range(path.shape[0] - 1):
        step(path[t], hidden, cell, inputs, recurrent, gates)
        if out.shape[0] > 0:
            total, largest = exponentials(path[t], hidden, readout, skip, np.float32(1.0), z)
            logit = skip[path[t], path[t + 1]]
            for j in range(hidden.shape[0]):
                logit += readout[j, path[t + 1]] * hidden[j]
            out[t] = np.float64(logit) - np.float64(largest) - math.log(total)
