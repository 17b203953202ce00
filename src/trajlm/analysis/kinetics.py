"""Kinetics counted from trajectories: committed transitions and first passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis.runs import Integers, Runs, encode_runs
from trajlm.analysis.uncertainty import block_edges, count_interval, mean_interval
from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError

Floats = npt.NDArray[np.float64]

# Below this many events a mean over them says little.
FEW_EVENTS = 20


@dataclass(frozen=True)
class CommittedTransitions:
    """Numbers of transitions between states that last, for several commit times.

    Parameters
    ----------
    commit_times
        Shortest stay that counts as having reached a state, in frames, shape (m,).
    counts
        Transitions i -> j at each commit time, shape (m, n, n), zero for i = j.
    dispersion
        Variance over mean of each count over blocks of time, at least 1, shape (m, n, n).
    time_in_state
        Frames in each state, committed or not, shape (n,).
    total_frames
        Frames over all trajectories.
    dt, unit
        Time between two frames and its unit.
    """

    commit_times: Integers
    counts: Integers
    dispersion: Floats
    time_in_state: Integers
    total_frames: int
    dt: float
    unit: str

    @property
    def total_time(self) -> float:
        """Frames times dt, over all trajectories."""
        return self.total_frames * self.dt

    def rates(self) -> Floats:
        """Return N_ij(tau) / (total time), in transitions per `unit`, shape (m, n, n)."""
        return self.counts / self.total_time

    def rate_intervals(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the quasi-Poisson intervals (low, high) of the rates, shape (m, n, n) each.

        See `trajlm.analysis.rate_interval` for what is assumed.
        """
        low, high = count_interval(self.counts, self.dispersion, level)
        return low / self.total_time, high / self.total_time

    def mean_waiting_times(self) -> Floats:
        """Return (total time in i) / N_ij(tau), in `unit`, shape (m, n, n).

        Infinite where no transition was counted, NaN for a state that was never seen.
        """
        return self._waiting_times(self.counts.astype(np.float64))

    def waiting_time_intervals(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the intervals (low, high) of the mean waiting times, shape (m, n, n) each.

        Those of the counts: the time spent in each state is taken as exact.
        """
        low, high = count_interval(self.counts, self.dispersion, level)
        return self._waiting_times(high), self._waiting_times(low)

    def _waiting_times(self, counts: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.time_in_state[None, :, None] * self.dt / counts


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
    """

    mean: float
    low: float
    high: float
    durations: Integers
    n_events: int
    n_censored: int
    dt: float
    unit: str

    @property
    def settled(self) -> bool:
        """Whether the data can settle the mean: 20 arrivals, and more arrivals than cut passages.

        Where most passages are cut by the ends of short trajectories, the slow ones are missed
        and the mean comes out wrong by more than its interval says.
        """
        return self.n_events >= FEW_EVENTS and self.n_events > self.n_censored


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
    durations: Integers
    n_events: int
    dt: float
    unit: str


def commit_times(longest: int) -> Integers:
    """Return 1, 2, 5, 10, 20, 50 ... frames, up to `longest`."""
    if longest < 1:
        raise InputError(f"the longest commit time is {longest}: it must be at least one frame")
    decades = len(str(longest))
    ladder = np.array([step * 10**k for k in range(decades) for step in (1, 2, 5)])
    return ladder[ladder <= longest]


def committed_transitions(
    states: StatesLike, commit_times: npt.ArrayLike, n_blocks: int = 20
) -> CommittedTransitions:
    """Count the transitions between states that are held for at least a commit time.

    Of the runs of equal states in a trajectory those shorter than the commit time are dropped,
    neighbours of equal state merged, and the remaining neighbours i, j counted. At a commit time
    of one frame these are all changes of state.

    Parameters
    ----------
    states
        Trajectories; no transition is counted from one to the next.
    commit_times
        Increasing numbers of frames, shape (m,).
    n_blocks
        Blocks of time over which the dispersion of the counts is taken; a transition belongs
        to the block in which its new state begins.

    Raises
    ------
    InputError
        Commit times that are not increasing whole numbers of at least 1.
    """
    from trajlm.kernels.counting import close_blocks, count_committed

    states = as_states(states)
    times = _as_commit_times(commit_times)
    n = states.n_states
    edges = block_edges(states, n_blocks)
    counts, in_block, touched = np.zeros((3, len(times) * n * n), dtype=np.int64)
    squares = np.zeros(len(times) * n * n)
    block = np.zeros(2, np.int64)
    first = 0
    for s in states:
        count_committed(s, first, times, n, edges, block, in_block, touched, counts, squares)
        first += len(s)
    close_blocks(edges, block, in_block, touched, counts, squares)
    dispersion = _dispersion(counts, squares, edges)
    return CommittedTransitions(
        commit_times=times,
        counts=counts.reshape(-1, n, n),
        dispersion=dispersion.reshape(-1, n, n),
        time_in_state=states.counts(),
        total_frames=states.n_frames,
        dt=states.dt,
        unit=states.unit,
    )


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
    successive passages are independent, and trajectories longer than most passages
    (`FirstPassage.settled`).

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


def _as_commit_times(values: npt.ArrayLike) -> Integers:
    given = np.atleast_1d(np.asarray(values))
    times = given.astype(np.int64)
    whole = given.ndim == 1 and len(given) > 0 and bool((times == given).all())
    if not whole or times[0] < 1 or (np.diff(times) <= 0).any():
        raise InputError(
            f"the commit times are {given.tolist()}: give increasing whole numbers of frames, "
            "at least 1"
        )
    return times


def _dispersion(counts: Integers, squares: Floats, edges: Integers) -> Floats:
    """Return the dispersion of counts over blocks of time, at least 1.

    With N events in blocks that hold the fractions w_b of the time, it is
    sum_b (c_b - N w_b)^2 / (N w_b) over the degrees of freedom: the variance over the mean
    when blocks are equal. `squares` are the sums of c_b^2 over the frames of the block.
    """
    n_blocks = len(edges) - 1
    if n_blocks < 2:
        return np.ones_like(squares)
    spread = (squares * edges[-1] / np.maximum(counts, 1) - counts) / (n_blocks - 1)
    dispersion: Floats = np.maximum(spread, 1.0)
    return dispersion


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


def _mean_per_event(durations: Integers, exposure: int, level: float) -> tuple[float, float, float]:
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
