"""The recurrent weights as compiled steps read them: in single precision, in half, or in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trajlm.lstm.loops import loops
from trajlm.lstm.quantization.weights import RoundedWeights
from trajlm.util.arrays import F32

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent


# Compiled code takes the fine units in so many, and as many at least.
EIGHT = 8
# L from which on generation waits for the weights: 16 L^2 bytes leave the second cache.
REDUCED_FROM = 384


def padded_units(L: int) -> int:
    """Return L in whole vectors; the units that fill it up stay zero."""
    width = loops().WIDTH
    return -(-L // width) * width


def single_precision(weights: F32) -> Recurrent:
    """Return recurrent weights (4L, L) as they are."""
    from trajlm.kernels.arguments import Recurrent

    return Recurrent(_packed(weights))


def half_precision(weights: F32) -> Recurrent:
    """Return recurrent weights (4L, L) in half precision."""
    from trajlm.kernels.arguments import Recurrent

    return Recurrent(loops().halved(_packed(weights)))


def byte_precision(rounded: RoundedWeights) -> Recurrent:
    """Return recurrent weights as bytes."""
    (_, L), n_fine = rounded.high.shape, len(rounded.units)
    columns = max(EIGHT, -(-n_fine // EIGHT) * EIGHT)
    return loops().in_bytes(
        _padded_gates(rounded.high, padded_units(L)),
        _padded_gates(rounded.low, columns),
        np.pad(rounded.units, (0, columns - n_fine)),
        _padded_gates(rounded.scales[:, None], 1)[:, 0],
        n_fine,
    )


def reduced_precision(weights: F32, rounded: RoundedWeights | None) -> Recurrent:
    """Return recurrent weights (4L, L) as generation reads those of a large network.

    As bytes where they were `rounded` and the machine multiplies bytes; in half precision where it
    widens such numbers itself; else in single precision.
    """
    if loops().HAS_BYTES and rounded:
        return byte_precision(rounded)
    return half_precision(weights) if loops().HAS_HALF else single_precision(weights)


def _packed(weights: F32) -> F32:
    """Return recurrent weights (4L, L) in single precision, padded and packed."""
    packed: F32 = loops().packed(_padded_gates(weights, padded_units(weights.shape[1])).T)
    return packed


def _padded_gates(matrix: npt.NDArray[Any], columns: int) -> npt.NDArray[Any]:
    """Return a matrix (4L, ...) with the rows of each gate padded, and its columns."""
    rows, n = matrix.shape
    out = np.zeros((4, padded_units(rows // 4), columns), matrix.dtype)
    out[:, : rows // 4, :n] = matrix.reshape(4, rows // 4, n)
    return out.reshape(-1, columns)
