"""Rounding weights so that their errors cancel in the hidden states that occur.

Rounding W to Q costs |(W - Q) h|^2, in the mean tr (W - Q) G (W - Q)^T with G the mean of h h^T.
With G = C C^T, C lower triangular, the rows of W - Q times C are its terms: rounding from the last
column to the first, each can make up for what the columns after it did to its own term. This is
Babai's nearest plane, which is what Frantar et al. (GPTQ, arXiv:2210.17323) do with the inverse of
G. With pivots in the order of what is left of the diagonal, the columns that are rounded last are
those that say most about all others.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.arrays import F32, I64, aligned_rows
from trajlm.kernels.lstm import exponentials, read_out, step
from trajlm.kernels.product import add_outer_products
from trajlm.kernels.recurrent import I8, Recurrent

F64 = npt.NDArray[np.float64]
# Of the finer integers in one of the coarser.
FINER = 256
LARGEST = 127


@numba.njit(nogil=True, cache=True)
def add_gram(inputs: F32, recurrent: Recurrent, paths: npt.NDArray[Any], gram: F32) -> None:
    """Add h h^T of every lane and frame of `paths` (lanes, frames) to `gram`.

    It is square, L padded to whole panels.
    """
    lanes, frames = paths.shape
    L, columns = inputs.shape[1] // 4, len(gram)
    hidden, cell = aligned_rows(lanes, L), aligned_rows(lanes, L)
    padded = aligned_rows(lanes, columns)
    gates, parts = aligned_rows(lanes, 4 * L), np.empty((lanes, 0), np.uint8)
    states = np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        step(states, hidden, cell, inputs, recurrent, gates, parts)
        padded[:, :L] = hidden
        add_outer_products(gram, padded, 0, columns, padded, 0, columns, lanes)


@numba.njit(nogil=True, cache=True)
def largest_change(
    inputs: F32,
    recurrent: Recurrent,
    other: Recurrent,
    readout: F32,
    skip: F32,
    paths: npt.NDArray[Any],
    first: int,
) -> float:
    """Return the largest change of ln Q(s(t+1) | s(0..t)), from frame `first` of `paths` on.

    Both recurrent matrices are read along the whole of the paths, each with its own memory.
    """
    lanes, frames = paths.shape
    L, n_states = inputs.shape[1] // 4, len(inputs)
    hidden, cell = aligned_rows(lanes, L), aligned_rows(lanes, L)
    hidden_other, cell_other = aligned_rows(lanes, L), aligned_rows(lanes, L)
    gates, parts = aligned_rows(lanes, 4 * L), np.empty((lanes, 0), np.uint8)
    z, z_other = aligned_rows(lanes, skip.shape[1]), aligned_rows(lanes, skip.shape[1])
    states = np.empty(lanes, np.int64)
    largest = 0.0
    for t in range(frames - 1):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        step(states, hidden, cell, inputs, recurrent, gates, parts)
        step(states, hidden_other, cell_other, inputs, other, gates, parts)
        if t < first:
            continue
        read_out(states, hidden, readout, skip, z)
        read_out(states, hidden_other, readout, skip, z_other)
        for lane in range(lanes):
            then = paths[lane, t + 1]
            change = _log_prob(z_other, lane, then, n_states) - _log_prob(z, lane, then, n_states)
            largest = max(largest, abs(change))
    return largest


@numba.njit(nogil=True)
def _log_prob(z: F32, lane: int, state: int, n_states: int) -> float:
    """Return the log probability of a state from a row of logits, which are lost."""
    logit = z[lane, state]
    highest = exponentials(z, lane, np.float32(1.0))
    total = 0.0
    for k in range(n_states):
        total += z[lane, k]
    return float(logit) - float(highest) - math.log(total)


@numba.njit(nogil=True, cache=True)
def pivoted_cholesky(gram: F64, order: I64) -> None:
    """Replace G (L, L) by the lower triangle of C, G[order][:, order] = C C^T; fill `order`."""
    L = len(gram)
    for k in range(L):
        order[k] = k
    for k in range(L):
        pivot = k
        for j in range(k + 1, L):
            if gram[j, j] > gram[pivot, pivot]:
                pivot = j
        order[k], order[pivot] = order[pivot], order[k]
        for j in range(L):
            gram[k, j], gram[pivot, j] = gram[pivot, j], gram[k, j]
        for j in range(L):
            gram[j, k], gram[j, pivot] = gram[j, pivot], gram[j, k]
        root = np.sqrt(gram[k, k])
        column = gram[k:, k] / root
        gram[k:, k] = column
        for j in range(k + 1, L):
            factor = column[j - k]
            for i in range(k + 1, L):
                gram[j, i] -= factor * column[i - k]


@numba.njit(nogil=True, cache=True)
def round_rows(weights: F32, scales: F32, factor: F32, order: I64, high: I8, low: I8) -> None:
    """Write rows of weights as integers times their `scales`.

    Parameters
    ----------
    weights
        Shape (rows, L).
    factor, order
        C and its order of columns, see `pivoted_cholesky`.
    high, low
        Where the first bytes go, shape (rows, L), and the second ones, shape (rows, fine), of the
        columns that come first in that order.
    """
    rows, L = weights.shape
    fine = low.shape[1]
    made_up = np.empty(L, np.float32)
    for r in range(rows):
        made_up[:] = 0.0
        for k in range(L - 1, -1, -1):
            weight = weights[r, order[k]]
            wanted = (weight + made_up[k] / factor[k, k]) / scales[r]
            if k < fine:
                most = LARGEST * FINER + LARGEST
                n = min(max(int(np.round(wanted * FINER)), -most), most)
                first = (n + FINER // 2) // FINER
                low[r, k] = n - first * FINER
                value = np.float32(n) * scales[r] / np.float32(FINER)
            else:
                first = min(max(int(np.round(wanted)), -LARGEST), LARGEST)
                value = np.float32(first) * scales[r]
            high[r, order[k]] = first
            error = weight - value
            for i in range(k):
                made_up[i] += error * factor[k, i]
