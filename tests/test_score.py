"""Scores of discretizations against deeptime and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import trajlm
from trajlm.analysis import best_by, score_states
from trajlm.analysis.uncertainty import independent_parts
from trajlm.cli import run
from trajlm.data import Features, States
from trajlm.errors import InputError
from trajlm.io import write_states
from trajlm.systems.hidden_markov import markov_chain

T = np.array([[0.95, 0.05, 0.0], [0.02, 0.9, 0.08], [0.0, 0.1, 0.9]])


def chain(n: int, seed: int = 0) -> States:
    return markov_chain(T, 0.5, "ps").simulate(n, seed=seed)


def test_vamp2_is_that_of_deeptime_on_indicator_functions():
    from deeptime.covariance import Covariance
    from deeptime.decomposition import VAMP

    states = chain(4000)
    score = score_states(states, 3, n_processes=1, n_folds=4)
    parts = independent_parts(states, 4)
    for k, fold in enumerate(parts):
        models = []
        for group in ([p for i, p in enumerate(parts) if i != k], [fold]):
            covariance = Covariance(3, compute_c0t=True, compute_ctt=True, bessels_correction=False)
            for part in group:
                for s in part:
                    one_hot = np.eye(3)[s]
                    covariance.partial_fit((one_hot[:-3], one_hot[3:]))
            models.append(VAMP(epsilon=1e-12).fit(covariance).fetch_model())
        expected = models[0].score(2, models[1], dim=2, epsilon=1e-12)
        assert score.vamp2[k] == pytest.approx(expected, abs=1e-8)


def test_scores_of_a_long_chain_are_those_of_its_matrix():
    lag = 2
    values = np.sort(np.abs(np.linalg.eigvals(np.linalg.matrix_power(T, lag))))[::-1]
    score = score_states(chain(400_000), lag)
    assert score.n_processes == 2
    assert score.vamp2.mean() == pytest.approx((values**2).sum(), abs=0.02)  # it is reversible
    vectors = np.linalg.eig(T.T)
    p = np.abs(vectors[1][:, np.argmax(vectors[0].real)].real)
    p /= p.sum()
    q = np.linalg.matrix_power(T, lag)
    expected = (p[:, None] * q * np.log(q / p)).sum()
    assert score.information.mean() == pytest.approx(expected, abs=0.01)


def test_independent_frames_hold_no_information_and_many_states_tell_less_than_nothing():
    noise = np.random.default_rng(0).integers(2, size=20_000)
    score = score_states([noise], 1)
    assert score.vamp2.mean() == pytest.approx(1, abs=2e-3)
    assert abs(score.information.mean()) < 2e-3
    fine = np.random.default_rng(0).integers(500, size=20_000)
    assert score_states([fine], 1).information.mean() < -0.5


def test_splitting_states_at_random_adds_nothing_and_merging_loses():
    states = chain(100_000)
    score = score_states(states, 1, 2)
    split = states[0] * 2 + np.random.default_rng(0).integers(2, size=100_000)
    # What is drawn anew each frame says nothing of the next: the score is that of three states.
    assert score_states([split], 1, 2).information.mean() == pytest.approx(
        score.information.mean(), abs=2e-3
    )
    merged = score_states([np.minimum(states[0], 1)], 1, 2)
    assert merged.information.mean() < score.information.mean() - 0.05
    assert merged.vamp2.mean() < score.vamp2.mean() - 0.1


def test_information_orders_models_of_features_as_their_likelihood_does():
    """In closed form: uniform density within bins, so nats of features can be counted."""
    rng = np.random.default_rng(0)
    x = np.zeros(60_000)
    for t in range(1, len(x)):
        x[t] = np.clip(0.9 * x[t - 1] + 0.1 * rng.normal(), -1, 1)
    features = Features((x[:, None],))
    nats = []
    for n in (2, 8):
        states = trajlm.Bins(n, range=(-1, 1)).fit_transform(features)
        counts = states.transition_counts() + 1e-9
        q = counts / counts.sum(axis=1, keepdims=True)
        p = counts.sum(axis=0) / counts.sum()
        # p(x|s) = p(x) / p(s), with p(x) from a histogram of 200 cells that divide all bins.
        cell = trajlm.Bins(200, range=(-1, 1)).fit_transform(features)[0][1:]
        density = np.bincount(cell, minlength=200) / len(cell) * 100
        s = states[0]
        features_nats = -np.log(q[s[:-1], s[1:]] * density[cell] / p[s[1:]]).mean()
        information = score_states(states, 1).information.mean()
        nats.append(features_nats + information)
    assert nats[0] == pytest.approx(nats[1], abs=0.01)  # their sum is one constant, -<ln p(x)>


def test_differences_are_taken_fold_by_fold():
    folds = np.array([1.0, 2.0, 3.0])
    assert best_by([folds, folds - 0.1, folds + 0.1 * np.array([1, -1, 0.1])]) == (2, [0, 1])
    assert best_by([folds, folds - 0.1]) == (0, [])


def test_many_states_take_the_few_vectors_that_are_needed(monkeypatch):
    from trajlm.analysis import score as module

    fine = chain(50_000)[0] * 40 + np.random.default_rng(0).integers(40, size=50_000)
    few = score_states([fine], 2, 2)
    monkeypatch.setattr(module, "MANY_STATES", 10)
    np.testing.assert_allclose(score_states([fine], 2, 2).vamp2, few.vamp2, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((4000,), "lag"), ((1, 5, 1), "folds"), ((1, 0), "process"), ((900,), "fold")],
)
def test_what_has_no_score_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        score_states(chain(4000), *arguments)


def test_score_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_states("a.npz", chain(5000))
    write_states("b.npz", States([np.minimum(chain(5000)[0], 1)], 2, 0.5, "ps"))
    assert run(["score", "a.npz", "b.npz", "--lag", "4"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("a.npz: 3 states at a lag of 2 ps: VAMP-2 ")
    assert out[1].startswith("b.npz: 2 states at a lag of 2 ps: VAMP-2 ")
    assert out[2:] == ["best by VAMP-2: a.npz", "best by information: a.npz"]
    assert run(["score", "a.npz", "a.npz", "--lag", "4"]) == 0
    assert "best by VAMP-2: a.npz; not told from it: a.npz" in capsys.readouterr().out
    assert run(["score", "a.npz", "--lag", "0"]) == 2
