"""Several trainings as one model: a mixture over whole trajectories, against enumeration."""

import dataclasses
from itertools import product

import numpy as np
import pytest

import trajlm
from test_lstm import small_model
from trajlm.cli import run
from trajlm.errors import InputError, Interrupted, ModelFileError
from trajlm.lstm.ensemble import EnsembleModel
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.ensemble import (
    finished_ensemble,
    member_settings,
    train_ensemble,
    train_ensemble_in_folder,
)
from trajlm.lstm.training.train import train
from trajlm.models.files import MEMBERS
from trajlm.models.registry import describe_model, load_model
from trajlm.systems.hidden_markov import markov_chain

N_STATES = 3
MEMBERS_OF = tuple(small_model(n_states=N_STATES, seed=seed) for seed in (1, 2, 3))
MIXTURE = EnsembleModel(MEMBERS_OF)
SMALL = TrainingSettings(hidden_dim=8, embedding_dim=4, epochs=2, window=20, streams=4, seed=5)
T = np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.05, 0.15, 0.8]])


def simulate(seed):
    return markov_chain(T, dt=1.0, unit="frame").simulate(4000, seed=seed)


DATA = simulate(seed=1)


def test_the_probabilities_of_all_trajectories_sum_to_one_and_are_means_over_members():
    paths = [np.array([0, *rest]) for rest in product(range(N_STATES), repeat=5)]
    of_mixture = np.exp([MIXTURE.log_prob(s) for s in paths])
    of_members = np.exp([[m.log_prob(s) for s in paths] for m in MEMBERS_OF])
    assert of_mixture.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(of_mixture, of_members.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("past", [[2], [0, 1], [0, 0, 2, 1, 1], [0, 1, 2] * 20])
def test_the_next_state_is_weighted_by_what_members_said_of_the_past(past):
    p = MIXTURE.next_state_probabilities(past)
    likelihoods = [np.exp(m.log_prob(past)) if len(past) > 1 else 1.0 for m in MEMBERS_OF]
    of_each = [m.next_state_probabilities(past) for m in MEMBERS_OF]
    np.testing.assert_allclose(p, np.average(of_each, axis=0, weights=likelihoods), rtol=1e-5)
    scored = [MIXTURE.log_probs([*past, k])[0][-1] for k in range(N_STATES)]
    np.testing.assert_allclose(np.log(p), scored, atol=2e-5)


def test_of_a_long_trajectory_the_likeliest_member_decides():
    path = MEMBERS_OF[1].generate(30_000, seed=4)
    found, own = MIXTURE.log_probs(path)[0], MEMBERS_OF[1].log_probs(path)[0]
    np.testing.assert_allclose(found[-1000:], own[-1000:], atol=1e-6)
    # One of three, none likelier: ln 3 in all.
    assert own.sum() - found.sum() == pytest.approx(np.log(3), abs=1e-3)


def test_one_member_many_times_is_that_member():
    same = EnsembleModel((MEMBERS_OF[0],) * 4)
    path = MEMBERS_OF[0].generate(200, seed=1)
    np.testing.assert_allclose(same.log_probs(path)[0], MEMBERS_OF[0].log_probs(path)[0], atol=1e-9)


def test_lanes_are_dealt_to_members_whatever_their_number_and_that_of_threads():
    made = MIXTURE.generate(400, 7, seed=3, n_threads=1)
    again = MIXTURE.generate(400, 7, seed=3, n_threads=2)
    fewer = MIXTURE.generate(400, 2, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(made, fewer, strict=False))
    # Each lane is likelier in its own member than in the others.
    long = MIXTURE.generate(5000, 6, seed=3)
    for k, lane in enumerate(long):
        scores = [m.log_prob(lane) for m in MEMBERS_OF]
        assert np.argmax(scores) == k % 3


def test_frames_made_are_told_and_bad_arguments_refused():
    told = []
    MIXTURE.generate(50, 4, progress=told.append)
    assert sum(told) == 200
    assert all(s[0] in (0, 1, 2) for s in MIXTURE.generate(3, 4, start=1, temperature=2.0))
    with pytest.raises(InputError, match="temperature"):
        MIXTURE.generate(50, 4, temperature=0.0)
    with pytest.raises(InputError, match="start state 3"):
        MIXTURE.generate(50, 4, start=3)


@pytest.fixture(scope="module")
def trained():
    return train_ensemble(DATA, SMALL, 2, n_threads=2)


def test_members_are_what_each_training_gives_alone(trained):
    alone = [train(DATA, own, n_threads=1) for own in member_settings(SMALL, 2)]
    for member, one in zip(trained.members, alone, strict=True):
        for name, weight in vars(one.weights).items():
            np.testing.assert_array_equal(getattr(member.weights, name), weight)
    assert member_settings(SMALL, 2) == member_settings(SMALL, 5)[:2]
    assert len({s.seed for s in member_settings(SMALL, 50)}) == 50


def test_a_saved_ensemble_is_the_same_model_in_comparison_and_kinetics(trained, tmp_path):
    trained.save(tmp_path)
    loaded = load_model(tmp_path)
    assert isinstance(loaded, EnsembleModel)
    assert loaded.record == trained.record
    np.testing.assert_array_equal(loaded.log_probs(DATA)[0], trained.log_probs(DATA)[0])
    made = [model.generate(300, 3, seed=1) for model in (trained, loaded)]
    assert all(np.array_equal(a, b) for a, b in zip(*made, strict=True))
    assert "2 members" in describe_model(tmp_path)
    found = trajlm.compare(DATA, {"LSTM": loaded}, n_runs=2, n_frames=1000)
    found.save(tmp_path / "report")
    again = trajlm.Comparison.load(tmp_path / "report")
    assert again.models[0].trainings[0].record == loaded.record
    times = trajlm.kinetics(loaded, n_runs=4).timescales()
    assert times.value[0] == pytest.approx(-1 / np.log(0.75), rel=0.3)


@pytest.mark.parametrize("n", [0, 1, 3, 10**9, None])
def test_another_number_of_members_than_there_are_is_refused(trained, n):
    sizes, arrays = trained.to_arrays()
    with pytest.raises((ValueError, TypeError, KeyError)):
        EnsembleModel.from_arrays(DATA.space, trained.record, sizes | {"n_models": n}, arrays)


@pytest.mark.parametrize("name", ["5.weights.skip", "-1.weights.skip", "x.weights.skip", "skip"])
def test_arrays_of_no_member_are_refused(trained, name):
    sizes, arrays = trained.to_arrays()
    strange = arrays | {name: arrays["0.weights.skip"]}
    with pytest.raises(ValueError, match=r"member|invalid literal"):
        EnsembleModel.from_arrays(DATA.space, None, sizes, strange)


class Stopped:
    """Reports that stop a training at the n-th of them."""

    def __init__(self, n):
        self.n = n

    def __call__(self, *_):
        self.n -= 1
        if self.n == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("epochs", "rounds"), [(1, -1), (3, -1), (-1, 1)])
def test_a_stopped_ensemble_resumes_to_the_same_model(epochs, rounds, trained, tmp_path):
    slow = markov_chain([[0.998, 0.002], [0.002, 0.998]], dt=1.0, unit="frame")
    data = DATA if rounds < 0 else slow.simulate(4000, seed=1)
    options = {"report": Stopped(epochs), "report_calibration": Stopped(rounds), "n_threads": 1}
    with pytest.raises(Interrupted, match="resume") as stopped:
        train_ensemble_in_folder(data, SMALL, 2, tmp_path, **options)
    assert stopped.value.resumable
    assert (tmp_path / MEMBERS).exists()
    with pytest.raises(ModelFileError, match="unfinished training"):
        load_model(tmp_path)
    assert finished_ensemble(tmp_path, data, SMALL, 2) is None
    resumed = train_ensemble_in_folder(data, SMALL, 2, tmp_path)
    whole = trained if rounds < 0 else train_ensemble(data, SMALL, 2)
    for a, b in zip(resumed.members, whole.members, strict=True):
        np.testing.assert_array_equal(a.weights.skip, b.weights.skip)
    assert not (tmp_path / MEMBERS).exists()
    assert finished_ensemble(tmp_path, data, SMALL, 2) is not None
    assert finished_ensemble(tmp_path, data, SMALL, 3) is None
    assert finished_ensemble(tmp_path, simulate(seed=2), SMALL, 2) is None


def test_members_of_other_settings_are_refused(tmp_path):
    train_ensemble(DATA, SMALL, 1, folder=tmp_path)
    other = SMALL.model_copy(update={"epochs": 3})
    with pytest.raises(InputError, match="other settings"):
        train_ensemble(DATA, other, 2, folder=tmp_path, resume=True)
    assert len(train_ensemble(DATA, other, 2, folder=tmp_path).members) == 2


def test_a_member_that_fails_ends_the_training():
    wild = SMALL.model_copy(update={"learning_rate": 1e9, "clip": 1e12})
    with pytest.raises(InputError, match="diverged"):
        train_ensemble(DATA, wild, 3)
    with pytest.raises(InputError, match="members"):
        train_ensemble(DATA, SMALL, 0)


def test_the_estimator_trains_an_ensemble(trained, tmp_path):
    parameters = dict(SMALL) | {"n_models": 2}
    told = []
    estimator = trajlm.LSTMEstimator(**parameters)
    model = estimator.fit(DATA, checkpoint=tmp_path / "a", report=lambda *x: told.append(x))
    assert len(told) == 4
    np.testing.assert_array_equal(
        model.fetch_model().log_probs(DATA)[0], trained.log_probs(DATA)[0]
    )


COMMAND = (
    "train states.npz --out model --n-models 2 --hidden-dim 8 --embedding-dim 4 --epochs 2 "
    "--window 20 --streams 4 --seed 5"
)


def test_commands_take_an_ensemble_as_a_model(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trajlm.write_states("states.npz", DATA)
    assert run(COMMAND.split()) == 0
    out, err = capsys.readouterr()
    assert "2 members" in out
    assert "member 1, epoch 2/2" in err
    loaded = load_model("model")
    np.testing.assert_array_equal(loaded.log_probs(DATA)[0], trained.log_probs(DATA)[0])
    assert run(COMMAND.split()) == 2
    assert run([*COMMAND.split(), "--resume"]) == 0
    assert "finished already" in capsys.readouterr().out
    assert run([*COMMAND.replace("--n-models 2", "").split(), "--overwrite"]) == 0
    assert load_model("model").kind == "lstm"
    assert run([*COMMAND.split(), "--overwrite"]) == 0
    assert run(["info", "model"]) == 0
    assert "2 members" in capsys.readouterr().out
    generate = ["generate", "model", "--steps", "100", "--threads", "2"]
    assert run([*generate, "--lanes", "3", "--out", "g.npy"]) == 0
    assert np.load("g.npy").shape == (3, 100)
    assert run([*generate, "--out", "h.npy", "--resume"]) == 2
    assert "ensemble" in capsys.readouterr().err
    assert run(["compare", "states.npz", "model", "--runs", "2", "--out", "report"]) == 0
    assert run(["cite", "model", "report"]) == 0
    assert "paszke" in capsys.readouterr().out


def test_trainings_of_one_and_of_several_are_not_mixed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trajlm.write_states("states.npz", DATA)
    (tmp_path / "model" / MEMBERS).mkdir(parents=True)
    assert run([*COMMAND.replace("--n-models 2", "").split(), "--resume"]) == 2
    assert "several models" in capsys.readouterr().err
    assert run(COMMAND.split()) == 2
    assert run([*COMMAND.split(), "--resume"]) == 0


def test_a_record_of_no_members_is_refused(trained):
    with pytest.raises(ValueError, match="members"):
        dataclasses.replace(trained.record, members=())


def test_a_member_that_was_killed_before_its_weights_were_written_goes_on(tmp_path):
    """Its description, which comes first, is no model yet."""

    def stop(*_):
        raise KeyboardInterrupt

    plain = SMALL.model_copy(update={"calibration": False})
    with pytest.raises(Interrupted):
        train_ensemble(DATA, plain, 2, folder=tmp_path, report=stop, n_threads=1)
    (tmp_path / "0" / ".model.next.json").write_text("{}")
    resumed = train_ensemble(DATA, plain, 2, folder=tmp_path, resume=True)
    whole = train_ensemble(DATA, plain, 2)
    for one, other in zip(resumed.members, whole.members, strict=True):
        np.testing.assert_array_equal(
            one.weights.recurrent_weights, other.weights.recurrent_weights
        )
