"""Equilibrium: how often each state is seen, and its free energy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trajlm.analysis.uncertainty import block_edges, block_pieces, fraction_interval
from trajlm.data import StatesLike, as_states
from trajlm.util.arrays import F64


@dataclass(frozen=True)
class FreeEnergy:
    """Free energies of the states in units of kT, all of shape (n_states,).

    Parameters
    ----------
    populations
        Fraction of frames p_k.
    values
        -ln p_k, the lowest at zero, infinite for a state that was never seen.
    low, high
        Interval of each value at the given level, the zero held where it is.
    level
        Probability that an interval holds the truth.
    """

    populations: F64
    values: F64 = field(metadata={"null": np.inf})
    low: F64 = field(metadata={"null": np.inf})
    high: F64 = field(metadata={"null": np.inf})
    level: float

    @property
    def population_intervals(self) -> tuple[F64, F64]:
        """The intervals (low, high) of the populations themselves."""
        top = self.populations.max()
        return top * np.exp(-self.high), top * np.exp(-self.low)


def populations(states: StatesLike) -> F64:
    """Return the fraction of frames in each state, shape (n_states,)."""
    states = as_states(states)
    fractions: F64 = states.counts() / states.n_frames
    return fractions


def population_intervals(
    states: StatesLike, level: float = 0.95, n_blocks: int = 50
) -> tuple[F64, F64]:
    """Return the interval of each population, from blocks of time.

    Parameters
    ----------
    states
        Trajectories of an unbiased, stationary process.
    level
        Probability that an interval holds the truth.
    n_blocks
        Number of blocks; their correlation is taken into account, so they may be shorter than
        the slowest process (see `trajlm.analysis.fraction_interval` for what is assumed).

    Returns
    -------
    low, high : ndarray, shape (n_states,)
        A state that was never seen has a low of 0 and a high above 0.
    """
    states = as_states(states)
    edges = block_edges(states, n_blocks)
    frames = np.diff(edges)
    counts = np.zeros((len(frames), states.n_states), np.int64)
    for block, trajectory, first, end in block_pieces(states, edges):
        piece = states.trajectories[trajectory][first:end]
        counts[block] += np.bincount(piece, minlength=states.n_states)
    return fraction_interval(counts / frames[:, None], frames, level)


def free_energy(states: StatesLike, level: float = 0.95) -> FreeEnergy:
    """Compute F_k = -kT ln p_k in units of kT, with the interval of the population.

    The interval is that of p_k alone: the zero of the scale, the most populated state as
    measured, is taken as exact.
    """
    states = as_states(states)
    p = populations(states)
    low, high = population_intervals(states, level)
    # 0 - ln p rather than -ln p: the lowest is then 0 and not -0.
    with np.errstate(divide="ignore"):
        return FreeEnergy(
            populations=p,
            values=0.0 - np.log(p / p.max()),
            low=0.0 - np.log(high / p.max()),
            high=0.0 - np.log(low / p.max()),
            level=level,
        )
