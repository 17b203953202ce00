"""PLUMED COLVAR files: named columns, periodic domains, and the repeats a restart leaves."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.lines import Lines, Rows, read_lines
from trajlm.io.record import Record, Wanted, features_of
from trajlm.io.sources import Columns, PathLike, Paths, listed, read_all
from trajlm.io.table import parse, printed_quantum
from trajlm.provenance import Note
from trajlm.util.arrays import F64

FIELDS = "#! FIELDS"
# Components of PLUMED's biases: METAD, PBMETAD, OPES, RESTRAINT, walls, EXTERNAL, ABMD ...
BIAS_COLUMNS = (
    "bias", "*.bias", "*_bias", "metad.*", "pbmetad.*", "opes.*", "*.rbias", "*.rct", "*.work",
    "*.force2", "*_kappa", "*_fict",
)  # fmt: skip
FACTOR = re.compile(
    r"(?=[\d.p])((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)?(pi)?", re.IGNORECASE | re.ASCII
)
# PLUMED writes all numbers of a file in one format: so many show with how many decimals.
ALL_DECIMALS_FROM = 3


@dataclass
class _Layout:
    """What the lines of a COLVAR file say before any number is read."""

    rows: Rows
    names: tuple[str, ...] = ()
    bounds: dict[str, str] = field(default_factory=dict)
    headers: list[int] = field(default_factory=list)


def read_colvar(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
    *,
    time_column: str | int | None = None,
    split_by: str | int | None = None,
) -> Features:
    """Read PLUMED COLVAR files.

    dt comes from the ``time`` column, in ps (PLUMED's default unit), and periodic domains from
    ``#! SET min_... max_...``. A restarted run writes its header again and then the frames
    since its checkpoint a second time: the later copy stands, as the run went on from it, and
    what was written before from that time on is dropped with a note and a warning. A line cut
    short, the last one or one before a restart, and a frame written twice are dropped likewise.
    Where frames are missing, the record is cut into several trajectories. Columns of a bias
    that is not zero throughout give a warning too: what a biased run visits is not what
    equilibrium visits. Several walkers are a list of files.

    Parameters
    ----------
    path
        A file, or a list of files with the same columns and dt.
    columns
        Names or zero-based numbers (``time`` counts) of the columns to keep; all but ``time``
        when not given.
    dt, unit
        Time between two frames and its unit, instead of what the file says.
    time_column, split_by
        Which column holds the time where it has another name, and which tells trajectories
        apart.

    Raises
    ------
    InputError
        No header, a HILLS or KERNELS file, a grid, a header that changes, text or another
        number of columns in a row, NaN in a column that is used, a time that goes back without
        a restart or is uneven, a restart that leaves nothing of what was before it (each with
        file and line), a column that is not there (the message lists those that are).
    """
    wanted = Wanted(columns, dt, unit, time_column, split_by)
    return read_all(path, lambda one: features_of(colvar_record(one), wanted))


def colvar_record(path: PathLike) -> Record:
    """Return all columns of a PLUMED file, the restarts marked.

    Raises
    ------
    InputError
        As for `read_colvar`, but for the time and what is in the columns.
    """
    lines = read_lines(path)
    layout = _read_header(path, lines)
    names = layout.names
    numbers = parse(
        lines, layout.rows, None, len(names), path, np.array(layout.headers), ALL_DECIMALS_FROM
    )
    if len(numbers.values) == 0:
        raise InputError(f"{path} holds no frame: there are no numbers after its header")
    if "time" not in names and numbers.marks and numbers.marks != (0,):
        raise InputError(f"{path} was restarted but has no column 'time' to find repeated frames")
    return Record(
        path,
        names,
        numbers.values,
        lambda row: f"line {numbers.lines[row] + 1}",
        numbers.texts,
        numbers.faults,
        lambda column: printed_quantum(lines, numbers.lines, None, column),
        numbers.marks,
        tuple(_period(path, layout.bounds, name) for name in names),
        time_unit="ps",
        strict=True,
        notes=numbers.notes + _bias_notes(path, names, numbers.values),
    )


def _read_header(path: PathLike, lines: Lines) -> _Layout:
    """Return what the lines that begin with a hash say, and which lines hold numbers."""
    layout = _Layout(lines.content())
    for k in np.flatnonzero(lines.first == ord("#")).tolist():
        words = lines.text(k).split()
        if words[:2] == ["#!", "FIELDS"]:
            _add_header(path, k + 1, layout, tuple(words[2:]))
        elif words[:2] == ["#!", "SET"] and len(words) == 4:
            _add_bound(path, k + 1, layout, words[2], words[3])
    if not layout.names:
        raise InputError(f"{path} has no '{FIELDS}' line: it is not a PLUMED file")
    if len(layout.rows) and layout.rows[0] < layout.headers[0]:
        raise InputError(
            f"{path}, line {layout.rows[0] + 1}: numbers come before any '{FIELDS}' line, "
            "read the file as plain text if it is none of PLUMED's"
        )
    grid = next((key for key in layout.bounds if key.startswith("nbins_")), None)
    if grid is not None:
        raise InputError(
            f"{path} is a grid over {grid.removeprefix('nbins_')}, such as a free energy or a "
            "histogram, and no trajectory: give the COLVAR file"
        )
    return layout


def _add_header(path: PathLike, number: int, layout: _Layout, names: tuple[str, ...]) -> None:
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}, line {number}: '{FIELDS}' names no column or one twice")
    if "height" in names and any(name.startswith("sigma_") for name in names):
        raise InputError(
            f"{path} is a HILLS or KERNELS file, which lists the hills or kernels of a bias and "
            "not the frames of a trajectory: give the COLVAR file"
        )
    if layout.names and names != layout.names:
        raise InputError(
            f"{path}, line {number}: the columns change after a restart from "
            f"{listed(layout.names)} to {listed(names)}, cut the file there"
        )
    layout.names = names
    layout.headers.append(number - 1)


def _add_bound(path: PathLike, number: int, layout: _Layout, key: str, text: str) -> None:
    if layout.bounds.setdefault(key, text) != text:
        raise InputError(
            f"{path}, line {number}: {key} changes after a restart from {layout.bounds[key]} to "
            f"{text}, cut the file there"
        )


def parse_pi(text: str) -> float | None:
    """Return the value of a product such as ``-pi``, ``2*pi``, ``2pi`` or ``pi/2``, else None."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in ("-", "+") else text
    parts = re.split(r"([*/])", body.replace(" ", ""))
    value = 1.0
    for operator, factor in zip(["*", *parts[1::2]], parts[0::2], strict=True):
        match = FACTOR.fullmatch(factor)
        if match is None:
            return None
        number = float(match[1] or 1) * (math.pi if match[2] else 1)
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


def _bias_notes(path: PathLike, names: Sequence[str], values: F64) -> tuple[Note, ...]:
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
