"""Memory kernels and projections of groups, against chains whose T(t) is exactly known."""

import numpy as np
import pytest

from trajlm.analysis import (
    grouped_propagators,
    hummer_szabo,
    propagate_memory,
    transfer_tensors,
    transition_probabilities,
)
from trajlm.systems.hidden_markov import markov_chain

GROUPS = np.array([0, 0, 1, 1, 2])


def reversible_chain(seed=0, n=5):
    """Return a reversible matrix and its populations; its groups are not Markovian."""
    rng = np.random.default_rng(seed)
    flux = rng.random((n, n)) ** 4
    flux += flux.T
    flux += np.diag(3 * flux.sum(axis=1))
    return flux / flux.sum(axis=1, keepdims=True), flux.sum(axis=1) / flux.sum()


def lumpable_chain():
    """Return a chain whose states of one group all go to each group alike, and that of groups."""
    of_groups = np.array([[0.9, 0.06, 0.04], [0.1, 0.85, 0.05], [0.2, 0.1, 0.7]])
    within = np.array([0.3, 0.7, 0.6, 0.4, 1.0])
    T = of_groups[GROUPS][:, GROUPS] * within
    p = np.linalg.matrix_power(T, 2000)[0]
    return T, p, of_groups


def project(T, p):
    """Return P of the projection on the groups, and what lifts and lowers, from the definition."""
    member = (GROUPS[:, None] == np.arange(3)).astype(float)
    mean = (member * p[:, None]).T / (member * p[:, None]).sum(axis=0)[:, None]
    return member, mean


def test_fine_chains_say_what_their_groups_do():
    T, p = reversible_chain()
    member, mean = project(T, p)
    found = grouped_propagators(T, p, GROUPS, 7)
    np.testing.assert_allclose(found[6], mean @ np.linalg.matrix_power(T, 7) @ member, atol=1e-12)
    simulated = [GROUPS[s] for s in markov_chain(T).simulate(200_000, seed=1)]
    counted = transition_probabilities(simulated, [3]).values[0]
    np.testing.assert_allclose(counted, found[2], atol=0.02)


def test_the_kernel_is_that_of_the_projected_chain():
    T, p = reversible_chain()
    member, mean = project(T, p)
    rest = np.eye(5) - member @ mean
    kernel = transfer_tensors(grouped_propagators(T, p, GROUPS, 6))
    # Nakajima and Zwanzig in discrete time: K_m = mean T (Q T)^(m - 1) member.
    for m in range(6):
        exact = mean @ T @ np.linalg.matrix_power(rest @ T, m) @ member
        np.testing.assert_allclose(kernel[m], exact, atol=1e-12)


def test_a_kernel_gives_back_its_propagators_and_forgets_what_is_older():
    T, p = reversible_chain()
    exact = grouped_propagators(T, p, GROUPS, 60)
    whole = propagate_memory(transfer_tensors(exact), 60)
    np.testing.assert_allclose(whole, exact, atol=1e-10)
    errors = [
        np.abs(propagate_memory(transfer_tensors(exact[:m]), 60) - exact).max() for m in (1, 4, 16)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_groups_that_are_markovian_have_no_memory():
    T, p, of_groups = lumpable_chain()
    exact = grouped_propagators(T, p, GROUPS, 5)
    np.testing.assert_allclose(exact[4], np.linalg.matrix_power(of_groups, 5), atol=1e-12)
    kernel = transfer_tensors(exact)
    np.testing.assert_allclose(kernel[1:], 0, atol=1e-12)
    np.testing.assert_allclose(hummer_szabo(T, p, GROUPS), of_groups, atol=1e-10)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_projection_keeps_the_correlation_times(seed):
    T, p = reversible_chain(seed)
    member, mean = project(T, p)
    projected = hummer_szabo(T, p, GROUPS)
    np.testing.assert_allclose(projected.sum(axis=1), 1, atol=1e-12)
    P = p @ member
    np.testing.assert_allclose(P @ projected, P, atol=1e-12)

    def summed(matrix, populations):
        powers = [np.eye(len(matrix))]
        for _ in range(3000):
            powers.append(powers[-1] @ matrix)
        return (np.array(powers) - populations).sum(axis=0)

    np.testing.assert_allclose(mean @ summed(T, p) @ member, summed(projected, P), atol=1e-8)
    # The plain average of the matrix does not.
    assert np.abs(summed(mean @ T @ member, P) - summed(projected, P)).max() > 0.1
