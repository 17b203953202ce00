"""The recurrent weights as bytes: what generation reads where the machine multiplies bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.util.arrays import F32, I64

# What the first byte counts in the second, what the second is a multiple of, and the largest
# integer of both.
BYTE, HALF_BYTE = 256, 16
MOST = 127 * BYTE
# Largest weight of a row that is as good as empty.
TINY = 1e-30


@dataclass(frozen=True)
class RoundedWeights:
    """Recurrent weights as integers times the scale of their row.

    Parameters
    ----------
    high
        The first byte of each weight, int8, shape (4L, L).
    low
        The second byte of the weights of the fine units, worth 1/256 of the first, a multiple of
        16, int8, shape (4L, n_fine).
    units
        The fine units, int64, shape (n_fine,).
    scales
        float32, shape (4L,).
    """

    high: npt.NDArray[np.int8]
    low: npt.NDArray[np.int8]
    units: I64
    scales: F32

    def __post_init__(self) -> None:
        rows, L = self.high.shape
        shapes = {"low": (rows, len(self.units)), "units": (len(self.units),), "scales": (rows,)}
        kinds = {"high": np.int8, "low": np.int8, "units": np.int64, "scales": np.float32}
        for name, kind in kinds.items():
            array = getattr(self, name)
            if array.dtype != kind or array.shape != shapes.get(name, (4 * L, L)):
                raise ValueError(f"rounded {name} has shape {array.shape} of {array.dtype}")
        if len(np.unique(self.units)) < len(self.units) or not np.isin(self.units, range(L)).all():
            raise ValueError("the rounded weights name a unit twice, or one that is not there")
        if (self.low % HALF_BYTE).any():
            raise ValueError("a second byte of the rounded weights is no multiple of 16")
        if not (np.isfinite(self.scales).all() and (self.scales > 0).all()):
            raise ValueError("a scale of the rounded weights is no positive number")

    @property
    def weights(self) -> F32:
        """The weights that these stand for, shape (4L, L)."""
        integers = self.high.astype(np.float32)
        integers[:, self.units] += self.low.astype(np.float32) / BYTE
        return integers * self.scales[:, None]


def worth_of_one(weights: F32) -> F32:
    """Return for each row of weights what 1 is worth, where `MOST` is the largest."""
    largest = np.abs(weights).max(axis=1)
    # Rows of next to nothing become zero.
    return np.where(largest > TINY, largest / MOST, 1).astype(np.float32)


def in_two_bytes(integers: npt.NDArray[np.int32], worth: F32, fine: I64) -> RoundedWeights:
    """Return integers (4L, L) up to `MOST` as bytes.

    They are multiples of `HALF_BYTE` in fine columns and of `BYTE` in others.
    """
    high = (integers + BYTE // 2) // BYTE
    low = (integers - BYTE * high)[:, fine]
    return RoundedWeights(high.astype(np.int8), low.astype(np.int8), fine, worth * BYTE)


def rounded_arrays(rounded: RoundedWeights) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays for the model file."""
    return {f"rounded.{name}": array for name, array in vars(rounded).items()}


def read_rounded(arrays: Mapping[str, npt.NDArray[Any]]) -> RoundedWeights | None:
    """Return what the arrays of a model file hold, None where they hold none."""
    own = {k.removeprefix("rounded."): v for k, v in arrays.items() if k.startswith("rounded.")}
    return RoundedWeights(**own) if own else None
