import os
import shutil
from functools import partial

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from trajlm import cli
from trajlm.data import StateSpace
from trajlm.errors import InputError, Interrupted, OutputError, TrajlmWarning
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
    with pytest.warns(TrajlmWarning, match="damaged .*: starting over"):
        generate_to_file(model, path, STEPS, LANES, SEED, resume=True)
    np.testing.assert_array_equal(np.load(path), np.array(list(model.generate(STEPS, LANES, SEED))))


def test_command_line_writes_and_resumes(model, tmp_path, capsys):
    model.save(tmp_path / "model")
    command = ["generate", str(tmp_path / "model"), "--steps", "50", "--lanes", "3"]
    path = tmp_path / "x.npy"
    assert cli.run([*command, "--out", str(path), "--resume", "--threads", "1"]) == 0
    np.testing.assert_array_equal(np.load(path), np.array(list(model.generate(50, 3, 0))))
    assert cli.run([*command, "--out", str(tmp_path / "x.npz"), "--resume"]) == 2
    assert ".npy" in capsys.readouterr().err


def interrupted(model, path, after=9_000):
    """Leave frames and memory of an interrupted generation; return both paths."""
    with pytest.raises(Interrupted):
        generate_to_file(model, path, STEPS, LANES, SEED, progress=stop_after(after))
    return path.parent / ".x.partial.npy", path.parent / ".x.partial.safetensors"


def cut(array, memory):
    array.write_bytes(array.read_bytes()[:-5000])


def zeroed(array, memory):
    data = array.read_bytes()
    array.write_bytes(data[:128] + bytes(len(data) - 128))


def one_frame(array, memory):
    with array.open("r+b") as file:
        file.seek(128 + 3)
        file.write(bytes([(array.read_bytes()[131] + 1) % 5]))


def other_header(array, memory):
    data = array.read_bytes()
    array.write_bytes(data.replace(b"(60, 400)", b"(400, 60)"))


def changed(name, change, reseal=True):
    def spoil(array, memory):
        with safe_open(memory, "np") as file:
            metadata, arrays = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        arrays = {k: v.copy() for k, v in arrays.items()}
        arrays[name] = change(arrays[name])
        if reseal:
            metadata.pop("sha256")
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, memory, metadata)

    return spoil


def at_first(value):
    def change(array):
        array[0] = value
        return array

    return change


UNFIT = {
    "frames cut": cut,
    "frames zeroed": zeroed,
    "one frame changed": one_frame,
    "another shape": other_header,
    "memory cut": lambda a, m: m.write_bytes(m.read_bytes()[:-9]),
    "memory empty": lambda a, m: m.write_bytes(b""),
    "memory is a folder": lambda a, m: (m.unlink(), m.mkdir()),
    "states of 10^9": changed("states", lambda x: x * 0 + 10**9),
    "states below zero": changed("states", at_first(-1)),
    "states that are no integers": changed("states", lambda x: x.astype(np.float32)),
    "made of -5": changed("made", lambda x: x * 0 - 5),
    "made of too many": changed("made", lambda x: x * 0 + 10**6),
    "made of text": changed("made", lambda x: x.astype(np.float32)),
    "fewer lanes": changed("hidden", lambda x: x[:-1]),
    "other sizes": changed("hidden", lambda x: x[:, :-1]),
    "no number": changed("cell", at_first(np.nan)),
    "a bit flipped": changed("cell", at_first(0.5), reseal=False),
    "checksums gone wrong": changed("checksums", at_first(1)),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_begun_anew_and_said_so(model, tmp_path, name):
    whole, path = tmp_path / "whole.npy", tmp_path / "x.npy"
    generate_to_file(model, whole, STEPS, LANES, SEED, n_threads=1)
    UNFIT[name](*interrupted(model, path))
    if name == "memory is a folder":
        with pytest.raises(OutputError), pytest.warns(TrajlmWarning, match="starting over"):
            generate_to_file(model, path, STEPS, LANES, SEED, resume=True)
        return
    with pytest.warns(TrajlmWarning, match="starting over"):
        generate_to_file(model, path, STEPS, LANES, SEED, resume=True)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["whole.npy", "x.npy"]


def test_memory_of_the_version_before_is_gone_on_with(model, tmp_path):
    """Without checksums and digest."""
    whole, path = tmp_path / "whole.npy", tmp_path / "x.npy"
    generate_to_file(model, whole, STEPS, LANES, SEED)
    _, memory = interrupted(model, path)
    with safe_open(memory, "np") as file:
        metadata, arrays = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    del arrays["checksums"], metadata["sha256"]
    save_file(arrays, memory, metadata)
    told = []
    generate_to_file(model, path, STEPS, LANES, SEED, resume=True, progress=told.append)
    assert told[0] >= 9_000
    assert path.read_bytes() == whole.read_bytes()


def test_long_names_have_partial_files_of_their_own(model, tmp_path):
    paths = [tmp_path / f"{'n' * 120}{k}.npy" for k in range(2)]
    for seed, path in enumerate(paths):
        with pytest.raises(Interrupted):
            generate_to_file(model, path, STEPS, LANES, seed, progress=stop_after(9_000))
    for seed, path in enumerate(paths):
        generate_to_file(model, path, STEPS, LANES, seed, resume=True)
        np.testing.assert_array_equal(
            np.load(path), np.array(list(model.generate(STEPS, LANES, seed)))
        )
    # Names that begin alike are not those of other processes of one generation.
    near = tmp_path / "n.partial2.npy"
    with pytest.raises(Interrupted):
        generate_to_file(model, near, STEPS, LANES, 3, progress=stop_after(9_000))
    generate_to_file(model, tmp_path / "n.npy", STEPS, LANES, 4, resume=True)
    generate_to_file(model, near, STEPS, LANES, 3, resume=True)
    np.testing.assert_array_equal(np.load(near), np.array(list(model.generate(STEPS, LANES, 3))))
