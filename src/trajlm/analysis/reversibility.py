"""Whether trajectories look the same forwards and backwards in time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.analysis.uncertainty import blocks
from trajlm.data import States, smallest_unsigned
from trajlm.util.arrays import F64

# Neighbouring states are merged to this many classes, about equally often visited.
N_CLASSES = 6
# Frames between the three letters of a word. Unequal ones too: two states that alternate show
# a direction of time only in the order of short and long stays.
GAPS = ((1, 1), (1, 4), (4, 16), (16, 64))
N_BLOCKS = 40
N_FLIPS = 999
# Below this p-value the data is taken to have a direction of time. One data set of a hundred in
# equilibrium falls below it by chance.
DIRECTED = 0.01


def reversibility_p_value(states: States, seed: int = 0) -> float:
    """Test whether words of three states come as often backwards as forwards.

    In equilibrium every path is as probable as its mirror image. For the word i, j, k with gaps
    of u and v frames, the number of times it is seen less that of its mirror image k, j, i with
    gaps v and u is then as likely above as below zero in each block of the data. The sum over
    words of (sum over blocks)^2 / (sum over blocks of squares) is compared with what it is when
    the signs of whole blocks are flipped at random.

    Parameters
    ----------
    states
        One or many trajectories. Those that all begin in one place and relax from there have a
        direction as well.
    seed
        Of the random signs.

    Returns
    -------
    float
        The share of flips, the data itself among them, that differ as much from their mirror
        image as the data does.
    """
    classes, n_classes = _classes(states)
    merged = states.with_trajectories([classes[s] for s in states])
    differences = np.array([_differences(block, n_classes) for block in blocks(merged, N_BLOCKS)])
    squares = (differences**2).sum(axis=0)
    scaled = differences[:, squares > 0] / np.sqrt(squares[squares > 0])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(N_FLIPS, len(scaled)))
    observed = (scaled.sum(axis=0) ** 2).sum()
    flipped = ((signs @ scaled) ** 2).sum(axis=1)
    return float((1 + (flipped >= observed * (1 - 1e-12)).sum()) / (1 + N_FLIPS))


def _classes(states: States) -> tuple[npt.NDArray[np.unsignedinteger], int]:
    """Return the class of each state, shape (n_states,), and the number of classes."""
    counts = states.counts()
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    cut = np.floor(middles * N_CLASSES).astype(np.int64).clip(0, N_CLASSES - 1)
    seen, classes = np.unique(cut, return_inverse=True)
    return classes.astype(smallest_unsigned(len(seen))), len(seen)


def _differences(states: States, n_classes: int) -> F64:
    """Return how much oftener than its mirror image each word of each pair of gaps is seen."""
    return np.concatenate(
        [
            (_words(states, n_classes, u, v) - _words(states, n_classes, v, u).T).ravel()
            for u, v in GAPS
        ]
    )


def _words(states: States, n: int, u: int, v: int) -> F64:
    """Count the words i, j, k with gaps of u and v frames, shape (n, n, n)."""
    counts = np.zeros(n**3)
    for s in states:
        if len(s) > u + v:
            i, j, k = s[: -u - v].astype(np.int64), s[u:-v], s[u + v :]
            counts += np.bincount((i * n + j) * n + k, minlength=n**3)
    return counts.reshape(n, n, n)
