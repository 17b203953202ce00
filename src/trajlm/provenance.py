"""How states were made from features, and what the reader had to say of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def notes_of(discretization: Mapping[str, Any]) -> list[str]:
    """Return what the reader had to say of the data that states were made from."""
    notes = discretization.get("notes") or ()
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]


def bias_notes(discretization: Mapping[str, Any]) -> list[str]:
    """Return those of the notes that tell of biased data, from which no rate can be right."""
    return [note for note in notes_of(discretization) if "biased" in note]
