"""Rows of numbers from text, fast, with the file and line of whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np

from trajlm.errors import InputError
from trajlm.io.lines import BLOCK, Lines, Rows
from trajlm.io.sources import PathLike
from trajlm.provenance import Note
from trajlm.util.arrays import F64

NUMBER = re.compile(
    r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE | re.ASCII
)
BEGUN = re.compile(r"[+-]?\d*\.?\d*(?:e[+-]?\d*)?", re.IGNORECASE | re.ASCII)
BLANKS = re.compile(r"[ \t]+")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
ZERO_IN_FRONT = re.compile(r",0\d", re.ASCII)
# Exponents as Fortran writes them, 1.5D+00.
FORTRAN = re.compile(rb"(?<=[\d.])[dD](?=[+-]?\d)")
# A word, which a unit may follow: Force, or Force (pN).
ONE_NAME = re.compile(r"[^\s;]+(?:\s+(?:\([^()]*\)|\[[^\[\]]*\]))?")
COMMAS_ASKED = " (decimal commas? write points)"
NANS = ["nan", "NaN", "NAN", "Nan", "-nan", "+nan", "-NaN", "+NaN"]
# Rows with words that are no numbers which a killed job may have left; more are another format.
MOST_BROKEN = 100


def split_row(line: str, separator: str | None) -> list[str]:
    """Return the words of a line; `separator` None stands for blanks and tabs."""
    words = line.split(separator) if separator is not None else BLANKS.split(line.strip(" \t"))
    if '"' in line and separator is not None:
        words = _split_quoted(line, separator)
    return [word.strip().strip('"').strip() for word in words]


def _split_quoted(line: str, separator: str) -> list[str]:
    import csv

    return next(csv.reader([line], delimiter=separator, skipinitialspace=True))


def is_number(word: str) -> bool:
    """Return whether a word is a decimal number, NaN or infinity, Fortran's exponents included."""
    return NUMBER.fullmatch(_with_e(word)) is not None


def number_of(word: str) -> float:
    """Return the number that a word is, as `is_number` says."""
    return float(_with_e(word))


def _with_e(word: str) -> str:
    return word.replace("D", "e").replace("d", "e")


def separator_of(row: str) -> str | None:
    """Return what separates the numbers of a row: a semicolon, a comma, or None for blanks."""
    found = next((mark for mark in (";", ",") if mark in row), None)
    if found is None and "\t" in row:
        words = [word.strip() for word in row.split("\t")]
        # A tab between words of several parts, or an empty field between tabs.
        if any(not word or " " in word for word in words[1:-1] + words[:1]):
            return "\t"
    return found


@dataclass(frozen=True)
class Numbers:
    """What the rows of a file hold.

    Parameters
    ----------
    values
        Shape (n, d), NaN where there is text.
    lines
        Of each row, counted from 0, shape (n,).
    texts, faults
        As in `Record`.
    marks
        Rows before which a broken line stood, or a header again.
    notes
        What was dropped.
    """

    values: F64
    lines: Rows
    texts: dict[int, list[str]]
    faults: dict[int, tuple[int, str]]
    marks: tuple[int, ...]
    notes: tuple[Note, ...]


def parse(
    lines: Lines,
    rows: Rows,
    separator: str | None,
    n_columns: int,
    path: PathLike,
    headers: Rows | None = None,
    fixed_from: int = 20,
) -> Numbers:
    """Return the numbers in some lines of a file.

    A last line that was cut short is dropped, and one in the middle where the rows after it go
    back in the first column, as after a job that was killed and started again.

    Parameters
    ----------
    lines, rows
        The file and which of its lines to read, at least one.
    separator, n_columns
        Of each row.
    path
        Named in messages.
    headers
        Lines that hold the header again.
    fixed_from
        So many last numbers of equally many decimals show that all are written with them.

    Raises
    ------
    InputError
        A row of another length, with its line.
    """
    notes: tuple[Note, ...] = ()
    borders = np.zeros(0, np.int64) if headers is None else headers
    if _is_cut(lines, rows, separator, n_columns, fixed_from):
        text = f"{path}, line {rows[-1] + 1}: the last line is cut short and was dropped"
        notes = (Note(text, "cut line"),)
        rows = rows[:-1]
    values = _parse_fast(lines, rows, separator, n_columns)
    if values is not None:
        return Numbers(values, rows, {}, {}, _marks(rows, borders), notes)
    bad = np.flatnonzero(_count_fields(lines, rows, separator) != n_columns)
    if len(bad):
        _check_killed(lines, rows, bad, separator, n_columns, path)
        text = (
            f"{path}, line {rows[bad[0]] + 1}: the line is broken off, as by a job that was "
            "killed, and was dropped"
        )
        notes += (Note(text, "cut line"),)
        borders = np.union1d(borders, rows[bad])
        rows = np.delete(rows, bad)
        values = _parse_fast(lines, rows, separator, n_columns)
    marks = _marks(rows, borders)
    if values is not None:
        return Numbers(values, rows, {}, {}, marks, notes)
    found = [lines.text(k) for k in rows.tolist()]
    return Numbers(*_parse_slowly(found, rows, separator, n_columns), marks, notes)


def _marks(rows: Rows, borders: Rows) -> tuple[int, ...]:
    """Return the rows that follow lines between them."""
    return tuple(np.unique(np.searchsorted(rows, borders)).tolist())


def _stream(lines: Lines, rows: Rows) -> BytesIO:
    """Return the bytes of some lines, not copied where they are the last ones of the file."""
    jumps = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts, lasts = rows[np.concatenate([[0], jumps])], rows[np.concatenate([jumps - 1, [-1]])]
    spans = list(zip(lines.starts[firsts].tolist(), (lines.ends[lasts] + 1).tolist(), strict=True))
    if spans[-1][1] == len(lines.data) and len(spans) == 1:
        stream = BytesIO(lines.data)
        stream.seek(spans[0][0])
        return stream
    return BytesIO(b"".join(lines.data[a:b] for a, b in spans))


def _parse_fast(lines: Lines, rows: Rows, separator: str | None, n_columns: int) -> F64 | None:
    """Return the numbers of rows; None where some word is none or a row has another length."""
    if len(rows) == 0:
        return np.zeros((0, n_columns))
    import pandas

    stream = _stream(lines, rows)
    if FORTRAN.search(lines.text(int(rows[0])).encode()):
        stream = BytesIO(FORTRAN.sub(b"e", stream.read()))
    # From 3.1 on the numbers are right to the last digit as they are.
    old = tuple(int(part) for part in pandas.__version__.split(".")[:2]) < (3, 1)
    options: dict[str, Any] = {"float_precision": "round_trip"} if old else {}
    try:
        table = pandas.read_csv(
            stream,
            sep=r"\s+" if separator is None else separator,
            header=None,
            dtype=np.float64,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=NANS,
            encoding="latin-1",
            low_memory=False,
            **options,
        )
    except ValueError:  # of which pandas' ParserError is one
        return None
    # A column at a time lies together in memory, as it is used.
    values = np.empty(table.shape, np.float64, order="F")
    for k in range(table.shape[1]):
        values[:, k] = table[k]
    # A row too short ends in what stands for NaN; one too long is refused above.
    whole = values.shape == (len(rows), n_columns) and not np.isnan(values[:, -1]).any()
    return values if whole else None


def _parse_slowly(
    found: Sequence[str], rows: Rows, separator: str | None, n_columns: int
) -> tuple[F64, Rows, dict[int, list[str]], dict[int, tuple[int, str]]]:
    """Return the numbers word by word, and what is in the columns that do not hold numbers."""
    words = list(zip(*(split_row(row, separator) for row in found), strict=True))
    values = np.full((len(rows), n_columns), np.nan)
    texts: dict[int, list[str]] = {}
    faults: dict[int, tuple[int, str]] = {}
    for k, column in enumerate(words):
        numbers = [is_number(word) for word in column]
        if not any(numbers) and not all(map(DECIMAL_COMMA.fullmatch, column)):
            texts[k] = list(column)
            continue
        for i, (word, known) in enumerate(zip(column, numbers, strict=True)):
            if known:
                values[i, k] = number_of(word)
        if not all(numbers):
            i = numbers.index(False)
            faults[k] = i, _fault(column[i], found[i])
    return values, rows, texts, faults


def _fault(word: str, row: str) -> str:
    what = f"the text {word[:40]!r}" if word else "an empty field"
    commas = COMMAS_ASKED if _holds_decimal_commas(row) else ""
    return f"{what} stands where a number belongs{commas}"


def _count_fields(lines: Lines, rows: Rows, separator: str | None) -> Rows:
    """Return the number of fields of each row."""
    buffer = np.frombuffer(lines.data, np.uint8)
    counts = np.empty(len(rows), np.int64)
    begin = 0
    while begin < len(rows):
        end = int(np.searchsorted(lines.starts[rows], lines.starts[rows[begin]] + BLOCK))
        end = max(end, begin + 1)
        start, stop = int(lines.starts[rows[begin]]), int(lines.ends[rows[end - 1]])
        part = buffer[start : stop + 1]
        if separator is None:
            blank = (part == ord(" ")) | (part == ord("\t")) | (part == ord("\n"))
            marked = np.empty(len(part), np.bool_)
            marked[0] = not blank[0]
            np.logical_and(~blank[1:], blank[:-1], out=marked[1:])
        else:
            marked = part == ord(separator)
        # Up to the start of the next line that is not a row: sums over each row alone.
        edges = np.empty(2 * (end - begin), np.int64)
        edges[::2] = lines.starts[rows[begin:end]] - start
        edges[1::2] = lines.ends[rows[begin:end]] - start
        counts[begin:end] = np.add.reduceat(marked, edges, dtype=np.int32)[::2]
        begin = end
    if separator is None:
        return counts
    if b'"' in lines.data:
        quoted = [len(split_row(lines.text(int(row)), separator)) for row in rows]
        return np.array(quoted, np.int64)
    return counts + 1


def _check_killed(
    lines: Lines,
    rows: Rows,
    bad: Rows,
    separator: str | None,
    n_columns: int,
    path: PathLike,
) -> None:
    """Refuse rows of another length but those that a killed job left before it was restarted.

    Raises
    ------
    InputError
        A row of another length after which the first column does not go back.
    """
    for k in bad.tolist():
        if len(bad) <= MOST_BROKEN and _is_killed(lines, rows, k, separator):
            continue
        line = lines.text(int(rows[k]))
        found = split_row(line, separator)
        wrong = next((word for word in found if not is_number(word)), None)
        if wrong is not None:
            raise InputError(f"{path}, line {rows[k] + 1}: {_fault(wrong, line)}")
        # A whole number among numbers with a decimal comma has one column fewer.
        comma = separator == "," and n_columns == 2 and len(found) == 1
        if len(bad) > 0.9 * len(rows) and not comma:
            raise InputError(
                f"{path}, line {rows[k] + 1}: {len(found)} column(s), and {n_columns} in line "
                f"{rows[0] + 1}: give the number of header lines where such stand above the numbers"
            )
        raise InputError(
            f"{path}, line {rows[k] + 1}: {len(found)} column(s) where there should be {n_columns}"
            f"{COMMAS_ASKED if comma else ''}"
        )


def _is_killed(lines: Lines, rows: Rows, k: int, separator: str | None) -> bool:
    """Return whether a row was broken off: the rows before it rise, and those after go back."""
    near = range(max(k - 10, 0), min(k + 2, len(rows)))
    first = [split_row(lines.text(int(rows[i])), separator)[0] for i in near]
    if k < 2 or k + 1 == len(rows) or not all(map(is_number, first[:-2] + first[-1:])):
        return False
    *before, after = [number_of(word) for word in first[:-2] + first[-1:]]
    if any(b <= a for a, b in pairwise(before)):
        return False
    between = lines.first[rows[k] + 1 : rows[k + 1]]
    broken = number_of(first[-2]) if is_number(first[-2]) else before[-1]
    return after <= max(before[-1], broken) or ord("#") in between


def _is_cut(
    lines: Lines, rows: Rows, separator: str | None, n_columns: int, fixed_from: int
) -> bool:
    """Return whether the run was killed, or goes on, while the last line was written."""
    last_line = int(np.flatnonzero(lines.first)[-1])
    if len(rows) < 2 or rows[-1] != last_line:
        return False
    *complete, last = split_row(lines.text(last_line), separator)
    if not all(map(is_number, complete)) or not BEGUN.fullmatch(last):
        return False
    if lines.ended or len(complete) + 1 > n_columns:
        return False
    if len(complete) + 1 < n_columns or not is_number(last):
        return True
    # All columns are there but the line end is not: the last number may lack digits.
    above = [split_row(lines.text(int(row)), separator)[-1] for row in rows[-fixed_from - 1 : -1]]
    if last.endswith(".") and not any(word.endswith(".") for word in above):
        return True
    decimals = {_n_decimals(word) for word in above}
    return len(above) == fixed_from and len(decimals) == 1 and _n_decimals(last) < decimals.pop()


def _n_decimals(word: str) -> int:
    return len(word.partition(".")[2])


def check_points(header: str | None, rows: Sequence[str], line: int, path: PathLike) -> None:
    """Refuse one column with decimal commas, which looks like two columns of whole numbers.

    It is known by a header that names one column, or by zeros in front, as in ``711,057``: whole
    numbers are written without them. A header with a comma names two columns.

    Raises
    ------
    InputError
        Decimal commas.
    """
    if header is not None and "," in header:
        return
    if not all(DECIMAL_COMMA.fullmatch(row.strip()) for row in rows):
        return
    one_name = header is not None and ONE_NAME.fullmatch(header.strip())
    padded = any(ZERO_IN_FRONT.search(row) for row in rows)
    if one_name or padded:
        raise InputError(
            f"{path}, line {line}: {rows[0].strip()[:40]!r} looks like one number{COMMAS_ASKED}; "
            "of two columns give both names, as in 'x,y'"
        )


def check_decimal_commas(lines: Lines, line: int, path: PathLike) -> None:
    """Refuse a line of numbers with decimal commas.

    Raises
    ------
    InputError
        Decimal commas.
    """
    row = lines.text(line)
    if _holds_decimal_commas(row):
        word = next(w for w in split_row(row, separator_of(row)) if not is_number(w))
        raise InputError(f"{path}, line {line + 1}: {_fault(word, row)}")


def _holds_decimal_commas(row: str) -> bool:
    """Whether blanks or semicolons separate numbers of which some have a decimal comma."""
    fields = re.split(r"[;\s]+", row.strip())
    commas = [DECIMAL_COMMA.fullmatch(field) is not None for field in fields]
    return any(commas) and all(c or is_number(f) for c, f in zip(commas, fields, strict=True))


def printed_quantum(lines: Lines, rows: Rows, separator: str | None, column: int) -> float:
    """Return the printed step of a column, 0.01 for ``12.25``.

    That is the coarser of the first and the last 100 rows.
    """
    ends = [[split_row(lines.text(int(r)), separator) for r in rows[part]]
            for part in (slice(0, 100), slice(-100, None))]  # fmt: skip
    finest = [
        max((_places(words[column]) for words in part if is_number(words[column])), default=300)
        for part in ends
    ]
    return float(10.0 ** -max(min(*finest, 300), -300))


def _places(word: str) -> int:
    mantissa, _, exponent = word.lower().replace("d", "e").partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)
