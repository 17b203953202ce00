"""Tokens of several columns: the law of the whole state, in parts."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trajlm import InputError, LSTMEstimator, ProductBins, States, load_model
from trajlm.data import StateSpace
from trajlm.errors import ModelFileError
from trajlm.kernels.arguments import NEVER
from trajlm.lstm.column_model import ColumnLSTMModel
from trajlm.lstm.columns import make_columns, whole_state
from trajlm.lstm.record import ColumnLSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.to_file import generate_to_file
from trajlm.lstm.training.choose import choose_columns
from trajlm.lstm.training.train import finished_model, train, train_in_folder
from trajlm.lstm.weights import LSTMWeights
from trajlm.systems.hidden_markov import markov_chain

LABELS = [np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 0, 1, 2, 2])]
M, L = 3, 5
SMALL = TrainingSettings(epochs=2, hidden_dim=8, embedding_dim=4, window=20, columns="groups")


def never(column):
    """Return a skip that forbids what no state has."""
    return np.where(column.follow < 0, NEVER, np.float32(0))


def random_model(labels=LABELS, seed=0, space=None):
    rng = np.random.default_rng(seed)
    columns = make_columns(labels, [f"label {k}" for k in range(len(labels))])
    n = len(labels[0])
    weights = []
    for column in columns:
        rows = n if column.is_first else column.n_given
        shapes = (n, M), (4 * L, M), (4 * L, L), (4 * L,), (column.n_labels, L), (column.n_labels,)
        arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]
        skip = rng.normal(size=(rows, column.n_labels)).astype(np.float32)
        g = None if column.is_first else rng.normal(size=(rows, M)).astype(np.float32)
        weights.append(LSTMWeights(*arrays, skip if column.is_first else never(column), g))
    starts = (np.array([0, 2], np.uint8), np.array([1, 2, 1], np.uint8))
    return ColumnLSTMModel(weights, columns, space or StateSpace(n), starts)


def equations(model, path):
    """Return ln Q of each frame but the first in double precision, by the equations as written."""
    found = np.zeros(len(path) - 1)
    for w, column in zip(model.weights_of_columns, model.columns, strict=True):
        w = {k: v.astype(np.float64) for k, v in w.arrays().items()}
        h, c = np.zeros(L), np.zeros(L)
        for t, (now, then) in enumerate(itertools.pairwise(path)):
            q = now if column.is_first else column.given[then]
            x = w["embedding"][now] + (0 if column.is_first else w["given"][q])
            gates = w["input_weights"] @ x + w["gate_bias"] + w["recurrent_weights"] @ h
            i, f, g, o = gates.reshape(4, L)
            sigmoid = [1 / (1 + np.exp(-v)) for v in (i, f, o)]
            c = sigmoid[1] * c + sigmoid[0] * np.tanh(g)
            h = sigmoid[2] * np.tanh(c)
            z = w["readout"] @ h + w["readout_bias"] + w["skip"][q]
            found[t] += z[column.labels[then]] - np.logaddexp.reduce(z)
    return found


def test_scores_are_those_of_the_equations():
    model = random_model()
    path = np.random.default_rng(1).integers(6, size=40)
    np.testing.assert_allclose(model.log_probs([path])[0], equations(model, path), atol=2e-5)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        [*LABELS[::-1]],
        [[0, 0, 1], [0, 1, 0], [1, 0, 1]],
        [[0, 0, 0], [0, 1, 2]],
        [[0, 1, 2], [0, 0, 0]],
    ],
)
def test_probabilities_of_all_sequences_sum_to_one(labels):
    model = random_model([np.array(x) for x in labels], seed=2)
    n = model.n_states
    paths = [np.array((1, *rest)) for rest in itertools.product(range(n), repeat=3)]
    total = sum(np.exp(x.sum()) for x in model.log_probs(paths))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_the_next_state_has_the_probabilities_that_scores_give():
    model = random_model()
    past = np.array([0, 4, 2])
    found = model.next_state_probabilities(past)
    scored = [np.exp(model.log_probs([np.append(past, k)])[0][-1]) for k in range(6)]
    np.testing.assert_allclose(found, scored, rtol=1e-5)
    assert found.sum() == pytest.approx(1.0)


def test_columns_add_up_to_the_score():
    model = random_model()
    path = np.random.default_rng(3).integers(6, size=30)
    parts = model.log_probs_of_columns([path])[0]
    assert parts.shape == (2, 29)
    np.testing.assert_allclose(parts.sum(axis=0), model.log_probs([path])[0], atol=1e-6)


def test_generated_pairs_have_the_probabilities_of_scores():
    model = random_model()
    lanes = 20_000
    generated = model.generate(2, lanes, seed=4, start=1)
    counts = np.zeros((6, 6))
    for s in generated:
        counts[s[0], s[1]] += 1
    paths = [np.array((1, a, b)) for a, b in itertools.product(range(6), repeat=2)]
    expected = np.exp([x.sum() for x in model.log_probs(paths)]).reshape(6, 6)
    error = np.sqrt(expected * (1 - expected) / lanes)
    assert (np.abs(counts / lanes - expected) < 5 * error + 1e-9).all()


def test_lanes_do_not_depend_on_how_many_there_are_nor_on_threads():
    model = random_model()
    many = model.generate(50, 11, seed=5, n_threads=2)
    few = model.generate(50, 3, seed=5, n_threads=1)
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a, b)


@given(
    arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=st.integers(0, 3))
)
def test_every_state_is_found_by_its_labels_and_by_no_others(labels):
    whole = np.vstack([labels, np.arange(labels.shape[1])])
    columns = make_columns(list(whole), ["x"] * len(whole))
    for state in range(labels.shape[1]):
        given_now = 0
        for column in columns:
            assert column.given[state] == given_now
            given_now = column.follow[given_now, column.labels[state]]
        assert given_now == state
    found = [column.follow[column.follow >= 0] for column in columns]
    assert sorted(found[-1]) == list(range(labels.shape[1]))


def test_labels_that_two_states_share_are_refused():
    with pytest.raises(ValueError, match="two states"):
        make_columns([np.array([0, 0, 1]), np.array([1, 1, 0])], ["a", "b"])


def metastable(n_frames=40_000, seed=0):
    """Return a chain of two groups of three states that are hardly ever left."""
    rng = np.random.default_rng(1)
    P = np.zeros((6, 6))
    for own in (slice(0, 3), slice(3, 6)):
        P[own, own] = rng.dirichlet(np.ones(3), 3)
    P = 0.995 * P + 0.005 / 6
    return markov_chain(P, dt=1.0, unit="frame").simulate(n_frames, seed=seed), P


def test_groups_are_found_and_their_law_learned():
    data, P = metastable()
    model = train(data, SMALL.model_copy(update={"epochs": 20, "learning_rate": 1e-2}))
    assert isinstance(model, ColumnLSTMModel)
    assert [c.name for c in model.columns] == ["group", "state"]
    groups = model.columns[0].labels
    assert (groups[:3] == groups[0]).all()
    assert (groups[3:] == 1 - groups[0]).all()
    generated = model.generate(50_000, 4, seed=1)
    found = generated.transition_counts(1) / generated.transition_counts(1).sum(1, keepdims=True)
    assert np.abs(found - P).max() < 0.05
    leaving = found[:3, 3:].sum(axis=1)
    np.testing.assert_allclose(leaving, P[:3, 3:].sum(axis=1), rtol=0.6)


def test_files_bring_back_the_same_model(tmp_path):
    data, _ = metastable(8_000)
    model = train(data, SMALL)
    model.save(tmp_path)
    again = load_model(tmp_path)
    assert isinstance(again.record, ColumnLSTMRecord)
    assert again.record == model.record
    assert again.log_prob(data) == model.log_prob(data)
    assert [c.name for c in again.columns] == ["group", "state"]
    for a, b in zip(again.generate(100, 3), model.generate(100, 3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert finished_model(tmp_path, data, SMALL) is not None
    names = [name for name, _ in model.facts()]
    assert "held-out stretch" in names
    assert "calibration" in names


def test_a_damaged_file_is_refused(tmp_path):
    import json

    random_model().save(tmp_path)
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    description["sizes"]["columns"] = ["one"]
    path.write_text(json.dumps(description))
    with pytest.raises(ModelFileError):
        load_model(tmp_path)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_model(tmp_path, stop_after):
    data, _ = metastable(6_000)
    whole = train_in_folder(data, SMALL, tmp_path / "whole")
    seen = []

    def stop(record, baselines):
        seen.append(record)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_folder(data, SMALL, tmp_path / "model", report=stop)
    assert (tmp_path / "model" / "checkpoint.safetensors").exists()
    again = train_in_folder(data, SMALL, tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").glob("checkpoint*")] == []
    for a, b in zip(whole.weights_of_columns, again.weights_of_columns, strict=True):
        for name, x in a.arrays().items():
            np.testing.assert_array_equal(x, b.arrays()[name])


def test_which_columns_are_chosen():
    data, _ = metastable(8_000)
    few = TrainingSettings()
    assert len(choose_columns(data, few)) == 1
    many = States([np.repeat(np.arange(120), 3)], n_states=120)
    assert len(choose_columns(many, TrainingSettings(columns="state"))) == 1
    fast = markov_chain(np.full((3, 3), 1 / 3), dt=1.0, unit="frame").simulate(5_000, seed=0)
    with pytest.raises(InputError, match="metastable"):
        choose_columns(fast, TrainingSettings(columns="groups"))
    with pytest.raises(InputError, match="bins"):
        choose_columns(data, TrainingSettings(columns="bins"))
    assert whole_state(3).is_plain()


def test_very_many_states_have_bundles_between_group_and_state(monkeypatch):
    from trajlm.lstm.training import choose

    data, _ = metastable(8_000)
    monkeypatch.setattr(choose, "VERY_MANY_STATES", 5)
    columns = choose_columns(data, TrainingSettings(columns="groups"))
    assert [c.name for c in columns] == ["group", "bundle", "state"]
    assert [c.n_labels for c in columns] == [2, 1, 3]
    assert train(data, SMALL).cross_entropy(data) > 0


def test_a_product_is_learned_as_a_product():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(3_000, 2)), axis=0) % 4
    states = ProductBins([4, 3]).fit_transform(x)
    model = LSTMEstimator(columns="bins", epochs=1, hidden_dim=8).fit_fetch(states)
    assert [c.n_labels for c in model.columns] == [4, 3]
    p = model.next_state_probabilities(states.trajectories[0][:5])
    assert p.shape == (12,)
    assert p.sum() == pytest.approx(1.0)


def test_a_gpu_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="processor"):
        random_model().generate(10, device="cuda")
    with pytest.raises(InputError, match="processor"):
        generate_to_file(random_model(), tmp_path / "x.npy", 10, 1, 0, device="cuda")


def test_a_column_of_one_label_changes_nothing_that_follows(tmp_path):
    one = np.zeros(3, np.int64), np.arange(3)
    model = random_model(one, seed=6)
    lanes = 20_000
    counts = np.zeros((3, 3))
    for s in model.generate(2, lanes, seed=4, start=1):
        counts[s[0], s[1]] += 1
    paths = [np.array((1, a, b)) for a, b in itertools.product(range(3), repeat=2)]
    expected = np.exp([x.sum() for x in model.log_probs(paths)]).reshape(3, 3)
    error = np.sqrt(expected * (1 - expected) / lanes)
    assert (np.abs(counts / lanes - expected) < 5 * error + 1e-9).all()
    model.save(tmp_path)
    assert load_model(tmp_path).log_prob(paths) == model.log_prob(paths)


def test_a_comparison_shows_the_training_of_each_column(tmp_path):
    from trajlm import compare

    data, _ = metastable(8_000)
    comparison = compare(data, {"LSTM": train(data, SMALL)}, n_runs=2)
    comparison.save(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "Nats per frame over epochs, LSTM" in page
    assert "'epoch'" not in page
    table = Path(tmp_path / "results.json").read_text()
    assert "lstm-columns" in table
