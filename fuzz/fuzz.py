"""Coverage-guided fuzzing of the readers: ``python fuzz/fuzz.py NAME [SECONDS | FILE]``.

NAME is text, colvar, npy or model. The corpus in ``.fuzz/NAME`` begins with good files and grows
from run to run; what ends in anything but one of our sentences is left beside it as a FILE that
shows the error again.
"""

import io
import json
import os
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
SEEN = (
    "trajlm.io", "trajlm.data", "trajlm.provenance", "trajlm.models", "trajlm.lstm",
    "trajlm.util", "numpy.lib", "zipfile", "spoiling",
)  # fmt: skip
with atheris.instrument_imports(include=list(SEEN)):
    import numpy as np

    import spoiling
    from trajlm.errors import TrajlmError
    from trajlm.lstm.generation import blocks

SECONDS = 600
LIMITS = ["-timeout=20", "-rss_limit_mb=4096", "-max_len=60000"]
# The first byte of an input chooses among names.
NAMES = {
    "text": ("x.csv", "x.dat", "x.xvg", "x.agr", "x.txt", "x.tsv"),
    "colvar": ("COLVAR", "x.colvar"),
    "npy": ("x.npy", "x.npz"),
    "model": ("",),
}
BETWEEN = b"\0weights\0"


def good_files(name):
    """Return inputs to begin with."""
    cases = sorted((ROOT / "tests" / "cases").iterdir())
    if name == "model":
        # Few and short stretches to begin lanes from: most of the file is to be something else.
        blocks.N_STARTS, blocks.START_FRAMES = 4, 5
        for kind, model in spoiling.models().items():
            model.save(kind)
            parts = [Path(kind, f"model.{end}").read_bytes() for end in ("json", "safetensors")]
            yield b"\0" + BETWEEN.join(parts)
    elif name == "npy":
        npy, features, states = (spoiling.TARGETS[k].make() for k in ("npy", "features", "states"))
        yield from (b"\0" + npy, b"\1" + features, b"\1" + states)
        for case in cases:
            if case.suffix in (".npy", ".npz"):
                yield bytes([case.suffix == ".npz"]) + case.read_bytes()
    else:
        kinds = ("colvar",) if name == "colvar" else ("text", "xvg")
        for made in (spoiling.TARGETS[k].make() for k in kinds):
            yield from (bytes([k]) + made for k in range(len(NAMES[name])))
        for case in cases:
            names = NAMES[name]
            of_kind = [k for k, other in enumerate(names) if case.suffix == Path(other).suffix]
            yield from (bytes([k]) + case.read_bytes() for k in of_kind)


def read(name, data):
    """Read an input as the kind of file that it is to be."""
    if name == "model":
        told, _, weights = data[1:].partition(BETWEEN)
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return
        spoiling.resealed(Path("m"), weights, told)
        spoiling.use("m")
        return
    path = Path(NAMES[name][data[0] % len(NAMES[name])])
    path.write_bytes(data[1:])
    spoiling.read_both(path)


def mutate(name, data, size, seed):
    """Return an input changed: as bytes, or as what its parts hold."""
    rng = np.random.default_rng(seed)
    try:
        if name == "model" and rng.random() < 0.8:
            told, _, weights = data[1:].partition(BETWEEN)
            if rng.random() < 0.5:
                told = json.dumps(spoiling.spoil_json(rng, json.loads(told))).encode()
            else:
                weights = spoiling.spoil_tensors(rng, weights)
            return data[:1] + told + BETWEEN + weights
        if name == "npy" and data[0] % 2 and rng.random() < 0.8:
            return data[:1] + changed_archive(rng, data[1:])
    except Exception:  # what is spoilt already has no parts
        return atheris.Mutate(data, size)
    return atheris.Mutate(data, size)


def changed_archive(rng, data):
    """Return an npz file of which one array was changed, and is well packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    if name == "meta.npy" and rng.random() < 0.7:
        meta = json.loads(str(np.load(io.BytesIO(members[name]))))
        buffer = io.BytesIO()
        np.save(buffer, np.array(json.dumps(spoiling.spoil_json(rng, meta))))
        members[name] = buffer.getvalue()
    elif rng.random() < 0.1:
        del members[name]
    else:
        members[name] = atheris.Mutate(members[name], len(members[name]) + 100)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for own, content in members.items():
            archive.writestr(own, content)
    return packed.getvalue()


def main(name, what=str(SECONDS)):
    """Fuzz for some seconds, or read one file."""
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    how = [*LIMITS, f"-max_total_time={what}", f"-artifact_prefix={corpus}-", str(corpus)]
    if not what.isdecimal():
        how = [os.path.abspath(what)]

    def one(data):
        if not data:
            return
        try:
            read(name, data)
        except TrajlmError as error:
            spoiling.check_sentence(error)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        warnings.simplefilter("ignore")
        for k, good in enumerate(good_files(name)):
            (corpus / f"good{k}").write_bytes(good)
        changed = lambda data, size, seed: mutate(name, data, size, seed)  # noqa: E731
        atheris.Setup([sys.argv[0], *how], one, custom_mutator=changed)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
