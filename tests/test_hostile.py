"""Broken and hostile files: every reader and the model loader answer or refuse, nothing else.

A file is spoilt in many ways, drawn from a seed, and read in a process of its own under limits
of memory and time: a crash, a hang or gigabytes end that process and name the seed.
"""

import hashlib
import io
import json
import multiprocessing
import os
import resource
import signal
import struct
import sys
import traceback
import warnings
import zipfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm.data import Features, States
from trajlm.errors import TrajlmError
from trajlm.io import (
    read_features,
    read_hdf5,
    read_md,
    read_npz,
    read_states,
    write_features,
    write_states,
)
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.train import train
from trajlm.models.registry import describe_model, load_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes and limits")
FORK = multiprocessing.get_context("fork")
PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
FAST, SLOW = 40, 1200
SECONDS_EACH = 20
# Beyond what the process holds when it begins.
MEMORY = 2_000_000_000
CODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32", "cp500")
X = np.random.default_rng(0).normal(size=(30, 2))


# ---------------------------------------------------------------- what is spoilt


def colvar():
    frames = "".join(f" {k}.000000 {a:.6f} {b:.6f}\n" for k, (a, b) in enumerate(X))
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n"
    return f"#! FIELDS time phi psi\n{sets}{frames}".encode()


def text():
    return b"time (ms),x\n" + b"".join(b"%d,%.3f\n" % (k, v) for k, v in enumerate(X[:, 0]))


def array():
    buffer = io.BytesIO()
    np.save(buffer, X)
    return buffer.getvalue()


def written(write, name, thing):
    def make():
        path = Path(name)
        write(path, thing)
        return path.read_bytes()

    return make


def hdf5():
    import h5py

    with h5py.File("made.h5", "w") as file:
        file.create_dataset("time", data=np.arange(30) * 0.1)
        file.create_dataset("force", data=X[:, 0], chunks=(10,), compression="gzip")
        file.attrs["Sample rate (Hz)"] = 1000.0
    return Path("made.h5").read_bytes()


def molecule(suffix):
    def make():
        import mdtraj

        frame = mdtraj.load(PDB)
        frames = mdtraj.join([frame] * 6)
        frames.time = np.arange(6) * 0.5
        frames.save(f"made.{suffix}")
        return Path(f"made.{suffix}").read_bytes()

    return make


def read_both(path):
    for read in (read_features, read_states):
        try:
            read(path)
        except TrajlmError:
            continue


def molecular(path):
    read_md(path, PDB, dihedrals=["phi"], dt=0.5)


STATES = States((np.arange(30) % 5, np.arange(9) % 5), centers=np.arange(5.0))
FEATURES = Features((X, X[:9]), ("phi", "psi"), 0.1, "ps", ((-4.0, 4.0), None))
# Name: how a good file is made, its name, how it is read.
FORMATS = {
    "colvar": (colvar, "COLVAR", read_both),
    "text": (text, "x.csv", read_both),
    "npy": (array, "x.npy", read_both),
    "features": (written(write_features, "made.npz", FEATURES), "f.npz", read_both),
    "states": (written(write_states, "made.npz", STATES), "s.npz", read_both),
    "hdf5": (hdf5, "x.h5", read_both),
    "xtc": (molecule("xtc"), "t.xtc", molecular),
    "dcd": (molecule("dcd"), "t.dcd", molecular),
    "trr": (molecule("trr"), "t.trr", molecular),
    "nc": (molecule("nc"), "t.nc", molecular),
}
NEEDS = {"hdf5": "h5py", "xtc": "mdtraj", "dcd": "mdtraj", "trr": "mdtraj", "nc": "mdtraj"}
TEXTS = ("colvar", "text")


# ---------------------------------------------------------------- how it is spoilt


def spoil(rng, good, is_text):
    """Return `good` spoilt in one to three ways."""
    data = bytearray(good)
    ways = [flip, cut, huge_number, splice, repeat]
    if is_text:
        ways += [recode, mix_line_ends, odd_word]
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        data = bytearray(ways[rng.integers(len(ways))](rng, data))
    return bytes(data)


def flip(rng, data):
    for _ in range(rng.integers(1, 5)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return data


def cut(rng, data):
    return data[: rng.integers(len(data))]


def huge_number(rng, data):
    """Put a number that could be a size where a header may keep one."""
    value = int(rng.choice([0, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1, 10**9]))
    form = rng.choice(["<Q", ">Q", "<I", ">I"])
    packed = struct.pack(str(form), value & (2 ** (8 * struct.calcsize(str(form))) - 1))
    at = int(rng.integers(min(len(data), 400)))
    data[at : at + len(packed)] = packed
    return data


def splice(rng, data):
    a, b = sorted(rng.integers(len(data), size=2))
    return data[:a] + rng.bytes(int(rng.integers(0, 40))) + data[b:]


def repeat(rng, data):
    a, b = sorted(rng.integers(len(data), size=2))
    return data[:b] + data[a:]


def recode(rng, data):
    return bytes(data).decode("latin-1").encode(str(rng.choice(CODINGS)), errors="replace")


def mix_line_ends(rng, data):
    ends = [b"\n", b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x00\n"]
    return b"".join(line + ends[rng.integers(len(ends))] for line in bytes(data).split(b"\n"))


def odd_word(rng, data):
    words = [b"nan", b"1e999", b"-inf", b"0x10", b"1_000", "٣".encode(), b"1,5", b"#!", b'"', b"%s",
             b"9" * 400, b"\xff\xfe", b"../../x", b"1e-400"]  # fmt: skip
    parts = bytes(data).split(b" " if b" " in data else b",")
    parts[rng.integers(len(parts))] = words[rng.integers(len(words))]
    return (b" " if b" " in data else b",").join(parts)


# ---------------------------------------------------------------- the cage


def guarded(attempt, n, seed):
    """Call `attempt(rng)` for `n` seeds in a child under limits; return what went wrong."""
    log = Path("attempts.txt")

    def body():
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the process ends with it
        os.dup2(sys.stderr.fileno(), 2)  # libraries in C complain by themselves
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        warnings.simplefilter("ignore")
        for k in range(n):
            log.write_text(f"seed {seed + k}: crashed, hung or took too much memory")
            signal.alarm(SECONDS_EACH)
            try:
                attempt(np.random.default_rng(seed + k))
            except TrajlmError as error:
                if "\n" in str(error).strip() or len(str(error)) > 2000:
                    log.write_text(f"seed {seed + k}: no one sentence: {error}")
                    os._exit(1)
            except BaseException:
                log.write_text(f"seed {seed + k}:\n{traceback.format_exc()}")
                os._exit(1)
        os._exit(0)

    child = FORK.Process(target=body)
    child.start()
    child.join()
    return "" if child.exitcode == 0 else f"exit {child.exitcode}, {log.read_text()}"


def sizes():
    return pytest.mark.parametrize(
        "n", [pytest.param(FAST, id="fast"), pytest.param(SLOW, id="many", marks=pytest.mark.slow)]
    )


@sizes()
@pytest.mark.parametrize("name", FORMATS)
def test_spoilt_files_are_read_or_refused(name, n, tmp_path, monkeypatch):
    if name in NEEDS and not find_spec(NEEDS[name]):
        pytest.skip(f"needs {NEEDS[name]}")
    monkeypatch.chdir(tmp_path)
    make, file_name, read = FORMATS[name]
    good = make()

    def attempt(rng):
        path = Path(file_name)
        path.write_bytes(spoil(rng, good, name in TEXTS))
        read(path)

    Path(file_name).write_bytes(good)
    read(Path(file_name))  # the good file is read
    assert guarded(attempt, n, seed=0) == ""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    states = States((np.random.default_rng(0).integers(4, size=3000),), 5, 0.2, "ps")
    models = {
        "lstm": train(states, TrainingSettings(hidden_dim=5, embedding_dim=3, epochs=1)),
        "msm": trajlm.fit_msm(states),
        "hmm": trajlm.fit_hmm(states, 2),
    }
    made = {}
    for kind, model in models.items():
        folder = tmp_path_factory.mktemp("models") / kind
        model.save(folder)
        made[kind] = {p.name: p.read_bytes() for p in folder.iterdir()}
    return made


def spoil_json(rng, value):
    """Return a JSON value with one of its parts replaced by something odd."""
    odd = [None, -1, 0, 2**70, 1e308, "x", "", [], {}, [[]], True, "../../etc/passwd", {"n": 1}]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: spoil_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        k = int(rng.integers(len(value)))
        return [*value[:k], spoil_json(rng, value[k]), *value[k + 1 :]]
    return odd[rng.integers(len(odd))]


@sizes()
@pytest.mark.parametrize("kind", ["lstm", "msm", "hmm"])
def test_spoilt_models_load_right_or_are_refused(kind, n, folders, tmp_path, monkeypatch):
    """The hash is made to fit, as a hostile author would."""
    monkeypatch.chdir(tmp_path)
    good = folders[kind]
    description = json.loads(good["model.json"])

    def attempt(rng):
        weights, told = good["model.safetensors"], dict(description)
        way = rng.integers(3)
        if way == 0:
            weights = spoil(rng, weights, False)
        elif way == 1:
            told = spoil_json(rng, told)
        text = json.dumps(told).encode()
        if way == 2:
            text = spoil(rng, text, True)
        elif isinstance(told, dict):
            told["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            text = json.dumps(told).encode()
        Path("m").mkdir(exist_ok=True)
        Path("m/model.safetensors").write_bytes(weights)
        Path("m/model.json").write_bytes(text)
        model = load_model("m")
        generated = model.generate(20, 3, seed=0)
        assert max(s.max() for s in generated) < generated.n_states
        describe_model("m")
        model._repr_html_()

    assert guarded(attempt, n, seed=0) == ""
    assert set(os.listdir()) <= {"m", "attempts.txt"}


@sizes()
def test_archives_with_odd_members_stay_in_their_place(n, tmp_path, monkeypatch):
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
