"""Counts with back-off against a dictionary that follows the definition, and on known processes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trajlm
from trajlm.data import States
from trajlm.errors import InputError, ModelFileError
from trajlm.models.markov import fit_msm
from trajlm.models.ngram import fit_ngram
from trajlm.systems.hidden_markov import HiddenMarkovProcess, markov_chain

DATA = st.lists(
    st.lists(st.integers(0, 2), min_size=2, max_size=12).map(np.array), min_size=1, max_size=3
)


def by_definition(trajectories, n, past, x, j):
    """P_j(x | past) of Witten and Bell, counting every context anew."""
    if j < 0:
        return 1 / n
    below = by_definition(trajectories, n, past, x, j - 1)
    if len(past) < j:
        return below
    context = tuple(past[len(past) - j :])
    followers = Counter()
    for s in trajectories:
        for t in range(j, len(s)):
            if tuple(s[t - j : t]) == context:
                followers[int(s[t])] += 1
    if not followers:
        return below
    kinds, total = len(followers), sum(followers.values())
    return (followers[x] + kinds * below) / (total + kinds)


@settings(max_examples=40, deadline=None)
@given(DATA, st.integers(0, 4), st.lists(st.integers(0, 2), min_size=2, max_size=8))
def test_probabilities_are_those_of_the_definition(trajectories, order, path):
    model = fit_ngram(States(tuple(trajectories), 3), order)
    (found,) = model.log_probs(np.array(path))
    expected = [
        by_definition(trajectories, 3, path[: t + 1], path[t + 1], order)
        for t in range(len(path) - 1)
    ]
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-9)
    following = model.next_state_probabilities(np.array(path))
    assert following.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        following, [by_definition(trajectories, 3, path, x, order) for x in range(3)], rtol=1e-9
    )


def test_generated_states_follow_the_probabilities():
    states = markov_chain([[0.9, 0.1], [0.3, 0.7]]).simulate(2000, seed=0)
    model = fit_ngram(states, 3)
    generated = model.generate(200_000, 2, seed=1)
    past = np.array([0, 1, 1])
    follows = Counter()
    for s in generated:
        windows = np.lib.stride_tricks.sliding_window_view(s, 4)
        follows.update(windows[(windows[:, :3] == past).all(axis=1), 3].tolist())
    total = sum(follows.values())
    expected = model.next_state_probabilities(past)
    for x in range(2):
        error = np.sqrt(expected[x] * (1 - expected[x]) / total)
        assert follows[x] / total == pytest.approx(expected[x], abs=5 * error)
    again = model.generate(200_000, 2, seed=1)
    np.testing.assert_array_equal(list(generated), list(again))


def test_the_order_is_that_of_the_process():
    rng = np.random.default_rng(0)
    s = [0, 0]
    for u in rng.random(20_000):  # the state two frames ago comes again with .8
        s.append(s[-2] if u < 0.8 else 1 - s[-2])
    states = States((np.array(s),))
    model = fit_ngram(states)
    nats = model.record.held_out_nats
    assert len(nats) == 13
    # Longer contexts say no more and cost little: noise chooses among them.
    assert 2 <= model.order <= 4
    assert nats[1] > 0.68 > 0.52 > nats[2]
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert model.cross_entropy(states) == pytest.approx(entropy, abs=0.01)
    assert fit_msm(states).cross_entropy(states) > 0.68


def test_memory_lowers_the_nats_on_unseen_data():
    process = HiddenMarkovProcess(
        np.array([[0.97, 0.03], [0.01, 0.99]]),
        np.array([[0.8, 0.15, 0.05], [0.1, 0.3, 0.6]]),
        1.0,
        "frame",
    )
    states, fresh = process.simulate(50_000, seed=0), process.simulate(50_000, seed=1)
    exact = -np.mean(process.log_probs(fresh)[0])
    model = fit_ngram(states)
    assert exact < model.cross_entropy(fresh) < fit_msm(states).cross_entropy(fresh) - 0.02


def test_saved_and_read_back_it_is_the_same(tmp_path):
    states = markov_chain([[0.9, 0.1], [0.3, 0.7]], dt=0.5, unit="ps").simulate(500, 3, seed=0)
    model = fit_ngram(states, 4)
    model.save(tmp_path)
    again = trajlm.load_model(tmp_path)
    assert again.order == 4
    assert again.log_prob(states) == model.log_prob(states)
    np.testing.assert_array_equal(
        list(again.generate(50, 2, seed=3, start=1)), list(model.generate(50, 2, seed=3, start=1))
    )


@pytest.mark.parametrize("name", ["state", "count", "begin"])
def test_a_tree_that_points_outside_is_refused(tmp_path, name):
    model = fit_ngram(np.arange(50) % 3, 2)
    array = getattr(model, name)
    for place, value in ((1, 10**6), (len(array) - 1, -1), (0, -5)):
        kept = int(array[place])
        array[place] = value
        model.save(tmp_path)
        array[place] = kept
        if name == "count" and value > 0:
            continue
        with pytest.raises(ModelFileError):
            trajlm.load_model(tmp_path)


def test_orders_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="order"):
        fit_ngram(np.arange(50) % 3, -1)
