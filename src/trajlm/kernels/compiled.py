"""How the innermost loops are compiled."""

from __future__ import annotations

import numba

# For functions within these loops, which allocate nothing. Numba counts the references to each
# array that a function is handed, and at L = 64 that takes a third as long as the products of a
# lane which is alone; the option that leaves it out is one of its own.
inlined = numba.njit(forceinline=True, _nrt=False)
