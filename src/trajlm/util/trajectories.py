"""Arrays of trajectories: reading what users give, and keeping it from being changed."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.util.words import counted

AnyArray = npt.NDArray[Any]
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


def as_columns(x: Any, i: int) -> npt.NDArray[np.float64]:
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


def check_finite(x: npt.NDArray[np.float64], i: int, names: Sequence[str]) -> None:
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


def as_integers(s: Any, i: int, least: int = 2) -> npt.NDArray[np.integer[Any]]:
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
