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

from trajlm.kernels.arguments import NEVER
from trajlm.kernels.arrays import F32, I64, cache_aligned
from trajlm.lstm.loops import loops
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
    table, given
        What each state adds to the gates, and what is given beside it, shapes (n_states, 4L) and
        (n_given, 4L); the latter has no rows where nothing is given.
    recurrent
        The recurrent weights, (4L, L).
    readout, bias
        Of the read-out, (n_labels, L) and (n_labels,).
    skip
        What is given, or else each state, adds to the logits, (n_given or n_states, n_labels).
    """

    table: F32
    given: F32
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

    def __init__(self, weights: WindowWeights) -> None:
        self.sizes = _sizes(weights)
        n_states, n_given, n_labels, L = self.sizes
        panel, packed = loops().PANEL, loops().packed
        self.units, self.columns = -(-L // panel) * panel, -(-n_labels // panel) * panel
        self.inputs = cache_aligned((n_states, GATES * self.units))
        self.given = cache_aligned((n_given, GATES * self.units))
        self.bias = cache_aligned((self.columns,))
        self.bias[n_labels:] = NEVER
        self._square = np.zeros((GATES * self.units, self.units), np.float32)
        self._out = np.zeros((self.columns, self.units), np.float32)
        self.recurrent, self.readout = packed(self._square.T), packed(self._out.T)
        self.recurrent_back, self.readout_back = packed(self._square), packed(self._out)

    def read(self, weights: WindowWeights) -> None:
        """Take up new numbers."""
        n_labels, L = weights.readout.shape
        for padded, table in ((self.inputs, weights.table), (self.given, weights.given)):
            padded.reshape(-1, GATES, self.units)[:, :, :L] = table.reshape(-1, GATES, L)
        self.bias[:n_labels] = weights.bias
        self._square.reshape(GATES, -1, self.units)[:, :L, :L] = weights.recurrent.reshape(-1, L, L)
        self._out[:n_labels, :L] = weights.readout
        packed = loops().packed
        packed(self._square.T, self.recurrent)
        packed(self._out.T, self.readout)
        packed(self._square, self.recurrent_back)
        packed(self._out, self.readout_back)


def _sizes(weights: WindowWeights) -> tuple[int, int, int, int]:
    """Return n_states, n_given, n_labels and L."""
    return len(weights.table), len(weights.given), *weights.readout.shape


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
        By both tables, recurrent weights and read-out, still padded; empty if nothing is learned.
    given
        The rows of the skip, shape (window, streams).
    logits
        Gradient by the logits, shape (window, streams, padded n_labels).
    workspace
        The memory that `logits` lie in.
    """

    nats: float
    gradients: tuple[F32, ...]
    given: I64
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
        given: I64 | None = None,
    ) -> WindowResult:
        """Run over a window, forward or, to learn, both ways.

        Parameters
        ----------
        weights
            The network.
        states, targets
            What is read, and the labels to predict, shape (window, streams); a negative target is
            none.
        memory
            Hidden and cell before the window, shape (2, streams, L).
        scale
            The gradients are those of the nats times this; None: nothing is learned.
        given
            The number of what is known of the next state, shape (window, streams), where anything
            is.
        """
        # Else the skip goes by the state.
        known = states if given is None else given
        if self._tables is None or self._tables.sizes != _sizes(weights):
            self._tables, self._spare = _Tables(weights), {}
        tables = self._tables
        tables.read(weights)
        after = np.empty_like(memory)

        def part(ends: tuple[int, int]) -> _Part:
            own = slice(*ends)
            frames = tuple(np.ascontiguousarray(x[:, own]) for x in (states, known, targets))
            return self._part(tables, weights.skip, frames, memory[:, own], after[:, own], scale)

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
                    loops().add_by_given(found.given, found.logits, grad_skip)
                self._spare.setdefault(found.logits.shape[1], []).append(found.workspace)
        gradients = None if grad_skip is None else _unpadded(sums, grad_skip, memory.shape[2])
        return WindowResult(nats, after, gradients)

    def _part(
        self,
        tables: _Tables,
        skip: F32,
        frames: tuple[I64, ...],
        memory: F32,
        after: F32,
        scale: float | None,
    ) -> _Part:
        """Return what some streams give, and write their memory `after` the window."""
        states, given, targets = frames
        (n_frames, streams), L = states.shape, memory.shape[2]
        t = tables
        workspace = self._workspace(n_frames, streams, tables)
        hidden, cell, gates, logits = workspace.first(n_frames)
        hidden[0, :, :L], cell[0, :, :L] = memory
        nats = loops().forward(
            states, given, targets, t.inputs, t.given, t.recurrent, t.readout, t.bias, skip,
            hidden, cell, gates, logits, np.float32(scale or 0.0),
        )  # fmt: skip
        after[0], after[1] = hidden[-1, :, :L], cell[-1, :, :L]
        if scale is None:
            return _Part(nats, (), given, logits, workspace)
        small = t.units if t.units <= SMALL else 0
        grad_inputs, grad_given = cache_aligned(t.inputs.shape), cache_aligned(t.given.shape)
        grad_recurrent = cache_aligned((small, GATES * t.units))
        grad_readout = cache_aligned((small, t.columns))
        loops().backward(
            states, given, t.recurrent_back, t.readout_back, hidden, cell, gates, logits,
            grad_inputs, grad_given, grad_recurrent, grad_readout,
        )  # fmt: skip
        products = grad_recurrent.T, grad_readout.T
        if not small:
            products = _product(gates, hidden[:-1]), _product(logits, hidden[1:])
        gradients = grad_inputs, grad_given, *products
        return _Part(nats, gradients, given, logits, workspace)

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
    *tables, recurrent, readout = sums
    n_labels, units = grad_skip.shape[1], recurrent.shape[1]
    table, given = (t.reshape(-1, GATES, units)[:, :, :L].reshape(-1, GATES * L) for t in tables)
    return WindowWeights(
        table,
        given,
        np.ascontiguousarray(
            recurrent.reshape(GATES, units, units)[:, :L, :L].reshape(GATES * L, L)
        ),
        np.ascontiguousarray(readout[:n_labels, :L]),
        # The bias is added to the logits whatever is given.
        grad_skip.sum(axis=0),
        grad_skip,
    )
