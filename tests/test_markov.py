import itertools

import numpy as np
import pytest
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.models.hidden_markov import HiddenMarkovModel, fit_hmm
from trajlm.models.markov import fit_msm, smoothed_transition_matrix
from trajlm.systems.hidden_markov import HiddenMarkovProcess, markov_chain

CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
HIDDEN = np.array([[0.97, 0.03], [0.01, 0.99]])
EMISSION = np.array([[0.8, 0.15, 0.05], [0.1, 0.3, 0.6]])


def chain_states(n_frames=20_000, n_trajectories=1, seed=0):
    return markov_chain(CHAIN, dt=0.5, unit="ps").simulate(n_frames, n_trajectories, seed)


@pytest.mark.parametrize(("lag", "reversible"), [(1, True), (5, True), (1, False)])
def test_msm_is_that_of_deeptime(lag, reversible):
    states = chain_states()
    counts = TransitionCountEstimator(lag, "sliding").fit_fetch(
        [s.astype(int) for s in states.trajectories]
    )
    theirs = MaximumLikelihoodMSM(reversible=reversible).fit_fetch(counts)
    ours = fit_msm(states, lag, reversible)
    np.testing.assert_allclose(ours.transition_matrix, theirs.transition_matrix, rtol=1e-12)
    np.testing.assert_allclose(ours.stationary_distribution, theirs.stationary_distribution)
    assert ours.space.dt == pytest.approx(0.5 * lag)


def test_counts_never_cross_a_border():
    states = States((np.array([0, 0, 1]), np.array([2, 2, 0])), 3)
    expected = np.zeros((3, 3))
    for s in states:
        for i, j in itertools.pairwise(s):
            expected[i, j] += 1
    np.testing.assert_array_equal(states.transition_counts(), expected)


def test_states_keep_their_numbers_when_some_are_not_connected():
    # States 1 and 5 are never seen, state 4 is never left: deeptime would renumber.
    s = np.array([0, 2, 0, 2, 2, 0, 3, 0, 2, 3, 3, 0] * 50 + [4, 4])
    model = fit_msm(States((s,), 6))
    assert model.n_states == 6
    assert model.record["connected"] == [0, 2, 3]
    assert model.record["outside"] == [4]
    assert model.record["never_left"] == [[4]]
    assert model.transition_matrix[4, 4] == 1
    np.testing.assert_allclose(model.transition_matrix.sum(1), 1)
    assert model.stationary_distribution[[1, 5]].tolist() == [0, 0]
    assert model.stationary_distribution[4] == pytest.approx(2 / 602)
    assert np.isfinite(model.cross_entropy(States((s,), 6)))
    seen = np.bincount(model.generate(50_000, seed=0).trajectories[0], minlength=6) / 50_000
    np.testing.assert_allclose(seen[[0, 2, 3]], np.bincount(s)[[0, 2, 3]] / len(s), atol=0.02)


def test_smoothed_matrix_gives_every_path_a_probability():
    states = States((np.array([0, 1, 0, 1, 1]),), 4)
    T = smoothed_transition_matrix(states)
    np.testing.assert_allclose(T.sum(1), 1)
    assert (T > 0).all()


def test_msm_probabilities_of_all_paths_sum_to_one_and_generate_alike():
    model = fit_msm(chain_states())
    paths = [np.array((0, *rest)) for rest in itertools.product(range(3), repeat=5)]
    assert sum(np.exp(model.log_prob(p)) for p in paths) == pytest.approx(1)
    generated = model.generate(300_000, seed=1)
    np.testing.assert_allclose(
        generated.transition_counts() / generated.transition_counts().sum(1, keepdims=True),
        model.transition_matrix,
        atol=0.01,
    )


def enumerated_log_prob(T, E, pi, path):
    """ln P(path | path[0]) by summing over every hidden path."""
    m = len(pi)
    joint = first = 0.0
    for hidden in itertools.product(range(m), repeat=len(path)):
        p = pi[hidden[0]] * E[hidden[0], path[0]]
        for t in range(1, len(path)):
            p *= T[hidden[t - 1], hidden[t]] * E[hidden[t], path[t]]
        joint += p
    first = sum(pi[k] * E[k, path[0]] for k in range(m))
    return np.log(joint / first)


def test_hmm_scores_as_enumeration_of_all_hidden_paths():
    pi = np.array([0.25, 0.75])
    space = States((np.array([0, 2]),), 3).space
    model = HiddenMarkovModel(HIDDEN, EMISSION, pi, space)
    for path in itertools.product(range(3), repeat=5):
        expected = enumerated_log_prob(HIDDEN, EMISSION, pi, path)
        assert model.log_prob(np.array(path)) == pytest.approx(expected)


def test_hmm_finds_the_process_and_bic_its_size():
    process = HiddenMarkovProcess(HIDDEN, EMISSION, 1.0, "frame")
    states = process.simulate(60_000, seed=3)
    model = fit_hmm(states, max_hidden=4)
    assert model.n_hidden == 2
    order = np.argsort(model.emission[:, 2])
    np.testing.assert_allclose(model.transition_matrix[np.ix_(order, order)], HIDDEN, atol=0.01)
    np.testing.assert_allclose(model.emission[order], EMISSION, atol=0.02)
    fresh = process.simulate(60_000, seed=4)
    exact = -np.mean(process.log_probs(fresh)[0])
    assert 0 <= model.cross_entropy(fresh) - exact < 1e-3


def test_hmm_generates_what_it_scores():
    space = States((np.array([0, 2]),), 3).space
    model = HiddenMarkovModel(HIDDEN, EMISSION, np.array([0.25, 0.75]), space)
    generated = model.generate(400_000, seed=2)
    refit = generated.transition_counts()
    stationary = np.array([0.25, 0.75])
    joint = EMISSION.T @ (stationary[:, None] * HIDDEN) @ EMISSION
    np.testing.assert_allclose(refit / refit.sum(), joint, atol=0.005)


def test_hmm_with_more_hidden_states_than_states_is_repeatable():
    states = chain_states(5000)
    one, two = fit_hmm(states, 4, seed=1), fit_hmm(states, 4, seed=1)
    np.testing.assert_array_equal(one.transition_matrix, two.transition_matrix)
    assert one.emission.shape == (4, 3)


def test_hmm_with_an_unvisited_state_keeps_the_numbers():
    s = chain_states(5000).trajectories[0].astype(int)
    model = fit_hmm(States((np.where(s == 2, 3, s),), 5), 2)
    assert model.emission.shape == (2, 5)
    assert (model.emission[:, [2, 4]] < 1e-3).all()


@pytest.mark.parametrize("kind", ["msm", "hmm"])
def test_generation_is_seeded_and_starts_where_it_is_told(kind):
    states = chain_states(5000)
    model = fit_msm(states) if kind == "msm" else fit_hmm(states, 2)
    one, two = model.generate(100, 3, seed=4), model.generate(100, 3, seed=4)
    np.testing.assert_array_equal(list(one), list(two))
    assert not np.array_equal(list(one), list(model.generate(100, 3, seed=5)))
    first = [s[0] for s in model.generate(2, 2000, seed=0, start=0)]
    expected = [np.exp(model.log_prob(np.array([0, k]))) for k in range(3)]
    np.testing.assert_allclose(np.bincount(first, minlength=3) / 2000, expected, atol=0.05)


@pytest.mark.parametrize("lag", [0, 20_000])
def test_lag_out_of_range_is_refused(lag):
    with pytest.raises(InputError, match="lag"):
        fit_msm(chain_states(), lag)


def test_too_few_hidden_states_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        fit_hmm(chain_states(100), 1)


def test_a_model_at_a_longer_lag_does_not_score_single_frames():
    states = chain_states(1000)
    with pytest.raises(InputError, match="same dt"):
        fit_msm(states, lag=10).cross_entropy(states)


def test_numpy_integers_are_start_states_too():
    model = fit_msm(chain_states(1000))
    np.testing.assert_array_equal(
        list(model.generate(50, 2, seed=1, start=np.int64(2))),
        list(model.generate(50, 2, seed=1, start=2)),
    )


def test_hmm_of_states_that_are_not_connected():
    rng = np.random.default_rng(0)
    states = States((rng.integers(2, size=500), 2 + rng.integers(2, size=500)), 4)
    assert fit_hmm(states, 3).n_hidden == 3
