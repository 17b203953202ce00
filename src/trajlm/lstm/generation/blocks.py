"""What generation runs: blocks of lanes, and the model that they are lanes of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from trajlm.data import States
from trajlm.lstm.tables import StepTables
from trajlm.lstm.weights import LSTMWeights
from trajlm.models.files import Tensors
from trajlm.util.arrays import IntArray

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent

Progress = Callable[[int], None]

# Frames of data that a generated lane reads before its first own frame.
START_FRAMES = 1000
N_STARTS = 256
# Stretches that a model file may hold.
MOST_STARTS = 1 << 16
# What a lane carries from frame to frame, in the order that the compiled loops take it.
CARRIED = ("states", "hidden", "cell")


class Generator(Protocol):
    """What generation needs of a language model."""

    @property
    def n_states(self) -> int:
        """Number of states."""

    @property
    def first_weights(self) -> LSTMWeights:
        """The network that draws the state, or the first of its columns."""

    @property
    def tables(self) -> StepTables:
        """The weights as the compiled step reads them, of the first of several columns."""

    @property
    def generating(self) -> Recurrent:
        """The recurrent weights as generation reads them."""

    @property
    def starts(self) -> tuple[IntArray, ...]:
        """Stretches of data that lanes begin from, each of shape (frames,)."""

    @property
    def shares_lanes(self) -> bool:
        """Whether several threads may share a block of lanes."""

    @property
    def on_gpus(self) -> bool:
        """Whether there is code for a GPU."""

    def lane_block(
        self,
        starts: Sequence[IntArray],
        keys: npt.NDArray[np.uint64],
        inverse_temperature: float,
        first: int,
        n_threads: int,
    ) -> Block:
        """Return some neighbouring lanes before their first frame."""


class Block(Protocol):
    """Some neighbouring lanes, on the processor or on a GPU.

    Parameters
    ----------
    first, n_lanes
        The number of the first lane, and how many there are.
    made
        Frames made in each.
    """

    first: int
    n_lanes: int
    made: int

    @property
    def chunk(self) -> int:
        """Frames to make between two looks at the clock: some tenths of a second."""

    def advance(self, n_frames: int) -> IntArray:
        """Return the states of the next frames, shape (lanes, n_frames)."""

    def memory(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the lanes carry, by the names in `CARRIED`."""

    def remember(self, made: int, memory: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `memory` returned when `made` frames were made."""


def choose_starts(states: States, seed: int) -> tuple[IntArray, ...]:
    """Return stretches of the data for generated lanes to begin from.

    Their last frames are drawn uniformly over all frames of all trajectories, so that lanes
    begin as often in a state as the data is found there; each reaches back at most
    `START_FRAMES` frames and never across the beginning of its trajectory.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([len(s) for s in states])
    which = rng.choice(len(lengths), size=N_STARTS, p=lengths / lengths.sum())
    starts = []
    for i in which:
        end = int(rng.integers(1, lengths[i] + 1))
        starts.append(states.trajectories[i][max(0, end - START_FRAMES) : end].copy())
    return tuple(starts)


def checked_starts(arrays: Tensors, n_states: int) -> tuple[IntArray, ...]:
    """Return the stretches that lanes begin from; compiled code will index tables with them."""
    states, lengths = arrays["start_states"], arrays["start_lengths"]
    if states.dtype.kind != "u" or lengths.dtype.kind != "i" or states.ndim != 1:
        raise ValueError("the starting stretches are not integers")
    if lengths.ndim != 1 or not 1 <= len(lengths) <= MOST_STARTS:
        raise ValueError(f"the starting stretches are not 1 to {MOST_STARTS}")
    # None longer than all, or their sum could wrap around.
    if lengths.min() < 1 or lengths.max() > len(states) or int(lengths.sum()) != len(states):
        raise ValueError("the lengths of the starting stretches do not add up")
    if states.max() >= n_states:
        raise ValueError("a starting stretch holds an unknown state")
    stretches = np.split(states, np.cumsum(lengths)[:-1])
    # Copies of what is read of them: the rest is let go.
    return tuple(s[-START_FRAMES:].copy() for s in stretches)
