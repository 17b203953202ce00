"""What happens inside an LSTM unit, and the exponential of the read-out, on vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.kernels.arrays import F32
from trajlm.kernels.compiled import inlined
from trajlm.kernels.rational import CLAMP, HALF, ONE, P0, P2, P4, P6, Q2, Q4, Q6, Q8
from trajlm.kernels.simd import bits_to_power, clip, fma, load, splat

Vector = Any

LOG2_E = np.float32(1.4426950408889634)
# The smallest power of two that is a normal number, and one less than infinity's.
LOWEST_POWER = np.float32(126)
# The least that exp returns.
SMALLEST = np.float32(2.0**-126)
# Added to a number below 2^22, this leaves the nearest integer in the lowest bits.
ROUNDING = np.float32(1.5 * 2**23)
# Taylor series of 2^x in x ln 2, below an ulp for |x| <= 1/2.
E6, E5, E4, E3, E2, E1 = (
    np.float32(np.log(2.0) ** k / f)
    for k, f in ((6, 720), (5, 120), (4, 24), (3, 6), (2, 2), (1, 1))
)


@inlined
def tanh(x: Vector) -> Vector:
    """Return tanh of a vector."""
    x = clip(x, splat(CLAMP))
    y = x * x
    p = fma(splat(P6), y, splat(P4))
    p = fma(p, y, splat(P2))
    p = fma(p, y, splat(P0))
    q = fma(splat(Q8), y, splat(Q6))
    q = fma(q, y, splat(Q4))
    q = fma(q, y, splat(Q2))
    q = fma(q, y, splat(ONE))
    return x * p / q


@inlined
def sigmoid(x: Vector) -> Vector:
    """Return 1 / (1 + exp(-x)) of a vector."""
    half = splat(HALF)
    return fma(half, tanh(half * x), half)


@inlined
def exp(x: Vector) -> Vector:
    """Return exp of a vector to single precision, from 1e-38 up to 1e38."""
    y = clip(x * splat(LOG2_E), splat(LOWEST_POWER))
    shifted = y + splat(ROUNDING)
    f = y - (shifted - splat(ROUNDING))
    p = fma(splat(E6), f, splat(E5))
    p = fma(p, f, splat(E4))
    p = fma(p, f, splat(E3))
    p = fma(p, f, splat(E2))
    p = fma(p, f, splat(E1))
    return fma(p, f, splat(ONE)) * bits_to_power(shifted)


@inlined
def unit(
    gates: F32, at: int, L: int, cell: Vector
) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """Return gates i, f, g, o and the new cell; `at` is where the row's gates i lie in memory."""
    i, f = sigmoid(load(gates, at)), sigmoid(load(gates, at + L))
    g, o = tanh(load(gates, at + 2 * L)), sigmoid(load(gates, at + 3 * L))
    return i, f, g, o, fma(f, cell, i * g)
