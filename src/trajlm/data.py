"""The nouns that are passed from stage to stage: Features and States."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.provenance import Discretization, Note, Step, as_notes
from trajlm.util.checked import LARGEST
from trajlm.util.words import MOST_COLUMNS, Fact, counted, duration, extent, html, visible

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
# Frames that are counted at a time: NumPy counts eight bytes a frame.
COUNTED_AT_ONCE = 1 << 22
# Of states of which nobody says how they were made.
AS_GIVEN = Discretization()


def smallest_unsigned(n_states: int) -> np.dtype[Any]:
    """Return the smallest unsigned integer type that holds the states 0..n_states-1."""
    return np.min_scalar_type(max(n_states - 1, 0))


def _check_time(dt: float, unit: str) -> None:
    if not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of {unit or 'time units'}, not {dt}")
    if not isinstance(unit, str) or not unit:
        raise InputError(
            "the unit of dt is empty or no text: give one, for example 'ps' or 'frame'"
        )
    if visible(unit) != unit:
        raise InputError(f"the unit of dt, {unit!r:.60}, holds control characters: give its name")


def _check_discretization(how: object) -> None:
    if not isinstance(how, Discretization):
        raise InputError(
            "the discretization of states is a trajlm.provenance.Discretization, not "
            f"{type(how).__name__}: Discretization.from_dict makes one"
        )


@dataclass(frozen=True, repr=False)
class Features:
    """Continuous time series, one or many trajectories of the same columns.

    Parameters
    ----------
    trajectories
        Arrays of shape (T, d), or (T,) for one column. They are never joined.
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

    Raises
    ------
    InputError
        Empty data, unequal numbers of columns, NaN or infinity (which trajectory, frame, column).
    """

    trajectories: tuple[npt.NDArray[np.float64], ...]
    names: tuple[str, ...] = ()
    dt: float = 1.0
    unit: str = "frame"
    periods: tuple[tuple[float, float] | None, ...] = ()
    notes: tuple[Note, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        trajectories = tuple(_as_columns(x, i) for i, x in enumerate(_as_list(self.trajectories)))
        if not trajectories:
            raise InputError("no trajectory was given")
        d = trajectories[0].shape[1]
        for i, x in enumerate(trajectories):
            if x.shape[1] != d:
                raise InputError(
                    f"trajectory {i} has {x.shape[1]} columns but trajectory 0 has {d}: "
                    "give trajectories of the same columns"
                )
        names = tuple(self.names) or tuple(f"x{k}" for k in range(d))
        if len(names) != d:
            raise InputError(f"{len(names)} names were given for {d} columns")
        if not all(isinstance(name, str) for name in names):
            raise InputError("the names of columns are text: give each in quotes")
        _check_time(self.dt, self.unit)
        for i, x in enumerate(trajectories):
            _check_finite(x, i, names)
        object.__setattr__(self, "trajectories", trajectories)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "periods", _as_periods(self.periods, names))
        object.__setattr__(self, "notes", as_notes(self.notes))

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
            facts.append((name, f"{low:.4g} to {high:.4g}{domain}"))
        if self.n_columns > most_columns:
            facts.append(("more columns", str(self.n_columns - most_columns)))
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


@dataclass(frozen=True, repr=False)
class States:
    """Discrete trajectories, one or many: integers 0..n_states-1 with their time.

    Parameters
    ----------
    trajectories
        Integer arrays of shape (T,), T at least 2. They are never joined.
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
    n_states: int = 0
    dt: float = 1.0
    unit: str = "frame"
    centers: npt.NDArray[np.float64] | None = None
    discretization: Discretization = AS_GIVEN

    def __post_init__(self) -> None:
        raw = [_as_integers(s, i) for i, s in enumerate(_as_list(self.trajectories))]
        if not raw:
            raise InputError("no trajectory was given")
        largest = [int(s.max()) for s in raw]
        n_states = int(self.n_states) or max(largest) + 1
        if max(largest) >= n_states:
            i = next(i for i, state in enumerate(largest) if state >= n_states)
            frame = int(np.argmax(raw[i] >= n_states))
            raise InputError(
                f"state {int(raw[i][frame])} in trajectory {i}, frame {frame} is out of range: "
                f"there are {n_states} states, 0 to {n_states - 1}"
            )
        _check_time(self.dt, self.unit)
        _check_discretization(self.discretization)
        if self.centers is not None:
            centers = np.asarray(self.centers, dtype=np.float64)
            if len(centers) != n_states:
                raise InputError(f"{len(centers)} state centres were given for {n_states} states")
            if not (np.abs(centers) <= LARGEST).all():
                raise InputError("a state centre is not a finite number: give one for each state")
            object.__setattr__(self, "centers", centers)
        dtype = smallest_unsigned(n_states)
        trajectories = tuple(s.astype(dtype, copy=False) for s in raw)
        object.__setattr__(self, "trajectories", trajectories)
        object.__setattr__(self, "n_states", n_states)

    def __iter__(self) -> Iterator[IntArray]:
        return iter(self.trajectories)

    def __len__(self) -> int:
        return len(self.trajectories)

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
        counts = np.zeros(self.n_states, np.int64)
        for s in self.trajectories:
            for begin in range(0, len(s), COUNTED_AT_ONCE):
                counts += np.bincount(s[begin : begin + COUNTED_AT_ONCE], minlength=self.n_states)
        return counts

    def transition_counts(self, lag: int = 1) -> npt.NDArray[np.int64]:
        """Return sliding-window counts C_ij at `lag` frames, none across a border."""
        n = self.n_states
        counts = np.zeros(n * n, np.int64)
        for s in self.trajectories:
            for begin in range(0, len(s) - lag, COUNTED_AT_ONCE):
                end = min(begin + COUNTED_AT_ONCE, len(s) - lag)
                pairs = s[begin:end].astype(np.int64) * n + s[begin + lag : end + lag]
                counts += np.bincount(pairs, minlength=n * n)
        return counts.reshape(n, n)

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


def as_states(data: States | IntArray | Sequence[IntArray]) -> States:
    """Return `data` as States: an array or a list of arrays is taken as frames with dt 1."""
    return data if isinstance(data, States) else States(tuple(_as_list(data)))


def _as_list(data: Any) -> list[Any]:
    if isinstance(data, np.ndarray):
        return [data]
    return list(data)


def _as_columns(x: Any, i: int) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"trajectory {i} holds values that are not numbers") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"trajectory {i} has shape {array.shape}: (frames, columns) is needed")
    if len(array) == 0:
        raise InputError(f"trajectory {i} is empty")
    return array


def _check_finite(x: npt.NDArray[np.float64], i: int, names: Sequence[str]) -> None:
    finite = np.isfinite(x)
    if not finite.all():
        frame, column = (int(k) for k in np.argwhere(~finite)[0])
        raise InputError(
            f"{x[frame, column]} in trajectory {i}, frame {frame}, column {names[column]!r}: "
            "remove or repair it before going on"
        )


def _as_periods(periods: Any, names: Sequence[str]) -> tuple[tuple[float, float] | None, ...]:
    given = tuple(periods) or (None,) * len(names)
    if len(given) != len(names):
        raise InputError(
            f"{len(given)} periods were given for {len(names)} columns: give one for each, or None"
        )
    found: list[tuple[float, float] | None] = []
    for name, period in zip(names, given, strict=True):
        if period is None:
            found.append(None)
            continue
        try:
            low, high = (float(end) for end in period)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"the period of {name} is not a pair of numbers") from None
        if not -LARGEST <= low < high <= LARGEST:
            raise InputError(
                f"the period of {name} is {low:g} to {high:g}: give a lower and a higher number"
            )
        found.append((low, high))
    return tuple(found)


def _as_integers(s: Any, i: int) -> IntArray:
    array = np.asarray(s)
    if array.ndim != 1:
        raise InputError(f"trajectory {i} has shape {array.shape}: states are one number a frame")
    if len(array) < 2:
        raise InputError(
            f"trajectory {i} has {counted(len(array), 'frame', 'frames')}: at least two are "
            "needed for a transition"
        )
    if array.dtype.kind not in "iu":
        if array.dtype.kind not in "fb":
            raise InputError(f"trajectory {i} holds {array.dtype} values: states are integers")
        bad = ~np.isfinite(array) | (array != np.floor(array))
        if bad.any():
            frame = int(np.argmax(bad))
            raise InputError(
                f"state {array[frame]} in trajectory {i}, frame {frame} is not a whole number: "
                "discretise continuous data first (trajlm discretize)"
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "i" and array.min() < 0:
        frame = int(np.argmax(array < 0))
        raise InputError(
            f"state {int(array[frame])} in trajectory {i}, frame {frame} is negative: "
            "states are numbered from 0"
        )
    return array


def _length(n_frames: int, n_trajectories: int, dt: float, unit: str) -> list[Fact]:
    several = f" in {n_trajectories} trajectories" if n_trajectories > 1 else ""
    facts = [("length", f"{n_frames:,} frames{several}")]
    if (dt, unit) != (1.0, "frame"):
        facts.append(("time", f"one frame each {duration(dt, unit)}"))
    return facts
