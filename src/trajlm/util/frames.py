"""Frames of the data for generated states: at random, or going on as the data went on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
AnyIntegers = npt.NDArray[np.integer[Any]]
# The distance of some frames from one other.
Distance = Callable[[Integers, int], npt.NDArray[np.floating[Any]]]

# Frames among which the nearest is taken.
N_CANDIDATES = 50


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

    def __init__(self, trajectories: Sequence[AnyIntegers], n_states: int) -> None:
        self.n_states = n_states
        self.labels = np.concatenate(trajectories).astype(np.int64)
        self.borders = np.concatenate([[0], np.cumsum([len(s) for s in trajectories])])
        self.by_state = np.argsort(self.labels, kind="stable")
        self.counts = np.bincount(self.labels, minlength=n_states)
        self.first = np.concatenate([[0], np.cumsum(self.counts)])

    def of(self, state: int) -> Integers:
        """Return all frames of a state, none for one that was never visited."""
        frames: Integers = self.by_state[self.first[state] : self.first[state + 1]]
        return frames


class RandomFrames:
    """A frame of each state at random; a state never visited repeats the frame before."""

    def __init__(self, frames: FramesByState, seed: int) -> None:
        self.frames, self.rng = frames, np.random.default_rng(seed)
        self.last = 0

    def lane(self, lane: AnyIntegers) -> Integers:
        """Return a frame for each state of a whole lane."""
        self.last = 0
        return self(lane)

    def __call__(self, lane: AnyIntegers) -> Integers:
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

    The data goes on as long as it visits the generated states. Where it does not, a jump leads to
    that frame b of the present state, nearest to the present frame a, from which the data went to
    the wanted state: the step taken is a real one, from b to the frame after it, and all that is
    added is the distance from a to b. Where the data never made this step, the nearest frame of the
    wanted state follows. The nearest is sought among `N_CANDIDATES` at random.

    Parameters
    ----------
    frames
        The data.
    distance
        How far frames are from another.
    every
        Frames of the data that a step of the lane takes.
    seed
        Of the first frame and of the candidates.
    """

    def __init__(
        self, frames: FramesByState, distance: Distance, every: int = 1, seed: int = 0
    ) -> None:
        self.frames, self.distance, self.every = frames, distance, every
        self.rng = np.random.default_rng(seed)
        self.last = -1
        ends = frames.borders[1:] - every
        stretches = [np.arange(b, e) for b, e in zip(frames.borders, ends, strict=False) if b < e]
        before = np.concatenate([np.zeros(0, np.int64), *stretches])
        pairs = frames.labels[before] * frames.n_states + frames.labels[before + every]
        order = np.argsort(pairs, kind="stable")
        self.pairs, self.before = pairs[order], before[order]

    def __call__(self, lane: AnyIntegers) -> Integers:
        """Return a frame for each state of the next stretch of a lane."""
        chosen = np.empty(len(lane), dtype=np.int64)
        for k, state in enumerate(lane.tolist()):
            self.last = chosen[k] = self._next(state)
        return chosen

    def lane(self, lane: AnyIntegers) -> Integers:
        """Return a frame for each state of a whole lane, the first at random."""
        self.last = -1
        return self(lane)

    def _next(self, state: int) -> int:
        if self.last < 0:
            drawn = self._some(self.frames.of(state), 1)
            return int(drawn[0]) if len(drawn) else 0
        before = self._went_to(state)
        if len(before):
            return self._nearest(before) + self.every
        frames = self.frames.of(state)
        return self._nearest(frames) if len(frames) else self.last

    def _went_to(self, state: int) -> Integers:
        """Return frames of the present state after which the data was in the wanted one.

        The present frame alone where it is among them: nothing is nearer.
        """
        pair = int(self.frames.labels[self.last]) * self.frames.n_states + state
        begin, end = np.searchsorted(self.pairs, [pair, pair + 1])
        # Frames of one pair are in their order: the sort was stable.
        place = begin + np.searchsorted(self.before[begin:end], self.last)
        if place < end and self.before[place] == self.last:
            return self.before[place : place + 1]
        return self.before[begin:end]

    def _nearest(self, frames: Integers) -> int:
        candidates = self._some(frames, N_CANDIDATES)
        if len(candidates) == 1:
            return int(candidates[0])
        return int(candidates[np.argmin(self.distance(candidates, self.last))])

    def _some(self, frames: Integers, n: int) -> Integers:
        if len(frames) <= n:
            return frames
        return frames[self.rng.choice(len(frames), n, replace=False, shuffle=False)]
