"""What follows from a row-stochastic matrix: sets, stationary distribution, times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def connected_sets(weights: npt.NDArray[Any], directed: bool = True) -> I64:
    """Return the number of each state's set, shape (n,).

    Parameters
    ----------
    weights
        Positive where there is a step from row to column, shape (n, n).
    directed
        True: states of one set reach each other. False: they are joined by steps either way.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    graph = csr_array(np.asarray(weights) > 0)
    _, sets = connected_components(
        graph, directed=True, connection="strong" if directed else "weak"
    )
    return np.asarray(sets, dtype=np.int64)


def closed_sets(weights: npt.NDArray[Any]) -> list[I64]:
    """Return the sets of states that reach each other and are never left, as sorted states."""
    sets = connected_sets(weights)
    source, target = np.nonzero(np.asarray(weights) > 0)
    leaving = np.unique(sets[source[sets[source] != sets[target]]])
    return [np.flatnonzero(sets == k) for k in np.unique(sets) if k not in leaving]


def stationary_distribution(T: F64) -> F64:
    """Return pi = pi T, shape (n,).

    Where several sets are never left there are many, and one of them is returned.
    """
    n = len(T)
    system = np.vstack([(np.eye(n) - T).T, np.ones(n)])
    solution, *_ = np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)
    # Transient states come out as zero but for rounding.
    pi = np.maximum(solution, 0.0)
    return np.asarray(pi / pi.sum())


def implied_timescales(moduli: F64, lag: int) -> F64:
    """Return -lag / ln |lambda| for the moduli of eigenvalues; infinite where |lambda| is one."""
    # A modulus that differs from one by rounding alone is one.
    kept = np.where(moduli > 1 - 1e-12, 1.0, moduli)
    with np.errstate(divide="ignore"):
        return np.asarray(np.abs(lag / np.log(kept)))


def passage_times(T: F64, shows: F64) -> F64:
    """Return the mean number of steps from each state until the target is seen.

    u = 1 + T ((1 - b) u), infinite from states that may never see it.

    Parameters
    ----------
    T
        Row-stochastic, shape (n, n).
    shows
        b, the probability that a state shows the target, shape (n,).
    """
    onwards = T * (1 - shows)
    lost = np.zeros(len(T), dtype=np.bool_)
    for members in closed_sets(T):
        lost[members] = not shows[members].any()
    # Whoever can step to a lost state without having seen the target may be lost as well.
    while True:
        more = lost | ((onwards > 0) & lost).any(axis=1)
        if (more == lost).all():
            break
        lost = more
    times = np.full(len(T), np.inf)
    kept = np.flatnonzero(~lost)
    if len(kept):
        system = np.eye(len(kept)) - onwards[np.ix_(kept, kept)]
        times[kept] = np.linalg.solve(system, np.ones(len(kept)))
    return times
