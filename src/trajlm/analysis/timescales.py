"""Implied timescales of counts, as far as the data settles them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trajlm.analysis.transitions import check_lag, name_states, transition_matrix
from trajlm.analysis.uncertainty import FEW_EVENTS, independent_parts
from trajlm.data import States
from trajlm.kernels.stochastic import closed_sets, implied_timescales
from trajlm.util.arrays import F64, I64
from trajlm.util.words import counted

# Parts of the data whose spread widens an interval where transitions come in bursts.
N_PARTS = 20
# Below this number of events an interval of a timescale has no upper end.
FEWEST = 3


@dataclass(frozen=True)
class Timescales:
    """Implied timescales of counts, slowest first, shape (k,) each.

    Parameters
    ----------
    values, low, high
        In `unit`: infinite between sets that no transition joins, NaN where states were never
        visited.
    n_events
        Number of independent transitions that would leave each as uncertain.
    lag
        In frames.
    unit
        Of time.
    why
        Why they are not reliable, in a sentence; empty where they are.
    """

    values: F64
    low: F64
    # Open above where events are few, which JSON cannot say.
    high: F64 = field(metadata={"null": np.inf})
    n_events: F64
    lag: int
    unit: str
    why: str = ""

    @property
    def reliable(self) -> bool:
        """Whether the data holds enough to believe all of them within their intervals."""
        return not self.why


def counted_timescales(
    states: States,
    lag: int = 1,
    n: int | None = None,
    level: float = 0.95,
    intervals: bool = True,
) -> Timescales:
    """Return the implied timescales ``-lag dt / ln |lambda|`` of the counts at `lag`.

    The interval is that of ``1 - |lambda|``, as of a rate with as many events as leave it as
    uncertain (Jeffreys' interval of a Poisson count): the variance follows from that of
    multinomial rows through the eigenvectors, with lag-fold overlapping counts taken as one, and
    is raised to that over 20 parts of the data where this is larger. It has no upper end below
    three events.

    Parameters
    ----------
    states
        The data.
    lag
        In frames.
    n
        How many of the slowest ones; all n_states - 1 when None.
    level
        Probability that an interval holds the truth.
    intervals
        Whether to look at the parts of the data, too, which takes as long again.

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    check_lag(states, lag)
    slow = slowest_eigenvalues(states, lag, n, N_PARTS if intervals else 0)
    low, high, events = _intervals(slow, lag, level)
    size = states.n_states - 1 if n is None else min(n, states.n_states - 1)
    values, low, high, events = (
        np.concatenate([x, np.full(size - len(x), unseen)])
        for x, unseen in (
            (implied_timescales(slow.moduli, lag) * states.dt, np.nan),
            (low * states.dt, 0.0),
            (high * states.dt, np.inf),
            (events, 0.0),
        )
    )
    why = _why_unreliable(states, slow, events)
    return Timescales(values, low, high, events, lag, states.unit, why)


@dataclass(frozen=True)
class Eigenvalues:
    """Moduli of the slowest eigenvalues of the counts at a lag, the first (one) left out.

    Parameters
    ----------
    moduli, variance
        Shape (k,).
    moved
        What each of the independent parts of the data adds to them, to first order, shape
        (n_parts, k); None where the data does not hold so many parts.
    overlap
        How many overlapping counts are worth one, shape (k,).
    closed
        The sets of states that are never left.
    frames_closed
        Counts in each of them.
    n_visited
        Number of states that were visited.
    """

    moduli: F64
    variance: F64
    moved: F64 | None
    overlap: F64
    closed: list[I64]
    frames_closed: F64
    n_visited: int


def slowest_eigenvalues(
    states: States, lag: int, n: int | None = None, n_parts: int = N_PARTS
) -> Eigenvalues:
    """Return the n slowest eigenvalues of the counts at `lag`, and how far they are known."""
    visited = np.flatnonzero(states.visited())
    inside = np.ix_(visited, visited)
    counts = states.transition_counts(lag).astype(np.float64)[inside]
    slow = _slowest(transition_matrix(counts, states.counts()[visited]), counts.sum(axis=1), n)
    closed = closed_sets(counts)
    overlap = np.minimum(lag, 1 + 2 * implied_timescales(slow.moduli, lag))
    variance = overlap * slow.variance(counts)
    parts, moved = independent_parts(states, n_parts) if n_parts else [], None
    if n_parts and len(parts) == n_parts:
        of_parts = (part.transition_counts(lag)[inside].astype(np.float64) for part in parts)
        moved = np.array([slow.moved_by(c) for c in of_parts])
        variance = np.maximum(variance, n_parts / (n_parts - 1) * (moved**2).sum(axis=0))
    return Eigenvalues(
        slow.moduli,
        variance,
        moved,
        overlap,
        [visited[c] for c in closed],
        np.array([counts[c].sum() for c in closed]),
        len(visited),
    )


class _Slow(NamedTuple):
    """The slowest eigenvalues of row-normalised counts, and how they follow the counts.

    A count i -> j adds a_i (r_j - lambda r_i) to the eigenvalue lambda, with the right eigenvector
    r and the left one over the counts from i, a; the real part counts along the eigenvalue itself.

    Parameters
    ----------
    values, moduli
        Shape (k,).
    right, rows
        r and a, shape (n, k); a is turned so that the real part is that of the modulus.
    """

    values: npt.NDArray[np.complex128]
    moduli: F64
    right: npt.NDArray[np.complex128]
    rows: npt.NDArray[np.complex128]

    def moved_by(self, counts: F64) -> F64:
        """Return what counts add to the moduli, shape (k,)."""
        own = self.values * self.right * counts.sum(axis=1)[:, None]
        moved: F64 = np.real((self.rows * (counts @ self.right - own)).sum(axis=0))
        return moved

    def variance(self, counts: F64) -> F64:
        """Return the variance of the moduli where each row is multinomial, shape (k,)."""
        n, first = counts.sum(axis=1)[:, None], counts @ self.right
        own = self.values * self.right
        squared = counts @ self.right**2 - 2 * own * first + n * own**2
        absolute = counts @ np.abs(self.right) ** 2 + n * np.abs(own) ** 2
        absolute -= 2 * np.real(own.conj() * first)
        # (Re z)^2 = (|z|^2 + Re z^2) / 2
        both = np.abs(self.rows) ** 2 * absolute + np.real(self.rows**2 * squared)
        variance: F64 = np.maximum(both.sum(axis=0) / 2, 0.0)
        return variance


def _slowest(T: F64, row_counts: F64, n: int | None) -> _Slow:
    from scipy.linalg import eig

    values, left, right = eig(T, left=True, right=True)
    # The first is one; so are as many as there are sets that are never left.
    order = np.argsort(-np.abs(values), kind="stable")[1:][:n]
    values, left, right = values[order].astype(np.complex128), left[:, order], right[:, order]
    moduli = np.abs(values)
    moduli[: max(len(closed_sets(T)) - 1, 0)] = 1.0
    scale = (left.conj() * right).sum(axis=0) * np.maximum(moduli, 1e-12)
    # Zero, and eigenvalues of one eigenvector for several, do not follow the counts smoothly.
    smooth = np.abs(scale) > 1e-10
    turned = np.divide(values.conj(), scale, out=np.zeros_like(values), where=smooth)
    rows = left.conj() * turned / np.maximum(row_counts, 1.0)[:, None]
    return _Slow(values, moduli, right.astype(np.complex128), rows)


def _intervals(slow: Eigenvalues, lag: int, level: float) -> tuple[F64, F64, F64]:
    """Return low and high of the timescales in frames, and the numbers of events.

    A set that is never left could be left at a rate that its counts would not show, which adds to
    the upper end of 1 - |lambda|.
    """
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    lost, known = 1 - slow.moduli, slow.variance > 0
    events = np.divide(lost**2, slow.variance, out=np.zeros_like(lost), where=known)
    n = np.maximum(events, 1e-9)
    spread = [gammaincinv(n + 0.5, p) / n for p in (tail, 1 - tail)]
    unseen = 0.0
    if (slow.closed and sum(map(len, slow.closed)) < slow.n_visited) or len(slow.closed) > 1:
        counts = slow.frames_closed[slow.frames_closed > 0]
        unseen = gammaincinv(0.5, 1 - tail) * (1 / counts).sum()
    slowest = np.where(events >= FEWEST, lost * spread[0], 0.0)
    fastest = np.where(lost > 0, lost * spread[1], 0.0) + unseen * slow.overlap
    low = implied_timescales(np.clip(1 - fastest, 0.0, 1.0), lag)
    return low, implied_timescales(1 - slowest, lag), events


def _why_unreliable(states: States, slow: Eigenvalues, events: F64) -> str:
    if slow.n_visited < 2:
        return f"only {name_states(np.flatnonzero(states.visited()))} was visited"
    if len(slow.closed) > 1:
        return f"no transition leads from {name_states(slow.closed[0])} to the others"
    if len(slow.closed[0]) < slow.n_visited:
        return f"no transition leads out of {name_states(slow.closed[0])}"
    few = events < FEW_EVENTS
    if few[: slow.n_visited - 1].any():
        fewest = f"{events[: slow.n_visited - 1].min():.2g}"
        return f"{counted(int(few.sum()), 'timescale rests', 'timescales rest')} on {fewest} events"
    if few.any():
        return f"{counted(int(few.sum()), 'state was', 'states were')} never visited"
    return ""
