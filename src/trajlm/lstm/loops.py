"""Which compiled loops run: vector code where it was tried and works, else plain code.

`loops` is the one place where this is decided. Both kinds take the same arguments, with matrices
packed and padded as each wants them, and keep the same promises: a lane gives the same states for
any number of lanes and threads, a training the same weights. From one kind to the other numbers
differ in their last bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from trajlm.errors import InputError
from trajlm.util.warn import warn

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent

# In the environment: "plain" or "vector" runs those, whatever the processor.
VARIABLE = "TRAJLM_KERNELS"


class Loops(Protocol):
    """The modules `trajlm.kernels.plain` and `trajlm.kernels.vector`.

    Units are padded to multiples of ``WIDTH`` and columns to multiples of ``PANEL``. Generation
    may read large networks in half precision with ``HAS_HALF`` and in bytes with ``HAS_BYTES``;
    with ``HAS_TEAMS`` threads may share a lane.
    """

    NAME: str
    WIDTH: int
    PANEL: int
    HAS_HALF: bool
    HAS_BYTES: bool
    HAS_TEAMS: bool
    packed: Callable[..., Any]
    halved: Callable[..., Any]
    in_bytes: Callable[..., Recurrent]
    tile_rows: Callable[[Recurrent], tuple[int, int]]
    read_lanes: Callable[..., None]
    remember_lanes: Callable[..., None]
    generate_lanes: Callable[..., None]
    score_lanes: Callable[..., None]
    generate_columns: Callable[..., None]
    read_column: Callable[..., None]
    score_column: Callable[..., None]
    add_gram: Callable[..., None]
    forward: Callable[..., float]
    backward: Callable[..., None]
    add_by_given: Callable[..., None]


@dataclass(frozen=True)
class Choice:
    """The loops that run and, for people, why not the others."""

    loops: Loops
    why: str = ""

    def describe(self) -> str:
        """Return what runs, in a few words."""
        how = [self.loops.NAME]
        if self.loops.HAS_BYTES:
            how.append("generation of large networks in bytes")
        elif self.loops.HAS_HALF:
            how.append("generation of large networks in half precision")
        return ", ".join(how) + (f" ({self.why})" if self.why else "")


def loops() -> Loops:
    """Return the loops that run here; the same for the life of the process."""
    return choice().loops


@cache
def choice() -> Choice:
    """Decide which loops run.

    Raises
    ------
    InputError
        The environment names loops that there are not.
    """
    from trajlm.kernels import plain, processor

    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "plain", "vector"):
        raise InputError(f"{VARIABLE} is {wanted!r} in the environment: set it to plain or vector")
    in_plain = cast(Loops, plain)
    if wanted == "plain":
        return Choice(in_plain, f"as {VARIABLE} says")
    if not wanted and not (processor.HAS_AVX512 or processor.HAS_AVX2):
        return Choice(in_plain, "the vector code was tried with AVX2 and AVX-512, not here")
    try:
        from trajlm.kernels import vector

        vector.check()
    except Exception as error:
        # It is written for the compiler's inside, which another version may have changed.
        warn(
            "the vector code of the loops does not work with this compiler "
            f"({type(error).__name__}): plain code runs instead, at a fraction of the speed"
        )
        return Choice(in_plain, f"the vector code does not work here: {type(error).__name__}")
    return Choice(cast(Loops, vector))
