"""Rounding weights so that their errors cancel in the hidden states that occur.

Rounding W to Q costs |(W - Q) h|^2, in the mean tr (W - Q) G (W - Q)^T with G the mean of h h^T.
With G = C C^T, C lower triangular, the rows of W - Q times C are its terms: rounding from the last
column to the first, each can make up for what the columns after it did to its own term. This is
Babai's nearest plane, which is what Frantar et al. (GPTQ, arXiv:2210.17323) do with the inverse of
G. With pivots in the order of what is left of the diagonal, the columns that are rounded last are
those that say most about all others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arguments import I32
from trajlm.kernels.arrays import F32, I64
from trajlm.kernels.compiled import compiled

F64 = npt.NDArray[np.float64]


@compiled
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


@compiled
def round_rows(
    weights: F32, worth: F32, factor: F32, order: I64, multiples: I64, most: int, out: I32
) -> None:
    """Write rows of weights as integers.

    Parameters
    ----------
    weights
        Shape (rows, L).
    worth
        What 1 is worth in each row.
    factor, order
        C and its order of columns, see `pivoted_cholesky`.
    multiples
        What the integers of each column, in that order, are multiples of.
    most
        Their largest absolute value.
    out
        Shape (rows, L).
    """
    rows, L = weights.shape
    made_up = np.empty(L, np.float32)
    for r in range(rows):
        made_up[:] = 0.0
        for k in range(L - 1, -1, -1):
            column = order[k]
            wanted = weights[r, column] + made_up[k] / factor[k, k]
            n = multiples[k] * int(np.round(wanted / (worth[r] * multiples[k])))
            out[r, column] = min(max(n, -most), most)
            error = weights[r, column] - np.float32(out[r, column]) * worth[r]
            for i in range(k):
                made_up[i] += error * factor[k, i]
