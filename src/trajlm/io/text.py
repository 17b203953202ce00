"""Plain text and CSV: columns of numbers, with the lines above that name them."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.header import Header, read_header
from trajlm.io.lines import Lines, read_lines
from trajlm.io.names import is_counter, is_grid, time_unit
from trajlm.io.record import Record, Wanted, features_of, rises_evenly
from trajlm.io.sources import Columns, PathLike, Paths, read_all
from trajlm.io.table import Numbers, check_points, parse, printed_quantum
from trajlm.provenance import Note

SET_BORDER = re.compile(r"\s*(&|@\s*target\b)", re.IGNORECASE)


def read_text(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
    *,
    time_column: str | int | None = None,
    split_by: str | int | None = None,
    header_lines: int | None = None,
) -> Features:
    """Read columns of numbers from plain text, CSV or xvg.

    Columns are separated by commas, semicolons, tabs or blanks; line ends may be LF, CRLF or
    bare CR; a file may be packed by gzip, bzip2 or xz. Lines that start with ``#``, ``%`` or
    ``@`` are comments. The last line of words above the numbers names the columns, with the
    units in a line of their own or not; it may be a comment where one of its words is the name
    of a time or a count of frames. An xvg file names its columns by x axis and legends.

    An evenly spaced column named as a time (``time``, ``t``, ``Time (ps)``, ``Elapsed Time (s)``)
    gives dt. It is no coordinate unless it is asked for, nor are counts of frames or steps,
    columns of text, and a first column without a name that rises evenly. Where the time jumps
    ahead, frames are missing: the record is cut there into several trajectories. Frames written
    twice and lines that a killed job broke off are dropped. A warning tells of each.

    Parameters
    ----------
    path
        A file, or a list of files with the same columns and dt.
    columns
        Names or zero-based numbers of the columns to keep, all coordinates when not given.
    dt, unit
        Time between two lines and its unit, instead of what the file says; 1 frame when
        neither says anything.
    time_column
        Which column holds the time, by name or number, where its name does not say so.
    split_by
        The column that tells trajectories apart, such as the number of a molecule; or one that
        begins anew with each, as a time does.
    header_lines
        How many lines stand above the numbers, the last of them with the names.

    Raises
    ------
    InputError
        Text where a number belongs, ragged rows, decimal commas, NaN in a column that is used,
        a time that goes backwards (each with file and line), a column that is not there, a
        profile or histogram.
    """
    wanted = Wanted(columns, dt, unit, time_column, split_by, header_lines)
    return read_all(path, lambda one: features_of(text_record(one, header_lines), wanted))


def text_record(path: PathLike, header_lines: int | None = None) -> Record:
    """Return all columns of a text file.

    Raises
    ------
    InputError
        No line of numbers, ragged rows, decimal commas, a profile or histogram.
    """
    lines = read_lines(path)
    header = read_header(lines, path, header_lines)
    rows = lines.content()
    rows = rows[rows >= header.first]
    n = len(header.names)
    if header.separator == "," and n == 2:
        text = None if header.line is None else lines.text(header.line)
        few = [lines.text(int(k)) for k in rows[:1000]]
        check_points(text, few, int(rows[0]) + 1, path)
    again = lines.equal_to(header.line) if header.line is not None else rows[:0]
    rows = np.setdiff1d(rows, again)
    numbers = parse(lines, rows, header.separator, n, path, again)
    if len(numbers.values) == 0:
        raise InputError(f"{path} holds no line of numbers: its only one is cut short")
    sets = _sets(lines, numbers)
    if len(sets) > 1:
        return _side_by_side(header, numbers, sets, path)
    record = _record(path, lines, header, numbers)
    _check_frames(record, header, path)
    return record


def _record(path: PathLike, lines: Lines, header: Header, numbers: Numbers) -> Record:
    remarks = header.remarks
    if not lines.ended and not numbers.notes:
        text = (
            f"{path}: the last line has no line end; where the file is still being written, its "
            "last number may be cut short"
        )
        remarks += (Note(text, "cut line"),)
    return Record(
        path,
        header.names,
        numbers.values,
        lambda row: f"line {numbers.lines[row] + 1}",
        numbers.texts,
        numbers.faults,
        lambda column: printed_quantum(lines, numbers.lines, header.separator, column),
        numbers.marks,
        header.periods,
        header.units,
        named=header.named,
        notes=numbers.notes,
        remarks=remarks,
    )


def _check_frames(record: Record, header: Header, path: PathLike) -> None:
    """Refuse profiles, free-energy curves and histograms: points of a coordinate, no frames."""
    names = record.names
    first = names[0]
    if not header.named or time_unit(first)[0] or not rises_evenly(record.values[:, 0]):
        return
    labelled = header.line is None and first != "x0" and not is_counter(first)  # by an x axis
    if labelled or (len(names) > 1 and any(map(is_grid, names)) and not _has_time(names)):
        raise InputError(
            f"{path} holds a profile or histogram over {first!r}, whose points are evenly spaced, "
            "and no trajectory: give the file that holds the coordinate of each frame"
        )


def _has_time(names: tuple[str, ...]) -> bool:
    return any(time_unit(name)[0] for name in names)


def _sets(lines: Lines, numbers: Numbers) -> list[slice]:
    """Return the rows of each set of a Grace file: an ampersand ends one, a target begins one."""
    marked = np.flatnonzero((lines.first == ord("&")) | (lines.first == ord("@")))
    ends = [k for k in marked.tolist() if SET_BORDER.match(lines.text(k))]
    borders = np.unique(np.searchsorted(numbers.lines, ends))
    borders = borders[(borders > 0) & (borders < len(numbers.lines))].tolist()
    return [slice(a, b) for a, b in pairwise([0, *borders, len(numbers.lines)])]


def _side_by_side(header: Header, numbers: Numbers, sets: list[slice], path: PathLike) -> Record:
    """Return the sets of a Grace file as columns over the x that they share.

    Raises
    ------
    InputError
        Sets of different x or length.
    """
    first = numbers.values[sets[0]]
    names = tuple(header.legends.get(k, "").strip() or f"y{k}" for k in range(len(sets)))
    same = all(np.array_equal(numbers.values[s][:, 0], first[:, 0]) for s in sets)
    if not same or first.shape[1] != 2 or numbers.texts or numbers.faults:
        raise InputError(
            f"{path} holds {len(sets)} sets that are not columns over one x: save each as its own "
            "file"
        )
    return Record(
        path,
        (header.names[0], *names),
        np.column_stack([first[:, 0], *(numbers.values[s][:, 1] for s in sets)]),
        lambda row: f"line {numbers.lines[row] + 1}",
        named=header.named,
        notes=numbers.notes,
    )
