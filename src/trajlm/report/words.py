"""Numbers and findings in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trajlm.report.settled import FEW_EVENTS, RateRow

if TYPE_CHECKING:
    from trajlm.comparison import Comparison

# A group of a smaller share of the frames is rather noise at the rim than a metastable state.
RARE_GROUP = 1e-3
RANGES_SHOWN = 4
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
    name = unit + "s" if unit in ("frame", "time unit") and frames * dt != 1 else unit
    return f"{frames * dt:,.6g} {name}"


def verdicts(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return for each model its name, its numbers in a sentence, and how to read them."""
    floor = summary["D0"]
    found = []
    for name, row in summary["models"].items():
        if math.isnan(row["D"]):
            text = "no pair of groups has 20 transitions in the data, so D is not known."
            found.append((name, text, ""))
            continue
        text = f"D = {number(row['D'], 2)} {interval(*row['D_interval'])}".strip()
        if floor > 0:
            ratio = number(row["D_over_D0"], 2)
            text += f", {ratio} times the difference between the two halves of the data."
        else:
            text += "."
        found.append((name, text, _reading(row, floor)))
    return found


def floor_sentence(summary: Mapping[str, Any]) -> str:
    """Say how far the two halves of the data are apart; nothing where no D is known at all."""
    if all(math.isnan(row["D"]) for row in summary["models"].values()):
        return ""
    if not summary["D0_terms"]:
        return (
            "The data has too few transitions to give a floor: no pair of groups has 20 in the "
            "first half of it. How small D could be is then unknown, and the intervals below "
            "are what there is to judge by."
        )
    return (
        f"The two halves of the data differ from each other by D0 = {number(summary['D0'], 2)}: "
        "no model can be asked to come much closer."
    )


def headline(summary: Mapping[str, Any]) -> str:
    """Say in one sentence which model comes closest."""
    known = {n: row["D"] for n, row in summary["models"].items() if not math.isnan(row["D"])}
    if not known:
        return (
            "The data has too few transitions to judge a model by D: no pair of groups has 20 of "
            "them. The intervals below are what there is to judge by."
        )
    best = min(known, key=lambda name: known[name])
    factor = f"differ from those of the data by a factor of {_factor(known[best])} on average"
    judged, pairs = summary["pairs_judged"], summary["pairs"]
    factor += "." if judged == pairs else f", over the {judged} of {pairs} pairs that have 20."
    if len(known) == 1:
        return f"The rates of {best} {factor}"
    return f"The model that comes closest is {best}: its rates {factor}"


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


def data_facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what the data is, as names and values."""
    data, space = comparison.reference, comparison.space
    column = space.discretization.get("column") or space.discretization.get("columns")
    facts = []
    if column:
        text = column if isinstance(column, str) else ", ".join(map(str, column))
        facts.append(("Quantity", text))
    several = f" in {data.n_trajectories} trajectories" if data.n_trajectories > 1 else ""
    facts.append(("Length", f"{data.n_frames:,} frames{several}"))
    if space.unit != "frame":
        whole = physical_time(data.n_frames, space.dt, space.unit)
        facts.append(("Time", f"{whole}, one frame each {space.dt:g} {space.unit}"))
    visited = int((data.free_energy.populations > 0).sum())
    seen = "all visited" if visited == space.n_states else f"{visited} of them visited"
    facts.append(("States", f"{space.n_states}, {seen}"))
    if comparison.grouping.n_groups < space.n_states or comparison.grouping.running_mean > 1:
        facts.append(("Groups", comparison.grouping.describe()))
        facts.extend(_ranges(comparison))
    return facts


def grouping_warning(comparison: Comparison) -> str:
    """Say that PCCA+ found no metastable groups; nothing where it did, or was not asked."""
    grouping, shares = comparison.grouping, comparison.reference.group_free_energy.populations
    if grouping.method != "pcca" or shares.min() >= RARE_GROUP:
        return ""
    k = int(shares.argmin())
    return (
        f"PCCA+ made group {grouping.names[k]} of {number(float(shares[k]), 2)} of the frames: "
        "noise hides the metastable states from it, or one is hardly ever seen. Choose the "
        "thresholds yourself, such as --group edges:X,Y with --running-mean."
    )


def _ranges(comparison: Comparison) -> list[tuple[str, str]]:
    """Return for each group the centres of its visited states, on one coordinate only."""
    grouping = comparison.grouping
    centers = grouping.centers
    if centers is None or (centers.ndim == 2 and centers.shape[1] != 1):
        return []
    order = np.argsort(centers.ravel())
    visited = comparison.reference.free_energy.populations > 0
    groups, values = np.where(visited, grouping.assignment, -1)[order], centers.ravel()[order]
    pieces = np.split(np.arange(len(values)), np.flatnonzero(np.diff(groups)) + 1)
    found = []
    for k, name in enumerate(grouping.names):
        ends = [values[piece[[0, -1]]] for piece in pieces if groups[piece[0]] == k]
        text = ", ".join(_range(low, high) for low, high in ends[:RANGES_SHOWN])
        more = ", …" if len(ends) > RANGES_SHOWN else ""
        found.append((f"Group {name}", f"centres {text}{more}" if ends else "never visited"))
    return found


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _reading(row: Mapping[str, Any], floor: float) -> str:
    low = row["D_interval"][0]
    factor = f"Its rates are off by a factor of {_factor(row['D'])} on average"
    if not floor > 0:
        return f"{factor}."
    ratio = row["D_over_D0"]
    if ratio <= 1 or low <= floor:
        return f"{factor}: as close to the data as its two halves are to each other."
    if ratio < 2:
        return f"{factor}: a little farther from the data than its halves are from each other."
    if ratio < 5:
        return f"{factor}: farther from the data than chance explains."
    return f"{factor}: far from the data."


def _factor(discrepancy: float) -> str:
    factor = math.exp(discrepancy)
    return number(factor, 3 if factor < 2 else 2)


def _pairs(n: int) -> str:
    return "One ordered pair has" if n == 1 else f"{n} ordered pairs have"
