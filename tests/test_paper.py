import json
from functools import partial
from importlib import import_module

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.comparison import Comparison
from trajlm.data import Features
from trajlm.discretize import smooth
from trajlm.errors import InputError
from trajlm.evaluate.summary import summary
from trajlm.evaluate.verdict import verdicts
from trajlm.io import write_states
from trajlm.models.markov import fit_msm
from trajlm.models.registry import load_model
from trajlm.reproduce.document import Document, Figure, Paragraph, Table, to_html, to_markdown
from trajlm.reproduce.paper.authors import label_statistics, read_authors_labels
from trajlm.reproduce.paper.data import (
    MARKOV3_TRANSITION_MATRIX,
    check_potential,
    make_features,
    make_states,
    plane_states,
)
from trajlm.reproduce.paper.produce import check_records
from trajlm.reproduce.paper.recipe import SYSTEMS, load_recipe
from trajlm.reproduce.paper.tasks import Fit, run_tasks
from trajlm.systems.hidden_markov import markov_chain
from trajlm.systems.potentials import POTENTIALS

TINY = {"n_models": 2, "n_lanes": 2, "epochs": 1, "plain_epochs": 1, "max_hidden": 2}


def tiny(name, **data):
    recipe = load_recipe(name, fast=True)
    models = recipe.models.model_copy(update=TINY | {"lags": (1, 10)})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data), "models": models})


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_recipe_is_whole(name, fast):
    recipe = load_recipe(name, fast)
    for view in recipe.views:
        n_states = len(view.centers or ()) or view.bins
        if view.groups.assignment and n_states:
            assert len(view.groups.assignment) == n_states
    assert recipe.digest("data") != load_recipe(name, fast, seed=1).digest("data")


def test_ten_trainings_unless_asked_otherwise():
    assert all(load_recipe(name).models.n_models == 10 for name in SYSTEMS)
    assert load_recipe("linear3", n_models=4).models.n_models == 4


def test_unknown_systems_are_refused():
    with pytest.raises(InputError, match="four_state"):
        load_recipe("five_state")


def test_phi_groups_are_those_of_the_conformers():
    from trajlm.reproduce.demo import conformers

    view = load_recipe("alanine").views[0]
    features = Features((np.linspace(-3.1, 3.1, 200),), ("phi",))
    states = make_states(features, view)
    assert view.groups.assignment == tuple(conformers(states).assignment.tolist())


def test_sin_phi_has_the_labels_of_the_paper():
    view = load_recipe("alanine").views[1]
    phi = np.random.default_rng(0).uniform(-np.pi, np.pi, 5000)
    states = make_states(Features((phi,), ("phi",)), view)
    edges = np.linspace(-0.9, 0.9, 19)
    np.testing.assert_array_equal(states.trajectories[0], np.digitize(np.sin(phi), edges))
    # C7ax is where sin(phi) is positive
    groups = np.array(view.groups.assignment)[states.trajectories[0]]
    np.testing.assert_array_equal(groups, np.sin(phi) >= 0)


def test_wells_in_the_plane_are_those_nearest_in_the_plane():
    recipe = tiny("four_state", n_frames=3000, n_trajectories=1)
    features = make_features(recipe)
    view = recipe.views[0].model_copy(update={"remove_spikes": 0})
    recipe = recipe.model_copy(update={"views": (view,)})
    states = plane_states(features, recipe)
    wells = np.array(sorted(POTENTIALS["four_state"].wells))
    points = smooth(features, view.running_mean).trajectories[0]
    nearest = np.argmin(((points[:, None] - wells) ** 2).sum(axis=2), axis=1)
    np.testing.assert_array_equal(states.trajectories[0], nearest)


def test_the_simulation_is_held_against_exact_values_at_two_time_steps():
    recipe = tiny("linear3", n_frames=40_000, n_trajectories=2)
    checks = check_potential(recipe)
    assert len(checks) == 8
    assert {check.quantity.split(", ")[1] for check in checks} == {"step 0.01", "step 0.005"}
    energy = [check for check in checks if check.quantity.startswith("mean energy")]
    assert all(check.exact == pytest.approx(-0.9231, abs=1e-3) for check in energy)
    assert sum(check.inside for check in checks) >= 6


@pytest.fixture
def tiny_recipes(monkeypatch):
    sizes = {"linear3": {"n_frames": 4000}, "kinsoft3": {"n_frames": 4000}}

    def load(name, fast=False, n_models=None, seed=0):
        return tiny(name, **sizes[name])

    monkeypatch.setattr("trajlm.cli.paper.load_recipe", load)


@pytest.mark.parametrize("name", [pytest.param("linear3", marks=pytest.mark.slow), "kinsoft3"])
def test_a_system_goes_from_nothing_to_page_and_numbers(tiny_recipes, tmp_path, name, capsys):
    out = tmp_path / "paper"
    assert run(["paper", name, "--out", str(out), "--workers", "1"]) == 0
    values = json.loads((out / name / "results.json").read_text())
    view = values["views"][next(iter(values["views"]))]
    assert set(view["sources"]) == {"LSTM", "MSM", "MSM, lag 10", "HMM"}
    assert len(view["sources"]["LSTM"]["D_runs"]) == 2
    assert view["sources"]["LSTM"]["D"] == pytest.approx(np.mean(view["sources"]["LSTM"]["D_runs"]))
    if name == "kinsoft3":
        assert len(view["excess_entropy"]["LSTM"]) == 2
    page = (out / name / "page.md").read_text()
    says_the_same_as_compare(out / name, page, capsys)
    for figure in (out / name / "figures").iterdir():
        assert f"figures/{figure.name}" in page
    # The same command takes up what is there, and nothing changes but the time taken.
    stamps = {p: p.stat().st_mtime_ns for p in (out / name).rglob("model.json")}
    assert run(["paper", name, "--out", str(out), "--workers", "1"]) == 0
    assert stamps == {p: p.stat().st_mtime_ns for p in (out / name).rglob("model.json")}
    again = json.loads((out / name / "results.json").read_text())
    for both in (values, again):
        both.pop("seconds")
    assert again == values


def says_the_same_as_compare(folder, page, capsys):
    """Let `trajlm compare` judge the same data and models, and find the same number and words."""
    (states,) = folder.glob("states-*.npz")
    trained = sorted(folder.glob("models/*/lstm-*/seed*"))
    saved = Comparison.load(next(folder.glob("comparison-*")))
    group = "list:" + ",".join(map(str, saved.grouping.assignment))
    edges = saved.grouping.edges
    if edges is not None:
        group = "edges:" + ",".join(map(str, edges))
    models = "LSTM=" + ",".join(map(str, trained))
    arguments = ["compare", str(states), models, "--runs", "2", "--group", group]
    arguments += ["--running-mean", str(saved.grouping.running_mean)]
    capsys.readouterr()
    assert run([*arguments, "--out", str(folder / "report")]) == 0
    again = Comparison.load(folder / "report")
    assert again.models[0].discrepancy.value == saved.models[0].discrepancy.value
    (spoken,) = [v for v in verdicts(summary(saved)) if v.name == "LSTM"]
    for where in (capsys.readouterr().out, page):
        assert str(spoken) in where


def test_an_interrupted_task_leaves_what_was_finished(tiny_recipes, tmp_path, monkeypatch):
    command = import_module("trajlm.cli.paper")
    out = tmp_path / "paper"
    done = []

    def stop_after_two(text):
        if "seed" in text:
            done.append(text)
        if len(done) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "say", stop_after_two)
    assert run(["paper", "kinsoft3", "--out", str(out), "--workers", "1"]) == 130
    finished = {p: p.stat().st_mtime_ns for p in out.rglob("model.safetensors")}
    assert len(finished) >= 4
    monkeypatch.setattr(command, "say", lambda text: None)
    assert run(["paper", "kinsoft3", "--out", str(out), "--workers", "1"]) == 0
    assert finished == {p: p.stat().st_mtime_ns for p in finished}


def test_tasks_side_by_side_are_all_done_and_a_failure_is_passed_on(tmp_path):
    data = chain_file(tmp_path)
    fits = [Fit(data, tmp_path / f"msm{k}", partial(fit_msm, lag=k)) for k in (1, 2, 3)]
    said = []
    run_tasks(fits, 2, said.append)
    assert sorted(said) == ["msm1: fitted", "msm2: fitted", "msm3: fitted"]
    assert load_model(tmp_path / "msm3").record.lag == 3
    with pytest.raises(InputError, match="lag 99999"):
        run_tasks([Fit(data, tmp_path / "bad", partial(fit_msm, lag=99_999))], 2, said.append)


def chain_file(folder):
    states = markov_chain(MARKOV3_TRANSITION_MATRIX).simulate(2000)
    write_states(folder / "states.npz", states)
    return folder / "states.npz"


def test_a_missing_record_is_said_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAJLM_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("pooch.HTTPDownloader", lambda timeout: _unreachable)
    with pytest.raises(InputError, match="TRAJLM_DATA"):
        check_records([load_recipe("riboswitch")])


def _unreachable(url, output_file, pup):
    raise OSError("no route to host")


def test_labels_of_the_authors_are_renumbered_in_order_of_x(tmp_path):
    path = tmp_path / "labels.txt"
    labels = np.repeat([0, 1, 2, 3, 1], [10, 20, 30, 40, 5])
    np.savetxt(path, labels, fmt="%d")
    found = label_statistics("theirs", read_authors_labels(path))
    # their 0, 1, 2, 3 are x = 2, 0.5, -0.5, -2
    np.testing.assert_allclose(found.populations, np.array([40, 30, 25, 10]) / 105)
    assert found.n_transitions == 4
    assert found.mean_dwells[0] == 40
    assert found.n_dwells.tolist() == [1, 1, 1, 0]  # stays cut by the ends do not count


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paper", "five_state"], "there is no system"),
        (["paper", "authors_prediction"], "needs the file"),
        (["paper", "linear3", "x.txt"], "takes a file"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, sentence, capsys):
    assert run(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_document_is_the_same_in_markdown_and_html():
    table = Table(("name", "D"), (("<b>", "0.1"), ("a|b", "2")))
    document = Document("T", "L", (table, Paragraph("<i>p</i>"), Figure("f", "c", b"\x89PNG")))
    text, page = to_markdown(document, "figures"), to_html(document)
    assert "| a\\|b | 2 |" in text
    assert "![c](figures/f.png)" in text
    assert "&lt;b&gt;" in page
    assert "<i>" not in page
    assert "data:image/png;base64,iVBORw" in page
