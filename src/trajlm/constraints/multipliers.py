"""The Lagrange multipliers of the targets, one step at a time.

The change of a path ensemble that meets constraints on means with the smallest KL rate
(maximum caliber) multiplies the weight of each path by exp(sum_k mu_k sum_t f_k(t)) and makes the
result a process again by a Doob transform. For a Markov chain P and functions f_k of a step,

    P'_ij = P_ij exp(sum_k mu_k f_k,ij) r_j / (rho r_i),

with r the right eigenvector of P_ij exp(mu f_ij) and rho its eigenvalue. In logarithms: each step
i -> j gets added sum_k mu_k f_k,ij + W_j, and W_j = ln r_j solves the Poisson equation of the
return sum_k mu_k f_k - KL under P' itself. That form holds with any memory, i and j being whole
pasts, and for what is no function of a step with its derivative by the flow of steps in f's place.

So the change is looked for where it is its own solution: from the present model the *advantages*
A_k (by how much a decision raises the future sum of measure k above its mean) and that of the KL
rate are solved, the change becomes sum_k mu_k A_k + (what the KL rate asks for), and mu follows
from how the measures answer. They answer to a change D of the logits with the covariance of A_k and
D over decisions: the Fisher information of the change, so that each step is a Newton step.
"""

from __future__ import annotations

import numpy as np

from trajlm.util.arrays import F64

# Largest change of a measure on its scale in one step, since answers are linear only nearby.
LARGEST_STEP = 0.7
SWEEPS = 10_000
PRECISION = 1e-13


def within_a_step(now: F64, low: F64, high: F64) -> tuple[F64, F64]:
    """Return the bounds moved to where one step leads from `now`, shape (n_targets,) all."""
    least, most = now - LARGEST_STEP, now + LARGEST_STEP
    return np.clip(low, least, most), np.clip(high, least, most)


def find_multipliers(fisher: F64, free: F64, low: F64, high: F64) -> F64:
    """Return mu with the smallest KL rate that brings all measures within bounds.

    The least mu F mu / 2 such that low <= free + F mu <= high, by descent along one mu after the
    other: a target that is met anyway has none, and one with an error is met at its nearer end.

    Parameters
    ----------
    fisher
        F, how the measures answer to mu, shape (n_targets, n_targets).
    free
        Where the measures would be without.
    low, high
        Bounds, shape (n_targets,).
    """
    scale = 1 / np.sqrt(np.maximum(np.diag(fisher), 1e-300))
    F = fisher * np.outer(scale, scale)
    at, least, most = free * scale, low * scale, high * scale
    mu = np.zeros(len(free))
    for _ in range(SWEEPS):
        largest = 0.0
        for k in range(len(mu)):
            without = at[k] + F[k] @ mu - F[k, k] * mu[k]
            wanted = np.clip(without, least[k], most[k]) - without
            largest = max(largest, abs(wanted - mu[k]))
            mu[k] = wanted
        if largest < PRECISION * (1 + np.abs(mu).max()):
            break
    found: F64 = mu * scale
    return found
