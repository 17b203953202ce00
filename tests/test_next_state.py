"""The probability of the next state given a past: against log_probs, enumeration, equations."""

import copy
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_lstm import small_model
from trajlm.data import States, StateSpace
from trajlm.errors import InputError
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.models.markov import MarkovModel

N_STATES = 3


def rows(*shape):
    return np.random.default_rng(len(shape)).dirichlet(np.ones(shape[-1]), shape[:-1])


MSM = MarkovModel(rows(3, 3), rows(3), StateSpace(N_STATES))
HMM = HiddenMarkovModel(rows(2, 2), rows(2, 3), rows(2), StateSpace(N_STATES))
LSTM = small_model(n_states=N_STATES)
MODELS = pytest.mark.parametrize("model", [MSM, HMM, LSTM], ids=lambda model: model.kind)


@MODELS
@given(past=st.lists(st.integers(0, N_STATES - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_it_is_what_log_probs_give_for_each_state_that_may_follow(model, past):
    p = model.next_state_probabilities(past)
    assert p.shape == (N_STATES,)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    scored = [model.log_probs([*past, k])[0][-1] for k in range(N_STATES)]
    # The compiled step of the language model counts in single precision.
    np.testing.assert_allclose(np.log(p), scored, atol=2e-5 if model.kind == "lstm" else 1e-12)


@pytest.mark.parametrize("past", [p for n in (1, 2, 3, 4) for p in product(range(3), repeat=n)])
def test_of_a_hidden_markov_model_it_is_the_sum_over_all_hidden_paths(past):
    T, E, pi = HMM.transition_matrix, HMM.emission, HMM.stationary_distribution

    def probability(path):
        total = 0.0
        for hidden in product(range(2), repeat=len(path)):
            p = pi[hidden[0]]
            for a, b in pairwise(hidden):
                p *= T[a, b]
            total += p * np.prod([E[h, s] for h, s in zip(hidden, path, strict=True)])
        return total

    expected = [probability((*past, k)) / probability(past) for k in range(3)]
    np.testing.assert_allclose(HMM.next_state_probabilities(past), expected, rtol=1e-12)


def test_a_long_past_neither_underflows_nor_is_forgotten():
    past = np.tile([0, 1, 2, 2], 3000)
    for model in (MSM, HMM, LSTM):
        last = [model.log_probs([*past, k])[0][-1] for k in range(N_STATES)]
        np.testing.assert_allclose(np.log(model.next_state_probabilities(past)), last, atol=5e-5)


@MODELS
def test_a_past_may_be_an_array_a_list_or_states(model):
    expected = model.next_state_probabilities([0, 1, 2])
    for past in (np.array([0, 1, 2], np.uint8), (0.0, 1.0, 2.0), States([0, 1, 2])):
        np.testing.assert_array_equal(model.next_state_probabilities(past), expected)


@MODELS
@pytest.mark.parametrize(
    ("past", "word"),
    [
        ([], "at least 1"),
        ([0, 3], "state 3 in trajectory 0, frame 1"),
        ([0, -1], "negative"),
        ([0.5], "whole"),
        ([[0, 1], [1, 0]], "shape"),
        (States([[0, 1], [1, 0]]), "2 trajectories"),
        (States([0, 1], dt=2.0, unit="ps"), None),
    ],
)
def test_what_is_no_past(model, past, word):
    if word is None:
        timed = copy.copy(model)
        timed.space = StateSpace(N_STATES, 1.0, "ps")
        with pytest.raises(InputError, match="same dt"):
            timed.next_state_probabilities(past)
    else:
        with pytest.raises(InputError, match=word):
            model.next_state_probabilities(past)


def test_a_past_that_cannot_occur_is_refused():
    model = HiddenMarkovModel(
        np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0]), StateSpace(2)
    )
    with pytest.raises(InputError, match="cannot occur"):
        model.next_state_probabilities([0, 1])
