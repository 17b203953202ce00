"""What the training of a column starts from, and what it is held against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from trajlm.data import States
from trajlm.kernels.arguments import NEVER
from trajlm.lstm.columns import Column, whole_state
from trajlm.lstm.record import Baselines
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.markov import fit_msm, smoothed_transition_matrix
from trajlm.util.arrays import F64, I64

if TYPE_CHECKING:
    import torch

    from trajlm.lstm.training.network import LSTMNetwork


def build_network(
    training: States,
    settings: TrainingSettings,
    window: int,
    both_ways: bool,
    column: Column | None = None,
) -> LSTMNetwork:
    """Return the network before its first step: with the skip, the smoothed Markov model.

    The memories of its slow units are spread from one frame to a window, evenly on a
    logarithmic scale.
    """
    import torch

    from trajlm.lstm.training.network import LSTMNetwork

    column = column or whole_state(training.n_states)
    log_transitions = None
    if not column.is_first:
        log_transitions = torch.from_numpy(_log_populations(training, column)).float()
    elif settings.bigram_skip:
        transitions = smoothed_transition_matrix(training, both_ways=both_ways)
        log_transitions = torch.from_numpy(np.log(_summed(transitions, column.labels))).float()
    return LSTMNetwork(
        training.n_states,
        settings.embedding_dim,
        settings.hidden_dim,
        log_transitions,
        settings.embedding_scale,
        slow_memories(settings, window),
        settings.seed,
        column.n_labels,
        None if column.is_first else column.n_given,
    )


def slow_memories(settings: TrainingSettings, window: int) -> torch.Tensor:
    """Return the frames after which slow units forget at the start, shape (n_slow,)."""
    import torch

    n_slow = round(settings.slow_units * settings.hidden_dim)
    return torch.logspace(0.0, math.log10(window), n_slow)


def _log_populations(states: States, column: Column) -> F64:
    """Return ln p(label | given) of a later column, (n_given, n_labels).

    What no state has is `NEVER`, and stays so: its gradient is zero.
    """
    frames = np.zeros(column.follow.shape)
    np.add.at(frames, (column.given, column.labels), states.counts() + 1.0 / states.n_states)
    shares = frames / frames.sum(axis=1, keepdims=True)
    logs = np.full(shares.shape, np.float64(NEVER))
    np.log(shares, where=column.follow >= 0, out=logs)
    return logs


def baselines(training: States, validation: States, column: Column, both_ways: bool) -> Baselines:
    """Return what models without memory reach on the held-out stretch, of a column."""
    if column.is_plain():
        smoothed = training.counts() + 1.0 / training.n_states
        log_p: F64 = np.log(smoothed / smoothed.sum())
        independent = -np.concatenate([log_p[s[1:]] for s in validation]).mean()
        msm = fit_msm(training, reversible=both_ways).cross_entropy(validation)
        return Baselines(msm=msm, independent=float(independent))
    transitions = smoothed_transition_matrix(training, both_ways=both_ways)
    populations = training.counts() + 1.0 / training.n_states
    return Baselines(
        msm=_nats(transitions, validation, column),
        independent=_nats(populations[None] / populations.sum(), validation, column),
    )


def _nats(rows: F64, states: States, column: Column) -> float:
    """Return the nats per frame of the column, given those before, of a law of the next state.

    `rows` are the probabilities of the states, for each present state or for all.
    """
    own = np.unique(column.given * column.n_labels + column.labels, return_inverse=True)[1]
    of_own, of_given = _summed(rows, own), _summed(rows, column.given)
    total = 0.0
    for s in states:
        now, then = s[:-1] if len(rows) > 1 else np.zeros(len(s) - 1, np.int64), s[1:]
        total -= np.log(of_own[now, own[then]] / of_given[now, column.given[then]]).sum()
    return float(total / states.n_transitions)


def _summed(rows: F64, labels: I64) -> F64:
    """Return rows (m, n_states) summed over the states of each label, all of which occur."""
    order = np.argsort(labels, kind="stable")
    begins = np.flatnonzero(np.diff(labels[order], prepend=-1))
    sums: F64 = np.add.reduceat(rows[:, order], begins, axis=1)
    return sums
