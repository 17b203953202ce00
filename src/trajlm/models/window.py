"""The language model over one window on the CPU, by hand, for PyTorch's autograd.

PyTorch's own layer spends most of a small network's time around its matrix products and waiting
for memory: dozens of small operations a frame, an input product that is only a look-up here, and
arrays of the whole window where a few streams at a time stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trajlm.kernels import training
from trajlm.kernels.lstm import NEVER
from trajlm.kernels.product import PANEL, packed

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Memory = tuple[Tensor, Tensor]
GATES = 4
# Streams that go forward and backward together, so that what they leave is still in the cache.
CHUNK = 16


@dataclass(frozen=True)
class _Tables:
    """The weights as the loops read them.

    They are padded to whole panels, with units that stay zero and states that never come, and
    the matrices packed: as they are to go back, transposed to go forward.
    """

    inputs: F32
    bias: F32
    skip: F32
    recurrent: F32
    readout: F32
    recurrent_back: F32
    readout_back: F32


@dataclass(frozen=True)
class _Part:
    """What some streams give, until all parts are summed.

    Parameters
    ----------
    nats
        The sum of -ln Q.
    memory
        Hidden and cell after the window, shape (2, streams, L).
    gradients
        Of the nats, by table, recurrent weights, read-out and bias, still padded; empty if
        nothing is learned.
    states
        What the streams read, shape (window, streams).
    logits
        Gradient of the nats by the logits, shape (window, streams, padded n_states).
    space
        The memory that `logits` lie in.
    """

    nats: float
    memory: F32
    gradients: tuple[F32, ...]
    states: I64
    logits: F32
    space: F32


class LSTMWindow:
    """Runs a language model over windows of states; one object serves one size of network.

    Parameters
    ----------
    n_threads
        Threads that share the streams, at most one for each `CHUNK` of them. The result is the
        same for any number.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
        # Memory to work in, of parts that are done; fresh one each time would cost a tenth.
        self._spare: list[F32] = []
        self._packed: list[F32 | None] = [None] * 4

    def __call__(
        self, weights: Sequence[Tensor], states: Tensor, targets: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Return the summed nats of the targets and the memory after, without gradient.

        Parameters
        ----------
        weights
            What each state adds to the gates, shape (n_states, 4L); the recurrent weights,
            (4L, L); weights and bias of the read-out, (n_states, L) and (n_states,); what each
            state adds to the logits, (n_states, n_states).
        states, targets
            Shape (window, streams); a negative target is none.
        memory
            Hidden and cell before the window, shape (1, streams, L) each.
        """
        nats, after = _Nats.apply(  # type: ignore[no-untyped-call]
            *weights, states, targets, torch.cat(memory), self, torch.is_grad_enabled()
        )
        return nats, (after[:1], after[1:])

    def run(
        self, weights: list[F32], states: I64, targets: I64, memory: F32, learn: bool
    ) -> tuple[float, F32, tuple[F32, ...]]:
        """Return nats, memory after the window and, to `learn`, the gradients by each weight.

        The arguments are as for the call, the memories of shape (2, streams, L).
        """
        tables = self._padded_tables(*weights)

        def part(ends: tuple[int, int]) -> _Part:
            own = slice(*ends)
            return self._part(
                tables,
                np.ascontiguousarray(states[:, own]),
                np.ascontiguousarray(targets[:, own]),
                memory[:, own],
                learn,
            )

        cuts = list(pairwise([*range(0, states.shape[1], CHUNK), states.shape[1]]))
        nats, after = 0.0, []
        sums: list[F32] = []
        # With many states the skip is the largest by far: it has one sum, and no part its own.
        by_skip = np.zeros_like(tables.skip) if learn else None
        # As many at a time as threads run, so that no more gradients are kept; and summed in
        # their order, so that the sums are the same for any number of threads.
        for first in range(0, len(cuts), self._n_threads):
            for found in self._map(part, cuts[first : first + self._n_threads]):
                nats += found.nats
                after.append(found.memory)
                for total, more in zip(sums, found.gradients, strict=False):
                    total += more
                sums = sums or list(found.gradients)
                if by_skip is not None:
                    training.add_by_state(found.states, found.logits, by_skip)
                self._spare.append(found.space)
        gradients = () if by_skip is None else (*_unpadded(sums, *weights[2].shape), by_skip)
        return nats, np.concatenate(after, axis=1), gradients

    def _padded_tables(
        self, table: F32, recurrent: F32, readout: F32, bias: F32, skip: F32
    ) -> _Tables:
        """Return the weights for the loops, packed into the memory of those before."""
        n_states, L = readout.shape
        padded, columns = -(-L // PANEL) * PANEL, -(-n_states // PANEL) * PANEL
        inputs = _padded(table.reshape(n_states * GATES, L), n_states * GATES, padded)
        square = _padded(recurrent.reshape(GATES, L, L), padded, padded)
        square = square.reshape(GATES * padded, padded)
        out = _padded(readout, columns, padded)
        matrices = square.T, out.T, square, out
        ready = [packed(m, old) for m, old in zip(matrices, self._packed, strict=True)]
        self._packed = [*ready]
        return _Tables(
            inputs.reshape(n_states, GATES * padded),
            np.pad(bias, (0, columns - n_states), constant_values=NEVER),
            skip,
            *ready,
        )

    def _part(self, tables: _Tables, states: I64, targets: I64, memory: F32, learn: bool) -> _Part:
        """Return what some streams give."""
        (window, streams), columns = states.shape, len(tables.bias)
        padded, L = tables.inputs.shape[1] // GATES, memory.shape[2]
        shapes = [(window + 1, streams, padded)] * 2
        shapes += [(window, streams, GATES * padded), (window, streams, columns)]
        space, (hidden, cell, gates, logits) = self._arrays(shapes)
        hidden[0], cell[0] = 0.0, 0.0
        hidden[0, :, :L], cell[0, :, :L] = memory
        t, arrays = tables, (hidden, cell, gates, logits)
        nats = training.forward(
            states, targets, t.inputs, t.recurrent, t.readout, t.bias, t.skip, *arrays
        )
        after = np.stack([hidden[-1, :, :L], cell[-1, :, :L]])
        gradients: tuple[F32, ...] = ()
        if learn:
            training.backward(t.recurrent_back, t.readout_back, cell, gates, logits)
            table = np.zeros_like(t.inputs)
            training.add_by_state(states, gates, table)
            gradients = (
                table,
                _products(gates, hidden[:-1]),
                _products(logits, hidden[1:]),
                logits.sum(axis=(0, 1)),
            )
        return _Part(nats, after, gradients, states, logits, space)

    def _arrays(self, shapes: Sequence[tuple[int, ...]]) -> tuple[F32, list[F32]]:
        """Return arrays of these shapes, after the memory that they lie in."""
        ends = np.cumsum([int(np.prod(s)) for s in shapes])
        try:
            space = self._spare.pop()
        except IndexError:
            space = np.empty(0, np.float32)
        if len(space) < ends[-1]:
            space = np.empty(ends[-1], np.float32)
        parts = np.split(space[: ends[-1]], ends[:-1])
        return space, [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]

    def _map(
        self, part: Callable[[tuple[int, int]], _Part], cuts: list[tuple[int, int]]
    ) -> Iterable[_Part]:
        return map(part, cuts) if len(cuts) == 1 else self._pool.map(part, cuts)


def _padded(x: F32, rows: int, columns: int) -> F32:
    """Return `x` with zeros behind its last two dimensions."""
    more = [(0, 0)] * (x.ndim - 2) + [(0, rows - x.shape[-2]), (0, columns - x.shape[-1])]
    return np.pad(x, more) if rows != x.shape[-2] or columns != x.shape[-1] else x


def _unpadded(gradients: list[F32], n_states: int, L: int) -> tuple[F32, ...]:
    """Return the gradients without units and states that only fill panels."""
    table, recurrent, readout, bias = gradients
    padded = recurrent.shape[1]
    return (
        table.reshape(n_states, GATES, padded)[:, :, :L].reshape(n_states, GATES * L),
        recurrent.reshape(GATES, padded, padded)[:, :L, :L].reshape(GATES * L, L),
        readout[:n_states, :L],
        bias[:n_states],
    )


def _products(rows: F32, hidden: F32) -> F32:
    """Return the sum over frames and streams of each row times each hidden state."""
    a, b = (torch.from_numpy(x).flatten(0, 1) for x in (rows, hidden))
    product: F32 = torch.mm(a.t(), b).numpy()
    return product


class _Nats(torch.autograd.Function):
    """What autograd knows of a window: the gradient of its nats, made on the way forward."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        *tensors, window, learn = given
        *weights, states, targets, memory = (t.contiguous().numpy() for t in tensors)
        nats, after, ctx.gradients = window.run(weights, states, targets, memory, learn)
        memory_after = torch.from_numpy(after)
        ctx.mark_non_differentiable(memory_after)
        return torch.tensor(nats, dtype=torch.float32), memory_after

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("a window goes backward once: run it forward again")
        found, ctx.gradients = ctx.gradients, None
        scaled = (torch.from_numpy(g).mul_(gradients[0]) for g in found)
        return *scaled, None, None, None, None, None
