"""Nonlinearities of the LSTM on vectors."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from trajlm.kernels.simd import clip, fma, splat

HALF = np.float32(0.5)
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


@numba.njit()
def tanh(x: Any) -> Any:
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
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) of a vector."""
    half = splat(HALF)
    return fma(half, tanh(half * x), half)
