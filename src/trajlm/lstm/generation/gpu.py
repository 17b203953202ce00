"""Lanes that run on a GPU, all side by side, in the place of the processor's blocks."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from trajlm.data import smallest_unsigned
from trajlm.errors import InputError
from trajlm.lstm.generation.blocks import CARRIED, Generator
from trajlm.lstm.generation.gpu_steps import Lanes, Steps, device_tables, read_starts
from trajlm.lstm.weights import LSTMWeights
from trajlm.util.arrays import IntArray
from trajlm.util.devices import usable_device
from trajlm.util.warn import warn

if TYPE_CHECKING:
    from trajlm.lstm.generation.gpu_fused import FusedFrames

# Multiplications and additions of a chunk, its frames in all lanes, and its frames in a lane.
CHUNK_OPERATIONS, CHUNK_TOKENS, CHUNK_FRAMES = 10**13, 2**27, 2**14

# What the fused kernel takes: its weights fit beside the lanes, and into half precision.
FUSED_UNITS, FUSED_STATES, LARGEST_HALF = 64, 256, 6e4
# Cards from Ampere on.
FUSED_CAPABILITY = (8, 0)


def gpu(name: str) -> torch.device:
    """Return the GPU of that name.

    Raises
    ------
    InputError
        It is no GPU, or there is none.
    """
    if name.partition(":")[0] != "cuda":
        raise InputError(f"lanes are generated on cpu or on cuda, not on {name!r}: give one")
    return usable_device(name)


def can_be_fused(weights: LSTMWeights, device: torch.device) -> bool:
    """Return whether one kernel can make all frames of a chunk, on this GPU and for this network.

    Without Triton a note says so: the lanes then go step by step.
    """
    n, L = weights.readout.shape
    largest = max(abs(weights.recurrent_weights).max(), abs(weights.readout).max())
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < FUSED_CAPABILITY:
        return False
    if L > FUSED_UNITS or n > FUSED_STATES or largest > LARGEST_HALF:
        return False
    if importlib.util.find_spec("triton") is None:
        warn(
            "Triton is not installed, so the lanes go step by step, which is slower: "
            'pip install "trajlm[gpu]"',
        )
        return False
    return True


class DeviceBlock:
    """Lanes that run on one device, with the memory that they carry from chunk to chunk.

    Parameters
    ----------
    starts, chosen
        Stretches of data, and the number of the one that each lane has read.
    keys
        The random stream of each lane.
    first
        The number of the first lane.
    device
        A GPU; the processor serves the tests.
    fused
        Whether one kernel makes all frames of a chunk; None: where it can.
    """

    def __init__(
        self,
        model: Generator,
        starts: Sequence[IntArray],
        chosen: Sequence[int],
        keys: npt.NDArray[np.uint64],
        inverse_temperature: float,
        first: int,
        device: torch.device,
        fused: bool | None = None,
    ) -> None:
        self.device = device
        self.first = first
        self.made = 0
        self.n_lanes = len(keys)
        self.weights = model.first_weights
        self.inverse_temperature = float(np.float32(inverse_temperature))
        self.dtype = smallest_unsigned(model.n_states)
        with self._on_device():
            tables = device_tables(model.first_weights, device)
            hidden, cell = read_starts(tables, starts)
            which = torch.tensor(chosen, device=device)
            last = torch.tensor([int(s[-1]) for s in starts], dtype=torch.int32, device=device)
            self.lanes = Lanes(
                last[which],
                hidden[which],
                cell[which],
                torch.from_numpy(keys.view(np.int64)).to(device),
            )
            self.steps = Steps(tables, self.lanes, self.inverse_temperature)
            self.fused: FusedFrames | None = None
            if can_be_fused(model.first_weights, device) if fused is None else fused:
                from trajlm.lstm.generation.gpu_fused import FusedFrames

                self.fused = FusedFrames(model.first_weights, self.lanes, self.inverse_temperature)

    @property
    def chunk(self) -> int:
        """Frames to make between two looks at the clock: some tenths of a second."""
        n: int = self.weights.readout.shape[0]
        L: int = self.weights.readout.shape[1]
        tokens = min(CHUNK_TOKENS, CHUNK_OPERATIONS // (8 * L**2 + 2 * L * n))
        return max(16, min(CHUNK_FRAMES, tokens // self.n_lanes))

    def advance(self, n_frames: int) -> IntArray:
        """Return the states of the next frames, shape (lanes, n_frames)."""
        kind = torch.uint8 if self.dtype == np.uint8 else torch.int32
        with self._on_device():
            out = torch.empty((n_frames, self.n_lanes), dtype=kind, device=self.device)
            self._write(out)
            states = out.T.contiguous().cpu().numpy()
        self.made += n_frames
        return states.astype(self.dtype, copy=False)

    def _write(self, out: torch.Tensor) -> None:
        """Fill `out` (frames, lanes) by the fused kernel or step by step."""
        if self.fused is not None:
            from triton.runtime.errors import OutOfResources

            try:
                self.fused.write(self.made, out)
            except OutOfResources:
                # Said before the first frame: this card's fast memory is too small for it.
                self.fused = None
        if self.fused is None:
            self.steps.write(self.made, out)

    def memory(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of what the lanes carry."""
        return {name: getattr(self.lanes, name).cpu().numpy().copy() for name in CARRIED}

    def remember(self, made: int, memory: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `memory` returned when `made` frames were made."""
        self.made = made
        for name in CARRIED:
            getattr(self.lanes, name).copy_(torch.from_numpy(memory[name]))

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Make the device this thread's own, and say it when its memory is too small."""
        own = torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()
        try:
            with own, torch.no_grad():
                yield
        except torch.OutOfMemoryError:
            raise InputError(
                f"{self.n_lanes} lanes do not fit in the memory of {self.device}: ask for fewer"
            ) from None
