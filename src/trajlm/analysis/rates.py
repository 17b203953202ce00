"""Rate constants and mean dwell times as continuous-time kinetics knows them.

Transitions are counted between stays of at least a commit time, which chance visits to another
group do not last. What they last less is missed, as is what begins and ends between two frames:
both are corrected for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlm.analysis.kinetics import CommittedTransitions
from trajlm.analysis.uncertainty import count_interval
from trajlm.errors import InputError
from trajlm.util.arrays import F64

# Groups up to this number have their missed events corrected for; of more, most pairs are empty.
MOST_CORRECTED = 12
ROUNDS, TOLERANCE = 3000, 1e-9
# Jumps of a smaller share of the largest do not happen.
NEGLIGIBLE = 1e-5
# Of the counts, for the derivative of a rate constant by each.
STEP = 1e-4
# Probability of staying below which nothing is left to correct: a commit time of the length of
# the stays themselves.
SHORTEST_STAY = 0.2
# Distance from one at which the series of the logarithm is summed to so many terms, and roots that
# are taken to get there at most.
NEAR_ONE, SERIES_TERMS, MOST_HALVINGS = 0.25, 25, 40
# Share of the largest rate that rounding may leave, and of a rate below which an end of its
# interval is zero.
ROUNDING, NOTHING = 1e-10, 1e-3


@dataclass(frozen=True)
class RateConstants:
    """Rate constants between groups, and the mean dwell times that follow, with intervals.

    Parameters
    ----------
    values, low, high
        From row to column, per `unit`, shape (n, n); NaN on the diagonal and from a group that
        the data never shows long enough.
    dwells, dwells_low, dwells_high
        Mean dwell times, one over the sum of a row, in `unit`, shape (n,).
    commit_time
        Shortest stay that was counted, in frames.
    corrected
        Whether stays that were missed are corrected for.
    unit
        Of time.
    """

    values: F64
    low: F64
    high: F64
    dwells: F64
    dwells_low: F64
    dwells_high: F64
    commit_time: int
    corrected: bool
    unit: str


def rate_constants(
    transitions: CommittedTransitions, commit_time: int, level: float = 0.95
) -> RateConstants:
    r"""Return the rate constants of the Markov process whose committed transitions were counted.

    Of a chain with the matrix T, frame by frame, a run in group k reaches the commit time of c
    frames with the probability :math:`p_k = T_{kk}^{c-1}`, and with the jumps
    :math:`J_{kl} = T_{kl} / (1 - T_{kk})` the next run that does is one in j with the probability
    :math:`N = (1 - J (1 - p))^{-1} J p`. So the committed transitions for each frame in i are
    :math:`(1 - T_{ii}) p_i N_{ij}`, which is solved for T. At c = 1 T is the matrix of counts.
    The rate constants are :math:`\ln(T) / dt`, which adds the stays between two frames (Kalbfleisch
    and Lawless, J. Am. Stat. Assoc. 80:863 (1985)); a rate below zero is taken as zero. For two
    groups this is the correction for a dead time of single-channel work (Colquhoun and Sigworth,
    in Single-Channel Recording (1995)). Stays are taken as exponential by it.

    Without a solution, as where most stays are shorter than the commit time, and with more than 12
    groups, transitions over the time in the source are given as they are.

    The interval is that of a count (`count_interval`) that leaves the rate constant as uncertain:
    the variances of the counts, with their dispersion, through the derivatives of its logarithm.

    Parameters
    ----------
    transitions
        From `committed_transitions`.
    commit_time
        One of its commit times, in frames.
    level
        Probability that an interval holds the truth.

    Raises
    ------
    InputError
        A commit time that was not counted.
    """
    found = np.flatnonzero(transitions.commit_times == commit_time)
    if not len(found):
        raise InputError(
            f"transitions were not counted at a commit time of {commit_time} frames: the commit "
            f"times are {transitions.commit_times.tolist()}"
        )
    index, dt = int(found[0]), transitions.dt
    counts = transitions.counts[index].astype(np.float64)
    exposure = transitions.exposure[index].astype(np.float64)
    dispersion = transitions.dispersion[index]
    chain = _corrected(counts, exposure, commit_time)
    values = _plain(counts, exposure) if chain is None else _generator(chain)
    with np.errstate(divide="ignore", invalid="ignore"):
        events, exits = _events(values, chain, counts, exposure, dispersion, commit_time)
        bounds = _bounds(values, events, level)
        nothing = (counts == 0) | (values == 0)
        most = count_interval(0, dispersion, level)[1] / exposure[:, None]
        low = np.where(nothing | (bounds[0] < NOTHING * values), 0.0, bounds[0])
        high = np.where(nothing, np.fmax(bounds[1], most), bounds[1])
        leaving = np.nansum(values, axis=1)
        of_leaving = _bounds(leaving, exits, level)
        none = leaving == 0
        fastest = np.where(none, np.nanmin(most, axis=1, initial=np.inf), of_leaving[1])
        dwells = dt / leaving
        shortest, longest = dt / fastest, dt / np.where(none, 0.0, of_leaving[0])
    unknown = exposure == 0
    for x in (values, low, high):
        x[unknown] = np.nan
        np.fill_diagonal(x, np.nan)
    for x in (dwells, shortest, longest):
        x[unknown] = np.nan
    return RateConstants(
        values / dt, low / dt, high / dt, dwells, shortest, longest, commit_time,
        chain is not None, transitions.unit,
    )  # fmt: skip


def _plain(counts: F64, exposure: F64) -> F64:
    """Return counts over the frames they come from, the diagonal zero."""
    rates = np.divide(counts, exposure[:, None], out=np.zeros_like(counts), where=counts > 0)
    np.fill_diagonal(rates, 0.0)
    return rates


def _corrected(counts: F64, exposure: F64, commit_time: int, near: F64 | None = None) -> F64 | None:
    """Return the chain that shows the counts, shape (n, n); None where there is none.

    The search begins at `near`, where a chain of nearly these counts is known.
    """
    if len(counts) > MOST_CORRECTED:
        return None
    wanted = _plain(counts, exposure)
    jumps = wanted.copy() if near is None else near - np.diag(np.diag(near))
    for _ in range(ROUNDS):
        leaving = jumps.sum(axis=1)
        if leaving.max(initial=0.0) > 1 - SHORTEST_STAY:
            return None
        shown = jumps if commit_time == 1 else _committed(jumps, commit_time)
        ratio = np.divide(wanted, shown, out=np.ones_like(wanted), where=shown > 0)
        before, jumps = jumps, jumps * ratio
        # A pair that is only seen where short stays in between were missed goes to zero.
        jumps[jumps < NEGLIGIBLE * jumps.max(initial=0.0)] = 0.0
        if np.abs(jumps - before).max(initial=0.0) <= TOLERANCE * jumps.max(initial=0.0):
            return jumps + np.diag(1 - jumps.sum(axis=1))
    return None


def _generator(chain: F64) -> F64:
    """Return the rates of ln T, none below zero and the diagonal zero.

    ln T = 2^k ln(T^(1/2^k)), by the series of ln(1 + x) once the root is close to one. The
    library's logarithm draws from the random generator that all share.
    """
    from scipy.linalg import sqrtm

    root, halvings, one = chain, 0, np.eye(len(chain))
    while np.linalg.norm(root - one) > NEAR_ONE and halvings < MOST_HALVINGS:
        root, halvings = sqrtm(root), halvings + 1
    power = one
    logarithm = np.zeros_like(root)
    for k in range(1, SERIES_TERMS + 1):
        power = power @ (one - root)
        logarithm -= power / k
    rates: F64 = np.maximum(np.real(2.0**halvings * logarithm), 0.0)
    np.fill_diagonal(rates, 0.0)
    # What is left of zeros by rounding is no rate, nor what ways round leave of a step never made.
    rates[(chain == 0) | (rates < ROUNDING * rates.max(initial=0.0))] = 0.0
    return rates


def _committed(jumps: F64, commit_time: int) -> F64:
    """Return the committed transitions for each frame in the source; see `rate_constants`."""
    leaving = jumps.sum(axis=1)
    reach = (1 - leaving) ** (commit_time - 1)
    J = np.divide(jumps, leaving[:, None], out=np.zeros_like(jumps), where=leaving[:, None] > 0)
    N = np.linalg.solve(np.eye(len(J)) - J * (1 - reach), J * reach)
    return np.asarray((leaving * reach)[:, None] * N)


def _events(
    values: F64,
    chain: F64 | None,
    counts: F64,
    exposure: F64,
    dispersion: F64,
    commit_time: int,
) -> tuple[F64, F64]:
    """Return how many events would leave each rate constant, and each row's sum, as uncertain."""
    variance = dispersion * counts
    if chain is None:
        return counts / dispersion, counts.sum(axis=1) ** 2 / variance.sum(axis=1)
    of_values, of_exits = np.zeros_like(values), np.zeros(len(values))
    for i, j in np.argwhere(counts > 0):
        more = counts.copy()
        more[i, j] *= 1 + STEP
        moved = _corrected(more, exposure, commit_time, chain)
        slope = ((values if moved is None else _generator(moved)) - values) / (STEP * counts[i, j])
        of_values += slope**2 * variance[i, j]
        of_exits += slope.sum(axis=1) ** 2 * variance[i, j]
    return values**2 / of_values, values.sum(axis=1) ** 2 / of_exits


def _bounds(values: F64, events: F64, level: float) -> tuple[F64, F64]:
    n = np.where(np.isfinite(events), np.maximum(events, 1e-9), 1e-9)
    low, high = count_interval(n, 1.0, level)
    return values * low / n, values * high / n
