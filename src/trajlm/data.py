"""The nouns that are passed from stage to stage: Features and States."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.provenance import Discretization, Note, Projection, Step, as_notes
from trajlm.util.trajectories import (
    as_column_units,
    as_columns,
    as_integers,
    as_list,
    as_names,
    as_periods,
    as_state_centers,
    check_finite,
    check_range,
    check_same_columns,
    check_time,
    kept,
    same_arrays,
)
from trajlm.util.words import MOST_COLUMNS, Fact, counted, duration, extent, html, visible

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
# Frames that are counted at a time: NumPy counts eight bytes a frame.
COUNTED_AT_ONCE = 1 << 22
# Of states whose making is not known.
AS_GIVEN = Discretization()


def smallest_unsigned(n_states: int) -> np.dtype[Any]:
    """Return the smallest unsigned integer type that holds the states 0..n_states-1."""
    return np.min_scalar_type(max(n_states - 1, 0))


def _check_discretization(how: object) -> None:
    if not isinstance(how, Discretization):
        raise InputError(
            "the discretization of states is a trajlm.provenance.Discretization, not "
            f"{type(how).__name__}: Discretization.from_dict makes one"
        )


def _of_columns(projection: Projection | None, names: tuple[str, ...]) -> Projection | None:
    if projection is not None and projection.names != names:
        raise InputError(
            f"the projection makes {', '.join(projection.names[:MOST_COLUMNS])} and the columns "
            f"are {', '.join(names[:MOST_COLUMNS])}: leave the projection out"
        )
    return projection


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

    trajectories: tuple[npt.NDArray[np.float64], ...]
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

    def __iter__(self) -> Iterator[npt.NDArray[np.float64]]:
        return iter(self.trajectories)

    def __len__(self) -> int:
        return len(self.trajectories)

    @overload
    def __getitem__(self, index: SupportsIndex) -> npt.NDArray[np.float64]: ...

    @overload
    def __getitem__(self, index: slice) -> Features: ...

    def __getitem__(self, index: SupportsIndex | slice) -> npt.NDArray[np.float64] | Features:
        if isinstance(index, slice):
            return replace(self, trajectories=self.trajectories[index])
        return self.trajectories[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Features):
            return NotImplemented
        return _same_meaning(self, other, ("names", "dt", "unit", "periods")) and same_arrays(
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
        facts = _length(self.n_frames, len(self.trajectories), self.dt, self.unit)
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


@dataclass(frozen=True)
class StateSpace:
    """What the states of a data set mean, apart from any trajectory.

    Parameters
    ----------
    n_states, dt, unit, centers, discretization
        As in `States`.
    """

    n_states: int
    dt: float = 1.0
    unit: str = "frame"
    centers: npt.NDArray[np.float64] | None = None
    discretization: Discretization = AS_GIVEN

    def __post_init__(self) -> None:
        _check_discretization(self.discretization)

    def states(self, trajectories: Sequence[IntArray]) -> States:
        """Return trajectories over these states."""
        return States(
            tuple(trajectories),
            self.n_states,
            self.dt,
            self.unit,
            self.centers,
            self.discretization,
        )


@dataclass(frozen=True, repr=False, eq=False)
class States:
    """Discrete trajectories, one or many: integers 0..n_states-1 with their time.

    ``len``, iteration and indices go over the trajectories, read-only arrays of shape (T,); a
    slice is States again. ``==`` compares trajectories, n_states, time and centres.

    Parameters
    ----------
    trajectories
        Integer arrays of shape (T,), T at least 2. One array, or a flat list of numbers, is one
        trajectory; an array of shape (K, T) has one a row. They are never joined, and what is
        written into the user's arrays later does not change them.
    n_states
        Number of states; the largest state seen plus one when not given. States that are
        never visited keep their number.
    dt, unit
        Time between two frames and its unit.
    centers
        Where each state lies on the coordinate it was cut from, shape (n_states,) for one
        coordinate or (n_states, d); None when that is unknown.
    discretization
        How features became states.

    Raises
    ------
    InputError
        Negative, fractional or out-of-range states (which trajectory and frame), fewer than
        two frames.
    """

    trajectories: tuple[IntArray, ...]
    n_states: int
    dt: float
    unit: str
    centers: npt.NDArray[np.float64] | None
    discretization: Discretization

    def __init__(
        self,
        trajectories: StatesLike,
        n_states: int = 0,
        dt: float = 1.0,
        unit: str = "frame",
        centers: npt.ArrayLike | None = None,
        discretization: Discretization = AS_GIVEN,
    ) -> None:
        given = as_list(trajectories, 1)
        raw = [as_integers(s, i) for i, s in enumerate(given)]
        if not raw:
            raise InputError("no trajectory was given")
        n_states = int(n_states) or max(int(s.max()) for s in raw) + 1
        check_range(raw, n_states)
        check_time(dt, unit)
        _check_discretization(discretization)
        if centers is not None:
            centers = as_state_centers(centers, n_states)
        dtype = smallest_unsigned(n_states)
        fields = {
            "trajectories": tuple(
                kept(x, s.astype(dtype, copy=False)) for x, s in zip(given, raw, strict=True)
            ),
            "n_states": n_states,
            "dt": dt,
            "unit": unit,
            "centers": centers,
            "discretization": discretization,
        }
        vars(self).update(fields)

    def __iter__(self) -> Iterator[IntArray]:
        return iter(self.trajectories)

    def __len__(self) -> int:
        return len(self.trajectories)

    @overload
    def __getitem__(self, index: SupportsIndex) -> IntArray: ...

    @overload
    def __getitem__(self, index: slice) -> States: ...

    def __getitem__(self, index: SupportsIndex | slice) -> IntArray | States:
        if isinstance(index, slice):
            return self.with_trajectories(self.trajectories[index])
        return self.trajectories[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, States):
            return NotImplemented
        centers = [() if x.centers is None else (x.centers,) for x in (self, other)]
        return (
            _same_meaning(self, other, ("n_states", "dt", "unit"))
            and same_arrays(*centers)
            and same_arrays(self.trajectories, other.trajectories)
        )

    # Equal objects would need equal hashes, and to hash all numbers takes too long.
    __hash__ = None  # type: ignore[assignment]

    @property
    def n_frames(self) -> int:
        """Number of frames over all trajectories."""
        return sum(len(s) for s in self.trajectories)

    @property
    def space(self) -> StateSpace:
        """The meaning of the states without the trajectories."""
        return StateSpace(self.n_states, self.dt, self.unit, self.centers, self.discretization)

    @property
    def n_transitions(self) -> int:
        """Number of pairs of successive frames, borders between trajectories left out."""
        return self.n_frames - len(self.trajectories)

    def __repr__(self) -> str:
        states = counted(self.n_states, "state", "states")
        return f"States({extent(self.n_frames, len(self), self.dt, self.unit, states)})"

    def facts(self) -> list[Fact]:
        """Return length, time, how the states were made and how many are visited."""
        facts = _length(self.n_frames, len(self), self.dt, self.unit)
        made = f", {how}" if (how := self.discretization.describe()) else ""
        counts = self.counts()
        top = int(counts.argmax())
        share = counts[top] / self.n_frames
        facts.append(("states", f"{self.n_states}, {int((counts > 0).sum())} visited{made}"))
        facts.append(("most visited", f"state {top}, {share:.1%} of the frames"))
        return facts + self.discretization.facts()

    def _repr_html_(self) -> str:
        return html("States", self.facts())

    def visited(self) -> npt.NDArray[np.bool_]:
        """Return which states are seen at least once, shape (n_states,)."""
        return self.counts() > 0

    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of frames in each state, shape (n_states,)."""
        return self._counts.copy()

    @cached_property
    def _counts(self) -> npt.NDArray[np.int64]:
        # Asked for dozens of times in a comparison, and the trajectories do not change.
        counts = np.zeros(self.n_states, np.int64)
        for s in self.trajectories:
            for begin in range(0, len(s), COUNTED_AT_ONCE):
                counts += np.bincount(s[begin : begin + COUNTED_AT_ONCE], minlength=self.n_states)
        return counts

    def transition_counts(self, lag: int = 1, stride: int = 1) -> npt.NDArray[np.int64]:
        """Return the counts C_ij of pairs `lag` frames apart, none across a border.

        A pair begins at every frame (sliding window), or every `stride` frames.
        """
        from trajlm.kernels.counting import count_pairs

        counts = np.zeros(self.n_states**2, np.int64)
        for s in self.trajectories:
            count_pairs(s, lag, stride, self.n_states, counts)
        return counts.reshape(self.n_states, self.n_states)

    def with_trajectories(self, trajectories: Sequence[IntArray]) -> States:
        """Return the same states, time and meaning with other trajectories."""
        return replace(self, trajectories=tuple(trajectories))

    def split_at(self, frame: int) -> tuple[States, States]:
        """Cut the data in time after `frame` frames, counted over the list of trajectories.

        A piece of fewer than two frames is left out, since it holds no transition.
        """
        head: list[IntArray] = []
        tail: list[IntArray] = []
        for s in self.trajectories:
            cut = min(max(frame, 0), len(s))
            head.append(s[:cut])
            tail.append(s[cut:])
            frame -= len(s)
        kept = [[s for s in part if len(s) >= 2] for part in (head, tail)]
        if not all(kept):
            raise InputError(f"{self.n_frames} frames are too few to be cut in two")
        return self.with_trajectories(kept[0]), self.with_trajectories(kept[1])


# What is taken wherever trajectories are, continuous or discrete.
FeaturesLike = Features | FloatArray | Sequence[FloatArray] | Sequence[float]
StatesLike = States | IntArray | Sequence[IntArray] | Sequence[Sequence[int]] | Sequence[int]


def as_states(data: StatesLike) -> States:
    """Return `data` as States: arrays and lists are taken as frames with dt 1.

    Raises
    ------
    InputError
        Features, or what States refuse.
    """
    if isinstance(data, Features):
        raise InputError("these are features: discretise them first, for example with Bins")
    return data if isinstance(data, States) else States(data)


def as_trajectory(data: StatesLike) -> IntArray:
    """Return the states of one trajectory, one frame at least.

    Raises
    ------
    InputError
        Several trajectories, features, or numbers that are no states.
    """
    if not isinstance(data, States | Features):
        return as_integers(data, 0, least=1)
    states = as_states(data)
    if len(states) > 1:
        raise InputError(f"{len(states)} trajectories were given: give one of them")
    return states[0]


def as_features(data: FeaturesLike) -> Features:
    """Return `data` as Features: arrays and lists are taken as frames with dt 1.

    Raises
    ------
    InputError
        States, or what Features refuse.
    """
    if isinstance(data, States):
        raise InputError("these are states already: give the features that they were made from")
    return data if isinstance(data, Features) else Features(data)


def _same_meaning(one: object, other: object, names: Sequence[str]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _length(n_frames: int, n_trajectories: int, dt: float, unit: str) -> list[Fact]:
    several = f" in {n_trajectories} trajectories" if n_trajectories > 1 else ""
    facts = [("length", f"{n_frames:,} frames{several}")]
    if (dt, unit) != (1.0, "frame"):
        facts.append(("time", f"{duration(dt, unit)} per frame"))
    return facts
