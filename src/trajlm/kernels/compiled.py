"""How loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from trajlm.kernels.cache import KernelCache

# For functions within these loops, which allocate nothing. Numba counts the references to each
# array that a function is handed, and at L = 64 that takes a third as long as the products of a
# lane which is alone; the option that leaves it out is one of its own.
inlined = numba.njit(forceinline=True, _nrt=False)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, on its first call, and keep the code on disk."""
    dispatcher = numba.njit(nogil=True)(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher
