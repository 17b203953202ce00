"""The data as models are held against it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trajlm.analysis import (
    CommittedTransitions,
    Discrepancy,
    Grouping,
    commit_times,
    committed_transitions,
    dwell_times,
    floor,
)
from trajlm.analysis.runs import longest_run
from trajlm.data import States, StateSpace
from trajlm.errors import InputError
from trajlm.evaluate.coordinates import slow_columns
from trajlm.util.arrays import IntArray


@dataclass(frozen=True)
class Reference:
    """Data that generated trajectories are held against, seen every `lag` frames.

    Parameters
    ----------
    states
        The data, every `lag`-th frame.
    lag
        In frames of the whole data.
    grouping
        From states to groups, with a running mean over the same time.
    grouped
        The data in groups.
    transitions
        Committed transitions between the groups.
    floor
        D0, between the two halves.
    """

    states: States
    lag: int
    grouping: Grouping
    grouped: States
    transitions: CommittedTransitions
    floor: Discrepancy

    @cached_property
    def column(self) -> int | None:
        """The coordinate that tells the groups apart best; None where there are not several."""
        populations = self.states.counts() / self.states.n_frames
        return next(iter(slow_columns(self.states.space, self.grouping, populations)), None)

    @cached_property
    def longest_stay(self) -> float:
        """Frames of a typical stay in the slowest group: half of its time is in longer ones."""
        typical = [1.0]
        for k in range(self.grouped.n_states):
            dwells = dwell_times(self.grouped, k)
            stays = np.sort(dwells.durations)
            if len(stays):
                spent = np.cumsum(stays)
                typical.append(float(stays[np.searchsorted(spent, spent[-1] / 2)]))
        return max(typical)


def make_reference(data: States, grouping: Grouping, lag: int = 1) -> Reference:
    """Measure the data at a lag, for models that make one frame in so many.

    Raises
    ------
    InputError
        No trajectory holds two frames at this lag.
    """
    states = _strided(data, lag)
    own = replace(grouping, running_mean=max(1, round(grouping.running_mean / lag)))
    grouped = own.apply(states)
    times = commit_times(longest_run(grouped.trajectories))
    transitions = committed_transitions(grouped, times)
    return Reference(states, lag, own, grouped, transitions, floor(grouped, times))


def lag_of(space: StateSpace, data: StateSpace) -> int | None:
    """Return how many frames of the data one frame of a model is; None for no whole number."""
    lag = round(space.dt / data.dt) if space.unit == data.unit else 0
    return lag if lag >= 1 and np.isclose(space.dt, lag * data.dt) else None


def cut_alike(states: States, reference: States) -> States:
    """Cut generated lanes into trajectories of the lengths that the reference has.

    The end of a trajectory cuts a stay short, and a stay cut short is committed less often: only
    trajectories of the same lengths can be compared. Each lane is cut into the reference's
    lengths one after the other, over and over; what is left at its end is kept where it holds a
    transition.
    """
    lengths = [len(s) for s in reference]
    pieces: list[IntArray] = []
    for s in states:
        begin = 0
        for length in itertools.cycle(lengths):
            if len(s) - begin < 2:
                break
            pieces.append(s[begin : begin + length])
            begin += length
    return states.with_trajectories(pieces)


def _strided(data: States, lag: int) -> States:
    if lag == 1:
        return data
    strided = [s[::lag] for s in data]
    kept = [s for s in strided if len(s) > 1]
    if not kept:
        raise InputError(f"no trajectory of the data holds two frames at a lag of {lag}")
    return replace(data, trajectories=tuple(kept), dt=data.dt * lag)
