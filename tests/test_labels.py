"""States that other programs label: missing values, sparse labels, and files that change."""

import re
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pandas  # noqa: F401 - else its import is counted where memory is
import pytest

from trajlm.data import States
from trajlm.discretize import find_difference
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import read_states, write_states
from trajlm.io.arrays import load_npy

S = np.random.default_rng(0).integers(5, size=400)


@pytest.mark.parametrize("missing", [99, 255, 999, 9999, 65535, 2**31 - 1, 2**63 - 1])
@pytest.mark.parametrize("form", ["npy", "npz", "txt", "several"])
def test_a_missing_value_is_asked_about_by_trajectory_and_frame(tmp_path, missing, form):
    s = S.copy().astype(np.int64)
    s[[123, 300]] = missing
    path = tmp_path / f"s.{'npz' if form == 'several' else form}"
    if form == "npy":
        np.save(path, s)
    elif form == "txt":
        np.savetxt(path, s, "%d")
        missing = int(float(missing))
    else:
        np.savez(path, **({"a": s} if form == "npz" else {"a": S, "b": s}))
    tracemalloc.start()
    if form == "txt" and missing > 2**53:
        pytest.skip("not exact in text")
    with pytest.raises(InputError) as error:
        read_states(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    i = 1 if form == "several" else 0
    for part in (str(path), str(missing), f"trajectory {i}, frame 123", "number it 5"):
        assert part in str(error.value)


def test_sparse_labels_are_numbered_and_kept(tmp_path):
    labels = np.array([7, 1200, 5000, 9000, 2**33])
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    np.save(paths[0], labels[S[:200] % 4])
    np.save(paths[1], labels[:4][S[200:] % 4])
    with pytest.warns(TrajlmWarning, match=r"4 labels, 7, 1200, 5000, 9000.*0 to 3"):
        read = read_states(paths)
    np.testing.assert_array_equal(read.trajectories[0], S[:200] % 4)
    np.testing.assert_array_equal(read.centers, labels[:4])
    # The same numbers for other labels are other states.
    np.save(paths[1], (labels[:4] + 1)[S[200:] % 4])
    with pytest.warns(TrajlmWarning):
        other = read_states(paths[1])
    assert find_difference(read.space, other.space)
    write_states(tmp_path / "s.npz", read)
    np.testing.assert_array_equal(read_states(tmp_path / "s.npz").centers, labels[:4])


GAPS = np.setdiff1d(np.arange(341), np.arange(0, 341, 3))


@pytest.mark.parametrize(
    "s",
    [S, S * 20, np.append(S, 49), np.append(S + 30, 99), np.arange(3000) % 1500, np.tile(GAPS, 9)],
)
def test_numbers_stay_what_they_are(tmp_path, s):
    np.save(tmp_path / "s.npy", s)
    read = read_states(tmp_path / "s.npy")
    np.testing.assert_array_equal(read.trajectories[0], s)
    assert read.n_states == s.max() + 1


def test_states_of_ours_keep_their_numbers(tmp_path):
    s = np.where(S == 0, 60_000, S)
    write_states(tmp_path / "s.npz", States((s,), n_states=70_000))
    assert read_states(tmp_path / "s.npz").n_states == 70_000


def test_large_files_are_read_into_the_smallest_type(tmp_path):
    s = np.tile(S, 25_000)  # 80 MB
    s[-1] = 300
    np.save(tmp_path / "s.npy", s)
    tracemalloc.start()
    read = load_npy(tmp_path / "s.npy")
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, s)
    s[5] = -1
    np.save(tmp_path / "s.npy", s)
    np.testing.assert_array_equal(load_npy(tmp_path / "s.npy"), s)


def test_large_files_do_not_change_once_they_are_read(tmp_path):
    path = tmp_path / "s.npy"
    s = np.tile(S.astype(np.uint8), 200_000)  # 80 MB
    np.save(path, s)
    read = read_states(path)
    np.save(path, (s + 1) % 5)
    np.testing.assert_array_equal(read.trajectories[0], s)
    with path.open("r+b") as file:
        file.truncate(1000)
    assert int(read.trajectories[0][-1]) == int(s[-1])


WRITER = """
import sys, numpy as np
s = np.tile(np.arange(5, dtype=np.uint8), 20_000_000)
while True:
    np.save(sys.argv[1], s)
    s = (s + 1) % 5
"""


def test_files_that_are_written_meanwhile_are_refused(tmp_path):
    path = tmp_path / "s.npy"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    try:
        while not path.exists():
            time.sleep(0.05)
        said: list[str] = []
        for _ in range(200):
            # A read between two writes finds a whole file.
            try:
                read_states(path)
            except InputError as error:
                said.append(str(error))
            if len(said) == 5:
                break
        assert said
        assert all(re.search(r"changed while|cut short|is empty", text) for text in said)
    finally:
        writer.kill()
        writer.wait()


def test_another_file_under_the_same_name_is_no_change(tmp_path):
    path = tmp_path / "s.npy"
    s = np.tile(S.astype(np.uint8), 50_000)
    np.save(path, s)
    other = tmp_path / "other.npy"
    stop = threading.Event()

    def replace():
        while not stop.is_set():
            np.save(other, s)
            other.replace(path)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(20):
            assert load_npy(path).shape == s.shape
    finally:
        stop.set()
        thread.join()
