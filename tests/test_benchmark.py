"""The benchmark on unseen stretches, on simulated data whose numbers can be counted again."""

import json
import os

import numpy as np
import pytest

from trajlm.analysis import Grouping, committed_transitions, discrepancy, group_by_list, populations
from trajlm.cli import run
from trajlm.comparison import Comparison
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.models.markov import fit_msm
from trajlm.reproduce.benchmark import recipe
from trajlm.reproduce.benchmark.data import Stretches, gpt_states, hp35_contacts, kinsoft
from trajlm.reproduce.benchmark.recipe import ALL, SYSTEMS, System
from trajlm.reproduce.benchmark.relaxation import relaxation_errors
from trajlm.systems.hidden_markov import markov_chain

# The last state hides behind the one that is often visited: two groups remember.
CHAIN = ((0.9, 0.1, 0.0), (0.2, 0.78, 0.02), (0.0, 0.01, 0.99))
LAGS = (1, 2, 5, 10, 20)


def stretches(n_frames=6000) -> Stretches:
    training, unseen = (markov_chain(CHAIN).simulate(n_frames, seed=k) for k in (0, 1))
    return Stretches(training, unseen, group_by_list(training, [0, 1, 1], names=["a", "b"]))


@pytest.fixture
def tiny(monkeypatch):
    system = System(
        "tiny", "A chain", "About.", "Simulated.", stretches, max_hidden=2, relaxation_lags=LAGS
    )
    monkeypatch.setattr(recipe, "SYSTEMS", {"tiny": system})
    monkeypatch.setattr("trajlm.reproduce.benchmark.produce.SYSTEMS", {"tiny": system})
    monkeypatch.setattr("trajlm.reproduce.benchmark.run.GENERATED", 20_000)
    monkeypatch.setattr("trajlm.reproduce.benchmark.relaxation.GENERATED", 20_000)
    monkeypatch.setattr("trajlm.cli.benchmark.FAST_EPOCHS", 1)
    # Its figures take longer than all the rest, and are tested elsewhere.
    monkeypatch.setattr("trajlm.report.save.render_page", lambda *_: "")


def test_models_and_their_data_are_judged_on_the_unseen_stretch(tiny, tmp_path, capsys):
    arguments = ["benchmark", "tiny", "--fast", "--out", str(tmp_path)]
    assert run(arguments) == 0
    folder = tmp_path / "tiny"
    values = json.loads((folder / "results.json").read_text())
    assert set(values["models"]) == {"LSTM", "MSM", "MSM, chosen lag", "counts", "HMM"}
    data = stretches()
    grouped = [data.grouping.apply(s) for s in (data.training, data.unseen)]
    saved = Comparison.load(next(folder.glob("data-*/comparison-*")))
    times = saved.unseen.transitions.commit_times
    counted = [committed_transitions(s, times) for s in grouped]
    assert values["own"] == pytest.approx(discrepancy(counted[1], counted[0]).value)
    assert values["models"]["MSM"]["nats"] == pytest.approx(
        fit_msm(data.training).cross_entropy(data.unseen)
    )
    for m in values["models"].values():
        assert np.mean(m["D_runs"]) == pytest.approx(m["D"])
        if m["lag"] == 1:
            assert m["D"] == pytest.approx(m["D_over_own"] * values["own"])
    assert len(values["models"]["LSTM"]["D_runs"]) == 2
    page = (folder / "page.md").read_text()
    assert f"{values['own']:.3g}" in page
    assert "tiny" in (tmp_path / "page.md").read_text()
    # A generator of one's own enters the same table by a file of states.
    np.save(tmp_path / "mine.npy", markov_chain(CHAIN).simulate(20_000, seed=5).trajectories[0])
    states, unseen = (str(next(folder.glob(f"data-*/{n}.npz"))) for n in ("states", "unseen"))
    mine = ["compare", states, f"mine={tmp_path / 'mine.npy'}", "--unseen", unseen]
    assert run([*mine, "--group", "list:0,1,1", "--out", str(tmp_path / "mine")]) == 0
    entered = Comparison.load(tmp_path / "mine")
    assert entered.reference.unseen.discrepancy.value == pytest.approx(values["own"])
    # The same command takes up what is there, and nothing changes but what reading took.
    stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("model.json")}
    assert run(arguments) == 0
    assert stamps == {p: p.stat().st_mtime_ns for p in folder.rglob("model.json")}
    again = json.loads((folder / "results.json").read_text())
    for both in (values, again):
        for m in both["models"].values():
            m.pop("seconds")
    assert again == values


def test_errors_of_transition_probabilities_are_those_of_their_formula():
    data = stretches(60_000)
    models = {"MSM": [fit_msm(data.training)], "MSM, lag 5": [fit_msm(data.training, 5)]}
    found = {
        e.name: e
        for e in relaxation_errors(models, data.training, data.unseen, data.grouping, LAGS)
    }
    own = found["the training data itself"]
    assert own.training == (0.0,)
    training, unseen = (data.grouping.apply(s) for s in (data.training, data.unseen))
    total = 0.0
    for lag in LAGS:
        both = [s.transition_counts(lag) for s in (training, unseen)]
        T, truth = (c / c.sum(axis=1, keepdims=True) for c in both)
        total += (populations(unseen)[:, None] * (T - truth) ** 2).sum() / 2 / len(LAGS)
    assert own.unseen[0] == pytest.approx(np.sqrt(total))
    assert found["MSM, lag 5"].first_lag == 5
    # What is Markovian on three states remembers on two; all of the memory gives back the data.
    assert found["memory kernel of 20 frames"].training[0] < 1e-10
    assert found["memory kernel of 5 frames"].training < found["MSM of the groups, lag 1"].training
    assert found["MSM"].training < found["MSM of the groups, lag 1"].training


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAJLM_DATA", str(tmp_path))
    return tmp_path


def test_states_of_the_peers_are_read_from_text_and_packed(data_folder):
    folder = data_folder / "gpt_asyn"
    folder.mkdir()
    training, unseen = [0, 1, 1, 2], [2, 2, 0]
    for name, states in (("train", training), ("inference", unseen)):
        (folder / f"{name}_data.txt").write_text("".join(f"{k}\n" for k in states))
    text = gpt_states("gpt_asyn")
    np.savez(folder / "states.npz", train=training, validation=[0, 0], unseen=unseen)
    for found in (text, gpt_states("gpt_asyn")):
        assert found.training == States([np.array(training)], 3)
        assert found.unseen == States([np.array(unseen)], 3)


def test_villin_is_cut_in_half_with_its_published_groups(data_folder):
    (data_folder / "hp35_contacts").mkdir()
    np.savez(
        data_folder / "hp35_contacts" / "states.npz",
        microstates=np.array([0, 1, 2, 2, 1, 3, 3], np.uint16),
        macrostate_of_microstate=np.array([1, 2, 2, 1], np.uint8),
    )
    found = hp35_contacts()
    assert [s.trajectories[0].tolist() for s in (found.training, found.unseen)] == [
        [0, 1, 2],
        [2, 1, 3, 3],
    ]
    assert isinstance(found.grouping, Grouping)
    assert found.grouping.assignment.tolist() == [0, 1, 1, 0]
    assert (found.training.dt, found.training.unit) == (0.2, "ns")


def test_every_other_molecule_is_unseen(data_folder):
    (data_folder / "kinsoft_blind").mkdir()
    rng = np.random.default_rng(0)
    traces = {}
    for k in range(1, 6):
        n = 40 + k
        acceptor = rng.uniform(200, 800, n)
        columns = [
            0.2 * np.arange(n),
            1000 - acceptor,
            acceptor,
            np.full(n, 1000.0),
            acceptor / 1e3,
        ]
        traces[f"trace_{k:03}"] = np.stack(columns, axis=1).astype(np.float32)
    np.savez(data_folder / "kinsoft_blind" / "level3.npz", **traces)
    found = kinsoft(3)
    assert [len(s) for s in found.training] == [41, 43, 45]
    assert [len(s) for s in found.unseen] == [42, 44]
    # The states are bins of the efficiency, acceptor over both.
    efficiency = traces["trace_001"][:, 4]
    width = np.diff(found.training.centers)[0]
    np.testing.assert_allclose(
        found.training.centers[found.training.trajectories[0]], efficiency, atol=0.51 * width
    )


@pytest.mark.parametrize("name", ["hp35", "kinsoft1", "gpt_four_state"])
def test_data_that_is_not_there_is_said_to_be_had_elsewhere(name, data_folder):
    with pytest.raises(InputError, match="TRAJLM_DATA") as error:
        SYSTEMS[name].load()
    assert any(word in str(error.value) for word in ("github.com", "zenodo.org"))


def test_names_are_known(capsys):
    assert run(["benchmark", "tprcage"]) == 2
    assert "gpt_trpcage" in capsys.readouterr().err
    assert set(ALL) <= set(SYSTEMS)


@pytest.mark.slow
def test_a_public_system_goes_from_data_to_page(tmp_path):
    folder = os.environ.get("TRAJLM_DATA", "")
    if not os.path.exists(os.path.join(folder, "gpt_trpcage")):
        pytest.skip("TRAJLM_DATA names no folder with gpt_trpcage")
    assert run(["benchmark", "gpt_trpcage", "--fast", "--out", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "gpt_trpcage" / "results.json").read_text())
    # Of 20,000 frames the counts are known to be far from the unseen stretch.
    assert values["own"] == pytest.approx(0.931, abs=0.005)
    assert values["models"]["LSTM"]["nats"] < values["models"]["MSM"]["nats"]
