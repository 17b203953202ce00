"""The loops over the network in plain code, for any processor; what the others are held against.

Everything is written as in the equations of `trajlm.kernels.training` and `trajlm.kernels.lstm`,
with matrices as they are (nothing packed, nothing padded) and no vector code but what the compiler
finds. Every sum goes in order of its index, so that a lane or a stream
has the same bits whatever runs beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.arguments import Column, Recurrent
from trajlm.kernels.arrays import F32, I64
from trajlm.kernels.compiled import compiled
from trajlm.kernels.random_streams import uniform
from trajlm.kernels.rational import CLAMP, HALF, ONE, P0, P2, P4, P6, Q2, Q4, Q6, Q8

NAME = "plain code"
# Matrices are padded to multiples of these.
WIDTH = PANEL = 1
# What generation of large networks reads, and whether threads can share a lane.
HAS_HALF = HAS_BYTES = HAS_TEAMS = False

ZERO = np.float32(0)
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]


def tile_rows(recurrent: Recurrent) -> tuple[int, int]:
    """Return after how many lanes a matrix of lanes is filled: each."""
    return 1, 1


def packed(matrix: F32, memory: F32 | None = None) -> F32:
    """Return a copy of a matrix (depth, columns), in `memory` if there is some."""
    result = np.empty(matrix.shape, np.float32) if memory is None else memory
    result[:] = matrix
    return result


def halved(matrix: F32) -> F32:
    """Return a matrix rounded to half precision."""
    return matrix.astype(np.float16).astype(np.float32)


def in_bytes(
    high: npt.NDArray[np.int8], low: npt.NDArray[np.int8], units: I64, scales: F32, n_fine: int
) -> Recurrent:
    """Return what weights of bytes are worth; the arguments are those of `recurrent.in_bytes`."""
    weights = high.astype(np.float32)
    weights[:, units[:n_fine]] += low[:, :n_fine] / np.float32(256)
    return Recurrent(packed((weights * scales[:, None]).T))


@numba.njit()
def _tanh(x: np.float32) -> np.float32:
    """Return tanh x; the library's takes four times as long."""
    if x > CLAMP:
        x = CLAMP
    if x < -CLAMP:
        x = -CLAMP
    y = x * x
    p = ((P6 * y + P4) * y + P2) * y + P0
    q = (((Q8 * y + Q6) * y + Q4) * y + Q2) * y + ONE
    return np.float32(x * p / q)


@numba.njit()
def _sigmoid(x: np.float32) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return HALF + HALF * _tanh(HALF * x)


@numba.njit()
def _add_product(out: F32, a: F32, b: F32) -> None:
    """Add a (rows, depth) times b (depth, columns) to `out` (rows, columns)."""
    rows, depth = a.shape
    for r in range(rows):
        for k in range(depth):
            for c in range(b.shape[1]):
                out[r, c] += a[r, k] * b[k, c]


@numba.njit()
def _add_outer_products(out: F32, a: F32, b: F32) -> None:
    """Add the transpose of a (depth, rows) times b (depth, columns) to `out` (rows, columns)."""
    depth, rows = a.shape
    for k in range(depth):
        for r in range(rows):
            for c in range(b.shape[1]):
                out[r, c] += a[k, r] * b[k, c]


@numba.njit()
def _step(
    states: I64, given: I64, hidden: F32, cell: F32, inputs: F32, given_inputs: F32,
    recurrent: F32, gates: F32,
) -> None:  # fmt: skip
    """Advance `hidden` and `cell` (lanes, L) by one state, and what is given, a lane.

    The `gates` (lanes, 4L) are left.
    """
    lanes, L = hidden.shape
    for lane in range(lanes):
        gates[lane] = inputs[states[lane]]
        if len(given_inputs):
            gates[lane] += given_inputs[given[lane]]
    _add_product(gates, hidden, recurrent)
    for lane in range(lanes):
        i, f, g, o = gates[lane].reshape(4, L)
        for k in range(L):
            i[k], f[k], g[k], o[k] = _sigmoid(i[k]), _sigmoid(f[k]), _tanh(g[k]), _sigmoid(o[k])
            cell[lane, k] = f[k] * cell[lane, k] + i[k] * g[k]
            hidden[lane, k] = o[k] * _tanh(cell[lane, k])


@numba.njit()
def _read_out(states: I64, hidden: F32, readout: F32, skip: F32, z: F32) -> None:
    """Fill `z` (lanes, n_states) with the logits of the next states."""
    for lane in range(len(states)):
        z[lane] = skip[states[lane]]
    _add_product(z, hidden, readout)


@numba.njit()
def _log_sum_exp(z: F32) -> Any:
    """Return ln of the sum of exp(z)."""
    highest, total = np.float64(z.max()), 0.0
    for x in z:
        total += math.exp(x - highest)
    return highest + math.log(total)


@numba.njit()
def _drawn(z: F32, inverse_temperature: np.float32, number: float, cumulative: F64) -> int:
    """Return what a random `number` draws from logits; `cumulative` is memory as long."""
    highest, total = z.max(), 0.0
    for k in range(len(z)):
        total += math.exp((z[k] - highest) * inverse_temperature)
        cumulative[k] = total
    label = 0
    while label < len(z) - 1 and number * total >= cumulative[label]:
        label += 1
    return label


@compiled
def generate_lanes(
    inputs: F32, recurrent: Recurrent, readout: F32, skip: F32,
    states: I64, hidden: F32, cell: F32, inverse_temperature: np.float32, keys: U64, first: int,
    out: npt.NDArray[Any], gates: F32, arrivals: I64, rank: int, n_threads: int,
) -> None:  # fmt: skip
    """Write sampled states of some lanes to `out`; see `lstm.generate_lanes`, here on one thread.

    The arguments after `out` are for several threads, which do not share lanes here.
    """
    lanes, n_states = len(states), len(inputs)
    own_gates = np.empty((lanes, inputs.shape[1]), np.float32)
    z = np.empty((lanes, n_states), np.float32)
    cumulative = np.empty(n_states)
    for t in range(out.shape[1]):
        _step(states, states, hidden, cell, inputs, inputs[:0], recurrent.weights, own_gates)
        _read_out(states, hidden, readout, skip, z)
        for lane in range(lanes):
            number = uniform(keys[lane], np.uint64(first + t))
            states[lane] = out[lane, t] = _drawn(z[lane], inverse_temperature, number, cumulative)


@compiled
def read_lanes(
    inputs: F32, recurrent: Recurrent, paths: npt.NDArray[Any], begins: I64, hidden: F32, cell: F32
) -> None:
    """Advance the memory of lanes over all but the last frame of `paths`; see `lstm.read_lanes`."""
    lanes, frames = paths.shape
    gates = np.empty((lanes, inputs.shape[1]), np.float32)
    states = np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            if t <= begins[lane]:
                hidden[lane] = cell[lane] = ZERO
            states[lane] = paths[lane, t]
        if t < frames - 1:
            _step(states, states, hidden, cell, inputs, inputs[:0], recurrent.weights, gates)


@compiled
def remember_lanes(
    inputs: F32, recurrent: Recurrent, paths: npt.NDArray[Any], hidden: F32, cell: F32, out: F32
) -> None:
    """Write the hidden states after each frame of `paths`; see `lstm.remember_lanes`."""
    frames, lanes = paths.shape
    gates = np.empty((lanes, inputs.shape[1]), np.float32)
    states = np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            states[lane] = paths[t, lane]
        _step(states, states, hidden, cell, inputs, inputs[:0], recurrent.weights, gates)
        out[t] = hidden


@compiled
def score_lanes(
    inputs: F32, recurrent: Recurrent, readout: F32, skip: F32, paths: npt.NDArray[Any],
    out: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Write ``ln Q(path[t+1] | path[0..t])`` of lanes to `out` (lanes, frames - 1)."""
    (lanes, frames), n_states, L = paths.shape, len(inputs), len(recurrent.weights)
    hidden, cell = np.zeros((lanes, L), np.float32), np.zeros((lanes, L), np.float32)
    gates, z = np.empty((lanes, 4 * L), np.float32), np.empty((lanes, n_states), np.float32)
    states = np.empty(lanes, np.int64)
    for t in range(frames - 1):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        _step(states, states, hidden, cell, inputs, inputs[:0], recurrent.weights, gates)
        _read_out(states, hidden, readout, skip, z)
        for lane in range(lanes):
            out[lane, t] = np.float64(z[lane, paths[lane, t + 1]]) - _log_sum_exp(z[lane])


@compiled
def generate_columns(
    columns: tuple[Column, ...], states: I64, hidden: F32, cell: F32,
    inverse_temperature: np.float32, keys: U64, first: int, out: npt.NDArray[Any],
) -> None:  # fmt: skip
    """Write sampled states of some lanes to `out`; see `columns.generate_columns`."""
    n_columns, lanes, L = hidden.shape
    gates, given = np.empty((lanes, 4 * L), np.float32), np.empty(lanes, np.int64)
    for t in range(out.shape[1]):
        given[:] = 0
        for c in range(n_columns):
            column = columns[c]
            z = np.empty((lanes, column.skip.shape[1]), np.float32)
            _step(
                states, given, hidden[c], cell[c], column.inputs, column.given_inputs,
                column.recurrent.weights, gates,
            )  # fmt: skip
            rows = given if len(column.given_inputs) else states
            _read_out(rows, hidden[c], column.readout, column.skip, z)
            for lane in range(lanes):
                number = uniform(keys[lane], np.uint64((first + t) * n_columns + c))
                label = _drawn(z[lane], inverse_temperature, number, np.empty(z.shape[1]))
                given[lane] = column.follow[given[lane], label]
        for lane in range(lanes):
            states[lane] = out[lane, t] = given[lane]


@compiled
def read_column(
    column: Column, given_of: I64, paths: npt.NDArray[Any], begins: I64, hidden: F32, cell: F32
) -> None:
    """Advance the memory of one column over all but the last frame; see `columns.read_column`."""
    (lanes, frames), L = paths.shape, hidden.shape[1]
    gates = np.empty((lanes, 4 * L), np.float32)
    for t in range(frames):
        for lane in range(lanes):
            if t <= begins[lane]:
                hidden[lane] = cell[lane] = ZERO
        if t < frames - 1:
            states, given = paths[:, t].astype(np.int64), given_of[paths[:, t + 1]]
            _step(
                states, given, hidden, cell, column.inputs, column.given_inputs,
                column.recurrent.weights, gates,
            )  # fmt: skip


@compiled
def score_column(
    column: Column, given_of: I64, labels: I64, paths: npt.NDArray[Any],
    out: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Add the log probability of a column of ``path[t+1]``; see `columns.score_column`."""
    (lanes, frames), L = paths.shape, column.inputs.shape[1] // 4
    hidden, cell = np.zeros((lanes, L), np.float32), np.zeros((lanes, L), np.float32)
    gates, z = (
        np.empty((lanes, 4 * L), np.float32),
        np.empty((lanes, column.skip.shape[1]), np.float32),
    )
    for t in range(frames - 1):
        states, given = paths[:, t].astype(np.int64), given_of[paths[:, t + 1]]
        _step(
            states, given, hidden, cell, column.inputs, column.given_inputs,
            column.recurrent.weights, gates,
        )  # fmt: skip
        rows = given if len(column.given_inputs) else states
        _read_out(rows, hidden, column.readout, column.skip, z)
        for lane in range(lanes):
            out[lane, t] += np.float64(z[lane, labels[paths[lane, t + 1]]]) - _log_sum_exp(z[lane])


@compiled
def add_gram(inputs: F32, recurrent: Recurrent, paths: npt.NDArray[Any], gram: F32) -> None:
    """Add h h^T of every lane and frame of `paths` (lanes, frames) to `gram`, (L, L)."""
    (lanes, frames), L = paths.shape, len(gram)
    hidden, cell = np.zeros((lanes, L), np.float32), np.zeros((lanes, L), np.float32)
    gates, states = np.empty((lanes, 4 * L), np.float32), np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        _step(states, states, hidden, cell, inputs, inputs[:0], recurrent.weights, gates)
        _add_outer_products(gram, hidden, hidden)


@compiled
def forward(
    states: I64, given: I64, targets: I64, inputs: F32, given_inputs: F32, recurrent: F32,
    readout: F32, bias: F32, skip: F32, hidden: F32, cell: F32, gates: F32, logits: F32,
    scale: np.float32,
) -> float:  # fmt: skip
    """Return the summed -ln Q of the targets; fill the arrays as `training.forward` does."""
    window, streams = states.shape
    nats = 0.0
    for t in range(window):
        hidden[t + 1], cell[t + 1] = hidden[t], cell[t]
        _step(
            states[t], given[t], hidden[t + 1], cell[t + 1], inputs, given_inputs, recurrent,
            gates[t],
        )  # fmt: skip
        _read_out(given[t], hidden[t + 1], readout, skip, logits[t])
        for s in range(streams):
            z, target = logits[t, s], targets[t, s]
            if target < 0:
                z[:] = ZERO
                continue
            z += bias
            log_sum = _log_sum_exp(z)
            nats += log_sum - np.float64(z[target])
            for k in range(len(z)):
                z[k] = scale * np.float32(math.exp(z[k] - log_sum))
            z[target] -= scale
    return nats


@compiled
def backward(
    states: I64, given: I64, recurrent: F32, readout: F32, hidden: F32, cell: F32, gates: F32,
    logits: F32, grad_inputs: F32, grad_given: F32, grad_recurrent: F32, grad_readout: F32,
) -> None:  # fmt: skip
    """Turn `gates` into gradients and add up those by the weights, as `training.backward` does."""
    window, streams, L = len(states), states.shape[1], cell.shape[2]
    dh, dc = np.zeros((streams, L), np.float32), np.zeros((streams, L), np.float32)
    for t in range(window - 1, -1, -1):
        _add_product(dh, logits[t], readout)
        for s in range(streams):
            row = gates[t, s]
            for k in range(L):
                i, f, g, o = row[k], row[L + k], row[2 * L + k], row[3 * L + k]
                tanh_c = _tanh(cell[t + 1, s, k])
                q = dc[s, k] + dh[s, k] * o * (ONE - tanh_c * tanh_c)
                dc[s, k] = q * f
                row[k] = q * g * i * (ONE - i)
                row[L + k] = q * cell[t, s, k] * f * (ONE - f)
                row[2 * L + k] = q * i * (ONE - g * g)
                row[3 * L + k] = dh[s, k] * tanh_c * o * (ONE - o)
            grad_inputs[states[t, s]] += row
            if len(grad_given):
                grad_given[given[t, s]] += row
        dh[:] = ZERO
        _add_product(dh, gates[t], recurrent)
        if len(grad_recurrent):
            _add_outer_products(grad_recurrent, hidden[t], gates[t])
            _add_outer_products(grad_readout, hidden[t + 1], logits[t])


@compiled
def add_by_given(given: I64, logits: F32, grad_skip: F32) -> None:
    """Add each row of `logits` to the row of `grad_skip` it was given."""
    window, streams = given.shape
    for t in range(window):
        for s in range(streams):
            grad_skip[given[t, s]] += logits[t, s]
