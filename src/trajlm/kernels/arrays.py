"""Arrays for compiled code: where they begin, and what is not done with them.

They begin with a cache line: a vector that lies across two takes twice as long to read or write.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
CACHE_LINE = 64

# For functions within the innermost loops, which allocate nothing. Numba counts the references to
# each array that a function is handed, and at L = 64 that takes a third as long as the products of
# a lane which is alone; the option that leaves it out is one of its own.
inlined = numba.njit(forceinline=True, _nrt=False)


def on_lines(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return zeros."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + n_bytes].view(dtype).reshape(shape)


@numba.njit()
def rows_on_lines(rows: int, columns: int) -> F32:
    """Return zeros, from within compiled code."""
    size = rows * columns
    memory = np.zeros(size + CACHE_LINE // 4, np.float32)
    first = -memory.ctypes.data % CACHE_LINE // 4
    return memory[first : first + size].reshape(rows, columns)
