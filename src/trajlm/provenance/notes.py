"""What readers have to say of the data, by kind and in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from trajlm.util.checked import FROZEN
from trajlm.util.words import without_surrogates

NoteKind = Literal[
    "bias",  # a bias acted on the system: no rate can be right
    "gap",  # frames are missing, the record was cut there
    "restart",  # frames that a restarted run wrote twice
    "cut line",  # a line that was not written whole
    "uneven time",  # a time column that gives no dt
    "repeat",  # a frame that was written twice
    "columns",  # columns that were left out, or that split the rows
    "fret",  # how FRET efficiencies were made
    "clip",  # values that were set to the ends of a range
    "header",  # column names that do not fit the columns
    "arrays",  # which arrays of a file became trajectories
    "other",
]


def _clean(text: object) -> object:
    return without_surrogates(text) if isinstance(text, str) else text


@dataclass(frozen=True, config=FROZEN)
class Note:
    """A remark on the data.

    Parameters
    ----------
    text
        A sentence for people. It may hold the name of a file that is not valid UTF-8; such
        bytes are written out.
    kind
        What it is about, for programs.
    """

    text: Annotated[str, Field(strict=True), BeforeValidator(_clean)]
    kind: NoteKind = "other"

    def __str__(self) -> str:
        return self.text


def as_notes(notes: Iterable[str | Note]) -> tuple[Note, ...]:
    """Return notes, plain text as notes of no special kind."""
    return tuple(note if isinstance(note, Note) else Note(str(note)) for note in notes)
