"""Matrix products inside compiled loops, near the rate of the processor.

``out += a @ b`` in tiles of `ROWS` by `PANEL` numbers that stay in registers over the whole
depth of the product: per step of the depth one row of b and `ROWS` numbers of a are read for
`ROWS` times `PANEL` multiply-adds. The matrix b is packed in panels of `PANEL` columns so that it
is read in order, and may be held in half precision; each element of `out` is summed in order of
the depth, so a row of the result has the same bits whatever rows are beside it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from trajlm.kernels.simd import (
    WIDE,
    WIDTH,
    address,
    load_half_vector,
    load_vector,
    multiply_add,
    splat_vector,
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
LONG = 3
CACHE_LINE = 64

F32 = npt.NDArray[np.float32]
Packed = npt.NDArray[np.float32 | np.uint16]


def tile(rows: int, panels: int = 1) -> Any:
    """Return the compiled product of `rows` rows of a and neighbouring panels of b.

    The function takes, each with the element where its memory is read from: ``out, first, row
    stride; a, first, row stride; b, first, panel stride; depth``. The type of b tells its
    precision: float32, or half in a uint16.
    """

    @intrinsic
    def multiply(
        typingctx: Any, out: Any, out0: Any, out_row: Any, a: Any, a0: Any, a_row: Any,
        b: Any, b0: Any, b_panel: Any, depth: Any,
    ) -> Any:  # fmt: skip
        load_b = load_vector if b.dtype == types.float32 else load_half_vector

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, out0, out_row, a, a0, a_row, b, b0, b_panel, depth = args
            first = address(context, builder, sig.args[0], out, out0)
            places = _places(builder, first, out_row, rows, panels * PANEL)
            a = address(context, builder, sig.args[3], a, a0)
            a_rows = [builder.gep(a, [builder.mul(a_row, a_row.type(r))]) for r in range(rows)]
            b = address(context, builder, sig.args[6], b, b0)

            before = builder.block
            loop = builder.append_basic_block("depth")
            after = builder.append_basic_block("done")
            sums = [[load_vector(builder, p) for p in row] for row in places]
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(depth.type)
            k.add_incoming(depth.type(0), before)
            held = [[_carried(builder, x, before) for x in row] for row in sums]
            b_row = builder.gep(b, [builder.mul(k, depth.type(PANEL))])

            @cache
            def factor(r: int) -> Any:
                number = builder.load(builder.gep(a_rows[r], [k]), align=4)
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
            for place_row, sum_row in zip(places, sums, strict=True):
                for place, value in zip(place_row, sum_row, strict=True):
                    store_vector(builder, value, place)
            return context.get_dummy_value()

        n = types.intp
        return types.void(out, n, n, a, n, n, b, n, n, n), codegen

    return multiply


def _places(builder: Any, first: Any, stride: Any, rows: int, columns: int) -> list[list[Any]]:
    """Return the pointers to the vectors of a tile."""
    starts = [builder.gep(first, [builder.mul(stride, stride.type(r))]) for r in range(rows)]
    return [[builder.gep(p, [stride.type(v)]) for v in range(0, columns, WIDTH)] for p in starts]


def _carried(builder: Any, value: ir.Value, block: Any) -> Any:
    """Return the value that a loop carries, `value` when it comes from `block`."""
    phi = builder.phi(value.type)
    phi.add_incoming(value, block)
    return phi


_many_rows = tile(ROWS)
_few_rows = tile(FEW)
_one_row = tile(1)
_one_long_row = tile(1, LONG)


@numba.njit(nogil=True)
def add_packed_product(
    out: F32, out0: int, columns: int, a: F32, a0: int, depth: int, b: Packed, rows: int
) -> None:
    """Add a (rows, depth) times packed b (depth, columns) to `out` (rows, columns).

    `out0` and `a0` are the elements of the arrays' memory where the matrices begin.
    """
    panels, stride = columns // PANEL, depth * PANEL
    done = panels // LONG * LONG if rows == 1 else 0
    for p in range(0, done, LONG):
        _one_long_row(out, out0 + p * PANEL, columns, a, a0, depth, b, p * stride, stride, depth)
    for p in range(done, panels):
        for k in range(0, depth, DEPTH):
            d = min(DEPTH, depth - k)
            b0 = p * stride + k * PANEL
            o, i, r = out0 + p * PANEL, a0 + k, 0
            while r + ROWS <= rows:
                _many_rows(out, o + r * columns, columns, a, i + r * depth, depth, b, b0, stride, d)
                r += ROWS
            while r + FEW <= rows:
                _few_rows(out, o + r * columns, columns, a, i + r * depth, depth, b, b0, stride, d)
                r += FEW
            while r < rows:
                _one_row(out, o + r * columns, columns, a, i + r * depth, depth, b, b0, stride, d)
                r += 1


def packed(matrix: F32, memory: F32 | None = None) -> F32:
    """Return a matrix (depth, columns) in panels, flat; columns are a multiple of `PANEL`.

    It may take the memory of what this has returned for a matrix of the same size.
    """
    depth, columns = matrix.shape
    panels = matrix.reshape(depth, columns // PANEL, PANEL).swapaxes(0, 1)
    result = _on_lines(matrix.size, np.float32) if memory is None else memory
    result.reshape(panels.shape)[:] = panels
    return result


def halved(matrix: F32) -> npt.NDArray[np.uint16]:
    """Return a packed matrix in half precision."""
    result = _on_lines(matrix.size, np.float16)
    result[:] = matrix
    return result.view(np.uint16)


def _on_lines(size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return memory that begins with a cache line: a vector across two takes twice as long."""
    n_bytes = size * np.dtype(dtype).itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + n_bytes].view(dtype)
