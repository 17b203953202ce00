"""From columns of a file to Features: which are coordinates, which the time, which split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError, TrajlmNote, TrajlmWarning
from trajlm.io.clock import Rows, Timeline, Times, follow
from trajlm.io.names import canonical_unit, is_counter, is_molecule, is_second_clock, time_unit
from trajlm.io.sources import (
    UNNAMED_UNIT,
    Columns,
    PathLike,
    build,
    listed,
    select_index,
    time_of,
)
from trajlm.provenance import Note
from trajlm.util.arrays import F64
from trajlm.util.warn import warn

Period = tuple[float, float] | None

# Of fewer frames it says nothing that a column rises evenly.
LOOKS_LIKE_A_TIME_FROM = 10
SINGLE_PRECISION = 2.4e-7
# Rows of one value that may be a trajectory, in a column without a name.
LEAST_BLOCK = 5


@dataclass(frozen=True)
class Wanted:
    """What the user says of a file.

    Parameters
    ----------
    columns
        To keep; None for all coordinates.
    dt, unit
        Time between two frames.
    time_column, split_by
        Which column holds the time, and which tells trajectories apart.
    header_lines
        How many lines of a text file stand above its numbers.
    """

    columns: Columns | None = None
    dt: float | None = None
    unit: str | None = None
    time_column: str | int | None = None
    split_by: str | int | None = None
    header_lines: int | None = None


@dataclass(frozen=True)
class Record:
    """A file as it stands: all its columns.

    Parameters
    ----------
    path
        Named in messages.
    names, values
        Of the columns, (d,) and (n, d); NaN where a column holds text.
    place
        ``line 12`` or ``frame 11`` of a row.
    texts
        The words of columns that hold text, by column.
    faults
        The first text in a column that else holds numbers: row and what is wrong.
    quantum
        The step in which a column is printed.
    marks
        Rows before which a restart may have left off.
    time_unit
        Of the time where its name does not say it.
    named
        Whether the names are those of the file, not numbers.
    strict
        Whether the time is sure to be one, so that it must be even.
    notes, remarks
        What was dropped or looks odd, and what is most likely right as it was taken.
    """

    path: PathLike
    names: tuple[str, ...]
    values: F64
    place: Callable[[int], str]
    texts: dict[int, list[str]] = field(default_factory=dict)
    faults: dict[int, tuple[int, str]] = field(default_factory=dict)
    quantum: Callable[[int], float] = lambda column: 0.0
    marks: tuple[int, ...] = ()
    periods: tuple[Period, ...] = ()
    units: tuple[str, ...] = ()
    time_unit: str = UNNAMED_UNIT
    named: bool = True
    strict: bool = False
    notes: tuple[Note, ...] = ()
    remarks: tuple[Note, ...] = ()

    def values_of(self, column: int) -> F64 | list[str]:
        """Return the numbers of a column, or its words."""
        return self.texts.get(column, self.values[:, column])


def warn_of(notes: Sequence[Note], category: type[UserWarning] = TrajlmWarning) -> None:
    """Warn of what a reader dropped, cut or took for something."""
    for note in notes:
        warn(note.text, category)


def features_of(record: Record, wanted: Wanted) -> Features:
    """Return the coordinates of a record, split into trajectories, with its time.

    A time, counts of frames or steps, columns of text and, of several columns, a first one that
    rises evenly are no coordinates unless they are asked for by name.

    Raises
    ------
    InputError
        Columns that are not there, text or NaN in one that is used, a time that goes back.
    """
    asked = None
    if wanted.columns is not None:
        asked = select_index(record.names, wanted.columns, record.path)
    clock, clock_unit = _clock(record, wanted)
    split, found = _split(record, wanted, clock, asked or [])
    notes = record.notes + found
    used, more = _coordinates(record, asked, clock, split)
    notes += more
    checked = sorted({*used, *([clock] if clock is not None else [])})
    check_numbers(record, checked)
    groups = _groups(record, split) if split is not None else [np.arange(len(record.values))]
    lines = [_follow(record, clock, rows, asked or []) for rows in groups]
    notes += tuple(dict.fromkeys(note for line in lines for note in line.notes))
    is_time = clock is not None and _is_time(record, clock, wanted)
    file_dt = None
    if is_time:
        file_dt, uneven = _common_dt(record, lines, wanted, clock_unit or UNNAMED_UNIT)
        notes += uneven
    warn_of(notes)
    warn_of(record.remarks, TrajlmNote)
    unit = (clock_unit or record.time_unit) if file_dt is not None else "frame"
    dt = wanted.dt
    if dt is None and wanted.unit is not None and file_dt is not None and clock_unit is None:
        dt = file_dt if record.time_unit != UNNAMED_UNIT else None  # PLUMED's ps is a default
    return build(
        record.path,
        [_taken(record.values, rows, used) for line in lines for rows in line.pieces],
        names=tuple(record.names[k] for k in used),
        periods=tuple(record.periods[k] for k in used) if record.periods else (),
        notes=(*record.remarks, *notes),
        **time_of(dt, wanted.unit, file_dt, unit),
    )


def _taken(values: F64, rows: Rows, used: Sequence[int]) -> F64:
    """Return some rows and columns, with no more than one copy of them."""
    whole = len(rows) and int(rows[-1] - rows[0]) + 1 == len(rows)
    taken = values[int(rows[0]) : int(rows[-1]) + 1] if whole else values[rows]
    return taken[:, list(used)]


def check_numbers(record: Record, used: Sequence[int]) -> None:
    """Refuse text, NaN and infinity in the columns that are used; the others do not matter.

    Raises
    ------
    InputError
        The first such value, with its place and column.
    """
    worst: tuple[int, str] | None = None
    for k in used:
        if k in record.texts:
            raise InputError(
                f"{record.path}, {record.place(0)}: the text {record.texts[k][0][:40]!r} stands "
                f"where a number belongs, in column {record.names[k]!r}: choose other columns"
            )
        found = record.faults.get(k)
        bad = ~np.isfinite(record.values[:, k])
        if found is None and bad.any():
            row = int(np.argmax(bad))
            value = record.values[row, k]
            name = record.names[k]
            found = row, f"{value} in column {name!r}, remove or repair it before going on"
        if found is not None and record.named and k in record.faults and len(record.names) > 1:
            found = (
                found[0],
                f"{found[1]}, in column {record.names[k]!r}: choose columns or mend it",
            )
        if found is not None and (worst is None or found[0] < worst[0]):
            worst = found
    if worst is not None:
        raise InputError(f"{record.path}, {record.place(worst[0])}: {worst[1]}")


def rises_evenly(x: F64) -> bool:
    """Return whether numbers rise in equal steps, as times and the points of a grid do."""
    if len(x) < LOOKS_LIKE_A_TIME_FROM or not np.isfinite(x).all():
        return False
    steps = np.diff(x)
    step = float(np.median(steps))
    if step <= 0:
        return False
    tolerance = max(0.02 * step, SINGLE_PRECISION * float(np.abs(x).max()))
    return bool((np.abs(steps - step) <= min(tolerance, 0.4 * step)).mean() >= 0.9)


def _clock(record: Record, wanted: Wanted) -> tuple[int | None, str | None]:
    """Return the column of the time, else of a count of frames, and the unit in its name."""
    if wanted.time_column is not None:
        column = select_index(record.names, wanted.time_column, record.path)[0]
        return column, _unit_at(record, column)
    if len(record.values) < 2 and not record.strict:
        return None, None
    times = [k for k, name in enumerate(record.names) if record.named and time_unit(name)[0]]
    times = [k for k in times if k not in record.texts]
    if times:
        first = min(times, key=lambda k: (is_second_clock(record.names[k]), k))
        return first, _unit_at(record, first)
    counters = [k for k, name in enumerate(record.names) if record.named and is_counter(name)]
    counters = [k for k in counters if k not in record.texts and k not in record.faults]
    finite = [k for k in counters if np.isfinite(record.values[:, k]).all()]
    return (finite[0] if finite and len(record.names) > 1 else None), None


def _unit_at(record: Record, column: int) -> str | None:
    unit = time_unit(record.names[column])[1]
    if unit is None and record.units:
        unit = canonical_unit(record.units[column]) or None
    return unit


def _is_time(record: Record, column: int, wanted: Wanted) -> bool:
    return wanted.time_column is not None or time_unit(record.names[column])[0]


def _split(
    record: Record, wanted: Wanted, clock: int | None, asked: Sequence[int]
) -> tuple[int | None, tuple[Note, ...]]:
    """Return the column that tells trajectories apart, and a note where it was only found."""
    if wanted.split_by is not None:
        return select_index(record.names, wanted.split_by, record.path)[0], ()
    for k, name in enumerate(record.names):
        if k == clock or k in asked or len(record.names) == 1:
            continue
        words = record.values_of(k)
        whole = k in record.texts or _is_whole(record.values[:, k])
        by_name = record.named and is_molecule(name)
        unnamed = not record.named and k == 0
        if not whole or not (by_name or unnamed or k in record.texts):
            continue
        n, in_order = _blocks(words)
        if not (by_name or k in record.texts):
            in_order = in_order and _counts_up(record.values[:, k])
        if n > 1 and (in_order or by_name):
            text = (
                f"{record.path}: column {name!r} changes with the rows as the number of a molecule "
                f"or run does, so the rows were split by it into {n} trajectories: name it as the "
                "column to split by, or ask for it as a coordinate"
            )
            return k, (Note(text, "columns"),)
    return None, ()


def _is_whole(x: F64) -> bool:
    return bool(np.isfinite(x).all() and (x == np.floor(x)).all())


def _counts_up(x: F64) -> bool:
    """Return whether whole numbers count blocks of rows: 1 1 1 ... 2 2 2 ... 3 3 3 ..."""
    steps = np.diff(x)
    counts = np.bincount(np.cumsum(np.concatenate([[0], steps == 1])))
    return bool(x[0] in (0, 1) and np.isin(steps, (0, 1)).all() and counts.min() >= LEAST_BLOCK)


def _blocks(words: F64 | list[str]) -> tuple[int, bool]:
    """Return how many values repeat, and whether each fills one block or they take turns."""
    _, codes = np.unique(np.asarray(words), return_inverse=True)
    counts = np.bincount(codes)
    n = len(counts)
    if counts.min() < 2 or 2 * n > len(codes):
        return 1, False
    changes = int((np.diff(codes) != 0).sum())
    turns = n > 1 and len(codes) % n == 0 and (codes.reshape(-1, n) == codes[:n]).all()
    turns = bool(turns and len(set(codes[:n].tolist())) == n)
    return n, changes == n - 1 or turns


def _groups(record: Record, split: int) -> list[Rows]:
    """Return the rows of each trajectory, in the order in which they first appear.

    A column that rises and begins anew, as a time does, splits where it begins anew.
    """
    words = record.values_of(split)
    if isinstance(words, np.ndarray):
        if not np.isfinite(words).all():
            check_numbers(record, [split])
        steps = np.diff(words)
        falls = np.flatnonzero(steps < 0) + 1
        if len(falls) and (np.delete(steps, falls - 1) > 0).all():
            return np.split(np.arange(len(words)), falls)
    _, first, codes = np.unique(np.asarray(words), return_index=True, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return [groups[k] for k in np.argsort(first)]


def _coordinates(
    record: Record, asked: list[int] | None, clock: int | None, split: int | None
) -> tuple[list[int], tuple[Note, ...]]:
    """Return the columns to keep, and notes on those that look like something else."""
    if asked is not None:
        return asked, ()
    left_out = {k for k in (clock, split) if k is not None}
    notes: tuple[Note, ...] = ()
    for k, name in enumerate(record.names):
        if record.named and (is_counter(name) or time_unit(name)[0]):
            left_out.add(k)
    if record.texts and len(record.names) > len(record.texts):
        unasked = [k for k in record.texts if k not in left_out]
        left_out |= set(record.texts)
        worded = [record.names[k] for k in unasked if any(record.texts[k])]
        if worded:
            text = f"{record.path}: column(s) {listed(worded)} hold text and were left out"
            notes += (Note(text, "columns"),)
    rest = [k for k in range(len(record.names)) if k not in left_out]
    if not rest:  # a single column, whatever its name
        return [k for k in range(len(record.names)) if k not in record.texts], notes
    if len(rest) > 1 and rest[0] == 0 and rises_evenly(record.values[:, 0]):
        falls = np.flatnonzero(np.diff(record.values[:, 0]) < 0)
        if len(falls) and split is None:
            raise InputError(
                f"{record.path}, {record.place(int(falls[0]) + 1)}: the first column, "
                f"{record.names[0]!r}, rises evenly like a time and then goes back, as where "
                "several trajectories are stacked in one file: give it as the column that splits "
                "them, or ask for it as a coordinate"
            )
        rest = rest[1:]
        text = (
            f"{record.path}: the first column, {record.names[0]!r}, rises evenly like a time and "
            "was left out: name it as the time column, or ask for it as a coordinate"
        )
        notes += (Note(text, "columns"),)
    return rest, notes


def _follow(record: Record, clock: int | None, rows: Rows, asked: Sequence[int]) -> Timeline:
    if clock is None:
        return Timeline(None, (rows,))
    name = record.names[clock]
    counts = not time_unit(name)[0] and is_counter(name)
    if counts and clock in asked:
        return Timeline(None, (rows,))  # a coordinate, as the user says

    def same_row(k: int) -> bool:
        one, other = record.values[rows[k]], record.values[rows[k - 1]]
        return bool(np.array_equal(one, other, equal_nan=True))

    remedy = (
        "as where several trajectories are stacked in one file: give the column that splits them, "
        "or give each its own file (or rename the column if it is not a time)"
    )
    found = follow(
        Times(
            record.values[rows, clock],
            record.path,
            lambda k: record.place(int(rows[k])),
            record.quantum(clock),
            marks=np.searchsorted(rows, record.marks).tolist(),
            same_row=same_row,
            remedy=remedy,
        )
    )
    pieces = tuple(rows[piece] for piece in found.pieces)
    return Timeline(found.dt, pieces, found.notes, found.uneven)


def _common_dt(
    record: Record, lines: Sequence[Timeline], wanted: Wanted, unit: str
) -> tuple[float | None, tuple[Note, ...]]:
    """Return the dt that all trajectories of a file share, and a note where there is none."""
    uneven = next((line.uneven for line in lines if line.uneven), None)
    if uneven is not None:
        if wanted.dt is None and (record.strict or "all times are" in uneven):
            raise InputError(f"{uneven}; give dt, and the time is left out")
        dt = f"{wanted.dt or 1.0:g}"
        text = f"{uneven}, so dt is not taken from it and stays {dt}"
        return None, (Note(text, "uneven time"),)
    steps = [line.dt for line in lines if line.dt is not None]
    if not steps:
        if wanted.dt is None and record.strict:
            raise InputError(f"{record.path} holds one frame only, so dt is unknown: give dt")
        return None, ()
    if any(not math.isclose(step, steps[0], rel_tol=1e-3) for step in steps):
        low, high = min(steps), max(steps)
        raise InputError(
            f"{record.path} holds trajectories of different dt, {low:g} to {high:g} {unit}: give "
            "each its own file"
        )
    return steps[0], ()


def are_columns(arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Return whether named arrays are the columns of one trajectory rather than trajectories.

    They are where all hold one number a frame and are of one length, and one of them is named
    as a time, or their names differ by more than a number.
    """
    flat = [x for x in arrays.values() if x.dtype.kind in "biuf" and x.size == max(x.shape or (0,))]
    if len(flat) != len(arrays) or len(arrays) < 2 or len({x.size for x in flat}) > 1:
        return False
    if flat[0].size < 2:
        return False
    stems = {re.sub(r"[\W_]*\d+\Z", "", name) for name in arrays}
    return any(time_unit(name)[0] for name in arrays) or len(stems) == len(arrays)


def columns_record(arrays: Mapping[str, npt.NDArray[Any]], path: PathLike) -> Record:
    """Return arrays of one length as the columns of a record."""
    table = np.column_stack([np.asarray(x, np.float64).ravel() for x in arrays.values()])
    return replace(table_record(table, tuple(arrays), path), named=True)


def table_record(table: npt.NDArray[Any], names: tuple[str, ...], path: PathLike) -> Record:
    """Return an array of shape (n, d) without names of its own as a record."""
    values = np.asarray(table, np.float64)
    return Record(path, names, values, lambda row: f"frame {row}", named=False)


def looks_odd(table: npt.NDArray[Any]) -> bool:
    """Return whether the first of several columns rises as a time, or counts trajectories."""
    if table.shape[1] < 2 or table.dtype.kind not in "biuf":
        return False
    first = np.asarray(table[:, 0], np.float64)
    return rises_evenly(first) or (_is_whole(first) and len(first) > 1 and _counts_up(first))
