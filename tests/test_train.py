import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from trajlm.analysis.holdout import hold_out
from trajlm.data import States
from trajlm.errors import InputError, Interrupted, ModelFileError, TrajlmWarning
from trajlm.lstm.estimator import LSTMEstimator
from trajlm.lstm.loops import loops
from trajlm.lstm.settings import TrainingSettings, training_settings
from trajlm.lstm.training import trainer
from trajlm.lstm.training.network import export_weights
from trajlm.lstm.training.train import fingerprint, finished_model, train
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
    markov_chain,
    markov_entropy_rate,
)

CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
SMALL = TrainingSettings(hidden_dim=8, embedding_dim=4, epochs=4, window=20, streams=4)


def chain_states(n_frames, n_trajectories=1, seed=0):
    return markov_chain(CHAIN, dt=1.0, unit="frame").simulate(n_frames, n_trajectories, seed)


def stop(*_):
    raise KeyboardInterrupt


def same_weights(a, b):
    return all(np.array_equal(v, getattr(b.weights, k)) for k, v in vars(a.weights).items())


def excess_entropy(process, model, seed):
    """Nats a frame of the model above the truth, on the same fresh path: an estimate of KL."""
    fresh = process.simulate(300_000, seed=seed)
    exact = -np.mean(process.log_probs(fresh)[0])
    return model.cross_entropy(fresh) - exact, exact


def test_learned_entropy_of_a_markov_chain_is_the_exact_rate():
    process = markov_chain(CHAIN, dt=1.0, unit="frame")
    estimator = LSTMEstimator(hidden_dim=16, embedding_dim=8, epochs=6, seed=0)
    model = estimator.fit_fetch(process.simulate(200_000, seed=1))
    excess, on_path = excess_entropy(process, model, seed=2)
    assert -1e-4 < excess < 1e-3
    # The path itself is typical: within four standard errors of the closed form.
    assert on_path == pytest.approx(markov_entropy_rate(CHAIN), abs=0.006)


def test_learned_entropy_of_a_hidden_markov_process_is_the_exact_rate():
    process = HiddenMarkovProcess.from_rates(
        KINSOFT_LEVEL3_RATES, dt=0.2, lumping=KINSOFT_LEVEL3_LUMPING
    )
    estimator = LSTMEstimator(hidden_dim=16, embedding_dim=8, epochs=12, learning_rate=5e-3, seed=0)
    states = process.simulate(200_000, seed=1)
    excess, _ = excess_entropy(process, estimator.fit_fetch(states), seed=2)
    assert -1e-4 < excess < 1e-3
    # The process is not Markov: a memoryless model must be worse by more than that.
    from trajlm.models.markov import fit_msm

    msm_excess, _ = excess_entropy(process, fit_msm(states), seed=2)
    assert msm_excess > 2e-3


def test_same_seed_gives_the_same_model_and_another_seed_does_not():
    states = chain_states(4000)
    one, two = train(states, SMALL), train(states, SMALL)
    other = train(states, SMALL.model_copy(update={"seed": 1}))
    assert same_weights(one, two)
    assert not same_weights(one, other)


@pytest.mark.parametrize("stop_after", [1, 3])
@pytest.mark.parametrize("n_trajectories", [1, 20])
def test_resumed_training_is_bit_identical(tmp_path, stop_after, n_trajectories):
    states = chain_states(4000 // n_trajectories, n_trajectories)
    whole = train(states, SMALL)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(record, baselines):
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=f"epoch {stop_after}"):
        train(states, SMALL, checkpoint=checkpoint, report=stop)
    resumed = train(states, SMALL, checkpoint=checkpoint, resume=True)
    assert same_weights(whole, resumed)
    without_seconds = [
        [replace(epoch, seconds=0.0) for epoch in m.record.history] for m in (whole, resumed)
    ]
    assert without_seconds[0] == without_seconds[1]


def test_checkpoint_of_other_data_or_settings_is_refused(tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    train(chain_states(4000), SMALL, checkpoint=checkpoint)
    with pytest.raises(InputError, match="other data"):
        train(chain_states(4000, seed=9), SMALL, checkpoint=checkpoint, resume=True)
    changed = SMALL.model_copy(update={"learning_rate": 0.01})
    with pytest.raises(InputError, match="learning_rate"):
        train(chain_states(4000), changed, checkpoint=checkpoint, resume=True)


def test_early_stopping_keeps_the_best_epoch():
    rng = np.random.default_rng(0)
    noise = States((rng.integers(4, size=1500),), 4)
    settings = SMALL.model_copy(
        update={"epochs": 60, "patience": 3, "learning_rate": 0.02, "hidden_dim": 32}
    )
    model = train(noise, settings)
    history = [epoch.validation for epoch in model.record.history]
    assert len(history) < 60
    assert model.record.best_epoch == int(np.argmin(history)) + 1
    assert len(history) - model.record.best_epoch == settings.patience


def test_network_starts_as_the_markov_model():
    from trajlm.lstm.training.start import build_network
    from trajlm.models.markov import smoothed_transition_matrix

    states = chain_states(4000)
    weights = export_weights(build_network(states, SMALL, window=20, both_ways=False))
    np.testing.assert_allclose(weights.skip, np.log(smoothed_transition_matrix(states)), rtol=1e-5)
    assert not weights.readout.any()
    assert not weights.readout_bias.any()
    plain = SMALL.model_copy(update={"bigram_skip": False})
    assert not export_weights(build_network(states, plain, window=20, both_ways=False)).skip.any()


def test_slow_units_start_with_memories_from_one_frame_to_a_window():
    from trajlm.lstm.training.start import build_network

    states = chain_states(4000)
    whole = SMALL.model_copy(update={"slow_units": 0.5})
    weights = export_weights(build_network(states, whole, window=100, both_ways=False))
    own = export_weights(
        build_network(states, SMALL.model_copy(update={"slow_units": 0.0}), 100, both_ways=False)
    )
    inputs, forget, *others = weights.gate_bias.reshape(4, 8)
    kept = 1 / (1 + np.exp(-forget[:4]))
    np.testing.assert_allclose(kept / (1 - kept), [1, 100 ** (1 / 3), 100 ** (2 / 3), 100], 1e-4)
    np.testing.assert_allclose(inputs[:4], -forget[:4], atol=1e-6)
    unchanged = own.gate_bias.reshape(4, 8)
    np.testing.assert_array_equal(forget[4:], unchanged[1, 4:])
    np.testing.assert_array_equal(others, unchanged[2:])


def test_memory_that_is_seldom_asked_for_is_learned():
    # Three wells in a row, left once in 100 frames: from the middle the walk always goes on.
    q = 0.01
    T = np.array([[1 - q, q, 0, 0], [0, 1 - q, 0, q], [q, 0, 1 - q, 0], [0, 0, q, 1 - q]])
    process = HiddenMarkovProcess(T, np.eye(3)[[0, 1, 1, 2]])
    states = process.simulate(200_000, seed=1)
    small = {"hidden_dim": 16, "embedding_dim": 8, "epochs": 12, "learning_rate": 5e-3}
    model = LSTMEstimator(**small, seed=0, calibration=False).fit_fetch(states)
    excess, _ = excess_entropy(process, model, seed=2)
    without_memory = q / 2 * np.log(2)
    assert excess < 0.2 * without_memory


def test_baselines_are_reported_beside_the_training():
    states = chain_states(20_000)
    lines = []
    train(states, SMALL, report=lambda r, b: lines.append(r.describe(4, b)))
    model = train(states, SMALL)
    baselines = model.record.baselines
    training, held_out = hold_out(states, 0.1, 0)
    counts = np.zeros((3, 3))
    s = training.trajectories[0]
    np.add.at(counts, (s[:-1], s[1:]), 1)
    held = held_out.trajectories[0]
    T = counts / counts.sum(1, keepdims=True)
    assert baselines.msm == pytest.approx(-np.log(T[held[:-1], held[1:]]).mean(), abs=2e-3)
    p = np.bincount(s) / len(s)
    assert baselines.independent == pytest.approx(-np.log(p[held[1:]]).mean(), abs=1e-3)
    assert len(lines) == 4
    assert f"MSM {baselines.msm:.4f}" in lines[0]


def test_held_out_is_the_last_stretch_of_each_trajectory():
    states = States((np.arange(100) % 5, np.arange(50) % 5), 5)
    kept, held = hold_out(states, 0.1, 0)
    assert [len(s) for s in kept] == [90, 45]
    np.testing.assert_array_equal(held.trajectories[0], np.arange(90, 100) % 5)


def test_of_many_trajectories_whole_ones_are_held_out():
    states = States(tuple(np.full(30, k) for k in range(20)), 20)
    kept, held = hold_out(states, 0.1, 0)
    assert len(held) == 2
    assert {int(s[0]) for s in kept} | {int(s[0]) for s in held} == set(range(20))


def test_held_out_share_is_of_frames_not_of_trajectories():
    long_one = States((np.arange(100_000) % 3, *(np.arange(20) % 3 for _ in range(19))), 3)
    for seed in range(5):
        kept, held = hold_out(long_one, 0.1, seed)
        assert held.n_frames == pytest.approx(0.1 * long_one.n_frames, rel=0.01)
        assert kept.n_frames + held.n_frames == long_one.n_frames


@pytest.mark.parametrize("largest", [0.01, 1e6])
def test_gradients_are_clipped_as_pytorch_does(largest, monkeypatch):
    rng = np.random.default_rng(0)
    data = States((rng.integers(0, 3, 4000),), 3)
    clipped = []

    def clip(self):
        before = [p.grad.clone() for p in self.parameters]
        found = original(self)
        after = [p.grad.clone() for p in self.parameters]
        clipped.append(any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)))
        for parameter, gradient in zip(self.parameters, before, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, largest)
        for parameter, gradient in zip(self.parameters, after, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        return found

    original = trainer.Trainer._clip
    monkeypatch.setattr(trainer.Trainer, "_clip", clip)
    train(data, TrainingSettings(epochs=1, clip=largest, calibration=False, hidden_dim=8))
    assert any(clipped) == (largest < 1)


def test_a_training_that_diverges_says_so():
    wild = SMALL.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match="diverged in epoch"):
        train(chain_states(4000), wild)


def test_damaged_checkpoints_are_refused(tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    states = chain_states(4000)
    train(states, SMALL, checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    # The file is mapped into memory, and about to be written over.
    arrays = {k: v.clone() for k, v in load_file(checkpoint).items()}
    for damage in (
        lambda: checkpoint.write_bytes(whole[:-20]),
        lambda: checkpoint.write_bytes(b"{}"),
        lambda: save_file(arrays, checkpoint),
        lambda: save_file({"x": arrays["best/readout.bias"]}, checkpoint),
    ):
        damage()
        with pytest.raises(ModelFileError, match="train again"):
            train(states, SMALL, checkpoint=checkpoint, resume=True)


def test_finished_model_is_known_by_data_and_settings(tmp_path):
    states = chain_states(4000)
    train(states, SMALL).save(tmp_path)
    assert same_weights(finished_model(tmp_path, states, SMALL), train(states, SMALL))
    assert finished_model(tmp_path, chain_states(4000, seed=1), SMALL) is None
    other = SMALL.model_copy(update={"seed": 1})
    assert finished_model(tmp_path, states, other) is None
    assert finished_model(tmp_path / "nothing", states, SMALL) is None


def test_joined_trajectories_invent_no_transition():
    # Each trajectory stays in one state: joined, one frame in ten would change it.
    states = States(tuple(np.full(10, k % 2) for k in range(100)), 2)
    model = train(states, SMALL)
    path = np.array([0] * 9 + [1])
    assert model.log_probs(path)[0][-1] < np.log(0.01)
    generated = model.generate(2000, 4, seed=0)
    assert np.mean([np.diff(s.astype(int)) != 0 for s in generated]) < 0.01


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (np.zeros(100, int), "one state only"),
        (np.array([0, 1, 0]), "too few"),
        (np.array([0]), "at least two"),
        (np.array([0.5, 1.0]), "not a whole number"),
        (np.array([0, -1]), "frame 1 is negative"),
    ],
)
def test_data_that_cannot_be_learned_is_refused(data, word):
    with pytest.raises(InputError, match=word):
        train(data, SMALL)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"epochs": 0}, "epochs = 0"), ({"hiden_dim": 3}, "hiden_dim"), ({"seed": -1}, "seed")],
)
def test_bad_settings_are_refused_by_name(settings, word):
    with pytest.raises(InputError, match=word):
        training_settings(**settings)


def test_fingerprint_knows_borders_and_order():
    a = States((np.array([0, 1, 1, 0]),), 2)
    b = States((np.array([0, 1]), np.array([1, 0])), 2)
    assert len({fingerprint(a), fingerprint(b), fingerprint(States(b.trajectories[::-1], 2))}) == 3


def test_estimator_in_the_manner_of_deeptime():
    estimator = LSTMEstimator(hidden_dim=8, epochs=1)
    assert not estimator.has_model
    with pytest.raises(InputError, match="fit first"):
        estimator.fetch_model()
    data = list(chain_states(500, 3))
    assert estimator.fit(data) is estimator
    assert estimator.has_model
    assert estimator.fetch_model().n_states == 3


def test_a_state_that_the_end_alone_visits_is_not_held_out():
    s = np.concatenate([np.arange(20_000) % 3, np.full(600, 3)])
    training, validation = hold_out(States((s,), 4), 0.1, 0)
    assert training.counts()[3] >= 300
    assert validation.n_frames == pytest.approx(2060, abs=2)
    np.testing.assert_array_equal(
        training.counts() + validation.counts(), np.bincount(s, minlength=4)
    )
    runs = States((*(np.arange(100) % 3 for _ in range(40)), np.full(100, 3)), 4)
    for seed in range(20):
        training, validation = hold_out(runs, 0.1, seed)
        assert training.counts()[3] == 100


def test_no_rare_state_is_held_out_for_the_most_part():
    s = np.arange(20_000) % 3
    s[5000:5200] = s[19_000:19_400] = 3
    training, _ = hold_out(States((s,), 4), 0.1, 0)
    assert training.counts()[3] >= 300


def test_what_is_held_out_of_ordinary_data_is_its_end():
    s = np.random.default_rng(0).integers(0, 4, 1000)
    training, validation = hold_out(States((s,), 4), 0.1, 0)
    np.testing.assert_array_equal(training.trajectories[0], s[:900])
    np.testing.assert_array_equal(validation.trajectories[0], s[900:])


def test_a_checkpoint_decides_no_setting_of_the_optimiser(tmp_path):
    """What a file says of Adam's settings is not believed: they follow from ours."""
    checkpoint, states = tmp_path / "c.safetensors", chain_states(4000)
    whole = train(states, SMALL, checkpoint=checkpoint)
    with pytest.raises(Interrupted):
        train(states, SMALL, checkpoint=checkpoint, report=stop)
    data = checkpoint.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    metadata["param_groups"] = json.dumps([{"params": 5, "betas": ["x"], "lr": 1e9}])
    save_file(load_file(checkpoint), checkpoint, metadata)
    assert same_weights(whole, train(states, SMALL, checkpoint=checkpoint, resume=True))


def test_going_on_with_other_code_is_said(tmp_path, monkeypatch):
    checkpoint, states = tmp_path / "c.safetensors", chain_states(4000)
    with pytest.raises(Interrupted):
        train(states, SMALL, checkpoint=checkpoint, report=stop)
    begun = loops().NAME
    monkeypatch.setattr(loops(), "NAME", "other code")
    with pytest.warns(TrajlmWarning, match=f"{begun}.*other code"):
        train(states, SMALL, checkpoint=checkpoint, resume=True)
