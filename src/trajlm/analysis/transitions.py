"""The transition matrix of counts and its implied timescales, as far as the data settles them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trajlm.analysis.uncertainty import FEW_EVENTS, blocks
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.kernels.stochastic import closed_sets, connected_sets, implied_timescales
from trajlm.util.words import counted, listed

Floats = npt.NDArray[np.float64]

# Parts of the data whose spread widens an interval where transitions come in bursts.
N_PARTS = 20
# Below this number of events an interval of a timescale has no upper end.
FEWEST = 3
# States that a sentence names.
NAMED = 6


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

    values: Floats
    low: Floats
    high: Floats
    n_events: Floats
    lag: int
    unit: str
    why: str = ""

    @property
    def reliable(self) -> bool:
        """Whether the data holds enough to believe all of them within their intervals."""
        return not self.why


def check_lag(states: States, lag: int) -> None:
    """Raise if no trajectory spans the lag.

    Raises
    ------
    InputError
        A lag below one frame, or of as many frames as the longest trajectory has or more.
    """
    longest = max(len(s) for s in states)
    if not 1 <= lag < longest:
        raise InputError(f"lag {lag} is out of range: the longest trajectory has {longest} frames")


def transition_matrix(counts: npt.ArrayLike, populations: npt.ArrayLike) -> Floats:
    """Return the row-normalised counts, shape (n, n).

    A state that was visited at the ends of trajectories alone goes to the states joined to it, by
    their populations; one that was never visited goes to all.

    Parameters
    ----------
    counts
        Transitions from row to column, shape (n, n).
    populations
        Frames in each state, shape (n,).
    """
    C, frames = np.asarray(counts, dtype=np.float64), np.asarray(populations, dtype=np.float64)
    rows = C.sum(axis=1, keepdims=True)
    T: Floats = np.divide(C, rows, out=np.zeros_like(C), where=rows > 0)
    unknown = np.flatnonzero(rows[:, 0] == 0)
    if len(unknown):
        joined = connected_sets(C, directed=False)
        for state in unknown:
            weights = frames * (joined == joined[state]) if frames[state] else frames
            T[state] = weights / weights.sum()
    return T


def name_states(states: npt.NDArray[np.int64]) -> str:
    """Return states as words, of many the first: "states 0, 1 and 7"."""
    names = [str(k) for k in states[:NAMED]]
    if len(states) > NAMED:
        names.append(f"{len(states) - NAMED} more")
    return f"state{'s' if len(states) > 1 else ''} {listed(names)}"


def counted_transition_matrix(states: States, lag: int = 1) -> Floats:
    """Return the transition matrix of the counts at `lag` frames, see `transition_matrix`."""
    check_lag(states, lag)
    return transition_matrix(states.transition_counts(lag), states.counts())


def counted_timescales(
    states: States, lag: int = 1, n: int | None = None, level: float = 0.95
) -> Timescales:
    """Return the implied timescales ``-lag dt / ln |lambda|`` of the counts at `lag`.

    The interval is that of 1 - |lambda|, as of a rate with as many events as leave it as uncertain
    (Jeffreys' interval of a Poisson count): the variance follows from that of multinomial rows
    through the eigenvectors, with lag-fold overlapping counts taken as one, and is raised to that
    over 20 parts of the data where this is larger. It has no upper end below three events.

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

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    check_lag(states, lag)
    visited = np.flatnonzero(states.visited())
    counts = states.transition_counts(lag).astype(np.float64)[np.ix_(visited, visited)]
    T = transition_matrix(counts, states.counts()[visited])
    slow = _slowest(T, counts.sum(axis=1), n)
    never_left = [float(counts[c].sum()) for c in closed_sets(counts) if len(c) < len(visited)]
    overlap = np.minimum(lag, 1 + 2 * implied_timescales(slow.moduli, lag))
    variance = overlap * slow.variance(counts)
    parts = blocks(states, N_PARTS)
    if len(parts) == N_PARTS:
        of_parts = (p.transition_counts(lag)[np.ix_(visited, visited)] for p in parts)
        moved = np.array([slow.moved_by(c.astype(np.float64)) for c in of_parts])
        variance = np.maximum(variance, N_PARTS / (N_PARTS - 1) * (moved**2).sum(axis=0))
    low, high, events = _intervals(slow.moduli, variance, never_left, overlap, lag, level)
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
    why = _why_unreliable(states, counts, visited, events)
    return Timescales(values, low, high, events, lag, states.unit, why)


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
    moduli: Floats
    right: npt.NDArray[np.complex128]
    rows: npt.NDArray[np.complex128]

    def moved_by(self, counts: Floats) -> Floats:
        """Return what counts add to the moduli, shape (k,)."""
        own = self.values * self.right * counts.sum(axis=1)[:, None]
        moved: Floats = np.real((self.rows * (counts @ self.right - own)).sum(axis=0))
        return moved

    def variance(self, counts: Floats) -> Floats:
        """Return the variance of the moduli where each row is multinomial, shape (k,)."""
        n, first = counts.sum(axis=1)[:, None], counts @ self.right
        own = self.values * self.right
        squared = counts @ self.right**2 - 2 * own * first + n * own**2
        absolute = counts @ np.abs(self.right) ** 2 + n * np.abs(own) ** 2
        absolute -= 2 * np.real(own.conj() * first)
        # (Re z)^2 = (|z|^2 + Re z^2) / 2
        both = np.abs(self.rows) ** 2 * absolute + np.real(self.rows**2 * squared)
        variance: Floats = np.maximum(both.sum(axis=0) / 2, 0.0)
        return variance


def _slowest(T: Floats, row_counts: Floats, n: int | None) -> _Slow:
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


def _intervals(
    moduli: Floats,
    variance: Floats,
    never_left: list[float],
    overlap: Floats,
    lag: int,
    level: float,
) -> tuple[Floats, Floats, Floats]:
    """Return low and high of the timescales in frames, and the numbers of events.

    `never_left` are the counts in sets that are never left: each could be left at a rate that so many
    counts would not show, which adds to the upper end of 1 - |lambda|.
    """
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    lost = 1 - moduli
    events = np.divide(lost**2, variance, out=np.zeros_like(lost), where=variance > 0)
    known = np.maximum(events, 1e-9)
    spread = [gammaincinv(known + 0.5, p) / known for p in (tail, 1 - tail)]
    at_least = gammaincinv(0.5, 1 - tail) * overlap * sum(1 / c for c in never_left if c > 0)
    slowest = np.where(events >= FEWEST, lost * spread[0], 0.0)
    fastest = np.where(lost > 0, lost * spread[1], 0.0) + at_least
    low = implied_timescales(np.clip(1 - fastest, 0.0, 1.0), lag)
    return low, implied_timescales(1 - slowest, lag), events


def _why_unreliable(
    states: States, counts: Floats, visited: npt.NDArray[np.int64], events: Floats
) -> str:
    closed = closed_sets(counts)
    if len(visited) < 2:
        return f"only state {visited[0]} was visited"
    if len(closed) > 1:
        return f"no transition leads from {name_states(visited[closed[0]])} to the others"
    if len(closed[0]) < len(visited):
        return f"no transition leads out of {name_states(visited[closed[0]])}"
    few = events < FEW_EVENTS
    if few.any():
        if len(events) > len(visited) - 1 and not few[: len(visited) - 1].any():
            return f"{counted(states.n_states - len(visited), 'state was', 'states were')} not seen"
        n = f"{events[few].min():.2g}"
        return f"{counted(int(few.sum()), 'timescale rests', 'timescales rest')} on {n} events"
    return ""
