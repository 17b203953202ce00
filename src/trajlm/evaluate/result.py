"""What a comparison of models with data holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    Discrepancy,
    ExponentialMixture,
    FreeEnergy,
    Grouping,
    KineticMap,
    Survival,
    Timescales,
    TransitionProbabilities,
    mean_interval,
)
from trajlm.data import StateSpace
from trajlm.models.record import ModelRecord
from trajlm.util.arrays import F32, F64, IntArray
from trajlm.util.words import counted


@dataclass(frozen=True)
class TrainingResult:
    """What was counted on the trajectories that one training of a model generated.

    Parameters
    ----------
    seed
        Of the generation; None for trajectories that were generated before.
    n_frames
        Frames generated.
    populations, group_populations
        Of the states, shape (n_states,), and of the groups, shape (n_groups,).
    rates
        Committed transitions between the groups per unit of time, shape (m, n_groups, n_groups).
    discrepancy
        D against the data.
    cross_entropy
        Nats per frame of the data; None where no model is at hand.
    record
        How the model was made; None where that is not known.
    """

    seed: int | None
    n_frames: int
    populations: F64
    group_populations: F64
    rates: F64
    discrepancy: float
    cross_entropy: float | None
    record: ModelRecord | None


@dataclass(frozen=True)
class UnseenResult:
    """How close the data or a model is to a stretch that no model was trained on.

    Parameters
    ----------
    discrepancy
        D against the unseen stretch, the terms of all trainings one after the other.
    discrepancy_interval
        95 % interval of D: over trainings or, of one alone, over the parts of what was generated.
    cross_entropy
        Nats per frame of the unseen stretch, the mean over trainings; None for the training data.
    """

    discrepancy: Discrepancy
    discrepancy_interval: tuple[float, float]
    cross_entropy: float | None


@dataclass(frozen=True)
class Stretch:
    """The beginning of a trajectory in few of its frames, which look the same when drawn.

    Parameters
    ----------
    frames
        Numbers of the frames that were kept, increasing, shape (k,).
    states
        The state at each, shape (k,).
    n_frames
        Length of the stretch.
    """

    frames: IntArray
    states: IntArray
    n_frames: int


@dataclass(frozen=True)
class HiddenPath:
    """The most likely hidden path behind the beginning of the data, by a hidden Markov model.

    Parameters
    ----------
    hidden
        The hidden state at each frame, shape (T,).
    levels
        Mean centre of the states that each hidden state shows, shape (m,), on a periodic
        coordinate the direction of the mean on the circle; None where the states do not lie on
        one coordinate.
    """

    hidden: IntArray
    levels: F64 | None


@dataclass(frozen=True, repr=False)
class SourceResult:
    """What was measured on the data, or on what one kind of model generated.

    Parameters
    ----------
    name
        For example ``data`` or ``LSTM``.
    lag
        Frames of the data between two frames of this source.
    n_frames, n_trajectories
        Size of what was measured, over all trainings.
    free_energy
        Of the fine states.
    group_free_energy
        Of the groups.
    transitions
        Committed transitions between the groups.
    survivals
        For each group, the survival curve of its dwells; None where it is never entered.
    dwell_fits
        For each group, the exponentials fitted to its dwells, as many as the Bayesian information
        criterion asks for; None where there are too few. Empty for many groups.
    autocorrelation
        Of the state centres, in several coordinates of the one that tells the groups apart best,
        on a circle where it is periodic (of state numbers where there are no centres); None where
        one state is never left.
    discrepancy
        D against the data, a mean over the terms of all trainings; for the data itself the
        floor D0.
    discrepancy_interval
        95 % interval of D: over the trainings where there are several, which holds what another
        training and another generation would give; of one training over the parts of what it
        generated (jackknife), which holds the generation only. None for the data.
    cross_entropy
        Nats per frame of the data under the model, the mean over trainings; None where no model
        is at hand, or one of another lag.
    trainings
        One result a training; empty for the data.
    unseen
        The same against data that no model was trained on; None without such data.
    excerpt
        The beginning of the longest trajectory, for the eye, in frames of the data.
    embedding
        The state vectors of the first language model, shape (n_states, M), or None.
    relaxation
        Transition probabilities between the groups over time.
    timescales
        The slowest implied timescales of the states, or of the groups where the states are many,
        at increasing lags. Of a model without intervals.
    kinetic_map
        Where the states lie on the two slowest processes.
    overview
        A stretch, of few frames, that is long enough for the slowest process to be seen.
    hidden_path
        Behind the excerpt of the data; None but for a hidden Markov model.
    """

    name: str
    lag: int
    n_frames: int
    n_trajectories: int
    free_energy: FreeEnergy
    group_free_energy: FreeEnergy
    transitions: CommittedTransitions
    survivals: tuple[Survival | None, ...]
    dwell_fits: tuple[ExponentialMixture | None, ...]
    autocorrelation: Autocorrelation | None
    discrepancy: Discrepancy
    discrepancy_interval: tuple[float, float] | None
    cross_entropy: float | None
    trainings: tuple[TrainingResult, ...]
    unseen: UnseenResult | None
    excerpt: IntArray
    embedding: F32 | None
    relaxation: TransitionProbabilities
    timescales: tuple[Timescales, ...]
    kinetic_map: KineticMap
    overview: Stretch
    hidden_path: HiddenPath | None = None

    @property
    def record(self) -> ModelRecord | None:
        """How the model of the first training was made; None for the data or where unknown."""
        return self.trainings[0].record if self.trainings else None

    def rate_intervals(self) -> tuple[F64, F64]:
        """Return the 95 % intervals of the rates, shape (m, n_groups, n_groups) each.

        Over the trainings where there are several (Student's t), else those of the counts.
        """
        if len(self.trainings) < 2:
            return self.transitions.rate_intervals()
        return _over_trainings([training.rates for training in self.trainings])

    def population_intervals(self, groups: bool = False) -> tuple[F64, F64]:
        """Return the 95 % intervals of the populations, shape (n,) each: as `rate_intervals`."""
        if len(self.trainings) < 2:
            of = self.group_free_energy if groups else self.free_energy
            return of.population_intervals
        return _over_trainings(
            [t.group_populations if groups else t.populations for t in self.trainings]
        )

    def __repr__(self) -> str:
        size = counted(self.n_frames, "frame", "frames")
        return f"SourceResult({self.name}, {size}, D = {self.discrepancy.value:.3g})"


def _over_trainings(values: list[F64]) -> tuple[F64, F64]:
    """Return low and high of the mean over trainings: Student's t at 95 %, never below zero."""
    _, low, high = np.apply_along_axis(mean_interval, 0, np.array(values))
    return np.maximum(low, 0.0), high


@dataclass(frozen=True)
class DataAtLag:
    """The data seen every `lag` frames: what a model of that lag is held against.

    Parameters
    ----------
    lag
        In frames.
    transitions
        Committed transitions between the groups.
    floor
        D0 between the two halves.
    unseen
        D of the training data, seen as often, against unseen data; None without such data.
    """

    lag: int
    transitions: CommittedTransitions
    floor: Discrepancy
    unseen: Discrepancy | None = None


@dataclass(frozen=True)
class UnseenData:
    """The stretch that no model was trained on.

    Parameters
    ----------
    n_frames, n_trajectories
        Its size.
    group_free_energy
        Of the groups.
    transitions
        Committed transitions between the groups.
    floor
        D0 between its two halves.
    """

    n_frames: int
    n_trajectories: int
    group_free_energy: FreeEnergy
    transitions: CommittedTransitions
    floor: Discrepancy


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The data beside one or more models.

    Parameters
    ----------
    reference
        The data; its `discrepancy` is the floor D0, between its two halves.
    models
        What each kind of model generated, in the order given.
    grouping
        How fine states became the groups whose kinetics are compared.
    space
        The meaning of the fine states.
    lags
        The data at the lag of each model that makes one frame in several.
    unseen
        Data that no model was trained on, where it was given.
    commit_time
        Of the table of rate constants, in units of time; None for one that follows from the data.
    settings
        Seeds and sizes of the comparison.
    """

    reference: SourceResult
    models: tuple[SourceResult, ...]
    grouping: Grouping
    space: StateSpace
    lags: tuple[DataAtLag, ...] = ()
    unseen: UnseenData | None = None
    commit_time: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def data_at(self, lag: int) -> DataAtLag:
        """Return the data as a model of that lag is held against it."""
        if lag == 1:
            data = self.reference
            own = None if data.unseen is None else data.unseen.discrepancy
            return DataAtLag(1, data.transitions, data.discrepancy, own)
        return next(data for data in self.lags if data.lag == lag)

    def __repr__(self) -> str:
        data = self.reference
        size = counted(data.n_frames, "frame", "frames")
        models = ", ".join(f"{m.name} D = {m.discrepancy.value:.3g}" for m in self.models)
        floor = f"{data.discrepancy.value:.3g}"
        return f"{type(self).__name__}(data of {size} with D0 = {floor}; {models})"
