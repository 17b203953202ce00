"""Continuous time series: Features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import SupportsIndex, overload

from trajlm.errors import InputError
from trajlm.provenance import Note, Projection, Step, as_notes
from trajlm.util.arrays import F64, FloatArray
from trajlm.util.trajectories import (
    as_column_units,
    as_columns,
    as_list,
    as_names,
    as_periods,
    check_finite,
    check_same_columns,
    check_time,
    kept,
    same_arrays,
    same_fields,
)
from trajlm.util.words import MOST_COLUMNS, Fact, extent, html, length_facts, visible


@dataclass(frozen=True, repr=False, eq=False)
class Features:
    """Continuous time series, one or many trajectories of the same columns.

    ``len``, iteration and indices go over the trajectories, read-only arrays of shape (T, d); a
    slice is Features again. ``==`` compares numbers, names, time and periods, but neither notes
    nor filters.

    Parameters
    ----------
    trajectories
        Arrays of shape (T, d), or (T,) for one column; one array is one trajectory. They are
        never joined, and what is written into the user's arrays later does not change them.
    names
        The d column names; ``x0``, ``x1`` ... when not given.
    dt, unit
        Time between two frames and its unit.
    periods
        For each column its periodic domain (low, high), or None.
    notes
        What the reader had to say, for example dropped frames after a restart; plain text
        becomes a `trajlm.provenance.Note`.
    steps
        Filters that were applied, in their order.
    projection
        How the columns came from others, where they are slow coordinates.
    column_units
        Unit of each column, such as ``nm``, for the axes of figures; empty where it is not known.
        Where none is given, a period of 2 pi says ``rad`` and one of 360 ``deg``.

    Raises
    ------
    InputError
        Empty data, unequal numbers of columns, NaN or infinity (which trajectory, frame, column).
    """

    trajectories: tuple[F64, ...]
    names: tuple[str, ...]
    dt: float
    unit: str
    periods: tuple[tuple[float, float] | None, ...]
    notes: tuple[Note, ...]
    steps: tuple[Step, ...]
    projection: Projection | None
    column_units: tuple[str, ...]

    def __init__(
        self,
        trajectories: FeaturesLike,
        names: Sequence[str] = (),
        dt: float = 1.0,
        unit: str = "frame",
        periods: Sequence[tuple[float, float] | None] = (),
        notes: Iterable[str | Note] = (),
        steps: Iterable[Step] = (),
        projection: Projection | None = None,
        column_units: Sequence[str] = (),
    ) -> None:
        given = as_list(trajectories, 2)
        arrays = [as_columns(x, i) for i, x in enumerate(given)]
        if not arrays:
            raise InputError("no trajectory was given")
        d = arrays[0].shape[1]
        check_same_columns(arrays)
        names = as_names(names, d)
        check_time(dt, unit)
        for i, x in enumerate(arrays):
            check_finite(x, i, names)
        domains = as_periods(periods, names)
        fields = {
            "trajectories": tuple(kept(x, own) for x, own in zip(given, arrays, strict=True)),
            "names": names,
            "dt": dt,
            "unit": unit,
            "periods": domains,
            "notes": as_notes(notes),
            "steps": tuple(steps),
            "projection": _of_columns(projection, names),
            "column_units": as_column_units(column_units, names, domains),
        }
        vars(self).update(fields)

    def __iter__(self) -> Iterator[F64]:
        return iter(self.trajectories)

    def __len__(self) -> int:
        return len(self.trajectories)

    @overload
    def __getitem__(self, index: SupportsIndex) -> F64: ...

    @overload
    def __getitem__(self, index: slice) -> Features: ...

    def __getitem__(self, index: SupportsIndex | slice) -> F64 | Features:
        if isinstance(index, slice):
            return replace(self, trajectories=self.trajectories[index])
        return self.trajectories[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Features):
            return NotImplemented
        return same_fields(self, other, ("names", "dt", "unit", "periods")) and same_arrays(
            self.trajectories, other.trajectories
        )

    # Equal objects would need equal hashes, and to hash all numbers takes too long.
    __hash__ = None  # type: ignore[assignment]

    @property
    def n_columns(self) -> int:
        """Number of columns d."""
        return int(self.trajectories[0].shape[1])

    @property
    def n_frames(self) -> int:
        """Number of frames over all trajectories."""
        return sum(len(x) for x in self.trajectories)

    def __repr__(self) -> str:
        names = ", ".join(self.names[:MOST_COLUMNS]) + ", …" * (self.n_columns > MOST_COLUMNS)
        size = extent(self.n_frames, len(self.trajectories), self.dt, self.unit, visible(names))
        return f"Features({size})"

    def facts(self, most_columns: int = MOST_COLUMNS) -> list[Fact]:
        """Return length, time, notes and the range of each column, of the first `most_columns`."""
        facts = length_facts(self.n_frames, len(self.trajectories), self.dt, self.unit)
        for k, name in enumerate(self.names[:most_columns]):
            low = min(float(x[:, k].min()) for x in self.trajectories)
            high = max(float(x[:, k].max()) for x in self.trajectories)
            period = self.periods[k]
            domain = f", periodic on [{period[0]:.4g}, {period[1]:.4g})" if period else ""
            unit = f" {self.column_units[k]}" if self.column_units[k] else ""
            facts.append((name, f"{low:.4g} to {high:.4g}{unit}{domain}"))
        if self.n_columns > most_columns:
            facts.append(("more columns", str(self.n_columns - most_columns)))
        if self.projection:
            facts.append(("coordinates", self.projection.describe()))
        facts += [("filter", step.describe()) for step in self.steps]
        return facts + [("note", note.text) for note in self.notes]

    def _repr_html_(self) -> str:
        return html("Features", self.facts())

    def select(self, columns: Sequence[str]) -> Features:
        """Return the named columns only.

        Raises
        ------
        InputError
            A column that is not there; the message lists those that are.
        """
        missing = [c for c in columns if c not in self.names]
        if missing:
            raise InputError(
                f"there is no column {missing[0]!r}: the columns are {', '.join(self.names)}"
            )
        index = [self.names.index(c) for c in columns]
        return replace(
            self,
            trajectories=tuple(x[:, index] for x in self.trajectories),
            names=tuple(columns),
            periods=tuple(self.periods[k] for k in index),
            projection=self.projection and self.projection.select(index),
            column_units=tuple(self.column_units[k] for k in index),
        )


def _of_columns(projection: Projection | None, names: tuple[str, ...]) -> Projection | None:
    if projection is not None and projection.names != names:
        raise InputError(
            f"the projection makes {', '.join(projection.names[:MOST_COLUMNS])} and the columns "
            f"are {', '.join(names[:MOST_COLUMNS])}: leave the projection out"
        )
    return projection


# What is taken wherever continuous trajectories are.
FeaturesLike = Features | FloatArray | Sequence[FloatArray] | Sequence[float]
