"""Path entropy: nats per frame of the paths of each source under each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.data import States
from trajlm.evaluate.result import Evaluation
from trajlm.models.base import SequenceModel

# Sources whose paths are scored under each other.
SCORED = ("LSTM", "MSM", "HMM")
# Generated frames that are scored under every model.
SCORED_FRAMES = 500_000

# By source of the paths and by model: nats per frame, one value a training.
Nats = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class ExactEntropy:
    """What was learned beside a process whose entropy rate is known exactly.

    Parameters
    ----------
    rate
        Nats per frame of a fresh path, never trained on, under the process itself.
    excess
        By model, one value a training: nats per frame of the same path above it.
    """

    rate: float
    excess: Mapping[str, tuple[float, ...]]


def cross_nats(
    models: Mapping[str, Sequence[SequenceModel]], n_frames: int, n_lanes: int, seed: int
) -> dict[str, dict[str, list[float]]]:
    """Let each training generate, and score its paths under itself and the other models.

    Parameters
    ----------
    models
        By name: the trainings of each kind; others are scored under the first of a kind.
    n_frames
        Frames of each trajectory.
    n_lanes
        Trajectories of each training.
    seed
        Of the first training; the others count up.
    """
    table: dict[str, dict[str, list[float]]] = {}
    for source, trainings in models.items():
        table[source] = {name: [] for name in models}
        for k, training in enumerate(trainings):
            each = max(2, min(n_frames, SCORED_FRAMES // n_lanes))
            paths = training.generate(each, n_lanes, seed + k)
            for name, others in models.items():
                scorer = training if name == source else others[0]
                table[source][name].append(scorer.cross_entropy(paths))
    return table


def nats_of_data(comparison: Evaluation) -> dict[str, tuple[float, ...]]:
    """Return nats per frame of the data under each scored model, one value a training."""
    return {
        model.name: tuple(t.cross_entropy for t in model.trainings if t.cross_entropy is not None)
        for model in comparison.models
        if model.name in SCORED
    }


def kullback_leibler(nats: Nats) -> dict[str, dict[str, float]]:
    """Return the KL rate of each source from each model, in nats per frame.

    The nats of a source under itself are its entropy rate.
    """
    return {
        source: {
            model: float(np.mean(values) - np.mean(row[source])) for model, values in row.items()
        }
        for source, row in nats.items()
        if source in row
    }


def excess_entropy(
    truth: float, fresh: States, models: Mapping[str, Sequence[SequenceModel]]
) -> ExactEntropy:
    """Score a fresh path under each model, above its nats per frame under the process itself."""
    excess = {
        name: tuple(model.cross_entropy(fresh) - truth for model in trainings)
        for name, trainings in models.items()
    }
    return ExactEntropy(truth, excess)
