"""One window of the language model forward and backward, by hand, for some streams.

Gate order is i, f, g, o as in PyTorch. The product of embedding and input weights comes as a
table of n_states rows (`inputs`). L and the padded n_states are multiples of `PANEL`.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.cell import SMALLEST, tanh, unit
from trajlm.kernels.lstm import copy_row, exponentials
from trajlm.kernels.product import add_packed_product
from trajlm.kernels.simd import WIDTH, fma, load, splat, store, total

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
ZERO, ONE = np.float32(0), np.float32(1)


@numba.njit(nogil=True, cache=True)
def forward(
    states: I64,
    targets: I64,
    inputs: F32,
    recurrent: F32,
    readout: F32,
    bias: F32,
    skip: F32,
    hidden: F32,
    cell: F32,
    gates: F32,
    logits: F32,
) -> float:
    """Return the summed -ln Q of the targets, and fill the arrays after `skip`.

    Parameters
    ----------
    states, targets
        Shape (window, streams); a negative target is none.
    inputs
        Shape (n_states, 4L).
    recurrent, readout
        The recurrent weights (L, 4L) and those of the read-out (L, padded n_states), packed.
    bias
        What is added to the logits, shape (padded n_states,).
    skip
        What a state adds to the logits, shape (n_states, n_states).
    hidden, cell
        Shape (window + 1, streams, L); the first frame holds the memory before the window.
    gates
        Gates after their nonlinearity, shape (window, streams, 4L).
    logits
        Gradient of the nats by the logits, shape (window, streams, padded n_states).
    """
    window, streams = states.shape
    L, columns = hidden.shape[2], len(bias)
    nats = 0.0
    rows, after = gates.reshape(-1, 4 * L), logits.reshape(-1, columns)
    for t in range(window):
        first = t * streams
        for s in range(streams):
            copy_row(inputs, states[t, s], rows, first + s)
            after[first + s] = bias
            for k in range(len(skip)):
                after[first + s, k] += skip[states[t, s], k]
        add_packed_product(gates, first * 4 * L, 4 * L, hidden, first * L, L, recurrent, streams)
        for row in range(first, first + streams):
            for k in range(0, L, WIDTH):
                at, now, then = row * 4 * L + k, row * L + k, (row + streams) * L + k
                i, f, g, o, c = unit(gates, at, L, load(cell, now))
                store(cell, then, c)
                store(hidden, then, o * tanh(c))
                store(gates, at, i)
                store(gates, at + L, f)
                store(gates, at + 2 * L, g)
                store(gates, at + 3 * L, o)
        add_packed_product(
            logits, first * columns, columns, hidden, (first + streams) * L, L, readout, streams
        )
        for s in range(streams):
            nats += _nats(after, first + s, targets[t, s])
    return nats


@numba.njit()
def _nats(logits: F32, row: int, target: int) -> float:
    """Return -ln Q(target), and turn the row of logits into its gradient."""
    if target < 0:
        logits[row] = ZERO
        return 0.0
    wanted = logits[row, target]
    highest = exponentials(logits, row, ONE)
    columns = logits.shape[1]
    begin, end = row * columns, (row + 1) * columns
    sums = splat(ZERO)
    for k in range(begin, end, WIDTH):
        sums = sums + load(logits, k)
    weight = total(sums)
    inverse, smallest = splat(ONE / weight), splat(SMALLEST)
    for k in range(begin, end, WIDTH):
        # What only fills a panel becomes zero: a number too small to be normal is slow.
        store(logits, k, (load(logits, k) - smallest) * inverse)
    logits[row, target] -= ONE
    return np.float64(highest) - np.float64(wanted) + math.log(weight)


@numba.njit(nogil=True, cache=True)
def backward(recurrent: F32, readout: F32, cell: F32, gates: F32, logits: F32) -> None:
    """Turn `gates` into the gradient of the nats by the gates before their nonlinearity.

    Parameters
    ----------
    recurrent, readout
        The transposed weights (4L, L) and (padded n_states, L), packed.
    cell, gates, logits
        As `forward` left them.
    """
    window, streams, columns = logits.shape
    L = cell.shape[2]
    dh, dc = np.zeros((streams, L), np.float32), np.zeros((streams, L), np.float32)
    one, zero = splat(ONE), splat(ZERO)
    for t in range(window - 1, -1, -1):
        first = t * streams
        add_packed_product(dh, 0, L, logits, first * columns, columns, readout, streams)
        for s in range(streams):
            row = first + s
            for k in range(0, L, WIDTH):
                at, now, then = row * 4 * L + k, row * L + k, (row + streams) * L + k
                i, f = load(gates, at), load(gates, at + L)
                g, o = load(gates, at + 2 * L), load(gates, at + 3 * L)
                tanh_c = tanh(load(cell, then))
                d = load(dh, s * L + k)
                store(dh, s * L + k, zero)
                q = fma(d * o, one - tanh_c * tanh_c, load(dc, s * L + k))
                store(dc, s * L + k, q * f)
                store(gates, at, q * g * i * (one - i))
                store(gates, at + L, q * load(cell, now) * f * (one - f))
                store(gates, at + 2 * L, q * i * (one - g * g))
                store(gates, at + 3 * L, d * tanh_c * o * (one - o))
        add_packed_product(dh, 0, L, gates, first * 4 * L, 4 * L, recurrent, streams)


@numba.njit(nogil=True, cache=True)
def add_by_state(states: I64, rows: F32, table: F32) -> None:
    """Add each of `rows` (window, streams, columns) to the row of `table` of its state.

    The table may leave out the last columns.
    """
    window, streams, columns = rows.shape
    wanted = table.shape[1]
    whole = wanted // WIDTH * WIDTH
    for t in range(window):
        for s in range(streams):
            row, entry = (t * streams + s) * columns, states[t, s] * wanted
            for k in range(0, whole, WIDTH):
                store(table, entry + k, load(table, entry + k) + load(rows, row + k))
            for k in range(whole, wanted):
                table[states[t, s], k] += rows[t, s, k]
