"""Scores of a discretization, cross-validated and comparable with those of any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.analysis.transitions import check_lag
from trajlm.analysis.uncertainty import independent_parts, mean_interval
from trajlm.data import StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import F64
from trajlm.util.words import counted, duration

# States from which on all singular vectors take far longer than a few.
MANY_STATES = 300


@dataclass(frozen=True)
class StateScore:
    """How much of the dynamics states hold, by folds of the data that were not counted.

    Parameters
    ----------
    vamp2
        VAMP-2 score of each fold, shape (n_folds,), from 1 to 1 + n_processes.
    information
        Predictive information of each fold, in nats, shape (n_folds,).
    n_states, n_processes
        Number of states and of slow processes that the VAMP-2 score counts.
    lag, dt, unit
        The lag in frames and the time of a frame.
    """

    vamp2: F64
    information: F64
    n_states: int
    n_processes: int
    lag: int
    dt: float
    unit: str

    def describe(self) -> str:
        """Say both scores in a line, with their 95 % intervals over the folds."""
        words = []
        for name, values in (("VAMP-2", self.vamp2), ("information", self.information)):
            mean, low, high = mean_interval(values)
            words.append(f"{name} {mean:.3f} ({low:.3f} to {high:.3f})")
        states = counted(self.n_states, "state", "states")
        return f"{states} at a lag of {duration(self.lag * self.dt, self.unit)}: {', '.join(words)}"


def best_by(scores: Sequence[F64]) -> tuple[int, list[int]]:
    """Return which of several scores is best, and which others the data does not tell from it.

    Differences are taken fold by fold, since all scores rise and fall with the same stretches of
    data: they are far surer than the scores themselves.

    Parameters
    ----------
    scores
        The same score of the same data, by fold, such as `StateScore.vamp2` of each.
    """
    best = int(np.argmax([score.mean() for score in scores]))
    others = [k for k in range(len(scores)) if k != best]
    return best, [k for k in others if mean_interval(scores[best] - scores[k])[1] <= 0]


def score_states(
    states: StatesLike, lag: int, n_processes: int = 5, n_folds: int = 5
) -> StateScore:
    """Score states by how well counts of one part of the data predict another.

    Both scores compare discretizations of the same data at the same lag, whatever their method and
    number of states: each rises with what the states resolve, and falls with what the data is too
    short to tell of them.

    The **VAMP-2 score** is the sum of the squared correlations between the `n_processes` slowest
    processes at two times a lag apart, found on the other folds, plus one for the equilibrium. It
    sees the slow processes alone.

    The **predictive information** ``<ln Q(s'|s) - ln p(s')>`` is how many nats the present state
    tells of that a lag later, Q and p counted on the other folds, with one frame a state spread as
    p. It makes nats of different discretizations comparable: of a state s(x) the features x have
    density ``p(x|s) = p(x)/p(s)``, so that a model of states is one of features, with
    ``-<ln Q(s'|s) p(x'|s')> = -<ln Q(s'|s)/p(s')> - <ln p(x')>`` nats, whose last term is the same
    for all discretizations.

    Parameters
    ----------
    states
        Discrete trajectories: parts of them are the folds, or blocks of time where they are few.
    lag
        In frames.
    n_processes
        Slow processes that the VAMP-2 score counts; fewer where there are fewer states.
    n_folds
        Parts of the data, at least two.

    Raises
    ------
    InputError
        A lag that some fold does not span, or fewer than two folds.

    References
    ----------
    McGibbon, Pande, J. Chem. Phys. 142:124105 (2015); Wu, Noé, J. Nonlinear Sci. 30:23 (2020).
    """
    states = as_states(states)
    check_lag(states, lag)
    if n_folds < 2 or n_processes < 1:
        raise InputError(
            f"{n_folds} folds and {n_processes} processes were asked for: at least 2 folds and 1 "
            "process are needed"
        )
    parts = independent_parts(states, n_folds)
    counts = [part.transition_counts(lag).astype(np.float64) for part in parts]
    if len(counts) < n_folds or not all(c.sum() > 0 for c in counts):
        raise InputError(
            f"a fold of {n_folds} holds no pair of frames {lag} apart: take fewer folds or a "
            "shorter lag"
        )
    total = np.sum(counts, axis=0)
    visited = np.flatnonzero(total.sum(axis=0) + total.sum(axis=1))
    folds = [c[np.ix_(visited, visited)] for c in counts]
    total = total[np.ix_(visited, visited)]
    k = min(n_processes, len(visited) - 1)
    return StateScore(
        vamp2=np.array([_vamp2(total - fold, fold, k + 1) for fold in folds]),
        information=np.array([_information(total - fold, fold) for fold in folds]),
        n_states=states.n_states,
        n_processes=k,
        lag=lag,
        dt=states.dt,
        unit=states.unit,
    )


def _vamp2(training: F64, test: F64, k: int) -> float:
    """Return the squared Frobenius norm of the test data's correlations in k trained functions.

    With C_0 and C_t the diagonal matrices of visits a lag before and after, and C the counts, the
    functions are U = C_0^-1/2 A and V = C_t^-1/2 B of the singular value decomposition
    C_0^-1/2 C C_t^-1/2 = A S B^T; the score is
    ||(U^T C_0' U)^-1/2 U^T C' V (V^T C_t' V)^-1/2||^2, primes those of the test data.
    """
    weights = [np.sqrt(_inverse(training.sum(axis=axis))) for axis in (1, 0)]
    left, right = _singular_vectors(weights[0][:, None] * training * weights[1], k)
    u, v = weights[0][:, None] * left, weights[1][:, None] * right
    before = u.T @ (test.sum(axis=1)[:, None] * u)
    after = v.T @ (test.sum(axis=0)[:, None] * v)
    whitened = _inverse_root(before) @ (u.T @ test @ v) @ _inverse_root(after)
    return float((whitened**2).sum())


def _singular_vectors(matrix: F64, k: int) -> tuple[F64, F64]:
    if len(matrix) <= MANY_STATES or k >= len(matrix) - 1:
        left, _, right = np.linalg.svd(matrix)
        return left[:, :k], right[:k].T
    from scipy.sparse.linalg import svds

    left, values, right = svds(matrix, k, v0=np.ones(len(matrix)))
    order = np.argsort(-values)
    return left[:, order], right[order].T


def _information(training: F64, test: F64) -> float:
    """Return <ln Q(s'|s) - ln p(s')> over the pairs of the test data."""
    arrivals = training.sum(axis=0) + 1.0
    p = arrivals / arrivals.sum()
    q = (training + p) / (training.sum(axis=1, keepdims=True) + 1.0)
    return float((test * (np.log(q) - np.log(p))).sum() / test.sum())


def _inverse(x: F64) -> F64:
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


def _inverse_root(matrix: F64) -> F64:
    """Return the inverse root of a positive matrix, zero along what it does not span."""
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(_inverse(np.where(values > 1e-10 * values[-1], values, 0.0)))
    root: F64 = (vectors * roots) @ vectors.T
    return root
