"""A kill or a refusal of the system at every rename, flush and removal of every command.

Each command is run once to count these calls, then stopped at some of them (at all of them in the
slow tests), looked at, and run again: nothing is lost, nothing is stuck, nothing is left lying.
"""

import errno
import json
import multiprocessing
import os
import re
import shutil
import sys
import warnings
from dataclasses import dataclass, field
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm.cli import run
from trajlm.discretize import Bins, ProductBins
from trajlm.systems.hidden_markov import markov_chain

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes")
FORK = multiprocessing.get_context("fork")
CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
CALLS = (
    "open", "mkdir", "replace", "fsync", "unlink", "rmdir", "rename", "link", "truncate",
)  # fmt: skip
KILLED = 9
TRAIN = ["train", "states.npy", "--hidden-dim", "4", "--embedding-dim", "2", "--epochs", "3",
         "--patience", "3", "--no-calibration"]  # fmt: skip
GENERATE = ["generate", "m", "--lanes", "3", "--steps", "400"]
SERIES = ["train", "a.npy", "b.npy", "--condition", "force=1", "--condition", "force=2", *TRAIN[2:]]


@dataclass
class Case:
    """A command, what it makes, how it is gone on with, and what is there before it."""

    command: list
    outputs: list
    before: list = field(default_factory=list)
    again: list = field(default_factory=list)
    needs: str = ""
    states: str = "states.npy"

    def __post_init__(self):
        for command in (self.command, *self.before):
            command[:] = [self.states if x == "states.npy" else x for x in command]

    def run_again(self):
        return [*self.command, *self.again]


CASES = {
    "train": Case([*TRAIN, "--out", "t"], ["t/model.safetensors"], again=["--resume"]),
    "train over": Case(
        [*TRAIN, "--out", "t", "--seed", "1", "--overwrite"],
        ["t/model.safetensors"],
        [[*TRAIN, "--out", "t"]],
        ["--resume"],
    ),
    "generate npy": Case([*GENERATE, "--out", "g.npy"], ["g.npy"], again=["--resume"]),
    "generate npy over": Case(
        [*GENERATE, "--out", "g.npy", "--seed", "1", "--overwrite"],
        ["g.npy"],
        [[*GENERATE, "--out", "g.npy"]],
        ["--resume"],
    ),
    "generate npz over": Case(
        [*GENERATE, "--out", "g.npz", "--seed", "1", "--overwrite"],
        ["g.npz"],
        [[*GENERATE, "--out", "g.npz"]],
    ),
    "simulate": Case(
        ["simulate", "linear3", "--frames", "30", "--out", "x.npz", "--overwrite"],
        ["x.npz"],
        [["simulate", "linear3", "--frames", "20", "--out", "x.npz"]],
    ),
    "discretize": Case(
        ["discretize", "states.npy", "--bins", "3", "--out", "s.npz"],
        ["s.npz"],
        [["discretize", "states.npy", "--bins", "2", "--out", "s.npz"]],
    ),
    "compare": Case(
        ["compare", "states.npy", "m", "--runs", "3", "--out", "c"],
        ["c/results.json", "c/index.html"],
        [["compare", "states.npy", "m", "--runs", "2", "--out", "c"]],
    ),
    "train columns over": Case(
        [*TRAIN, "--columns", "bins", "--out", "t", "--seed", "1", "--overwrite"],
        ["t/model.safetensors"],
        [[*TRAIN, "--columns", "bins", "--out", "t"]],
        ["--resume"],
        states="grid.npz",
    ),
    "train ensemble over": Case(
        [*TRAIN, "--n-models", "2", "--out", "t", "--seed", "1", "--overwrite", "--threads", "1"],
        ["t/model.safetensors"],
        [[*TRAIN, "--n-models", "2", "--out", "t"]],
        ["--resume"],
    ),
    "train series": Case([*SERIES, "--out", "t"], ["t/model.safetensors"], again=["--resume"]),
    "train series over": Case(
        [*SERIES, "--out", "t", "--seed", "1", "--overwrite"],
        ["t/model.safetensors"],
        [[*SERIES, "--out", "t"]],
        ["--resume"],
    ),
    "constrain over": Case(
        ["constrain", "msm", "--population", "0=0.5", "--out", "t", "--overwrite"],
        ["t/model.safetensors"],
        [["constrain", "msm", "--population", "0=0.4", "--out", "t"]],
    ),
    "constrain a language model": Case(
        ["constrain", "m", "--population", "0=0.5", "--out", "t"],
        ["t/model.safetensors"],
        again=["--overwrite"],
    ),
    "condition over": Case(
        ["condition", "series", "--at", "force=1.5", "--out", "t", "--overwrite"],
        ["t/model.safetensors"],
        [["condition", "series", "--at", "force=1.2", "--out", "t"]],
    ),
    "series": Case(
        ["series", "series", "--frames", "2000", "--at", "1,2", "--out", "r"],
        ["r/rates.csv", "r/rates.pdf", "r/rates.png"],
        [["series", "series", "--frames", "1000", "--at", "1,2", "--out", "r"]],
    ),
    "structures": Case(
        ["structures", "few.npy", "--from", "t.xtc", "--top", PDB, "--out", "r", "--seed", "1"],
        ["r/0.xtc", "r/0.pdb", "r/1.xtc", "r/1.pdb"],
        [["structures", "few.npy", "--from", "t.xtc", "--top", PDB, "--out", "r"]],
        needs="mdtraj",
    ),
    "features": Case(
        ["features", "t.xtc", "--top", PDB, "--dihedrals", "phi,psi", "--out", "f.npz"],
        ["f.npz"],
        [["features", "t.xtc", "--top", PDB, "--dihedrals", "phi", "--out", "f.npz"]],
        needs="mdtraj",
    ),
    "backmap": Case(
        ["backmap", "few.npy", "--states", "few.npy", "--from", "t.xtc", "--top", PDB, "--out",
         "b.xtc", "--seed", "1"],
        ["b.xtc", "b.pdb"],
        [["backmap", "few.npy", "--states", "few.npy", "--from", "t.xtc", "--top", PDB, "--out",
          "b.xtc"]],
        needs="mdtraj",
    ),
}  # fmt: skip
# In so many points of which cases each test run stops them; the slow tests in all of all.
QUICK = dict.fromkeys(
    ("train", "train over", "generate npy", "generate npy over", "generate npz over", "simulate",
     "discretize", "features", "backmap"), 3,
) | dict.fromkeys(("train series over", "constrain over"), 2)  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with data and a model."""
    folder = tmp_path_factory.mktemp("start")
    here = os.getcwd()
    os.chdir(folder)
    states = markov_chain(CHAIN, 1.0, "frame").simulate(1200, seed=0).trajectories[0]
    np.save("states.npy", states)
    np.save("few.npy", np.array([0, 1, 1, 0, 1, 0, 0, 1]))
    np.save("a.npy", states[:600])
    np.save("b.npy", states[600:])
    plane = trajlm.Features((np.random.default_rng(0).random((800, 2)),), ("x", "y"))
    trajlm.write_states("grid.npz", ProductBins([Bins(2), Bins(2)]).fit_transform(plane))
    trajlm.fit_msm(states).save("msm")
    assert run([*TRAIN, "--out", "m"]) == 0
    assert run([*SERIES, "--out", "series"]) == 0
    if find_spec("mdtraj"):
        import mdtraj

        frames = mdtraj.join([mdtraj.load(PDB)] * 8)
        frames.time = np.arange(8.0)
        frames.xyz += np.random.default_rng(0).normal(size=frames.xyz.shape) / 100
        frames.save_xtc("t.xtc")
    os.chdir(here)
    return folder


def in_child(arguments, at=-1, what="kill"):
    """Run a command in a child and stop it at call number `at`; return status, text and calls."""

    def body():
        count = 0

        def watched(name, call):
            def at_call(*args, **kwargs):
                nonlocal count
                # Those of the command, not of what it compiles.
                path = "" if name == "fsync" else os.path.abspath(args[0])
                if name == "fsync" or path.startswith(os.getcwd()):
                    count += 1
                    log.write(f"call {count - 1}: {name} {os.path.relpath(path or '-')}\n")
                    if count - 1 == at and what == "kill":
                        os._exit(KILLED)
                    if count - 1 == at:
                        raise OSError(what, os.strerror(what), path or None)
                return call(*args, **kwargs)

            return at_call

        import trajlm.lstm.to_file

        trajlm.lstm.to_file.SECONDS_BETWEEN_SAVES = 0.0
        from trajlm.lstm.generation.lanes import LaneBlock

        LaneBlock.chunk = 100
        warnings.simplefilter("always")
        with open("log.txt", "w", buffering=1) as log:
            sys.stdout = sys.stderr = log
            for name in CALLS:
                setattr(os, name, watched(name, getattr(os, name)))
            status = run(arguments)
            log.write(f"\ncalls {count}\n")
        os._exit(status)

    child = FORK.Process(target=body)
    child.start()
    child.join(120)
    text = Path("log.txt").read_text()
    calls = re.search(r"^calls (\d+)$", text, re.MULTILINE)
    return child.exitcode, text, int(calls[1]) if calls else 0


def contents(paths):
    return [Path(p).read_bytes() if Path(p).exists() else None for p in paths]


def hidden():
    return sorted(str(p) for p in Path().rglob(".*") if p.name != ".")


def plain(content, path):
    """Return what two runs have in common: not the seconds that they took."""
    if content is None or not path.endswith(("results.json", "index.html")):
        return content
    if path.endswith("index.html"):
        return b"page"
    results = json.loads(content)
    return json.dumps([results["summary"], results["settings"]]).encode()


def prepared(start, case, folder, monkeypatch):
    """Return a folder as it is before the command."""
    shutil.copytree(start, folder)
    monkeypatch.chdir(folder)
    for command in case.before:
        assert run(command) == 0
    return folder


def begin(before, case, folder, monkeypatch):
    shutil.copytree(before, folder)
    monkeypatch.chdir(folder)
    return contents(case.outputs)


def check_stopped_at(at, what, case, old, whole):
    """Stop at one call; check what is there, and that the command then comes to its end."""
    status, text, _ = in_child(case.command, at, what)
    found = contents(case.outputs)
    assert "Traceback" not in text, (at, text)
    if what == "kill":
        assert status == KILLED
    else:
        assert status in (0, 2), (at, text)
        if status == 2:
            (line,) = [x for x in text.splitlines() if x.startswith("trajlm: ") and "note" not in x]
            assert "cannot be" in line, line
    for was, now, path, new in zip(old, found, case.outputs, whole, strict=True):
        assert now in (was, None) or plain(now, path) == plain(new, path), (at, path)
    if old[0] is not None:
        assert found[0] is not None, (at, case.outputs[0])
        # Never one of an earlier run beside one of this.
        is_old = {now == was for was, now in zip(old, found, strict=True) if now is not None}
        assert len(is_old) == 1, (at, "a mixture")
        if "t/model.safetensors" in case.outputs:
            generate = ["generate", "t", "--steps", "20", "--out", "try.npy", "--overwrite"]
            if "a.npy" in case.command:
                generate += ["--condition", "force=1"]
            status, text, _ = in_child(generate)
            assert status == 0, (at, text)
    stopped = text
    status, text, _ = in_child(case.run_again())
    if status == 2 and found == old and "--overwrite" in text:
        # Refused before anything was begun: there is nothing to go on with.
        status, text, _ = in_child(case.command)
    assert status == 0, (at, stopped, text)
    again = [plain(c, p) for c, p in zip(contents(case.outputs), case.outputs, strict=True)]
    assert again == [plain(c, p) for c, p in zip(whole, case.outputs, strict=True)], at
    assert hidden() == [], at


def check_at_some(start, case, n_points, kinds, tmp_path, monkeypatch, tried):
    if case.needs and not find_spec(case.needs):
        pytest.skip(f"needs {case.needs}")
    before = prepared(start, case, tmp_path / "before", monkeypatch)
    begin(before, case, tmp_path / "whole", monkeypatch)
    status, text, n_calls = in_child(case.command)
    assert status == 0, text
    assert n_calls >= 3
    assert hidden() == []
    whole = contents(case.outputs)
    points = sorted(set(np.linspace(0, n_calls - 1, n_points or n_calls).round().astype(int)))
    for kind in kinds:
        for at in points:
            folder = tmp_path / f"{kind}-{at}"
            old = begin(before, case, folder, monkeypatch)
            check_stopped_at(at, kind, case, old, whole)
            shutil.rmtree(folder)
            tried["kills" if kind == "kill" else "refusals of the system"] += 1


@pytest.mark.parametrize("name", QUICK)
def test_stopped_at_a_few_calls(name, start, tmp_path, monkeypatch, tried):
    kinds = ["kill", errno.ENOSPC]
    check_at_some(start, CASES[name], QUICK[name], kinds, tmp_path, monkeypatch, tried)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", CASES)
def test_stopped_at_every_call(name, kind, start, tmp_path, monkeypatch, tried):
    check_at_some(start, CASES[name], None, [kind], tmp_path, monkeypatch, tried)
