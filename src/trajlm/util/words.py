"""Numbers, amounts and facts in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

Fact = tuple[str, str]
# Characters that move the cursor, colour a terminal, turn the direction of text or are none.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Columns that are listed one by one.
MOST_COLUMNS = 8

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def printable(text: str) -> str:
    """Return `text` with its control characters, line ends and tabs apart, shown as escapes."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


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


def lines(title: str, facts: Sequence[Fact]) -> str:
    """Return the facts as plain text, one a line."""
    return "\n".join([title, *(f"{name}: {value}" for name, value in facts)])


def html(title: str, facts: Sequence[Fact]) -> str:
    """Return the facts as a small table; all text is escaped.

    Those of a damaged model file may hold something else than text.
    """
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in facts
    )
    return f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"
