"""The Markov chain closest to another one that meets the targets, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trajlm.constraints.measures import Quantity
from trajlm.constraints.multipliers import find_multipliers, within_a_step
from trajlm.errors import InputError
from trajlm.kernels.stochastic import closed_sets
from trajlm.models.markov import MarkovModel
from trajlm.util.arrays import F64, I64
from trajlm.util.devices import one_thread_in_pytorch

if TYPE_CHECKING:
    from torch import Tensor


MOST_STEPS = 1000
# Of the scaled measures and the matrix, from which on nothing changes any more.
PRECISION = 1e-10
# Of a step that is taken where steps do not shrink.
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class ChainSolution:
    """A constrained chain.

    Parameters
    ----------
    transition_matrix, stationary_distribution
        Shapes (n, n) and (n,).
    multipliers
        mu of each target on its scale, shape (n_targets,).
    kl_rate
        sum_ij pi'_i P'_ij ln(P'_ij / P_ij), in nats per frame.
    reached
        Whether the targets are met.
    """

    transition_matrix: F64
    stationary_distribution: F64
    multipliers: F64
    kl_rate: float
    reached: bool


def solve_chain(P0: F64, quantities: Sequence[Quantity]) -> ChainSolution:
    """Return the chain with the smallest KL rate from `P0` that meets the targets.

    Parameters
    ----------
    P0
        Row-stochastic, irreducible, shape (n, n). No step that is impossible becomes possible.
    quantities
        What is asked for.
    """
    with one_thread_in_pytorch(), np.errstate(divide="ignore"):
        log_P0 = np.log(P0)
        low, high = np.array([[q.scaled(x) for x in q.bounds] for q in quantities]).T
        change, mu = np.zeros_like(P0), np.zeros(len(low))
        P, share, before = P0, 1.0, np.inf
        for _ in range(MOST_STEPS):
            pi, now, advantages, kl_rate, of_kl = _answers(P, P0, change, quantities)
            off = float(np.maximum(np.maximum(low - now, now - high), 0).max())
            fisher = _fisher(P, pi, [*advantages, -of_kl])
            bounds = within_a_step(now, low, high)
            mu = find_multipliers(fisher[:-1, :-1], now + fisher[:-1, -1], *bounds)
            step = np.tensordot(mu, advantages, 1) - of_kl
            left = float(np.sqrt(_fisher(P, pi, [step])[0, 0]))
            if off < PRECISION and left < PRECISION:
                break
            # Where answers are far from linear, whole steps go round in circles.
            share = max(share / 2, LEAST_SHARE) if left > before else min(1.0, 1.2 * share)
            before = left
            change = change + share * step
            P = _softmax(log_P0 + change)
    return ChainSolution(P, pi, mu, kl_rate, off < 1e-6)


def constrain_markov(
    model: MarkovModel, quantities: Sequence[Quantity]
) -> tuple[MarkovModel, ChainSolution]:
    """Return the constrained model, and how it was found.

    Raises
    ------
    InputError
        Sets of states of the model do not lead to each other.
    """
    kept = _recurrent_states(model)
    inside = np.ix_(kept, kept)
    T, pi = model.transition_matrix.copy(), np.zeros(model.n_states)
    solution = solve_chain(T[inside], [q.among(kept) for q in quantities])
    T[inside], pi[kept] = solution.transition_matrix, solution.stationary_distribution
    return MarkovModel(T, pi, model.space, model.record, model.floor), solution


def chain_values(model: MarkovModel, quantities: Sequence[Quantity]) -> F64:
    """Return the values of quantities in a Markov model, in their own units.

    Raises
    ------
    InputError
        Sets of states of the model do not lead to each other.
    """
    import torch

    kept = _recurrent_states(model)
    P = torch.from_numpy(model.transition_matrix[np.ix_(kept, kept)])
    with one_thread_in_pytorch():
        pi = _stationary(P)
        return np.array(
            [
                q.value([float(m.among(kept).of_chain(P, pi)) for m in q.measures])
                for q in quantities
            ]
        )


def _recurrent_states(model: MarkovModel) -> I64:
    """Return the states that a model comes back to for ever.

    Raises
    ------
    InputError
        There are several such sets.
    """
    pi = model.stationary_distribution
    closed = [states for states in closed_sets(model.transition_matrix) if pi[states].any()]
    if len(closed) != 1:
        raise InputError(
            f"the Markov model has {len(closed)} sets of states that are never left: how they are "
            "populated is not its doing, so fit it to data in which all states lead to each other"
        )
    return closed[0]


def _answers(
    P: F64, P0: F64, change: F64, quantities: Sequence[Quantity]
) -> tuple[F64, F64, F64, float, F64]:
    """Return pi, the scaled measures, their advantages, the KL rate, and its advantage.

    The advantage of i -> j is the derivative by P_ij over pi_i, but for what a row has in common.
    """
    import torch

    matrix = torch.from_numpy(P).requires_grad_(True)
    pi = _stationary(matrix)
    n = len(P)
    found = []
    values: dict[int, tuple[float, F64]] = {}

    def of(mean: Tensor) -> tuple[float, F64]:
        (gradient,) = torch.autograd.grad(mean, matrix, retain_graph=True)
        advantage = gradient.numpy() / pi.detach().numpy()[:, None]
        return float(mean.detach()), advantage - (P * advantage).sum(axis=1, keepdims=True)

    for quantity in quantities:
        for measure in quantity.measures:
            if id(measure) not in values:
                values[id(measure)] = of(measure.of_chain(matrix, pi))
        found.append(quantity.combined([values[id(m)] for m in quantity.measures]))
    possible = torch.from_numpy(P0 > 0)
    safe = torch.where(possible, matrix, torch.ones(n, n, dtype=matrix.dtype))
    logs = torch.log(safe) - torch.from_numpy(np.log(np.where(P0 > 0, P0, 1.0)))
    kl_rate, of_kl = of((pi[:, None] * matrix * logs).sum())
    now = np.array([value for value, _ in found])
    return pi.detach().numpy(), now, np.array([a for _, a in found]), kl_rate, of_kl


def _stationary(P: Tensor) -> Tensor:
    """Return pi = pi P with a gradient: pi (1 - P + 1 1^T) = 1^T."""
    import torch

    n = len(P)
    ones = torch.ones(n, n, dtype=P.dtype)
    solved: Tensor = torch.linalg.solve((torch.eye(n, dtype=P.dtype) - P + ones).T, ones[0])
    return solved


def _fisher(P: F64, pi: F64, changes: Sequence[F64]) -> F64:
    """Return the covariances of changes of the logits over all steps of the chain."""
    centred = np.array([d - (P * d).sum(axis=1, keepdims=True) for d in changes])
    weighted = centred * (pi[:, None] * P)
    covariances: F64 = np.einsum("aij,bij->ab", weighted, centred)
    return covariances


def _softmax(logits: F64) -> F64:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
