"""One window of the LSTM forward and backward, by hand, for some of its streams.

Gate order is i, f, g, o as in PyTorch. The product of embedding and input weights comes as a
table of n_states rows (`inputs`). L is a multiple of `PANEL`. What a stream gives does not depend
on which streams run beside it, so they may be shared out to threads in any way.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.cell import tanh, unit
from trajlm.kernels.product import add_packed_product
from trajlm.kernels.simd import WIDTH, fma, load, splat, store

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
ZERO, ONE = np.float32(0), np.float32(1)


@numba.njit(nogil=True, cache=True)
def forward(
    states: I64,
    inputs: F32,
    recurrent: F32,
    hidden: F32,
    cell: F32,
    gates: F32,
    begin: int,
    end: int,
) -> None:
    """Fill hidden and cell from the memory in their first frame, and the gates.

    Parameters
    ----------
    states
        Shape (window, streams).
    inputs
        Shape (n_states, 4L).
    recurrent
        The recurrent weights (L, 4L), packed.
    hidden, cell
        Shape (window + 1, streams, L).
    gates
        Gates after their nonlinearity, shape (window, streams, 4L).
    begin, end
        The streams to run.
    """
    window, streams = states.shape
    L = hidden.shape[2]
    for t in range(window):
        first = t * streams + begin
        for s in range(begin, end):
            for k in range(0, 4 * L, WIDTH):
                entry = load(inputs, states[t, s] * 4 * L + k)
                store(gates, (t * streams + s) * 4 * L + k, entry)
        n = end - begin
        add_packed_product(gates, first * 4 * L, 4 * L, hidden, first * L, L, recurrent, n)
        for row in range(first, first + n):
            for k in range(0, L, WIDTH):
                at, before, after = row * 4 * L + k, row * L + k, (row + streams) * L + k
                i, f, g, o, c = unit(gates, at, L, load(cell, before))
                store(cell, after, c)
                store(hidden, after, o * tanh(c))
                store(gates, at, i)
                store(gates, at + L, f)
                store(gates, at + 2 * L, g)
                store(gates, at + 3 * L, o)


@numba.njit(nogil=True, cache=True)
def backward(
    recurrent: F32, cell: F32, gates: F32, hidden_gradient: F32, begin: int, end: int
) -> None:
    """Turn `gates` into the gradient of the gates before their nonlinearity.

    Parameters
    ----------
    recurrent
        The transposed recurrent weights (4L, L), packed.
    cell, gates
        As `forward` left them.
    hidden_gradient
        Gradient of what `hidden` is used for outside, shape (window, streams, L).
    begin, end
        The streams to run.
    """
    window, streams, L = hidden_gradient.shape
    dh = np.zeros((end - begin, L), np.float32)
    dc = np.zeros((end - begin, L), np.float32)
    one, zero = splat(ONE), splat(ZERO)
    for t in range(window - 1, -1, -1):
        first = t * streams + begin
        for s in range(end - begin):
            row = first + s
            for k in range(0, L, WIDTH):
                at, before, after = row * 4 * L + k, row * L + k, (row + streams) * L + k
                i, f = load(gates, at), load(gates, at + L)
                g, o = load(gates, at + 2 * L), load(gates, at + 3 * L)
                tanh_c = tanh(load(cell, after))
                d = load(dh, s * L + k) + load(hidden_gradient, before)
                store(dh, s * L + k, zero)
                q = fma(d * o, one - tanh_c * tanh_c, load(dc, s * L + k))
                store(dc, s * L + k, q * f)
                store(gates, at, q * g * i * (one - i))
                store(gates, at + L, q * load(cell, before) * f * (one - f))
                store(gates, at + 2 * L, q * i * (one - g * g))
                store(gates, at + 3 * L, d * tanh_c * o * (one - o))
        add_packed_product(dh, 0, L, gates, first * 4 * L, 4 * L, recurrent, end - begin)


@numba.njit(nogil=True, cache=True)
def add_by_state(states: I64, rows: F32, table: F32, begin: int, end: int) -> None:
    """Add each of `rows` (window, streams, 4L) to the row of `table` that its state reads.

    Only the columns from `begin` up to `end` are added; both are multiples of the vectors.
    """
    window, streams, columns = rows.shape
    for t in range(window):
        for s in range(streams):
            row, entry = (t * streams + s) * columns, states[t, s] * columns
            for k in range(begin, end, WIDTH):
                store(table, entry + k, load(table, entry + k) + load(rows, row + k))
