"""Killed, out of disk, refused, twice at once: earlier results stay, resumed ones are right."""

import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.errors import OutputError
from trajlm.models.markov import fit_msm
from trajlm.systems.hidden_markov import markov_chain
from trajlm.util.atomic import atomic_path, lone_file_writer, lone_writer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and limits")
PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
TRAIN = ["train", "states.npy", "--hidden-dim", "8", "--embedding-dim", "4", "--epochs", "8",
         "--patience", "8"]  # fmt: skip
# Forked processes have torch loaded already: a training takes a second instead of ten.
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = markov_chain(CHAIN, 1.0, "frame").simulate(2000, seed=0).trajectories[0]
    np.save("states.npy", states)
    return tmp_path


def in_child(work, *arguments, log="stderr.txt"):
    """Start `work` in a process of its own, quietly; its exit status is what `work` returns."""

    def body():
        with open(log, "w", buffering=1) as file:
            sys.stdout = sys.stderr = file
            os._exit(work(*arguments) or 0)

    log = os.path.abspath(log)

    process = FORK.Process(target=body)
    process.start()
    return process


def finished(process):
    process.join(120)
    return process.exitcode, Path("stderr.txt").read_text()


def kill_at_random_moments(n, seed, command, result, resume=("--resume",), suffix=""):
    """Run `command` in one go, then kill it `n` times and go on; `result` of its output is equal.

    Returns how many were killed before they were done.
    """
    assert run([*command, "--out", f"whole{suffix}"]) == 0
    began = time.monotonic()
    assert finished(in_child(run, [*command, "--out", f"again{suffix}"]))[0] == 0
    duration = time.monotonic() - began
    whole = result(Path(f"whole{suffix}"))
    n_unfinished = 0
    for k, moment in enumerate(np.random.default_rng(seed).uniform(0, 0.9 * duration, n)):
        out = Path(f"killed{k}{suffix}")
        process = in_child(run, [*command, "--out", str(out)])
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        n_unfinished += result(out) is None
        status, sentence = finished(in_child(run, [*command, "--out", str(out), *resume]))
        assert status == 0, (moment, sentence)
        assert result(out) == whole, moment
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    return n_unfinished


def trained(folder):
    """Return the weights in a model folder; None as long as there are none."""
    if not Path(folder, "model.json").exists():
        return None
    assert not Path(folder, "checkpoint.safetensors").exists()
    return Path(folder, "model.safetensors").read_bytes()


def measured(folder):
    """Return the numbers of a system of the paper, without the seconds that they took."""

    def without_seconds(values):
        if isinstance(values, dict):
            return {k: without_seconds(v) for k, v in values.items() if k != "seconds"}
        return [without_seconds(v) for v in values] if isinstance(values, list) else values

    results = Path(folder, "kinsoft3", "results.json")
    return without_seconds(json.loads(results.read_text())) if results.exists() else None


def test_a_killed_training_resumes_to_the_bit_identical_model(here):
    kill_at_random_moments(4, 0, TRAIN, trained)


@pytest.mark.slow
def test_fifty_killed_trainings_resume_to_the_bit_identical_model(here):
    assert kill_at_random_moments(50, 1, TRAIN, trained) > 15


@pytest.mark.slow
def test_killed_calibrations_resume_to_the_bit_identical_model(here):
    wells = np.array([[0.999, 0.001], [0.002, 0.998]])
    states = markov_chain(wells, 1.0, "frame").simulate(60_000, seed=0).trajectories[0]
    np.save("states.npy", states)
    short = [*TRAIN, "--epochs", "1", "--window", "20"]
    assert run([*short, "--out", "m"]) == 0
    assert "matched" in Path("m/model.json").read_text()
    kill_at_random_moments(20, 2, short, trained)


@pytest.mark.slow
def test_fifty_killed_generations_go_on_to_the_bit_identical_file(here):
    assert run([*TRAIN, "--out", "m"]) == 0
    command = ["generate", "m", "--lanes", "4", "--steps", "1500000"]
    written = lambda path: path.read_bytes() if path.exists() else None  # noqa: E731
    assert kill_at_random_moments(50, 4, command, written, suffix=".npy") > 15


@pytest.mark.slow
def test_a_killed_paper_goes_on_to_the_same_numbers(here, monkeypatch):
    from trajlm.reproduce.paper import recipe

    whole = recipe.load_recipe("kinsoft3", fast=True)
    small = {"n_models": 2, "n_lanes": 2, "epochs": 2, "plain_epochs": 1, "max_hidden": 2}
    data = whole.data.model_copy(update={"n_frames": 4000})
    models = whole.models.model_copy(update=small | {"lags": (1, 10)})
    tiny = whole.model_copy(update={"data": data, "models": models})
    monkeypatch.setattr(recipe, "load_recipe", lambda *_: tiny)
    command = ["paper", "kinsoft3", "--workers", "1"]
    assert kill_at_random_moments(50, 3, command, measured, resume=()) > 15


def test_a_killed_generation_leaves_the_earlier_file_whole(here):
    assert run([*TRAIN, "--out", "m"]) == 0
    generate = ["generate", "m", "--lanes", "4", "--out", "g.npy", "--steps"]
    assert run([*generate, "1000"]) == 0
    before = Path("g.npy").read_bytes()
    generate.insert(1, "--overwrite")
    for moment in (0.02, 0.1, 0.3):
        process = in_child(run, [*generate, "3000000"])
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert Path("g.npy").read_bytes() == before
    assert run([*generate, "1000"]) == 0
    assert Path("g.npy").read_bytes() == before


def limited(arguments, largest):
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return run(arguments)


def one_sentence(text):
    (line,) = [x for x in text.splitlines() if x.startswith("trajlm: ") and "note" not in x]
    assert "Traceback" not in text
    return line


def test_files_that_may_not_grow_give_one_sentence_and_keep_what_was_there(here):
    assert run([*TRAIN, "--out", "m"]) == 0
    before = Path("m/model.safetensors").read_bytes()
    # Once without limits, so that compiled loops are kept and only our own files are refused.
    assert run(["compare", "states.npy", "m", "--runs", "2", "--out", "report"]) == 0
    assert run(["simulate", "linear3", "--frames", "10", "--out", "x.npz"]) == 0
    shutil.rmtree("report")
    os.unlink("x.npz")
    for command in (
        [*TRAIN, "--out", "m", "--overwrite", "--seed", "1"],
        ["generate", "m", "--steps", "9000", "--out", "g.npy"],
        ["compare", "states.npy", "m", "--runs", "2", "--out", "report"],
        ["simulate", "linear3", "--frames", "5000", "--out", "x.npz"],
        ["discretize", "states.npy", "--bins", "3", "--out", "s.npz"],
    ):
        status, text = finished(in_child(limited, command, 1500))
        assert status == 2, text
        sentence = one_sentence(text)
        assert "the limit on file sizes" in sentence or "no space left" in sentence
    assert Path("m/model.safetensors").read_bytes() == before
    left = {str(p.relative_to(here)) for p in here.rglob("*") if p.is_file()}
    assert left == {"states.npy", "stderr.txt", "m/model.json", "m/model.safetensors"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_a_full_disk_gives_one_sentence(here):
    (here / "small").mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "small"], capture_output=True
    )
    if mount.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        for command in (
            [*TRAIN, "--hidden-dim", "64", "--out", "small/m"],
            ["simulate", "linear3", "--frames", "50000", "--out", "small/x.npz"],
        ):
            status, text = finished(in_child(run, command))
            assert status == 2, text
            assert "no space left on the disk" in one_sentence(text)
        assert [p for p in (here / "small").rglob("*") if p.is_file()] == []
    finally:
        subprocess.run(["umount", "small"], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
def test_a_folder_without_permission_gives_one_sentence(here):
    def as_nobody(arguments):
        os.chdir(open_folder)
        os.setuid(65534)
        return run(arguments)

    with tempfile.TemporaryDirectory() as open_folder:
        os.chmod(open_folder, 0o755)
        shutil.copy("states.npy", open_folder)
        for command in (
            [*TRAIN, "--out", "m"],
            ["discretize", "states.npy", "--bins", "3", "--out", "s.npz"],
            ["compare", "states.npy", "--models", "msm", "--out", "report"],
        ):
            status, text = finished(in_child(as_nobody, command))
            assert status == 2, text
            assert "permission was refused" in one_sentence(text)


def test_two_runs_in_one_folder(here, capsys):
    with lone_writer("m"):
        assert run([*TRAIN, "--out", "m"]) == 2
        assert "another run is writing to m" in capsys.readouterr().err
    assert run([*TRAIN, "--out", "m"]) == 0
    with pytest.raises(OutputError, match="a file stands"), lone_writer("states.npy"):
        pass


def test_two_processes_that_write_one_file_leave_one_whole(here):
    """Whoever renames last wins; neither sees half of the other's file."""

    def write(letter):
        for _ in range(40):
            with atomic_path("f.txt") as temporary:
                temporary.write_text(letter * 100_000)

    writers = [in_child(write, letter) for letter in "ab"]
    seen = set()
    while any(w.is_alive() for w in writers):
        if os.path.exists("f.txt"):
            seen.add(Path("f.txt").read_text())
    assert all(w.exitcode == 0 for w in writers)
    assert seen <= {"a" * 100_000, "b" * 100_000}
    assert not [p for p in os.listdir() if re.match(r"\.f\.", p)]


def pairs():
    """Each writing command twice, with other seeds or sizes, and what it writes."""
    few = ["backmap", "few.npy", "--states", "few.npy", "--from", "t.xtc", "--top", PDB]
    return {
        "train": ([*TRAIN, "--out", "t", "--overwrite", "--seed"], ["t/model.safetensors"]),
        "generate npy": (
            ["generate", "m", "--lanes", "4", "--steps", "200000", "--out", "g.npy",
             "--overwrite", "--seed"],
            ["g.npy"],
        ),
        "generate npz": (
            ["generate", "m", "--lanes", "4", "--steps", "50000", "--out", "g.npz",
             "--overwrite", "--seed"],
            ["g.npz"],
        ),
        "simulate": (
            ["simulate", "linear3", "--frames", "20000", "--out", "x.npz", "--overwrite", "--seed"],
            ["x.npz"],
        ),
        "discretize": (["discretize", "x.csv", "--out", "s.npz", "--kmeans", "4", "--column", "0",
                        "--smooth", "3", "--seed"], ["s.npz"]),
        "compare": (
            ["compare", "states.npy", "m", "--runs", "2", "--out", "c", "--seed"],
            ["c/results.json"],
        ),
        "backmap": ([*few, "--out", "b.xtc", "--seed"], ["b.xtc", "b.pdb"]),
        "train ensemble": (
            [*TRAIN, "--epochs", "2", "--n-models", "2", "--out", "t", "--overwrite", "--seed"],
            ["t/model.safetensors"],
        ),
        "train series": ([*SERIES, "--out", "t", "--overwrite", "--seed"], ["t/model.safetensors"]),
        "constrain": (
            ["constrain", "msm", "--out", "t", "--overwrite", "--population"],
            ["t/model.safetensors"],
            ("0=0.4", "0=0.5"),
        ),
        "condition": (
            ["condition", "series", "--out", "t", "--overwrite", "--at"],
            ["t/model.safetensors"],
            ("force=1.2", "force=1.7"),
        ),
        "series": (
            ["series", "series", "--frames", "2000", "--at", "1,2", "--out", "r", "--seed"],
            ["r/rates.csv", "r/rates.png"],
        ),
        "structures": (
            ["structures", "few.npy", "--from", "t.xtc", "--top", PDB, "--out", "r", "--seed"],
            ["r/0.xtc", "r/0.pdb", "r/1.xtc", "r/1.pdb"],
        ),
        "features": (
            ["features", "t.xtc", "--top", PDB, "--out", "f.npz", "--dihedrals"],
            ["f.npz"],
            ("phi", "psi"),
        ),
    }  # fmt: skip


SERIES = ["train", "states.npy", "few.npy", "--condition", "force=1", "--condition", "force=2",
          *TRAIN[2:], "--epochs", "2"]  # fmt: skip
PAIRS = ["train", "generate npy", "generate npz", "simulate", "discretize", "backmap"]
SLOW_PAIRS = ["compare", "train ensemble", "train series", "constrain", "condition", "series",
              "structures", "features"]  # fmt: skip


def written(paths):
    """Return the contents, without the seconds and commands that they name."""
    found = [Path(p).read_bytes() for p in paths if Path(p).exists()]
    if paths[0].endswith("results.json") and found:
        results = json.loads(found[0])
        return json.dumps([results["summary"], results["settings"]])
    return found


def run_in_pairs(name, n):
    """Run a command twice at once; the loser says so, and the file is that of one that won."""
    command, paths, *of_each = pairs()[name]
    endings = of_each[0] if of_each else ("0", "1")
    np.save("few.npy", np.array([0, 1, 1, 0, 1, 0, 0, 1]))
    if "t.xtc" in command:
        mdtraj = pytest.importorskip("mdtraj")
        frames = mdtraj.join([mdtraj.load(PDB)] * 8)
        frames.time = np.arange(8.0)
        frames.xyz += np.random.default_rng(0).normal(size=frames.xyz.shape) / 100
        frames.save_xtc("t.xtc")
    if name.startswith(("generate", "compare")):
        assert run([*TRAIN, "--out", "m"]) == 0
    if "series" in command:
        assert run([*SERIES, "--out", "series"]) == 0
    fit_msm(np.load("states.npy")).save("msm")
    np.savetxt("x.csv", np.random.default_rng(0).normal(size=(3000, 1)))
    alone = []
    for ending in endings:
        assert run([*command, ending]) == 0
        alone.append(written(paths))
    assert alone[0] != alone[1]
    for k in range(n):
        children = [
            in_child(run, [*command, ending], log=f"log{j}.txt") for j, ending in enumerate(endings)
        ]
        for child in children:
            child.join(120)
        told = [Path(f"log{j}.txt").read_text() for j in range(2)]
        won = [seed for seed, child in enumerate(children) if child.exitcode == 0]
        assert won, (k, told)
        for child, text in zip(children, told, strict=True):
            assert child.exitcode in (0, 2), (k, text)
            assert "Traceback" not in text
            if child.exitcode == 2:
                assert "another run is writing to" in one_sentence(text)
        # Two that did not meet came one after the other.
        assert written(paths) in [alone[seed] for seed in won], k
    assert list(Path().rglob(".*")) == []


@pytest.mark.parametrize("name", PAIRS)
def test_two_runs_at_once_are_never_mixed(name, here):
    run_in_pairs(name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS + SLOW_PAIRS)
def test_many_pairs_of_runs_are_never_mixed(name, here, request, tried):
    n = request.config.getoption("pairs")
    run_in_pairs(name, n)
    tried["pairs of runs"] += n


def test_temporary_files_are_removed_unless_in_use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dead = [f".f.{'0' * 32}.txt", f".g.{'1' * 32}.txt", f".{'h' * 32}.{'2' * 32}"]
    for name in dead:
        Path(name).write_text("")
    with atomic_path("f.txt") as temporary:
        temporary.write_text("new")
        with lone_file_writer("f.txt"):
            pass
        assert set(os.listdir()) == {*dead[1:], temporary.name}
        with lone_writer("."):
            pass
        assert os.listdir() == [temporary.name]
    assert os.listdir() == ["f.txt"]
    assert Path("f.txt").read_text() == "new"
