"""Threads that meet within compiled code, many thousand times a second.

Each counts itself in and waits until all have come. Between two meetings they work on their own
share, and what they wrote before a meeting all may read after it. A thread that waits gives its
core away, since where cores are few the others may have none.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from trajlm.kernels.arrays import I64
from trajlm.kernels.compiled import inlined
from trajlm.kernels.simd import address

# What gives the core away is the system's, by name, so that compiled code can be kept on disk.
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
# Looks at the counter, some nanoseconds each, before the core is given away.
LOOKS = 500


@inlined
def wait_for_all(arrivals: I64, expected: int) -> None:
    """Wait until `expected` arrivals were counted since the first meeting, this one among them."""
    _count_in(arrivals)
    looks = 0
    while _counted(arrivals) < expected:
        looks += 1
        if looks > LOOKS:
            _give_core_away()


@intrinsic
def _count_in(typingctx: Any, arrivals: Any) -> Any:
    """Add one to the first element, seen by all threads."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        place = address(context, builder, sig.args[0], args[0], i64(0))
        builder.atomic_rmw("add", place, i64(1), "seq_cst")
        return context.get_dummy_value()

    return types.void(arrivals), codegen


@intrinsic
def _counted(typingctx: Any, arrivals: Any) -> Any:
    """Return the first element as other threads left it."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = address(context, builder, sig.args[0], args[0], ir.IntType(64)(0))
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(arrivals), codegen


@intrinsic
def _give_core_away(typingctx: Any) -> Any:
    """Let another thread run, if one waits."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, YIELD), [])
        return context.get_dummy_value()

    return types.void(), codegen
