"""Rows of numbers from lines of text, fast, with the file and line of whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.io.md.trajectories import TIMED, UNTIMED
from trajlm.io.sources import PathLike, read_bytes

NUMBER = re.compile(
    r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE | re.ASCII
)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
ZERO_IN_FRONT = re.compile(r",0\d", re.ASCII)
# A word, which a unit may follow: Force, or Force (pN).
ONE_NAME = re.compile(r"[^\s;]+(?:\s+(?:\([^()]*\)|\[[^\[\]]*\]))?")
COMMAS_ASKED = " (decimal commas? write points)"


def read_lines(path: PathLike) -> list[str]:
    """Return the lines of a text file; line ends may be LF, CRLF, bare CR or a mixture.

    A UTF-8 byte order mark is dropped; bytes that are not UTF-8 are read as Latin-1, so that
    a degree sign in a comment does no harm.
    """
    data = read_bytes(path)
    if b"\0" in data[:1000]:
        if Path(path).suffix.lower() in TIMED + UNTIMED:
            raise InputError(
                f"{path} is a molecular trajectory: compute its features first (trajlm features)"
            )
        raise InputError(f"{path} is neither text nor npy nor npz: convert it to one of them")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def split_row(line: str, separator: str | None) -> list[str]:
    """Return the words of a line; `separator` None stands for blanks and tabs."""
    return [word.strip() for word in line.split(separator)]


def is_number(word: str) -> bool:
    """Return whether a word is a decimal number, NaN or infinity."""
    return NUMBER.fullmatch(word) is not None


def parse_rows(
    rows: Sequence[str],
    line_numbers: npt.NDArray[np.int64],
    separator: str | None,
    names: Sequence[str],
    path: PathLike,
) -> npt.NDArray[np.float64]:
    """Return the numbers in `rows`, shape (len(rows), len(names)).

    Raises
    ------
    InputError
        Text where a number belongs or a row of another length: the message names the file and
        the line, counted from 1.
    """
    try:
        values: npt.NDArray[np.float64] = np.loadtxt(
            rows, delimiter=separator, comments=None, ndmin=2, dtype=np.float64
        )
    except ValueError as error:
        _raise_first_bad_row(rows, line_numbers, separator, len(names), path)
        raise InputError(f"{path} cannot be read as a table of numbers: {error}") from None
    if values.shape != (len(rows), len(names)):
        _raise_first_bad_row(rows, line_numbers, separator, len(names), path)
        raise InputError(f"{path} cannot be read as a table of {len(names)} columns")
    return values


def check_finite(
    values: npt.NDArray[np.float64],
    used: Iterable[int],
    line_numbers: npt.NDArray[np.int64],
    names: Sequence[str],
    path: PathLike,
) -> None:
    """Refuse NaN and infinity in the columns that are used; the others do not matter.

    Raises
    ------
    InputError
        The first such value, with its file, line and column.
    """
    finite = np.ones(values.shape, dtype=bool)
    for column in used:
        finite[:, column] = np.isfinite(values[:, column])
    if not finite.all():
        row, column = (int(k) for k in np.argwhere(~finite)[0])
        raise InputError(
            f"{path}, line {line_numbers[row]}: {values[row, column]} in column "
            f"{names[column]!r}, remove or repair it before going on"
        )


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


def _raise_first_bad_row(
    rows: Sequence[str],
    line_numbers: npt.NDArray[np.int64],
    separator: str | None,
    n_columns: int,
    path: PathLike,
) -> None:
    for row, line in zip(rows, line_numbers, strict=True):
        words = split_row(row, separator)
        for word in words:
            if not is_number(word):
                what = f"the text {word[:40]!r}" if word else "an empty field"
                raise InputError(
                    f"{path}, line {line}: {what} stands where a number belongs"
                    f"{COMMAS_ASKED if _holds_decimal_commas(row) else ''}"
                )
        if len(words) != n_columns:
            # A whole number among numbers with a decimal comma has one column fewer.
            comma = separator == "," and n_columns == 2 and len(words) == 1
            raise InputError(
                f"{path}, line {line}: {len(words)} column(s) where there should be {n_columns}"
                f"{COMMAS_ASKED if comma else ''}"
            )


def _holds_decimal_commas(row: str) -> bool:
    """Whether blanks or semicolons separate numbers of which some have a decimal comma."""
    fields = re.split(r"[;\s]+", row.strip())
    commas = [DECIMAL_COMMA.fullmatch(field) is not None for field in fields]
    return any(commas) and all(c or is_number(f) for c, f in zip(commas, fields, strict=True))


def printed_quantum(words: Sequence[str]) -> float:
    """Return the step of the decimal numbers as they are printed, 0.01 for ``12.25``."""
    finest = [_decimals(word) for word in words]
    return 10.0 ** -max(min(max(finest), 300), -300) if finest else 0.0


def _decimals(word: str) -> int:
    mantissa, _, exponent = word.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def quantum_of_column(rows: Sequence[str], separator: str | None, column: int) -> float:
    """Return the printed step of a column, the coarser of the first and the last 100 rows."""
    ends = [[split_row(r, separator)[column] for r in part] for part in (rows[:100], rows[-100:])]
    return max(printed_quantum(words) for words in ends)


def check_forward(
    times: npt.NDArray[np.float64],
    line_numbers: npt.NDArray[np.int64],
    path: PathLike,
    remedy: str,
    *,
    strictly: bool,
) -> None:
    """Refuse times that go backwards (or stand still, when `strictly`).

    Raises
    ------
    InputError
        The first such time, with its file and line.
    """
    steps = np.diff(times)
    bad = steps <= 0 if strictly else steps < 0
    if bad.any():
        i = int(np.argmax(bad))
        verb = "goes back from" if steps[i] < 0 else "stands still at"
        to = f" to {times[i + 1]:.10g}" if steps[i] < 0 else ""
        raise InputError(
            f"{path}, line {line_numbers[i + 1]}: the time {verb} {times[i]:.10g}{to}, {remedy}"
        )
