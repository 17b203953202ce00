"""Kinetics counted from trajectories: committed transitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.uncertainty import block_edges, count_interval
from trajlm.data import StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64


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
    exposure
        Frames in each state after which a transition would have been counted, shape (m, n): all
        but the first c - 1 and the last c frames of each trajectory, for a commit time of c.
    total_frames
        Frames over all trajectories.
    dt, unit
        Time between two frames and its unit.
    """

    commit_times: I64
    counts: I64
    dispersion: F64
    time_in_state: I64
    exposure: I64
    total_frames: int
    dt: float
    unit: str

    @property
    def total_time(self) -> float:
        """Frames times dt, over all trajectories."""
        return self.total_frames * self.dt

    def rates(self) -> F64:
        """Return N_ij(tau) / (total time), in transitions per `unit`, shape (m, n, n)."""
        return self.counts / self.total_time

    def rate_intervals(self, level: float = 0.95) -> tuple[F64, F64]:
        """Return the quasi-Poisson intervals (low, high) of the rates, shape (m, n, n) each.

        Assumes that events in different blocks of equal time are independent. Within a block
        they may come in bursts: the dispersion is the variance over the mean of the counts of
        blocks. It is not taken below 1, so that the interval is too wide rather than too narrow
        for events more regular than a Poisson process. A count of zero gives [0, 3.69 / time].
        """
        low, high = count_interval(self.counts, self.dispersion, level)
        return low / self.total_time, high / self.total_time

    def mean_waiting_times(self) -> F64:
        """Return (total time in i) / N_ij(tau), in `unit`, shape (m, n, n).

        Infinite where no transition was counted, NaN for a state that was never seen.
        """
        return self._waiting_times(self.counts.astype(np.float64))

    def waiting_time_intervals(self, level: float = 0.95) -> tuple[F64, F64]:
        """Return the intervals (low, high) of the mean waiting times, shape (m, n, n) each.

        Those of the counts: the time spent in each state is taken as exact.
        """
        low, high = count_interval(self.counts, self.dispersion, level)
        return self._waiting_times(high), self._waiting_times(low)

    def _waiting_times(self, counts: F64) -> F64:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.time_in_state[None, :, None] * self.dt / counts


def commit_times(longest: int) -> I64:
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
    from trajlm.kernels.counting import close_blocks, count_committed, count_exposed

    states = as_states(states)
    times = _as_commit_times(commit_times)
    n = states.n_states
    edges = block_edges(states, n_blocks)
    counts, in_block, touched = np.zeros((3, len(times) * n * n), dtype=np.int64)
    squares = np.zeros(len(times) * n * n)
    exposure = np.zeros((len(times), n), dtype=np.int64)
    block = np.zeros(2, np.int64)
    first = 0
    for s in states:
        count_committed(s, first, times, n, edges, block, in_block, touched, counts, squares)
        count_exposed(s, times, exposure)
        first += len(s)
    close_blocks(edges, block, in_block, touched, counts, squares)
    dispersion = _dispersion(counts, squares, edges)
    return CommittedTransitions(
        commit_times=times,
        counts=counts.reshape(-1, n, n),
        dispersion=dispersion.reshape(-1, n, n),
        time_in_state=states.counts(),
        exposure=exposure,
        total_frames=states.n_frames,
        dt=states.dt,
        unit=states.unit,
    )


def _as_commit_times(values: npt.ArrayLike) -> I64:
    given = np.atleast_1d(np.asarray(values))
    times = given.astype(np.int64)
    whole = given.ndim == 1 and len(given) > 0 and bool((times == given).all())
    if not whole or times[0] < 1 or (np.diff(times) <= 0).any():
        raise InputError(
            f"the commit times are {given.tolist()}: give increasing whole numbers of frames, "
            "at least 1"
        )
    return times


def _dispersion(counts: I64, squares: F64, edges: I64) -> F64:
    """Return the dispersion of counts over blocks of time, at least 1.

    With N events in blocks that hold the fractions w_b of the time, it is
    sum_b (c_b - N w_b)^2 / (N w_b) over the degrees of freedom: the variance over the mean
    when blocks are equal. `squares` are the sums of c_b^2 over the frames of the block.
    """
    n_blocks = len(edges) - 1
    if n_blocks < 2:
        return np.ones_like(squares)
    spread = (squares * edges[-1] / np.maximum(counts, 1) - counts) / (n_blocks - 1)
    dispersion: F64 = np.maximum(spread, 1.0)
    return dispersion
