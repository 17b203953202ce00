"""How states and models were made: typed, frozen, versioned, and read without trust."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import trajlm
from trajlm.analysis import group_by_edges, group_by_list, group_by_pcca
from trajlm.cli import run
from trajlm.cli.citing import citations
from trajlm.comparison import Comparison
from trajlm.data import Features, States, StateSpace
from trajlm.discretize import (
    Bins,
    KMeans,
    NearestCenters,
    average,
    decimate,
    discretizer_of,
    remove_spikes,
    smooth,
)
from trajlm.errors import InputError, Interrupted, ModelFileError
from trajlm.io import read_features, read_states, write_features, write_states
from trajlm.lstm.calibration import EarlierCalibration
from trajlm.lstm.record import (
    Baselines,
    CheckpointRecord,
    Direction,
    EpochRecord,
    LSTMRecord,
    Rounding,
)
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.train import train
from trajlm.models.record import HiddenMarkovRecord, MarkovRecord
from trajlm.models.registry import describe_model, load_model, read_record
from trajlm.provenance import (
    Averaged,
    Binning,
    Centers,
    Clustering,
    Decimated,
    Discretization,
    Given,
    Grouped,
    Note,
    ProductBinning,
    RunningMean,
    SpikesRemoved,
    frames_after,
    origin_of_frames,
)
from trajlm.util.devices import is_out_of_memory

PI = (-np.pi, np.pi)
OLD = Path(__file__).parent / "data" / "version1"
OLD_EDGES = (-np.pi, -np.pi / 2, 0.0, np.pi / 2, np.pi)
SMALL = TrainingSettings(hidden_dim=4, embedding_dim=2, epochs=2, streams=2, window=20)


# ---------------------------------------------------------------- JSON and back

numbers = st.floats(-1e100, 1e100)
points = st.integers(1, 3).flatmap(
    lambda d: st.lists(st.tuples(*[numbers] * d), min_size=1, max_size=4).map(tuple)
)
positive = st.integers(1, 10**6)
cuts = st.one_of(
    st.lists(numbers, min_size=2, max_size=5, unique=True).map(lambda x: Binning(tuple(sorted(x)))),
    st.lists(st.integers(1, 4), min_size=2, max_size=2).map(
        lambda shape: ProductBinning(tuple(Binning(tuple(range(n + 1))) for n in shape))
    ),
    points.map(Centers),
    st.builds(Clustering, points, st.integers(0, 2**32 - 1)),
    st.just(Given()),
)
groups = st.builds(
    Grouped,
    st.sampled_from(["edges", "list", "pcca"]),
    st.lists(st.integers(0, 9), max_size=5).map(tuple),
    cuts,
    positive,
    st.none() | st.lists(numbers, max_size=3).map(tuple),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
steps = st.one_of(
    positive.map(RunningMean), positive.map(Averaged), positive.map(Decimated),
    st.integers(0, 99).map(SpikesRemoved),
)  # fmt: skip
notes = st.builds(Note, st.text(max_size=20), st.sampled_from(["bias", "gap", "restart", "other"]))


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Discretization,
        cuts | groups,
        st.just(("phi", "ψ")),
        st.just(()) | st.just((PI, None)),
        st.lists(steps, max_size=4).map(tuple),
        st.lists(notes, max_size=3).map(tuple),
    )
)
def test_a_discretization_comes_back_from_json(how):
    text = json.dumps(how.to_dict(), allow_nan=False)
    assert Discretization.from_dict(json.loads(text)) == how
    assert json.loads(text)["version"] == 2
    assert hash(how) == hash(Discretization.from_dict(json.loads(text)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        how.columns = ()


def full_record():
    return LSTMRecord(
        settings=SMALL,
        n_frames=1000,
        n_trajectories=2,
        best_epoch=2,
        history=(EpochRecord(1, 0.9, 0.8, 0.1), EpochRecord(2, 0.8, 0.7, 0.1)),
        baselines=Baselines(0.9, 1.1),
        data_sha256="ab",
        direction=Direction(True, 0.4),
        rounding=Rounding(400, 100, 4800, (1e-4, 1e-3)),
        calibration=EarlierCalibration(
            lag=20, slowest=70.0, assignment=(0, 0, 1), commit_time=10, tilt=(0.1, -0.1),
            pairs=((0, 1),), events=(40,), matched=(True,), mobility=(0.2,),
            population_errors=(0.1, float("nan")), rate_errors=(0.3,), n_generated=10_000,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        full_record(),
        MarkovRecord(3, True, (0, 2, 5)),
        HiddenMarkovRecord(3, -12.5, 40.0, bic_tried=((2, 50.0), (3, 40.0))),
        CheckpointRecord(SMALL, full_record().history, "ab"),
        CheckpointRecord(SMALL, (), "ab"),
    ],
)
def test_a_record_comes_back_from_json(record):
    written = json.dumps(trajlm.util.atomic.plain(record.to_dict()), allow_nan=False)
    values = json.loads(written)
    assert values["version"] == 2
    again = type(record).from_dict(values)
    assert repr(again) == repr(record)  # NaN differs from itself, but shows alike
    if record.kind != "checkpoint":
        assert repr(read_record(values)) == repr(record)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.version = 3


def test_models_of_a_comparison_keep_their_records(tmp_path):
    states = Bins(4).fit_transform(angle())
    msm = trajlm.fit_msm(states)
    made = trajlm.compare(states, {"MSM": msm}, group_by_list(states, [0, 0, 1, 1]), n_runs=2)
    made.save(tmp_path)
    loaded = Comparison.load(tmp_path)
    assert loaded.models[0].record == msm.record
    assert loaded.space.discretization == states.discretization


def test_a_record_is_not_changed_after_the_model_was_made():
    model = trajlm.fit_msm(np.arange(200) % 3)
    again = model.with_record(replace(model.record, lag=7))
    assert (model.record.lag, again.record.lag) == (1, 7)
    assert again.transition_matrix is model.transition_matrix


# ---------------------------------------------------------------- filters


FILTERS = {"running mean": smooth, "averages": average, "decimation": decimate}


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(60, 200),
    chain=st.lists(st.tuples(st.sampled_from(sorted(FILTERS)), st.integers(1, 5)), max_size=3),
)
def test_frames_after_filters_are_led_back_to_the_middle_of_what_they_were_made_from(n, chain):
    features = Features((np.arange(float(n)),))
    for name, size in chain:
        if len(features.trajectories[0]) < size:
            return
        features = FILTERS[name](features, size)
    frames = features.trajectories[0][:, 0]  # each frame is the mean of the numbers of frames
    assert len(frames) == frames_after(features.steps, n)
    stride, offset = origin_of_frames(features.steps)
    expected = np.floor(np.round(frames, 6)).astype(int)
    np.testing.assert_array_equal(stride * np.arange(len(frames)) + offset, expected)


def angle(n=600, seed=0):
    x = np.cumsum(np.random.default_rng(seed).normal(0, 0.4, n))
    wrapped = np.mod(x + np.pi, 2 * np.pi) - np.pi
    return Features((wrapped,), ("phi",), 0.2, "ps", (PI,), ("cut at a gap",))


def test_filters_go_with_the_states_into_files_and_out(tmp_path, capsys):
    features = smooth(average(angle(), 2), 3)
    write_features(tmp_path / "f.npz", features)
    read = read_features(tmp_path / "f.npz")
    assert read.steps == (Averaged(2), RunningMean(3))
    assert read.notes == (Note("cut at a gap"),)
    states = remove_spikes(Bins(4).fit_transform(read), 1)
    write_states(tmp_path / "s.npz", states)
    how = read_states(tmp_path / "s.npz").discretization
    assert how.steps == (Averaged(2), RunningMean(3), SpikesRemoved(1))
    assert run(["info", str(tmp_path / "s.npz")]) == 0
    shown = capsys.readouterr().out
    assert "averages over 2 frames" in shown
    assert "note: cut at a gap" in shown


def test_files_of_different_filters_are_not_read_together(tmp_path):
    for name, features in (("a.npz", angle()), ("b.npz", average(angle(), 1))):
        write_features(tmp_path / name, features)
    with pytest.raises(InputError, match=r"a\.npz and .*b\.npz"):
        read_features([tmp_path / "a.npz", tmp_path / "b.npz"])


# ---------------------------------------------------------------- cutting other data alike


@pytest.mark.parametrize("cut", [Bins(6), NearestCenters([-2.0, 0.0, 2.9]), KMeans(4, seed=3)])
def test_new_data_is_cut_as_the_data_of_a_model_was(cut, tmp_path):
    states = cut.fit_transform(angle())
    trajlm.fit_msm(states).save(tmp_path / "m")
    model = load_model(tmp_path / "m")
    new = angle(seed=1)
    expected = discretizer_of(states).transform(new)
    for discretizer in (model.discretizer, discretizer_of(model.space)):
        found = discretizer.transform(replace(new, periods=()))
        np.testing.assert_array_equal(found.trajectories[0], expected.trajectories[0])
        assert np.isfinite(model.log_prob(found))


def test_groups_know_the_cut_of_their_states_and_the_notes_on_the_data():
    biased = replace(angle(), notes=(Note("biased", "bias"),))
    states = Bins(6).fit_transform(biased)
    grouped = group_by_edges(states, [-1.0, 1.0], running_mean=5).apply(states)
    how = grouped.discretization
    assert isinstance(how.method, Grouped)
    assert how.method.fine == states.discretization.method
    assert how.bias_notes == ("biased",)
    assert how.steps == (RunningMean(5),)
    again = group_by_list(grouped, [0, 1]).apply(grouped).discretization.method
    assert again.fine == states.discretization.method
    assert again.assignment == how.method.assignment
    with pytest.raises(InputError, match="fine states"):
        discretizer_of(grouped)


# ---------------------------------------------------------------- files of the first version

BIASED = Note(
    "old/COLVAR holds the bias column(s) metad.bias: biased data is not equilibrium data, its "
    "populations and rates are not those of the molecule",
    "bias",
)
OLD_BINS = Discretization(
    Binning(OLD_EDGES), ("phi",), (PI,), (Averaged(2), RunningMean(3)), (BIASED,)
)
OLD_STATES = {
    "bins": replace(OLD_BINS, steps=(*OLD_BINS.steps, SpikesRemoved(1))),
    "groups": replace(
        OLD_BINS,
        method=Grouped("edges", (0, 0, 1, 1), Binning(OLD_EDGES), 2, (0.0,), ("low", "high")),
        steps=(*OLD_BINS.steps, RunningMean(2)),
    ),
    "centers": Discretization(
        Centers(((-1.0, 0.0), (1.0, 0.0), (2.0, 1.0))), ("phi", "z"), (PI, None)
    ),
    "given": Discretization(),
}


@pytest.mark.parametrize("name", OLD_STATES)
def test_states_of_the_first_version_are_read(name):
    assert read_states(OLD / f"{name}.npz").discretization == OLD_STATES[name]


def test_k_means_of_the_first_version_is_read_and_cuts_alike():
    states = read_states(OLD / "kmeans.npz")
    how = states.discretization
    assert isinstance(how.method, Clustering)
    assert (how.method.seed, how.periods, how.steps) == (5, (PI,), (Decimated(3),))
    again = discretizer_of(states).transform(Features((states.centers,), ("phi",)))
    assert again.trajectories[0].tolist() == [0, 1, 2]


def test_features_of_the_first_version_are_read():
    features = read_features(OLD / "features.npz")
    assert features.steps == (Decimated(2), RunningMean(3))
    assert features.notes == (BIASED,)


def test_models_of_the_first_version_are_read(tmp_path):
    lstm, msm, hmm = (load_model(OLD / kind) for kind in ("lstm", "msm", "hmm"))
    for model in (lstm, msm, hmm):
        assert model.space.discretization == OLD_BINS
    assert (lstm.record.settings, lstm.record.best_epoch) == (SMALL, 1)
    assert lstm.record.best == EpochRecord(
        1, 0.5546194140830737, 0.5054862088170545, 1.522197842999958
    )
    assert lstm.record.direction == Direction(True, 0.967)
    assert msm.record == MarkovRecord(2, True, (0, 1, 2, 3))
    assert [m for m, _ in hmm.record.bic_tried] == [2, 3]
    assert hmm.record.n_hidden == 3
    said = describe_model(OLD / "lstm")
    assert "no direction of time in the data (p = 0.97): read both ways" in said
    lstm.save(tmp_path / "new")
    assert load_model(tmp_path / "new").record == lstm.record
    assert describe_model(tmp_path / "new") == said


def test_what_was_done_after_the_last_epoch_is_read_from_the_first_version(tmp_path):
    record = full_record()
    values = json.loads(json.dumps(trajlm.util.atomic.plain(record.to_dict())))
    del values["kind"], values["version"]
    for name in ("direction", "rounding", "calibration"):
        values[name]["summary"] = "words for people"
    assert repr(LSTMRecord.from_dict(values)) == repr(record)


def test_a_checkpoint_of_the_first_version_is_gone_on_with(tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    checkpoint.write_bytes((OLD / "checkpoint.safetensors").read_bytes())
    with safe_open(checkpoint, framework="pt") as file:
        then = json.loads(file.metadata()["record"])
    assert "version" not in then
    model = train(read_states(OLD / "bins.npz"), SMALL, checkpoint=checkpoint, resume=True)
    assert model.record.history[0] == EpochRecord(**then["history"][0])
    assert len(model.record.history) == 2


def test_a_report_of_the_first_version_is_cited():
    cited = citations([OLD / "report"])
    for key in ("paszke2019", "prinz2011", "rabiner1989", "roblitz2013"):
        assert key in cited


def test_a_group_that_is_called_pcca_is_no_pcca(tmp_path):
    states = Bins(4).fit_transform(angle())
    grouping = group_by_list(states, [0, 0, 1, 1], names=("pcca", "open"))
    trajlm.compare(states, {"MSM": trajlm.fit_msm(states)}, grouping, n_runs=2).save(tmp_path)
    assert "roblitz2013" not in citations([tmp_path])
    assert "roblitz2013" in citations([_grouped_file(states, tmp_path)])


def _grouped_file(states, folder):
    write_states(folder / "g.npz", group_by_pcca(states, 2).apply(states))
    return folder / "g.npz"


# ---------------------------------------------------------------- hostile files

DEEP = json.loads("[" * 300 + "]" * 300)
HOSTILE_HOWS = [
    5, "x", [1], None, {"version": 3}, {"version": "2"}, {"version": 2, "method": 5},
    {"version": 2, "method": {"kind": "magic"}}, {"version": 2, "method": DEEP},
    {"version": 2, "columns": [5]}, {"version": 2, "columns": "phi"},
    {"version": 2, "columns": ["\ud800"]}, {"version": 2, "periods": [[1, 0]]},
    {"version": 2, "periods": [[0, float("nan")]]}, {"version": 2, "notes": [5]},
    {"version": 2, "notes": [{"text": 5}]}, {"version": 2, "notes": 5},
    {"version": 2, "steps": [{"kind": "averages", "n": 0}]},
    {"version": 2, "steps": [{"kind": "averages", "n": 10**30}]},
    {"version": 2, "steps": [{"kind": "averages", "n": 2.5}]},
    {"version": 2, "method": {"kind": "bins", "edges": [0, float("nan"), 2]}},
    {"version": 2, "method": {"kind": "bins", "edges": [0, 2, 1]}},
    {"version": 2, "method": {"kind": "kmeans", "centers": [[1e308]], "seed": 0}},
    {"version": 2, "method": {"kind": "kmeans", "centers": [[0], [1, 2]], "seed": 0}},
    {"version": 2, "method": {"kind": "kmeans", "centers": DEEP, "seed": 0}},
    {"method": "bins", "edges": 5}, {"method": "bins", "edges": [0, 1e308]}, {"method": 5},
    {"method": "kmeans", "centers": [float("nan")]}, {"column": 5}, {"columns": 5},
    {"method": "bins", "edges": [0, 1], "period": "x"}, {"notes": [5]}, {"notes": {"a": 1}},
    {"remove_spikes": "many"}, {"remove_spikes": -1}, {"grouping": {}}, {"columns": ["\ud800"]},
    {"grouping": {"method": "pcca", "assignment": [0.5]}, "fine": {}},
]  # fmt: skip
HOSTILE_RECORDS = [
    5, "x", [1], {"history": 5}, {"best_epoch": 10**30}, {"best_epoch": 0}, {"best_epoch": True},
    {"history": []}, {"history": [5]}, {"history": DEEP}, {"n_frames": "many"}, {"version": 3},
    {"history": [{"epoch": 1, "training": float("nan"), "validation": 1.0, "seconds": 1.0}]},
    {"history": [{"epoch": 7, "training": 1.0, "validation": 1.0, "seconds": 1.0}]},
    {"history": [{"epoch": 1, "training": 1.0, "validation": 1e308, "seconds": 1.0}]},
    {"settings": 5}, {"settings": {"epochs": "x"}}, {"settings": {"magic": 1}}, {"baselines": None},
    {"direction": {"both_ways": "yes", "p_value": 0.5}}, {"direction": {}}, {"data_sha256": 5},
    {"rounding": {"hidden_dim": 4}}, {"calibration": {"lag": 5}}, {"data_sha256": "\ud800"},
]  # fmt: skip


def tampered_npz(source, path, change):
    with np.load(source) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays.pop("meta")))
    change(meta)
    with path.open("wb") as file:
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
    return path


@pytest.mark.parametrize("how", HOSTILE_HOWS)
def test_hostile_descriptions_in_files_of_states_are_refused(how, tmp_path, capsys):
    path = tampered_npz(
        OLD / "bins.npz", tmp_path / "s.npz", lambda meta: meta.update(discretization=how)
    )
    with pytest.raises(InputError, match=r"s\.npz"):
        read_states(path)
    assert run(["info", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("how", HOSTILE_HOWS)
def test_hostile_descriptions_in_model_folders_are_refused(how, tmp_path):
    with pytest.raises(ModelFileError, match=r"model\.json"):
        load_model(tampered_model(tmp_path, discretization=how))


def tampered_model(folder, kind="lstm", **changes):
    description = json.loads((OLD / kind / "model.json").read_text()) | changes
    (folder / "model.json").write_text(json.dumps(description))
    weights = (OLD / kind / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.mark.parametrize("changes", HOSTILE_RECORDS)
def test_hostile_records_of_models_are_refused(changes, tmp_path):
    record = json.loads((OLD / "lstm" / "model.json").read_text())["record"]
    record = record | changes if isinstance(changes, dict) else changes
    folder = tampered_model(tmp_path, record=record)
    with pytest.raises(ModelFileError, match=r"model\.json"):
        load_model(folder)
    assert run(["info", str(folder)]) == 2


@pytest.mark.parametrize("changes", HOSTILE_RECORDS)
def test_hostile_checkpoints_are_refused(changes, tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    states = Bins(4).fit_transform(angle())

    def stop(record, baselines):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train(states, SMALL, checkpoint=checkpoint, report=stop)
    with safe_open(checkpoint, framework="pt") as file:
        metadata = file.metadata()
    record = json.loads(metadata["record"])
    # A checkpoint from before the first epoch has an empty history.
    known = not isinstance(changes, dict) or (
        set(changes) & set(record) and changes.get("history") != []
    )
    record = record | changes if isinstance(changes, dict) else changes
    save_file(load_file(checkpoint), checkpoint, metadata | {"record": json.dumps(record)})
    if known:
        with pytest.raises((ModelFileError, InputError), match=r"c\.safetensors"):
            train(states, SMALL, checkpoint=checkpoint, resume=True)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("msm", {"lag": "x"}), ("msm", {"lag": 0}), ("msm", {"connected": [0.5]}),
        ("msm", {"reversible": 1}), ("hmm", {"n_hidden": None}), ("hmm", {"bic": "low"}),
        ("hmm", {"bic_tried": {"two": 1.0}}), ("hmm", {"bic_tried": 5}),
        ("hmm", {"log_likelihood": 1e308}),
    ],
)  # fmt: skip
def test_hostile_records_of_other_models_are_refused(kind, changes, tmp_path):
    record = json.loads((OLD / kind / "model.json").read_text())["record"] | changes
    with pytest.raises(ModelFileError, match=r"model\.json"):
        load_model(tampered_model(tmp_path, kind, record=record))


@pytest.mark.parametrize("value", [5, None, [5], ["\ud800"], "phi", [["phi"]], {"a": 1}])
@pytest.mark.parametrize("key", ["names", "unit", "notes", "periods", "steps", "dt"])
def test_hostile_descriptions_of_features_are_refused(key, value, tmp_path):
    if (key, value) in (("unit", "phi"), ("notes", "phi"), ("dt", 5)):
        return  # these are of the right kind
    write_features(tmp_path / "good.npz", angle())
    path = tampered_npz(
        tmp_path / "good.npz", tmp_path / "f.npz", lambda meta: meta.update({key: value})
    )
    with pytest.raises(InputError, match=r"f\.npz"):
        read_features(path)


@pytest.mark.parametrize("center", [np.nan, np.inf, 1e308])
def test_centres_that_are_no_numbers_are_refused(center, tmp_path):
    with np.load(OLD / "bins.npz") as file:
        arrays = dict(file)
    arrays["centers"][1] = center
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match=r"s\.npz"):
        read_states(tmp_path / "s.npz")
    with pytest.raises(ModelFileError, match=r"model\.json"):
        load_model(tampered_model(tmp_path, centers=[0.0, center, 1.0, 2.0]))


def test_a_plain_dictionary_is_no_discretization():
    for make in (States, StateSpace):
        data = (np.arange(9) % 3,) if make is States else 3
        with pytest.raises(InputError, match="from_dict"):
            make(data, discretization={"method": "bins"})


# ---------------------------------------------------------------- control characters

ESCAPE, TURNED = "\x1b[31mred\x1b[0m\x9b2J\a", "\u202eder\u2066"


@pytest.fixture
def steering(tmp_path):
    """Return a file of states whose names and notes would steer a terminal."""
    names = (ESCAPE, TURNED + "\nforged: line")
    x = np.random.default_rng(0).normal(size=(600, 2))
    features = Features((x,), names, 0.1, "ps", notes=(Note(ESCAPE, "bias"), Note(TURNED)))
    write_features(tmp_path / "f.npz", features)
    write_states(tmp_path / "s.npz", KMeans(3).fit_transform(features))
    return tmp_path


def is_harmless(text):
    return all(c == "\n" or c.isprintable() or c in "\u00a0\u2009" for c in text)


def test_names_and_notes_reach_the_terminal_with_control_characters_shown(steering, capsys):
    sizes = ["--hidden-dim", "4", "--embedding-dim", "2", "--epochs", "1"]
    s, f, model = (str(steering / name) for name in ("s.npz", "f.npz", "m"))
    for arguments, status in (
        (["info", s], 0),
        (["info", f], 0),
        (["train", s, "--out", model, *sizes], 0),
        (["info", model], 0),
        (["discretize", f, "--bins", "3", "--out", str(steering / "x.npz")], 2),
        (["discretize", f, "--bins", "3", "--column", "y", "--out", str(steering / "x.npz")], 2),
        (["compare", s, "--models", "msm", "--out", str(steering / "r"), "--runs", "2"], 0),
    ):
        assert run(arguments) == status
        shown = capsys.readouterr()
        assert is_harmless(shown.out + shown.err), repr(shown)
        assert "\nforged" not in shown.out + shown.err
    assert run(["info", s]) == 0
    assert "\\x1b[31mred" in capsys.readouterr().out


def test_names_and_notes_reach_the_page_with_control_characters_shown(steering):
    states = read_states(steering / "s.npz")
    trajlm.compare(states, {"MSM": trajlm.fit_msm(states)}, n_runs=2).save(steering / "r")
    page = (steering / "r" / "index.html").read_text(encoding="utf-8")
    assert is_harmless(page.replace("\t", ""))
    assert "\\x1b[31mred" in page
    for thing in (states, read_features(steering / "f.npz"), trajlm.fit_msm(states)):
        assert is_harmless(thing._repr_html_())
        assert is_harmless(repr(thing))


def test_a_unit_with_control_characters_is_refused(tmp_path):
    path = tampered_npz(OLD / "bins.npz", tmp_path / "s.npz", lambda meta: meta.update(unit=ESCAPE))
    with pytest.raises(InputError, match="unit"):
        read_states(path)
    with pytest.raises(ModelFileError, match="unit"):
        load_model(tampered_model(tmp_path, unit=ESCAPE))


def test_a_file_name_that_is_not_utf_8_may_stand_in_a_note(tmp_path):
    name = "caf\udce9"
    note = Note(f"{name} holds a gap", "gap")
    assert note.text == "caf\\xe9 holds a gap"
    note.text.encode("utf-8")
    old = Discretization.from_dict({"notes": [f"{name} holds a gap"]})
    assert old.notes[0].text == note.text


# ---------------------------------------------------------------- memory


def test_out_of_memory_is_known_by_its_type():
    import torch

    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA"))
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    for other in ("an allocation table is wrong", "pinned memory is not contiguous"):
        assert not is_out_of_memory(RuntimeError(other))


def test_models_with_the_calibration_of_the_first_version_load_and_save_again(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(Path(__file__).parent / "data" / "version1" / "lstm", folder)
    path = folder / "model.json"
    description = json.loads(path.read_text())
    n_states = description["sizes"]["n_states"]
    description["record"]["calibration"] = {
        "lag": 100, "slowest": 900.0, "assignment": [0] * (n_states - 1) + [1], "commit_time": 50,
        "tilt": [0.1, -0.1], "pairs": [[0, 1]], "events": [34], "matched": [True],
        "mobility": [-0.2], "population_errors": [0.0, 0.1], "rate_errors": [0.3],
        "n_generated": 1000, "summary": "2 slow sets",
    }  # fmt: skip
    path.write_text(json.dumps(description))
    old = load_model(folder)
    assert isinstance(old.record.calibration, EarlierCalibration)
    assert "34 transitions" in old.record.calibration.describe()
    old.save(tmp_path / "again")
    assert load_model(tmp_path / "again").record.calibration == old.record.calibration
