"""What the decisions of a free run of a language model are worth, and how logits change by it.

The value of a past is the expected sum of what is still to come, above the mean,

    V(t) = sum_{u >= 1} E[f(t+u) - mean | s(0..t)].

It is looked for as v . phi(t), with the features phi = (hidden units, present state): with the sums
over H frames as they were met, and beyond by the value itself (least-squares temporal differences:
Bradtke and Barto, Mach. Learn. 22:33 (1996)),

    sum_t phi(t) (phi(t) - phi(t+H)) . v = sum_t phi(t) sum_{u=1..H} (f(t+u) - mean).

The decision for state k is worth f(t+1) + V(t+1). For each k its least squares on phi(t) are a
row of the read-out and a column of the skip: what, added to D, B and b, changes the logits so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from trajlm.data import States
from trajlm.lstm.loops import loops
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.weights import LSTMWeights
from trajlm.util.arrays import F32, F64, I64

# Frames of a lane whose hidden units are kept at a time.
PIECE = 2048
# Of a lane, before its memory is that of a long past.
WARM_UP = 200
# Added to squares: a share of the samples, so that units that never move do no harm, and samples
# at which nothing is known, so that what is rare is taken for what is common.
RIDGE, UNKNOWN = 1e-5, 20.0
# Frames at most from which values are found, to which rows are fitted, of which covariances are.
JUDGED, FITTED, COMPARED = 1 << 22, 1 << 22, 1 << 19


@dataclass(frozen=True)
class LogitChange:
    """What is added to the logits of a language model.

    Parameters
    ----------
    readout, skip, bias
        Added to D, B and b: shapes (n_states, L), (n_states, n_states) and (n_states,).
    """

    readout: F64
    skip: F64
    bias: F64

    @classmethod
    def none(cls, model: LSTMModel) -> LogitChange:
        """Return no change of a model."""
        n, L = model.weights.readout.shape
        return cls(np.zeros((n, L)), np.zeros((n, n)), np.zeros(n))

    def __add__(self, other: LogitChange) -> LogitChange:
        return LogitChange(
            self.readout + other.readout, self.skip + other.skip, self.bias + other.bias
        )

    def __mul__(self, factor: float) -> LogitChange:
        return LogitChange(factor * self.readout, factor * self.skip, factor * self.bias)

    def apply(self, model: LSTMModel) -> LSTMModel:
        """Return the model with the change."""
        w = model.weights
        weights = replace(
            w,
            readout=(w.readout + self.readout).astype(np.float32),
            skip=(w.skip + self.skip).astype(np.float32),
            readout_bias=(w.readout_bias + self.bias).astype(np.float32),
        )
        return model.with_first_weights(weights)

    def of(self, hidden: F32, states: I64) -> F32:
        """Return what is added to the logits after each of some pasts, shape (frames, n_states)."""
        found = hidden @ self.readout.T.astype(np.float32)
        found += (self.skip + self.bias).astype(np.float32)[states]
        return found


@dataclass(frozen=True)
class Decisions:
    """What a free run says of a model.

    Parameters
    ----------
    means
        Of each measure, shape (m,).
    changes
        By what the decisions are worth to each measure, m of them, and to the KL rate, the last.
    kl_rate
        From the model before all changes, in nats per frame.
    """

    means: F64
    changes: tuple[LogitChange, ...]
    kl_rate: float


@dataclass(frozen=True)
class Frames:
    """Some frames of all lanes at once, with what is known at each.

    Parameters
    ----------
    hidden
        Shape (frames, lanes, L).
    states
        Shape (frames, lanes).
    gains
        What each frame contributes to each measure, shape (m, frames, lanes).
    """

    hidden: F32
    states: I64
    gains: F64


def walk(model: LSTMModel, run: States, gains: F64, overlap: int) -> Iterator[Frames]:
    """Read lanes of equal length in pieces, each with the first `overlap` frames of the next.

    Parameters
    ----------
    gains
        Shape (m, lanes, frames of a lane).
    """
    from trajlm.kernels.arrays import cache_aligned

    t, L = model.tables, model.hidden_dim
    paths = np.array(run.trajectories, dtype=np.int64).T
    hidden, cell = cache_aligned((2, paths.shape[1], t.hidden_dim))
    before = np.empty((0, paths.shape[1], L), np.float32)
    for begin in range(0, len(paths), PIECE):
        piece = np.ascontiguousarray(paths[begin : begin + PIECE])
        after = cache_aligned((*piece.shape, t.hidden_dim))
        loops().remember_lanes(t.inputs, t.recurrent, piece, hidden, cell, after)
        kept = np.concatenate([before, after[:, :, :L]])
        first, end = begin - len(before), begin + len(piece)
        before = kept[max(len(kept) - overlap, 0) :].copy()
        skipped = max(WARM_UP - first, 0)
        if len(kept) - skipped > overlap:
            own = slice(first + skipped, end)
            yield Frames(kept[skipped:], paths[own], gains[:, :, own].swapaxes(1, 2))


def judge_decisions(
    model: LSTMModel, base: LSTMWeights, run: States, gains: F64, horizon: int
) -> Decisions:
    """Return what the decisions of a free run of `model` are worth.

    Parameters
    ----------
    base
        The weights before all changes; they differ in D, B and b alone.
    run
        What the model wrote, lanes of equal length.
    gains
        What each frame contributes to each measure, shape (m, lanes, frames of a lane).
    horizon
        H, in frames.
    """
    means = gains.mean(axis=(1, 2))
    values, kl_rate = _values(model, base, run, gains, means, horizon)
    return Decisions(means, _fit_changes(model, run, gains, values), kl_rate)


def paid_by(model: LSTMModel, base: LSTMWeights, frames: Frames) -> F64:
    """Return what each past pays for its next decision, shape (frames, lanes).

    That is the KL divergence of the next state's probabilities from those of `base`, which differs
    from the weights of `model` in D, B and b alone.
    """
    states = frames.states.ravel()
    hidden = frames.hidden.reshape(len(states), -1)
    logs = [_log_probabilities(w, hidden, states) for w in (model.weights, base)]
    paid = np.einsum("ij,ij->i", np.exp(logs[0]), logs[0] - logs[1])
    return np.asarray(paid.reshape(frames.states.shape), np.float64)


def kl_rate_of(model: LSTMModel, base: LSTMWeights, run: States) -> float:
    """Return the KL rate of a model from `base` over its own free run, in nats per frame."""
    total, n_frames = 0.0, 0
    for frames in walk(model, run, np.empty((0, len(run), len(run[0]))), 0):
        paid = paid_by(model, base, frames)
        total, n_frames = total + float(paid.sum()), n_frames + paid.size
        if n_frames > JUDGED:
            break
    return total / n_frames


def _log_probabilities(w: LSTMWeights, hidden: F32, states: I64) -> F32:
    """Return ln Q of each next state after some pasts, shape (frames, n_states)."""
    import torch

    found = torch.from_numpy((w.skip + w.readout_bias)[states])
    found.addmm_(torch.from_numpy(hidden), torch.from_numpy(w.readout).t())
    logs: F32 = torch.log_softmax(found, dim=1).numpy()
    return logs


def _product(a: F32, b: F32) -> F64:
    """Return a^T b; not by NumPy, whose threads wait for each other on a busy machine."""
    import torch

    return torch.mm(torch.from_numpy(a).t(), torch.from_numpy(b)).numpy().astype(np.float64)


def _features(hidden: F32, states: I64, n_states: int) -> F32:
    """Return (hidden units, present state, 1) of some frames, shape (frames, L + n_states + 1)."""
    L = hidden.shape[-1]
    found = np.zeros((states.size, L + n_states + 1), np.float32)
    found[:, :L] = hidden.reshape(-1, L)
    found[:, -1] = 1.0
    found[np.arange(states.size), L + states.ravel()] = 1.0
    return found


def _values(
    model: LSTMModel, base: LSTMWeights, run: States, gains: F64, means: F64, horizon: int
) -> tuple[F64, float]:
    """Return v of each measure and of the KL rate, shape (L + n_states + 1, m + 1), and that rate.

    What is paid for the next decision belongs to the value of the past that takes it.
    """
    n, L = model.weights.readout.shape
    m, size = len(gains), L + n + 1
    squares, products, total = np.zeros((size, size)), np.zeros((size, m + 1)), np.zeros(size)
    paid_in_all, n_frames = 0.0, 0
    for frames in walk(model, run, gains, horizon):
        T, lanes = len(frames.states) - horizon, frames.states.shape[1]
        phi = _features(frames.hidden, frames.states, n)
        now, then = phi[: T * lanes], phi[horizon * lanes :]
        paid = paid_by(model, base, frames)
        # Of what is gained, that after the frame counts; of what is paid, that from it on.
        late = np.concatenate([frames.gains, np.roll(paid, 1, axis=0)[None]])
        sums = np.cumsum(late, axis=1)
        met = (sums[:, horizon:] - sums[:, :-horizon]).reshape(m + 1, -1)
        squares += _product(now, now - then)
        products += _product(now, np.ascontiguousarray(met.T, np.float32))
        total += now.sum(axis=0, dtype=np.float64)
        paid_in_all += float(paid[:T].sum())
        n_frames += len(now)
        if n_frames > JUDGED:
            break
    kl_rate = paid_in_all / n_frames
    products -= horizon * np.outer(total, np.append(means, kl_rate))
    ridge = RIDGE * n_frames + UNKNOWN
    return np.asarray(np.linalg.solve(squares + ridge * np.eye(size), products)), kl_rate


def _fit_changes(model: LSTMModel, run: States, gains: F64, values: F64) -> tuple[LogitChange, ...]:
    """Fit f(t+1) + V(t+1) of each next state to what is known before it."""
    n, L = model.weights.readout.shape
    lanes, m = gains.shape[1], len(gains) + 1
    size = L + n + 1
    squares, products = np.zeros((n, size, size)), np.zeros((n, size, m))
    n_frames = 0
    for frames in walk(model, run, gains, 1):
        phi = _features(frames.hidden, frames.states, n)
        worth = phi[lanes:] @ values
        worth[:, :-1] += frames.gains[:, 1:].reshape(m - 1, -1).T
        follows = frames.states[1:].ravel()
        order = np.argsort(follows, kind="stable")
        known, own = phi[order], np.asarray(worth[order], np.float32)
        cuts = np.searchsorted(follows[order], np.arange(n + 1))
        for k, (begin, end) in enumerate(pairwise(cuts.tolist())):
            squares[k] += _product(known[begin:end], known[begin:end])
            products[k] += _product(known[begin:end], own[begin:end])
        n_frames += len(known)
        if n_frames > FITTED:
            break
    rows = np.zeros((n, size, m))
    for k in np.flatnonzero(squares[:, -1, -1]).tolist():
        ridge = np.full(size, RIDGE * squares[k, -1, -1] + UNKNOWN)
        ridge[-1] = 0.0
        rows[k] = np.linalg.solve(squares[k] + np.diag(ridge), products[k])
    return tuple(
        LogitChange(rows[:, :L, j].copy(), rows[:, L:-1, j].T.copy(), rows[:, -1, j].copy())
        for j in range(m)
    )


def covariances(model: LSTMModel, run: States, changes: list[LogitChange]) -> F64:
    """Return the covariances of changes of the logits over the decisions of a free run."""
    total = np.zeros((len(changes), len(changes)))
    n_frames = 0
    for frames in walk(model, run, np.empty((0, len(run), len(run[0]))), 0):
        states = frames.states.ravel()
        hidden = frames.hidden.reshape(len(states), -1)
        p = np.exp(_log_probabilities(model.weights, hidden, states))
        moved = np.array([change.of(hidden, states) for change in changes])
        moved -= (p * moved).sum(axis=2, keepdims=True)
        flat = (moved * np.sqrt(p)).reshape(len(changes), -1).astype(np.float64)
        total += flat @ flat.T
        n_frames += len(states)
        if n_frames > COMPARED:
            break
    covariance: F64 = total / n_frames
    return covariance
