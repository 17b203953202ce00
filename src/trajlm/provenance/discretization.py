"""The one object that says how states were made."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from trajlm.provenance.methods import Given, Method, ProductBinning
from trajlm.provenance.notes import Note
from trajlm.provenance.projection import Period, Projection
from trajlm.provenance.steps import Step
from trajlm.provenance.version1 import upgraded
from trajlm.util.checked import FROZEN, Name, checked
from trajlm.util.words import Fact


@dataclass(frozen=True, config=FROZEN)
class Discretization:
    """How states were made, from the columns of a file to their numbers.

    Parameters
    ----------
    method
        The cut, with all that cuts other data alike.
    columns
        Names of the columns that were cut; those of the centres of the states.
    periods
        For each column the periodic domain (low, high) along which the cut goes round, or None.
        Empty where that is not known.
    steps
        Filters before and after the cut, in the order in which they were applied.
    notes
        What the reader had to say of the data.
    projection
        How the columns that were cut came from those of a file, where they are slow coordinates.
    column_units
        Unit of each column, empty where it is not known; none where none is.
    """

    method: Method = Given()
    columns: tuple[Name, ...] = ()
    periods: tuple[Period | None, ...] = ()
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    projection: Projection | None = None
    version: Literal[2] = 2
    column_units: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.columns and self.periods and len(self.columns) != len(self.periods):
            raise ValueError("there are not as many periods as columns")
        if isinstance(self.method, ProductBinning):
            n_columns = {len(x) for x in (self.columns, self.periods) if x}
            if n_columns - {len(self.method.bins)}:
                raise ValueError("there are not as many product bins as columns")
        if self.projection and self.columns != self.projection.names:
            raise ValueError("the columns are not those of the projection")
        if self.column_units and len(self.columns) != len(self.column_units):
            raise ValueError("there are not as many units as columns")
        return self

    @property
    def bias_notes(self) -> tuple[str, ...]:
        """The notes that tell of biased data, from which no rate can be right."""
        return tuple(note.text for note in self.notes if note.kind == "bias")

    @property
    def remarks(self) -> tuple[str, ...]:
        """The projection, the filters and all other notes, each in words."""
        projected = (self.projection.describe(),) if self.projection else ()
        others = (note.text for note in self.notes if note.kind != "bias")
        return (*projected, *(step.describe() for step in self.steps), *others)

    def facts(self) -> list[Fact]:
        """Return the projection, the filters and all notes, as names and values."""
        made = [("coordinates", self.projection.describe())] if self.projection else []
        made += [("filter", step.describe()) for step in self.steps]
        return made + [("note", note.text) for note in self.notes]

    def describe(self) -> str:
        """Say in a few words what the states are, such as bins of phi; nothing if unknown."""
        of = ", ".join(self.columns)
        return f"{self.method.what or 'states'} of {of}" if of else self.method.what

    def to_dict(self) -> dict[str, object]:
        """Return plain values that fit in JSON, with the version of their form."""
        values: dict[str, object] = TypeAdapter(Discretization).dump_python(self, mode="json")
        return values

    @classmethod
    def from_dict(cls, values: object) -> Discretization:
        """Rebuild what `to_dict` returned, or what the first version wrote.

        Raises
        ------
        ValueError
            Values that describe no discretisation.
        """
        if isinstance(values, dict) and "version" not in values:
            values = upgraded(values)
        return checked(TypeAdapter(Discretization), values)
