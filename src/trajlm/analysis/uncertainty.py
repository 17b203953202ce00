"""Intervals for counts, fractions and means, from one record or from several."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.analysis.runs import trajectory_borders
from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64, IntArray

# From this number of events on a result is reliable: below it the interval of a rate spans more
# than a factor of three.
FEW_EVENTS = 10


def block_edges(states: States, n_blocks: int = 20) -> I64:
    """Return the frames, counted over all trajectories, where blocks of time begin and end.

    Blocks hold equal numbers of frames. Where the trajectories are short, at most half a
    block, the edges move to the nearest border, so that each block is made of whole
    trajectories.

    Parameters
    ----------
    states
        Trajectories with T frames in all.
    n_blocks
        Number of blocks wanted; fewer when a block would hold less than two frames.

    Returns
    -------
    ndarray, shape (n + 1,)
        Increasing, from 0 to T.
    """
    if n_blocks < 1:
        raise InputError(f"n_blocks is {n_blocks}: at least one block is needed")
    total = states.n_frames
    n = max(min(n_blocks, total // 2), 1)
    edges = np.arange(n + 1) * total // n
    borders = trajectory_borders(states.trajectories)
    if 2 * np.diff(borders).max() <= total // n:
        after = np.searchsorted(borders, edges).clip(1)
        before_is_nearer = edges - borders[after - 1] < borders[after] - edges
        edges = np.where(before_is_nearer, borders[after - 1], borders[after])
    return edges.astype(np.int64)


def block_pieces(states: States, edges: I64) -> list[tuple[int, int, int, int]]:
    """Return the pieces (block, trajectory, first frame, end frame) that `edges` cut.

    The frames are counted within the trajectory, and no piece crosses a border.
    """
    borders = trajectory_borders(states.trajectories)
    cuts = np.union1d(edges, borders)
    starts = cuts[:-1]
    block = np.searchsorted(edges, starts, side="right") - 1
    trajectory = np.searchsorted(borders, starts, side="right") - 1
    first = starts - borders[trajectory]
    end = cuts[1:] - borders[trajectory]
    rows = np.column_stack([block, trajectory, first, end]).tolist()
    return [(b, i, j, k) for b, i, j, k in rows]


def blocks(states: StatesLike, n_blocks: int = 20) -> list[States]:
    """Cut the data in blocks of time, each one States.

    The blocks are those of `block_edges`. A piece of one frame, which holds no transition,
    is left out.
    """
    states = as_states(states)
    edges = block_edges(states, n_blocks)
    pieces: list[list[IntArray]] = [[] for _ in edges[1:]]
    for block, trajectory, first, end in block_pieces(states, edges):
        if end - first >= 2:
            pieces[block].append(states.trajectories[trajectory][first:end])
    return [states.with_trajectories(p) for p in pieces if p]


def independent_parts(states: States, n_parts: int) -> list[States]:
    """Deal the trajectories to parts, or cut the data in blocks of time where they are fewer."""
    if len(states) < n_parts:
        return blocks(states, n_parts)
    return [states.with_trajectories(states.trajectories[k::n_parts]) for k in range(n_parts)]


def count_interval(
    counts: npt.ArrayLike, dispersion: npt.ArrayLike = 1.0, level: float = 0.95
) -> tuple[F64, F64]:
    """Give the interval of the expected number of events, after seeing `counts`.

    The exact Poisson interval (Garwood, Biometrika 28:437, 1936) for the count divided by the
    dispersion phi, times phi: events that come in bursts of phi are N / phi independent ones.
    A count of zero gives [0, 3.69 phi] at 95 %.

    Parameters
    ----------
    counts
        Numbers of events, any shape.
    dispersion
        Variance over mean of the count, at least 1, of a shape that broadcasts.
    level
        Probability that the interval holds the truth.
    """
    from scipy.special import gammaincinv

    tail = _tail(level)
    n = np.asarray(counts, dtype=np.float64)
    phi = np.asarray(dispersion, dtype=np.float64)
    low = np.where(n > 0, phi * gammaincinv(np.maximum(n / phi, 1e-12), tail), 0.0)
    high = phi * gammaincinv(n / phi + 1, 1 - tail)
    return low, np.asarray(high, dtype=np.float64)


def mean_interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Return a mean and its Student t interval.

    Assumes independent values that are about normal: one for each independent run or training,
    or one for each block much longer than the slowest process.

    Parameters
    ----------
    values
        Shape (n,); with one value the interval is without bounds.

    Returns
    -------
    mean, low, high
    """
    from scipy.special import stdtrit

    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise InputError(f"the values have shape {x.shape}: one number a run is needed")
    mean = float(x.mean())
    if len(x) == 1:
        return mean, -np.inf, np.inf
    half = float(-stdtrit(len(x) - 1, _tail(level)) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, mean - half, mean + half


def jackknife_error(left_out: F64) -> F64:
    """Return the standard error of an estimate, from its values with each part left out in turn.

    Parameters
    ----------
    left_out
        Shape (n, ...), of n parts that are independent of each other.
    """
    n = len(left_out)
    error: F64 = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    return error


def fraction_interval(
    fractions: F64, frames: npt.ArrayLike, level: float = 0.95
) -> tuple[F64, F64]:
    """Give the interval of fractions of time, from their values over successive blocks.

    The variance of the mean follows from the blocks and their correlation, and turns the
    fraction into k of n independent observations, whose exact binomial interval is taken
    (Korn and Graubard, Survey Methodology 24:193, 1998, with their correction for few degrees
    of freedom). A state seen in one visit counts as one observation, and the interval never
    leaves [0, 1].

    Assumes that the record is stationary and holds several times its slowest correlation time.
    A state that is never left has as many observations as there are blocks.

    A state that is never seen says nothing of its visits. It is taken to have as few
    observations as any state that was seen (none of n leaves up to 3.69 / n; the rule of three
    of Hanley and Lippman-Hand, JAMA 249:1743, 1983, at 97.5 %), but to be no more frequent
    than the rarest of those may be. This assumes that visits to it last no longer than those to
    the rarest state seen: for a metastable state that the record missed no bound can be given.

    Parameters
    ----------
    fractions
        Fraction of time in each state by block, in order of time, shape (n_blocks, n).
    frames
        Frames in each block, shape (n_blocks,).

    Returns
    -------
    low, high : ndarray, shape (n,)
    """
    from scipy.special import betaincinv, ndtri, stdtrit

    tail = _tail(level)
    weights = np.asarray(frames, dtype=np.float64) / np.sum(frames)
    n_blocks = len(weights)
    p = weights @ fractions
    variance, independent = _variance_of_mean((fractions - p) * (weights * n_blocks)[:, None])
    varies = variance > 0
    n = np.full(len(p), float(n_blocks))
    n[varies] = (p * (1 - p))[varies] / variance[varies]
    degrees = np.maximum(independent - 1, 1)
    n = np.maximum(n * (ndtri(tail) / stdtrit(degrees, tail)) ** 2, 1.0)
    k = np.clip(p * n, 0, n)
    # The tiny shapes only keep the function defined where the other branch is taken.
    low = np.where(p > 0, betaincinv(np.maximum(k, 1e-12), n - k + 1, tail), 0.0)
    high = np.where(p < 1, betaincinv(k + 1, np.maximum(n - k, 1e-12), 1 - tail), 1.0)
    unseen = p == 0
    if not unseen.all():
        none_of_fewest = 1 - tail ** (1 / n[~unseen].min())
        high[unseen] = np.minimum(none_of_fewest, high[~unseen].min())
    return low, high


def _variance_of_mean(deviations: F64) -> tuple[F64, F64]:
    """Return the variance of the mean of correlated columns, and how many values it is worth.

    Geyer's initial monotone sequence (Stat. Sci. 7:473, 1992): the autocovariances are summed in
    pairs as long as the pairs are positive, made non-increasing. Taking the mean out of n values
    lowers each autocovariance by the variance of the mean, which the last factor gives back.
    """
    n = len(deviations)
    if n < 2:
        return np.zeros(deviations.shape[1]), np.full(deviations.shape[1], float(n))
    spectrum = np.fft.rfft(deviations, 2 * n, axis=0)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=0)[:n] / n
    covariance[:, ~deviations.any(axis=0)] = 0.0
    even = n // 2 * 2
    pairs = covariance[0:even:2] + covariance[1:even:2]
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    total = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0).sum(axis=0)
    window = np.clip(4 * positive.sum(axis=0) - 1, 1, n / 2)
    variance = np.maximum(2 * total - covariance[0], covariance[0]) / n / (1 - window / n)
    independent = np.full(len(variance), float(n))
    np.divide(covariance[0], variance, out=independent, where=variance > 0)
    return variance, independent


def _tail(level: float) -> float:
    """Return the probability on each side of a central interval."""
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is {level}: it must lie between 0 and 1")
    return (1 - level) / 2
