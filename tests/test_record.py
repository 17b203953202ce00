"""What the record of a training says: whether the limit of epochs came too early."""

import numpy as np
import pytest

import trajlm
from trajlm.cli import run
from trajlm.data import States
from trajlm.io import write_states
from trajlm.lstm.record import Baselines, EpochRecord, LSTMRecord, still_improving
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.record import MarkovRecord
from trajlm.provenance import Discretization, Note

BIASED = "COLVAR holds the bias column metad.bias: biased data is not equilibrium data"
HOW = Discretization(notes=(Note("cut at a gap", "gap"), Note(BIASED, "bias")))


def record(held_out, epochs=None, msm=1.0):
    n = len(held_out)
    return LSTMRecord(
        settings=TrainingSettings(epochs=epochs or n, seed=0),
        n_frames=1000,
        n_trajectories=1,
        best_epoch=int(np.argmin(held_out)) + 1,
        history=tuple(EpochRecord(k + 1, x, x, 1.0) for k, x in enumerate(map(float, held_out))),
        baselines=Baselines(msm, 3.0),
    )


@pytest.mark.parametrize(
    ("held_out", "epochs", "said"),
    [
        ([0.95, 0.9, 0.86, 0.83, 0.81], 5, True),
        # One epoch, and all there is to compare with is the MSM.
        ([0.9], 1, True),
        # The patience ended it.
        ([0.9, 0.8, 0.85, 0.85], 40, False),
        # The best epoch came before the last.
        ([0.9, 0.8, 0.7, 0.71], 4, False),
        # The last of 40 is the best, as the learning rate falls to zero: nothing is wrong.
        (0.8 + 0.2 * np.exp(-np.arange(1, 41) / 5), 40, False),
        (0.8 + 0.2 * np.exp(-np.arange(1, 41) / 40), 40, True),
        # Nothing to learn: what is left is below what is printed.
        (1.0 - 1e-5 * np.arange(5), 5, False),
        # Without the bigram skip the first epochs lie far above the MSM.
        ([2.0, 1.6, 1.3], 3, True),
    ],
)
def test_a_training_that_was_stopped_while_improving_says_so(held_out, epochs, said):
    sentence = still_improving(record(list(held_out), epochs))
    assert bool(sentence) == said
    if said:
        assert f"stopped at epoch {len(held_out)}, the most allowed" in sentence
        assert ("training", sentence) in record(list(held_out), epochs).facts()


def test_a_record_without_a_history_says_nothing():
    assert still_improving(None) == ""
    assert still_improving(MarkovRecord(1, True, (0, 1))) == ""


@pytest.fixture(scope="module")
def states():
    """Return two groups of states with memory of the second last state, read from biased data."""
    rng = np.random.default_rng(0)
    s = np.zeros(6000, int)
    for t in range(2, len(s)):
        s[t] = s[t - 2] if rng.random() < 0.95 else rng.integers(3)
    return States((s,), 3, 0.1, "ps", discretization=HOW)


def test_train_and_info_tell_of_the_limit_and_of_biased_data(states, tmp_path, capsys):
    write_states(tmp_path / "s.npz", states)
    model = str(tmp_path / "model")
    sizes = ["--hidden-dim", "8", "--embedding-dim", "4", "--epochs", "2", "--no-calibration"]
    assert run(["train", str(tmp_path / "s.npz"), "--out", model, *sizes]) == 0
    said = capsys.readouterr()
    assert "stopped at epoch 2, the most allowed, while still improving" in said.out
    assert f"note: {BIASED}" in said.err
    assert "cut at a gap" not in said.err
    assert run(["info", model]) == 0
    shown = capsys.readouterr().out
    assert "training: stopped at epoch 2" in shown
    assert "trained on: 1 trajectory, 6,000 frames, 2 epochs" in shown
    assert f"note: {BIASED}" in shown


def test_representations_are_short(states):
    msm = trajlm.fit_msm(states)
    features = trajlm.data.Features((np.zeros((5, 2)), np.ones((4, 2))), ("x", "y"))
    assert repr(states) == "States(6,000 frames of 3 states, one each 0.1 ps)"
    assert repr(features) == "Features(9 frames of x, y in 2 trajectories)"
    assert repr(msm) == "MarkovModel(3 states, 0.1 ps per frame)"
    comparison = trajlm.compare(states, {"MSM": msm}, n_runs=2)
    shown = repr(comparison)
    assert shown.startswith("Comparison(data of 6,000 frames with D0 = ")
    assert "MSM D = " in shown
    assert len(shown) < 100
    assert len(repr(comparison.reference)) < 100
