"""What is measured on the data and on each generation of a model, and the sum over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    CommittedTransitions,
    Discrepancy,
    FreeEnergy,
    Grouping,
    commit_times,
    committed_transitions,
    discrepancy,
    floor,
    free_energy,
    mean_interval,
    populations,
)
from trajlm.analysis.runs import longest_run
from trajlm.data import IntArray, States
from trajlm.evaluate.reference import cut_alike
from trajlm.models.base import SequenceModel
from trajlm.reproduce.paper.data import make_grouping
from trajlm.reproduce.paper.recipe import View

F64 = npt.NDArray[np.float64]

# Generated frames that are scored under every model, and frames kept for the eye.
SCORED_FRAMES = 500_000
EXCERPT_FRAMES = 20_000


@dataclass(frozen=True)
class Yardstick:
    """The data as generated trajectories of one lag are held against it.

    Parameters
    ----------
    states
        The data, every `lag`-th frame.
    lag
        In frames of the data.
    grouping
        From states to groups, with a running mean over the same time.
    transitions
        Committed transitions of the groups.
    floor
        D0 between the two halves.
    """

    states: States
    lag: int
    grouping: Grouping
    transitions: CommittedTransitions
    floor: Discrepancy


def yardstick(data: States, view: View, n_segments: int, lag: int = 1) -> Yardstick:
    """Measure the data at a lag; its intervals come from `n_segments` blocks of time."""
    strided = [s[::lag] for s in data]
    states = States(
        tuple(s for s in strided if len(s) > 1),
        data.n_states,
        data.dt * lag,
        data.unit,
        data.centers,
        data.discretization,
    )
    grouping = make_grouping(states, view, lag)
    grouped = grouping.apply(states)
    longest = longest_run(grouped.trajectories)
    transitions = committed_transitions(grouped, commit_times(longest), n_segments)
    return Yardstick(states, lag, grouping, transitions, floor(grouped, transitions.commit_times))


@dataclass(frozen=True)
class Run:
    """One generation, reduced to what is counted on it.

    Parameters
    ----------
    seed
        Of the training, or of the generation for models that are fitted once.
    n_frames
        Frames generated.
    populations, group_populations
        Of the states, shape (n_states,), and of the groups, shape (n_groups,).
    counts
        Committed transitions of the groups, shape (m, n_groups, n_groups).
    total_time
        Over which they were counted.
    discrepancy
        D against the data.
    nats_of_data
        Nats a frame of the data under this model; NaN at a lag of several frames.
    nats
        Nats a frame of this generation under itself ("own") and under other models.
    record
        Of the training: best epoch, held-out nats, seconds.
    """

    seed: int
    n_frames: int
    populations: F64
    group_populations: F64
    counts: npt.NDArray[np.int64]
    total_time: float
    discrepancy: float
    nats_of_data: float
    nats: Mapping[str, float]
    record: Mapping[str, Any]

    def rates(self) -> F64:
        """Return committed transitions per unit of time, shape (m, n_groups, n_groups)."""
        return self.counts / self.total_time


@dataclass(frozen=True)
class Source:
    """All generations of one kind of model.

    Parameters
    ----------
    name
        For example ``LSTM`` or ``MSM, lag 10``.
    lag
        Frames of the data between two of its frames.
    runs
        One a training (LSTM) or a generation (MSM, HMM).
    note
        What was chosen for it.
    excerpt
        The beginning of a generated trajectory, shape (frames,).
    """

    name: str
    lag: int
    runs: tuple[Run, ...]
    note: str
    excerpt: IntArray

    def discrepancy(self) -> tuple[float, float, float]:
        """Return the mean of D over the runs and its 95 % interval."""
        return mean_interval([run.discrepancy for run in self.runs])

    def populations(self, groups: bool = False) -> tuple[F64, F64, F64]:
        """Return mean populations over the runs and their intervals, shape (n,) each."""
        values = [run.group_populations if groups else run.populations for run in self.runs]
        return intervals_of(np.array(values))

    def rates(self) -> tuple[F64, F64, F64]:
        """Return mean committed rates and their intervals, shape (m, n_groups, n_groups)."""
        return intervals_of(np.array([run.rates() for run in self.runs]))

    def nats_of_data(self) -> tuple[float, float, float]:
        """Return the mean nats a frame of the data and its interval."""
        return mean_interval([run.nats_of_data for run in self.runs])


def intervals_of(values: F64) -> tuple[F64, F64, F64]:
    """Return mean, low and high over the first axis: Student's t at 95 %, never below zero."""
    mean, low, high = np.apply_along_axis(mean_interval, 0, values)
    # One value has no spread to tell an interval from.
    unknown = np.nan if len(values) < 2 else 0.0
    return mean, np.maximum(low, 0.0) + unknown, high + unknown


def measure_run(
    generated: States,
    stick: Yardstick,
    seed: int,
    nats_of_data: float,
    scorers: Mapping[str, SequenceModel],
    record: Mapping[str, Any],
) -> Run:
    """Count on one generation what was counted on the data."""
    cut = cut_alike(generated, stick.states)
    grouped = stick.grouping.apply(cut)
    transitions = committed_transitions(grouped, stick.transitions.commit_times)
    scored = first_frames(generated, SCORED_FRAMES)
    return Run(
        seed=seed,
        n_frames=generated.n_frames,
        populations=populations(generated),
        group_populations=populations(grouped),
        counts=transitions.counts,
        total_time=transitions.total_time,
        discrepancy=discrepancy(stick.transitions, transitions).value,
        nats_of_data=nats_of_data,
        nats={name: model.cross_entropy(scored) for name, model in scorers.items()},
        record=record,
    )


def first_frames(states: States, n: int) -> States:
    """Return about the first `n` frames, an equal part of each trajectory."""
    each = max(2, n // len(states))
    return states.with_trajectories([s[:each] for s in states])


@dataclass(frozen=True)
class DataResult:
    """What was measured on the data of one view.

    Parameters
    ----------
    stick
        The data at a lag of one frame.
    free_energy, group_free_energy
        With intervals from blocks of time.
    exact_populations
        Of the states; None where unknown.
    """

    stick: Yardstick
    free_energy: FreeEnergy
    group_free_energy: FreeEnergy
    exact_populations: F64 | None


def measure_data(data: States, view: View, n_segments: int, exact: F64 | None) -> DataResult:
    """Measure the data of one view."""
    stick = yardstick(data, view, n_segments)
    grouped = stick.grouping.apply(data)
    return DataResult(stick, free_energy(data), free_energy(grouped), exact)


def agreement_from(source: Source, stick: Yardstick, min_count: int = 20) -> float | None:
    """Return the commit time from which on a source agrees with the data, in units of time.

    At that commit time and all longer ones at which the data counts `min_count` transitions,
    the mean rate over the runs lies in the 95 % interval of the data, for every ordered pair.
    None where it does not agree even at the longest.
    """
    inside, settled = rates_inside(source, stick, min_count)
    reference = stick.transitions
    outside = np.any(settled & ~inside, axis=(1, 2))
    known = np.flatnonzero(np.any(settled, axis=(1, 2)))
    if len(known) == 0 or outside[known[-1]]:
        return None
    wrong = np.flatnonzero(outside)
    first = wrong[-1] + 1 if len(wrong) else 0
    return float(reference.commit_times[first] * reference.dt)


def rates_inside(
    source: Source, stick: Yardstick, min_count: int = 20
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which mean rates lie in the data's 95 % interval, and which the data settles.

    Shape (m, n_groups, n_groups) each; a rate is settled where the data counts `min_count`
    transitions.
    """
    low, high = stick.transitions.rate_intervals()
    mean, _, _ = source.rates()
    return np.asarray((low <= mean) & (mean <= high)), stick.transitions.counts >= min_count


def kullback_leibler(
    nats: Mapping[str, Mapping[str, Sequence[float]]],
) -> dict[str, dict[str, float]]:
    """Return the KL rate of each source from each model, in nats a frame.

    Parameters
    ----------
    nats
        By source and model: nats a frame of paths of the source under the model, one value a
        run. The nats of a source under itself are its entropy rate.
    """
    return {
        source: {
            model: float(np.mean(values) - np.mean(row[source])) for model, values in row.items()
        }
        for source, row in nats.items()
        if source in row
    }
