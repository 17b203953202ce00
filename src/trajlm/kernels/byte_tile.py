"""The tile of a product of integers that machines multiply in bytes, four at a time.

A row of a is split into bytes: the higher ones, the lower ones, and once more the higher ones of
its fine units. A weight is one signed byte, and of a fine unit half a second one, a multiple of 16,
worth 1/256 of the first; two of these share a byte. All sums are of integers and exact, so their
order does not matter.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from trajlm.kernels.simd import (
    VECTOR,
    WIDTH,
    address,
    load_vector,
    multiply_add,
    store_vector,
)
from trajlm.kernels.tile import (
    PANEL,
    Arithmetic,
    looked_up_rows,
    multiples,
    over_depth,
    splat_at,
    vectors_of_rows,
)

# Bytes that are multiplied and summed into one integer of 32 bits, and fine units whose halves
# fill as many.
FOUR, EIGHT = 4, 8

I32 = ir.IntType(32)
INTEGERS = ir.VectorType(I32, WIDTH)


def _multiply_bytes(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Emit c plus, in each element, the four products of a's bytes and b's signed ones."""
    kind = ir.FunctionType(INTEGERS, [INTEGERS] * 3)
    name = f"llvm.x86.avx512.vpdpbusd.{32 * WIDTH}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [c, a, b])


def _splat_two_integers(builder: Any, pointer: Any) -> tuple[Any, Any]:
    """Emit vectors filled with the four bytes at a pointer, and with the four after them."""
    after = builder.gep(pointer, [I32(1)])
    return splat_at(builder, pointer), splat_at(builder, after)


def _load_halves(builder: Any, pointer: Any) -> tuple[Any, Any]:
    """Emit an unaligned load of bytes; return their lower halves, times 16, and their higher."""
    both, mask = load_vector(builder, pointer), ir.Constant(INTEGERS, [0xF0F0F0F0] * WIDTH)
    lower = builder.shl(both, ir.Constant(INTEGERS, [4] * WIDTH))
    return builder.and_(lower, mask), builder.and_(both, mask)


def _multiply_halves(builder: Any, a: tuple[Any, Any], b: tuple[Any, Any], c: Any) -> Any:
    """Emit c plus the products of eight bytes of a and as many halves of b."""
    for four, halves in zip(a, b, strict=True):
        c = _multiply_bytes(builder, four, halves, c)
    return c


BYTES = Arithmetic(splat_at, load_vector, _multiply_bytes)
HALF_BYTES = Arithmetic(_splat_two_integers, _load_halves, _multiply_halves)


def byte_tile(rows: int, panels: int = 1) -> Any:
    """Return the compiled product of `rows` rows of a and neighbouring panels of b, plus a table.

    The function takes ``out, first, to the next row; a, first byte; b, first byte, to the next
    panel; L, fine units; offsets, scales, their length; table, row length, column, row_numbers,
    first``. What the integers come to, from `offsets` (2, columns) on, is multiplied by `scales`
    and added to the table's rows from `column` on, row r to row ``row_numbers[first + r]``.
    """

    @intrinsic
    def multiply(
        typingctx: Any, out: Any, out0: Any, out_row: Any, a: Any, a0: Any,
        b: Any, b0: Any, b_panel: Any, L: Any, fine: Any, offsets: Any, scales: Any, columns: Any,
        table: Any, table_row: Any, column: Any, row_numbers: Any, first: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, out0, out_row, a, a0, b, b0, b_panel, L, fine, offsets, scales, columns = args[:13]
            table, table_row, column, row_numbers, first = args[13:]
            n, n_columns = L.type, panels * PANEL

            def as_fours(kind: Any, array: Any, at: Any) -> Any:
                pointer = address(context, builder, kind, array, at)
                return builder.bitcast(pointer, I32.as_pointer())

            a = as_fours(sig.args[3], a, a0)
            b = as_fours(sig.args[5], b, b0)
            whole, b_panel = builder.sdiv(L, n(FOUR)), builder.sdiv(b_panel, n(FOUR))
            eights = builder.sdiv(fine, n(EIGHT))
            a_row = builder.mul(builder.add(whole, eights), n(2))
            high = [builder.gep(a, [step]) for step in multiples(builder, a_row, rows)]
            low = [builder.gep(pointer, [whole]) for pointer in high]
            again = [builder.gep(pointer, [whole]) for pointer in low]
            begin = address(context, builder, sig.args[10], offsets, column)
            begins = vectors_of_rows(builder, begin, multiples(builder, columns, 2), n_columns)
            highs, lows = [[load_vector(builder, p) for p in row] for row in begins]
            sums = [list(row) for row in [highs] * rows + [lows] * rows]
            one, panel = n(1), n(PANEL)
            sums = over_depth(builder, BYTES, sums, whole, high + low, one, b, panel, b_panel)
            highs, lows = sums[:rows], sums[rows:]
            b = builder.gep(b, [builder.mul(whole, panel)])
            lows = over_depth(builder, HALF_BYTES, lows, eights, again, n(2), b, panel, b_panel)

            table = address(context, builder, sig.args[13], table, column)
            numbers = address(context, builder, sig.args[16], row_numbers, first)
            starts = looked_up_rows(builder, table, table_row, numbers, rows, n_columns)
            scale = address(context, builder, sig.args[11], scales, column)
            (factors,) = vectors_of_rows(builder, scale, [n(0)], n_columns)
            out = address(context, builder, sig.args[0], out, out0)
            places = vectors_of_rows(builder, out, multiples(builder, out_row, rows), n_columns)
            for r in range(rows):
                for v, factor in enumerate(factors):
                    total = multiply_add(
                        builder,
                        builder.sitofp(highs[r][v], VECTOR),
                        ir.Constant(VECTOR, [256.0] * WIDTH),
                        builder.sitofp(lows[r][v], VECTOR),
                    )
                    start = load_vector(builder, starts[r][v])
                    value = multiply_add(builder, total, load_vector(builder, factor), start)
                    store_vector(builder, value, places[r][v])
            return context.get_dummy_value()

        n = types.intp
        kinds = out, n, n, a, n, b, n, n, n, n, offsets, scales, n, table, n, n, row_numbers, n
        return types.void(*kinds), codegen

    return multiply
