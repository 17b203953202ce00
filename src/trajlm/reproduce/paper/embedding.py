"""What the embedding of a trained network says about the kinetics of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.analysis import euclidean_distances, mean_first_passage_time, mean_interval
from trajlm.data import States
from trajlm.lstm.model import LSTMModel
from trajlm.util.arrays import F64


@dataclass(frozen=True)
class StatePairs:
    """How easily the states of the data turn into each other, shape (n_states, n_states) each.

    Parameters
    ----------
    interconversion
        P_lm, the probability that a frame in m is followed by one in l; zero on the diagonal.
    commute_times
        Mean first-passage time l -> m and back, in units of the data's dt; NaN where a passage
        was never seen.
    """

    interconversion: F64
    commute_times: F64


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation over pairs of states, for several trainings.

    Parameters
    ----------
    values
        One a training.
    mean, low, high
        Over the trainings, with the 95 % interval of the mean.
    n_pairs
        Pairs of states it is over.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    n_pairs: int


@dataclass(frozen=True)
class EmbeddingResult:
    """The embeddings of several trainings of one kind of network against the data.

    Parameters
    ----------
    vectors
        State vectors of the first training, shape (n_states, M).
    distances
        Euclidean distances between them, shape (n_states, n_states).
    memoryless
        Q_lm of the first training: the probability of l after the single frame m.
    distance_commute
        Rank correlation of |x_l - x_m| with the commute time.
    memoryless_interconversion
        Rank correlation of Q_lm with P_lm, over pairs seen to follow one another.
    between_trainings
        Rank correlation of the distances of one training with those of another, over all pairs
        of trainings.
    """

    vectors: F64
    distances: F64
    memoryless: F64
    distance_commute: RankCorrelation
    memoryless_interconversion: RankCorrelation
    between_trainings: RankCorrelation


def state_pairs(states: States) -> StatePairs:
    """Count how the states of the data turn into each other."""
    n = states.n_states
    counts = states.transition_counts().T.astype(np.float64)
    visits = counts.sum(axis=0)
    P = np.divide(counts, visits, out=np.zeros_like(counts), where=visits > 0)
    np.fill_diagonal(P, 0.0)
    passage = np.full((n, n), np.nan)
    seen = np.flatnonzero(states.visited())
    for a in seen:
        for b in seen[seen != a]:
            mean = mean_first_passage_time(states, int(a), int(b)).mean
            passage[a, b] = mean if np.isfinite(mean) else np.nan
    return StatePairs(P, passage + passage.T)


def memoryless_probabilities(model: LSTMModel) -> F64:
    """Return Q_lm = softmax(D f(x_m) + b + B[m])_l, shape (n_states, n_states).

    f is one LSTM step from zero memory (Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020),
    eq. 8); B is zero without the bigram skip. Columns sum to one.
    """
    from scipy.special import expit, softmax

    w = model.weights
    L = w.readout.shape[1]
    gates = w.embedding.astype(np.float64) @ w.input_weights.T + w.gate_bias
    i, g, o = (gates[:, k * L : (k + 1) * L] for k in (0, 2, 3))
    hidden = expit(o) * np.tanh(expit(i) * np.tanh(g))
    logits = hidden @ w.readout.T + w.readout_bias + w.skip
    return np.asarray(softmax(logits, axis=1).T)


def compare_embeddings(models: Sequence[LSTMModel], pairs: StatePairs) -> EmbeddingResult:
    """Correlate distances and memoryless probabilities with what the data shows."""
    distances = [euclidean_distances(model.embedding) for model in models]
    memoryless = [memoryless_probabilities(model) for model in models]
    upper = np.triu(np.isfinite(pairs.commute_times), k=1)
    followed = pairs.interconversion > 0
    between = [
        _spearman(distances[a][upper], distances[b][upper])
        for a in range(len(models))
        for b in range(a)
    ]
    return EmbeddingResult(
        vectors=models[0].embedding.astype(np.float64),
        distances=distances[0],
        memoryless=memoryless[0],
        distance_commute=_over_trainings(
            [_spearman(d[upper], pairs.commute_times[upper]) for d in distances],
            int(upper.sum()),
        ),
        memoryless_interconversion=_over_trainings(
            [_spearman(Q[followed], pairs.interconversion[followed]) for Q in memoryless],
            int(followed.sum()),
        ),
        between_trainings=_over_trainings(between, int(upper.sum())),
    )


def _spearman(x: F64, y: F64) -> float:
    from scipy.stats import rankdata

    if len(x) < 3:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _over_trainings(values: Sequence[float], n_pairs: int) -> RankCorrelation:
    if not values or np.isnan(values).any():
        nan = float("nan")
        return RankCorrelation(tuple(values), nan, nan, nan, n_pairs)
    mean, low, high = mean_interval(values)
    return RankCorrelation(tuple(values), mean, low, high, n_pairs)
