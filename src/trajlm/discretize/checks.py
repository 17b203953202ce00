"""Arguments of discretizers, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.errors import InputError
from trajlm.util.arrays import F64
from trajlm.util.checked import LARGEST


def count(n: Any, what: str) -> int:
    """Return a whole number from 1; `what` names it where it is none."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"the {what} must be a whole number from 1, not {n}")
    return int(n)


def as_numbers(values: Any, what: str) -> F64:
    """Return finite numbers as an array."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the {what} are not numbers: {values!r:.60}") from None
    if not (np.abs(array) <= LARGEST).all():
        raise InputError(
            f"the {what} must be finite numbers of at most {LARGEST:g}, not {values!r:.60}"
        )
    return array


def increasing(values: Any, what: str) -> tuple[float, ...]:
    """Return two or more numbers, each larger than the one before."""
    array = as_numbers(values, what)
    if array.ndim != 1 or len(array) < 2 or not (np.diff(array) > 0).all():
        raise InputError(f"the {what} must be two or more increasing numbers, not {values!r:.60}")
    return tuple(array.tolist())
