"""Vectors of single-precision numbers as values of compiled code.

The compiler's own vectorisation comes and goes with the shape of a loop; what is written with
these stays vectorised, and without reassociation: the same numbers give the same bits in every
kernel. `WIDTH` numbers fill one register of this machine (two where registers hold four).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

from trajlm.kernels.processor import HAS_AVX512

WIDE = HAS_AVX512
WIDTH = 16 if WIDE else 8

F32 = ir.FloatType()
VECTOR = ir.VectorType(F32, WIDTH)


class VectorType(types.Type):
    """`WIDTH` single-precision numbers."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


vector_type = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, VECTOR)


def address(context: Any, builder: Any, kind: Any, array: Any, first: Any) -> Any:
    """Return the LLVM pointer to element `first` of an array's memory."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [first])


def load_vector(builder: Any, pointer: Any) -> Any:
    """Emit an unaligned load of numbers of four bytes, of the type pointed to."""
    kind = ir.VectorType(pointer.type.pointee, WIDTH)
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=4)


def load_half_vector(builder: Any, pointer: Any) -> Any:
    """Emit an unaligned load of half-precision numbers and their widening."""
    half = ir.VectorType(ir.HalfType(), WIDTH)
    return builder.fpext(builder.load(builder.bitcast(pointer, half.as_pointer()), align=2), VECTOR)


def store_vector(builder: Any, value: Any, pointer: Any) -> None:
    """Emit an unaligned store."""
    builder.store(value, builder.bitcast(pointer, VECTOR.as_pointer()), align=4)


def splat_vector(builder: Any, scalar: Any) -> Any:
    """Emit a vector whose elements all are `scalar`."""
    kind = ir.VectorType(scalar.type, WIDTH)
    one = builder.insert_element(
        ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
    )
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, one, zeros)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Emit a * b + c, fused where the machine can."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fmuladd.v{WIDTH}f32"
    )
    return builder.call(function, [a, b, c])


@intrinsic
def load(typingctx: Any, array: Any, first: Any) -> Any:
    """Return the vector at element `first` of a contiguous float32 array's memory."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return load_vector(builder, address(context, builder, sig.args[0], *args))

    return vector_type(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, first: Any, value: Any) -> Any:
    """Write a vector at element `first` of a contiguous float32 array's memory."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        store_vector(builder, args[2], address(context, builder, sig.args[0], *args[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector_type), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, first: Any) -> Any:
    """Ask for the cache line of element `first`, to be written soon; it may lie outside."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        i32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32]),
            "llvm.prefetch.p0i8",
        )
        place = builder.bitcast(address(context, builder, sig.args[0], *args), pointer)
        write, nearest, data = i32(1), i32(3), i32(1)
        builder.call(function, [place, write, nearest, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """Return a vector whose elements all are `scalar`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return splat_vector(builder, args[0])

    return vector_type(types.float32), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, fused where the machine can."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return multiply_add(builder, *args)

    return vector_type(vector_type, vector_type, vector_type), codegen


@intrinsic
def clip(typingctx: Any, value: Any, limit: Any) -> Any:
    """Return `value` between -limit and limit; what is not a number stays so."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, limit = args
        below = builder.fneg(limit)
        value = builder.select(builder.fcmp_ordered("<", limit, value), limit, value)
        return builder.select(builder.fcmp_ordered(">", below, value), below, value)

    return vector_type(vector_type, vector_type), codegen


@intrinsic
def bits_to_power(typingctx: Any, value: Any) -> Any:
    """Return 2 to the power of the signed integers in the lowest 8 bits of `value`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integers = ir.VectorType(ir.IntType(32), WIDTH)
        exponent = builder.shl(
            builder.bitcast(args[0], integers), ir.Constant(integers, [23] * WIDTH)
        )
        one = ir.Constant(integers, [0x3F800000] * WIDTH)
        return builder.bitcast(builder.add(exponent, one), VECTOR)

    return vector_type(vector_type), codegen


@intrinsic
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the larger of two vectors, element by element."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _larger(builder, *args)

    return vector_type(vector_type, vector_type), codegen


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """Emit the larger of two vectors, element by element."""
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


def _folded(builder: Any, value: Any, join: Callable[[Any, Any], Any]) -> Any:
    """Emit the joining of all elements of a vector, half with half."""
    n = WIDTH
    while n > 1:
        n //= 2
        upper = [n + k if k < n else k for k in range(WIDTH)]
        order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), upper)
        value = join(value, builder.shuffle_vector(value, value, order))
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


@intrinsic
def largest(typingctx: Any, value: Any) -> Any:
    """Return the largest element of a vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _folded(builder, args[0], partial(_larger, builder))

    return types.float32(vector_type), codegen


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """Return the sum of the elements of a vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _folded(builder, args[0], builder.fadd)

    return types.float32(vector_type), codegen


def _define(operation: Any, emit: str) -> None:
    """Give vectors an arithmetic operator."""

    @type_callable(operation)
    def typer(context: Any) -> Any:
        def result(a: Any, b: Any) -> Any:
            if isinstance(a, VectorType) and isinstance(b, VectorType):
                return vector_type
            return None

        return result

    @lower_builtin(operation, VectorType, VectorType)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")
