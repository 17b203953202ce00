"""Plain text and CSV: columns of numbers with an optional header line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.gaps import Segments, clear_gaps, even_segments, segments
from trajlm.io.sources import (
    UNNAMED_UNIT,
    Columns,
    PathLike,
    Paths,
    build,
    read_all,
    select_index,
    time_of,
)
from trajlm.io.table import (
    check_finite,
    check_forward,
    check_points,
    is_number,
    parse_rows,
    quantum_of_column,
    read_lines,
    split_row,
)
from trajlm.provenance import Note
from trajlm.util.warn import warn

COMMENT = ("#", "%", "@")
TIME_NAME = re.compile(r"(?:time|t)(?:[\s(\[/_]+(fs|ps|ns|us|µs|ms|s)[)\]]?)?", re.IGNORECASE)
XVG_NAME = re.compile(r'\s*@\s*(?:xaxis\s+label|s(\d{1,4})\s+legend)\s+"([^"]*)"', re.ASCII)


@dataclass(frozen=True)
class Table:
    """A text file as it stands: all columns (n, d), and the line each row came from."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    line_numbers: npt.NDArray[np.int64]
    rows: list[str]
    separator: str | None
    notes: tuple[Note, ...]


def read_text(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
) -> Features:
    """Read columns of numbers from plain text, CSV or xvg, one file a trajectory.

    Columns are separated by commas, semicolons, tabs or blanks; line ends may be LF, CRLF or
    bare CR. Lines that start with ``#``, ``%`` or ``@`` are comments. One line of words before
    the numbers names the columns when there are as many words as columns; it may be a comment
    with ``#``, as ``numpy.savetxt`` writes it, when one of the words is the name of a time.
    An xvg file names the first column by its x axis and the others by their legends.

    An evenly spaced column named ``time`` or ``t`` (a unit may follow, as in ``time (ps)``)
    gives dt and is left out unless it is asked for. Where it jumps ahead, frames are missing:
    the record is cut there into several trajectories, and a warning says so. A time that is
    not evenly spaced otherwise, or is printed too coarsely to be, stays a column like any
    other, with a warning; the record is still cut where it clearly jumps.

    Parameters
    ----------
    path
        A file, or a list of files with the same columns and dt.
    columns
        Names or zero-based numbers of the columns to keep, all when not given.
    dt, unit
        Time between two lines and its unit, instead of what the file says; 1 frame when
        neither says anything.

    Raises
    ------
    InputError
        Text where a number belongs, ragged rows, decimal commas, NaN in a column that is used,
        a time that goes backwards (each with file and line), a column that is not there.
    """
    return read_all(path, lambda one: _read_one(one, columns, dt, unit))


def _read_one(
    path: PathLike, columns: Columns | None, dt: float | None, unit: str | None
) -> Features:
    table = _parse(path)
    every = list(range(len(table.names)))
    chosen = every if columns is None else select_index(table.names, columns, path)
    file_clock: tuple[float | None, str] = (None, "frame")
    notes = table.notes
    pieces: tuple[slice, ...] = (slice(None),)
    time_column = next((k for k, n in enumerate(table.names) if TIME_NAME.fullmatch(n)), None)
    if len(table.values) == 1:
        time_column = None
    used = chosen if time_column is None else [*chosen, time_column]
    check_finite(table.values, used, table.line_numbers, table.names, path)
    if time_column is not None:
        found, uneven = _spacing(table, time_column, path)
        pieces = found.pieces
        if uneven is None:
            match = TIME_NAME.fullmatch(table.names[time_column])
            file_unit = match.group(1) if match else None
            file_clock = (found.dt, file_unit or UNNAMED_UNIT)
            if columns is None and len(every) > 1:
                chosen = [k for k in every if k != time_column]
        else:
            notes = (*notes, _warn_uneven(path, table.names[time_column], uneven, dt or 1.0))
        notes = (*notes, *found.notes)
    return build(
        path,
        [table.values[piece][:, chosen] for piece in pieces],
        names=tuple(table.names[k] for k in chosen),
        notes=notes,
        **time_of(dt, unit, *file_clock),
    )


def _spacing(table: Table, column: int, path: PathLike) -> tuple[Segments, int | None]:
    """Return the stretches of a time column without gaps, and the line where they are not even."""
    times = table.values[:, column]
    remedy = "give each trajectory its own file (or rename the column if it is not a time)"
    check_forward(times, table.line_numbers, path, remedy, strictly=False)
    quantum = quantum_of_column(table.rows, table.separator, column)
    found = even_segments(times, quantum)
    if isinstance(found, int):
        uneven, found = int(table.line_numbers[found]), (1.0, clear_gaps(times))
    else:
        uneven = None
    return segments(times, *found, path, "line", table.line_numbers), uneven


def _warn_uneven(path: PathLike, name: str, line: int, dt: float) -> Note:
    note = (
        f"{path}, line {line}: the column {name!r} is not evenly spaced, so dt is not taken "
        f"from it and stays {dt:g}"
    )
    warn(note)
    return Note(note, "uneven time")


def read_table(path: PathLike) -> Table:
    """Read all columns of a text file.

    Raises
    ------
    InputError
        No line of numbers, text where a number belongs, ragged rows, decimal commas, NaN.
    """
    table = _parse(path)
    every = range(len(table.names))
    check_finite(table.values, every, table.line_numbers, table.names, path)
    return table


def _parse(path: PathLike) -> Table:
    """Return all columns of a text file; NaN may stand in them."""
    lines = read_lines(path)
    kept = [
        (row, number)
        for number, row in enumerate(lines, 1)
        if row and not row.isspace() and not row.lstrip().startswith(COMMENT)
    ]
    if not kept:
        raise InputError(f"{path} holds no line of numbers: it is empty or all comments")
    rows = [row for row, _ in kept]
    line_numbers = np.fromiter((number for _, number in kept), np.int64, len(kept))
    header = rows[0] if _is_header(rows[0]) else None
    commented = None if header is not None else _names_in_comment(lines, kept[0])
    if header is not None:
        rows, line_numbers = rows[1:], line_numbers[1:]
        if not rows:
            raise InputError(f"{path} holds no line of numbers: only the text {header[:40]!r}")
    separator = _separator(rows[0])
    n_columns = len(split_row(rows[0], separator))
    if separator == "," and n_columns == 2:
        check_points(header, rows, int(line_numbers[0]), path)
    names, notes = _names(header, separator, n_columns, path)
    if commented is not None and len(commented) == n_columns:
        names = commented
    if header is None and commented is None:
        names = _names_of_xvg(lines[: kept[0][1]], n_columns) or names
    values = parse_rows(rows, line_numbers, separator, names, path)
    return Table(names, values, line_numbers, rows, separator, notes)


def _names_in_comment(lines: Sequence[str], first: tuple[str, int]) -> tuple[str, ...] | None:
    """Return the words of a ``#`` line right above the numbers, where NumPy writes the names.

    Other words are a remark: names are known by one of them being that of a time.
    """
    row, number = first
    above = lines[number - 2].strip() if number > 1 else ""
    if not above.startswith("#"):
        return None
    above = above.lstrip("#").strip()
    mark = _separator(row) or ("\t" if "\t" in above else None)
    words = tuple(split_row(above, mark))
    distinct = all(words) and len(set(words)) == len(words)
    return words if distinct and any(TIME_NAME.fullmatch(word) for word in words) else None


def _names_of_xvg(head: Sequence[str], n_columns: int) -> tuple[str, ...] | None:
    """Return the names that the ``@`` lines of GROMACS give: the x axis, then the legends."""
    found = [match for line in head if (match := XVG_NAME.match(line))]
    names = [f"x{k}" for k in range(n_columns)]
    for number, label in (match.groups() for match in found):
        place = 0 if number is None else int(number) + 1
        if place < n_columns and label.strip():
            names[place] = label.strip()
    return tuple(names) if len(set(names)) == n_columns else None


def _separator(row: str) -> str | None:
    return next((mark for mark in (";", ",") if mark in row), None)


def _is_header(row: str) -> bool:
    words = split_row(row, _separator(row))
    return not any(is_number(word) for word in words)


def _names(
    header: str | None, separator: str | None, n_columns: int, path: PathLike
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    default = tuple(f"x{k}" for k in range(n_columns))
    if header is None:
        return default, ()
    marks = [separator, _separator(header), "\t" if "\t" in header else None, None]
    splits = [split_row(header, mark) for mark in marks]
    words = next((w for w in splits if len(w) == n_columns), None)
    if words is None:
        note = (
            f"{path}: the header {header.strip()[:60]!r} has {len(splits[0])} word(s) for "
            f"{n_columns} column(s), so the columns are numbered"
        )
        return default, (Note(note, "header"),)
    names = tuple(word.strip("\"'").strip() or f"x{k}" for k, word in enumerate(words))
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"{path}: {count} columns are named {name!r}, give each its own name")
    return names, ()
