"""The recurrent product of generation, with weights in single precision, in half, or in bytes.

In bytes, a weight is an integer times the scale s of its row, ``w = s (u + v / 256)``, with u one
signed byte and v, for a fine unit only, half a second one (a multiple of 16). A hidden state h
between -1 and 1 is ``h = (256 H + K - 32768) / 32767`` with two unsigned bytes H and K. A gate is
then::

    A[x] + sum_l w_l h_l = A[x] + s / 32767 * (256 P + Q)
    P = sum u H - 128 sum u
    Q = sum u K + sum v H - 128 sum v + sum v K / 256

The last sum, of what is worth 1/65536 of the first, is replaced by its mean for evenly spread K,
half a v each. P and Q are sums of integers and exact, whatever their order.

In memory, for each lane (`parts`): H of all L units, K of all, H once more of the fine units. A
panel of weights: u of its `PANEL` columns for units 0 to 3, four bytes a column, then for 4 to 7,
and so on; after them v of the fine units, eight of them in four bytes: of the first four in the
lower halves, of the others in the higher.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels import product
from trajlm.kernels.arguments import I32, Recurrent
from trajlm.kernels.arrays import F32, I64, cache_aligned
from trajlm.kernels.byte_tile import EIGHT, FOUR, byte_tile
from trajlm.kernels.compiled import inlined
from trajlm.kernels.product import Packed, add_panels_to_looked_up
from trajlm.kernels.simd import WIDE
from trajlm.kernels.tile import PANEL

I8 = npt.NDArray[np.int8]
U8 = npt.NDArray[np.uint8]

# Two sums for each number of the result, so half the rows of other tiles (see `tile`).
ROWS = 4 if WIDE else 1
FEW = 2 if WIDE else 1
# Panels that a row which is alone multiplies at a time.
LONG = 4 if WIDE else 1

# A hidden state of 1, and the integer of a hidden state of 0.
UNITY, MIDDLE = np.float32(32767), np.float32(32768)

_many_rows = byte_tile(ROWS)
_few_rows = byte_tile(FEW)
_one_row = byte_tile(1)
_one_long_row = byte_tile(1, LONG)


def tile_rows(recurrent: Recurrent) -> tuple[int, int]:
    """Return the lanes of the larger and of the smaller tile."""
    return (product.ROWS, product.FEW) if recurrent.units is None else (ROWS, FEW)


@numba.njit(nogil=True)
def memory_for_bytes(lanes: int, recurrent: Recurrent) -> U8:
    """Return memory for the hidden states of some lanes in bytes, empty where there are none."""
    memory: U8 = _bytes_of(lanes, recurrent.scales, recurrent.units)
    return memory


@numba.njit(nogil=True)
def _bytes_of(lanes: int, scales: F32 | None, units: I64 | None) -> U8:
    """Do what `memory_for_bytes` does; what is None decides when this is compiled."""
    if scales is None or units is None:
        return np.empty((lanes, 0), np.uint8)
    return np.empty((lanes, len(scales) // 2 + len(units)), np.uint8)


@inlined
def add_recurrent(
    begin: int, end: int, backwards: bool, out: F32, out0: int, hidden: F32, parts: U8,
    recurrent: Recurrent, table: F32, row_numbers: I64,
) -> None:  # fmt: skip
    """Write the panels from `begin` to `end` of hidden times recurrent, plus rows of a table.

    Parameters
    ----------
    backwards
        As for `add_panels_to_looked_up`.
    out, out0
        Where the result (lanes, 4L) goes, from element `out0` of the memory on.
    parts
        What `memory_for_bytes` returned.
    """
    _add_either(
        begin, end, backwards, out, out0, hidden, parts, table, row_numbers, recurrent.weights,
        recurrent.offsets, recurrent.scales, recurrent.units,
    )  # fmt: skip


@inlined
def _add_either(
    begin: int, end: int, backwards: bool, out: F32, out0: int, hidden: F32, parts: U8,
    table: F32, row_numbers: I64, weights: Packed | I8,
    offsets: I32 | None, scales: F32 | None, units: I64 | None,
) -> None:  # fmt: skip
    """Do what `add_recurrent` does; what is None decides when this is compiled."""
    lanes, L = hidden.shape
    if units is None:
        add_panels_to_looked_up(
            begin, end, backwards, out, out0, 4 * L, hidden, 0, L, L, weights, lanes,
            table, row_numbers, 0,
        )  # fmt: skip
    else:
        _split(hidden, units, parts)
        _add_byte_panels(
            begin, end, backwards, out, out0, L, parts, weights, lanes, offsets, scales,
            len(units), table, row_numbers,
        )  # fmt: skip


@inlined
def _split(hidden: F32, units: I64, parts: U8) -> None:
    """Write hidden states (lanes, L) as bytes: the higher, the lower, the higher of fine units."""
    lanes, L = hidden.shape
    for lane in range(lanes):
        for k in range(L):
            # Half more, since the conversion cuts off what is behind the point.
            value = np.int32(hidden[lane, k] * UNITY + (MIDDLE + np.float32(0.5)))
            parts[lane, k] = value >> 8
            parts[lane, L + k] = value & 255
        for k in range(len(units)):
            parts[lane, 2 * L + k] = parts[lane, units[k]]


@inlined
def _add_byte_panels(
    begin: int, end: int, backwards: bool, out: F32, out0: int, L: int, parts: U8, weights: I8,
    lanes: int, offsets: I32, scales: F32, fine: int, table: F32, row_numbers: I64,
) -> None:  # fmt: skip
    """Write panels of the product in bytes."""
    stride, row, columns = (L + fine // 2) * PANEL, 2 * L + fine, 4 * L
    n_long = (end - begin) // LONG if lanes == 1 else 0
    for i in range(n_long):
        p = begin + LONG * (n_long - 1 - i if backwards else i)
        _one_long_row(
            out, out0 + p * PANEL, columns, parts, 0, weights, p * stride, stride, L, fine,
            offsets, scales, columns, table, columns, p * PANEL, row_numbers, 0,
        )  # fmt: skip
    others = begin + n_long * LONG
    for i in range(end - others):
        p = end - 1 - i if backwards else others + i
        r = 0
        while r + ROWS <= lanes:
            _many_rows(
                out, out0 + r * columns + p * PANEL, columns, parts, r * row, weights, p * stride,
                stride, L, fine, offsets, scales, columns,
                table, columns, p * PANEL, row_numbers, r,
            )  # fmt: skip
            r += ROWS
        while r + FEW <= lanes:
            _few_rows(
                out, out0 + r * columns + p * PANEL, columns, parts, r * row, weights, p * stride,
                stride, L, fine, offsets, scales, columns,
                table, columns, p * PANEL, row_numbers, r,
            )  # fmt: skip
            r += FEW
        while r < lanes:
            _one_row(
                out, out0 + r * columns + p * PANEL, columns, parts, r * row, weights, p * stride,
                stride, L, fine, offsets, scales, columns,
                table, columns, p * PANEL, row_numbers, r,
            )  # fmt: skip
            r += 1


def in_bytes(high: I8, low: I8, units: I64, scales: F32, n_fine: int) -> Recurrent:
    """Return a recurrent matrix of bytes, packed.

    Parameters
    ----------
    high, low
        The first byte of each weight (4L, L), the second of those of the fine units (4L, fine),
        multiples of 16.
    units, scales, n_fine
        See `Recurrent`.
    """
    offsets = cache_aligned((2, len(high)), np.int32)
    # Hidden states are 128 too large in their higher bytes. Of a product of two lower bytes,
    # worth 1/256, the mean is half a weight.
    offsets[0] = -128 * high.sum(axis=1, dtype=np.int64)
    offsets[1] = -255 * low.sum(axis=1, dtype=np.int64) // 2
    factors = cache_aligned(scales.shape)
    factors[:] = scales / UNITY
    panels = np.concatenate([_in_fours(high), _in_fours(_halves_together(low))], axis=1)
    weights = cache_aligned((panels.size,), np.int8)
    weights[:] = panels.ravel()
    return Recurrent(weights, offsets, factors, units, n_fine)


def _in_fours(matrix: I8) -> I8:
    """Return a matrix (columns, depth) by panels: (panels, bytes), four of the depth together."""
    columns, depth = matrix.shape
    panels = matrix.reshape(columns // PANEL, PANEL, depth // FOUR, FOUR)
    return panels.swapaxes(1, 2).reshape(columns // PANEL, -1)


def _halves_together(low: I8) -> I8:
    """Return bytes (columns, depth), of each eight of the depth four that hold their halves."""
    columns, depth = low.shape
    first, second = low.view(np.uint8).reshape(columns, depth // EIGHT, 2, FOUR).swapaxes(0, 2)
    both = (first >> 4) | second
    return both.swapaxes(0, 1).reshape(columns, depth // 2).view(np.int8)
