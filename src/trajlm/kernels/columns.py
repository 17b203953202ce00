"""The LSTM step for tokens of several columns, drawn one after the other.

Each column c has a network of its own. It reads the present state x_t and the number q of what the
columns before it have drawn for the next one; with the tables of `trajlm.kernels.training`::

    a_t = A[x_t] + G[q] + h_{t-1} U;        z_t = B[q] + h_t D   (B[x_t] and no G where nothing is
                                                                   given, as in the first)
    label y ~ softmax(z_t);                 q of the next column = follow[q, y]

What the last column's `follow` holds is the next state itself. Logits of labels that no state has
with q are `NEVER`, so that the probabilities of all states sum to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arguments import Column, Recurrent
from trajlm.kernels.arrays import F32, I64, aligned_rows
from trajlm.kernels.compiled import compiled, inlined
from trajlm.kernels.lstm import advance_units, log_prob, read_out, sample
from trajlm.kernels.recurrent import U8, add_recurrent, memory_for_bytes
from trajlm.kernels.simd import WIDTH, load, store
from trajlm.kernels.tile import PANEL


@inlined
def _step(
    states: I64, given: I64, hidden: F32, cell: F32, inputs: F32, given_inputs: F32,
    recurrent: Recurrent, gates: F32, parts: U8,
) -> None:  # fmt: skip
    """Advance `hidden` and `cell` (lanes, L) by one state, and what is given, a lane."""
    lanes, L = hidden.shape
    add_recurrent(0, 4 * L // PANEL, False, gates, 0, hidden, parts, recurrent, inputs, states)
    if len(given_inputs):
        for lane in range(lanes):
            for k in range(0, 4 * L, WIDTH):
                at = lane * 4 * L + k
                more = load(given_inputs, given[lane] * 4 * L + k)
                store(gates, at, load(gates, at) + more)
    advance_units(hidden, cell, gates, 0)


@compiled
def generate_columns(
    columns: tuple[Column, ...],
    states: I64,
    hidden: F32,
    cell: F32,
    inverse_temperature: np.float32,
    keys: npt.NDArray[np.uint64],
    first: int,
    out: npt.NDArray[Any],
) -> None:
    """Write sampled states of some lanes to `out` (lanes, frames).

    Parameters
    ----------
    states, hidden, cell
        Carried in place, shapes (lanes,) and, of the memory of all columns, (columns, lanes, L).
    first
        States that these lanes have made before; each takes as many numbers of the random streams
        `keys` as there are columns.
    """
    n_columns, lanes, L = hidden.shape
    gates, parts = aligned_rows(lanes, 4 * L), memory_for_bytes(lanes, columns[0].recurrent)
    given, drawn = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    widest, most = 0, 0
    for column in columns:
        widest = max(widest, column.skip.shape[1])
        most = max(most, column.follow.shape[1])
    memory, cumulative = aligned_rows(lanes, widest), np.empty(most)
    for t in range(out.shape[1]):
        given[:] = 0
        for c in range(n_columns):
            column = columns[c]
            width = column.skip.shape[1]
            z = memory.reshape(-1)[: lanes * width].reshape(lanes, width)
            _step(
                states, given, hidden[c], cell[c], column.inputs, column.given_inputs,
                column.recurrent, gates, parts,
            )  # fmt: skip
            rows = given if len(column.given_inputs) else states
            read_out(rows, hidden[c], column.readout, column.skip, z)
            counter = np.uint64((first + t) * n_columns + c)
            n_labels = column.follow.shape[1]
            sample(z, inverse_temperature, keys, counter, cumulative[:n_labels], drawn)
            for lane in range(lanes):
                given[lane] = column.follow[given[lane], drawn[lane]]
        for lane in range(lanes):
            states[lane] = out[lane, t] = given[lane]


@compiled
def read_column(
    column: Column, given_of: I64, paths: npt.NDArray[Any], begins: I64, hidden: F32, cell: F32
) -> None:
    """Advance the memory of one column over all but the last frame of `paths` (lanes, frames).

    `given_of` is the number q of each state; lane k begins, with cleared memory, at frame
    ``begins[k]``.
    """
    (lanes, frames), L = paths.shape, hidden.shape[1]
    gates, parts = aligned_rows(lanes, 4 * L), memory_for_bytes(lanes, column.recurrent)
    states, given = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            if t <= begins[lane]:
                hidden[lane] = 0.0
                cell[lane] = 0.0
        if t == frames - 1:
            break
        for lane in range(lanes):
            states[lane], given[lane] = paths[lane, t], given_of[paths[lane, t + 1]]
        _step(
            states, given, hidden, cell, column.inputs, column.given_inputs, column.recurrent,
            gates, parts,
        )  # fmt: skip


@compiled
def score_column(
    column: Column,
    given_of: I64,
    labels: I64,
    paths: npt.NDArray[Any],
    out: npt.NDArray[np.float64],
) -> None:
    """Add to `out` (lanes, frames - 1) the log probability of a column of ``path[t+1]``.

    `given_of` and `labels` are q and y of each state; each lane begins with cleared memory.
    """
    (lanes, frames), L = paths.shape, column.inputs.shape[1] // 4
    hidden, cell = aligned_rows(lanes, L), aligned_rows(lanes, L)
    gates, parts = aligned_rows(lanes, 4 * L), memory_for_bytes(lanes, column.recurrent)
    z, n_labels = aligned_rows(lanes, column.skip.shape[1]), column.follow.shape[1]
    states, given = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    for t in range(frames - 1):
        for lane in range(lanes):
            states[lane], given[lane] = paths[lane, t], given_of[paths[lane, t + 1]]
        _step(
            states, given, hidden, cell, column.inputs, column.given_inputs, column.recurrent,
            gates, parts,
        )  # fmt: skip
        rows = given if len(column.given_inputs) else states
        read_out(rows, hidden, column.readout, column.skip, z)
        for lane in range(lanes):
            out[lane, t] += log_prob(z, lane, labels[paths[lane, t + 1]], n_labels)
