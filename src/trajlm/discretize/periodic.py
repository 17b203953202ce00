"""Arithmetic on periodic columns: wrapping, the shorter way round, circles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from trajlm.data import smallest_unsigned
from trajlm.util.arrays import F64, IntArray

Period = tuple[float, float]
Periods = tuple[Period | None, ...]

BLOCK = 2**20  # distances held at once


def wrap(x: F64, low: float, high: float) -> F64:
    """Return x moved by whole periods into low <= x < high; values inside are left as they are."""
    wrapped = low + np.mod(x - low, high - low)
    wrapped[wrapped >= high] = low  # the modulo of a tiny negative number rounds up to high
    return np.where((x >= low) & (x < high), x, wrapped)


def nearest(x: F64, centers: F64, periods: Periods) -> IntArray:
    """Return the number of the nearest centre for each frame, the lowest of equally near ones.

    Parameters
    ----------
    x
        Shape (T, d).
    centers
        Shape (k,) for d = 1, or (k, d).
    periods
        The d periodic domains or None; along them the shorter way round counts.

    Returns
    -------
    IntArray
        Shape (T,), the smallest unsigned integer that fits.
    """
    c = centers.reshape(len(centers), -1)
    result = np.empty(len(x), dtype=smallest_unsigned(len(c)))
    step = max(1, BLOCK // c.size)
    for start in range(0, len(x), step):
        delta = x[start : start + step, None, :] - c
        for k, period in enumerate(periods):
            if period is not None:
                length = period[1] - period[0]
                delta[..., k] -= length * np.round(delta[..., k] / length)
        distance = np.abs(delta[..., 0]) if c.shape[1] == 1 else (delta**2).sum(axis=-1)
        result[start : start + step] = distance.argmin(axis=1)
    return result


def to_circles(points: F64, periods: Periods) -> tuple[F64, Callable[[F64], F64]]:
    """Replace each periodic column by its circle, whose circumference is the period.

    Returns
    -------
    points, back
        The points with two columns, cosine and sine, for each periodic one; and the function
        that takes such points, on or inside the circles, back to the columns they came from.
    """
    parts = []
    for k, period in enumerate(periods):
        x = points[:, k]
        if period is None:
            parts.append(x[:, None])
        else:
            radius = (period[1] - period[0]) / (2 * math.pi)
            angle = (x - period[0]) / radius
            parts.append(radius * np.column_stack([np.cos(angle), np.sin(angle)]))

    def back(on_circles: F64) -> F64:
        columns = []
        position = 0
        for period in periods:
            if period is None:
                columns.append(on_circles[:, position])
                position += 1
            else:
                cosine, sine = on_circles[:, position], on_circles[:, position + 1]
                radius = (period[1] - period[0]) / (2 * math.pi)
                columns.append(wrap(period[0] + radius * np.arctan2(sine, cosine), *period))
                position += 2
        return np.column_stack(columns)

    return np.column_stack(parts), back
