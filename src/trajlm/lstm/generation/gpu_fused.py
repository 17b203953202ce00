"""All frames of a chunk of many lanes in one GPU kernel, written in Triton.

A program keeps its lanes' hidden units and cells in registers and the recurrent weights in the
fast memory beside them, so that a frame reads nothing from the card's memory but table rows and
writes one state. L is padded to a power of two with units that stay zero, the states with some
that never come.

Products run on the tensor cores and keep 22 bits, nearly single precision: each factor is the sum
of two numbers of half precision, and three of their four products are added in single precision.
The same by TF32 needs 270 kB of fast memory at L = 64, more than any card has; this needs 90 kB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl

from trajlm.kernels import random_streams
from trajlm.kernels.arguments import NEVER
from trajlm.lstm.generation.gpu_steps import Lanes
from trajlm.util.arrays import F32

if TYPE_CHECKING:
    from trajlm.lstm.weights import LSTMWeights

# Lanes and warps of a program.
LANES, WARPS = 64, 4
# The least side of a matrix that the tensor cores take.
LEAST_SIDE = 16

GOLDEN = tl.constexpr(int(random_streams.GOLDEN))
MIX1, MIX2 = tl.constexpr(int(random_streams.MIX1)), tl.constexpr(int(random_streams.MIX2))
TWO_TO_MINUS_53 = tl.constexpr(random_streams.TWO_TO_MINUS_53)


@triton.jit
def uniform(keys: tl.tensor, counter: tl.tensor) -> tl.tensor:
    """Return number `counter` of each stream, float64; as `kernels.random_streams.uniform`."""
    x = keys + counter * GOLDEN
    x = (x ^ (x >> 30)) * MIX1
    x = (x ^ (x >> 27)) * MIX2
    x = x ^ (x >> 31)
    return (x >> 11).to(tl.float64) * TWO_TO_MINUS_53


@triton.jit
def tanh(x: tl.tensor) -> tl.tensor:
    """Return tanh, to single precision beside 1."""
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def halves(
    matrix: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> tl.tensor:
    """Return the high and the low halves of a matrix, which lie behind one another."""
    at = row[:, None] * columns + column[None, :]
    return tl.load(matrix + at), tl.load(matrix + rows * columns + at)


@triton.jit
def product(
    high: tl.tensor,
    low: tl.tensor,
    matrix_high: tl.tensor,
    matrix_low: tl.tensor,
    start: tl.tensor,
) -> tl.tensor:
    """Return `start` plus (high + low) times a matrix; low times low is below single precision."""
    start = tl.dot(low, matrix_high, start)
    start = tl.dot(high, matrix_low, start)
    return tl.dot(high, matrix_high, start)


@triton.jit(do_not_specialize=["n_lanes", "n_frames", "first"])
def write_frames(
    inputs: tl.tensor,
    recurrent: tl.tensor,
    readout: tl.tensor,
    skip: tl.tensor,
    states: tl.tensor,
    hiddens: tl.tensor,
    cells: tl.tensor,
    keys: tl.tensor,
    out: tl.tensor,
    inverse_temperature: tl.tensor,
    n_lanes: tl.tensor,
    n_frames: tl.tensor,
    first: tl.tensor,
    n_states: tl.constexpr,
    L: tl.constexpr,
    columns: tl.constexpr,
    lanes: tl.constexpr,
) -> None:
    """Fill `out` (frames, lanes) and change states, hidden units and cells in place.

    `inputs` is (n_states, 4, L), `skip` (n_states, columns), and in two halves each `recurrent`
    (4, 2, L, L), with rows by the unit that is read, and `readout` (2, L, columns).
    """
    lane = tl.program_id(0).to(tl.int64) * lanes + tl.arange(0, lanes)
    unit, kind = tl.arange(0, L), tl.arange(0, columns)
    mine = lane < n_lanes
    i_high, i_low = halves(recurrent, unit, unit, L, L)
    f_high, f_low = halves(recurrent + 2 * L * L, unit, unit, L, L)
    g_high, g_low = halves(recurrent + 4 * L * L, unit, unit, L, L)
    o_high, o_low = halves(recurrent + 6 * L * L, unit, unit, L, L)
    z_high, z_low = halves(readout, unit, kind, L, columns)
    at = lane[:, None] * L + unit[None, :]
    state = tl.load(states + lane, mask=mine, other=0)
    hidden = tl.load(hiddens + at, mask=mine[:, None], other=0.0)
    cell = tl.load(cells + at, mask=mine[:, None], other=0.0)
    key = tl.load(keys + lane, mask=mine, other=0).to(tl.uint64, bitcast=True)
    target = out + lane
    for t in range(n_frames):
        row = inputs + state[:, None] * (4 * L) + unit[None, :]
        high = hidden.to(tl.float16)
        low = (hidden - high).to(tl.float16)
        i = tl.sigmoid(product(high, low, i_high, i_low, tl.load(row)))
        f = tl.sigmoid(product(high, low, f_high, f_low, tl.load(row + L)))
        g = tanh(product(high, low, g_high, g_low, tl.load(row + 2 * L)))
        o = tl.sigmoid(product(high, low, o_high, o_low, tl.load(row + 3 * L)))
        cell = f * cell + i * g
        hidden = o * tanh(cell)
        high = hidden.to(tl.float16)
        low = (hidden - high).to(tl.float16)
        bias = tl.load(skip + state[:, None] * columns + kind[None, :])
        z = product(high, low, z_high, z_low, bias)
        z = tl.exp((z - tl.max(z, 1)[:, None]) * inverse_temperature).to(tl.float64)
        counter = (first.to(tl.int64) + t).to(tl.uint64)
        threshold = uniform(key, counter) * tl.sum(z, 1)
        passed = (threshold[:, None] >= tl.cumsum(z, 1)) & (kind < n_states - 1)[None, :]
        state = tl.sum(passed.to(tl.int32), 1)
        tl.store(target, state, mask=mine)
        target += n_lanes
    tl.store(states + lane, state, mask=mine)
    tl.store(hiddens + at, hidden, mask=mine[:, None])
    tl.store(cells + at, cell, mask=mine[:, None])


def padded_length(n: int) -> int:
    """Return the side of a block that holds `n`: the next power of two."""
    return max(LEAST_SIDE, 1 << (n - 1).bit_length())


def _halved(matrices: F32) -> npt.NDArray[np.float16]:
    """Return each matrix (..., rows, columns) in two of half precision, (..., 2, rows, columns)."""
    high = matrices.astype(np.float16)
    return np.stack([high, (matrices - high).astype(np.float16)], axis=-3)


class FusedFrames:
    """Frame after frame of some lanes, a chunk in one kernel."""

    def __init__(self, weights: LSTMWeights, lanes: Lanes, inverse_temperature: float) -> None:
        n, L = weights.readout.shape
        side, columns = padded_length(L), padded_length(n)
        inputs = np.zeros((n, 4, side), np.float32)
        by_state = weights.embedding @ weights.input_weights.T + weights.gate_bias
        inputs[:, :, :L] = by_state.reshape(n, 4, L)
        recurrent = np.zeros((4, side, side), np.float32)
        recurrent[:, :L, :L] = weights.recurrent_weights.reshape(4, L, L).swapaxes(1, 2)
        readout = np.zeros((side, columns), np.float32)
        readout[:L, :n] = weights.readout.T
        skip = np.full((n, columns), NEVER, np.float32)
        skip[:, :n] = weights.skip + weights.readout_bias
        device = lanes.keys.device
        arrays = (inputs, _halved(recurrent), _halved(readout), skip)
        self.tables = [torch.from_numpy(x).to(device) for x in arrays]
        self.lanes = lanes
        self.inverse_temperature = inverse_temperature
        self.sizes = {"n_states": n, "L": side, "columns": columns}

    def write(self, first: int, out: torch.Tensor) -> None:
        """Fill `out` (frames, lanes); `first` frames were made before."""
        n_frames, n_lanes = out.shape
        L, side = self.lanes.hidden.shape[1], self.sizes["L"]
        carried = (self.lanes.hidden, self.lanes.cell)
        hidden, cell = (torch.nn.functional.pad(x, (0, side - L)) for x in carried)
        write_frames[(triton.cdiv(n_lanes, LANES),)](
            *self.tables,
            self.lanes.states,
            hidden,
            cell,
            self.lanes.keys,
            out,
            self.inverse_temperature,
            n_lanes,
            n_frames,
            first,
            **self.sizes,
            lanes=LANES,
            num_warps=WARPS,
        )
        self.lanes.hidden.copy_(hidden[:, :L])
        self.lanes.cell.copy_(cell[:, :L])
