"""The loops over the network in vector code, see `trajlm.kernels.plain` for the same in plain."""

from __future__ import annotations

import numpy as np

from trajlm.kernels.arrays import F32, I64, cache_aligned
from trajlm.kernels.cell import exp, tanh
from trajlm.kernels.columns import generate_columns, read_column, score_column
from trajlm.kernels.compiled import compiled
from trajlm.kernels.lstm import add_gram, generate_lanes, read_lanes, remember_lanes, score_lanes
from trajlm.kernels.processor import HAS_AVX512, HAS_BYTES, HAS_HALF
from trajlm.kernels.product import ROWS, add_packed_product, halved, packed
from trajlm.kernels.recurrent import in_bytes, tile_rows
from trajlm.kernels.simd import (
    WIDTH,
    largest,
    load,
    maximum,
    prefetch,
    splat,
    store,
    total,
)
from trajlm.kernels.team import wait_for_all
from trajlm.kernels.tile import PANEL
from trajlm.kernels.training import add_by_given, backward, forward

__all__ = [
    "HAS_BYTES",
    "HAS_HALF",
    "HAS_TEAMS",
    "NAME",
    "PANEL",
    "WIDTH",
    "add_by_given",
    "add_gram",
    "backward",
    "check",
    "forward",
    "generate_columns",
    "generate_lanes",
    "halved",
    "in_bytes",
    "packed",
    "read_column",
    "read_lanes",
    "remember_lanes",
    "score_column",
    "score_lanes",
    "tile_rows",
]

NAME = "AVX-512" if HAS_AVX512 else f"vectors of {WIDTH} numbers"
HAS_TEAMS = True


@compiled
def _try(out: F32, a: F32, b: F32, arrivals: I64) -> float:
    """Use each kind of vector code once: ``exp(tanh(out + a b))`` of the first row, and its sum."""
    rows, depth = a.shape
    add_packed_product(out, 0, PANEL, a, 0, depth, depth, b, rows)
    wait_for_all(arrivals, 1)
    sums = splat(np.float32(0))
    for k in range(0, PANEL, WIDTH):
        prefetch(out, k)
        store(out, k, exp(tanh(load(out, k))))
        sums = maximum(sums, load(out, k))
    return np.float64(largest(sums)) + np.float64(total(load(out, 0)))


def check() -> None:
    """Raise an error unless the vector code compiles and gives what NumPy gives."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2 * ROWS - 1, 8)).astype(np.float32)
    b = rng.normal(size=(8, PANEL)).astype(np.float32)
    out = cache_aligned((len(a), PANEL))
    found = _try(out, a, packed(b), np.zeros(1, np.int64))
    wanted = a @ b
    wanted[0] = np.exp(np.tanh(wanted[0]))
    in_sum = wanted[0].max() + wanted[0, :WIDTH].sum()
    if not (np.allclose(out, wanted, atol=1e-4) and abs(found - in_sum) < 1e-3):
        raise ArithmeticError("vector code gives wrong numbers")
