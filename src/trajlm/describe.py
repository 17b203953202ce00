"""What data and models are, in a few facts: for `trajlm info` and for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajlm.data import Features, States

Fact = tuple[str, str]
# Columns that are listed one by one.
MOST_COLUMNS = 8


def features_facts(features: Features, most_columns: int = MOST_COLUMNS) -> list[Fact]:
    """Return length, time, notes and the range of each column, of the first `most_columns`."""
    facts = _length(features.n_frames, len(features.trajectories), features.dt, features.unit)
    for k, name in enumerate(features.names[:most_columns]):
        low = min(float(x[:, k].min()) for x in features.trajectories)
        high = max(float(x[:, k].max()) for x in features.trajectories)
        period = features.periods[k]
        domain = f", periodic on [{period[0]:.4g}, {period[1]:.4g})" if period else ""
        facts.append((name, f"{low:.4g} to {high:.4g}{domain}"))
    if features.n_columns > most_columns:
        facts.append(("more columns", str(features.n_columns - most_columns)))
    return facts + [("note", note) for note in features.notes]


def states_facts(states: States) -> list[Fact]:
    """Return length, time, how the states were made and how many are visited."""
    facts = _length(states.n_frames, len(states), states.dt, states.unit)
    how = states.discretization
    column = how.get("column") or ", ".join(map(str, how.get("columns", [])))
    made = f", by {how['method']} of {column or 'features'}" if "method" in how else ""
    facts.append(("states", f"{states.n_states}, {int(states.visited().sum())} visited{made}"))
    counts = states.counts()
    top = int(counts.argmax())
    facts.append(
        ("most visited", f"state {top}, {counts[top] / states.n_frames:.1%} of the frames")
    )
    return facts + [("note", note) for note in notes_of(how)]


def notes_of(discretization: Mapping[str, Any]) -> list[str]:
    """Return what the reader had to say of the data that states were made from."""
    notes = discretization.get("notes") or ()
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]


def bias_notes(discretization: Mapping[str, Any]) -> list[str]:
    """Return those of the notes that tell of biased data, from which no rate can be right."""
    return [note for note in notes_of(discretization) if "biased" in note]


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


def _length(n_frames: int, n_trajectories: int, dt: float, unit: str) -> list[Fact]:
    several = f" in {n_trajectories} trajectories" if n_trajectories > 1 else ""
    facts = [("length", f"{n_frames:,} frames{several}")]
    if (dt, unit) != (1.0, "frame"):
        facts.append(("time", f"one frame each {duration(dt, unit)}"))
    return facts
