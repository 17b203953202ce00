"""What features carry on to the states that are cut from them."""

from __future__ import annotations

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from trajlm.provenance.notes import Note
from trajlm.provenance.projection import Projection
from trajlm.provenance.steps import Step
from trajlm.provenance.version1 import upgraded_notes
from trajlm.util.checked import FROZEN, checked


@dataclass(frozen=True, config=FROZEN)
class History:
    """The notes of the reader, the filters and the projection, as files of features hold them."""

    notes: tuple[Note, ...] = ()
    steps: tuple[Step, ...] = ()
    projection: Projection | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain values that fit in JSON."""
        values: dict[str, object] = TypeAdapter(History).dump_python(self, mode="json")
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> History:
        """Rebuild what `to_dict` returned; the first version had filters among its notes.

        Raises
        ------
        ValueError
            Values that are no notes or filters.
        """
        if "steps" not in values:
            steps, notes = upgraded_notes(values["notes"])
            values = {"notes": notes, "steps": steps}
        return checked(TypeAdapter(History), values)
