"""Data that is long, lopsided or odd: an answer or one sentence, and no wait."""

import numpy as np
import pytest

import trajlm
from trajlm.data import States, StateSpace
from trajlm.errors import InputError
from trajlm.io import read_features, read_states, write_states
from trajlm.models import markov
from trajlm.models.markov import MarkovModel

QUICK = {"hidden_dim": 4, "embedding_dim": 2, "epochs": 1}
CHAIN = np.array([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.1, 0.9]])


def whole_way(states, grouping=None, hidden=2):
    """Train, fit, generate and compare; return the comparison."""
    models = {
        "LSTM": trajlm.LSTMEstimator(**QUICK).fit_fetch(states),
        "MSM": trajlm.fit_msm(states),
    }
    if hidden:
        models["HMM"] = trajlm.fit_hmm(states, hidden)
    for model in models.values():
        assert np.isfinite(model.log_prob(states))
    return trajlm.compare(states, models, grouping, n_runs=2, n_frames=2000)


def test_a_state_that_is_never_left_again(tmp_path):
    absorbed = States((np.concatenate([np.arange(1000) % 2, np.full(1000, 2)]),))
    comparison = whole_way(absorbed)
    comparison.save(tmp_path)
    assert (tmp_path / "index.html").exists()
    with pytest.raises(InputError, match="one state only"):
        trajlm.LSTMEstimator(**QUICK).fit(States((np.zeros(100, int),), 3))


def test_a_state_seen_once_keeps_its_number(tmp_path):
    s = np.random.default_rng(0).integers(3, size=3000)
    s[1500] = 5
    comparison = whole_way(States((s,), 7))
    comparison.save(tmp_path)
    assert comparison.reference.free_energy.populations[5] == pytest.approx(1 / 3000)


def ladder(n, n_frames):
    """Walk up and down n states, each reached from many others."""
    steps = np.random.default_rng(0).integers(-n // 100, n // 100 + 1, size=n_frames)
    walk = np.cumsum(steps) % (2 * n)
    return States((np.minimum(walk, 2 * n - 1 - walk),), n)


def test_beyond_a_thousand_states_transitions_are_counted_both_ways(monkeypatch):
    pi = np.linalg.matrix_power(CHAIN, 2000)[0]
    states = MarkovModel(CHAIN, pi, StateSpace(3)).generate(50_000, seed=0)
    likeliest = trajlm.fit_msm(states)
    monkeypatch.setattr(markov, "MOST_ITERATED", 2)
    counted = trajlm.fit_msm(states)
    np.testing.assert_allclose(
        counted.transition_matrix, likeliest.transition_matrix, atol=1e-4, rtol=1e-3
    )
    flow = counted.stationary_distribution[:, None] * counted.transition_matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-4)


@pytest.mark.slow
def test_five_thousand_states(tmp_path):
    states = ladder(5000, 100_000)
    model = trajlm.LSTMEstimator(**QUICK).fit_fetch(states)
    model.save(tmp_path / "m")
    generated = trajlm.load_model(tmp_path / "m").generate(1000, 2, seed=0)
    assert generated.n_states == 5000
    grouping = trajlm.group_by_list(states, (np.arange(5000) // 1000).tolist())
    models = {"LSTM": generated, "MSM": trajlm.fit_msm(states)}
    trajlm.compare(states, models, grouping, n_runs=2, n_frames=2000)


@pytest.mark.slow
def test_twenty_thousand_short_trajectories(tmp_path):
    pi = np.linalg.matrix_power(CHAIN, 2000)[0]
    states = MarkovModel(CHAIN, pi, StateSpace(3)).generate(50, 20_000, seed=0)
    write_states(tmp_path / "s.npz", states)
    states = read_states(tmp_path / "s.npz")
    assert (len(states), states.n_frames) == (20_000, 1_000_000)
    np.testing.assert_allclose(trajlm.fit_msm(states).transition_matrix, CHAIN, atol=0.003)
    whole_way(states, hidden=None)


def test_trajectories_of_different_dt_are_refused(tmp_path):
    for name, dt in (("a", 1.0), ("b", 2.0)):
        rows = "".join(f"{dt * k} {k}\n" for k in range(5))
        (tmp_path / f"{name}.txt").write_text("time x\n" + rows)
    with pytest.raises(InputError, match=r"a.txt and .*b.txt have different dt, 1 and 2"):
        read_features([tmp_path / "a.txt", tmp_path / "b.txt"])
    model = trajlm.fit_msm(States((np.arange(50) % 3,), dt=1.0, unit="ps"))
    with pytest.raises(InputError, match="same dt"):
        model.log_prob(States((np.arange(50) % 3,), dt=2.0, unit="ps"))


def test_time_that_goes_backwards_is_refused_with_the_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("time x\n0 1\n1 2\n0.5 3\n")
    with pytest.raises(InputError, match=r"line 4: the time goes back from 1 to 0\.5"):
        read_features(path)
    path.write_text("#! FIELDS time x\n0 1\n1 2\n0.5 3\n")
    with pytest.raises(InputError, match=r"line 4: the time goes back from 1 to 0\.5"):
        read_features(path)
