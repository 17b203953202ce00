"""What is read of strangers: a good file of each kind, how it is read, and how it is spoilt."""

import contextlib
import gzip
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
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm.cli.series import read_series
from trajlm.data import Features, States
from trajlm.discretize import Bins, ProductBins
from trajlm.errors import TrajlmError, UnfinishedTrainingError
from trajlm.io import read_features, read_md, read_states, write_features, write_states
from trajlm.lstm.generation.saved import _digest as digest
from trajlm.lstm.to_file import generate_to_file
from trajlm.lstm.training.conditional import train_series
from trajlm.lstm.training.ensemble import train_ensemble
from trajlm.lstm.training.train import train
from trajlm.models.registry import describe_model, load_model
from trajlm.report.results import collect_results
from trajlm.util.atomic import json_bytes

FORK = multiprocessing.get_context("fork")
PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
SECONDS_EACH = 20
# Beyond what the process holds when it begins.
MEMORY = 2_000_000_000
CODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32", "cp500")
X = np.random.default_rng(0).normal(size=(30, 2))
STATES = States((np.arange(30) % 5, np.arange(9) % 5), centers=np.arange(5.0))
FEATURES = Features((X, X[:9]), ("phi", "psi"), 0.1, "ps", ((-4.0, 4.0), None))
LEARNED = States((np.random.default_rng(0).integers(4, size=3000),), 5, 0.2, "ps")
SMALL = trajlm.TrainingSettings(
    hidden_dim=5, embedding_dim=3, epochs=2, patience=2, window=20, calibration=False
)


# ---------------------------------------------------------------- good files and their readers


def colvar():
    frames = "".join(f" {k}.000000 {a:.6f} {b:.6f}\n" for k, (a, b) in enumerate(X))
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n"
    return f"#! FIELDS time phi psi\n{sets}{frames}".encode()


def text():
    return b"time (ms),x\n" + b"".join(b"%d,%.3f\n" % (k, v) for k, v in enumerate(X[:, 0]))


def xvg():
    head = '@ title "x"\n@ xaxis label "Time (ps)"\n@ s0 legend "phi"\n@TYPE xy\n'
    return (head + "".join(f"{k}.0 {v:.4f}\n" for k, v in enumerate(X[:, 0]))).encode()


def array():
    buffer = io.BytesIO()
    np.save(buffer, X)
    return buffer.getvalue()


def written(write, thing):
    def make():
        path = Path("made.npz")
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


def molecule(suffix, n_frames=6):
    def make():
        import mdtraj

        frames = mdtraj.join([mdtraj.load(PDB)] * n_frames)
        frames.time = np.arange(n_frames) * 0.5
        frames.save(f"made.{suffix}")
        six = mdtraj.join([mdtraj.load(PDB)] * 6)
        six.time = np.arange(6) * 0.5
        six.save("beside.xtc")
        return Path(f"made.{suffix}").read_bytes()

    return make


def results():
    lanes = trajlm.fit_msm(LEARNED).generate(3000, seed=1)
    return json_bytes(collect_results(trajlm.compare(LEARNED, {"MSM": lanes}), {}))


def listed():
    for name in "ab":
        np.save(f"{name}.npy", STATES.trajectories[0])
    return b"states,force\na.npy,1.5\nb.npy,2.5\n"


def checkpoint():
    with pytest.raises(trajlm.Interrupted):
        train(LEARNED, SMALL, checkpoint="made.safetensors", report=stop)
    return Path("made.safetensors").read_bytes()


def stop(*_):
    raise KeyboardInterrupt


def growing(suffix):
    """What a stopped generation leaves."""

    def make():
        model = train(LEARNED, SMALL)
        model.save("m")
        with pytest.raises(trajlm.Interrupted):
            generate_to_file(model, Path("g.npy"), 40_000, 3, 0, progress=stop)
        for left in (".npy", ".safetensors"):
            Path(f"good{left}").write_bytes(Path(f".g.partial{left}").read_bytes())
        return Path(f"good{suffix}").read_bytes()

    return make


def read_both(path):
    for read in (read_features, read_states):
        try:
            read(path)
        except TrajlmError:
            continue


def molecular(path):
    read_md(path, PDB, dihedrals=["phi"], dt=0.5)


def with_its_atoms(path):
    read_md(path, dihedrals=["phi"], distances=["name CA,name N"])


def as_topology(path):
    read_md("beside.xtc", path, dihedrals=["phi"], distances=["name CA,name N"])


def report(path):
    trajlm.Comparison.load(path.parent)


def list_of_series(path):
    read_series([path], [])


def resumed(path):
    train(LEARNED, SMALL, checkpoint=path, resume=True, n_threads=1)


def gone_on(path):
    """Go on with a generation of which one of two files was spoilt."""
    for left in (".npy", ".safetensors"):
        if path.name != f".g.partial{left}":
            Path(f".g.partial{left}").write_bytes(Path(f"good{left}").read_bytes())
    generate_to_file(load_model("m"), Path("g.npy"), 40_000, 3, 0, resume=True, n_threads=1)
    assert np.load("g.npy").max() < LEARNED.n_states


@dataclass(frozen=True)
class Target:
    """A good file, what it is called, and how it is read."""

    make: Callable[[], bytes]
    name: str
    read: Callable[[Path], None] = read_both
    needs: str = ""
    is_text: bool = False


TARGETS = {
    "colvar": Target(colvar, "COLVAR", is_text=True),
    "text": Target(text, "x.csv", is_text=True),
    "xvg": Target(xvg, "x.xvg", is_text=True),
    "gz": Target(lambda: gzip.compress(colvar()), "COLVAR.gz"),
    "npy": Target(array, "x.npy"),
    "features": Target(written(write_features, FEATURES), "f.npz"),
    "states": Target(written(write_states, STATES), "s.npz"),
    "hdf5": Target(hdf5, "x.h5", needs="h5py"),
    "xtc": Target(molecule("xtc"), "t.xtc", molecular, "mdtraj"),
    "dcd": Target(molecule("dcd"), "t.dcd", molecular, "mdtraj"),
    "trr": Target(molecule("trr"), "t.trr", molecular, "mdtraj"),
    "nc": Target(molecule("nc"), "t.nc", molecular, "mdtraj"),
    "h5": Target(molecule("h5"), "t.h5", with_its_atoms, "tables"),
    "pdb": Target(molecule("pdb", 1), "t.pdb", as_topology, "mdtraj", is_text=True),
    "gro": Target(molecule("gro", 1), "t.gro", as_topology, "mdtraj", is_text=True),
    "results": Target(results, "results.json", report, is_text=True),
    "list": Target(listed, "list.csv", list_of_series, is_text=True),
    "checkpoint": Target(checkpoint, "checkpoint.safetensors", resumed),
    "memory": Target(growing(".safetensors"), ".g.partial.safetensors", gone_on),
    "frames": Target(growing(".npy"), ".g.partial.npy", gone_on),
}


def available(name):
    """Skip what needs a package that is not here."""
    needs = TARGETS[name].needs
    if needs and not find_spec(needs):
        pytest.skip(f"needs {needs}")
    return TARGETS[name]


# ---------------------------------------------------------------- models


def models():
    """Return a small model of each kind, by its kind."""
    plane = Features((np.random.default_rng(0).random((3000, 2)),), ("x", "y"))
    grid = ProductBins([Bins(3), Bins(2)]).fit_transform(plane)
    halves = States((LEARNED[0][:1500], LEARNED[0][1500:]), 5, 0.2, "ps")
    made = [
        train(LEARNED, SMALL),
        train(grid, SMALL.model_copy(update={"columns": "bins"})),
        train_ensemble(LEARNED, SMALL, 2),
        train_series(halves, [1.0, 2.0], "force", SMALL),
        trajlm.fit_msm(LEARNED),
        trajlm.fit_hmm(LEARNED, 2),
        trajlm.fit_ngram(LEARNED),
    ]
    return {model.kind: model for model in made}


KINDS = ("lstm", "lstm-columns", "ensemble", "conditional", "msm", "hmm", "ngram")


def use(folder):
    """Load a model and do with it what commands do."""
    try:
        model = load_model(folder)
    except UnfinishedTrainingError:
        return
    describe_model(folder)
    model._repr_html_()
    if model.kind == "conditional":
        model = model.at(float(model.values.mean()))
    generated = model.generate(20, 3, seed=0)
    assert max(s.max() for s in generated) < generated.n_states
    model.log_prob(generated)
    model.next_state_probabilities(generated[0])


# ---------------------------------------------------------------- how they are spoilt


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


def spoil_target(rng, target, good):
    """Return the file of a target spoilt: as bytes, or as the values that it holds."""
    if target.name.endswith(".json") and rng.random() < 0.7:
        return json.dumps(spoil_json(rng, json.loads(good))).encode()
    if target.name.endswith(".safetensors") and rng.random() < 0.7:
        return spoil_tensors(rng, good)
    return spoil(rng, good, target.is_text)


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


def spoil_tensors(rng, good):
    """Return a file of tensors in which one is another, or what is said of them is."""
    from safetensors.numpy import load, save

    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    metadata = header.get("__metadata__")
    if rng.random() < 0.3:
        text = json.dumps(spoil_json(rng, header)).encode()
        return len(text).to_bytes(8, "little") + text + good[8 + length :]
    arrays = load(good)
    if metadata and rng.random() < 0.4:
        key = list(metadata)[rng.integers(len(metadata))]
        with contextlib.suppress(ValueError):
            metadata[key] = json.dumps(spoil_json(rng, json.loads(metadata[key])))
    else:
        name = list(arrays)[rng.integers(len(arrays))]
        arrays[name] = odd_array(rng, arrays[name])
        if rng.random() < 0.1:
            del arrays[name]
    if metadata and "sha256" in metadata:
        metadata["sha256"] = digest(arrays)
    return save(arrays, metadata)


def odd_array(rng, x):
    """Return another array in the place of one."""
    flat = x.reshape(-1).copy()
    if len(flat):
        with np.errstate(all="ignore"):
            odd = np.array([0, -1, 1e30, 255, np.nan, np.inf, 2**62]).astype(flat.dtype)
        flat[rng.integers(len(flat))] = odd[rng.integers(len(odd))]
    ways = [
        flat.reshape(x.shape),
        np.ascontiguousarray(x.T),
        x[:-1] if x.ndim else x,
        x[None],
        flat,
        x.astype(np.int64),
        x.astype(np.float64),
        np.zeros((0,) * x.ndim, x.dtype),
        np.full(x.shape, 3).astype(x.dtype),
        np.concatenate([flat, flat]),
        np.zeros(x.shape, np.bool_),
        np.array(1.0),
    ]
    return np.ascontiguousarray(ways[rng.integers(len(ways))])


def resealed(folder, weights, told):
    """Write a model as a hostile author would: the hash fits."""
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    if isinstance(told, dict):
        told = told | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    (folder / "model.json").write_text(json.dumps(told))


# ---------------------------------------------------------------- the cage


def check_sentence(error):
    """Check that a message is one sentence."""
    assert "\n" not in str(error).strip(), f"several lines: {error}"
    assert len(str(error)) < 2000, f"long: {error}"


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
                try:
                    attempt(np.random.default_rng(seed + k))
                except TrajlmError as error:
                    check_sentence(error)
            except BaseException:
                log.write_text(f"seed {seed + k}:\n{traceback.format_exc()}")
                os._exit(1)
        os._exit(0)

    child = FORK.Process(target=body)
    child.start()
    child.join()
    return "" if child.exitcode == 0 else f"exit {child.exitcode}, {log.read_text()}"
