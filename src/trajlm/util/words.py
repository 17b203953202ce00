"""Numbers, amounts and facts in words."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from html import escape

from trajlm.util.arrays import F64

Fact = tuple[str, str]
# Columns that are listed one by one.
MOST_COLUMNS = 8
# Characters of a message about what came from a file.
LONGEST = 100

# Control characters, those that turn the direction of writing, halves of characters, line ends:
# what a name or a note from a file could steer a terminal with.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """Return `value` with that many significant digits, a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if -3 <= int(exponent) < 6:
        decimals = max(digits - 1 - int(exponent), 0)
        return f"{value:,.{decimals}f}".replace("-", "−")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return ``[low, high]``; nothing where it is unknown."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def elapsed(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def physical_time(frames: float, dt: float, unit: str) -> str:
    """Return a number of frames as a time."""
    return f"{frames * dt:,.6g} {unit_for(frames * dt, unit)}"


def duration(dt: float, unit: str) -> str:
    """Return a time with its unit, such as 0.2 ps or 10 frames."""
    return f"{dt:g} {unit_for(dt, unit)}"


def unit_for(amount: float, unit: str) -> str:
    """Return the unit as it stands behind an amount: words have a plural, symbols have none."""
    return unit + "s" if unit in ("frame", "time unit") and amount != 1 else unit


def counted(n: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{n:,} {one if n == 1 else many}"


def extent(n_frames: int, n_trajectories: int, dt: float, unit: str, what: str) -> str:
    """Return in a line how much data there is of what, for the representation of objects."""
    several = f" in {n_trajectories} trajectories" if n_trajectories > 1 else ""
    time = "" if (dt, unit) == (1.0, "frame") else f", one each {duration(dt, unit)}"
    return f"{counted(n_frames, 'frame', 'frames')} of {what}{several}{time}"


def length_facts(n_frames: int, n_trajectories: int, dt: float, unit: str) -> list[Fact]:
    """Return how much data there is, and its time where it has one."""
    several = f" in {n_trajectories} trajectories" if n_trajectories > 1 else ""
    facts = [("length", f"{n_frames:,} frames{several}")]
    if (dt, unit) != (1.0, "frame"):
        facts.append(("time", f"{duration(dt, unit)} per frame"))
    return facts


def first_rows(names: Sequence[str], table: F64, n: int = 3) -> str:
    """Return the first rows of a table under the names of its columns."""
    rows = [list(map(visible, names)), *([f"{x:.6g}" for x in row] for row in table[:n].tolist())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True))
        for row in rows
    )


def visible(text: str) -> str:
    r"""Return text from a file with control characters shown, such as ``\x1b``, not sent."""
    if text.isprintable():
        return text
    return "".join(_shown(c) if unicodedata.category(c) in _UNSEEN else c for c in text)


def clipped(text: str) -> str:
    """Return text that may repeat values of a file as a line, cut where it is long."""
    line = " ".join(text.split())
    return visible(line if len(line) <= LONGEST else line[:LONGEST] + "…")


def complaint(error: Exception) -> str:
    """Return what the error of a library says, with its name, as `clipped`."""
    return clipped(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def visible_lines(text: str) -> str:
    """Return several lines of text as `visible`, their ends left as they are."""
    return "\n".join(visible(line) for line in text.split("\n"))


def without_surrogates(text: str) -> str:
    """Return text that can be encoded: bytes of file names that are not UTF-8 are written out."""
    return "".join(_shown(c) if "\ud800" <= c <= "\udfff" else c for c in text)


def _shown(c: str) -> str:
    # Python keeps a byte that is not UTF-8 as such a half of a character.
    if "\udc80" <= c <= "\udcff":
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode("ascii")


def lines(title: str, facts: Sequence[Fact]) -> str:
    """Return the facts as plain text, one a line, under a title unless it is empty."""
    return "\n".join(
        [title] * bool(title) + [*(f"{visible(name)}: {visible(value)}" for name, value in facts)]
    )


def html(title: str, facts: Sequence[Fact]) -> str:
    """Return the facts as a small table; all text is escaped."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(visible(name))}</th>"
        f"<td style='text-align:left'>{escape(visible(value))}</td></tr>"
        for name, value in facts
    )
    return f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"
