"""What happens inside an LSTM unit, and the exponential of the read-out, on vectors."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.simd import bits_to_power, clip, fma, load, splat

F32 = npt.NDArray[np.float32]
Vector = Any

HALF, ONE = np.float32(0.5), np.float32(1)
# Beyond this, tanh is 1 in single precision.
CLAMP = np.float32(7.90531110763549805)
# Rational approximation of tanh, odd degree 13 over even degree 6: a few ulp in single precision.
P13, P11, P9, P7, P5, P3, P1 = (
    np.float32(c)
    for c in (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
)
Q6, Q4, Q2, Q0 = (
    np.float32(c)
    for c in (
        1.19825839466702e-06,
        1.18534705686654e-04,
        2.26843463243900e-03,
        4.89352518554385e-03,
    )
)

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


@numba.njit()
def tanh(x: Vector) -> Vector:
    """Return tanh of a vector."""
    x = clip(x, splat(CLAMP))
    y = x * x
    p = fma(splat(P13), y, splat(P11))
    p = fma(p, y, splat(P9))
    p = fma(p, y, splat(P7))
    p = fma(p, y, splat(P5))
    p = fma(p, y, splat(P3))
    p = fma(p, y, splat(P1))
    q = fma(splat(Q6), y, splat(Q4))
    q = fma(q, y, splat(Q2))
    q = fma(q, y, splat(Q0))
    return x * p / q


@numba.njit()
def sigmoid(x: Vector) -> Vector:
    """Return 1 / (1 + exp(-x)) of a vector."""
    half = splat(HALF)
    return fma(half, tanh(half * x), half)


@numba.njit()
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


@numba.njit()
def unit(
    gates: F32, at: int, L: int, cell: Vector
) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """Return gates i, f, g, o and the new cell; `at` is where the row's gates i lie in memory."""
    i, f = sigmoid(load(gates, at)), sigmoid(load(gates, at + L))
    g, o = tanh(load(gates, at + 2 * L)), sigmoid(load(gates, at + 3 * L))
    return i, f, g, o, fma(f, cell, i * g)
