"""Slow sets of states, found from the data alone, and the kinetics between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.kinetics import CommittedTransitions, committed_transitions
from trajlm.data import States, smallest_unsigned
from trajlm.util.arrays import F64, I64
from trajlm.util.trajectories import owned

# A process is slow when more than this is left of its correlation after the lag: when it takes
# more than three lags. What is faster is seen whole often enough.
SLOW = np.exp(-1 / 3)


@dataclass(frozen=True)
class SlowSets:
    """Sets of states between which the data moves more slowly than a given lag.

    Parameters
    ----------
    memberships
        X, the PCCA+ membership of each state in each set, shape (n_states, n_sets), rows that
        sum to one.
    assignment
        The set in which each state's membership is largest, shape (n_states,).
    slowest
        The longest implied timescale, in frames.
    """

    memberships: F64
    assignment: I64
    slowest: float

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return int(self.memberships.shape[1])


@dataclass(frozen=True)
class SlowKinetics:
    """Populations of the slow sets and the transitions between them, as counted.

    Parameters
    ----------
    populations
        Mean membership in each set, shape (n_sets,).
    transitions
        Committed transitions between the sets.
    """

    populations: F64
    transitions: CommittedTransitions

    @property
    def both_ways(self) -> I64:
        """Transitions g -> h and h -> g together, shape (m, n_sets, n_sets)."""
        both: I64 = self.transitions.counts + self.transitions.counts.swapaxes(1, 2)
        return both

    def log_fluxes(self) -> F64:
        """Return ln(transitions both ways, a frame), none taken as one half."""
        fluxes: F64 = np.log(np.maximum(self.both_ways, 0.5) / self.transitions.total_frames)
        return fluxes


def find_slow_sets(states: States, lag: int) -> SlowSets | None:
    """Return the slow sets of the data, or None when nothing is slow.

    There is one set more than processes that take more than three lags, as the symmetrised
    transition matrix at that lag shows them. Memberships are those of PCCA+
    (Roeblitz and Weber, Adv. Data Anal. Classif. 7:147 (2013)) on its largest connected part;
    a state outside belongs to the most populated set.
    """
    from deeptime.markov import TransitionCountModel, pcca

    if max(len(s) for s in states) <= lag:
        return None
    all_counts = states.transition_counts(lag).astype(np.float64)
    connected = TransitionCountModel(all_counts, "sliding", lag).submodel_largest(directed=False)
    kept = np.asarray(connected.state_symbols, dtype=np.int64)
    counts = np.asarray(connected.count_matrix, dtype=np.float64)
    counts = counts + counts.T
    rows = counts.sum(axis=1)
    eigenvalues = np.sort(np.linalg.eigvalsh(counts / np.sqrt(np.outer(rows, rows))))[::-1]
    n_sets = int((eigenvalues > SLOW).sum())
    if n_sets < 2:
        return None
    inside = np.eye(n_sets)
    if n_sets < len(kept):
        inside = np.clip(np.asarray(pcca(counts / rows[:, None], n_sets).memberships), 0.0, 1.0)
    memberships = np.zeros((states.n_states, n_sets))
    memberships[:, np.argmax(rows @ inside)] = 1.0
    memberships[kept] = inside / inside.sum(axis=1, keepdims=True)
    slowest = float(-lag / np.log(min(eigenvalues[1], 1 - 1e-12)))
    return SlowSets(memberships, memberships.argmax(axis=1), slowest)


def crisp_sets(states: States, assignment: I64, lag: int) -> SlowSets:
    """Return given sets, by their number for each state, shape (n_states,)."""
    counts = np.zeros((int(assignment.max()) + 1,) * 2)
    np.add.at(counts, (assignment[:, None], assignment[None]), states.transition_counts(lag))
    counts += counts.T.copy()
    rows = np.maximum(counts.sum(axis=1), 1.0)
    second = np.sort(np.linalg.eigvalsh(counts / np.sqrt(np.outer(rows, rows))))[-2]
    slowest = float(-lag / np.log(np.clip(second, 1e-12, 1 - 1e-12)))
    return SlowSets(np.eye(len(counts))[assignment], assignment, slowest)


def slow_kinetics(states: States, sets: SlowSets, times: npt.ArrayLike) -> SlowKinetics:
    """Count populations of the slow sets and the committed transitions between them."""
    assignment = sets.assignment.astype(smallest_unsigned(sets.n_sets))
    grouped = States(
        [owned(assignment[s]) for s in states],
        n_states=sets.n_sets,
        dt=states.dt,
        unit=states.unit,
    )
    return SlowKinetics(
        states.counts() @ sets.memberships / states.n_frames,
        committed_transitions(grouped, times, n_blocks=1),
    )
