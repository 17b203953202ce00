"""Where the states lie on the slowest processes of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlm.analysis.transitions import check_lag
from trajlm.data import StatesLike, as_states
from trajlm.kernels.stochastic import connected_sets, implied_timescales
from trajlm.util.arrays import F64


@dataclass(frozen=True)
class KineticMap:
    """The states on the two slowest processes.

    Distances on the map are kinetic: states that are near each other pass into each other fast.

    Parameters
    ----------
    coordinates
        lambda_k psi_k of each state for k = 1, 2, shape (n_states, 2); NaN for states that the
        largest connected part of the data leaves out.
    timescales
        Implied timescale of each process, shape (2,), in `unit`; NaN where there is none.
    lag
        In frames.
    unit
        Of time.
    """

    coordinates: F64
    timescales: F64
    lag: int
    unit: str


def kinetic_map(states: StatesLike, lag: int = 1) -> KineticMap:
    """Return where the states lie on the two slowest processes of the counts at `lag`.

    psi_k are the right eigenvectors of the transition matrix of the counts and their reverse
    (C + C^T), normalised to unit variance in equilibrium and weighted with their eigenvalue, see
    Noe and Clementi, J. Chem. Theory Comput. 11:5002 (2015).

    Parameters
    ----------
    states
        The data.
    lag
        In frames.

    Raises
    ------
    InputError
        A lag that no trajectory spans.
    """
    states = as_states(states)
    check_lag(states, lag)
    counts = states.transition_counts(lag).astype(np.float64)
    counts += counts.T
    sets = connected_sets(counts, directed=False)
    weight = np.bincount(sets, counts.sum(axis=1))
    kept = np.flatnonzero(sets == weight.argmax())
    values, vectors = _slowest(counts[np.ix_(kept, kept)])
    coordinates = np.full((states.n_states, 2), np.nan)
    coordinates[kept] = 0.0
    coordinates[kept, : len(values)] = values * vectors
    times = np.full(2, np.nan)
    times[: len(values)] = implied_timescales(np.abs(values), lag) * states.dt
    return KineticMap(coordinates, times, lag, states.unit)


def _slowest(counts: F64) -> tuple[F64, F64]:
    """Return up to two eigenvalues below one and their right eigenvectors, shape (n, k)."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import eigsh

    n = len(counts)
    rows = counts.sum(axis=1)
    root = np.sqrt(rows)
    symmetric = counts / np.outer(root, root)
    if n < 8:
        values, vectors = np.linalg.eigh(symmetric)
    else:
        # From a start of its own, since the default one is drawn at random.
        start = np.linspace(1.0, 2.0, n)
        values, vectors = eigsh(csr_array(symmetric), k=3, which="LA", v0=start)
    order = np.argsort(-values)[1:3]
    right = vectors[:, order] / (root / np.sqrt(rows.sum()))[:, None]
    # Each axis grows with the number of the state, so that maps of two sources are alike.
    trend = (np.arange(n) - (n - 1) / 2) @ right
    return values[order], right * np.where(trend < 0, -1.0, 1.0)
