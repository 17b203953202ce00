"""Transition probabilities between groups where the groups remember: without trajectories.

Lumped states of a Markov process are not Markovian. What follows predicts the matrices T(t) of
groups, T_ij(t) = P(in j after t frames | in i), from those at short times or from a Markov state
model of the fine states. Matrices are row-stochastic.
"""

from __future__ import annotations

import numpy as np

from trajlm.util.arrays import F64, I64


def transfer_tensors(propagators: F64) -> F64:
    """Return the memory kernel K_1, K_2, ... of T(1), T(2), ..., shape (m, n, n) both.

    T(t) = sum_{s=1}^{t} K_s T(t - s) with T(0) = 1: the discrete form of the generalised master
    equation, so that K_1 = T(1) and all other K vanish for a Markov process. Source: Cerrillo and
    Cao, Phys. Rev. Lett. 112:110401 (2014); a quasi-MSM whose derivatives are differences of one
    frame (Cao et al., J. Chem. Phys. 153:014105 (2020)).
    """
    kernel = np.array(propagators)
    for t in range(1, len(kernel)):
        for s in range(t):
            kernel[t] -= kernel[s] @ propagators[t - s - 1]
    return kernel


def propagate_memory(kernel: F64, n_frames: int) -> F64:
    """Return T(1) ... T(n_frames) of a memory that ends, shape (n_frames, n, n).

    Parameters
    ----------
    kernel
        K_1 ... K_m of `transfer_tensors`, shape (m, n, n): what is older than m frames is
        forgotten.
    n_frames
        How many frames to go.
    """
    m, n, _ = kernel.shape
    T = np.empty((n_frames + 1, n, n))
    T[0] = np.eye(n)
    for t in range(1, n_frames + 1):
        past = min(t, m)
        T[t] = np.einsum("sij,sjk->ik", kernel[:past], T[t - past : t][::-1])
    return T[1:]


def grouped_propagators(transition_matrix: F64, populations: F64, groups: I64, n_steps: int) -> F64:
    """Return what a Markov model of fine states says of groups, shape (n_steps, N, N).

    T_IJ(t) = sum_{i in I, j in J} p_i (T^t)_ij / P_I: exact for the model, in equilibrium.

    Parameters
    ----------
    transition_matrix, populations
        Of the fine states, shapes (n, n) and (n,).
    groups
        The group of each state, from 0, shape (n,); each group holds frames.
    n_steps
        Steps of the model.
    """
    member, weights = _membership(populations, groups)
    reached = member
    found = np.empty((n_steps, member.shape[1], member.shape[1]))
    for t in range(n_steps):
        reached = transition_matrix @ reached
        found[t] = weights @ reached
    return found


def hummer_szabo(transition_matrix: F64, populations: F64, groups: I64) -> F64:
    """Return the Markov matrix of groups with the correlation times of the fine states.

    1 + R with R = 1 P' - (A' D (1 p' - T + 1)^-1 A)^-1 D_P, where A holds the members of each
    group, D = diag(p) and D_P = diag(P): sums over all time of the groups' correlation functions
    are those of the fine model. Source: Hummer and Szabo, J. Phys. Chem. B 119:9029 (2015), with
    T - 1 in the place of the rate matrix.

    Parameters
    ----------
    transition_matrix, populations, groups
        As in `grouped_propagators`; all states lead to each other.
    """
    n = len(populations)
    member, weights = _membership(populations, groups)
    of_groups = populations @ member
    relaxed = np.linalg.solve(np.eye(n) - transition_matrix + populations, member)
    summed = np.linalg.inv(weights @ relaxed)
    matrix: F64 = np.eye(len(of_groups)) + of_groups - summed
    return matrix


def _membership(populations: F64, groups: I64) -> tuple[F64, F64]:
    """Return which states belong to each group, (n, N), and the state within a group, (N, n)."""
    member = np.eye(int(groups.max()) + 1)[groups]
    within = member.T * populations
    return member, within / within.sum(axis=1, keepdims=True)
