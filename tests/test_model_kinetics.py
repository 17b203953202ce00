"""Kinetics of models: closed forms against enumeration, deeptime and long simulations."""

import inspect
import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm.data import States, StateSpace
from trajlm.errors import InputError
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.models.markov import MarkovModel

EXAMPLE = Path(__file__).parent.parent / "examples" / "deeptime_pipeline.py"


def random_chain(n, seed):
    rng = np.random.default_rng(seed)
    return 0.9 * np.eye(n) + 0.1 * rng.dirichlet(np.ones(n), n)


def stationary(T):
    return np.linalg.matrix_power(T, 2**20)[0]


@pytest.fixture(scope="module")
def msm():
    T = random_chain(5, 0)
    return MarkovModel(T, stationary(T), StateSpace(5, 0.5, "ps"))


@pytest.fixture(scope="module")
def hmm():
    T, rng = random_chain(3, 1), np.random.default_rng(2)
    E = rng.dirichlet(np.ones(4), 3)
    return HiddenMarkovModel(T, E, stationary(T), StateSpace(4, 0.5, "ps"))


def test_markov_model_is_deeptime_s_answer_in_physical_time(msm):
    from deeptime.markov.msm import MarkovStateModel

    exact = trajlm.kinetics(msm)
    theirs = MarkovStateModel(msm.transition_matrix)
    three = msm.transition_matrix @ msm.transition_matrix @ msm.transition_matrix
    np.testing.assert_allclose(exact.transition_matrix(3).value, three)
    np.testing.assert_allclose(
        exact.stationary_distribution().value, theirs.stationary_distribution
    )
    for lag in (1, 4):
        times = exact.timescales(lag)
        np.testing.assert_allclose(times.value, 0.5 * np.abs(theirs.timescales()), rtol=1e-9)
        assert times.unit == "ps"
    for a, b in ((0, 4), (3, 1)):
        found = exact.mfpt(a, b)
        assert found.value == pytest.approx(0.5 * theirs.mfpt(a, b))
        assert found.low == found.value == found.high


def test_hidden_model_transitions_against_every_hidden_path(hmm):
    T, E = hmm.transition_matrix, hmm.emission
    pi = stationary(T)
    joint = np.zeros((4, 4))
    for h0 in range(3):
        for h1 in range(3):
            for h2 in range(3):
                weight = pi[h0] * T[h0, h1] * T[h1, h2]
                joint += weight * np.outer(E[h0], E[h2])
    expected = joint / joint.sum(axis=1, keepdims=True)
    found = trajlm.kinetics(hmm)
    np.testing.assert_allclose(found.transition_matrix(2).value, expected)
    np.testing.assert_allclose(found.stationary_distribution().value, pi @ E)


def test_hidden_model_passage_against_the_product_chain(hmm):
    """Hidden state and what it shows together are a Markov chain, which deeptime can solve."""
    from deeptime.markov.msm import MarkovStateModel

    T, E = hmm.transition_matrix, hmm.emission
    product = np.einsum("hk,kj->hkj", T, E).reshape(3, 12).repeat(4, axis=0)
    target = [h * 4 + 2 for h in range(3)]
    to_target = [MarkovStateModel(product).mfpt([k], target) for k in range(12)]
    lane = hmm.generate(400_000, 1, seed=0).trajectories[0]
    counted = trajlm.analysis.mean_first_passage_time(States((lane,), 4), 0, 2)
    exact = trajlm.kinetics(hmm).mfpt(0, 2)
    # The passage begins in the hidden states in which 0 is first seen: between the extremes.
    bounds = [0.5 * to_target[h * 4] for h in range(3)]
    assert min(bounds) <= exact.value <= max(bounds)
    assert 0.5 * counted.mean == pytest.approx(exact.value, rel=4 / np.sqrt(counted.n_events))


@pytest.mark.parametrize("name", ["msm", "hmm"])
def test_passages_between_sets_are_those_of_a_long_simulation(name, request):
    model = request.getfixturevalue(name)
    exact = trajlm.kinetics(model)
    counted = trajlm.kinetics(model.generate(200_000, 10, seed=3))
    for source, target in (([0, 1], [2, 3]), ([2], [0, 3]), ([0, 3], 1)):
        a, b = exact.mfpt(source, target), counted.mfpt(source, target)
        n = 10 * 200_000 * 0.5 / (2 * a.value)
        assert b.value == pytest.approx(float(a.value), rel=5 / np.sqrt(n))
    for lag in (1, 10):
        a, b = exact.transition_matrix(lag), counted.transition_matrix(lag)
        np.testing.assert_allclose(a.value, b.value, atol=0.01)
        inside = (b.low <= a.value) & (a.value <= b.high)
        assert inside.mean() > 0.75
    a, b = exact.timescales(2, n=1), counted.timescales(2, n=1)
    assert b.value == pytest.approx(a.value, rel=0.1)
    assert (b.low < b.value).all()
    assert (b.value < b.high).all()


@pytest.mark.parametrize("commit_time", [1, 2, 5])
def test_committed_rates_are_those_of_a_chain_that_counts_its_stays(hmm, commit_time):
    T, E, n = hmm.transition_matrix, hmm.emission, hmm.n_states
    # Hidden state, state shown, frames that it has been for, last state that lasted.
    nodes = list(itertools.product(range(len(T)), range(n), range(1, commit_time + 1), range(n)))
    number = {node: k for k, node in enumerate(nodes)}
    steps, counted = np.zeros((2, len(nodes), len(nodes)))
    pairs = {}
    for (h, k, length, last), at in number.items():
        for g, j in itertools.product(range(len(T)), range(n)):
            longer = min(length + 1, commit_time) if j == k else 1
            now = j if longer == commit_time else last
            to = number[g, j, longer, now]
            steps[at, to] += T[h, g] * E[g, j]
            if now != last:
                pairs[at, to] = last, now
                counted[at, to] += T[h, g] * E[g, j]
    weights = stationary(steps)
    rates = np.zeros((n, n))
    for (at, to), pair in pairs.items():
        rates[pair] += weights[at] * counted[at, to]
    found = trajlm.kinetics(hmm).committed_rates(commit_time)
    np.testing.assert_allclose(found.value, rates / 0.5, rtol=1e-9, atol=1e-15)
    assert (found.low == found.high).all()
    assert found.unit == "1/ps"


def test_dwell_times_and_rates_of_models_are_those_of_a_long_simulation(hmm, msm):
    for model in (hmm, msm):
        exact = trajlm.kinetics(model)
        counted = trajlm.kinetics(model.generate(400_000, seed=5))
        for of in (lambda k: k.dwell_times(), lambda k: k.committed_rates(3)):
            truth, found = of(exact).value, of(counted)
            np.testing.assert_allclose(found.value, truth, rtol=0.15)
            inside = (found.low <= truth) & (truth <= found.high)
            assert inside.mean() > 0.8


def test_states_that_are_never_left_have_no_rates():
    space = StateSpace(2)
    model = MarkovModel(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0.5, 0.5]), space)
    rates = trajlm.kinetics(model).committed_rates(4).value
    assert np.isfinite(rates).all()
    assert rates[1, 0] == 0


def test_a_prediction_holds_the_errors_of_data_and_training(msm):
    data = msm.generate(20_000, seed=3)
    fitted = trajlm.fit_msm(data)
    counted = trajlm.kinetics(data).mfpt(0, 4)
    alone = trajlm.kinetics(fitted).mfpt(0, 4)
    predicted = trajlm.kinetics(fitted, data=data).mfpt(0, 4)
    assert alone.low == alone.high
    assert predicted.value == pytest.approx(alone.value)
    assert (predicted.low, predicted.high) == (counted.low, counted.high)
    other = MarkovModel(random_chain(5, 7), stationary(random_chain(5, 7)), data.space)
    far = trajlm.kinetics(other).mfpt(0, 4).value
    off = trajlm.kinetics(other, data=data).mfpt(0, 4)
    assert (off.low, off.high) == (min(far, counted.low), max(far, counted.high))
    several = trajlm.kinetics([fitted, other, other], data=data).mfpt(0, 4)
    assert several.value == pytest.approx((alone.value * far**2) ** (1 / 3))
    assert several.low < min(alone.value, far) < max(alone.value, far) < several.high


def test_a_rate_that_the_data_never_shows_is_known_by_its_upper_bound():
    data = States([0] * 50 + [1] * 50 + [2] * 50)
    model = MarkovModel(np.full((3, 3), 1 / 3), np.full(3, 1 / 3), StateSpace(3))
    rates = trajlm.kinetics(model, data=data).committed_rates()
    assert rates.low[2, 0] == 0
    assert rates.value[2, 0] <= rates.high[2, 0] < np.inf
    assert (np.diag(rates.value) == 0).all()
    assert (np.diag(rates.high) == 0).all()


def test_predictions_ask_for_what_belongs_together(msm):
    data = msm.generate(1000, seed=0)
    with pytest.raises(InputError, match="data"):
        trajlm.kinetics([msm, msm])
    with pytest.raises(InputError, match="model"):
        trajlm.kinetics(data, data=data)
    with pytest.raises(InputError, match=r"5 states.*3 states"):
        trajlm.kinetics(msm, data=[0, 1, 2, 1])
    with pytest.raises(InputError, match="commit time 0"):
        trajlm.kinetics(data).committed_rates(0)


def test_language_model_generates_and_keeps_its_state_numbers():
    T4 = np.zeros((4, 4))
    T4[np.ix_([0, 1, 3], [0, 1, 3])] = random_chain(3, 5)
    T4[2] = [1, 0, 0, 0]
    data = MarkovModel(T4, stationary(T4), StateSpace(4, 2.0, "ns")).generate(20_000, seed=0)
    model = trajlm.LSTMEstimator(hidden_dim=8, epochs=2, seed=0).fit_fetch(data)
    found = trajlm.kinetics(model, n_runs=10, seed=1)
    assert found.states.n_frames == 10 * 20_000
    populations = found.stationary_distribution()
    assert populations.value.shape == (4,)
    assert populations.value[2] < 1e-3  # never visited, not renumbered
    exact = trajlm.kinetics(trajlm.fit_msm(data)).mfpt(0, 3)
    counted = found.mfpt(0, 3)
    assert counted.value == pytest.approx(float(exact.value), rel=0.3)
    assert counted.unit == exact.unit == "ns"
    assert (found.transition_matrix(1).value.sum(axis=1)) == pytest.approx(1)


def test_what_makes_no_sense_is_refused(msm):
    for found in (trajlm.kinetics(msm), trajlm.kinetics(np.arange(50) % 5)):
        for a, b in ((0, 0), ([], 1), (0, 9), ([0, 1], [1, 2])):
            with pytest.raises(InputError):
                found.mfpt(a, b)
        with pytest.raises(InputError, match="lag 0"):
            found.transition_matrix(0)
    with pytest.raises(InputError, match="longest trajectory has 50"):
        trajlm.kinetics(np.arange(50) % 5).timescales(50)


def test_estimator_has_what_deeptime_s_have():
    from deeptime.base import Estimator

    dtrajs = [np.arange(400) % 3, np.arange(300) % 3]  # an array or a list of arrays
    estimator = trajlm.LSTMEstimator(hidden_dim=4, embedding_dim=2, epochs=1)
    assert not estimator.has_model
    assert estimator.fit(dtrajs) is estimator
    assert estimator.has_model
    assert estimator.fetch_model() is estimator.fetch_model()
    assert estimator.fit_fetch(dtrajs[0]) is estimator.fetch_model()
    for name in ("fit", "fetch_model", "fit_fetch"):
        theirs = inspect.signature(getattr(Estimator, name)).parameters
        ours = inspect.signature(getattr(trajlm.LSTMEstimator, name)).parameters
        assert len([p for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]) == len(
            [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        )


def test_the_pipeline_example_runs(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(str(tmp_path / "timescales.png"), n_frames=4000, epochs=1)
    assert (tmp_path / "timescales.png").stat().st_size > 5000
    assert "LSTM" in capsys.readouterr().out
