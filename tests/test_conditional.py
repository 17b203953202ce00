"""One model of a series of conditions: against plain models, autograd and known chains."""

import numpy as np
import pytest
import torch

import trajlm
from trajlm.cli import run
from trajlm.errors import InputError, ModelFileError
from trajlm.lstm.conditional import ConditionalModel, ConditionalRecord
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.training.conditional_network import ConditionalNetwork
from trajlm.lstm.training.window import LSTMWindow

SMALL = trajlm.TrainingSettings(epochs=2, hidden_dim=6, embedding_dim=3, calibration=False)


def arrhenius(x):
    """Two states whose log-odds of a jump are straight lines of the condition."""
    a, b = 1 / (1 + np.exp(3.0 - 0.5 * x)), 1 / (1 + np.exp(2.0 + 0.3 * x))
    return np.array([[1 - a, a], [b, 1 - b]])


def series(values=(-2.0, -1.0, 1.0, 2.0), n_frames=20_000, seed=0):
    own = []
    for k, x in enumerate(values):
        T = arrhenius(x)
        pi = np.array([T[1, 0], T[0, 1]]) / (T[0, 1] + T[1, 0])
        chain = trajlm.MarkovModel(T, pi, trajlm.StateSpace(2, 0.1, "ms"))
        own.append(chain.generate(n_frames, 1, seed=seed + k)[0])
    return trajlm.StateSpace(2, 0.1, "ms").states(own), list(values)


def network(n=3, seed=0):
    scaled = np.array([-1.2, 0.1, 1.1])
    generator = np.random.default_rng(seed)
    logs = tuple(generator.normal(size=(2, n, n)))
    made = ConditionalNetwork(n, scaled, SMALL, logs, torch.tensor([3.0, 20.0]))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.from_numpy(generator.normal(size=parameter.shape)).float()
    return made, scaled


def test_the_loops_give_the_gradients_of_autograd():
    made, scaled = network()
    generator = np.random.default_rng(1)
    inputs = torch.from_numpy(generator.integers(9, size=(15, 4)))
    targets = torch.from_numpy(generator.integers(3, size=(15, 4)))
    targets[10:, 2] = -100
    found = []
    for window in (None, LSTMWindow(1)):
        nats, _ = made.learn(inputs, targets, made.initial_memory(4), 0.01, window)
        found.append([float(nats), *(p.grad.clone().numpy() for p in made.parameters())])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for layer, loop in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(loop, layer, atol=2e-6)
    assert scaled.shape == (3,)


def test_at_a_condition_it_is_the_plain_network():
    made, scaled = network()
    w = made.conditional_weights()
    path = np.random.default_rng(2).integers(3, size=50)
    for k, c in enumerate(scaled):
        weights = w.at(float(np.float32(c)), np.eye(3)[k])
        plain = LSTMModel(weights, trajlm.StateSpace(3), (path,))
        inputs = torch.from_numpy(path + 3 * k)[:, None]
        with torch.no_grad():
            nats, _ = made.nats(inputs[:-1], inputs[1:] % 3, made.initial_memory(1))
        assert -plain.log_prob(path) == pytest.approx(float(nats), rel=1e-5)


@pytest.fixture(scope="module")
def trained():
    states, values = series()
    settings = SMALL.model_copy(update={"epochs": 4})
    return trajlm.train_series(states, values, "force", settings, n_threads=1)


def test_a_condition_that_was_left_out_is_interpolated(trained):
    for x in (0.0, -1.5, 2.0):
        written = trained.generate(200_000, 4, seed=1, condition=x)
        counts = written.transition_counts()
        T = counts / counts.sum(axis=1, keepdims=True)
        exact = arrhenius(x)
        assert T[0, 1] == pytest.approx(exact[0, 1], rel=0.08)
        assert T[1, 0] == pytest.approx(exact[1, 0], rel=0.08)
    assert written.unit == "ms"


def test_extrapolation_has_to_be_asked_for(trained):
    for x in (-2.1, 2.01, np.nan, np.inf):
        with pytest.raises(InputError, match="force"):
            trained.at(x)
    assert trained.at(2.2, extrapolate=True).record.condition == ("force", 2.2)
    with pytest.raises(InputError, match="force"):
        trained.generate(10)
    with pytest.raises(InputError, match="force"):
        trained.log_probs(np.array([0, 1, 0]))
    with pytest.raises(InputError, match="force"):
        trained.next_state_probabilities(np.array([0, 1, 0]))
    with pytest.raises(InputError):
        trained.at(np.nan, extrapolate=True)


def test_it_is_saved_and_loaded(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = trajlm.load_model(tmp_path / "model")
    assert isinstance(loaded, ConditionalModel)
    assert loaded.record == trained.record
    a, b = (m.generate(500, 3, seed=2, condition=0.3) for m in (trained, loaded))
    assert a == b
    assert "force = −2.000, −1.000, 1.000 and 2.000" in str(loaded.facts())
    plain = trained.at(0.3)
    plain.save(tmp_path / "plain")
    assert trajlm.load_model(tmp_path / "plain").record.condition == ("force", 0.3)
    assert trajlm.load_model(tmp_path / "plain").generate(500, 3, seed=2) == a
    with pytest.raises(ValueError, match="increase"):
        ConditionalRecord("force", (1.0, 1.0), trained.record.training)


def test_a_damaged_file_is_refused(trained, tmp_path):
    sizes, arrays = trained.to_arrays()
    for name, broken in (
        ("start_counts", arrays["start_counts"] + 1),
        ("skip_slope", arrays["skip_slope"][:1]),
        ("embedding_slope", np.full_like(arrays["embedding_slope"], np.nan)),
    ):
        with pytest.raises(ValueError, match=r"fit|shape|finite"):
            ConditionalModel.from_arrays(
                trained.space, trained.record, sizes, {**arrays, name: broken}
            )
    with pytest.raises(ModelFileError):
        trajlm.load_model(_saved_without(trained, tmp_path))


def _saved_without(model, folder):
    model.save(folder / "damaged")
    text = (folder / "damaged" / "model.json").read_text()
    (folder / "damaged" / "model.json").write_text(text.replace('"conditional"', '"conditionel"'))
    return folder / "damaged"


def test_the_training_is_the_same_for_any_number_of_threads():
    states, values = series(n_frames=3000)
    a, b = (trajlm.train_series(states, values, "force", SMALL, n_threads=n) for n in (1, 2))
    np.testing.assert_array_equal(a.weights.skip_slope, b.weights.skip_slope)
    np.testing.assert_array_equal(a.weights.embedding_slope, b.weights.embedding_slope)


def test_bad_series_are_refused():
    states, values = series(n_frames=200)
    for bad in (values[:2], [1.0] * 4, [*values[:3], np.nan], 3.0):
        with pytest.raises(InputError, match="condition"):
            trajlm.train_series(states, bad)


def test_rates_against_the_condition_are_those_of_the_chains(trained, tmp_path):
    result = trajlm.rates_against_condition(trained, values=[-2.0, 0.0], n_frames=200_000)
    assert result.trained.tolist() == [True, False]
    assert result.unit == "ms"
    for k, x in enumerate(result.values):
        T = arrhenius(x)
        pi = T[1, 0] / (T[0, 1] + T[1, 0])
        assert result.populations[k, 0] == pytest.approx(pi, abs=0.03)
        assert result.rates[k, 0, 1] == pytest.approx(pi * T[0, 1] / 0.1, rel=0.1)
    assert (result.rate_low <= result.rates).all()
    rows = list(result.rows())
    assert len(rows) == 1 + 2 * (2 + 2)
    assert rows[1][:3] == ("-2", "yes", "population 0")
    ax = trajlm.plots.plot_rates_against_condition(result)
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "force"
    assert len(ax.get_legend().get_texts()) == 2
    with pytest.raises(InputError, match="force"):
        trajlm.rates_against_condition(trained, values=[3.0])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states, values = series(n_frames=1500)
    for k in range(len(values)):
        trajlm.write_states(f"s{k}.npz", states[k : k + 1])
    lines = [f"s{k}.npz,{x}" for k, x in enumerate(values)]
    (tmp_path / "list.csv").write_text("\n".join(["states,force", *lines]) + "\n")
    return tmp_path


QUICK = ["--epochs", "1", "--hidden-dim", "4", "--embedding-dim", "2", "--no-calibration"]


def said(capsys, *arguments):
    status = run([str(a) for a in arguments])
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return status, output.out + output.err


def test_the_commands_of_a_series(files, capsys):
    given = [f"s{k}.npz" for k in range(4)]
    for x in (-2, -1, 1, 2):
        given += ["--condition", f"force={x}"]
    assert said(capsys, "train", *given, "--out", "a", *QUICK)[0] == 0
    assert said(capsys, "train", "list.csv", "--out", "b", *QUICK)[0] == 0
    assert trajlm.load_model("a").record.values == trajlm.load_model("b").record.values
    generated = ["generate", "a", "--steps", 300, "--lanes", 2, "--out", "g.npz"]
    assert said(capsys, *generated, "--condition", "force=0.5")[0] == 0
    assert trajlm.read_states("g.npz").unit == "ms"
    assert said(capsys, "condition", "b", "--at", "force=0.5", "--out", "plain")[0] == 0
    assert "taken at: force = 0.5" in said(capsys, "info", "plain")[1]
    table = ["series", "a", "--at", "-2,0.5", "--frames", 2000, "--out", "rates"]
    assert said(capsys, *table)[0] == 0
    head = (files / "rates" / "rates.csv").read_text().splitlines()[0]
    assert head == "force,trained on,quantity,value,low,high"
    assert (files / "rates" / "rates.png").read_bytes().startswith(b"\x89PNG")
    assert (files / "rates" / "rates.pdf").read_bytes().startswith(b"%PDF")
    again, two = [*generated, "--overwrite"], given[:2]
    for arguments, words in (
        ([*again], "force"),
        ([*again, "--condition", "force=9"], "extrapolation"),
        ([*again, "--condition", "heat=1"], "heat"),
        ([*again, "--condition", "1"], "force=11.5"),
        (["generate", "plain", "--steps", 9, "--out", "h.npz", "--condition", "force=1"], "series"),
        (["train", "list.csv", "--out", "a", *QUICK], "--overwrite"),
        (["train", "list.csv", "--out", "c", "--n-models", 2], "--n-models"),
        (["train", *two, "--out", "c"], "2 files"),
        (
            ["train", *two, "--condition", "a=1", "--condition", "b=2", "--out", "c"],
            "a and b",
        ),
        (["train", "list.csv", "--condition", "force=1", "--out", "c"], "list"),
        (["series", "plain", "--out", "r"], "series"),
        (["condition", "a", "--at", "force=9", "--out", "c"], "extrapolation"),
    ):
        status, words_said = said(capsys, *arguments)
        assert status == 2, arguments
        assert words in words_said, (arguments, words_said)
    assert said(capsys, *again, "--condition", "force=3", "--extrapolate")[0] == 0


def test_bad_lists_of_files_are_refused(files, capsys):
    for text, words in (
        ("", "bad.csv is empty"),
        ("states,force\n", "states,NAME"),
        ("file,force\ns0.npz,1\n", "states,NAME"),
        ("states,force\ns0.npz,x\n", "row 2"),
        ("states,force\ns0.npz\n", "row 2"),
        ("states,force\nnone.npz,1\ns1.npz,2\n", "none.npz"),
        ("states,force\ns0.npz,1\ns1.npz,1\n", "same condition"),
    ):
        (files / "bad.csv").write_text(text)
        status, output = said(capsys, "train", "bad.csv", "--out", "c", *QUICK)
        assert status == 2
        assert words in output
    other = trajlm.StateSpace(2, 0.2, "ms").states([np.array([0, 1, 0, 1])])
    trajlm.write_states("slow.npz", other)
    (files / "bad.csv").write_text("states,force\ns0.npz,1\nslow.npz,2\n")
    assert "0.2 ms" in said(capsys, "train", "bad.csv", "--out", "c", *QUICK)[1]
