"""The LSTM step on the CPU for lanes side by side.

The product of embedding and input weights is a table of n_states rows (`inputs`), so a step is
one recurrent product of L by 4L numbers, the gates, and one read-out product of L by n_states.
Gate order is i, f, g, o as in PyTorch. L is padded to whole vectors with units that stay zero,
the states to whole panels. A lane gives the same bits whatever lanes run beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arguments import Recurrent
from trajlm.kernels.arrays import F32, I64, aligned_rows
from trajlm.kernels.cell import exp, tanh, unit
from trajlm.kernels.compiled import compiled, inlined
from trajlm.kernels.product import add_outer_products, add_to_looked_up
from trajlm.kernels.random_streams import uniform
from trajlm.kernels.recurrent import U8, add_recurrent, memory_for_bytes
from trajlm.kernels.simd import WIDTH, largest, load, maximum, splat, store
from trajlm.kernels.team import wait_for_all
from trajlm.kernels.tile import PANEL


@inlined
def step(
    states: I64, hidden: F32, cell: F32, inputs: F32, recurrent: Recurrent, gates: F32, parts: U8
) -> None:
    """Advance `hidden` and `cell`, both (lanes, L), in place by one input state a lane."""
    panels = inputs.shape[1] // PANEL
    add_recurrent(0, panels, False, gates, 0, hidden, parts, recurrent, inputs, states)
    advance_units(hidden, cell, gates, 0)


@inlined
def advance_units(hidden: F32, cell: F32, gates: F32, first: int) -> None:
    """Advance `hidden` and `cell` by the gates before their nonlinearity, from `first` on."""
    lanes, L = hidden.shape
    for lane in range(lanes):
        for k in range(0, L, WIDTH):
            at = lane * L + k
            _, _, _, o, c = unit(gates, first + lane * 4 * L + k, L, load(cell, at))
            store(cell, at, c)
            store(hidden, at, o * tanh(c))


@inlined
def read_out(states: I64, hidden: F32, readout: F32, skip: F32, z: F32) -> None:
    """Fill `z` (lanes, padded n_states) with the logits of the next states."""
    lanes, L = hidden.shape
    add_to_looked_up(z, 0, z.shape[1], hidden, 0, L, L, readout, lanes, skip, states, 0)


@inlined
def exponentials(z: F32, lane: int, inverse_temperature: np.float32) -> Any:
    """Turn a row of `z` into exp((logit - largest) / temperature); return the largest logit."""
    columns = z.shape[1]
    first = lane * columns
    top = load(z, first)
    for k in range(WIDTH, columns, WIDTH):
        top = maximum(top, load(z, first + k))
    highest = largest(top)
    for k in range(first, first + columns, WIDTH):
        store(z, k, exp((load(z, k) - splat(highest)) * splat(inverse_temperature)))
    return highest


@inlined
def log_prob(z: F32, lane: int, state: int, n_states: int) -> float:
    """Return the log probability of a state from a row of logits, which are lost."""
    logit = z[lane, state]
    highest = exponentials(z, lane, np.float32(1.0))
    total = 0.0
    for k in range(n_states):
        total += z[lane, k]
    return np.float64(logit) - np.float64(highest) - math.log(total)


@compiled
def generate_lanes(
    inputs: F32,
    recurrent: Recurrent,
    readout: F32,
    skip: F32,
    states: I64,
    hidden: F32,
    cell: F32,
    inverse_temperature: np.float32,
    keys: npt.NDArray[np.uint64],
    first: int,
    out: npt.NDArray[Any],
    gates: F32,
    arrivals: I64,
    rank: int,
    n_threads: int,
) -> None:
    """Write sampled states of some lanes to `out` (lanes, frames).

    Several threads may do so together, each of which calls this. They share the recurrent
    product; all else takes less time than a second meeting would, so that each does it for itself
    and comes to the same.

    Parameters
    ----------
    states, hidden, cell
        Carried in place; each thread has its own, and its own `out`.
    first
        States that these lanes have made before, which is also the position in their random
        streams `keys`.
    gates
        Memory for all threads, shape (2, lanes, 4L): of this frame, and of the next, which the
        fastest may fill while others still read. One thread uses the first half.
    arrivals
        The counter of the threads' meetings, zero at the beginning, shape (1,).
    rank, n_threads
        The number of this thread, from 0 on, and how many there are.
    """
    lanes, L = hidden.shape
    panels = 4 * L // PANEL
    begin, end = panels * rank // n_threads, panels * (rank + 1) // n_threads
    parts = memory_for_bytes(lanes, recurrent)
    z = aligned_rows(lanes, skip.shape[1])
    cumulative = np.empty(len(inputs))
    for t in range(out.shape[1]):
        odd = t % 2 == 1
        now = lanes * 4 * L if odd and n_threads > 1 else 0
        add_recurrent(begin, end, odd, gates, now, hidden, parts, recurrent, inputs, states)
        if n_threads > 1:
            wait_for_all(arrivals, (t + 1) * n_threads)
        advance_units(hidden, cell, gates, now)
        read_out(states, hidden, readout, skip, z)
        sample(z, inverse_temperature, keys, np.uint64(first + t), cumulative, states)
        for lane in range(lanes):
            out[lane, t] = states[lane]


@inlined
def sample(
    z: F32,
    inverse_temperature: np.float32,
    keys: npt.NDArray[np.uint64],
    counter: np.uint64,
    cumulative: npt.NDArray[np.float64],
    states: I64,
) -> None:
    """Replace the states by ones drawn from the logits `z`, which become their exponentials."""
    n_states = len(cumulative)
    for lane in range(len(states)):
        exponentials(z, lane, inverse_temperature)
        total = 0.0
        for k in range(n_states):
            total += z[lane, k]
            cumulative[k] = total
        threshold = uniform(keys[lane], counter) * total
        state = 0
        for k in range(n_states - 1):
            state += threshold >= cumulative[k]
        states[lane] = state


@compiled
def read_lanes(
    inputs: F32,
    recurrent: Recurrent,
    paths: npt.NDArray[Any],
    begins: I64,
    hidden: F32,
    cell: F32,
) -> None:
    """Advance the memory of lanes over all but the last frame of `paths` (lanes, frames).

    Lane k begins, with cleared memory, at frame ``begins[k]``.
    """
    lanes, frames = paths.shape
    gates = aligned_rows(lanes, inputs.shape[1])
    parts = memory_for_bytes(lanes, recurrent)
    states = np.empty(lanes, np.int64)
    for t in range(frames - 1):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
            if t <= begins[lane]:
                hidden[lane] = 0.0
                cell[lane] = 0.0
        step(states, hidden, cell, inputs, recurrent, gates, parts)
    for lane in range(lanes):
        if frames - 1 <= begins[lane]:
            hidden[lane] = 0.0
            cell[lane] = 0.0


@compiled
def remember_lanes(
    inputs: F32, recurrent: Recurrent, paths: I64, hidden: F32, cell: F32, out: F32
) -> None:
    """Write the hidden states after each frame of `paths` (frames, lanes) to `out`.

    `hidden` and `cell`, both (lanes, L), are carried in place; `out` is (frames, lanes, L).
    """
    frames, lanes = paths.shape
    gates, parts = aligned_rows(lanes, inputs.shape[1]), memory_for_bytes(lanes, recurrent)
    states = np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            states[lane] = paths[t, lane]
        step(states, hidden, cell, inputs, recurrent, gates, parts)
        out[t] = hidden


@compiled
def score_lanes(
    inputs: F32,
    recurrent: Recurrent,
    readout: F32,
    skip: F32,
    paths: npt.NDArray[Any],
    out: npt.NDArray[np.float64],
) -> None:
    """Write ``ln Q(path[t+1] | path[0..t])`` of lanes to `out` (lanes, frames - 1).

    Each lane begins with cleared memory.
    """
    lanes, frames = paths.shape
    L, n_states = inputs.shape[1] // 4, len(inputs)
    hidden, cell = aligned_rows(lanes, L), aligned_rows(lanes, L)
    gates, parts = aligned_rows(lanes, 4 * L), memory_for_bytes(lanes, recurrent)
    z = aligned_rows(lanes, skip.shape[1])
    states = np.empty(lanes, np.int64)
    for t in range(frames - 1):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        step(states, hidden, cell, inputs, recurrent, gates, parts)
        read_out(states, hidden, readout, skip, z)
        for lane in range(lanes):
            out[lane, t] = log_prob(z, lane, paths[lane, t + 1], n_states)


@compiled
def add_gram(inputs: F32, recurrent: Recurrent, paths: npt.NDArray[Any], gram: F32) -> None:
    """Add h h^T of every lane and frame of `paths` (lanes, frames) to `gram`.

    It is square, L padded to whole panels.
    """
    lanes, frames = paths.shape
    L, columns = inputs.shape[1] // 4, len(gram)
    hidden, cell = aligned_rows(lanes, L), aligned_rows(lanes, L)
    padded = aligned_rows(lanes, columns)
    gates, parts = aligned_rows(lanes, 4 * L), memory_for_bytes(lanes, recurrent)
    states = np.empty(lanes, np.int64)
    for t in range(frames):
        for lane in range(lanes):
            states[lane] = paths[lane, t]
        step(states, hidden, cell, inputs, recurrent, gates, parts)
        padded[:, :L] = hidden
        add_outer_products(gram, padded, 0, columns, padded, 0, columns, lanes)
