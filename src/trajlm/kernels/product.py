"""Matrix products inside compiled loops, near the rate of the processor.

``out += a @ b``, or ``out = rows of a table + a @ b``, in tiles of `ROWS` by `PANEL` numbers that
stay in registers over the whole depth of the product: per step of the depth one row of b and `ROWS`
numbers of a are read for `ROWS` times `PANEL` multiply-adds. The matrix b is packed in panels of
`PANEL` columns so that it is read in order, and may be held in half precision: element (k, c) lies
at ``(c // PANEL) * depth * PANEL + k * PANEL + c % PANEL``, so that a row of a panel is two or four
vectors, and the rows of a panel follow one another in order of the depth k. Each element of `out`
is summed in order of the depth, so a row of the result has the same bits whatever rows are beside
it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arrays import F32, I64, cache_aligned
from trajlm.kernels.compiled import inlined
from trajlm.kernels.simd import WIDE, WIDTH, load, store
from trajlm.kernels.tile import PANEL, tile

# Sums, ROWS numbers of a and a vector of b fill the 16 registers of AVX2. With AVX-512 sums, ROWS
# numbers of a and a row of b take 26 of 32: no compiler has to keep some in memory (see `tile`).
ROWS = 8 if WIDE else 3
# Rows of the smaller tile for what is left of them.
FEW = 4 if WIDE else 2
# Depth after which a panel of b (16 KiB; AVX-512: 32) would push the rows of a out of the first
# cache.
DEPTH = 256 if WIDE else 128
# Panels that a row which is alone multiplies at a time, to keep the adders busy.
LONG = 4 if WIDE else 3

Packed = npt.NDArray[np.float32 | np.uint16]

_many_rows = tile(ROWS)
_few_rows = tile(FEW)
_one_row = tile(1)
_one_long_row = tile(1, LONG)


@inlined
def add_packed_product(
    out: F32, out0: int, columns: int, a: F32, a0: int, a_row: int, depth: int, b: Packed, rows: int
) -> None:
    """Add a (rows, depth) times packed b (depth, columns) to `out` (rows, columns).

    `out0` and `a0` are the elements of the arrays' memory where the matrices begin, `a_row` those
    from one row of a to the next.
    """
    _fill_panels(
        0, columns // PANEL, False, out, out0, columns, a, a0, a_row, depth, b, rows, None, None, 0
    )


@inlined
def add_to_looked_up(
    out: F32, out0: int, columns: int, a: F32, a0: int, a_row: int, depth: int, b: Packed,
    rows: int, table: F32, row_numbers: I64, first: int,
) -> None:  # fmt: skip
    """Write a product plus the rows ``row_numbers[first:]`` of a `table` to `out`.

    The arguments are else as for `add_packed_product`.
    """
    add_panels_to_looked_up(
        0, columns // PANEL, False, out, out0, columns, a, a0, a_row, depth, b, rows,
        table, row_numbers, first,
    )  # fmt: skip


@inlined
def add_panels_to_looked_up(
    begin: int, end: int, backwards: bool, out: F32, out0: int, columns: int, a: F32, a0: int,
    a_row: int, depth: int, b: Packed, rows: int, table: F32, row_numbers: I64, first: int,
) -> None:  # fmt: skip
    """Write the panels from `begin` to `end` of what `add_to_looked_up` writes.

    A matrix too large for the cache is read faster `backwards` every other time, since its last
    panels are still there.
    """
    if depth <= DEPTH:
        _fill_panels(
            begin, end, backwards, out, out0, columns, a, a0, a_row, depth, b, rows,
            table, row_numbers, first,
        )  # fmt: skip
        return
    for r in range(rows):
        to, row = out0 + r * columns, row_numbers[first + r] * columns
        for k in range(begin * PANEL, end * PANEL, WIDTH):
            store(out, to + k, load(table, row + k))
    _fill_panels(
        begin, end, backwards, out, out0, columns, a, a0, a_row, depth, b, rows, None, None, 0
    )


@inlined
def _fill_panels(
    begin: int, end: int, backwards: bool, out: F32, out0: int, columns: int, a: F32, a0: int,
    a_row: int, depth: int, b: Packed, rows: int,
    table: F32 | None, row_numbers: I64 | None, first: int,
) -> None:  # fmt: skip
    """Do what `add_panels_to_looked_up` does, for at most `DEPTH` if there is a table."""
    stride = depth * PANEL
    n_long = (end - begin) // LONG if rows == 1 else 0
    for i in range(n_long):
        p = begin + LONG * (n_long - 1 - i if backwards else i)
        _one_long_row(
            out, out0 + p * PANEL, columns, a, a0, a_row, 1, b, p * stride, PANEL, stride, depth,
            table, columns, p * PANEL, row_numbers, first,
        )  # fmt: skip
    others = begin + n_long * LONG
    for i in range(end - others):
        p = end - 1 - i if backwards else others + i
        for k in range(0, depth, DEPTH):
            d, b0 = min(DEPTH, depth - k), p * stride + k * PANEL
            _fill_panel(
                out, out0 + p * PANEL, columns, a, a0 + k, a_row, 1, b, b0, PANEL, rows, d,
                table, p * PANEL, row_numbers, first,
            )  # fmt: skip


@inlined
def add_outer_products(
    out: F32, a: F32, a0: int, rows: int, b: F32, b0: int, columns: int, depth: int
) -> None:
    """Add to `out` (rows, columns) the transpose of a (depth, rows) times b (depth, columns).

    The columns are a multiple of `PANEL`, and b is not packed.
    """
    for p in range(0, columns, PANEL):
        _fill_panel(
            out, p, columns, a, a0, 1, rows, b, b0 + p, columns, rows, depth, None, 0, None, 0
        )


@inlined
def _fill_panel(
    out: F32, out0: int, columns: int, a: F32, a0: int, a_row: int, a_step: int,
    b: Packed, b0: int, b_step: int, rows: int, depth: int,
    table: F32 | None, column: int, row_numbers: I64 | None, first: int,
) -> None:  # fmt: skip
    """Fill a panel of `out`, in the largest tiles that its rows fill."""
    r = 0
    while r + ROWS <= rows:
        _many_rows(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, row_numbers, first + r,
        )  # fmt: skip
        r += ROWS
    while r + FEW <= rows:
        _few_rows(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, row_numbers, first + r,
        )  # fmt: skip
        r += FEW
    while r < rows:
        _one_row(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, row_numbers, first + r,
        )  # fmt: skip
        r += 1


def packed(matrix: F32, memory: F32 | None = None) -> F32:
    """Return a matrix (depth, columns) in panels, flat; columns are a multiple of `PANEL`.

    It may take the memory of what this has returned for a matrix of the same size.
    """
    depth, columns = matrix.shape
    panels = matrix.reshape(depth, columns // PANEL, PANEL).swapaxes(0, 1)
    result = cache_aligned((matrix.size,)) if memory is None else memory
    result.reshape(panels.shape)[:] = panels
    return result


def halved(matrix: F32) -> npt.NDArray[np.uint16]:
    """Return a packed matrix in half precision."""
    result = cache_aligned(matrix.shape, np.float16)
    result[:] = matrix
    return result.view(np.uint16)
