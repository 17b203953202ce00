"""First passages and transition paths, counted from trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trajlm.analysis.runs import Runs, encode_runs
from trajlm.analysis.uncertainty import FEW_EVENTS, count_interval, mean_interval
from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import I64
from trajlm.util.words import counted


@dataclass(frozen=True)
class FirstPassage:
    """Mean first-passage time from a set of states to another.

    Parameters
    ----------
    mean, low, high
        Mean and its interval in `unit`; infinite when no passage was completed, NaN when none
        was even begun.
    durations
        The passages that were completed, in frames, shape (n_events,).
    n_events
        How many were completed.
    n_censored
        How many were still running at the end of a trajectory.
    dt, unit
        Time between two frames and its unit.
    why
        Why the mean is not reliable, in a sentence; empty where it is.
    """

    mean: float
    low: float
    high: float
    durations: I64
    n_events: int
    n_censored: int
    dt: float
    unit: str
    why: str = ""

    @property
    def reliable(self) -> bool:
        """Whether the data holds enough to believe the mean within its interval."""
        return not self.why


@dataclass(frozen=True)
class TransitionPaths:
    """Durations of the transition paths from a set of states to another.

    Parameters
    ----------
    mean, low, high
        Mean duration and its interval in `unit`; NaN when there is no path.
    durations
        Duration of each path in frames, shape (n_events,).
    n_events
        Number of paths.
    dt, unit
        Time between two frames and its unit.
    """

    mean: float
    low: float
    high: float
    durations: I64
    n_events: int
    dt: float
    unit: str


def mean_first_passage_time(
    states: StatesLike,
    source: int | Sequence[int],
    target: int | Sequence[int],
    level: float = 0.95,
) -> FirstPassage:
    """Measure the mean first-passage time from the source states to the target states.

    A passage begins at the first frame in the source after a frame in the target, and ends at
    the next frame in the target. One that is still running when its trajectory ends counts
    with its time but not as an arrival: the mean is (time of all passages) / (arrivals), the
    maximum of the likelihood for exponential passages, since leaving such passages out would
    make short trajectories look fast.

    The interval is that of the number of arrivals (`count_interval`), with the squared
    coefficient of variation of the durations as dispersion, at least 1; it assumes that
    successive passages are independent. The mean is reliable from ten arrivals on, where more
    passages arrive than are cut: where the ends of short trajectories cut most of them, the slow
    ones are missed, and `stationary_first_passage_time` is the one to ask.

    Parameters
    ----------
    states
        Trajectories; no passage goes from one to the next.
    source, target
        States, two sets that do not overlap.
    level
        Probability that the interval holds the truth.

    Raises
    ------
    InputError
        An empty set, a state that does not exist, or one that is in both sets.
    """
    states = as_states(states)
    visits = _visits(states, source, target)
    borders = visits.borders
    changes = visits.changes()
    starts = changes[visits.values[changes] == 1] + 1
    begin = visits.starts[starts]
    last = borders[visits.trajectory[starts] + 1] - 1
    arrives = np.isin(starts, changes)
    durations = visits.starts[starts[arrives] + 1] - begin[arrives]
    exposure = durations.sum() + (last - begin)[~arrives].sum()
    mean, low, high = _mean_per_event(durations, int(exposure), level)
    return FirstPassage(
        mean=mean * states.dt,
        low=low * states.dt,
        high=high * states.dt,
        durations=durations,
        n_events=len(durations),
        n_censored=int((~arrives).sum()),
        dt=states.dt,
        unit=states.unit,
        why=_why_unreliable(len(durations), int((~arrives).sum())),
    )


def transition_path_times(
    states: StatesLike,
    source: int | Sequence[int],
    target: int | Sequence[int],
    level: float = 0.95,
) -> TransitionPaths:
    """Measure the time from the last frame in the source to the first frame in the target.

    The interval is Student's t over the paths, taken as independent.

    Parameters
    ----------
    states
        Trajectories; no path goes from one to the next.
    source, target
        States, two sets that do not overlap.
    level
        Probability that the interval holds the truth.

    Raises
    ------
    InputError
        An empty set, a state that does not exist, or one that is in both sets.
    """
    states = as_states(states)
    visits = _visits(states, source, target)
    changes = visits.changes()
    leave = changes[visits.values[changes] == 0]
    durations = visits.starts[leave + 1] - (visits.starts[leave] + visits.lengths[leave] - 1)
    mean = low = high = float("nan")
    if len(durations):
        mean, low, high = mean_interval(durations * states.dt, level)
    return TransitionPaths(mean, low, high, durations, len(durations), states.dt, states.unit)


def _why_unreliable(n_events: int, n_censored: int) -> str:
    if n_events < FEW_EVENTS:
        return f"{counted(n_events, 'passage was', 'passages were')} completed"
    if n_events <= n_censored:
        return (
            f"the ends of the trajectories cut {n_censored} passages and only {n_events} were "
            "completed"
        )
    return ""


def _visits(states: States, source: int | Sequence[int], target: int | Sequence[int]) -> Runs:
    """Return the stays in the source (value 0) and in the target (1), alternating.

    A stay lasts from its first to its last frame in the set: excursions that come back before
    the other set is reached belong to it.
    """
    label = np.full(states.n_states, -1, dtype=np.int8)
    for value, name, members in ((0, "source", source), (1, "target", target)):
        index = np.atleast_1d(np.asarray(members, dtype=np.int64))
        if len(index) == 0 or index.min() < 0 or index.max() >= states.n_states:
            raise InputError(
                f"the {name} states are {index.tolist()}: give some of the states 0 to "
                f"{states.n_states - 1}"
            )
        if (label[index] == 0).any():
            raise InputError(f"the target states {index.tolist()} hold a state of the source")
        label[index] = value
    runs = encode_runs([label[s] for s in states.trajectories])
    runs = runs.select(runs.values >= 0)
    first = np.ones(len(runs.values), dtype=np.bool_)
    first[1:] = (np.diff(runs.values) != 0) | (np.diff(runs.trajectory) != 0)
    visits = runs.select(first)
    # Each stay ends where the last run before the next stay ends.
    ends = (runs.starts + runs.lengths)[np.roll(first, -1)]
    return replace(visits, lengths=ends - visits.starts)


def _mean_per_event(durations: I64, exposure: int, level: float) -> tuple[float, float, float]:
    """Return exposure / events in frames and its interval, NaN when nothing was observed."""
    if exposure == 0:
        return float("nan"), float("nan"), float("nan")
    n = len(durations)
    dispersion = 1.0
    if n > 1:
        dispersion = max(float(durations.var(ddof=1) / durations.mean() ** 2), 1.0)
    low, high = (float(c) for c in count_interval(n, dispersion, level))
    mean, longest = (exposure / c if c > 0 else float("inf") for c in (n, low))
    return mean, exposure / high, longest
