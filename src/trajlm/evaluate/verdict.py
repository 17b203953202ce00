"""What the numbers of a comparison say of each model, in words: one set for every command."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate.curves import far_curves
from trajlm.evaluate.rates import RateRow
from trajlm.evaluate.summary import ModelSummary, Summary
from trajlm.util.words import counted, interval, listed, number

# D over D0 up to which a model is as close as the halves, where its interval holds D0: D0 is
# itself a mean over few numbers.
AS_CLOSE = 1.5
# D over D0 below which a model is a little farther than the halves, and above which it is far.
LITTLE, FAR = 2.0, 5.0
# Share of the judged rates that must lie inside the data's intervals for praise: one in twenty
# falls outside by chance, and rates at neighbouring commit times fall together.
MOST_INSIDE = 0.8


@dataclass(frozen=True)
class Verdict:
    """What to read of one model.

    Parameters
    ----------
    name
        Of the model.
    numbers
        Its numbers in a sentence.
    reading
        What they mean; empty where D is not known.
    """

    name: str
    numbers: str
    reading: str

    def __str__(self) -> str:
        return f"{self.name}: {self.numbers} {self.reading}".strip()


def headline(summary: Summary) -> str:
    """Say which model comes closest, whether that is settled, and what D does not see."""
    models = summary.models
    known = {name: row.D for name, row in models.items() if not math.isnan(row.D)}
    if not known:
        return (
            f"The data has too few transitions to judge a model by D: no pair of groups has "
            f"{MIN_COUNT} of them. The intervals below are what there is to judge by."
        )
    best = min(known, key=lambda name: known[name])
    judged, pairs = summary.pairs_judged, summary.pairs
    scope = (
        ""
        if judged == pairs
        else f", over the {judged} of {pairs} pairs with {MIN_COUNT} transitions"
    )
    factor = f"differ from those of the data by a factor of {_factor(known[best])} on average"
    if len(known) == 1:
        sentences = [f"The rates of {best} {factor}{scope}."]
    else:
        sentences = [_standing(best, summary), f"Its rates {factor}{scope}."]
    if refuted := _refuted(summary, best):
        sentences.append(f"But {refuted}.")
    close = [name for name in known if is_close(models[name], summary.D0)]
    return " ".join([*sentences, *_far_curves(close, models)])


def slowest_sentence(summary: Summary, unit: str) -> str:
    """Name the slowest process of the data, and say what the models make of it."""
    slowest = summary.slowest
    if slowest is None:
        return (
            "The groups do not all lead to each other in the data, so how long its slowest process "
            "takes is not known."
        )
    one, other = (" or ".join(side) for side in slowest.between)
    text = (
        f"The slowest process of the data, {one} ⇌ {other}, relaxes in "
        f"{number(slowest.time)} {interval(slowest.low, slowest.high, 3)} {unit}, with "
        f"{counted(slowest.count, 'transition', 'transitions')} across"
    )
    if slowest.count < 2 * FEW_EVENTS:
        text += ", too few to settle it"
    found = [
        f"{m.name} {number(m.value)}{'' if m.place == 'unknown' else f' ({m.place})'}"
        for m in slowest.models
    ]
    return f"{text}; of the models: {', '.join(found)}."


def settled_sentence(summary: Summary) -> str:
    """Say how many rate constants the data settles, and how many of each model agree."""
    n_settled = sum(row.reliable for row in summary.rates)
    n_open = len(summary.rates) - n_settled
    if not summary.rates:
        return "No transition between groups was seen, in the data or in the models."
    unsettled = f"; {n_open} with fewer transitions {'is' if n_open == 1 else 'are'} unsettled"
    if not n_settled:
        what = "constant is" if n_open == 1 else "constants are"
        return f"The {n_open} rate {what} unsettled: no pair has {FEW_EVENTS} transitions."
    scores = []
    for name, row in summary.models.items():
        unknown = n_settled - row.settled.inside - row.settled.outside
        score = f"{name} has {row.settled.inside} inside and {row.settled.outside} outside"
        scores.append(score + (f", {unknown} unknown" if unknown else ""))
    what = "rate constant" if n_settled == 1 else f"{n_settled} rate constants"
    return (
        f"Of the {what} that the data settles with {FEW_EVENTS} transitions or more, "
        f"{listed(scores)} its 95 % interval{unsettled if n_open else ''}."
    )


def floor_sentence(summary: Summary) -> str:
    """Say how far the two halves of the data are apart; nothing where no D is known at all."""
    if all(math.isnan(row.D) for row in summary.models.values()):
        return ""
    if not summary.D0_terms:
        return (
            f"The data has too few transitions to give a floor: no pair of groups has {MIN_COUNT} "
            "in the first half of it. How small D could be is then unknown, and the intervals "
            "below are what there is to judge by."
        )
    return (
        f"The two halves of the data differ from each other by D0 = {number(summary.D0, 2)}: "
        "a D of that size or below is all that this data can ask for. It can lie below, since "
        "the halves are shorter than the whole that the model learned from."
    )


def verdicts(summary: Summary) -> list[Verdict]:
    """Return what to read of each model."""
    floor = summary.D0
    found = []
    for name, row in summary.models.items():
        if math.isnan(row.D):
            text = (
                f"no pair of groups has {MIN_COUNT} transitions in the data, so D is not known: "
                "try other groups."
            )
            found.append(Verdict(name, text, ""))
            continue
        text = f"D = {number(row.D, 2)} {interval(*row.D_interval)}".strip()
        if floor > 0:
            ratio = number(row.D_over_D0, 2)
            text += f", {ratio} times the difference between the two halves of the data."
        else:
            text += "."
        found.append(Verdict(name, text, f"{_reading(summary, name)}{_unseen_reading(row)}"))
    return found


def unseen_sentence(summary: Summary) -> str:
    """Say how close the training data itself is to the unseen data; nothing without such data."""
    own = summary.own_unseen
    if own is None:
        return ""
    if math.isnan(own.D):
        return (
            f"The unseen data has too few transitions to judge by: no pair of groups has "
            f"{MIN_COUNT} of them."
        )
    return (
        f"On data that no model was trained on, the training data itself has D = "
        f"{number(own.D, 2)} {interval(*own.D_interval)}: a model with a smaller D predicts that "
        "data better than the counts it was trained on."
    )


def is_close(row: ModelSummary, floor: float) -> bool:
    """Return whether D is no larger than D0, as far as its interval can tell."""
    ratio = row.D_over_D0
    return bool(ratio <= 1 or (row.D_interval[0] <= floor and ratio <= AS_CLOSE))


def _known(summary: Summary) -> dict[str, tuple[float, float]]:
    """Return the interval of D of each model, without bounds where it is not known."""
    intervals = {}
    for name, row in summary.models.items():
        low, high = row.D_interval
        if not math.isnan(row.D):
            intervals[name] = (0.0, math.inf) if math.isnan(low + high) else (low, high)
    return intervals


def _standing(best: str, summary: Summary) -> str:
    """Say which of several models comes closest, as far as the intervals of D settle it."""
    intervals = _known(summary)
    if max(low for low, _ in intervals.values()) <= min(high for _, high in intervals.values()):
        return (
            "No difference between the models is settled: their intervals of D overlap. The "
            f"smallest D is that of {best}."
        )
    rivals = [n for n, (low, _) in intervals.items() if n != best and low <= intervals[best][1]]
    unsettled = f", though its lead over {listed(rivals)} is not settled" if rivals else ""
    return f"The model that comes closest is {best}{unsettled}."


def _refuted(summary: Summary, name: str) -> str:
    """Say which settled numbers of a model lie outside, where more do than chance explains."""
    found, row = [], summary.models[name]
    outside, judged = row.settled.outside, row.settled.inside + row.settled.outside
    if row.settled.inside < MOST_INSIDE * judged:
        which = (
            f"{outside} of its {judged} settled rate constants {'lies' if outside == 1 else 'lie'}"
            if judged > 1
            else "its one settled rate constant lies"
        )
        found.append(f"{which} outside the 95 % interval of the data")
    slowest = summary.slowest
    if slowest is not None and slowest.count >= 2 * FEW_EVENTS:
        places = [m.place for m in slowest.models if m.name == name]
        if "above" in places:
            found.append("its slowest process takes longer than the data allows")
        elif "below" in places:
            found.append("its slowest process is faster than the data allows")
    return " and ".join(found)


def _reading(summary: Summary, name: str) -> str:
    row, floor = summary.models[name], summary.D0
    factor = f"Its rates are off by a factor of {_factor(row.D)} on average"
    if not floor > 0:
        return f"{factor}.{_outside(row)}"
    if is_close(row, floor):
        if refuted := _refuted(summary, name):
            return f"{factor}, no more than between the halves of the data. But {refuted}."
        close = f"{factor}: as close to the data as its two halves are to each other"
        return f"{close}.{_outside(row)}"
    if not row.D_interval[0] > floor:
        return f"{factor}: too few generated frames to tell D from D0; generate more."
    if row.D_over_D0 < LITTLE:
        return f"{factor}: a little farther from the data than its halves are from each other."
    if row.D_over_D0 < FAR:
        return f"{factor}: farther from the data than chance explains."
    return f"{factor}: far from the data."


def _outside(row: ModelSummary) -> str:
    """Say how many rates lie outside where those are more than chance explains."""
    outside = row.rates_judged - row.rates_inside
    if row.rates_inside >= MOST_INSIDE * row.rates_judged:
        return ""
    where = "lies outside its 95 % interval" if outside == 1 else "lie outside their 95 % intervals"
    return f" But {outside} of the {row.rates_judged} rates that D is a mean over {where}."


def _unseen_reading(row: ModelSummary) -> str:
    """Say how close a model is to the unseen data, beside the training data itself."""
    unseen = row.unseen
    if unseen is None or math.isnan(unseen.D):
        return ""
    text = f" On unseen data D = {number(unseen.D, 2)} {interval(*unseen.D_interval)}".rstrip()
    if math.isnan(unseen.D_over_own):
        return f"{text}."
    ratio = f"{number(unseen.D_over_own, 2)} times that of the training data itself"
    low, high = unseen.D_interval
    own = unseen.D / unseen.D_over_own if unseen.D_over_own > 0 else math.inf
    if high < own:
        return f"{text}, {ratio}: closer to it than the data that was learned."
    if unseen.D_over_own <= 1 or (low <= own and unseen.D_over_own <= AS_CLOSE):
        return f"{text}, {ratio}: as close to it as the data that was learned."
    return f"{text}, {ratio}: farther from it than the data that was learned."


def _far_curves(close: list[str], models: Mapping[str, ModelSummary]) -> list[str]:
    """Say which curves of the models with a small D lie far outside the bands of the data."""
    found = []
    for name in close:
        curves = far_curves(models[name].curves_outside)
        if curves:
            found.append(f"{name} ({listed(curves)})")
    if not found:
        return []
    return [
        "But D does not see everything: curves below lie far outside the bands of the data for "
        f"{listed(found)}."
    ]


def _factor(discrepancy: float) -> str:
    factor = math.exp(discrepancy)
    return number(factor, 3 if factor < 2 else 2)


def rate_findings(rows: Sequence[RateRow], commit: str) -> list[str]:
    """Say how well the data knows the rate constants."""
    judged = [row for row in rows if row.reliable]
    if not judged:
        return [
            f"No pair has {FEW_EVENTS} transitions at {commit}: this data settles none of the "
            "rates, and neither agreement nor disagreement with a model means much."
        ]
    widest = max(judged, key=lambda row: row.factor)
    return [
        f"{_pairs(len(judged))} at least {FEW_EVENTS} transitions at {commit}. The least certain "
        f"of these rate constants, {widest.source}\u00a0→\u00a0{widest.target}, is known to within "
        f"a factor of {number(widest.factor, 2)} between the ends of its interval."
    ]


def warning(row: RateRow, unit: str) -> str:
    """Say how little the data knows of a pair with few transitions."""
    per = f"per {unit}"
    if row.count == 0:
        return (
            f"none in the data, so the rate constant is only known to be at most "
            f"{number(row.high, 2)} {per}."
        )
    events = counted(row.count, "transition", "transitions")
    if row.low == 0:
        return f"{events} in the data. The rate constant is at most {number(row.high, 2)} {per}."
    return (
        f"{events} in the data. The rate constant lies between {number(row.low, 2)} and "
        f"{number(row.high, 2)} {per}, a factor of {number(row.factor, 2)}."
    )


def _pairs(n: int) -> str:
    return "One ordered pair has" if n == 1 else f"{n} ordered pairs have"
