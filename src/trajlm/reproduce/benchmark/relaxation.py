"""T(t) of the groups: what models say of it, and methods that say nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.analysis import (
    Grouping,
    grouped_propagators,
    hummer_szabo,
    populations,
    propagate_memory,
    transfer_tensors,
    transition_probabilities,
)
from trajlm.data import States
from trajlm.models.base import SequenceModel
from trajlm.models.markov import MarkovModel
from trajlm.util.arrays import F64

# Frames that a memory kernel remembers, and lags of Markov models of the groups.
MEMORIES = (2, 5, 10, 20, 50)
GROUP_LAGS = (1, 10)
# Frames that a model generates for T(t), and in how many trajectories.
GENERATED, LANES = 5_000_000, 10


@dataclass(frozen=True)
class RelaxationError:
    """How far T(t) of the groups is from that of the data.

    Parameters
    ----------
    name
        Of the method.
    training, unseen
        Root of the mean over lags of sum_ij p_i (T_ij - T_ij of the data)^2 / n, against the
        stretch that was learned and the one that was not; one value a training.
    first_lag
        The shortest lag that the method speaks of, in frames.
    """

    name: str
    training: tuple[float, ...]
    unseen: tuple[float, ...]
    first_lag: int


def relaxation_errors(
    models: Mapping[str, Sequence[SequenceModel]],
    training: States,
    unseen: States,
    grouping: Grouping,
    lags: Sequence[int],
    seed: int = 0,
) -> tuple[RelaxationError, ...]:
    """Hold T(t) of the training data, of models and of memory kernels against both stretches.

    Parameters
    ----------
    models
        By name, the trainings of each. Of Markov models T(t) is solved, of others counted on what
        they generate.
    training, unseen
        What was learned, and what was not.
    grouping
        From states to groups.
    lags
        In frames, ascending.
    seed
        Of the generations.
    """
    data = [grouping.apply(s) for s in (training, unseen)]
    shares = [populations(s) for s in data]
    of_data = [_counted(s, lags) for s in data]

    def judged(name: str, found: Sequence[F64], first: int = 1) -> RelaxationError:
        kept = np.asarray(lags) % first == 0
        errors = [
            tuple(_error(T, truth[kept], p) for T in found)
            for truth, p in zip(of_data, shares, strict=True)
        ]
        return RelaxationError(name, errors[0], errors[1], first)

    results = [judged("the training data itself", of_data[:1])]
    for name, trainings in models.items():
        one = trainings[0]
        if isinstance(one, MarkovModel):
            first = round(one.space.dt / training.dt)
            results.append(judged(name, [_of_markov(one, grouping, lags, first)], first))
            if first == 1:
                projected = _projected(one, grouping, lags)
                results.append(judged("Hummer-Szabo projection of the MSM", [projected]))
        else:
            found = [_generated(m, grouping, lags, seed + k) for k, m in enumerate(trainings)]
            results.append(judged(name, found))
    for first in GROUP_LAGS:
        matrix = _counted(data[0], [first])[0]
        results.append(
            judged(f"MSM of the groups, lag {first}", [_powers(matrix, lags, first)], first)
        )
    early = _counted(data[0], range(1, max(MEMORIES) + 1))
    for memory in MEMORIES:
        T = propagate_memory(transfer_tensors(early[:memory]), lags[-1])
        results.append(judged(f"memory kernel of {memory} frames", [T[np.asarray(lags) - 1]]))
    return tuple(results)


def _counted(grouped: States, lags: Sequence[int]) -> F64:
    return transition_probabilities(grouped, lags, intervals=False).values


def _generated(model: SequenceModel, grouping: Grouping, lags: Sequence[int], seed: int) -> F64:
    return _counted(grouping.apply(model.generate(GENERATED // LANES, LANES, seed)), lags)


def _of_markov(model: MarkovModel, grouping: Grouping, lags: Sequence[int], first: int) -> F64:
    groups, steps = np.asarray(grouping.assignment), lags[-1] // first
    T = grouped_propagators(model.transition_matrix, model.stationary_distribution, groups, steps)
    return T[[lag // first - 1 for lag in lags if lag % first == 0]]


def _projected(model: MarkovModel, grouping: Grouping, lags: Sequence[int]) -> F64:
    groups = np.asarray(grouping.assignment)
    matrix = hummer_szabo(model.transition_matrix, model.stationary_distribution, groups)
    return _powers(matrix, lags, 1)


def _powers(matrix: F64, lags: Sequence[int], first: int) -> F64:
    kept = [lag // first for lag in lags if lag % first == 0]
    return np.array([np.linalg.matrix_power(matrix, k) for k in kept])


def _error(T: F64, truth: F64, shares: F64) -> float:
    squares = shares[:, None] * (T - truth) ** 2
    return float(np.sqrt(squares.sum(axis=(1, 2)).mean() / len(shares)))
