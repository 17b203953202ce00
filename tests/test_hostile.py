"""Broken and hostile files: every reader and the model loader answer or refuse, nothing else.

A file is spoilt in many ways, drawn from a seed, and read in a process of its own under limits
of memory and time: a crash, a hang or gigabytes end that process and name the seed. The slow tests
together read as many files as ``--inputs`` says.
"""

import hashlib
import io
import json
import os
import resource
import sys
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import spoiling
from spoiling import (
    KINDS,
    STATES,
    TARGETS,
    X,
    available,
    guarded,
    read_both,
    spoil,
    spoil_json,
    spoil_target,
    spoil_tensors,
    use,
)
from trajlm.errors import TrajlmError
from trajlm.io import read_hdf5, read_npz, read_states
from trajlm.models.registry import load_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes and limits")
FAST, FEWER = 40, 10
LONG_TO_READ = ("checkpoint", "memory", "frames")


@pytest.fixture(params=["fast", pytest.param("many", marks=pytest.mark.slow)])
def n(request):
    """How many files: a few, or the share of each kind of file in all that are asked for."""
    kinds = len(TARGETS) + len(KINDS) + 1  # and archives
    return FAST if request.param == "fast" else -(-request.config.getoption("inputs") // kinds)


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_files_are_read_or_refused(name, n, tmp_path, monkeypatch, tried):
    monkeypatch.chdir(tmp_path)
    target = available(name)
    n = FEWER if n == FAST and name in LONG_TO_READ else n
    good, path = target.make(), Path(target.name)

    def attempt(rng):
        path.write_bytes(spoil_target(rng, target, good))
        target.read(path)

    path.write_bytes(good)
    target.read(path)  # the good file is read
    assert guarded(attempt, n, seed=0) == ""
    tried["crafted inputs"] += n


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for kind, model in spoiling.models().items():
        folder = tmp_path_factory.mktemp("models") / kind
        model.save(folder)
        made[kind] = {p.name: p.read_bytes() for p in folder.iterdir()}
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_models_load_right_or_are_refused(kind, n, folders, tmp_path, monkeypatch, tried):
    """The hash is made to fit, as a hostile author would."""
    monkeypatch.chdir(tmp_path)
    good = folders[kind]
    description = json.loads(good["model.json"])

    def attempt(rng):
        weights, told = good["model.safetensors"], description
        way = rng.integers(4)
        if way == 0:
            weights = spoil(rng, weights, False)
        elif way == 1:
            weights = spoil_tensors(rng, weights)
        elif way == 2:
            told = spoil_json(rng, told)
        spoiling.resealed(Path("m"), weights, told)
        if way == 3:
            Path("m/model.json").write_bytes(spoil(rng, Path("m/model.json").read_bytes(), True))
        use("m")

    Path("m").mkdir()
    for name, data in good.items():
        Path("m", name).write_bytes(data)
    use("m")
    assert guarded(attempt, n, seed=0) == ""
    tried["crafted inputs"] += n
    assert set(os.listdir()) <= {"m", "attempts.txt"}


def test_archives_with_odd_members_stay_in_their_place(n, tmp_path, monkeypatch, tried):
    """Names that lead out of the folder, links, many members, false sizes, odd packing."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    names = [
        *("../out.npy", "/tmp/trajlm-out.npy", "a/../../b.npy", "C:\\x.npy", "x.npy", "meta.npy"),
        *("nul\0.npy", "é.npy", "." * 200 + ".npy", "states.npy", "x.npy", "lengths.npy"),
    ]
    packings = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]

    def attempt(rng):
        with zipfile.ZipFile("a.npz", "w") as archive:
            for _ in range(rng.integers(1, 6)):
                name = names[rng.integers(len(names))]
                buffer = io.BytesIO()
                values = [X, np.arange(5), np.array("{}"), np.array([1, 2], np.uint64), np.zeros(0)]
                np.save(buffer, values[rng.integers(len(values))])
                info = zipfile.ZipInfo(name)
                info.external_attr = int(rng.choice([0, 0o120777 << 16]))  # a link
                packing = packings[rng.integers(len(packings))]
                archive.writestr(info, buffer.getvalue(), compress_type=packing)
        if rng.random() < 0.3:
            Path("a.npz").write_bytes(spoil(rng, Path("a.npz").read_bytes(), False))
        read_npz("a.npz")
        read_both("a.npz")

    assert guarded(attempt, n, seed=0) == ""
    tried["crafted inputs"] += n
    assert set(os.listdir(tmp_path)) == {"work"}
    assert set(os.listdir()) == {"a.npz", "attempts.txt"}
    assert not os.path.exists("/tmp/trajlm-out.npy")


@pytest.mark.skipif(not find_spec("h5py"), reason="needs h5py")
def test_a_dataset_that_points_at_a_secret_is_not_read(tmp_path, monkeypatch):
    import h5py

    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"12345678" * 4)
    with h5py.File("x.h5", "w") as file:
        file.create_dataset("x", shape=(4,), dtype="f8", external=[("secret", 0, 32)])
    with pytest.raises(TrajlmError, match="another file"):
        read_hdf5("x.h5")


# ---------------------------------------------------------------- models that cost the machine


def resealed(folder, arrays=None, **described):
    """Change a model as a hostile author would: the hash fits."""
    from safetensors.numpy import load_file, save_file

    if arrays:
        weights = load_file(folder / "model.safetensors") | arrays
        save_file(weights, folder / "model.safetensors")
    told = json.loads((folder / "model.json").read_text()) | described
    told["weights_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(told))


def model_folder(folders, kind, path):
    path.mkdir()
    for name, data in folders[kind].items():
        (path / name).write_bytes(data)
    return path


def attempted(attempt):
    """Attempt in a child under limits of memory and time; return what went wrong."""
    return guarded(lambda rng: attempt(), 1, 0)


def test_memory_follows_what_is_read_of_the_starts(folders, tmp_path, monkeypatch):
    """One stretch of 50 million frames: lanes read its last thousand."""
    monkeypatch.chdir(tmp_path)
    folder = model_folder(folders, "lstm", tmp_path / "m")
    states = (np.arange(50_000_000) % 4).astype(np.uint8)
    resealed(folder, {"start_states": states, "start_lengths": np.array([len(states)])})
    # Once without limits, so that all is compiled.
    expected = load_model(folder).generate(50, 40, seed=0)
    assert max(len(s) for s in load_model(folder).starts) == 1000

    def attempt():
        resource.setrlimit(resource.RLIMIT_AS, (before() + 600_000_000,) * 2)
        found = load_model(folder).generate(50, 40, seed=0)
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))

    def before():
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    assert attempted(attempt) == ""


@pytest.mark.parametrize(
    "lengths",
    [
        [2**63 - 1, 2**63 - 1, 12],
        [-1, 11],
        [2**62] * 4 + [10],
        [[5, 5]],
        [],
        [10**18],
    ],
)
def test_lengths_that_wrap_are_refused(folders, tmp_path, lengths):
    folder = model_folder(folders, "lstm", tmp_path / "m")
    starts = {"start_states": np.zeros(10, np.uint8), "start_lengths": np.array(lengths, np.int64)}
    resealed(folder, starts)
    with pytest.raises(TrajlmError, match="does not describe a model"):
        load_model(folder)
    meta = {"kind": "trajlm.states", "n_states": 4, "dt": 1, "unit": "ps", "discretization": {}}
    np.savez(
        tmp_path / "s.npz",
        states=np.zeros(10, np.uint8),
        lengths=np.array(lengths, np.int64),
        meta=np.array(json.dumps(meta)),
    )
    with pytest.raises(TrajlmError, match=r"s\.npz is damaged"):
        read_states(tmp_path / "s.npz")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "checkpoint.safetensors"])
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "pipe", "folder", "loop", "nowhere"])
def test_links_to_what_has_no_end_do_not_hang(folders, tmp_path, monkeypatch, name, target):
    monkeypatch.chdir(tmp_path)
    folder = model_folder(folders, "lstm", tmp_path / "m")
    os.mkfifo("pipe")
    Path("folder").mkdir()
    (folder / name).unlink(missing_ok=True)
    place = folder / name if target == "loop" else Path(target).absolute()
    (folder / name).symlink_to(place)

    def attempt():
        if name == "checkpoint.safetensors":
            from trajlm.lstm.training.checkpoint import read_checkpoint

            read_checkpoint(folder / name)
        else:
            load_model(folder)
        raise AssertionError("it was read")

    assert attempted(attempt) == ""


def test_networks_of_no_size_are_refused(folders, tmp_path):
    folder = model_folder(folders, "lstm", tmp_path / "m")
    arrays = {
        "weights.recurrent_weights": np.zeros((0, 0), np.float32),
        "weights.input_weights": np.zeros((0, 3), np.float32),
        "weights.gate_bias": np.zeros(0, np.float32),
        "weights.readout": np.zeros((5, 0), np.float32),
    }
    resealed(folder, arrays)
    with pytest.raises(TrajlmError, match="does not describe a model"):
        load_model(folder)


def test_tables_of_columns_are_no_larger_than_their_networks(folders, tmp_path, monkeypatch):
    """Labels of 200,000 states in two columns: a table of all pairs would take 320 GB."""
    monkeypatch.chdir(tmp_path)
    folder = model_folder(folders, "lstm-columns", tmp_path / "m")
    n = 200_000
    told = json.loads((folder / "model.json").read_text())
    sizes = told["sizes"] | {"n_states": n, "columns": ["a", "b", "c"]}
    arrays = {"labels": np.array([np.arange(n) % 2, np.arange(n), np.arange(n)])}
    for k, (rows, n_labels) in enumerate([(n, 2), (2, 2), (2, 2)]):
        shapes = {
            "embedding": (n, 1),
            "input_weights": (4, 1),
            "recurrent_weights": (4, 1),
            "gate_bias": (4,),
            "readout": (n_labels, 1),
            "readout_bias": (n_labels,),
            "skip": (rows, n_labels),
            **({"given": (rows, 1)} if k else {}),
        }
        arrays |= {f"column{k}.{name}": np.zeros(s, np.float32) for name, s in shapes.items()}
    resealed(folder, arrays, sizes=sizes, centers=None)

    def attempt():
        with pytest.raises(TrajlmError, match="states or labels"):
            load_model(folder)

    assert attempted(attempt) == ""


@pytest.mark.parametrize("n_states", [0, -1, 2**31, 10**300])
@pytest.mark.parametrize("kind", ["ngram", "msm"])
def test_numbers_of_states_that_fit_no_memory_are_refused(folders, tmp_path, kind, n_states):
    """An n-gram model holds no array with a row for each state."""
    folder = model_folder(folders, kind, tmp_path / "m")
    sizes = json.loads((folder / "model.json").read_text())["sizes"]
    resealed(folder, sizes=sizes | {"n_states": n_states}, centers=None)
    with pytest.raises(TrajlmError, match="does not describe a model"):
        load_model(folder)


@pytest.mark.parametrize("counts", [[2**63 - 1, 2**63 - 1], [511, -1], [2**62] * 2, [[1], [1]]])
def test_counts_of_starts_that_wrap_are_refused(folders, tmp_path, counts):
    folder = model_folder(folders, "conditional", tmp_path / "m")
    resealed(folder, {"start_counts": np.array(counts, np.int64)})
    with pytest.raises(TrajlmError, match="starting stretches"):
        load_model(folder)


def test_a_condition_at_which_weights_are_no_numbers_is_refused(folders, tmp_path):
    folder = model_folder(folders, "conditional", tmp_path / "m")
    assert load_model(folder).at(1e6, extrapolate=True).generate(20, 2).n_frames == 40
    with pytest.raises(TrajlmError, match="nearer"):
        load_model(folder).at(1e300, extrapolate=True)


def odd_meta(kind):
    """Descriptions with something else in the place of each value."""
    good = {
        "states": {"kind": "trajlm.states", "n_states": 5, "dt": 0.1, "unit": "ps",
                   "discretization": {}},
        "features": {"kind": "trajlm.features", "names": ["a", "b"], "dt": 0.1, "unit": "ps",
                     "periods": [None, [0, 1]], "notes": ["note"]},
    }[kind]  # fmt: skip
    nested = []
    for _ in range(400):
        nested = [nested]
    odd = [None, 5, -1, 1e308, 10**400, "x", "\ud800", "\x1b[2J", [], {}, [5], [None], [[1]],
           {"a": 1}, True, nested, "[" * 20_000, ["\ud800", "b"], [1, 2], float("nan")]  # fmt: skip
    for key in good:
        for value in odd:
            yield good | {key: value}
        yield {k: v for k, v in good.items() if k != key}


@pytest.mark.parametrize("kind", ["states", "features"])
def test_odd_descriptions_in_npz_are_one_sentence(kind, tmp_path, monkeypatch, capsys):
    from trajlm.cli import run
    from trajlm.cli.process import Results

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", Results(sys.stdout))
    arrays = {
        "states": {"states": STATES.trajectories[0].astype(np.uint8), "lengths": np.array([30])},
        "features": {"values": X, "lengths": np.array([30])},
    }[kind]
    centers = [np.full(5, np.nan), np.full(5, 1e308), np.array("x"), np.zeros((5, 2, 2))]
    metas = [(meta, {}) for meta in odd_meta(kind)]
    if kind == "states":
        good = {"kind": "trajlm.states", "n_states": 5, "dt": 1, "unit": "ps", "discretization": {}}
        metas += [(good, {"centers": c}) for c in centers]
    commands = [
        ["info", "x.npz"],
        ["discretize", "x.npz", "--column", "0", "--bins", "3", "--out", "s.npz"],
        ["train", "x.npz", "--validation", "0", "--out", "c"],
    ]
    for k, (meta, more) in enumerate(metas):
        np.savez("x.npz", meta=np.array(json.dumps(meta)), **arrays, **more)
        for command in commands[:1] + commands[1 + k % 2 :][:1]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert run(command) in (0, 2), meta
            told = capsys.readouterr()
            assert "Traceback" not in told.err
