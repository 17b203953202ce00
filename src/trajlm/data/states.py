"""Discrete trajectories: States, and what the states mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.provenance import Discretization
from trajlm.util.arrays import F64, I64, IntArray
from trajlm.util.trajectories import (
    as_integers,
    as_list,
    as_state_centers,
    check_range,
    check_time,
    kept,
    same_arrays,
    same_fields,
)
from trajlm.util.words import Fact, counted, extent, html, length_facts

# Frames that are counted at a time: NumPy counts eight bytes a frame.
COUNTED_AT_ONCE = 1 << 22
# Of states whose making is not known.
AS_GIVEN = Discretization()


def smallest_unsigned(n_states: int) -> np.dtype[Any]:
    """Return the smallest unsigned integer type that holds the states 0..n_states-1."""
    return np.min_scalar_type(max(n_states - 1, 0))


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
    centers: F64 | None = None
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
    centers: F64 | None
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
            same_fields(self, other, ("n_states", "dt", "unit"))
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
        facts = length_facts(self.n_frames, len(self), self.dt, self.unit)
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

    def counts(self) -> I64:
        """Return the number of frames in each state, shape (n_states,)."""
        return self._counts.copy()

    @cached_property
    def _counts(self) -> I64:
        # Asked for dozens of times in a comparison, and the trajectories do not change.
        counts = np.zeros(self.n_states, np.int64)
        for s in self.trajectories:
            for begin in range(0, len(s), COUNTED_AT_ONCE):
                counts += np.bincount(s[begin : begin + COUNTED_AT_ONCE], minlength=self.n_states)
        return counts

    def transition_counts(self, lag: int = 1, stride: int = 1) -> I64:
        """Return the counts C_ij of pairs `lag` frames apart, none across a border.

        A pair begins at every frame (sliding window), or every `stride` frames.
        """
        # Numba, which compiled code needs, takes longer to import than most uses of States.
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


def _check_discretization(how: object) -> None:
    if not isinstance(how, Discretization):
        raise InputError(
            "the discretization of states is a trajlm.provenance.Discretization, not "
            f"{type(how).__name__}: Discretization.from_dict makes one"
        )


# What is taken wherever discrete trajectories are.
StatesLike = States | IntArray | Sequence[IntArray] | Sequence[Sequence[int]] | Sequence[int]
