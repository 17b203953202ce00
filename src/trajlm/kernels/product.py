"""Matrix products inside compiled loops, near the rate of the processor.

``out += a @ b``, or ``out = rows of a table + a @ b``, in tiles of `ROWS` by `PANEL` numbers that
stay in registers over the whole depth of the product: per step of the depth one row of b and
`ROWS` numbers of a are read for `ROWS` times `PANEL` multiply-adds. The matrix b is packed in
panels of `PANEL` columns so that it is read in order, and may be held in half precision; each
element of `out` is summed in order of the depth, so a row of the result has the same bits whatever
rows are beside it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from trajlm.kernels.arrays import F32, I64, inlined, on_lines
from trajlm.kernels.simd import (
    VECTOR,
    WIDE,
    WIDTH,
    address,
    load,
    load_half_vector,
    load_vector,
    multiply_add,
    splat_vector,
    store,
    store_vector,
)

PANEL = 32
# Sums, ROWS numbers of a and a vector of b (AVX-512: a row of b and a number of a) fill the 16
# (32) registers.
ROWS = 12 if WIDE else 3
# Rows of the smaller tile for what is left of them.
FEW = 4 if WIDE else 2
# Rows in multiples of this leave none to be multiplied alone.
WHOLE = FEW if WIDE else ROWS
# Depth after which a panel of b (16 KiB; AVX-512: 32) would push the rows of a out of the first
# cache.
DEPTH = 256 if WIDE else 128

# Panels that a row which is alone multiplies at a time, to keep the adders busy.
LONG = 4 if WIDE else 3

Packed = npt.NDArray[np.float32 | np.uint16]


def tile(rows: int, panels: int = 1) -> Any:
    """Return the compiled product of `rows` rows of a and neighbouring panels of b.

    The function takes, each with the element where its memory is read from and the steps in it:
    ``out, first, to the next row; a, first, to the next row, in depth; b, first, in depth, to the
    next panel; depth; table, row length, column, which, first``. The type of b tells its
    precision: float32, or half in a uint16. The product is added to what is in `out`, or to the
    rows of a table from `column` on: row r to row ``which[first + r]``, which is read last, as a
    lane alone does not know its state earlier.
    """

    @intrinsic
    def multiply(
        typingctx: Any, out: Any, out0: Any, out_row: Any, a: Any, a0: Any, a_row: Any, a_step: Any,
        b: Any, b0: Any, b_step: Any, b_panel: Any, depth: Any,
        table: Any, table_row: Any, column0: Any, which: Any, first_row: Any,
    ) -> Any:  # fmt: skip
        looked_up = isinstance(table, types.Array)
        load_b = load_vector if b.dtype == types.float32 else load_half_vector

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, out0, out_row, a, a0, a_row, a_step, b, b0, b_step, b_panel, depth = args[:12]
            first = address(context, builder, sig.args[0], out, out0)
            steps = [builder.mul(out_row, out_row.type(r)) for r in range(rows)]
            places = _places(builder, first, steps, panels * PANEL)
            if looked_up:
                table, table_row, column0, which, first_row = args[12:]
                first = address(context, builder, sig.args[12], table, column0)
                wanted = address(context, builder, sig.args[15], which, first_row)
                numbers = [builder.load(builder.gep(wanted, [depth.type(r)])) for r in range(rows)]
                steps = [builder.mul(table_row, number) for number in numbers]
                table_places = _places(builder, first, steps, panels * PANEL)
            a = address(context, builder, sig.args[3], a, a0)
            a_rows = [builder.gep(a, [builder.mul(a_row, a_row.type(r))]) for r in range(rows)]
            b = address(context, builder, sig.args[7], b, b0)

            before = builder.block
            loop = builder.append_basic_block("depth")
            after = builder.append_basic_block("done")
            zero = ir.Constant(VECTOR, [0.0] * WIDTH)
            sums = [[zero if looked_up else load_vector(builder, p) for p in row] for row in places]
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(depth.type)
            k.add_incoming(depth.type(0), before)
            held = [[_carried(builder, x, before) for x in row] for row in sums]
            a_depth = builder.mul(k, a_step)
            b_row = builder.gep(b, [builder.mul(k, b_step)])

            @cache
            def factor(r: int) -> Any:
                number = builder.load(builder.gep(a_rows[r], [a_depth]), align=4)
                return splat_vector(builder, number)

            @cache
            def column(v: int) -> Any:
                panel, first = divmod(v * WIDTH, PANEL)
                at = builder.add(builder.mul(b_panel, depth.type(panel)), depth.type(first))
                return load_b(builder, builder.gep(b_row, [at]))

            # Each is loaded when it is first used, and of the larger number of them only one is
            # held at a time: with all loaded at once, sums would leave the registers.
            n_columns = panels * PANEL // WIDTH
            order = [(r, v) for r in range(rows) for v in range(n_columns)]
            if rows < n_columns:
                order.sort(key=lambda pair: pair[1])
            for r, v in order:
                sums[r][v] = multiply_add(builder, factor(r), column(v), held[r][v])
                held[r][v].add_incoming(sums[r][v], loop)
            k_next = builder.add(k, depth.type(1))
            k.add_incoming(k_next, loop)
            builder.cbranch(builder.icmp_signed("<", k_next, depth), loop, after)
            builder.position_at_end(after)
            for r in range(rows):
                for v, place in enumerate(places[r]):
                    value = sums[r][v]
                    if looked_up:
                        value = builder.fadd(value, load_vector(builder, table_places[r][v]))
                    store_vector(builder, value, place)
            return context.get_dummy_value()

        n = types.intp
        kinds = out, n, n, a, n, n, n, b, n, n, n, n, table, n, n, which, n
        return types.void(*kinds), codegen

    return multiply


def _places(builder: Any, first: Any, steps: list[Any], columns: int) -> list[list[Any]]:
    """Return the pointers to the vectors of rows that begin some steps after `first`."""
    starts = [builder.gep(first, [step]) for step in steps]
    return [
        [builder.gep(p, [step.type(v)]) for v in range(0, columns, WIDTH)]
        for p, step in zip(starts, steps, strict=True)
    ]


def _carried(builder: Any, value: ir.Value, block: Any) -> Any:
    """Return the value that a loop carries, `value` when it comes from `block`."""
    phi = builder.phi(value.type)
    phi.add_incoming(value, block)
    return phi


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
    _add_panels(0, columns // PANEL, False, out, out0, columns, a, a0, a_row, depth, b, rows)


@inlined
def add_to_looked_up(
    out: F32, out0: int, columns: int, a: F32, a0: int, a_row: int, depth: int, b: Packed,
    rows: int, table: F32, which: I64, first: int,
) -> None:  # fmt: skip
    """Write the sum of a product and the rows ``which[first:]`` of a `table` to `out`.

    The arguments are else as for `add_packed_product`.
    """
    panels = columns // PANEL
    add_panels_to_looked_up(
        0, panels, False, out, out0, columns, a, a0, a_row, depth, b, rows, table, which, first
    )


@inlined
def add_panels_to_looked_up(
    begin: int, end: int, backwards: bool, out: F32, out0: int, columns: int, a: F32, a0: int,
    a_row: int, depth: int, b: Packed, rows: int, table: F32, which: I64, first: int,
) -> None:  # fmt: skip
    """Write the panels from `begin` to `end` of what `add_to_looked_up` writes.

    Going through a deep matrix `backwards` every other time finds some still in the cache.
    """
    if depth > DEPTH:
        for r in range(rows):
            to, row = out0 + r * columns, which[first + r] * columns
            for k in range(begin * PANEL, end * PANEL, WIDTH):
                store(out, to + k, load(table, row + k))
        _add_panels(begin, end, backwards, out, out0, columns, a, a0, a_row, depth, b, rows)
        return
    stride = depth * PANEL
    n_long = (end - begin) // LONG if rows == 1 else 0
    for k in range(n_long):
        p = begin + k * LONG
        _one_long_row(
            out, out0 + p * PANEL, columns, a, a0, a_row, 1, b, p * stride, PANEL, stride, depth,
            table, columns, p * PANEL, which, first,
        )  # fmt: skip
    for p in range(begin + n_long * LONG, end):
        _fill_panel(
            out, out0 + p * PANEL, columns, a, a0, a_row, 1, b, p * stride, PANEL, rows, depth,
            table, p * PANEL, which, first,
        )  # fmt: skip


@inlined
def _add_panels(
    begin: int, end: int, backwards: bool, out: F32, out0: int, columns: int, a: F32, a0: int,
    a_row: int, depth: int, b: Packed, rows: int,
) -> None:  # fmt: skip
    """Add the panels from `begin` to `end` of a product."""
    stride = depth * PANEL
    n_long = (end - begin) // LONG if rows == 1 else 0
    for k in range(n_long):
        p = begin + LONG * (n_long - 1 - k if backwards else k)
        _one_long_row(
            out, out0 + p * PANEL, columns, a, a0, a_row, 1, b, p * stride, PANEL, stride, depth,
            None, 0, 0, None, 0,
        )  # fmt: skip
    for p in range(begin + n_long * LONG, end):
        for k in range(0, depth, DEPTH):
            d, b0 = min(DEPTH, depth - k), p * stride + k * PANEL
            _fill_panel(
                out, out0 + p * PANEL, columns, a, a0 + k, a_row, 1, b, b0, PANEL, rows, d,
                None, 0, None, 0,
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
    table: F32 | None, column: int, which: I64 | None, first: int,
) -> None:  # fmt: skip
    """Fill a panel of `out`, in the largest tiles that its rows fill."""
    r = 0
    while r + ROWS <= rows:
        _many_rows(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, which, first + r,
        )  # fmt: skip
        r += ROWS
    while r + FEW <= rows:
        _few_rows(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, which, first + r,
        )  # fmt: skip
        r += FEW
    while r < rows:
        _one_row(
            out, out0 + r * columns, columns, a, a0 + r * a_row, a_row, a_step,
            b, b0, b_step, 0, depth, table, columns, column, which, first + r,
        )  # fmt: skip
        r += 1


def packed(matrix: F32, memory: F32 | None = None) -> F32:
    """Return a matrix (depth, columns) in panels, flat; columns are a multiple of `PANEL`.

    It may take the memory of what this has returned for a matrix of the same size.
    """
    depth, columns = matrix.shape
    panels = matrix.reshape(depth, columns // PANEL, PANEL).swapaxes(0, 1)
    result = on_lines((matrix.size,)) if memory is None else memory
    result.reshape(panels.shape)[:] = panels
    return result


def halved(matrix: F32) -> npt.NDArray[np.uint16]:
    """Return a packed matrix in half precision."""
    result = on_lines(matrix.shape, np.float16)
    result[:] = matrix
    return result.view(np.uint16)
