"""Warnings name the line outside the package that called into it."""

import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import trajlm

SOURCE = Path(trajlm.__file__).parent


def text_with_a_gap(folder):
    times = np.concatenate([np.arange(50), np.arange(60, 100)]) * 0.1
    np.savetxt(folder / "x.txt", np.column_stack([times, times % 1]), header="time x")
    return folder / "x.txt"


def colvar_that_restarts(folder):
    lines = []
    for frames in (range(50), range(40, 90)):
        lines += ["#! FIELDS time phi", *(f"{0.2 * t:.3f} {t % 7}" for t in frames)]
    (folder / "COLVAR").write_text("\n".join(lines) + "\n")
    return folder / "COLVAR"


def states_file(folder):
    np.save(folder / "s.npy", np.array([0, 1, 0, 1]))
    return folder / "s.npy"


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (text_with_a_gap, lambda path: trajlm.read_text(path)),
        (text_with_a_gap, lambda path: trajlm.read_features([path, path])),
        (colvar_that_restarts, lambda path: trajlm.read_colvar(path)),
        (colvar_that_restarts, lambda path: trajlm.read_features(path)),
        (states_file, lambda path: trajlm.read_states(path, dt=0.1)),
    ],
)
def test_a_warning_names_the_line_of_the_user(make, read, tmp_path):
    path = make(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path)
    ours = [w for w in caught if issubclass(w.category, trajlm.TrajlmWarning)]
    assert ours
    for warning in ours:
        assert warning.filename == __file__
        assert warning.lineno == inspect.getsourcelines(read)[1]


def test_the_default_filter_shows_it_once_a_line(tmp_path):
    path = states_file(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        f"import trajlm\nfor _ in range(3):\n    trajlm.read_states({str(path)!r}, dt=0.1)\n"
    )
    shown = subprocess.run([sys.executable, str(script)], capture_output=True, text=True).stderr
    assert shown.count("TrajlmWarning") == 1
    assert f"{script}:3: TrajlmWarning" in shown


def test_no_frame_is_counted_by_hand():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"stacklevel=|warnings\.warn\(", text), path
