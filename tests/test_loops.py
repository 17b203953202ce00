"""Which compiled loops run, plain ones against those in vector code, and how code is kept."""

import errno
import hashlib
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import trajlm
from test_lstm import nearest, small_model
from test_window import network_of, run, window_of
from trajlm.data import States
from trajlm.errors import InputError, TrajlmWarning
from trajlm.kernels import cache, counting
from trajlm.kernels.compiled import compiled
from trajlm.lstm import loops
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.quantization import precision
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.train import train
from trajlm.lstm.training.window import LSTMWindow

VECTOR = pytest.mark.skipif(
    loops.choice().loops.NAME == "plain code", reason="no vector code runs on this machine"
)


@pytest.fixture
def plain(monkeypatch):
    """Call it, and from then on plain code runs."""

    def change():
        monkeypatch.setenv(loops.VARIABLE, "plain")
        loops.choice.cache_clear()
        assert loops.loops().NAME == "plain code"

    yield change
    monkeypatch.undo()
    loops.choice.cache_clear()


def again(model):
    """The same model, whose arrays are not yet packed."""
    return LSTMModel(model.weights, model.space, model.starts, model.record, model.rounded)


@VECTOR
@pytest.mark.parametrize(("n_states", "hidden_dim"), [(3, 6), (20, 64), (34, 61)])
def test_vector_code_scores_and_generates_as_plain_code(n_states, hidden_dim, plain):
    model = small_model(n_states=n_states, hidden_dim=hidden_dim)
    lanes = np.array(list(model.generate(300, 13, seed=1)))
    found = np.array(model.log_probs(list(lanes)))
    plain()
    model = again(model)
    np.testing.assert_allclose(model.log_probs(list(lanes)), found, atol=2e-5)
    # The same random numbers draw the same states, but where a sum is rounded across one of them.
    others = np.array(list(model.generate(300, 13, seed=1)))
    assert (lanes[:, :50] == others[:, :50]).mean() > 0.99


@VECTOR
def test_columns_in_vector_code_are_those_of_plain_code(plain):
    from test_columns import random_model

    path = np.random.default_rng(0).integers(6, size=200)
    scores, frames = random_model().log_probs([path])[0], random_model().generate(100, 5, seed=1)
    plain()
    np.testing.assert_allclose(random_model().log_probs([path])[0], scores, atol=1e-5)
    same = np.array(random_model().generate(100, 5, seed=1)) == np.array(frames)
    # A last bit may turn a draw, after which a lane goes its own way.
    assert same.all(axis=1).sum() >= 4


def test_vector_code_in_half_precision_and_bytes_reads_the_numbers_of_plain_code(plain):
    model = small_model(n_states=5, hidden_dim=70)
    path = np.random.default_rng(3).integers(5, size=(9, 200))
    rounded = nearest(model.weights.recurrent_weights)

    def scores(recurrent):
        t, out = again(model).tables, np.empty((9, 199))
        loops.loops().score_lanes(t.inputs, recurrent, t.readout, t.skip, path, out)
        return out

    in_half = scores(precision.half_precision(model.weights.recurrent_weights))
    in_bytes = scores(precision.byte_precision(rounded)) if loops.loops().HAS_BYTES else None
    plain()
    wanted = scores(precision.half_precision(model.weights.recurrent_weights))
    np.testing.assert_allclose(in_half, wanted, atol=2e-5)
    if in_bytes is not None:
        # Vector code rounds hidden states to sixteen bits, too.
        np.testing.assert_allclose(in_bytes, scores(precision.byte_precision(rounded)), atol=3e-4)


@VECTOR
@pytest.mark.parametrize(("hidden_dim", "streams"), [(6, 1), (64, 33), (150, 21)])
def test_vector_code_has_the_gradients_of_plain_code(hidden_dim, streams, plain):
    network, data = network_of(hidden_dim), window_of(hidden_dim, streams)
    loss, after, gradients = run(network, *data, LSTMWindow(1))
    plain()
    plain_loss, plain_after, wanted = run(network, *data, LSTMWindow(1))
    assert loss == pytest.approx(plain_loss, abs=1e-6)
    torch.testing.assert_close(after, plain_after, rtol=0, atol=2e-6)
    for name, gradient in wanted.items():
        largest = gradient.abs().max().item()
        np.testing.assert_allclose(gradients[name], gradient, atol=2e-5 * largest, err_msg=name)


def test_plain_code_trains_generates_and_scores(plain):
    plain()
    rng = np.random.default_rng(0)
    stays = rng.random(6000) < 0.9
    states = States((np.cumsum(~stays) % 3,), 3)
    settings = TrainingSettings(epochs=3, hidden_dim=20, embedding_dim=4, calibration=False)
    one, three = (train(states, settings, n_threads=n) for n in (1, 3))
    assert all(np.array_equal(a, vars(three.weights)[k]) for k, a in vars(one.weights).items())
    # Three states in turn, each left with probability 0.1.
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert one.cross_entropy(states) == pytest.approx(entropy, abs=0.02)
    many = np.array(list(one.generate(500, 20, seed=1, n_threads=2)))
    few = np.array(list(one.generate(500, 3, seed=1, n_threads=3)))
    np.testing.assert_array_equal(few, many[:3])
    assert (many[:, 1:] != many[:, :-1]).mean() == pytest.approx(0.1, abs=0.015)
    assert -one.log_prob(list(many)) / (20 * 499) == pytest.approx(entropy, abs=0.03)


def python(code, **environment):
    """Run code in a fresh process with no home but what is named; return what it prints."""
    names = {"PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH"}
    own = {k: v for k, v in os.environ.items() if k in names}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=own | {k: str(v) for k, v in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


SAY = "from trajlm.lstm.loops import choice; print(choice().describe())"


def test_processors_without_vector_code_run_plain_code(tmp_path):
    said = python(SAY, NUMBA_CPU_NAME="generic", XDG_CACHE_HOME=tmp_path)
    assert said.startswith("plain code")


@VECTOR
def test_another_compiler_whose_inside_has_changed_runs_plain_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "trajlm.kernels.vector", None)
    monkeypatch.delattr("trajlm.kernels.vector", raising=False)
    monkeypatch.delenv(loops.VARIABLE, raising=False)
    loops.choice.cache_clear()
    try:
        with pytest.warns(TrajlmWarning, match="plain code"):
            assert loops.loops().NAME == "plain code"
    finally:
        loops.choice.cache_clear()


def test_loops_that_there_are_not_are_refused(monkeypatch):
    monkeypatch.setenv(loops.VARIABLE, "fast")
    loops.choice.cache_clear()
    try:
        with pytest.raises(InputError, match=f"{loops.VARIABLE} is 'fast'.*plain"):
            loops.loops()
    finally:
        loops.choice.cache_clear()


def test_all_compiled_code_is_in_the_folder_whose_text_is_the_key_of_what_is_kept():
    source = Path(trajlm.__file__).parent
    for path in source.rglob("*.py"):
        if path.parent.name != "kernels":
            text = path.read_text()
            assert not re.search(r"^\s*(import|from) (numba|llvmlite)", text, re.M), path
    assert not any("cache=True" in path.read_text() for path in (source / "kernels").glob("*.py"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Compiled code is kept here."""
    monkeypatch.setattr(cache, "folders", lambda: (tmp_path / "kernels-a", tmp_path / "kernels-b"))
    return tmp_path / "kernels-a"


def was_kept():
    """Run a loop as a new process would; return whether its code was found."""
    loop = compiled(counting.count_runs.py_func)
    assert loop(np.array([0, 1, 1, 0, 1]), 1) == 2
    return sum(loop._cache_hits.values()) == 1


def test_code_is_kept_and_found_again(folder):
    assert not was_kept()
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert was_kept()


def of_another_numba(data):
    """A whole file, whose pickle raises an error."""
    return hashlib.sha256(b"\x80\x05.").digest() + b"\x80\x05."


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\x80" * 5000,
        lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        of_another_numba,
    ],
)
def test_what_is_damaged_is_compiled_anew(folder, damage):
    was_kept()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert not was_kept()
    assert list(folder.iterdir()) == [file]
    assert was_kept()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="of systems with owners and modes")
@pytest.mark.parametrize(("of_folder", "mode"), [(False, 0o666), (True, 0o770), (True, 0o777)])
def test_what_others_can_write_is_not_read(folder, of_folder, mode):
    was_kept()
    (file,) = folder.iterdir()
    path = folder if of_folder else file
    before = path.stat().st_mode
    path.chmod(mode)
    assert not was_kept()
    # It was kept in the next folder instead, or in its place as it ought to be.
    assert was_kept()
    assert of_folder or stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(before)


def test_any_edit_and_any_setting_of_the_compiler_has_a_folder_of_its_own(tmp_path, monkeypatch):
    for source in Path(cache.__file__).parent.glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    keys = [cache._key()]
    for source in sorted(tmp_path.glob("*.py")):
        source.write_text(source.read_text() + "# edited\n")
        keys.append(cache._key())
    monkeypatch.setenv("NUMBA_OPT", "1")
    keys.append(cache._key())
    for package in (cache.numba, cache.llvmlite):
        monkeypatch.setattr(package, "__version__", "99.0")
        keys.append(cache._key())
    assert len(set(keys)) == len(keys)
    # Without sources there is no key, and nothing is kept.
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "none" / "cache.py"))
    assert cache._key() is None


def test_folders_that_nobody_uses_are_removed(folder):
    old, new = folder.parent / "kernels-old", folder.parent / "kernels-recent"
    for other in (old, new):
        other.mkdir()
        (other / "code").write_text("")
    long_ago = time.time() - 2 * cache.SECONDS_KEPT
    os.utime(old, (long_ago, long_ago))
    was_kept()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["kernels-a", "kernels-recent"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_stops_no_work_and_leaves_nothing(folder, monkeypatch, number):
    def full(descriptor, *arguments):
        os.close(descriptor)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(cache, "open", full, raising=False)
        assert not was_kept()
    assert [list(f.iterdir()) for f in cache.folders()] == [[], []]
    assert not was_kept()
    assert was_kept()


def test_where_the_first_folder_cannot_be_written_the_next_one_is(folder):
    folder.write_text("no folder")
    assert not was_kept()
    assert was_kept()


# A loop of the package, and whether its code was found.
COUNT = """
import numpy as np
from trajlm.kernels import cache, counting
print(counting.count_runs(np.array([0, 1, 1, 0, 1]), 1), counting.count_runs._cache_hits.total())
"""


# As where the package belongs to somebody else.
READ_ONLY = """
from trajlm.kernels import cache
key = cache._key()
cache.__file__, cache._key = "/dev/null/cache.py", lambda: key
cache.tempfile.tempdir = "/dev/null/temporary"
"""


def test_where_nothing_can_be_written_all_is_done_without(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), file)
    assert python(READ_ONLY + COUNT, **nowhere).split() == ["2", "0"]


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT], env=environment, stdout=subprocess.PIPE, stderr=-1
        )
        for _ in range(4)
    ]
    for process in running:
        out, error = process.communicate()
        assert (process.returncode, out.split()[0], error) == (0, b"2", b"")
    (folder,) = (tmp_path / "trajlm").iterdir()
    assert len(list(folder.iterdir())) == 1
    assert python(COUNT, XDG_CACHE_HOME=tmp_path).split() == ["2", "1"]


def test_info_says_which_loops_run(capsys, plain):
    from trajlm import cli

    plain()
    assert cli.run(["info"]) == 0
    assert "plain code" in capsys.readouterr().out
