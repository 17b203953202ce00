"""Frames of the data for generated states: at random, or going on as the data went on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from trajlm.util.arrays import F64, I64, IntArray

Costs = F64
# The squared distances (n, m) of n frames from m others.
Distances = Callable[[I64, I64], Costs]

# Frames of a lane over which a path is sought at once.
STRETCH = 500


def frames_a_step(step: float, step_unit: str, dt: float, unit: str) -> int:
    """Return the frames of data, one each `dt`, that a generated step takes; 1 where not known."""
    ratio = step / dt if step_unit == unit else 1.0
    return round(ratio) if ratio >= 1 and math.isclose(ratio, round(ratio), rel_tol=1e-6) else 1


class FramesByState:
    """The frames of the data by state, numbered over all trajectories.

    Parameters
    ----------
    trajectories
        The states of each trajectory.
    n_states
        Number of states, visited or not.
    """

    def __init__(self, trajectories: Sequence[IntArray], n_states: int) -> None:
        self.n_states = n_states
        self.labels = np.concatenate(trajectories).astype(np.int64)
        self.borders = np.concatenate([[0], np.cumsum([len(s) for s in trajectories])])
        self.by_state = np.argsort(self.labels, kind="stable")
        self.counts = np.bincount(self.labels, minlength=n_states)
        self.first = np.concatenate([[0], np.cumsum(self.counts)])

    def of(self, state: int) -> I64:
        """Return all frames of a state, none for one that was never visited."""
        frames: I64 = self.by_state[self.first[state] : self.first[state + 1]]
        return frames


class RandomFrames:
    """A frame of each state at random; a state never visited repeats the frame before."""

    def __init__(self, frames: FramesByState, seed: int) -> None:
        self.frames, self.rng = frames, np.random.default_rng(seed)
        self.last = 0

    def lane(self, lane: IntArray) -> I64:
        """Return a frame for each state of a whole lane."""
        self.last = 0
        return self(lane)

    def __call__(self, lane: IntArray) -> I64:
        """Return a frame for each state of the next stretch of a lane."""
        frames = self.frames
        counts = frames.counts[lane]
        picks = frames.first[lane] + self.rng.integers(0, np.maximum(counts, 1))
        chosen = frames.by_state[np.minimum(picks, len(frames.by_state) - 1)]
        source = np.maximum.accumulate(np.where(counts > 0, np.arange(len(lane)), -1))
        chosen = np.where(source >= 0, chosen[source], self.last)
        self.last = int(chosen[-1])
        return chosen


class SmoothFrames:
    """Frames that go on as the data went on, with jumps as short as the data allows.

    Each step of the path is one of the data: frame f of the wanted state is reached by a jump from
    the frame before, a, to the frame b from which the data went to f, and the jump is nothing where
    a is b. Of the states after one another it takes the path whose jumps have the least sum of
    squares, among `n_candidates` frames of each state (Viterbi's recursion): those that go on from
    the candidates before, and others at random from which the data made this very step or, where
    it never did, in which it entered the wanted state.

    Parameters
    ----------
    frames
        The data.
    distances
        Squared distances of some frames, shape (n,), from others, (m,), as an array (n, m).
    every
        Frames of the data that a step of the lane takes.
    n_candidates
        Frames of each state.
    seed
        Of the candidates.
    """

    def __init__(
        self,
        frames: FramesByState,
        distances: Distances,
        every: int = 1,
        n_candidates: int = 20,
        seed: int = 0,
    ) -> None:
        self.frames, self.distances, self.every = frames, distances, every
        self.n_candidates = n_candidates
        self.rng = np.random.default_rng(seed)
        self.last: int | None = None
        ends = frames.borders[1:] - every
        stretches = [np.arange(b, e) for b, e in zip(frames.borders, ends, strict=False) if b < e]
        before = np.concatenate([np.zeros(0, np.int64), *stretches])
        # Sorted by the state after the step, then by the state before it, then by time.
        steps = frames.labels[before + every] * frames.n_states + frames.labels[before]
        order = np.argsort(steps, kind="stable")
        self.steps, self.before = steps[order], before[order]

    def __call__(self, lane: IntArray) -> I64:
        """Return a frame for each state of the next stretch of a lane."""
        wanted = lane.tolist()
        if self.last is None:
            candidates = self._some(self.frames.of(wanted[0]), self.n_candidates)
            candidates = candidates if len(candidates) else np.zeros(1, np.int64)
            paths, states = [(candidates, np.zeros(len(candidates), np.int64))], wanted[1:]
        else:
            candidates = np.array([self.last])
            paths, states = [], wanted
        costs = np.zeros(len(candidates))
        for state in states:
            candidates, origins, costs = self._next(candidates, costs, state)
            paths.append((candidates, origins))
        best = int(np.argmin(costs))
        chosen = np.empty(len(lane), dtype=np.int64)
        for k in range(len(lane) - 1, -1, -1):
            candidates, origins = paths[k]
            chosen[k], best = candidates[best], int(origins[best])
        self.last = int(chosen[-1])
        return chosen

    def lane(self, lane: IntArray) -> I64:
        """Return a frame for each state of a whole lane, the first at random."""
        self.last = None
        stretches = range(0, len(lane), STRETCH)
        return np.concatenate([self(lane[begin : begin + STRETCH]) for begin in stretches])

    def _next(self, candidates: I64, costs: Costs, state: int) -> tuple[I64, I64, Costs]:
        """Return candidates of a state, the candidate that each comes from, and their costs."""
        before = self._before(candidates, state)
        after = before + self.every
        if len(before) == 0:  # the data begins in it, or never was there
            after = before = self._some(self.frames.of(state), self.n_candidates)
        if len(after) == 0:
            return candidates, np.arange(len(candidates)), costs
        jumps = self.distances(candidates, before)
        jumps[candidates[:, None] == before] = 0
        total = costs[:, None] + jumps
        origins = np.argmin(total, axis=0)
        return after, origins, total[origins, np.arange(len(after))]

    def _before(self, candidates: I64, state: int) -> I64:
        """Return frames after which the data was in a state, candidates among them at first."""
        n = self.frames.n_states
        own = np.unique(self.frames.labels[candidates])
        found = [self._in_steps(state * n + present, candidates) for present in own]
        going_on = np.concatenate([on for on, _ in found])
        others = np.concatenate([other for _, other in found])
        if len(others) == 0:
            begin, end = np.searchsorted(self.steps, [state * n, (state + 1) * n])
            others = self.before[begin:end]
        fresh = self._some(others, max(self.n_candidates - len(going_on), self.n_candidates // 4))
        return np.union1d(going_on, fresh)

    def _in_steps(self, step: int, candidates: I64) -> tuple[I64, I64]:
        """Return which candidates the data made a step from, and all frames it made it from."""
        begin, end = np.searchsorted(self.steps, [step, step + 1])
        frames = self.before[begin:end]
        place = np.minimum(np.searchsorted(frames, candidates), max(len(frames) - 1, 0))
        going_on = candidates[frames[place] == candidates] if len(frames) else frames
        return going_on, frames

    def _some(self, frames: I64, n: int) -> I64:
        if len(frames) <= n:
            return frames
        return frames[self.rng.choice(len(frames), n, replace=False, shuffle=False)]
