"""Fast loop of the Bussi-Parrinello integrator in a plane of Gaussian wells."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from trajlm.kernels.compiled import compiled
from trajlm.kernels.random_streams import uniform

FloatArray = npt.NDArray[np.float64]

ONE, TWO = np.uint64(1), np.uint64(2)


@njit(inline="always")
def _next_normal_pair(rng: npt.NDArray[np.uint64]) -> tuple[float, float]:
    """Draw two independent standard normal numbers by Marsaglia's polar method."""
    while True:
        u = 2.0 * uniform(rng[0], rng[1]) - 1.0
        v = 2.0 * uniform(rng[0], rng[1] + ONE) - 1.0
        rng[1] += TWO
        s = u * u + v * v
        if 0.0 < s < 1.0:
            scale = math.sqrt(-2.0 * math.log(s) / s)
            return u * scale, v * scale


@njit(inline="always")
def _force(
    x: float,
    y: float,
    centers: FloatArray,
    heights: FloatArray,
    width: float,
    weight: float,
) -> tuple[float, float]:
    fx = -6.0 * weight * x * x * x * x * x
    fy = -6.0 * weight * y * y * y * y * y
    exponent_scale = -0.5 / (width * width)
    for i in range(len(heights)):
        dx = x - centers[i, 0]
        dy = y - centers[i, 1]
        pull = heights[i] * math.exp(exponent_scale * (dx * dx + dy * dy)) / (width * width)
        fx += pull * dx
        fy += pull * dy
    return fx, fy


@compiled
def advance(
    phase: FloatArray,
    rng: npt.NDArray[np.uint64],
    frames: FloatArray,
    steps_per_frame: int,
    h: float,
    mass: float,
    c1: float,
    c2: float,
    centers: FloatArray,
    heights: FloatArray,
    width: float,
    weight: float,
) -> None:
    """Integrate one trajectory and write the position at the end of each frame.

    Each step is half a thermostat step p <- c1 p + c2 R, a velocity-Verlet step, and half a
    thermostat step again.

    Parameters
    ----------
    phase
        Position and momentum (x, y, px, py), shape (4,); changed in place.
    rng
        Key of the random stream and how many numbers of it are used, shape (2,); the count is
        changed in place.
    frames
        Output, shape (n, 2).
    c1, c2
        Thermostat factors exp(-friction h / 2) and sqrt(mass (1 - c1^2) / beta).
    centers, heights, width, weight
        The potential, as in `trajlm.systems.potentials.GaussianWells`.

    References
    ----------
    Bussi, Parrinello, Phys. Rev. E 75:056707 (2007), eq. 24.
    """
    x, y, px, py = phase[0], phase[1], phase[2], phase[3]
    fx, fy = _force(x, y, centers, heights, width, weight)
    for frame in range(len(frames)):
        for _ in range(steps_per_frame):
            rx, ry = _next_normal_pair(rng)
            px = c1 * px + c2 * rx + 0.5 * h * fx
            py = c1 * py + c2 * ry + 0.5 * h * fy
            x += h * px / mass
            y += h * py / mass
            fx, fy = _force(x, y, centers, heights, width, weight)
            rx, ry = _next_normal_pair(rng)
            px = c1 * (px + 0.5 * h * fx) + c2 * rx
            py = c1 * (py + 0.5 * h * fy) + c2 * ry
        frames[frame, 0] = x
        frames[frame, 1] = y
    phase[0], phase[1], phase[2], phase[3] = x, y, px, py
