"""What was done to trajectories before and after the cut, and to which frames that leads back.

Each filter turns n frames into fewer and says which frames of its input a frame of its output
stands for: frame t for the middle of the frames it was made from, stride t + shift. Shifts are
kept twice as large, as whole numbers, since the middle of an even number of frames lies between
two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trajlm.util.checked import FROZEN, Count, Positive


@dataclass(frozen=True, config=FROZEN)
class RunningMean:
    """Means over all full windows of so many frames."""

    window: Positive
    kind: Literal["running mean"] = "running mean"

    stride: ClassVar[int] = 1

    @property
    def twice_shift(self) -> int:
        """Twice the distance from the first frame of a window to its middle."""
        return self.window - 1

    def length(self, n_frames: int) -> int:
        """Return how many frames are left of so many."""
        return n_frames - self.window + 1

    def describe(self) -> str:
        """Say it in words."""
        return f"running mean over {self.window} frames"


@dataclass(frozen=True, config=FROZEN)
class Averaged:
    """Means of successive blocks of n frames."""

    n: Positive
    kind: Literal["averages"] = "averages"

    @property
    def stride(self) -> int:
        """Frames from one block to the next."""
        return self.n

    @property
    def twice_shift(self) -> int:
        """Twice the distance from the first frame of a block to its middle."""
        return self.n - 1

    def length(self, n_frames: int) -> int:
        """Return how many frames are left of so many."""
        return n_frames // self.n

    def describe(self) -> str:
        """Say it in words."""
        return f"averages over {self.n} frames"


@dataclass(frozen=True, config=FROZEN)
class Decimated:
    """Every n-th frame, from the first."""

    n: Positive
    kind: Literal["decimation"] = "decimation"

    twice_shift: ClassVar[int] = 0

    @property
    def stride(self) -> int:
        """Frames from one that is kept to the next."""
        return self.n

    def length(self, n_frames: int) -> int:
        """Return how many frames are left of so many."""
        return -(-n_frames // self.n)

    def describe(self) -> str:
        """Say it in words."""
        return f"one of every {self.n} frames kept"


@dataclass(frozen=True, config=FROZEN)
class SpikesRemoved:
    """Stays of at most so many frames split between their neighbours."""

    threshold: Count
    kind: Literal["spike removal"] = "spike removal"

    stride: ClassVar[int] = 1
    twice_shift: ClassVar[int] = 0

    def length(self, n_frames: int) -> int:
        """Return how many frames are left of so many: all."""
        return n_frames

    def describe(self) -> str:
        """Say it in words."""
        return f"stays of at most {self.threshold} frames removed"


Step = Annotated[RunningMean | Averaged | Decimated | SpikesRemoved, Field(discriminator="kind")]


def frames_after(steps: Sequence[Step], n_frames: int) -> int:
    """Return how many frames a trajectory of `n_frames` has after the steps."""
    for step in steps:
        n_frames = step.length(n_frames)
    return n_frames


def origin_of_frames(steps: Sequence[Step]) -> tuple[int, int]:
    """Return stride and offset: frame t after the steps stands for frame stride t + offset.

    That is the middle of all frames it was made from; of two in the middle the earlier one.
    """
    stride, twice_offset = 1, 0
    for step in steps:
        twice_offset += stride * step.twice_shift
        stride *= step.stride
    return stride, twice_offset // 2
