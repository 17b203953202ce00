"""One window of the language model forward and backward, by hand, for some streams.

One stream reads the states x_0, x_1, ... and is to predict the label y_t of x_{t+1}, `given` the
number q_t of what is known of x_{t+1} before (of a whole state nothing is, and q_t = x_t). With
rows as vectors, the table A (`inputs`: the product of embedding and input weights, plus biases),
that of what is given, G (`given_inputs`, without rows where nothing is), the recurrent weights U
(`recurrent`, L by 4L), the read-out D (L by n_labels), its `bias` b and the `skip` B::

    a_t = A[x_t] + G[q_t] + h_{t-1} U             four gates of L numbers, in the order i, f, g, o
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);   g = tanh(a_g)
    c_t = f c_{t-1} + i g;                        h_t = o tanh(c_t)
    z_t = B[q_t] + b + h_t D
    nats = sum_t  ln(sum_k exp z_tk) - z_t[y_t]

Backward, with d(v) for the derivative of ``scale * nats`` by v::

    d(z_t) = scale (softmax(z_t) - one at y_t)    zero where there is no target
    d(h_t) = d(z_t) D^T + d(a_{t+1}) U^T
    d(c_t) = d(h_t) o (1 - tanh(c_t)^2) + d(c_{t+1}) f_{t+1}
    d(a_i) = d(c_t) g i (1 - i)                   as sigmoid' = sigmoid (1 - sigmoid)
    d(a_f) = d(c_t) c_{t-1} f (1 - f)
    d(a_g) = d(c_t) i (1 - g^2)                   as tanh' = 1 - tanh^2
    d(a_o) = d(h_t) tanh(c_t) o (1 - o)
    d(A[x]) = sum of d(a_t) over t with x_t = x,  d(G[q]) = the same over those with q_t = q
    d(B[q]) = sum of d(z_t) over t with q_t = q,  d(b) = sum_t d(z_t)
    d(U) = sum_t h_{t-1}^T d(a_t);                d(D) = sum_t h_t^T d(z_t)

After the last frame of a window, d(a) and d(c) are zero: gradients are cut there.

Arrays, each contiguous, frame by frame and in a frame stream by stream:

- hidden (window + 1, streams, L): hidden[t + 1] is h_t, hidden[0] the memory before the window;
  cell holds c_t in the same way.
- gates (window, streams, 4L): gates[t] is a_t, then i, f, g, o; `backward` turns these into d(a_t).
- logits (window, streams, padded n_labels): logits[t] is z_t, and at once d(z_t).

L and the padded n_labels are multiples of `PANEL`. `trajlm.kernels.plain` has the same without
vectors, and the tests hold both against PyTorch in double precision.
"""

from __future__ import annotations

import math

import numpy as np

from trajlm.kernels.arrays import F32, I64, aligned_rows
from trajlm.kernels.cell import SMALLEST, tanh, unit
from trajlm.kernels.compiled import compiled, inlined
from trajlm.kernels.lstm import exponentials
from trajlm.kernels.product import add_outer_products, add_packed_product, add_to_looked_up
from trajlm.kernels.simd import WIDTH, fma, load, prefetch, splat, store, total

ZERO, ONE = np.float32(0), np.float32(1)
# Rows that the weights' gradients sum at a time, while they are in the nearest cache.
ROWS_AT_ONCE = 128


@compiled
def forward(
    states: I64,
    given: I64,
    targets: I64,
    inputs: F32,
    given_inputs: F32,
    recurrent: F32,
    readout: F32,
    bias: F32,
    skip: F32,
    hidden: F32,
    cell: F32,
    gates: F32,
    logits: F32,
    scale: np.float32,
) -> float:
    """Return the summed -ln Q of the targets, and fill the arrays after `skip`.

    Parameters
    ----------
    states, given, targets
        Shape (window, streams); a negative target is none.
    inputs, given_inputs
        Shapes (n_states, 4L) and (n_given, 4L).
    recurrent, readout
        The recurrent weights (L, 4L) and those of the read-out (L, padded n_labels), packed.
    bias
        What is added to the logits, shape (padded n_labels,).
    skip
        What is given adds to the logits, shape (n_given, n_labels); n_states where nothing is.
    hidden, cell
        Shape (window + 1, streams, L); the first frame holds the memory before the window.
    gates
        Gates after their nonlinearity, shape (window, streams, 4L).
    logits
        Gradient by the logits, shape (window, streams, padded n_labels).
    scale
        Of the gradient.
    """
    window, streams = states.shape
    n_labels, (L, columns) = skip.shape[1], (hidden.shape[2], len(bias))
    nats = 0.0
    logit_rows, row_numbers = logits.reshape(-1, columns), states.reshape(-1)
    flat_logits, flat_skip = logits.reshape(-1), skip.reshape(-1)
    flat_gates, flat_given = gates.reshape(-1), given_inputs.reshape(-1)
    for t in range(window):
        first = t * streams
        for s in range(streams):
            row = (first + s) * columns
            for k in range(0, columns, WIDTH):
                store(logits, row + k, load(bias, k))
            add_row(flat_logits, row, flat_skip, given[t, s] * n_labels, n_labels)
        add_to_looked_up(
            gates, first * 4 * L, 4 * L, hidden, first * L, L, L, recurrent, streams,
            inputs, row_numbers, first,
        )  # fmt: skip
        if len(given_inputs):
            for s in range(streams):
                at = given[t, s] * 4 * L
                add_row(flat_gates, (first + s) * 4 * L, flat_given, at, 4 * L)
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
                for gate in range(4):
                    # Where the next frame's gates will be.
                    prefetch(gates, at + (4 * streams + gate) * L)
        add_packed_product(
            logits, first * columns, columns, hidden, (first + streams) * L, L, L, readout, streams
        )
        for s in range(streams):
            nats += _nats(logit_rows, first + s, targets[t, s], scale)
    return nats


@inlined
def _nats(logits: F32, row: int, target: int, scale: np.float32) -> float:
    """Return -ln Q(target), and turn the row of logits into `scale` times its gradient."""
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
    inverse, smallest = splat(scale / weight), splat(SMALLEST)
    for k in range(begin, end, WIDTH):
        # What only fills a panel becomes zero: a number too small to be normal is slow.
        store(logits, k, (load(logits, k) - smallest) * inverse)
    logits[row, target] -= scale
    return np.float64(highest) - np.float64(wanted) + math.log(weight)


@compiled
def backward(
    states: I64,
    given: I64,
    recurrent: F32,
    readout: F32,
    hidden: F32,
    cell: F32,
    gates: F32,
    logits: F32,
    grad_inputs: F32,
    grad_given: F32,
    grad_recurrent: F32,
    grad_readout: F32,
) -> None:
    """Turn `gates` into the gradient by the gates before their nonlinearity, and add up others.

    Parameters
    ----------
    states, given
        Shape (window, streams).
    recurrent, readout
        The transposed weights (4L, L) and (padded n_labels, L), packed.
    hidden, cell, gates, logits
        As `forward` left them.
    grad_inputs, grad_given
        The gradients by what states and what is given add to the gates, shapes (n_states, 4L) and
        (n_given, 4L).
    grad_recurrent, grad_readout
        Those by the recurrent weights (L, 4L) and the read-out (L, padded n_labels). Without
        rows, they are left to the library, which is faster for large matrices.
    """
    window, streams, columns = logits.shape
    L = cell.shape[2]
    dh, dc = aligned_rows(streams, L), aligned_rows(streams, L)
    flat_inputs, flat_gates = grad_inputs.reshape(-1), gates.reshape(-1)
    flat_given = grad_given.reshape(-1)
    end = window
    while end > 0:
        begin = max(0, end - max(1, ROWS_AT_ONCE // streams))
        for t in range(end - 1, begin - 1, -1):
            first = t * streams
            # dh is d(a_{t+1}) U^T from the frame after, and now d(h_t).
            add_packed_product(
                dh, 0, L, logits, first * columns, columns, columns, readout, streams
            )
            _gate_gradients(first, dh, dc, cell, gates)
            for s in range(streams):
                add_row(flat_inputs, states[t, s] * 4 * L, flat_gates, (first + s) * 4 * L, 4 * L)
            if len(grad_given):
                for s in range(streams):
                    at = given[t, s] * 4 * L
                    add_row(flat_given, at, flat_gates, (first + s) * 4 * L, 4 * L)
            add_packed_product(dh, 0, L, gates, first * 4 * L, 4 * L, 4 * L, recurrent, streams)
        if len(grad_recurrent):
            now, after, rows = begin * streams, (begin + 1) * streams, (end - begin) * streams
            add_outer_products(grad_recurrent, hidden, now * L, L, gates, now * 4 * L, 4 * L, rows)
            add_outer_products(
                grad_readout, hidden, after * L, L, logits, now * columns, columns, rows
            )
        end = begin


@inlined
def _gate_gradients(first: int, dh: F32, dc: F32, cell: F32, gates: F32) -> None:
    """Go back through the units of one frame, whose first row is `first`; clear `dh`.

    On entry `dh` is d(h_t) and `dc` is d(c_{t+1}) f_{t+1}; `q` is d(c_t).
    """
    streams, L = dh.shape
    one, zero = splat(ONE), splat(ZERO)
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


@compiled
def add_by_given(given: I64, logits: F32, grad_skip: F32) -> None:
    """Add each row of `logits` (window, streams, columns) to the row of `grad_skip` it was given.

    The last columns, which only fill a panel, are left out.
    """
    window, streams, columns = logits.shape
    wanted = grad_skip.shape[1]
    flat_skip, flat_logits = grad_skip.reshape(-1), logits.reshape(-1)
    for t in range(window):
        for s in range(streams):
            row = (t * streams + s) * columns
            add_row(flat_skip, given[t, s] * wanted, flat_logits, row, wanted)


@inlined
def add_row(total: F32, to: int, more: F32, at: int, columns: int) -> None:
    """Add `columns` numbers of `more` to those of `total`, both flat, from `at` and `to` on."""
    whole = columns // WIDTH * WIDTH
    for k in range(0, whole, WIDTH):
        store(total, to + k, load(total, to + k) + load(more, at + k))
    for k in range(whole, columns):
        total[to + k] += more[at + k]
