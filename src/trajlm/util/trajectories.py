"""Arrays of trajectories: reading what users give, and keeping it from being changed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from trajlm.errors import InputError
from trajlm.util.arrays import F64, AnyArray, IntArray
from trajlm.util.checked import LARGEST
from trajlm.util.words import counted, visible

A = TypeVar("A", bound=AnyArray)


def as_list(data: Any, most_dimensions: int) -> list[Any]:
    """Return one trajectory, or many, as a list.

    An array is one trajectory, or with a dimension more than `most_dimensions` many of them, one
    a row. A flat list of numbers is one trajectory; any other list holds one in each item.

    Raises
    ------
    InputError
        What cannot be a list of trajectories, such as a number.
    """
    if hasattr(data, "__array__"):
        array = np.asarray(data)
        return list(array) if array.ndim > most_dimensions else [array]
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise InputError(f"{data!r:.60} is no trajectory: give an array, or a list of arrays")
    items = list(data)
    return [items] if items and all(isinstance(x, numbers.Number) for x in items) else items


def as_columns(x: Any, i: int) -> F64:
    """Return trajectory `i` as numbers of shape (frames, columns).

    Raises
    ------
    InputError
        Not numbers, another shape, or no frame.
    """
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


def check_finite(x: F64, i: int, names: Sequence[str]) -> None:
    """Check that trajectory `i`, with columns of these names, has no gap.

    Raises
    ------
    InputError
        NaN or infinity (trajectory, frame and column).
    """
    finite = np.isfinite(x)
    if not finite.all():
        frame, column = (int(k) for k in np.argwhere(~finite)[0])
        raise InputError(
            f"{x[frame, column]} in trajectory {i}, frame {frame}, column {names[column]!r}: "
            "remove or repair it before going on"
        )


def check_same_columns(arrays: Sequence[AnyArray]) -> None:
    """Check that all trajectories have as many columns.

    Raises
    ------
    InputError
        One has not as many as the first.
    """
    d = arrays[0].shape[1]
    for i, x in enumerate(arrays):
        if x.shape[1] != d:
            raise InputError(
                f"trajectory {i} has {x.shape[1]} columns but trajectory 0 has {d}: "
                "give trajectories of the same columns"
            )


def check_time(dt: float, unit: str) -> None:
    """Check the time between two frames.

    Raises
    ------
    InputError
        A time that is no positive number, or a unit that is empty, no text, or steers terminals.
    """
    if not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of {unit or 'time units'}, not {dt}")
    if not isinstance(unit, str) or not unit:
        raise InputError("the unit of dt is empty or no text: give one such as 'ps' or 'frame'")
    if visible(unit) != unit:
        raise InputError(f"the unit of dt, {unit!r:.60}, holds control characters: give its name")


def as_names(names: Iterable[str], d: int) -> tuple[str, ...]:
    """Return the names of `d` columns; ``x0``, ``x1`` ... where none are given.

    Raises
    ------
    InputError
        Not one for each column, or one that is no text.
    """
    given = tuple(names) or tuple(f"x{k}" for k in range(d))
    if len(given) != d:
        raise InputError(f"{len(given)} names were given for {d} columns")
    if not all(isinstance(name, str) for name in given):
        raise InputError("the names of columns are text: give each in quotes")
    return given


def as_column_units(
    units: Iterable[str], names: Sequence[str], periods: Sequence[tuple[float, float] | None]
) -> tuple[str, ...]:
    """Return the unit of each column, empty where it is not known.

    A domain as long as the circle, in radians or in degrees, says it of a column without one.

    Raises
    ------
    InputError
        Not one for each column, or one that is no text.
    """
    given = tuple(units) or ("",) * len(names)
    if len(given) != len(names):
        raise InputError(
            f"{len(given)} units were given for {len(names)} columns: give one for each, or ''"
        )
    if not all(isinstance(unit, str) for unit in given):
        raise InputError("the units of columns are text: give each in quotes")
    pairs = zip(given, periods, strict=True)
    return tuple(unit or (_unit_of_circle(period) if period else "") for unit, period in pairs)


def _unit_of_circle(period: tuple[float, float]) -> str:
    length = period[1] - period[0]
    if math.isclose(length, 2 * math.pi, rel_tol=1e-4):
        return "rad"
    return "deg" if math.isclose(length, 360, rel_tol=1e-6) else ""


def as_periods(periods: Any, names: Sequence[str]) -> tuple[tuple[float, float] | None, ...]:
    """Return the periodic domain of each column, or None; None for all where none are given.

    Raises
    ------
    InputError
        Not one for each column, or one that is no pair of a lower and a higher number.
    """
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


def as_state_centers(centers: Any, n_states: int) -> F64:
    """Return a read-only copy of the centres of all states.

    Raises
    ------
    InputError
        Not one for each state, or not finite numbers.
    """
    array = owned(np.array(centers, dtype=np.float64))
    if len(array) != n_states:
        raise InputError(f"{len(array)} state centres were given for {n_states} states")
    if not (np.abs(array) <= LARGEST).all():
        raise InputError("a state centre is not a finite number: give one for each state")
    return array


def as_integers(s: Any, i: int, least: int = 2) -> IntArray:
    """Return trajectory `i` as integers from zero, shape (frames,).

    Raises
    ------
    InputError
        Another shape, fewer than `least` frames, or a number that is negative or not whole
        (trajectory and frame).
    """
    try:
        array = np.asarray(s)
    except ValueError:
        raise InputError(f"trajectory {i} is ragged: states are one number a frame") from None
    if array.ndim != 1:
        raise InputError(f"trajectory {i} has shape {array.shape}: states are one number a frame")
    if len(array) < least:
        raise InputError(
            f"trajectory {i} has {counted(len(array), 'frame', 'frames')}: at least "
            + ("two are needed for a transition" if least == 2 else f"{least} is needed")
        )
    if array.dtype.kind not in "iu":
        if array.dtype.kind not in "fb":
            raise InputError(f"trajectory {i} holds {array.dtype} values: states are integers")
        bad = ~np.isfinite(array) | (array != np.floor(array))
        if bad.any():
            frame = int(np.argmax(bad))
            raise InputError(
                f"state {array[frame]} in trajectory {i}, frame {frame} is not a whole number: "
                "discretise continuous data first, for example with Bins"
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "i" and array.min() < 0:
        frame = int(np.argmax(array < 0))
        raise InputError(
            f"state {int(array[frame])} in trajectory {i}, frame {frame} is negative: "
            "states are numbered from 0"
        )
    return array


def check_range(trajectories: Sequence[AnyArray], n_states: int) -> None:
    """Check that no state is beyond the last.

    Raises
    ------
    InputError
        One is (trajectory and frame).
    """
    for i, s in enumerate(trajectories):
        if int(s.max()) >= n_states:
            frame = int(np.argmax(s >= n_states))
            raise InputError(
                f"state {int(s[frame])} in trajectory {i}, frame {frame} is out of range: "
                f"there are {n_states} states, 0 to {n_states - 1}"
            )


def owned(array: A) -> A:
    """Make an array read-only, with all that it is a view of, and return it.

    For arrays that nobody else writes to: `kept` takes such an array without a copy.
    """
    part: Any = array
    while isinstance(part, np.ndarray):
        part.flags.writeable = False
        part = part.base
    return array


def kept(given: object, array: A) -> A:
    """Return a read-only array that no later write into `given`, which it was made from, changes.

    It is a copy only where someone could write into the memory of `array`.
    """
    new = isinstance(given, list | tuple) or (
        isinstance(given, np.ndarray) and not np.may_share_memory(given, array)
    )
    return owned(array if new or _is_read_only(array) else array.copy())


def _is_read_only(array: AnyArray) -> bool:
    part: Any = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        part = part.base
    try:
        # What else can own memory, such as a file that is mapped for reading.
        return part is None or memoryview(part).readonly
    except TypeError:
        return False


def same_arrays(some: Sequence[AnyArray], others: Sequence[AnyArray]) -> bool:
    """Return whether two lists hold the same arrays, number for number."""
    return len(some) == len(others) and all(
        a is b or np.array_equal(a, b) for a, b in zip(some, others, strict=True)
    )


def same_fields(one: object, other: object, names: Sequence[str]) -> bool:
    """Return whether two objects agree in the named fields."""
    return all(getattr(one, name) == getattr(other, name) for name in names)
