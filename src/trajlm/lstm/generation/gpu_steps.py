"""The LSTM step for many lanes as operations of PyTorch, on any device.

Each operation runs over all lanes, so it pays where the lanes are many or L is large. On a GPU
the operations of a step are recorded once as a CUDA graph and replayed for each frame. The random
numbers are those of `kernels.random`: lanes get the same states as on the processor, up to
rounding where a number falls on the border of two states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trajlm.kernels.random_streams import GOLDEN, MIX1, MIX2, TWO_TO_MINUS_53
from trajlm.util.arrays import IntArray

if TYPE_CHECKING:
    from trajlm.lstm.weights import LSTMWeights

# PyTorch computes with signed integers only, which wrap around to the same bits.
SIGNED_GOLDEN, SIGNED_MIX1, SIGNED_MIX2 = (int(x.view(np.int64)) for x in (GOLDEN, MIX1, MIX2))


@dataclass(frozen=True)
class DeviceTables:
    """The weights on the device, float32.

    Parameters
    ----------
    inputs
        What each state adds to the gates i, f, g, o, shape (n_states, 4L).
    recurrent, readout
        Shapes (L, 4L) and (L, n_states).
    skip
        What each state adds to the logits, shape (n_states, n_states).
    """

    inputs: torch.Tensor
    recurrent: torch.Tensor
    readout: torch.Tensor
    skip: torch.Tensor


def device_tables(weights: LSTMWeights, device: torch.device) -> DeviceTables:
    """Fold embedding, input weights and biases into tables of n_states rows."""
    arrays = (
        weights.embedding @ weights.input_weights.T + weights.gate_bias,
        weights.recurrent_weights.T,
        weights.readout.T,
        weights.skip + weights.readout_bias,
    )
    return DeviceTables(*(torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in arrays))


@dataclass(frozen=True)
class Lanes:
    """What lanes carry from frame to frame, changed in place.

    Parameters
    ----------
    states
        The last state of each, int32.
    hidden, cell
        Shape (lanes, L), float32.
    keys
        Their random streams, the bits of `stream_keys` as int64.
    """

    states: torch.Tensor
    hidden: torch.Tensor
    cell: torch.Tensor
    keys: torch.Tensor


def step(
    tables: DeviceTables, states: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
) -> None:
    """Advance `hidden` and `cell` in place by one input state a lane."""
    gates = tables.inputs.index_select(0, states).addmm_(hidden, tables.recurrent)
    i, f, g, o = gates.chunk(4, dim=1)
    cell.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), g.tanh_())
    torch.tanh(cell, out=hidden)
    hidden.mul_(o.sigmoid_())


def uniform(keys: torch.Tensor, counter: torch.Tensor) -> torch.Tensor:
    """Return number `counter` of each stream, float64; the bits of `kernels.random.uniform`."""
    x = keys + counter * SIGNED_GOLDEN
    x = (x ^ _shifted(x, 30)) * SIGNED_MIX1
    x = (x ^ _shifted(x, 27)) * SIGNED_MIX2
    x = x ^ _shifted(x, 31)
    return _shifted(x, 11).double() * TWO_TO_MINUS_53


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Return `x` shifted to the right with zeros coming in, as an unsigned number is."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def sample(
    tables: DeviceTables, lanes: Lanes, counter: torch.Tensor, inverse_temperature: float
) -> None:
    """Replace the states by ones drawn from what the lanes' hidden units say."""
    z = tables.skip.index_select(0, lanes.states).addmm_(lanes.hidden, tables.readout)
    z.sub_(z.amax(1, keepdim=True)).mul_(inverse_temperature).exp_()
    cumulative = z.cumsum(1, dtype=torch.float64)
    threshold = uniform(lanes.keys, counter) * cumulative[:, -1]
    lanes.states.copy_((threshold[:, None] >= cumulative[:, :-1]).sum(1))


def read_starts(
    tables: DeviceTables, starts: Sequence[IntArray]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hidden units and cells, (starts, L), after all but the last frame of each."""
    device, longest = tables.inputs.device, max(len(s) for s in starts)
    paths = np.zeros((longest, len(starts)), np.int32)
    for k, start in enumerate(starts):
        paths[longest - len(start) :, k] = start
    begins = torch.tensor([[longest - len(s)] for s in starts], device=device)
    on_device = torch.from_numpy(paths).to(device)
    shape = (len(starts), tables.recurrent.shape[0])
    hidden, cell = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    for t in range(longest - 1):
        step(tables, on_device[t], hidden, cell)
        # What a lane read before its first frame is forgotten.
        hidden.mul_(begins <= t)
        cell.mul_(begins <= t)
    return hidden, cell


class Steps:
    """Frame after frame of some lanes."""

    def __init__(self, tables: DeviceTables, lanes: Lanes, inverse_temperature: float) -> None:
        self.tables = tables
        self.lanes = lanes
        self.inverse_temperature = inverse_temperature
        self.counter = torch.zeros(1, dtype=torch.int64, device=lanes.keys.device)
        self.replay: Callable[[], None] | None = None

    def write(self, first: int, out: torch.Tensor) -> None:
        """Fill `out` (frames, lanes); `first` frames were made before."""
        if self.replay is None:
            cuda = self.lanes.keys.device.type == "cuda"
            self.replay = self._recorded() if cuda else self._frame
        self.counter.fill_(first)
        for row in out:
            self.replay()
            row.copy_(self.lanes.states)

    def _frame(self) -> None:
        lanes = self.lanes
        step(self.tables, lanes.states, lanes.hidden, lanes.cell)
        sample(self.tables, lanes, self.counter, self.inverse_temperature)
        self.counter.add_(1)

    def _recorded(self) -> Callable[[], None]:
        """Return the replay of a frame's operations, recorded as a CUDA graph."""
        carried = (self.lanes.states, self.lanes.hidden, self.lanes.cell)
        before = [x.clone() for x in carried]
        # A first run beside the recording, as libraries allocate what they need for themselves.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._frame()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._frame()
        for x, old in zip(carried, before, strict=True):
            x.copy_(old)
        return graph.replay
