"""Small changes of a language model's weights that move its slow populations and rates.

X_g(s) is the membership of state s in the slow set g. A step from s to k gets added to its logit,
that of the first column where tokens have several: k is a group then, and X_g(s) that of the group
of s, the mean over the frames in it,

    sum_g a_g (X_g(k) - X_g(s)) + sum_{g<h} b_gh f_gh(s, k) + sum_{g<h} c_gh q_gh(t, k).

The *tilt* a acts as a free energy and moves populations. The *mobility* b acts on the membership
f_gh that the step moves between g and h, whichever way, and on every step across their border:
mostly on flicker, since what has crossed comes back many times before it stays. The *settled
mobility* c acts on steps to a set from which the trajectory has been away,

    q_gh = m_g(t) (1 - X_h(s)) X_h(k) + m_h(t) (1 - X_g(s)) X_g(k),

with m_g(t) the mean of X_g over the past, forgotten exponentially. It changes how often a long stay
ends and leaves flicker alone. m is not a quantity of the model, but the hidden units of a trained
network know it: the best linear read-out of them is added to the model's own. So all three are
changes of D and B alone, and the model stays a model like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trajlm.analysis.slow import SlowSets
from trajlm.data import States
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.loops import loops
from trajlm.lstm.training.batching import Window, choose_n_streams, lay_streams
from trajlm.util.arrays import F32, F64, I64
from trajlm.util.devices import one_thread_in_pytorch

# Streams that the data is read in to see what the hidden units know.
STREAMS = 32
# Added to the mean squares of hidden units, so that one that never moves does no harm.
RIDGE = 1e-6


@dataclass(frozen=True)
class Shifts:
    """What a unit of each tilt and mobility adds to the weights.

    Parameters
    ----------
    n_sets
        The first so many are the tilts.
    pairs
        The pairs of sets g < h of the mobilities, and then, once more, of the settled ones.
    readout, skip
        Added to D and B by each, shapes (n, n_labels, L) and (n, n_states, n_labels).
    """

    n_sets: int
    pairs: tuple[tuple[int, int], ...]
    readout: F64
    skip: F64

    def apply(self, model: LanguageModel, x: F64) -> LanguageModel:
        """Return the model with so much of each, shape (n,)."""
        now = model.first_weights
        weights = replace(
            now,
            readout=(now.readout + np.tensordot(x, self.readout, 1)).astype(np.float32),
            skip=(now.skip + np.tensordot(x, self.skip, 1)).astype(np.float32),
        )
        return model.with_first_weights(weights)


def make_shifts(
    model: LanguageModel,
    states: States,
    sets: SlowSets,
    pairs: tuple[tuple[int, int], ...],
    memory: float,
    window: int,
) -> Shifts:
    """Find what tilts and mobilities mean for the weights of a model.

    Parameters
    ----------
    states
        On which the hidden units are looked at.
    pairs
        Of sets g < h.
    memory
        Frames after which the past of the settled mobility is forgotten.
    window
        Frames that are read at a time.
    """
    n, L = model.first_weights.readout.shape
    then = memberships_of_labels(sets, states, model.first_labels)
    now = then[model.first_labels]
    tilts = [tilt_shift(now, then, g) for g in range(sets.n_sets)]
    mobilities = [mobility_shift(now, then, g, h) for g, h in pairs]
    settled_readout, settled_skip = [], []
    with one_thread_in_pytorch():
        away = _away_readouts(model, states, now, pairs, memory, window)
    for (g, h), (from_g, from_h) in zip(pairs, away, strict=True):
        both = np.outer(from_g, then[:, h]) + np.outer(from_h, then[:, g])
        settled_readout.append(both[:L].T)
        settled_skip.append(both[L:])
    none = np.zeros((len(tilts) + len(mobilities), n, L))
    return Shifts(
        sets.n_sets,
        pairs,
        np.concatenate([none, np.array(settled_readout).reshape(-1, n, L)]),
        np.array([*tilts, *mobilities, *settled_skip]),
    )


def memberships_of_labels(sets: SlowSets, states: States, labels: I64) -> F64:
    """Return the mean membership in each set over the frames of a label, (n_labels, n_sets)."""
    frames = np.maximum(states.counts(), 1e-9)
    sums = np.zeros((int(labels.max()) + 1, sets.n_sets))
    np.add.at(sums, labels, frames[:, None] * sets.memberships)
    means: F64 = sums / np.bincount(labels, frames)[:, None]
    return means


def tilt_shift(now: F64, then: F64, g: int) -> F64:
    """Return X_g(k) - X_g(s), shape (n_states, n_labels).

    Memberships are those of states, (n_states, n_sets), and of labels, (n_labels, n_sets).
    """
    return then[None, :, g] - now[:, None, g]


def mobility_shift(now: F64, then: F64, g: int, h: int) -> F64:
    """Return f_gh(s, k), shape (n_states, n_labels); the arguments are those of `tilt_shift`.

    A step s -> k moves from set g to set h the membership that g loses,
    max(0, X_g(s) - X_g(k)), shared among the sets that gain in proportion to their gain.
    """
    change = then[None, :, :] - now[:, None, :]
    gain, loss = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    total = gain.sum(axis=2)
    moved = loss[:, :, g] * gain[:, :, h] + loss[:, :, h] * gain[:, :, g]
    shift: F64 = np.divide(moved, total, out=np.zeros_like(total), where=total > 0)
    return shift


def _away_readouts(
    model: LanguageModel,
    states: States,
    X: F64,
    pairs: tuple[tuple[int, int], ...],
    memory: float,
    window: int,
) -> F64:
    """Return how m_g (1 - X_h) and m_h (1 - X_g) are read from hidden units and present state.

    X is that of states. The least squares are over all frames, of shape (n_pairs, 2, L + n_states).
    """
    import torch

    from trajlm.kernels.arrays import cache_aligned

    n, L = len(X), model.hidden_dim
    t = model.tables
    streams = lay_streams(states, choose_n_streams(states, window, STREAMS), window)
    hidden, cell = cache_aligned((2, streams.n_streams, t.hidden_dim))
    past = np.zeros((streams.n_streams, X.shape[1]))
    first, second = np.array(pairs).T
    # Sums over seen and seen, and over seen and wanted, side by side.
    sums = torch.zeros((L + n, L + n + 2 * len(pairs)), dtype=torch.float64)
    for piece in streams:
        _begin_anew(piece, X, hidden, cell, past)
        after = cache_aligned((*piece.inputs.shape, t.hidden_dim))
        loops().remember_lanes(t.inputs, t.recurrent, piece.inputs, hidden, cell, after)
        kept = piece.targets.ravel() >= 0
        state = piece.inputs.ravel()[kept]
        means = _forgetting(X[piece.inputs], past, memory).reshape(kept.size, -1)[kept]
        now = X[state]
        rows = np.zeros((len(state), sums.shape[1]))
        rows[:, :L] = after.reshape(kept.size, -1)[kept, :L]
        rows[np.arange(len(state)), L + state] = 1.0
        rows[:, L + n : L + n + len(pairs)] = means[:, first] * (1 - now[:, second])
        rows[:, L + n + len(pairs) :] = means[:, second] * (1 - now[:, first])
        of_piece = torch.from_numpy(rows)
        sums.addmm_(of_piece[:, : L + n].T, of_piece)
    squares, products = np.split(sums.numpy(), [L + n], axis=1)
    squares = squares + RIDGE * states.n_frames * np.eye(L + n)
    found: F64 = np.linalg.solve(squares, products)
    return found.T.reshape(2, len(pairs), L + n).swapaxes(0, 1)


def _begin_anew(
    piece: Window, memberships: F64, hidden: F32,
    cell: F32, past: F64,
) -> None:  # fmt: skip
    """Clear what streams carry where a trajectory begins."""
    fresh = piece.fresh
    hidden[fresh] = 0.0
    cell[fresh] = 0.0
    past[fresh] = memberships[piece.inputs[0, fresh]]


def _forgetting(now: F64, past: F64, memory: float) -> F64:
    """Return the mean over the past after each frame of `now`, and carry `past` in place."""
    means = np.empty_like(now)
    for t in range(len(now)):
        past += (now[t] - past) / memory
        means[t] = past
    return means
