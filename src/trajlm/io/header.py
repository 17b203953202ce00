"""Where the numbers of a text file begin, and what the lines above them name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trajlm.errors import InputError
from trajlm.io.lines import Lines
from trajlm.io.names import is_counter, is_unit, time_unit
from trajlm.io.sources import PathLike
from trajlm.io.table import check_decimal_commas, is_number, separator_of, split_row
from trajlm.provenance import Note

# Lines looked at to find where the numbers begin.
HEAD = 200
# Rows that must be alike where a column of text stands among those of numbers.
ALIKE = 20
XVG_NAME = re.compile(r'\s*@\s*(?:(x|y)axis\s+label|s(\d{1,4})\s+legend)\s+"([^"]*)"', re.ASCII)
XVG_TITLE = re.compile(r'\s*@\s*title\s+"([^"]*)"')
# A name and the unit behind it: time (ps), Force [pN], Time in ps, "Elapsed Time (s)".
NAME = re.compile(
    r"\"[^\"]*\"(?=\s|\Z)|(?:(?:elapsed|simulation)\s+(?=time))?\S+"
    r"(?:\s+(?:\([^()]*\)|\[[^\[\]]*\]|in\s+[fpnuµμm]?s\b))*",
    re.IGNORECASE,
)
DEGREES = (-180.0, 180.0)


@dataclass(frozen=True)
class Header:
    """What stands above the numbers.

    Parameters
    ----------
    first
        The first line of numbers, counted from 0.
    separator
        Between the numbers of a row; None for blanks and tabs.
    names, named
        Of the columns, and whether the file names them.
    units
        Of the columns where a line of units follows their names.
    lines
        The line of the names, to find it again; None where there is none.
    periods
        Of the columns, where the file says that they are angles.
    legends
        Of the sets of a Grace file, by their numbers.
    remarks
        What looks odd.
    """

    first: int
    separator: str | None
    names: tuple[str, ...]
    named: bool
    units: tuple[str, ...] = ()
    line: int | None = None
    periods: tuple[tuple[float, float] | None, ...] = ()
    legends: dict[int, str] = field(default_factory=dict)
    remarks: tuple[Note, ...] = ()


def read_header(lines: Lines, path: PathLike, header_lines: int | None) -> Header:
    """Return where the numbers begin and the names of their columns.

    `header_lines` is how many lines stand above the numbers; None to find out.

    Raises
    ------
    InputError
        No line of numbers, two columns of one name.
    """
    content = lines.content()
    if len(content) == 0:
        raise InputError(f"{path} holds no line of numbers: it is empty or all comments")
    if header_lines is None:
        header_lines = _axon_lines(lines)
    if header_lines is not None:
        rest = content[content >= header_lines]
        if len(rest) == 0:
            raise InputError(f"{path} holds no line of numbers below its {header_lines} first ones")
        first = int(rest[0])
        text = [k for k in range(header_lines) if lines.first[k]]
    else:
        first = _first_row(lines, content[:HEAD].tolist(), path)
        text = [int(k) for k in content[:HEAD] if k < first]
    row = lines.text(first)
    separator = separator_of(row)
    n = len(split_row(row, separator))
    if text:
        return _named_by_text(lines, text, first, separator, n, path)
    names = _names_in_comment(lines, first, separator, n)
    if names is not None:
        return Header(first, separator, names, True, line=first - 1)
    above = [lines.text(k) for k in range(first)]
    title = next((m[1] for line in above if (m := XVG_TITLE.match(line))), "")
    if "ramachandran" in title.lower() and n == 3 and not is_number(split_row(row, separator)[2]):
        angles = (DEGREES, DEGREES, None)
        return Header(first, separator, ("phi", "psi", "residue"), True, periods=angles)
    # A set of a Grace file may have its legend further down.
    labels = [lines.text(int(k)) for k in np.flatnonzero(lines.first == ord("@"))[: 10 * HEAD]]
    names = _names_of_xvg(labels, n)
    legends = {int(m[2]): m[3] for line in labels if (m := XVG_NAME.match(line)) and m[2]}
    default = tuple(f"x{k}" for k in range(n))
    return Header(first, separator, names or default, names is not None, legends=legends)


def _axon_lines(lines: Lines) -> int | None:
    """Return the lines above the numbers of an Axon text file, which says how many there are."""
    if len(lines) < 3 or lines.text(0).split()[:1] != ["ATF"]:
        return None
    counts = lines.text(1).split()
    known = len(counts) == 2 and all(word.isdigit() for word in counts)
    return int(counts[0]) + 3 if known else None


def _first_row(lines: Lines, content: Sequence[int], path: PathLike) -> int:
    """Return the first line of numbers; columns of text may stand beside them."""
    words = [_words(lines.text(k)) for k in content]
    numeric = [[is_number(word) for word in found] for found in words]
    whole = next((i for i, found in enumerate(numeric) if all(found)), None)
    for i in range(len(content) if whole is None else whole):
        alike = numeric[i : i + ALIKE]
        if not any(numeric[i]) or len({len(found) for found in alike}) > 1:
            continue
        held = [all(column) for column in zip(*alike, strict=True)]
        text = [not any(column) for column in zip(*alike, strict=True)]
        if any(held) and (len(alike) > 1 or len(content) == 1) and _fits(held, text, i, whole):
            return content[i]
    if whole is None:
        for k in content:
            check_decimal_commas(lines, k, path)
        raise InputError(
            f"{path} holds no line of numbers: only text such as {lines.text(content[0])[:40]!r}"
        )
    # A row that begins with a number holds data: what is wrong in it is said there.
    if whole and numeric[whole - 1][0] and len(numeric[whole - 1]) == len(numeric[whole]):
        return content[whole - 1]
    # Numbers above a line of text, such as the number of rows, belong to the header where the
    # rows below have another length.
    n_above = len(words[whole])
    for i in range(whole + 1, len(content) - 1):
        if not any(numeric[i]) and all(numeric[i + 1]):
            if len(words[i + 1]) != n_above and len(content) - i > i - whole:
                return content[i + 1]
            break
    return content[whole]


def _fits(held: Sequence[bool], text: Sequence[bool], i: int, whole: int | None) -> bool:
    """Whether rows with text are data: each column holds text or numbers, or all rows do."""
    return whole is None or (i < whole and all(h or t for h, t in zip(held, text, strict=True)))


def _words(row: str) -> list[str]:
    return split_row(row, separator_of(row))


def _named_by_text(
    lines: Lines, text: Sequence[int], first: int, separator: str | None, n: int, path: PathLike
) -> Header:
    above = [lines.text(k).strip() for k in text]
    header = above[-1]
    words = _split_names(header, separator, n)
    if words is not None and any(map(is_number, words)):
        words = None  # a remark such as Version 3
    units: tuple[str, ...] = ()
    if words is not None and len(above) > 1 and all(map(is_unit, words)):
        names = _split_names(above[-2], separator, n)
        if names is not None and not all(map(is_unit, names)):
            units, words = tuple(word.strip("()[] ") for word in words), names
    if words is None:
        shown = f"the header {header[:60]!r} has {len(_words(header))} word(s)"
        remark = f"{path}: {shown} for {n} column(s), so the columns are numbered"
        default = tuple(f"x{k}" for k in range(n))
        return Header(
            first, separator, default, False, line=text[-1], remarks=(Note(remark, "header"),)
        )
    names = [word or f"x{k}" for k, word in enumerate(words)]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"{path}: {count} columns are named {name!r}, give each its own name")
    return Header(first, separator, tuple(names), True, units, text[-1])


def _split_names(header: str, separator: str | None, n: int) -> list[str] | None:
    """Return the `n` names in a line, however they are separated; None where they do not fit."""
    header = header.lstrip().lstrip("#%").strip()
    marks = [separator, separator_of(header), "\t" if "\t" in header else None, None]
    splits = [split_row(header, mark) for mark in dict.fromkeys(marks)]
    splits += [NAME.findall(header), re.split(r"\s{2,}", header)] if n > 1 else []
    words = next((words for words in splits if len(words) == n), None)
    return None if words is None else [word.strip().strip("\"'").strip() for word in words]


def _names_in_comment(
    lines: Lines, first: int, separator: str | None, n: int
) -> tuple[str, ...] | None:
    """Return the names in a comment right above the numbers, where NumPy writes them.

    Other words are a remark: names are known by one of them being that of a time or a count of
    frames, or by their quotes.
    """
    if first == 0 or lines.first[first - 1] not in b"#%":
        return None
    above = lines.text(first - 1).strip()
    names = _split_names(above, separator, n)
    if names is None or len(set(names)) < len(names) or not all(names):
        return None
    known = any(time_unit(name)[0] or is_counter(name) for name in names)
    return tuple(names) if known or above.count('"') == 2 * n else None


def _names_of_xvg(head: Sequence[str], n_columns: int) -> tuple[str, ...] | None:
    """Return the names that the ``@`` lines of GROMACS give: the x axis, then the legends."""
    found = [match for line in head if (match := XVG_NAME.match(line))]
    names = [f"x{k}" for k in range(n_columns)]
    for axis, number, label in (match.groups() for match in found):
        if axis == "y":
            continue
        place = 0 if number is None else int(number) + 1
        if place < n_columns and label.strip():
            names[place] = label.strip()
    fits = found and len(set(names)) == n_columns
    return tuple(names) if fits else None
