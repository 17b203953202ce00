"""What the first version wrote: free dictionaries, and filters in notes for people.

Here alone are notes taken apart by their words, since those files say it in no other way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FILTERS = (
    (re.compile(r"running mean over (\d+) frames"), "running mean", "window"),
    (re.compile(r"averages over (\d+) frames"), "averages", "n"),
    (re.compile(r"every (\d+) frames one"), "decimation", "n"),
)
KINDS = (
    (re.compile(r"biased data is not equilibrium data"), "bias"),
    (re.compile(r"gap\(s\) in the time"), "gap"),
    (re.compile(r"after a restart at time"), "restart"),
    (re.compile(r"the last line is cut short"), "cut line"),
    (re.compile(r"is not evenly spaced, so dt is not taken"), "uneven time"),
    (re.compile(r"so the columns are numbered"), "header"),
    (re.compile(r"were read as \d+ trajectories"), "arrays"),
)
# Digits of a number of frames; longer ones are no number of frames.
MOST_DIGITS = 18

Values = dict[str, object]


def upgraded(values: Values) -> Values:
    """Return a discretisation of the first version in the form of the present one."""
    if isinstance(grouping := values.get("grouping"), dict):
        return _upgraded_groups(grouping, values.get("fine"))
    steps, notes = upgraded_notes(values.get("notes"))
    if spikes := values.get("remove_spikes"):
        steps.append({"kind": "spike removal", "threshold": spikes})
    found: Values = {"method": _method(values), "steps": steps, "notes": notes}
    columns = [values["column"]] if "column" in values else values.get("columns")
    if columns is not None:
        found["columns"] = columns
    if (periods := values.get("periods")) is not None:
        found["periods"] = periods
    elif "period" in values:
        found["periods"] = [values["period"]]
    return found


def upgraded_notes(notes: object) -> tuple[list[Values], list[object]]:
    """Return the filters among the notes of the first version, and the other notes."""
    if isinstance(notes, str):
        notes = [notes]
    if not isinstance(notes, Sequence):
        return [], [] if notes is None else [notes]
    steps: list[Values] = []
    others: list[object] = []
    for note in notes:
        step = _step(note)
        if step:
            steps.append(step)
        else:
            others.append({"text": note, "kind": _kind(note)} if isinstance(note, str) else note)
    return steps, others


def _method(values: Values) -> Values:
    """Return the cut; one that the first version did not know, or did not finish, as given."""
    method = values.get("method")
    if method == "bins" and values.get("edges") is not None:
        return {"kind": "bins", "edges": values["edges"]}
    if values.get("centers") is not None:
        if method == "nearest_centers":
            return {"kind": "nearest centers", "centers": values["centers"]}
        if method == "kmeans":
            seed = values.get("seed", 0)
            return {"kind": "kmeans", "centers": values["centers"], "seed": seed}
    if method is not None and not isinstance(method, str):
        raise ValueError("the method of the discretisation is no name")
    return {"kind": "given"}


def _upgraded_groups(grouping: Values, fine: object) -> Values:
    found = upgraded(fine) if isinstance(fine, dict) else {}
    window = grouping.get("running_mean", 1)
    method = {
        "kind": "grouped",
        "rule": grouping.get("method"),
        "assignment": grouping.get("assignment"),
        "fine": found.get("method", {"kind": "given"}),
        "running_mean": window,
        "edges": grouping.get("edges"),
        "names": grouping.get("names", []),
    }
    steps = found.get("steps")
    if isinstance(steps, list) and window != 1:
        steps.append({"kind": "running mean", "window": window})
    return {**found, "method": method}


def _step(note: object) -> Values | None:
    if isinstance(note, str):
        for pattern, kind, parameter in FILTERS:
            match = pattern.fullmatch(note)
            if match and len(match.group(1)) <= MOST_DIGITS:
                return {"kind": kind, parameter: int(match.group(1))}
    return None


def _kind(note: str) -> str:
    return next((kind for pattern, kind in KINDS if pattern.search(note)), "other")
