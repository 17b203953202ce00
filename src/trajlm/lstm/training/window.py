"""The language model over one window on the CPU, forward and backward by hand.

PyTorch's own layer spends most of a small network's time around its matrix products and waiting
for memory: dozens of small operations a frame, an input product that is only a look-up here, and
arrays of the whole window where a few streams at a time stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from trajlm.kernels import training
from trajlm.kernels.arrays import F32, I64, cache_aligned
from trajlm.kernels.lstm import NEVER
from trajlm.kernels.product import packed
from trajlm.kernels.tile import PANEL
from trajlm.util.devices import use_in_pytorch

GATES = 4
# Streams that go forward and backward together, so that what they leave is still in the cache.
CHUNK = 16
# Padded L up to which the loops sum the weights' gradients too; above, the library is faster.
SMALL = 128


@dataclass(frozen=True)
class WindowWeights:
    """What a window reads, and in the same shapes the gradients by it.

    Parameters
    ----------
    table
        What each state adds to the gates, shape (n_states, 4L).
    recurrent
        The recurrent weights, (4L, L).
    readout, bias
        Of the read-out, (n_states, L) and (n_states,).
    skip
        What each state adds to the logits, (n_states, n_states).
    """

    table: F32
    recurrent: F32
    readout: F32
    bias: F32
    skip: F32


@dataclass(frozen=True)
class WindowResult:
    """What a window gives.

    Parameters
    ----------
    nats
        The sum of -ln Q of the targets.
    memory
        Hidden and cell after the window, shape (2, streams, L).
    gradients
        By the weights; None if nothing is learned.
    """

    nats: float
    memory: F32
    gradients: WindowWeights | None


class _Tables:
    """The weights as the loops read them, in memory that serves all windows.

    They are padded to whole panels, with units that stay zero and states that never come, and
    the matrices packed: as they are to go back, transposed to go forward.
    """

    def __init__(self, n_states: int, L: int) -> None:
        self.sizes = n_states, L
        self.units, self.columns = -(-L // PANEL) * PANEL, -(-n_states // PANEL) * PANEL
        self.inputs = cache_aligned((n_states, GATES * self.units))
        self.bias = cache_aligned((self.columns,))
        self.bias[n_states:] = NEVER
        self._square = np.zeros((GATES * self.units, self.units), np.float32)
        self._out = np.zeros((self.columns, self.units), np.float32)
        self.recurrent, self.readout = packed(self._square.T), packed(self._out.T)
        self.recurrent_back, self.readout_back = packed(self._square), packed(self._out[:n_states])

    def read(self, weights: WindowWeights) -> None:
        """Take up new numbers."""
        n_states, L = weights.readout.shape
        self.inputs.reshape(n_states, GATES, -1)[:, :, :L] = weights.table.reshape(-1, GATES, L)
        self.bias[:n_states] = weights.bias
        self._square.reshape(GATES, -1, self.units)[:, :L, :L] = weights.recurrent.reshape(-1, L, L)
        self._out[:n_states, :L] = weights.readout
        packed(self._square.T, self.recurrent)
        packed(self._out.T, self.readout)
        packed(self._square, self.recurrent_back)
        packed(self._out[:n_states], self.readout_back)


class _Workspace:
    """Memory that a part works in; fresh one each time would cost a tenth."""

    def __init__(self, frames: int, streams: int, tables: _Tables) -> None:
        self.frames = frames
        # Units that only fill a panel stay zero before the first frame.
        self.hidden, self.cell = cache_aligned((2, frames + 1, streams, tables.units))
        self.gates = cache_aligned((frames, streams, GATES * tables.units))
        self.logits = cache_aligned((frames, streams, tables.columns))

    def first(self, frames: int) -> tuple[F32, F32, F32, F32]:
        """Return the arrays for a window: hidden, cell, gates and logits."""
        return (
            self.hidden[: frames + 1],
            self.cell[: frames + 1],
            self.gates[:frames],
            self.logits[:frames],
        )


@dataclass(frozen=True)
class _Part:
    """What some streams give, until all parts are summed.

    Parameters
    ----------
    nats
        The sum of -ln Q.
    gradients
        By table, recurrent weights and read-out, still padded; empty if nothing is learned.
    states
        What the streams read, shape (window, streams).
    logits
        Gradient by the logits, shape (window, streams, padded n_states).
    workspace
        The memory that `logits` lie in.
    """

    nats: float
    gradients: tuple[F32, ...]
    states: I64
    logits: F32
    workspace: _Workspace


class LSTMWindow:
    """Runs a language model over windows of states, with memory kept for networks of one size.

    Parameters
    ----------
    n_threads
        Threads that share the streams, at most one for each `CHUNK` of them. The result is the
        same for any number.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(
            max(1, n_threads - 1), initializer=use_in_pytorch, initargs=(1,)
        )
        self._tables: _Tables | None = None
        self._spare: dict[int, list[_Workspace]] = {}

    def __call__(
        self,
        weights: WindowWeights,
        states: I64,
        targets: I64,
        memory: F32,
        scale: float | None = None,
    ) -> WindowResult:
        """Run over a window, forward or, to learn, both ways.

        Parameters
        ----------
        weights
            The network.
        states, targets
            Shape (window, streams); a negative target is none.
        memory
            Hidden and cell before the window, shape (2, streams, L).
        scale
            The gradients are those of the nats times this; None: nothing is learned.
        """
        if self._tables is None or self._tables.sizes != weights.readout.shape:
            self._tables, self._spare = _Tables(*weights.readout.shape), {}
        tables = self._tables
        tables.read(weights)
        after = np.empty_like(memory)

        def part(ends: tuple[int, int]) -> _Part:
            own = slice(*ends)
            now, then = (np.ascontiguousarray(x[:, own]) for x in (states, targets))
            return self._part(tables, weights.skip, now, then, memory[:, own], after[:, own], scale)

        cuts = list(pairwise([*range(0, states.shape[1], CHUNK), states.shape[1]]))
        nats = 0.0
        sums: tuple[F32, ...] = ()
        # With many states the skip is the largest by far: it has one sum, and no part its own.
        grad_skip = None if scale is None else np.zeros_like(weights.skip)
        # As many at a time as threads run, so that no more gradients are kept; and summed in
        # their order, so that the sums are the same for any number of threads.
        for first in range(0, len(cuts), self._n_threads):
            for found in self._map(part, cuts[first : first + self._n_threads]):
                nats += found.nats
                if sums:
                    for total, more in zip(sums, found.gradients, strict=True):
                        total += more
                else:
                    sums = found.gradients
                if grad_skip is not None:
                    training.add_by_state(found.states, found.logits, grad_skip)
                self._spare.setdefault(found.logits.shape[1], []).append(found.workspace)
        gradients = None if grad_skip is None else _unpadded(sums, grad_skip, memory.shape[2])
        return WindowResult(nats, after, gradients)

    def _part(
        self,
        tables: _Tables,
        skip: F32,
        states: I64,
        targets: I64,
        memory: F32,
        after: F32,
        scale: float | None,
    ) -> _Part:
        """Return what some streams give, and write their memory `after` the window."""
        (frames, streams), L = states.shape, memory.shape[2]
        t = tables
        workspace = self._workspace(frames, streams, tables)
        hidden, cell, gates, logits = workspace.first(frames)
        hidden[0, :, :L], cell[0, :, :L] = memory
        nats = training.forward(
            states, targets, t.inputs, t.recurrent, t.readout, t.bias, skip,
            hidden, cell, gates, logits, np.float32(scale or 0.0),
        )  # fmt: skip
        after[0], after[1] = hidden[-1, :, :L], cell[-1, :, :L]
        if scale is None:
            return _Part(nats, (), states, logits, workspace)
        small = t.units if t.units <= SMALL else 0
        grad_inputs = cache_aligned(t.inputs.shape)
        grad_recurrent = cache_aligned((small, GATES * t.units))
        grad_readout = cache_aligned((small, t.columns))
        training.backward(
            states, t.recurrent_back, t.readout_back, hidden, cell, gates, logits,
            grad_inputs, grad_recurrent, grad_readout,
        )  # fmt: skip
        products = grad_recurrent.T, grad_readout.T
        if not small:
            products = _product(gates, hidden[:-1]), _product(logits, hidden[1:])
        return _Part(nats, (grad_inputs, *products), states, logits, workspace)

    def _workspace(self, frames: int, streams: int, tables: _Tables) -> _Workspace:
        """Return memory for so many frames, of a part that is done if there is one."""
        try:
            workspace = self._spare[streams].pop()
        except (KeyError, IndexError):
            return _Workspace(frames, streams, tables)
        return workspace if frames <= workspace.frames else _Workspace(frames, streams, tables)

    def _map(
        self, part: Callable[[tuple[int, int]], _Part], cuts: list[tuple[int, int]]
    ) -> Iterable[_Part]:
        """Run some parts side by side, the first one on this thread."""
        others = [self._pool.submit(part, ends) for ends in cuts[1:]]
        return [part(cuts[0]), *(other.result() for other in others)]


def _product(rows: F32, hidden: F32) -> F32:
    """Return the sum over frames and streams of each row times each hidden state."""
    a, b = (torch.from_numpy(x).flatten(0, 1) for x in (rows, hidden))
    product: F32 = torch.mm(a.t(), b).numpy()
    return product


def _unpadded(sums: tuple[F32, ...], grad_skip: F32, L: int) -> WindowWeights:
    """Return the gradients without units and states that only fill panels."""
    table, recurrent, readout = sums
    n_states, units = len(grad_skip), recurrent.shape[1]
    return WindowWeights(
        table.reshape(n_states, GATES, units)[:, :, :L].reshape(n_states, GATES * L),
        np.ascontiguousarray(
            recurrent.reshape(GATES, units, units)[:, :L, :L].reshape(GATES * L, L)
        ),
        np.ascontiguousarray(readout[:n_states, :L]),
        # The bias is added to the logits whatever the state is.
        grad_skip.sum(axis=0),
        grad_skip,
    )
