import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from trajlm.data import States
from trajlm.errors import InputError, ModelFileError, OutputError, TrajlmError
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.train import train
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.models.registry import describe_model, load_model
from trajlm.provenance import Binning, Discretization

HOW = Discretization(Binning(tuple(np.arange(6) * 0.5 - 0.25)), ("phi",))


@pytest.fixture(scope="module")
def states():
    s = np.random.default_rng(0).integers(4, size=3000)
    return States((s,), 5, 0.2, "ps", np.arange(5) * 0.5, HOW)


@pytest.fixture(scope="module", params=["lstm", "msm", "hmm"])
def model(request, states):
    if request.param == "lstm":
        return train(states, TrainingSettings(hidden_dim=5, embedding_dim=3, epochs=1))
    return fit_msm(states) if request.param == "msm" else fit_hmm(states, 2)


def test_a_loaded_model_is_the_same_model(model, states, tmp_path):
    model.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert type(loaded) is type(model)
    assert loaded.log_prob(states) == model.log_prob(states)
    np.testing.assert_array_equal(
        list(loaded.generate(500, 3, seed=1)), list(model.generate(500, 3, seed=1))
    )
    space = loaded.space
    assert (space.n_states, space.dt, space.unit) == (5, 0.2, "ps")
    np.testing.assert_array_equal(space.centers, np.arange(5) * 0.5)
    assert space.discretization == HOW
    assert loaded.record == model.record
    assert "phi" in describe_model(tmp_path / "m")


def test_the_folder_holds_two_plain_files_and_says_how_it_was_made(model, tmp_path):
    model.save(tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]
    description = json.loads((tmp_path / "m" / "model.json").read_text())
    assert description["state_labels"] == ["0", "0.5", "1", "1.5", "2"]
    assert {"sizes", "dt", "unit", "discretization", "record", "versions", "seed"} <= set(
        description
    )


def spoil_json(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda f: (f / "model.json").unlink(), "model.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "model.json").write_text("{"), "damaged"),
        (lambda f: (f / "model.json").write_text("[]"), "not the description"),
        (lambda f: spoil_json(f, format_version=99), "version 99"),
        (lambda f: spoil_json(f, kind="pickle"), "does not describe a model"),
        (lambda f: spoil_json(f, sizes={"n_states": 7}), "does not describe a model"),
        (lambda f: spoil_json(f, sizes=None), "does not describe a model"),
        (lambda f: spoil_json(f, dt=-1.0), "does not describe a model"),
        (lambda f: spoil_json(f, centers=[1.0]), "does not describe a model"),
        (lambda f: spoil_json(f, discretization=[1]), "does not describe a model"),
        (lambda f: (f / "model.json").write_text("[" * 100_000), "damaged"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-7]
            ),
            "damaged",
        ),
    ],
)
def test_a_spoilt_folder_is_refused(model, tmp_path, spoil, word):
    model.save(tmp_path / "m")
    spoil(tmp_path / "m")
    with pytest.raises(ModelFileError, match=word):
        load_model(tmp_path / "m")


def test_weights_of_another_model_are_refused(states, tmp_path):
    fit_msm(states).save(tmp_path / "a")
    fit_msm(states, lag=3).save(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
    with pytest.raises(ModelFileError, match="belongs to another"):
        load_model(tmp_path / "a")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        load_model(tmp_path / "nothing")


def test_a_file_where_the_folder_should_be_is_refused(model, tmp_path):
    (tmp_path / "m").write_text("x")
    with pytest.raises(OutputError, match="a file stands"):
        model.save(tmp_path / "m")


def reseal(folder):
    """Give the description the hash of the weights as they are, as a hostile author would."""
    weights = (folder / "model.safetensors").read_bytes()
    spoil_json(folder, weights_sha256=hashlib.sha256(weights).hexdigest())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_flipped_bits_never_crash_loading_or_generating(data, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flip") / "m"
    model.save(folder)
    name = data.draw(st.sampled_from(["model.json", "model.safetensors"]))
    raw = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(bytes(raw))
    try:
        if name == "model.safetensors":
            reseal(folder)
        generated = load_model(folder).generate(20, 3, seed=0)
        describe_model(folder)
    except TrajlmError:
        return
    assert max(s.max() for s in generated) < generated.n_states


def resave(folder, **changes):
    path = folder / "model.safetensors"
    save_file(load_file(path) | changes, path)
    reseal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"start_states": np.full(10, 2**40, np.uint64), "start_lengths": np.array([10])},
        {"start_states": np.full(10, 7, np.uint8), "start_lengths": np.array([10])},
        {"start_states": np.zeros(10, np.uint8), "start_lengths": np.array([0, 10])},
        {"start_states": np.zeros(10, np.uint8), "start_lengths": np.array([11])},
        {"start_states": np.zeros(10, np.float32), "start_lengths": np.array([10])},
        {"weights.recurrent_weights": np.zeros(100, np.float32)},
        {"weights.readout": np.full((5, 5), np.nan, np.float32)},
        {"weights.readout": np.zeros((5, 4), np.float32)},
    ],
)
def test_hostile_arrays_are_refused(changes, states, tmp_path):
    train(states, TrainingSettings(hidden_dim=5, embedding_dim=3, epochs=1)).save(tmp_path / "m")
    resave(tmp_path / "m", **changes)
    with pytest.raises(ModelFileError, match="does not describe a model"):
        load_model(tmp_path / "m")


def test_rows_that_are_not_probabilities_are_refused(states, tmp_path):
    fit_msm(states).save(tmp_path / "m")
    resave(tmp_path / "m", transition_matrix=np.full((5, 5), 0.3))
    with pytest.raises(ModelFileError, match="not probabilities"):
        load_model(tmp_path / "m")
