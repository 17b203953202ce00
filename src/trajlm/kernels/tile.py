"""The tile of a matrix product that stays in registers, written as the compiler's vector code.

A tile is ``out[r, c] += sum_k a[r, k] b[k, c]`` for some rows r and for the `PANEL` columns c of a
panel (or of some). Its sums, one vector for each r and each `WIDTH` columns, stay in registers for
all k; for each k the loop reads the vectors of row k of b and one number of each row of a::

    for k:   b0 b1 = b[k, 0:16], b[k, 16:32]          (AVX-512: a panel is two vectors)
             for r:   x = a[r, k] in all elements;   sum[r, 0] += x b0;   sum[r, 1] += x b1

Each sum goes in order of k, one fused multiplication and addition at a time, whatever the tile.

How many rows: the more, the less is read for each sum. But a compiler may read all factors of a k
before the first sum, as that for Zen 4 does, and then sums, factors and vectors of b all have to
fit the registers: with AVX-512 ``2 rows + rows + 2 <= 32``. Twelve rows went from 107 to 70 GFLOP/s
there; eight are as fast as twelve where the compiler reads a factor when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from trajlm.kernels.simd import (
    VECTOR,
    WIDTH,
    address,
    load_half_vector,
    load_vector,
    multiply_add,
    splat_vector,
    store_vector,
)

# Columns that are packed together.
PANEL = 32


@dataclass(frozen=True)
class Arithmetic:
    """What a product is made of, each as a function that emits it.

    Parameters
    ----------
    factor, column
        From the builder and a pointer, a vector filled with one number of a row of a, and the
        numbers of a row of b.
    multiply_add
        From the builder and a, b, c, the vector a b + c.
    """

    factor: Callable[[Any, Any], Any]
    column: Callable[[Any, Any], Any]
    multiply_add: Callable[[Any, Any, Any, Any], Any]


def splat_at(builder: Any, pointer: Any) -> Any:
    """Emit a vector filled with the number at a pointer."""
    return splat_vector(builder, builder.load(pointer, align=4))


SINGLE = Arithmetic(splat_at, load_vector, multiply_add)
HALF = Arithmetic(splat_at, load_half_vector, multiply_add)


def tile(rows: int, panels: int = 1) -> Any:
    """Return the compiled product of `rows` rows of a and neighbouring panels of b.

    The function takes, each with the element where its memory is read from and the steps in it:
    ``out, first, to the next row; a, first, to the next row, in depth; b, first, in depth, to the
    next panel; depth; table, row length, column, row_numbers, first``. The type of b tells its
    precision: float32, or half in a uint16. The product is added to what is in `out`; or where
    there is a table, to its rows from `column` on, row r to row ``row_numbers[first + r]``. Those
    are read last, since a lane that is alone does not know its state earlier.
    """

    @intrinsic
    def multiply(
        typingctx: Any, out: Any, out0: Any, out_row: Any, a: Any, a0: Any, a_row: Any, a_step: Any,
        b: Any, b0: Any, b_step: Any, b_panel: Any, depth: Any,
        table: Any, table_row: Any, column: Any, row_numbers: Any, first: Any,
    ) -> Any:  # fmt: skip
        looked_up = isinstance(table, types.Array)
        arithmetic = SINGLE if b.dtype == types.float32 else HALF

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, out0, out_row, a, a0, a_row, a_step, b, b0, b_step, b_panel, depth = args[:12]
            n_columns = panels * PANEL
            out = address(context, builder, sig.args[0], out, out0)
            places = vectors_of_rows(builder, out, multiples(builder, out_row, rows), n_columns)
            a = address(context, builder, sig.args[3], a, a0)
            a_rows = [builder.gep(a, [step]) for step in multiples(builder, a_row, rows)]
            b = address(context, builder, sig.args[7], b, b0)
            if looked_up:
                zero = ir.Constant(VECTOR, [0.0] * WIDTH)
                sums = [[zero for _ in row] for row in places]
            else:
                sums = [[load_vector(builder, p) for p in row] for row in places]
            sums = over_depth(builder, arithmetic, sums, depth, a_rows, a_step, b, b_step, b_panel)
            if looked_up:
                table, table_row, column, row_numbers, first = args[12:]
                table = address(context, builder, sig.args[12], table, column)
                numbers = address(context, builder, sig.args[15], row_numbers, first)
                starts = looked_up_rows(builder, table, table_row, numbers, rows, n_columns)
                for row, start_row in zip(sums, starts, strict=True):
                    for v, start in enumerate(start_row):
                        row[v] = builder.fadd(row[v], load_vector(builder, start))
            for place_row, row in zip(places, sums, strict=True):
                for place, value in zip(place_row, row, strict=True):
                    store_vector(builder, value, place)
            return context.get_dummy_value()

        n = types.intp
        kinds = out, n, n, a, n, n, n, b, n, n, n, n, table, n, n, row_numbers, n
        return types.void(*kinds), codegen

    return multiply


def over_depth(
    builder: Any,
    arithmetic: Arithmetic,
    sums: list[list[Any]],
    depth: Any,
    a_rows: list[Any],
    a_step: Any,
    b: Any,
    b_step: Any,
    b_panel: Any,
) -> list[list[Any]]:
    """Emit the loop over the depth of a product, one at least; return the sums after it."""
    before = builder.block
    loop, done = builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = _carried(builder, depth.type(0), before)
    held = [[_carried(builder, x, before) for x in row] for row in sums]
    a_depth, b_row = builder.mul(k, a_step), builder.gep(b, [builder.mul(k, b_step)])

    @cache
    def factor(r: int) -> Any:
        return arithmetic.factor(builder, builder.gep(a_rows[r], [a_depth]))

    @cache
    def column(v: int) -> Any:
        panel, first = divmod(v * WIDTH, PANEL)
        at = builder.add(builder.mul(b_panel, depth.type(panel)), depth.type(first))
        return arithmetic.column(builder, builder.gep(b_row, [at]))

    # Each is loaded when it is first used, and of the larger number of them only one is held at
    # a time: with all loaded at once, sums would leave the registers.
    n_rows, n_vectors = len(sums), len(sums[0])
    order = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
    if n_rows < n_vectors:
        order.sort(key=lambda pair: pair[1])
    after: list[list[Any]] = [[None] * n_vectors for _ in sums]
    for r, v in order:
        after[r][v] = arithmetic.multiply_add(builder, factor(r), column(v), held[r][v])
        held[r][v].add_incoming(after[r][v], loop)
    k_next = builder.add(k, depth.type(1))
    k.add_incoming(k_next, loop)
    builder.cbranch(builder.icmp_signed("<", k_next, depth), loop, done)
    builder.position_at_end(done)
    return after


def multiples(builder: Any, step: Any, n: int) -> list[Any]:
    """Return 0, 1, ... times a step."""
    return [builder.mul(step, step.type(k)) for k in range(n)]


def looked_up_rows(
    builder: Any, table: Any, table_row: Any, numbers: Any, rows: int, columns: int
) -> list[list[Any]]:
    """Return the pointers to the vectors of the rows of a table that the `numbers` name."""
    n = table_row.type
    steps = [
        builder.mul(table_row, builder.load(builder.gep(numbers, [n(r)]))) for r in range(rows)
    ]
    return vectors_of_rows(builder, table, steps, columns)


def vectors_of_rows(builder: Any, first: Any, steps: list[Any], columns: int) -> list[list[Any]]:
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
