"""Numbers and findings in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trajlm.describe import unit_for
from trajlm.report.settled import FEW_EVENTS, RateRow

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


def duration(seconds: float) -> str:
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


def rate_findings(rows: Sequence[RateRow], commit: str) -> list[str]:
    """Say how many rates of each model agree with the data where the data can tell."""
    judged = [row for row in rows if not row.few]
    if not judged:
        return [
            f"No pair has {FEW_EVENTS} transitions at {commit}: this data settles none of the "
            "rates, and neither agreement nor disagreement with a model means much."
        ]
    widest = max(judged, key=lambda row: row.factor)
    text = [
        f"{_pairs(len(judged))} at least {FEW_EVENTS} transitions at {commit}. The least certain "
        f"of these rates, {widest.source}\u00a0→\u00a0{widest.target}, is known to within a "
        f"factor of {number(widest.factor, 2)} between the ends of its interval."
    ]
    scores = [
        f"{model.name} {sum(row.models[k].place == 'inside' for row in judged)}"
        for k, model in enumerate(judged[0].models)
    ]
    what = "this rate" if len(judged) == 1 else f"these {len(judged)} rates"
    text.append(f"Of {what}, inside the interval of the data: {', '.join(scores)}.")
    return text


def warning(row: RateRow, unit: str) -> str:
    """Say how little the data knows of a pair with few transitions."""
    per = f"per {unit}"
    if row.count == 0:
        return (
            f"none in the data, so the rate is only known to be at most "
            f"{number(row.high, 2)} {per}."
        )
    events = "1 transition" if row.count == 1 else f"{row.count} transitions"
    return (
        f"{events} in the data. The rate lies between {number(row.low, 2)} and "
        f"{number(row.high, 2)} {per}, a factor of {number(row.factor, 2)}."
    )


def _pairs(n: int) -> str:
    return "One ordered pair has" if n == 1 else f"{n} ordered pairs have"
