"""Paths of hidden states, drawn from their probability given what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlm.data import States, smallest_unsigned
from trajlm.util.arrays import F64, IntArray
from trajlm.util.trajectories import owned

# Of the random numbers that draw the paths: the same data has the same path in every comparison.
SEED = 0


@dataclass(frozen=True)
class HiddenStates:
    """A hidden Markov chain and what its states show.

    Parameters
    ----------
    transition, emission
        Shapes (m, m) and (m, n_states).
    initial
        Probability of each hidden state at the first frame, shape (m,).
    """

    transition: F64
    emission: F64
    initial: F64


def draw_paths(hidden: HiddenStates, states: States, seed: int = SEED) -> list[IntArray]:
    """Return one hidden path a trajectory, drawn given all of it.

    Forward filtering and backward sampling (Chib, J. Econometrics 75:79 (1996)). Of a path that is
    drawn, each transition is as frequent as the model expects it to be, however well the states
    can be told apart; of the most probable path only the clear ones are.
    """
    from trajlm.kernels.chain import draw_hidden_path
    from trajlm.kernels.random_streams import stream_keys

    m = len(hidden.initial)
    alpha = np.empty((max(len(s) for s in states), m))
    paths: list[IntArray] = []
    for s, key in zip(states, stream_keys(seed, len(states)), strict=True):
        path = np.empty(len(s), smallest_unsigned(m))
        draw_hidden_path(hidden.transition, hidden.emission, hidden.initial, s, key, alpha, path)
        paths.append(owned(path))
    return paths
