"""Hidden Markov processes against enumeration of hidden paths, deeptime and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from deeptime.markov.hmm import DiscreteOutputModel, HiddenMarkovModel
from hypothesis import given, settings
from hypothesis import strategies as st

from trajlm.errors import InputError
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
    markov_chain,
    markov_entropy_rate,
    stationary_distribution,
)


def kinsoft():
    return HiddenMarkovProcess.from_rates(KINSOFT_LEVEL3_RATES, 0.2, KINSOFT_LEVEL3_LUMPING)


def random_process(n, m, seed):
    rng = np.random.default_rng(seed)
    return HiddenMarkovProcess(rng.dirichlet(np.ones(n), n), rng.dirichlet(np.ones(m), n))


def probability_by_enumeration(process, symbols):
    """Sum P(hidden path) P(symbols | hidden path) over every hidden path."""
    T, E = process.transition_matrix, process.emission_matrix
    values, vectors = np.linalg.eig(T.T)
    pi = np.real(vectors[:, np.argmax(values.real)])
    pi = pi / pi.sum()
    total = 0.0
    for path in product(range(len(T)), repeat=len(symbols)):
        p = pi[path[0]] * E[path[0], symbols[0]]
        for t in range(1, len(symbols)):
            p *= T[path[t - 1], path[t]] * E[path[t], symbols[t]]
        total += p
    return total


@given(
    n=st.integers(1, 3),
    m=st.integers(2, 3),
    seed=st.integers(0, 2**32 - 1),
    symbols=st.lists(st.integers(0, 1), min_size=2, max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_forward_algorithm_equals_the_sum_over_all_hidden_paths(n, m, seed, symbols):
    process = random_process(n, m, seed)
    joint = probability_by_enumeration(process, symbols)
    first = probability_by_enumeration(process, symbols[:1])
    (log_prob,) = process.log_prob(np.array(symbols))
    assert log_prob == pytest.approx(np.log(joint / first), abs=1e-9)


def test_each_frame_is_conditioned_on_all_its_past():
    process = random_process(3, 2, seed=8)
    symbols = [0, 1, 1, 0, 1]
    p = [probability_by_enumeration(process, symbols[: t + 1]) for t in range(5)]
    (log_probs,) = process.log_probs(np.array(symbols))
    np.testing.assert_allclose(log_probs, np.log(np.array(p[1:]) / p[:-1]), atol=1e-12)


def test_likelihood_equals_that_of_deeptime():
    process = kinsoft()
    states = process.simulate(2000, n_trajectories=3, seed=1)
    pi = process.stationary_distribution
    other = HiddenMarkovModel(
        process.transition_matrix,
        DiscreteOutputModel(process.emission_matrix),
        initial_distribution=pi,
    )
    for symbols, log_prob in zip(states, process.log_prob(states), strict=True):
        log_joint = other.compute_observation_likelihood(symbols.astype(np.int32))
        log_first = np.log(pi @ process.emission_matrix[:, symbols[0]])
        assert log_prob == pytest.approx(log_joint - log_first, abs=1e-6)


def test_impossible_path_has_log_probability_minus_infinity():
    cycle = markov_chain([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    (log_probs,) = cycle.log_probs(np.array([0, 1, 0, 1, 2]))
    np.testing.assert_array_equal(log_probs, [0, -np.inf, -np.inf, -np.inf])
    absorbing = markov_chain([[0.5, 0.5], [0.0, 1.0]])
    assert absorbing.log_prob(np.array([0, 1]))[0] == -np.inf


def test_two_state_rates_give_the_textbook_matrix():
    a, b, dt = 0.3, 0.7, 0.9
    process = HiddenMarkovProcess.from_rates([[-a, a], [b, -b]], dt)
    decay = np.exp(-(a + b) * dt)
    T = np.array([[b + a * decay, a - a * decay], [b - b * decay, a + b * decay]]) / (a + b)
    np.testing.assert_allclose(process.transition_matrix, T, atol=1e-14)
    assert (process.dt, process.unit) == (dt, "s")


def test_stationary_distribution_is_left_unchanged_by_the_rates():
    process = kinsoft()
    pi = process.stationary_distribution
    np.testing.assert_allclose(pi @ np.array(KINSOFT_LEVEL3_RATES), 0, atol=1e-14)
    assert pi.sum() == pytest.approx(1)
    assert (pi > 0).all()


def test_transient_states_have_no_stationary_probability():
    T = np.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [0.0, 0.4, 0.6]])
    np.testing.assert_allclose(stationary_distribution(T), [0, 1 / 3, 2 / 3], atol=1e-12)


def test_simulated_pairs_have_their_exact_probabilities():
    process = random_process(3, 3, seed=2)
    states = process.simulate(100_000, n_trajectories=10, seed=4)
    T, E, pi = process.transition_matrix, process.emission_matrix, process.stationary_distribution
    expected = E.T @ np.diag(pi) @ T @ E
    measured = []
    for s in states:
        counts = np.bincount(3 * s[:-1].astype(int) + s[1:], minlength=9)
        measured.append(counts.reshape(3, 3) / counts.sum())
    standard_error = np.std(measured, axis=0, ddof=1) / np.sqrt(len(measured))
    assert (standard_error < 0.002).all()
    np.testing.assert_array_less(np.abs(np.mean(measured, axis=0) - expected), 5 * standard_error)


def test_trajectories_start_from_the_stationary_distribution():
    T = np.array([[0.999, 0.001], [0.003, 0.997]])
    states = markov_chain(T).simulate(2, n_trajectories=4000, seed=3)
    fraction = np.mean([s[0] == 0 for s in states])
    assert fraction == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))


def test_same_seed_same_states_and_other_seed_others():
    process = kinsoft()
    a, b, c = (process.simulate(5000, 2, seed=s).trajectories for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a[0] != c[0]).any()
    assert (a[0] != a[1]).any()


def test_states_carry_time_and_alphabet():
    states = kinsoft().simulate(100, seed=0)
    assert (states.dt, states.unit, states.n_states) == (0.2, "s", 2)
    assert states.trajectories[0].dtype == np.uint8


def test_entropy_rate_of_a_symmetric_chain_is_the_binary_entropy():
    p = 0.2
    expected = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert markov_entropy_rate([[1 - p, p], [p, 1 - p]]) == pytest.approx(expected, abs=1e-14)


def test_a_cycle_has_no_entropy_and_a_fair_die_has_log_six():
    assert markov_entropy_rate(np.roll(np.eye(4), 1, axis=1)) == 0
    assert markov_entropy_rate(np.full((6, 6), 1 / 6)) == pytest.approx(np.log(6))


@pytest.mark.parametrize("seed", range(3))
def test_sampled_entropy_rate_of_a_markov_chain_agrees_with_the_closed_form(seed):
    T = np.random.default_rng(seed).dirichlet(np.ones(4), 4)
    value, standard_error = markov_chain(T).entropy_rate(200_000, seed=seed)
    assert standard_error < 0.005
    assert abs(value - markov_entropy_rate(T)) < 4 * standard_error


def conditional_entropy(process, length, hidden_start):
    """H(S_t | S_{t-length+1} .. S_{t-1}), or given the hidden state before them as well."""
    T, E, pi = process.transition_matrix, process.emission_matrix, process.stationary_distribution
    starts = [pi] if not hidden_start else [pi[i] * np.eye(len(pi))[i] @ T for i in range(len(pi))]
    h = 0.0
    for start in starts:
        for symbols in product(range(process.n_symbols), repeat=length):
            alpha, p = start * E[:, symbols[0]], start.sum()
            for s in symbols[1:]:
                p, alpha = alpha.sum(), (alpha @ T) * E[:, s]
            h -= alpha.sum() * np.log(alpha.sum() / p)
    return h


def test_sampled_entropy_rate_of_a_hidden_process_lies_between_its_bounds():
    process = random_process(2, 2, seed=13)
    upper = conditional_entropy(process, 10, hidden_start=False)
    lower = conditional_entropy(process, 10, hidden_start=True)
    assert upper - lower < 1e-3
    value, standard_error = process.entropy_rate(200_000, seed=1)
    assert lower - 4 * standard_error < value < upper + 4 * standard_error


def test_lumped_process_remembers_more_than_its_last_symbol():
    process = kinsoft()
    first_order = conditional_entropy(process, 2, hidden_start=False)
    value, standard_error = process.entropy_rate(3_000_000, seed=2)
    assert value < first_order - 4 * standard_error


@pytest.mark.parametrize(
    ("T", "E", "message"),
    [
        ([[0.5, 0.6], [0.5, 0.5]], np.eye(2), "row 0 of the transition matrix"),
        ([[0.5, 0.5], [1.5, -0.5]], np.eye(2), "row 1 of the transition matrix"),
        ([[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [np.nan, 1.0]], "row 1 of the emission matrix"),
        ([[0.5, 0.5], [0.5, 0.5]], np.eye(3), "do not fit together"),
        ([0.5, 0.5], np.eye(2), "two dimensions are needed"),
    ],
)
def test_matrices_must_be_probabilities(T, E, message):
    with pytest.raises(InputError, match=message):
        HiddenMarkovProcess(np.array(T), np.array(E))


def test_rates_and_lumping_are_checked():
    with pytest.raises(InputError, match="row 1 of the rate matrix"):
        HiddenMarkovProcess.from_rates([[-1, 1], [1, 1]], 1.0)
    with pytest.raises(InputError, match="2 integers from 0"):
        HiddenMarkovProcess.from_rates([[-1, 1], [1, -1]], 1.0, lumping=(0, 0, 1))
    with pytest.raises(InputError, match="dt must be positive"):
        HiddenMarkovProcess.from_rates([[-1, 1], [1, -1]], 0.0)


def test_parts_that_do_not_communicate_are_an_error():
    with pytest.raises(InputError, match="no single stationary distribution"):
        markov_entropy_rate(np.eye(2))


def test_unknown_symbol_says_where_it_is():
    with pytest.raises(InputError, match="symbol 2 in trajectory 1, frame 3"):
        kinsoft().log_prob([np.array([0, 1, 0]), np.array([0, 1, 1, 2])])


def test_too_few_frames_are_an_error():
    with pytest.raises(InputError, match="2 frames is needed"):
        kinsoft().simulate(1)
    with pytest.raises(InputError, match="10000 are needed"):
        kinsoft().entropy_rate(500)
