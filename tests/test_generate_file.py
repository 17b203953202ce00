import os
import shutil
from functools import partial

import numpy as np
import pytest

from trajlm import cli
from trajlm.data import StateSpace
from trajlm.errors import InputError, Interrupted, TrajlmWarning
from trajlm.lstm.generation.lanes import LaneBlock
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.to_file import generate_to_file
from trajlm.lstm.training.network import LSTMNetwork, export_weights

STEPS, LANES, SEED = 400, 60, 3


@pytest.fixture
def model(monkeypatch):
    weights = export_weights(LSTMNetwork(5, 4, 16))
    # Many rounds: a chunk of 25 frames.
    monkeypatch.setattr(LaneBlock, "chunk", 25)
    return LSTMModel(
        weights, StateSpace(5), (np.array([0, 1, 4], np.uint8), np.array([2, 2], np.uint8))
    )


def stop_after(frames):
    """A progress that presses Ctrl-C when that many frames are made."""
    made = 0

    def progress(n):
        nonlocal made
        made += n
        if made >= frames:
            raise KeyboardInterrupt

    return progress


def test_the_file_holds_what_memory_would(model, tmp_path):
    generate_to_file(model, tmp_path / "x.npy", STEPS, LANES, SEED)
    found = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.array(list(model.generate(STEPS, LANES, SEED))))
    assert os.listdir(tmp_path) == ["x.npy"]


@pytest.mark.parametrize("stops", [(1,), (9_000,), (3_000, 12_000)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_resumed_file_is_bit_identical(model, tmp_path, stops, n_threads):
    write = partial(generate_to_file, model, n_steps=STEPS, n_lanes=LANES, n_threads=n_threads)
    whole, path = tmp_path / "whole.npy", tmp_path / "x.npy"
    write(path=whole, seed=SEED)
    for stop in stops:
        with pytest.raises(Interrupted, match="resume"):
            write(path=path, seed=SEED, resume=True, progress=stop_after(stop))
        assert not path.exists()
    with pytest.raises(InputError, match="another seed"):
        write(path=path, seed=SEED + 1, resume=True)
    told = []
    write(path=path, seed=SEED, resume=True, progress=told.append)
    assert sum(told) == STEPS * LANES
    assert path.read_bytes() == whole.read_bytes()


def test_without_resume_generation_begins_anew(model, tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(Interrupted):
        generate_to_file(model, path, STEPS, LANES, SEED + 1, progress=stop_after(5_000))
    generate_to_file(model, path, STEPS, LANES, SEED)
    np.testing.assert_array_equal(np.load(path), np.array(list(model.generate(STEPS, LANES, SEED))))


def test_a_process_that_died_is_resumed_from_what_was_saved(model, tmp_path, monkeypatch):
    monkeypatch.setattr("trajlm.lstm.to_file.SECONDS_BETWEEN_SAVES", 0.0)
    path, copy = tmp_path / "x.npy", tmp_path / "dead"
    copy.mkdir()
    rounds = 0

    def keep_a_copy(n):
        nonlocal rounds
        rounds += 1
        if rounds == 7:
            for file in tmp_path.glob(".x.partial.*"):
                shutil.copy(file, copy)

    generate_to_file(model, path, STEPS, LANES, SEED, progress=keep_a_copy)
    generate_to_file(model, copy / "x.npy", STEPS, LANES, SEED, resume=True)
    assert (copy / "x.npy").read_bytes() == path.read_bytes()


def test_damaged_memory_is_begun_anew_and_said_so(model, tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(Interrupted):
        generate_to_file(model, path, STEPS, LANES, SEED, progress=stop_after(5_000))
    (tmp_path / ".x.partial.safetensors").write_bytes(b"{}")
    with pytest.warns(TrajlmWarning, match="damaged .*: beginning anew"):
        generate_to_file(model, path, STEPS, LANES, SEED, resume=True)
    np.testing.assert_array_equal(np.load(path), np.array(list(model.generate(STEPS, LANES, SEED))))


def test_command_line_writes_and_resumes(model, tmp_path, capsys):
    model.save(tmp_path / "model")
    command = ["generate", str(tmp_path / "model"), "--steps", "50", "--lanes", "3"]
    path = tmp_path / "x.npy"
    assert cli.run([*command, "--out", str(path), "--resume", "--threads", "1"]) == 0
    np.testing.assert_array_equal(np.load(path), np.array(list(model.generate(50, 3, 0))))
    assert cli.run([*command, "--out", str(tmp_path / "x.npz"), "--resume"]) == 2
    assert "no .npy file" in capsys.readouterr().err
