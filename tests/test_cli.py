import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.io import read_states
from trajlm.systems.hidden_markov import markov_chain

CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
QUICK = ["--hidden-dim", "8", "--embedding-dim", "4"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = markov_chain(CHAIN, 1.0, "frame").simulate(4000, seed=0).trajectories[0]
    np.save("states.npy", states)
    np.savetxt("force.txt", np.random.default_rng(0).normal(size=(500, 2)), header="time x y")
    return tmp_path


def ok(capsys, *arguments):
    status = run([str(a) for a in arguments])
    output = capsys.readouterr()
    assert status == 0, output.err
    return output


def refused(capsys, *arguments):
    """Run a command that must fail; return its one sentence."""
    status = run([str(a) for a in arguments])
    output = capsys.readouterr()
    assert status == 2
    sentence = output.err.strip().splitlines()[-1]
    assert sentence.startswith("trajlm: ")
    assert "Traceback" not in output.err
    return sentence


def test_from_states_to_report(here, capsys):
    ok(capsys, "train", "states.npy", "--out", "model", "--epochs", 2, *QUICK)
    ok(capsys, "generate", "model", "--steps", 3000, "--lanes", 4, "--seed", 1, "--out", "g.npy")
    generated = np.load("g.npy")
    assert generated.shape == (4, 3000)
    assert generated.dtype == np.uint8
    assert generated.max() < 3
    output = ok(
        capsys, "compare", "states.npy", "LSTM=g.npy", "--models", "msm,hmm", "--out", "report"
    )
    assert "D0" in output.out
    assert "3 states, each compared as it is" in output.out
    results = json.loads((here / "report" / "results.json").read_text())
    assert set(results["models"]) == {"LSTM", "MSM", "HMM"}
    assert "<html" in (here / "report" / "index.html").read_text()
    assert "n_states 3" in ok(capsys, "info", "model").out


def test_compare_takes_a_model_folder(here, capsys):
    ok(capsys, "train", "states.npy", "--out", "model", "--epochs", 1, *QUICK)
    ok(capsys, "compare", "states.npy", "model", "--out", "report", "--runs", 2)
    results = json.loads((here / "report" / "results.json").read_text())
    assert results["models"]["model"]["record"]["history"]


def test_generation_is_repeatable_and_seeded(here, capsys):
    ok(capsys, "train", "states.npy", "--out", "model", "--epochs", 1, *QUICK)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ok(capsys, "generate", "model", "--steps", 500, "--seed", seed, "--out", f"{name}.npy")
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_simulate_and_discretize(here, capsys):
    ok(capsys, "simulate", "linear3", "--frames", 500, "--trajectories", 2, "--out", "x.npz")
    ok(
        capsys, "discretize", "x.npz", "--column", "x", "--smooth", 5, "--centers", "-1.5,0,1.5",
        "--remove-spikes", 3, "--out", "s.npz",
    )  # fmt: skip
    ok(capsys, "discretize", "x.npz", "--column", "x", "--bins", 10, "--out", "b.npz")
    ok(capsys, "discretize", "x.npz", "--kmeans", 4, "--out", "k.npz")
    for name, n in (("s", 3), ("b", 10), ("k", 4)):
        archive = np.load(f"{name}.npz")
        assert archive["states"].max() < n
        assert len(archive["lengths"]) == 2


def test_discretize_says_how_long_a_frame_is(here, capsys):
    x = np.random.default_rng(0).normal(size=500)
    np.savetxt("x.txt", x)
    np.savetxt("timed.txt", np.column_stack([1e-4 * np.arange(500), x]), header="time x")
    for name, options, shown, note in (
        ("x.txt", (), "one each 1 frame;", "--dt and --unit give rates a time"),
        ("x.txt", ("--average", 10), "one each 10 frames;", "--dt and --unit give"),
        ("x.txt", ("--dt", 0.1), "one each 0.1 time units;", "has no unit"),
        ("x.txt", ("--dt", 0.1, "--average", 10), "one each 1 time unit;", "has no unit"),
        ("x.txt", ("--dt", 0.1, "--unit", "ms"), "one each 0.1 ms;", ""),
        ("timed.txt", (), "one each 0.0001 time units;", "--unit names it, such as --unit s"),
        ("timed.txt", ("--unit", "s"), "one each 0.0001 s;", ""),
    ):
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            output = ok(capsys, "discretize", name, "--bins", 5, *options, "--out", "s.npz")
        assert shown in output.out
        said = [*output.err.strip().splitlines(), *(str(n.message) for n in notes)]
        assert len(said) == bool(note)
        assert note in "".join(said)


def test_a_period_is_declared(here, capsys):
    angles = (np.random.default_rng(0).normal(180, 20, 500) + 180) % 360 - 180
    np.savetxt("phi.txt", angles)
    arguments = ("discretize", "phi.txt", "--dt", 1, "--unit", "ps", "--period", -180, 180)
    ok(capsys, *arguments, "--bins", 4, "--average", 5, "--out", "s.npz")
    states = read_states("s.npz")
    assert states.centers.tolist() == [-135, -45, 45, 135]
    assert states.counts()[1:3].sum() == 0  # a plain mean of the angles would lie there
    assert "lower to a higher" in refused(
        capsys, *arguments[:-1], -200, "--bins", 4, "--out", "t.npz"
    )
    np.savetxt("radians.txt", np.radians(angles))
    in_radians = ("discretize", "radians.txt", *arguments[2:6], "--bins", 4, "--average", 5)
    ok(capsys, *in_radians, "--period", "-pi", "pi", "--out", "r.npz")
    assert read_states("r.npz").counts().tolist() == states.counts().tolist()
    message = refused(capsys, *in_radians, "--period", "-pie", "pi", "--out", "t.npz")
    assert "--period" in message
    assert "-pie" in message


def test_folders_without_a_model_are_told_apart(here, capsys):
    ok(capsys, "compare", "states.npy", "same=states.npy", "--out", "report")
    assert "a report and no model: open report/index.html" in refused(capsys, "info", "report")
    (here / "m").mkdir()
    (here / "m" / "checkpoint.safetensors").touch()
    for arguments in (("info", "m"), ("generate", "m", "--steps", 10, "--out", "g.npy")):
        sentence = refused(capsys, *arguments)
        assert "unfinished training" in sentence
        assert "--resume" in sentence


def test_features_are_no_states(here, capsys):
    ok(capsys, "simulate", "linear3", "--frames", 50, "--out", "x.npz")
    assert "discretise them first" in refused(capsys, "train", "x.npz", "--out", "m")


def test_plain_rows_are_trajectories(here, capsys):
    np.save("rows.npy", np.load("states.npy")[:3000].reshape(3, 1000))
    output = ok(capsys, "train", "rows.npy", "--out", "m", "--epochs", 1, *QUICK)
    assert "3 trajectories, 3,000 frames" in output.err


def test_training_says_what_it_is_doing(here, capsys):
    output = ok(capsys, "train", "states.npy", "--out", "m", "--epochs", 2, *QUICK)
    lines = [x for x in output.err.splitlines() if x.startswith("epoch")]
    assert len(lines) == 2
    assert all("MSM" in x and "independent" in x and "held out" in x for x in lines)


BAD = {
    "missing file": (["train", "nothing.npy", "--out", "m"], "nothing.npy"),
    "empty file": (["train", "empty.npy", "--out", "m"], "empty.npy"),
    "NaN": (["discretize", "nan.npy", "--bins", "3", "--out", "s.npz"], "frame 7"),
    "infinity": (["discretize", "inf.npy", "--bins", "3", "--out", "s.npz"], "frame 2"),
    "text": (["discretize", "text.txt", "--bins", "3", "--out", "s.npz"], "line 3"),
    "negative": (["train", "negative.npy", "--out", "m"], "frame 4"),
    "fractional": (["train", "fractional.npy", "--out", "m"], "frame 1"),
    "one frame": (["train", "one.npy", "--out", "m"], "at least two"),
    "one state": (["train", "constant.npy", "--out", "m"], "one state only"),
    "unknown column": (
        ["discretize", "COLVAR", "--column", "chi", "--bins", "3", "--out", "s.npz"],
        "phi, psi",
    ),
    "no way to cut": (["discretize", "COLVAR", "--out", "s.npz"], "--bins"),
    "model missing": (["generate", "nowhere", "--steps", "10", "--out", "g.npy"], "nowhere"),
    "no such command": (["trian"], "trian"),
    "no such option": (["train", "states.npy", "--out", "m", "--epoch", "3"], "--epoch"),
    "bad number": (["train", "states.npy", "--out", "m", "--epochs", "many"], "--epochs"),
    "no epochs": (["train", "states.npy", "--out", "m", "--epochs", "0"], "epochs"),
    "unwritable": (["train", "states.npy", "--out", "states.npy/m"], "cannot be written"),
    "unknown system": (["simulate", "helium", "--out", "x.npz"], "linear3"),
    "unknown model": (["compare", "states.npy", "--models", "arima"], "arima"),
    "unit without dt": (
        ["discretize", "text2.txt", "--bins", "3", "--unit", "ms", "--out", "s.npz"],
        "give dt",
    ),
    "grouping unknown": (["compare", "states.npy", "--models", "msm", "--group", "fo"], "pcca:N"),
    "other suffix": (["generate", "m", "--steps", "10", "--out", "g.csv"], ".npz"),
    "no threads": (["train", "states.npy", "--out", "m", "--threads", "0"], "--threads"),
    "seed below zero": (["simulate", "linear3", "--seed", "-1", "--out", "x.npz"], "--seed"),
    "endless": (["simulate", "linear3", "--frames", "1" + 20 * "0", "--out", "x.npz"], "--frames"),
    "two of a name": (["compare", "states.npy", "MSM=states.npy", "--models", "msm"], "MSM"),
    "no number": (["compare", "states.npy", "--models", "msm", "--group", "pcca:nan"], "--group"),
    "too large": (
        ["train", "states.npy", "--out", "m", "--hidden-dim", "10000000", "--epochs", "1"],
        "memory",
    ),
    "nothing to compare": (["compare", "states.npy"], "nothing to compare"),
    "bad grouping": (["compare", "states.npy", "--models", "msm", "--group", "pcca:x"], "--group"),
    "no such device": (
        ["train", "states.npy", "--out", "m", "--device", "abacus", "--epochs", "1"],
        "abacus",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing_behind(case, here, capsys):
    np.save("negative.npy", np.array([0, 1, 2, 1, -1]))
    np.save("fractional.npy", np.array([0, 0.5, 1]))
    np.save("one.npy", np.array([1]))
    np.save("constant.npy", np.zeros(500, int))
    (here / "empty.npy").touch()
    for name, frame in (("nan", 7), ("inf", 2)):
        x = np.arange(10.0)
        x[frame] = float(name)
        np.save(f"{name}.npy", x)
    (here / "text2.txt").write_text("1.0\n3.0\n2.0\n")
    (here / "text.txt").write_text("x\n1.0\noops\n2.0\n")
    (here / "COLVAR").write_text("#! FIELDS time phi psi\n 0 1 2\n 1 2 3\n 2 3 4\n")
    before = set(here.rglob("*"))
    arguments, word = BAD[case]
    assert word in refused(capsys, *arguments)
    assert set(here.rglob("*")) == before


def test_out_of_range_states_of_generated_data_are_refused(here, capsys):
    np.save("more.npy", np.array([0, 1, 2, 3, 4, 5]))
    assert "6 states" in refused(capsys, "compare", "states.npy", "more.npy", "--out", "r")


def test_data_whose_halves_agree_has_a_floor_of_zero(here, capsys):
    np.save("same.npy", np.tile([0] * 5 + [1] * 5, 400))
    output = ok(capsys, "compare", "same.npy", "again=same.npy", "--out", "r")
    assert "again: D = 0" in output.out


def test_a_path_may_hold_an_equals_sign(here, capsys):
    (here / "states.npy").rename(here / "run=1.npy")
    output = ok(capsys, "compare", "run=1.npy", "run=1.npy", "--out", "r")
    assert "run=1: D = 0" in output.out


def test_resuming_a_finished_training_says_so(here, capsys):
    arguments = ("train", "states.npy", "--out", "m", "--epochs", 1, *QUICK)
    ok(capsys, *arguments)
    before = (here / "m" / "model.safetensors").read_bytes()
    assert "finished already" in ok(capsys, *arguments, "--resume").out
    other = ("train", "states.npy", "--out", "m", "--epochs", 1, "--seed", 1, *QUICK)
    assert "--overwrite" in refused(capsys, *other)
    assert (here / "m" / "model.safetensors").read_bytes() == before
    ok(capsys, *other, "--overwrite")
    assert (here / "m" / "model.safetensors").read_bytes() != before


def test_spoilt_model_is_refused(here, capsys):
    ok(capsys, "train", "states.npy", "--out", "m", "--epochs", 1, *QUICK)
    weights = here / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "damaged" in refused(capsys, "generate", "m", "--steps", 10, "--out", "g.npy")
    assert not (here / "g.npy").exists()


def interrupt_training(here, when):
    """Train in a process of its own and stop it as Ctrl-C does, once `when` is on its screen."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trajlm.cli", "train", "states.npy", "--out", "m",
         "--epochs", "2000", "--patience", "2000", *QUICK],
        cwd=here, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = ""
    while when not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    return process.wait(), rest


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_saves_and_says_how_to_go_on(here, capsys):
    status, message = interrupt_training(here, "epoch 3/")
    assert status == 130
    assert "--resume" in message
    assert "Traceback" not in message
    assert "epoch 2000/" not in message
    assert (here / "m" / "checkpoint.safetensors").exists()
    assert "unfinished" in refused(capsys, "train", "states.npy", "--out", "m", *QUICK)
    wrong = ["--epochs", 7, *QUICK]
    assert "epochs" in refused(capsys, "train", "states.npy", "--out", "m", "--resume", *wrong)
    ok(capsys, "train", "states.npy", "--out", "m", "--overwrite", "--epochs", 1, *QUICK)
    assert not (here / "m" / "checkpoint.safetensors").exists()


def test_what_the_system_refuses_is_one_sentence(here, capsys, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trajlm.cli.model.read_states", refuse)
    assert "no space left" in refused(capsys, "train", "states.npy", "--out", "m")


def test_an_interrupt_that_no_command_catches_is_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "states.npy"
    np.save(path, np.zeros(100, dtype=np.int64))

    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("trajlm.cli.model.read_states", stopped)
    assert run(["train", str(path), "--out", str(tmp_path / "model")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_long_work_is_not_written_over_unasked(here, capsys):
    simulate = ["simulate", "linear3", "--out", "x.npz", "--frames", "50"]
    ok(capsys, *simulate)
    before = Path("x.npz").read_bytes()
    assert "x.npz is there already: --overwrite" in refused(capsys, *simulate, "--seed", 1)
    assert Path("x.npz").read_bytes() == before
    ok(capsys, *simulate, "--seed", 1, "--overwrite")
    assert Path("x.npz").read_bytes() != before


def test_generated_files_are_replaced_when_told_and_gone_on_with_when_begun(here, capsys):
    ok(capsys, "train", "states.npy", "--out", "m", "--epochs", 1, *QUICK)
    generate = ["generate", "m", "--lanes", 2, "--out", "g.npy", "--steps"]
    ok(capsys, *generate, 30)
    before = Path("g.npy").read_bytes()
    assert "g.npy is there already: --overwrite" in refused(capsys, *generate, 30)
    assert "finished already" in ok(capsys, *generate, 30, "--resume").err
    told = refused(capsys, *generate, 30, "--resume", "--seed", 1)
    assert "g.npy is there already, made otherwise" in told
    assert "g.npy is there already" in refused(capsys, *generate, 40, "--resume")
    assert Path("g.npy").read_bytes() == before
    ok(capsys, *generate, 40, "--overwrite")
    assert np.load("g.npy").shape == (2, 40)
    Path(".g.partial.npy").write_bytes(before)
    Path(".g.partial.safetensors").write_bytes(b"")
    Path("g.npy").unlink()
    assert "g.npy is incomplete: use --resume" in refused(capsys, *generate, 40)
    ok(capsys, *generate, 40, "--overwrite")
    refused(capsys, "generate", "m", "--steps", 5, "--out", "g.npz", "--resume")


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path):
    """Modules half imported bring the interpreter down."""
    slow = (
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.3)\ndone = 1\n"
    )
    (tmp_path / "slow.py").write_text(slow)
    script = (
        "import time\nfrom trajlm.cli.process import prepare\n"
        "prepare()\nimport slow\nassert slow.done\n"
        "try:\n    time.sleep(5)\nexcept KeyboardInterrupt:\n    print('stopped')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert found.stdout.strip() == "stopped", found.stderr


def test_backmap_refuses_states_that_the_original_does_not_have(here, capsys):
    np.save("g.npy", np.array([[0, 9, 1]]))
    command = ["backmap", "g.npy", "--from", "t.xtc", "--states", "states.npy", "--out", "g.xtc"]
    assert "g.npy holds state 9, but states.npy has 3 states" in refused(capsys, *command)


def test_info_says_why_a_colvar_file_cannot_be_read(here, capsys):
    Path("COLVAR").write_text("#! FIELDS time phi\n0 1\n1 2\n2 x\n")
    assert "COLVAR, line 4" in refused(capsys, "info", "COLVAR")


def test_nothing_is_written_over_what_is_read(here, capsys):
    ok(capsys, "simulate", "linear3", "--out", "x.npz", "--frames", "50")
    Path("link.npz").symlink_to("x.npz")
    before = Path("x.npz").read_bytes()
    reads = (
        ["discretize", "x.npz", "--column", "x", "--bins", 3],
        ["features", "t.xtc", "--top", "x.npz", "--dihedrals", "phi"],
        ["backmap", "g.npy", "--from", "t.xtc", "--states", "x.npz"],
    )
    for command in reads:
        told = refused(capsys, *command, "--out", "link.npz")
        assert "link.npz is what is read: give another name" in told
    assert Path("x.npz").read_bytes() == before


def test_states_of_another_column_are_refused_by_name(here, capsys):
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, size=(600, 2))
    np.savetxt("colvar", x, header="! FIELDS phi psi", comments="#")
    for column in ("phi", "psi"):
        ok(
            capsys, "discretize", "colvar", "--column", column, "--bins", 4, "--range", -3, 3,
            "--dt", 1, "--unit", "ps", "--out", f"{column}.npz",
        )  # fmt: skip
    said = refused(capsys, "compare", "psi.npz", "A=phi.npz")
    assert "the states of A are bins of phi, those of the data are bins of psi" in said
    said = refused(
        capsys, "backmap", "phi.npz", "--from", "x.xtc", "--states", "psi.npz", "--out", "g.xtc"
    )
    assert "phi.npz are bins of phi, those in psi.npz are bins of psi" in said
    said = refused(capsys, "compare", "psi.npz", "psi.npz", "--group", "edges:0,wrap")
    assert "two or more edges" in said
