"""PLUMED COLVAR files: named columns, periodic domains, and the repeats a restart leaves."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.sources import (
    Columns,
    PathLike,
    Paths,
    build,
    first_bad_step,
    listed,
    read_all,
    select_index,
    time_of,
)
from trajlm.io.table import (
    check_finite,
    check_forward,
    is_number,
    parse_rows,
    quantum_of_column,
    read_lines,
)
from trajlm.provenance import Note
from trajlm.util.warn import warn

FIELDS = "#! FIELDS"
# Components of PLUMED's biases: METAD, PBMETAD, OPES, RESTRAINT, walls, EXTERNAL, ABMD ...
BIAS_COLUMNS = (
    "bias", "*.bias", "*_bias", "metad.*", "pbmetad.*", "opes.*", "*.rbias", "*.rct", "*.work",
    "*.force2", "*_kappa", "*_fict",
)  # fmt: skip
# What METAD writes to its HILLS file: one line a deposited hill, not a trajectory.
HILLS_COLUMNS = {"height", "biasf"}
FACTOR = re.compile(r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|pi)", re.IGNORECASE | re.ASCII)
BEGUN = re.compile(r"[+-]?\d*\.?\d*(?:e[+-]?\d*)?", re.IGNORECASE | re.ASCII)


@dataclass
class _Layout:
    """What the lines of a COLVAR file say before any number is read."""

    names: tuple[str, ...] = ()
    bounds: dict[str, str] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    line_numbers: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # the row that follows each header
    last_line: int = 0  # number of the last line that is not blank
    ends_with_newline: bool = True


def read_colvar(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
) -> Features:
    """Read PLUMED COLVAR files, one file a trajectory.

    dt comes from the ``time`` column, in ps (PLUMED's default unit), and periodic domains from
    ``#! SET min_... max_...``. A restarted run writes its header again and then the frames
    since its checkpoint a second time: the later copy stands, as the run went on from it, and
    what was written before from that time on is dropped with a note and a warning. A last
    line cut short is dropped likewise. Columns of a bias that is not zero throughout give a
    warning too: what a biased run visits is not what equilibrium visits. Several walkers are
    a list of files.

    Parameters
    ----------
    path
        A file, or a list of files with the same columns and dt.
    columns
        Names or zero-based numbers (``time`` counts) of the columns to keep; all but ``time``
        when not given.
    dt, unit
        Time between two frames and its unit, instead of what the file says.

    Raises
    ------
    InputError
        No header, a HILLS file, a header that changes, text or another number of columns in a
        row, NaN in a column that is used, a time that goes back without a restart, a restart
        that leaves nothing of what was before it, a missing frame (each with file and line), a
        column that is not there (the message lists those that are).
    """
    return read_all(path, lambda one: _read_one(one, columns, dt, unit))


def _read_one(
    path: PathLike, columns: Columns | None, dt: float | None, unit: str | None
) -> Features:
    layout = _scan(path, read_lines(path))
    notes = _drop_cut_line(path, layout)
    if not layout.rows:
        raise InputError(f"{path} holds no frame: there are no numbers after its header")
    names = layout.names
    index = [k for k, n in enumerate(names) if n != "time"]
    if columns is not None:
        index = select_index(names, columns, path)
    line_numbers = np.array(layout.line_numbers, dtype=np.int64)
    values = parse_rows(layout.rows, line_numbers, None, names, path)
    used = [*index, names.index("time")] if "time" in names else index
    check_finite(values, used, line_numbers, names, path)
    notes += _bias_notes(path, names, values)
    file_clock: tuple[float | None, str] = (None, "frame")
    if "time" in names:
        kept, step, more = _follow_time(path, layout, values[:, names.index("time")], line_numbers)
        values = values[kept]
        notes += more
        if step is None and dt is None:
            raise InputError(f"{path} holds one frame only, so dt is unknown: give dt")
        file_clock = (step, "ps")
    elif len(layout.starts) > 1:
        raise InputError(f"{path} was restarted but has no column 'time' to find repeated frames")
    for note in notes:
        warn(note.text)
    # PLUMED's ps is what goes without saying: another unit alone renames it.
    clock = time_of(file_clock[0] if dt is None and unit else dt, unit, *file_clock)
    periods = tuple(_period(path, layout.bounds, names[k]) for k in index)
    chosen = tuple(names[k] for k in index)
    return build(path, [values[:, index]], names=chosen, periods=periods, notes=notes, **clock)


def _scan(path: PathLike, lines: Sequence[str]) -> _Layout:
    layout = _Layout(ends_with_newline=not lines[-1])
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words:
            layout.last_line = number
        if words[:2] == ["#!", "FIELDS"]:
            _add_header(path, number, layout, tuple(words[2:]))
        elif words[:2] == ["#!", "SET"] and len(words) == 4:
            _add_bound(path, number, layout, words[2], words[3])
        elif words and not words[0].startswith("#"):
            if not layout.names:
                raise InputError(
                    f"{path}, line {number}: numbers come before any '{FIELDS}' line, "
                    "read the file as plain text if it is none of PLUMED's"
                )
            layout.rows.append(line)
            layout.line_numbers.append(number)
    if not layout.names:
        raise InputError(f"{path} has no '{FIELDS}' line: it is not a PLUMED file")
    return layout


def _add_header(path: PathLike, number: int, layout: _Layout, names: tuple[str, ...]) -> None:
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}, line {number}: '{FIELDS}' names no column or one twice")
    if set(names) >= HILLS_COLUMNS:
        raise InputError(
            f"{path} is a HILLS file, the hills of a metadynamics and not its trajectory: give the "
            "COLVAR file"
        )
    if layout.names and names != layout.names:
        raise InputError(
            f"{path}, line {number}: the columns change after a restart from "
            f"{listed(layout.names)} to {listed(names)}, cut the file there"
        )
    layout.names = names
    layout.starts.append(len(layout.rows))


def _add_bound(path: PathLike, number: int, layout: _Layout, key: str, text: str) -> None:
    if layout.bounds.setdefault(key, text) != text:
        raise InputError(
            f"{path}, line {number}: {key} changes after a restart from {layout.bounds[key]} to "
            f"{text}, cut the file there"
        )


def parse_pi(text: str) -> float | None:
    """Return the value of a product such as ``-pi``, ``2*pi`` or ``pi/2``, else None."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in ("-", "+") else text
    parts = re.split(r"([*/])", body.replace(" ", ""))
    value = 1.0
    for operator, factor in zip(["*", *parts[1::2]], parts[0::2], strict=True):
        if not FACTOR.fullmatch(factor):
            return None
        number = math.pi if factor.lower() == "pi" else float(factor)
        if operator == "/" and number == 0:
            return None
        value = value * number if operator == "*" else value / number
    return sign * value if math.isfinite(value) else None


def _period(path: PathLike, bounds: dict[str, str], name: str) -> tuple[float, float] | None:
    texts = [bounds.get(f"min_{name}"), bounds.get(f"max_{name}")]
    if texts == [None, None]:
        return None
    low, high = (None if text is None else parse_pi(text) for text in texts)
    if low is None or high is None or not low < high:
        raise InputError(
            f"{path}: the 'SET' lines give {name} the periodic domain {texts[0]} to {texts[1]}, "
            "which has no meaning"
        )
    return (low, high)


def _bias_notes(
    path: PathLike, names: Sequence[str], values: npt.NDArray[np.float64]
) -> tuple[Note, ...]:
    # A wall that was never reached leaves a column of zeros and the data as it is.
    found = [
        name
        for name, column in zip(names, values.T, strict=True)
        if any(fnmatchcase(name, pattern) for pattern in BIAS_COLUMNS) and column.any()
    ]
    if not found:
        return ()
    text = (
        f"{path} holds the bias column(s) {listed(found)}: biased data is not equilibrium data, "
        "its populations and rates are not those of the molecule"
    )
    return (Note(text, "bias"),)


def _drop_cut_line(path: PathLike, layout: _Layout) -> tuple[Note, ...]:
    """Take the last row away when the run was killed while it wrote it."""
    if not layout.rows or not _is_cut(layout):
        return ()
    layout.rows.pop()
    number = layout.line_numbers.pop()
    text = f"{path}, line {number}: the last line is cut short and was dropped"
    return (Note(text, "cut line"),)


def _is_cut(layout: _Layout) -> bool:
    if layout.line_numbers[-1] != layout.last_line:
        return False
    *complete, last = layout.rows[-1].split()
    if not all(is_number(word) for word in complete) or not BEGUN.fullmatch(last):
        return False
    if len(complete) + 1 < len(layout.names):
        return True
    if layout.ends_with_newline or len(complete) + 1 > len(layout.names):
        return False
    # All columns are there but the line end is not: the last number may lack digits.
    above = {_n_decimals(row.split()[-1]) for row in layout.rows[-4:-1]}
    fixed_format = len(layout.rows) > 3 and len(above) == 1
    return not is_number(last) or (fixed_format and _n_decimals(last) < max(above))


def _n_decimals(word: str) -> int:
    return len(word.partition(".")[2])


def _follow_time(
    path: PathLike,
    layout: _Layout,
    times: npt.NDArray[np.float64],
    line_numbers: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], float | None, tuple[Note, ...]]:
    """Return the rows that stand after all restarts, the time step and the notes."""
    borders = [*layout.starts, len(times)]
    blocks = [np.arange(a, b) for a, b in pairwise(borders) if b > a]
    for block in blocks:
        remedy = f"but no '{FIELDS}' line of a restart stands before it: cut the file there"
        check_forward(times[block], line_numbers[block], path, remedy, strictly=True)
    steps = np.concatenate([np.diff(times[block]) for block in blocks])
    slack = 0.1 * float(np.median(steps)) if len(steps) else 0.0
    kept = blocks[0]
    notes = []
    for block in blocks[1:]:
        start = times[block[0]]
        n_before = int(np.searchsorted(times[kept], start - slack))
        n_repeated = len(kept) - n_before
        if start < times[kept[0]] - slack:
            raise InputError(
                f"{path}, line {line_numbers[block[0]]}: a restart at time {start:.10g} lies "
                f"before the first frame, {times[kept[0]]:.10g}: give each run its own file"
            )
        # One frame is what a run leaves that is stopped at its start; more are a run.
        if n_before == 0 and n_repeated > 1:
            raise InputError(
                f"{path}, line {line_numbers[block[0]]}: the time begins anew at {start:.10g}, so "
                f"that all {n_repeated} frames before it would be dropped: these are two runs in "
                "one file, give each its own file"
            )
        if n_repeated:
            frames = "frame" if n_repeated == 1 else "frames"
            text = (
                f"{path}: {n_repeated} repeated {frames} after a restart at time {start:.10g} "
                "were dropped, the later copy stands"
            )
            notes.append(Note(text, "restart"))
        kept = np.concatenate([kept[:n_before], block])
    return kept, _even_step(path, layout, times[kept], line_numbers[kept]), tuple(notes)


def _even_step(
    path: PathLike,
    layout: _Layout,
    times: npt.NDArray[np.float64],
    line_numbers: npt.NDArray[np.int64],
) -> float | None:
    if len(times) < 2:
        return None
    quantum = quantum_of_column(layout.rows, None, layout.names.index("time"))
    step, _, bad = first_bad_step(times, quantum)
    if bad is not None:
        raise InputError(
            f"{path}, line {line_numbers[bad]}: the time goes from {times[bad - 1]:.10g} to "
            f"{times[bad]:.10g} where a step of {step:.6g} was expected, cut the file at the gap "
            "and give the pieces as files, side by side"
        )
    return step
