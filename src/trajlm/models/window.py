"""The LSTM over one window on the CPU, forward and backward by hand, for PyTorch's autograd.

PyTorch's own layer spends most of a small network's time around its matrix products: dozens of
small operations a frame, and an input product that is only a look-up here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trajlm.kernels import training
from trajlm.kernels.product import PANEL, packed

F32 = npt.NDArray[np.float32]
Memory = tuple[Tensor, Tensor]
GATES = 4


@dataclass(frozen=True)
class _Pass:
    """What the forward pass of one window leaves for the backward pass."""

    number: int
    states: npt.NDArray[np.int64]
    transposed: F32
    hidden: F32
    cell: F32
    gates: F32


class LSTMWindow:
    """Runs an LSTM over windows of states; one object serves one window at a time.

    Parameters
    ----------
    n_threads
        Threads that share the streams. The result is the same for any number.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool = (
            ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
            if n_threads > 1
            else None
        )
        self._n_threads = n_threads
        self._memory = np.empty(0, np.float32)
        self._passes = 0

    def __call__(
        self, table: Tensor, recurrent: Tensor, states: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Return hidden (window, streams, L) and the memory after the window, without gradient.

        Parameters
        ----------
        table
            What each state adds to the gates, shape (n_states, 4L).
        recurrent
            Recurrent weights, shape (4L, L).
        states
            Shape (window, streams).
        memory
            Hidden and cell before the window, shape (1, streams, L) each.

        Notes
        -----
        The hidden states are overwritten by the next call: go backward first.
        """
        hidden, cell = _Recurrence.apply(  # type: ignore[no-untyped-call]
            table, recurrent, states, *memory, self
        )
        return hidden, (hidden[-1:].detach().clone(), cell)

    def forward(
        self, table: Tensor, recurrent: Tensor, states: Tensor, h: Tensor, c: Tensor
    ) -> _Pass:
        """Fill this object's arrays; L is padded to whole panels with units that stay zero."""
        L, n_states = recurrent.shape[1], len(table)
        padded = -(-L // PANEL) * PANEL
        window, streams = states.shape
        hidden, cell, gates = self._arrays(window, streams, padded)
        hidden[0], cell[0] = 0.0, 0.0
        hidden[0, :, :L], cell[0, :, :L] = h[0].numpy(), c[0].numpy()
        inputs = _padded(table.numpy().reshape(n_states * GATES, L), n_states * GATES, padded)
        inputs = inputs.reshape(n_states, GATES * padded)
        weights = _padded(recurrent.numpy().reshape(GATES, L, L), padded, padded)
        weights = weights.reshape(GATES * padded, padded)
        across = packed(weights.T)
        self._passes += 1
        result = _Pass(
            self._passes, states.contiguous().numpy(), packed(weights), hidden, cell, gates
        )
        self._share(
            streams,
            lambda begin, end: training.forward(
                result.states, inputs, across, hidden, cell, gates, begin, end
            ),
        )
        return result

    def backward(self, done: _Pass, hidden_gradient: Tensor, n_states: int) -> tuple[F32, F32]:
        """Return the gradients of the table and the recurrent weights.

        Raises
        ------
        RuntimeError
            Another window has run since.
        """
        if done.number != self._passes:
            raise RuntimeError("the window's arrays hold a later window: go backward before")
        window, streams, L = hidden_gradient.shape
        padded = done.hidden.shape[2]
        outside = _padded(hidden_gradient.contiguous().numpy(), streams, padded)
        self._share(
            streams,
            lambda begin, end: training.backward(
                done.transposed, done.cell, done.gates, outside, begin, end
            ),
        )
        by_state = np.zeros((n_states, GATES * padded), np.float32)
        weights = torch.empty(GATES, padded, padded)
        rows = torch.from_numpy(done.gates).flatten(0, 1).unflatten(1, (GATES, padded))
        before = torch.from_numpy(done.hidden).flatten(0, 1)[: len(rows)]

        def sum_gate(gate: int, end: int) -> None:
            columns = gate * padded, end * padded
            training.add_by_state(done.states, done.gates, by_state, *columns)
            torch.mm(rows[:, gate].t(), before, out=weights[gate])

        # Cut by gates and not by frames, so that threads do not change the order of the sums.
        self._run(sum_gate, [(k, k + 1) for k in range(GATES)])
        recurrent = weights.numpy()[:, :L, :L]
        table = by_state.reshape(n_states, GATES, padded)[:, :, :L]
        return table.reshape(n_states, GATES * L), recurrent.reshape(GATES * L, L)

    def _arrays(self, window: int, streams: int, L: int) -> tuple[F32, F32, F32]:
        """Return arrays for hidden, cell and gates; fresh memory each time would cost a tenth."""
        shapes = [(window + 1, streams, L), (window + 1, streams, L), (window, streams, GATES * L)]
        ends = np.cumsum([int(np.prod(s)) for s in shapes])
        if len(self._memory) < ends[-1]:
            self._memory = np.empty(ends[-1], np.float32)
        parts = np.split(self._memory[: ends[-1]], ends[:-1])
        hidden, cell, gates = (p.reshape(s) for p, s in zip(parts, shapes, strict=True))
        return hidden, cell, gates

    def _share(self, streams: int, work: Callable[[int, int], None]) -> None:
        """Share the streams out to the threads."""
        cuts = np.linspace(0, streams, min(self._n_threads, streams) + 1).astype(int)
        self._run(work, list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)))

    def _run(self, work: Callable[[int, int], None], ranges: list[tuple[int, int]]) -> None:
        if self._pool is None:
            for begin, end in ranges:
                work(begin, end)
        else:
            list(self._pool.map(work, *zip(*ranges, strict=True)))


def _padded(x: F32, rows: int, columns: int) -> F32:
    """Return `x` with zeros behind its last two dimensions."""
    more = [(0, 0)] * (x.ndim - 2) + [(0, rows - x.shape[-2]), (0, columns - x.shape[-1])]
    return np.pad(x, more) if rows != x.shape[-2] or columns != x.shape[-1] else x


class _Recurrence(torch.autograd.Function):
    """What autograd knows of a window: gradients of the table and the recurrent weights."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        recurrent: Tensor,
        states: Tensor,
        hidden: Tensor,
        cell: Tensor,
        window: LSTMWindow,
    ) -> tuple[Tensor, Tensor]:
        done = window.forward(table, recurrent, states, hidden, cell)
        ctx.window, ctx.done, ctx.n_states = window, done, len(table)
        L = recurrent.shape[1]
        last_cell = torch.from_numpy(done.cell[-1:, :, :L].copy())
        ctx.mark_non_differentiable(last_cell)
        return torch.from_numpy(done.hidden[1:, :, :L]), last_cell

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        table, recurrent = ctx.window.backward(ctx.done, gradients[0], ctx.n_states)
        return torch.from_numpy(table), torch.from_numpy(recurrent), None, None, None, None
