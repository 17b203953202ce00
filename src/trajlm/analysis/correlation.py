"""Autocorrelation of a coordinate that is known by states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.uncertainty import block_edges, block_pieces, jackknife_error
from trajlm.data import States, StatesLike, as_states
from trajlm.discretize import periods_of
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64

# Frames that one Fourier transform takes, in longest lags: few enough for the cache.
STRETCH, LEAST_STRETCH = 3, 20_000


@dataclass(frozen=True)
class Autocorrelation:
    """Normalised autocorrelation C(t) = <dx(0) dx(t)> / <dx^2>, shape (max_lag + 1,) each.

    Parameters
    ----------
    lags
        In frames, from 0.
    values
        C at each lag, 1 at lag 0.
    low, high
        Its interval.
    level
        Probability that an interval holds the truth.
    dt, unit
        Time between two frames and its unit.
    """

    lags: I64
    values: F64
    low: F64
    high: F64
    level: float
    dt: float
    unit: str


def autocorrelation(
    states: StatesLike,
    max_lag: int,
    values: npt.ArrayLike | None = None,
    n_blocks: int = 20,
    level: float = 0.95,
    column: int | None = None,
) -> Autocorrelation:
    """Compute the autocorrelation of the state centres, pooled over the trajectories.

    Every pair of frames of one trajectory counts the same: the sums of products and the numbers
    of pairs are added over trajectories before they are divided, and the mean is that of all
    frames. Centres on a circle count as vectors: C is that of their cosine and sine together.

    Parameters
    ----------
    states
        Trajectories, the longest of more than `max_lag` frames.
    max_lag
        Largest lag in frames.
    values
        One number a state, shape (n_states,); the centres when not given.
    n_blocks
        Blocks of time for the interval: jackknife, leaving out the pairs that begin in one
        block, and Student's t. Blocks are taken as independent, so they should be longer
        than the slowest process.
    level
        Probability that an interval holds the truth.
    column
        Of the centres, where they lie in several coordinates.

    Raises
    ------
    InputError
        No value for each state, all frames of one value, or a lag that no trajectory spans.
    """
    from scipy.special import stdtrit

    states = as_states(states)
    heights = _values_of_states(states, values, column)
    longest = max(len(s) for s in states)
    if not 1 <= max_lag < longest:
        raise InputError(
            f"the largest lag is {max_lag} frames: it must lie between 1 and {longest - 1}, one "
            "less than the frames of the longest trajectory"
        )
    counts = states.counts()
    if (np.ptp(heights[counts > 0], axis=0) == 0).all():
        raise InputError("all frames have one value: it has no autocorrelation")
    heights = heights - counts @ heights / counts.sum()
    products, pairs, totals = _block_sums(states, heights, max_lag, block_edges(states, n_blocks))
    result = _normalised(products.sum(0), pairs.sum(0), totals.sum(0))

    n = len(products)
    half = np.full(max_lag + 1, np.inf)
    if n > 1:
        left_out = _normalised(
            products.sum(0) - products, pairs.sum(0) - pairs, totals.sum(0) - totals
        )
        # Where all pairs of a lag, or all changes, lie in one block their spread is unknown.
        known = np.isfinite(left_out).all(axis=0)
        half[known] = stdtrit(n - 1, (1 + level) / 2) * jackknife_error(left_out[:, known])
    return Autocorrelation(
        lags=np.arange(max_lag + 1),
        values=result,
        low=result - half,
        high=result + half,
        level=level,
        dt=states.dt,
        unit=states.unit,
    )


def _values_of_states(states: States, values: npt.ArrayLike | None, column: int | None) -> F64:
    """Return the value of each state, shape (n_states, 1), or its vector on a circle, (n, 2)."""
    given = states.centers if values is None else np.asarray(values, dtype=np.float64)
    if given is None:
        raise InputError("the states have no centres: give one value a state")
    if given.ndim == 1:
        given = given[:, None]
    elif values is None and column is not None:
        if not 0 <= column < given.shape[1]:
            raise InputError(f"there is no column {column}: the centres have {given.shape[1]}")
        given = given[:, [column]]
    if given.shape != (states.n_states, 1):
        raise InputError(
            f"the values have shape {given.shape}: one number for each of the "
            f"{states.n_states} states is needed"
        )
    period = periods_of(states.space)[column or 0] if values is None else None
    if period is None:
        return given
    turns = 2 * np.pi * (given[:, 0] - period[0]) / (period[1] - period[0])
    return np.column_stack([np.cos(turns), np.sin(turns)])


def _block_sums(states: States, heights: F64, max_lag: int, edges: I64) -> tuple[F64, F64, F64]:
    """Return by block the sums of products and the numbers of pairs at each lag, and sums of x.

    A pair belongs to the block of its first frame; its second may lie in a later block, never
    in another trajectory. The sums are cross-correlations, taken by FFT, stretch by stretch.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n_blocks = len(edges) - 1
    products = np.zeros((n_blocks, max_lag + 1))
    pairs = np.zeros((n_blocks, max_lag + 1))
    totals = np.zeros((n_blocks, heights.shape[1]))
    stretch = max(LEAST_STRETCH, STRETCH * max_lag)
    stretches = (
        (block, trajectory, begin, min(begin + stretch, end))
        for block, trajectory, first, end in block_pieces(states, edges)
        for begin in range(first, end, stretch)
    )
    for block, trajectory, first, end in stretches:
        ahead = heights[states.trajectories[trajectory][first : end + max_lag]]
        here = ahead[: end - first]
        size = next_fast_len(len(ahead) + len(here), real=True)
        n_lags = min(max_lag + 1, len(ahead))
        for x in range(heights.shape[1]):
            crossed = irfft(rfft(ahead[:, x], size) * rfft(here[:, x], size).conj(), size)
            products[block, :n_lags] += crossed[:n_lags]
        # Near the end of a trajectory the later frames of the block have no partner.
        pairs[block, :n_lags] += np.minimum(len(here), len(ahead) - np.arange(n_lags))
        totals[block] += here.sum(axis=0)
    return products, pairs, totals


def _normalised(products: F64, pairs: F64, totals: F64) -> F64:
    """Return the covariance over the variance, from sums about a mean close to the true one.

    Leaving out a block moves the mean by totals / frames, whose square is taken off.
    """
    shift = ((totals / pairs[..., :1]) ** 2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = products / pairs - shift[..., None]
        normalised: F64 = covariance / covariance[..., :1]
    return normalised
