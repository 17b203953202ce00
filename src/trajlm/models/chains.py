"""What Markov and hidden Markov models share: their lanes' starts, and a floor.

So that every path has a probability, a floor is mixed into the matrices: with weight 1/(frames of
data) the next state is drawn from the populations, which is about one such jump in the length of
the data. Kinetics are solved without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.data import States, smallest_unsigned
from trajlm.kernels.stochastic import closed_sets, connected_sets
from trajlm.models.base import Progress
from trajlm.util.arrays import F64, I64, IntArray
from trajlm.util.trajectories import owned

# Frames a lane makes between two reports of progress.
CHUNK = 500_000


def check_stochastic(*matrices: F64) -> None:
    """Refuse what is no matrix of probabilities, as a damaged model file may hold it.

    Raises
    ------
    ValueError
        Another type, a negative number, or a row that does not sum to one.
    """
    for P in matrices:
        if (
            P.dtype != np.float64
            or not (P >= 0).all()
            or not (np.abs(P.sum(axis=-1) - 1) < 1e-9).all()
        ):
            raise ValueError("the rows of a matrix are not probabilities")


def lane_starts(
    p: F64, n_lanes: int, seed: int, start: int | States | None
) -> tuple[npt.NDArray[np.uint64], I64]:
    """Return the random key and the first state of each lane."""
    from trajlm.kernels.random_streams import stream_keys

    keys = stream_keys(seed, n_lanes + 1)
    if isinstance(start, int):
        return keys, np.full(n_lanes, start)
    return keys, np.random.default_rng(int(keys[-1])).choice(len(p), size=n_lanes, p=p)


def write_lanes(
    n_steps: int,
    n_states: int,
    first: I64,
    advance: Callable[[int, int, int, IntArray], int],
    progress: Progress | None,
) -> list[IntArray]:
    """Return one trajectory a lane, written piece by piece.

    Parameters
    ----------
    first
        What each lane carries before its first frame, shape (n_lanes,).
    advance
        Takes the lane, what it carries, its next frame, and the piece to write; returns what it
        carries then.
    """
    out = np.empty((len(first), n_steps), smallest_unsigned(n_states))
    for lane, carried in enumerate(first.tolist()):
        for begin in range(0, n_steps, CHUNK):
            piece = out[lane, begin : begin + CHUNK]
            carried = advance(lane, carried, begin, piece)
            if progress:
                progress(len(piece))
    return list(owned(out))


def smoothed_populations(states: States) -> F64:
    """Return the share of each state; unvisited ones count as one frame in the whole data."""
    smoothed = np.maximum(states.counts(), 1.0)
    populations: F64 = smoothed / smoothed.sum()
    return populations


@dataclass(frozen=True)
class Floor:
    """What is mixed into a transition matrix so that no path is impossible.

    Parameters
    ----------
    weight
        Probability with which the next state is drawn from the populations, by state, shape (n,).
    populations
        Shape (n,).
    joined
        The number of the set of states that any transition joins, either way, shape (n,).
    """

    weight: F64
    populations: F64
    joined: I64

    @classmethod
    def of(cls, states: States, counts: I64) -> Floor:
        """Return the floor of data and its transition counts.

        It leads out of a state once in the length of the data; out of a set that the data never
        left, once in the time that it spent there, since the data says no more.
        """
        frames = states.counts()
        visited = frames > 0
        weight = np.full(states.n_states, 1.0 / states.n_frames)
        joined = connected_sets(counts, directed=False)
        for members in closed_sets(counts):
            if visited[members].any() and len(members) < visited.sum():
                weight[members] = 1.0 / frames[members].sum()
        if len(np.unique(joined[visited])) == 1:
            joined[:] = 0  # one set: those never visited are as near to it as to anything
        return cls(weight, smoothed_populations(states), joined)

    def mixed(self, T: F64) -> F64:
        """Return T with the floor: every state can follow."""
        return (1 - self.weight)[:, None] * T + self.weight[:, None] * self.populations

    def mixed_within(self, T: F64) -> F64:
        """Return T with the floor inside each joined set, so that none is invented between two."""
        together = self.joined[:, None] == self.joined
        rows = np.where(together, self.populations, 0.0)
        rows /= rows.sum(axis=1, keepdims=True)
        return (1 - self.weight)[:, None] * T + self.weight[:, None] * rows


def with_floor(T: F64, states: States) -> F64:
    """Return the transition matrix with the floor mixed in."""
    epsilon = 1.0 / states.n_frames
    return (1 - epsilon) * T + epsilon * smoothed_populations(states)
