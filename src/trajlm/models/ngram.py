"""Counts after the last k states, with back-off: the language modeller's baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlm.analysis.holdout import hold_out
from trajlm.data import States, StatesLike, StateSpace, as_states
from trajlm.errors import InputError
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.chains import lane_starts, write_lanes
from trajlm.models.files import Tensors
from trajlm.models.record import NGramRecord
from trajlm.util.arrays import F64, I64, IntArray
from trajlm.util.words import counted

# Longest order that is tried, and the part of the data that decides.
MAX_ORDER = 12
HELD_OUT = 0.1
# Seed of the choice of trajectories that are held out.
SEED = 0
# Nodes that the tree of contexts may have: beyond, it no longer fits in memory.
MOST_NODES = 50_000_000


class NGramModel(SequenceModel):
    """The next state by its counts after the last k, interpolated with shorter contexts.

    See `trajlm.kernels.suffixes` for the tree and the smoothing (Witten and Bell).

    Parameters
    ----------
    order
        k, the number of states that the model looks back on.
    state
        The last state of each node of the tree, shape (m,).
    count
        How often the data shows the sequence of each node, shape (m,).
    begin
        The first child of each node, and m at the end, shape (m + 1,).
    space, record
        As in `SequenceModel`.
    """

    kind = "ngram"
    record_type = NGramRecord
    record: NGramRecord | None

    def __init__(
        self,
        order: int,
        state: I64,
        count: I64,
        begin: I64,
        space: StateSpace,
        record: NGramRecord | None = None,
    ) -> None:
        super().__init__(space, record)
        self.order = order
        self.state, self.count, self.begin = state, count, begin
        self._tree = state, begin, np.append(0, np.cumsum(count))

    def _log_probs(self, trajectory: IntArray) -> F64:
        return self._log_probs_by_order(trajectory)[:, -1].copy()

    def _log_probs_by_order(self, trajectory: IntArray) -> F64:
        """Return the log probabilities of each order up to k, shape (T - 1, k + 1)."""
        from trajlm.kernels.suffixes import score_contexts

        out = np.empty((len(trajectory) - 1, self.order + 1))
        score_contexts(*self._tree, trajectory, self.n_states, out)
        return out

    def _next_state_probabilities(self, past: IntArray) -> F64:
        from trajlm.kernels.suffixes import interpolated

        nodes = self._nodes_after(past[-self.order :] if self.order else past[:0])
        row, found = np.empty(self.order + 1), np.empty(self.n_states)
        for x in range(self.n_states):
            interpolated(*self._tree, nodes, x, self.n_states, row)
            found[x] = row[-1]
        return found

    def _nodes_after(self, past: Sequence[int] | IntArray) -> I64:
        from trajlm.kernels.suffixes import follow

        nodes = np.full(self.order + 1, -1, np.int64)
        nodes[0] = 0
        for x in past:
            follow(self.state, self.begin, nodes, int(x))
        return nodes

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
    ) -> States:
        """Return `n_lanes` trajectories of `n_steps` frames, on one thread.

        `start` is the state before the first frame; None (or States) draws it for each lane
        from the populations.

        Raises
        ------
        InputError
            Steps, lanes or start out of range.
        """
        from trajlm.kernels.suffixes import simulate_contexts

        start = self.check_lanes(n_steps, n_lanes, seed, start)
        children = slice(self.begin[0], self.begin[1])
        populations = np.zeros(self.n_states)
        populations[self.state[children]] = self.count[children]
        keys, first = lane_starts(populations / populations.sum(), n_lanes, seed, start)
        nodes = [self._nodes_after([int(x)]) for x in first]

        def advance(lane: int, carried: int, begin: int, piece: IntArray) -> int:
            simulate_contexts(*self._tree, nodes[lane], self.n_states, keys[lane], begin, piece)
            return carried

        return self.space.states(write_lanes(n_steps, self.n_states, first, advance, progress))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays = {"state": self.state, "count": self.count, "begin": self.begin}
        return {"order": self.order}, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: NGramRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> NGramModel:
        """Rebuild a model from what `to_arrays` returned."""
        order = int(sizes["order"])
        state, count, begin = (arrays[k] for k in ("state", "count", "begin"))
        _check_tree(order, space.n_states, state, count, begin)
        return cls(order, state, count, begin, space, record)


def fit_ngram(states: StatesLike, order: int | None = None) -> NGramModel:
    """Count what follows the last k states, with back-off to shorter contexts.

    Parameters
    ----------
    states
        The data.
    order
        k; None takes the one, up to 12, with the fewest nats on a tenth of the data that is held
        out (`trajlm.analysis.holdout`), and counts all data with it.

    Raises
    ------
    InputError
        A negative order, or more contexts than memory holds.
    """
    data = as_states(states)
    if order is not None and order < 0:
        raise InputError(f"the order is {order}: give 0 or a positive whole number")
    nats: tuple[float, ...] = ()
    if order is None:
        nats = _held_out_nats(data)
        order = int(np.argmin(nats))
    tree = _count(data, order)
    record = NGramRecord(order, len(tree[0]), nats)
    return NGramModel(order, *tree, data.space, record)


def _held_out_nats(data: States) -> tuple[float, ...]:
    """Return the nats per frame of each order on held-out data."""
    training, validation = hold_out(data, HELD_OUT, SEED)
    # No more sequences of each length than frames.
    longest = min(MAX_ORDER, max(len(s) for s in training) - 1, MOST_NODES // training.n_frames)
    model = NGramModel(longest, *_count(training, longest), data.space)
    total = sum(model._log_probs_by_order(s).sum(axis=0) for s in validation)
    return tuple((-np.asarray(total) / validation.n_transitions).tolist())


def _count(data: States, order: int) -> tuple[I64, I64, I64]:
    """Return the tree of all sequences of up to `order` + 1 states.

    The sequences of one length are numbered in order of the number of the sequence before the last
    state, then of that state: the children of a node are neighbours.
    """
    n = data.n_states
    before = [np.zeros(len(s), np.int64) for s in data]  # the node that ends before each frame
    states, counts, parents = [np.zeros(1, np.int64)], [np.array([data.n_frames])], []
    first = 0  # of the nodes one state shorter
    n_nodes = 1
    for length in range(1, order + 2):
        # A sequence of this length ends at the frames from length - 1 on.
        kept = [s[length - 1 :].astype(np.int64) for s in data]
        keys = np.concatenate([(b - first) * n + s for b, s in zip(before, kept, strict=True)])
        if not len(keys):
            break
        distinct, numbers, count = np.unique(keys, return_inverse=True, return_counts=True)
        states.append(distinct % n)
        counts.append(count)
        parents.append(distinct // n + first)
        borders = np.cumsum([len(s) for s in kept])[:-1]
        # The node of a sequence stands before the frame after its last.
        before = [x[:-1] + n_nodes for x in np.split(numbers.reshape(-1), borders)]
        first, n_nodes = n_nodes, n_nodes + len(distinct)
        if n_nodes > MOST_NODES:
            raise InputError(
                f"{counted(n_nodes, 'sequence', 'sequences')} of up to {length} states are more "
                f"than memory holds: ask for an order below {length - 1}"
            )
    children = np.bincount(np.concatenate(parents), minlength=n_nodes)
    begin = np.append(1, 1 + np.cumsum(children))
    return np.concatenate(states), np.concatenate(counts).astype(np.int64), begin


def _check_tree(order: int, n_states: int, state: I64, count: I64, begin: I64) -> None:
    """Raise if arrays are no tree of contexts, as those of a damaged file may not be.

    Raises
    ------
    ValueError
        Other types or shapes, children out of order, or counts that are not positive.
    """
    m = len(state)
    if not 0 <= order < 1000:
        raise ValueError(f"the order is {order}")
    if any(x.dtype != np.int64 or x.ndim != 1 for x in (state, count, begin)):
        raise ValueError("the contexts are not whole numbers")
    if m == 0 or len(count) != m or len(begin) != m + 1 or begin[0] != 1 or begin[-1] != m:
        raise ValueError("the contexts do not fit each other")
    if (np.diff(begin) < 0).any() or (begin[:-1] <= np.arange(m)).any() or begin[1] == 1:
        raise ValueError("the contexts are no tree")
    parent = np.repeat(np.arange(m), np.diff(begin))
    unsorted = (np.diff(parent) == 0) & (np.diff(state[1:]) <= 0)
    if state.min() < 0 or state.max() >= n_states or unsorted.any() or count.min() < 1:
        raise ValueError("the contexts are out of order")
