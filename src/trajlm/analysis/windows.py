"""Running means over full windows."""

from __future__ import annotations

import numpy as np

from trajlm.discretize.periodic import Period
from trajlm.util.arrays import F64, IntArray


def circular_means(centers: F64, trajectory: IntArray, window: int, period: Period) -> F64:
    """Return the direction of the mean on the circle over all full windows, within the period."""
    low, length = period[0], period[1] - period[0]
    turns = 2 * np.pi * (centers - low) / length
    sines, cosines = (window_sums(f(turns)[trajectory], window) for f in (np.sin, np.cos))
    # As for an ordinary mean, what lies on an edge must not fall below it by rounding.
    angles = np.arctan2(sines, cosines) + 64 * np.finfo(np.float64).eps
    return low + length * (angles / (2 * np.pi) % 1.0)


def window_sums(x: F64, window: int) -> F64:
    """Return the sums over all full windows, shape (T - window + 1,).

    Sums over 1, 2, 4 ... frames are added as the binary digits of `window` ask: log2(window)
    roundings, where a cumulative sum would gather those of the whole trajectory.
    """
    n_windows = len(x) - window + 1
    total = np.zeros(n_windows)
    offset, span = 0, 1
    while True:
        if window & span:
            total += x[offset : offset + n_windows]
            offset += span
        if 2 * span > window:
            return total
        x = x[:-span] + x[span:]
        span *= 2
