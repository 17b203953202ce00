"""Markov state models over deeptime, behind the common protocol.

deeptime drops states outside the largest connected set and renumbers the rest; here the
matrices are always put back on all states, in their own numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlm.data import IntArray, States, StateSpace, as_states
from trajlm.errors import InputError
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.chains import (
    F64,
    check_stochastic,
    lane_starts,
    smoothed_populations,
    with_floor,
    write_lanes,
)
from trajlm.models.files import Tensors
from trajlm.models.record import MarkovRecord

# Beyond this many states the iteration for the reversible maximum of the likelihood takes minutes.
MOST_ITERATED = 1000


class MarkovModel(SequenceModel):
    """A Markov state model: the next state depends on the present one only.

    Parameters
    ----------
    transition_matrix
        Row-stochastic, shape (n_states, n_states).
    stationary_distribution
        Shape (n_states,); generated lanes start from it.
    space
        The states; its dt is the lag time of the model.
    record
        How it was made.
    """

    kind = "msm"
    record_type = MarkovRecord
    record: MarkovRecord | None

    def __init__(
        self,
        transition_matrix: F64,
        stationary_distribution: F64,
        space: StateSpace,
        record: MarkovRecord | None = None,
    ) -> None:
        super().__init__(space, record)
        self.transition_matrix = transition_matrix
        self.stationary_distribution = stationary_distribution

    def _log_probs(self, trajectory: IntArray) -> F64:
        return np.asarray(np.log(self.transition_matrix)[trajectory[:-1], trajectory[1:]])

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | States | None = None,
        progress: Progress | None = None,
    ) -> States:
        """Return `n_lanes` trajectories of `n_steps` frames of one lag time each.

        `start` is the state before the first frame; None (or States) draws it for each lane
        from the stationary distribution.

        Raises
        ------
        InputError
            Steps, lanes or start out of range.
        """
        from trajlm.kernels.chain import simulate_chain

        start = self.check_lanes(n_steps, n_lanes, seed, start)
        cumulative = np.cumsum(self.transition_matrix, axis=1)
        keys, first = lane_starts(self.stationary_distribution, n_lanes, seed, start)

        def advance(lane: int, state: int, begin: int, piece: IntArray) -> int:
            return int(simulate_chain(cumulative, state, keys[lane], begin, piece))

        return self.space.states(write_lanes(n_steps, self.n_states, first, advance, progress))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        return {"n_states": self.n_states}, {
            "transition_matrix": self.transition_matrix,
            "stationary_distribution": self.stationary_distribution,
        }

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: MarkovRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> MarkovModel:
        """Rebuild a model from what `to_arrays` returned."""
        n = space.n_states
        T, pi = arrays["transition_matrix"], arrays["stationary_distribution"]
        if T.shape != (n, n) or pi.shape != (n,):
            raise ValueError("the transition matrix does not fit the number of states")
        check_stochastic(T, pi)
        return cls(T, pi, space, record)


def smoothed_transition_matrix(states: States, lag: int = 1, both_ways: bool = False) -> F64:
    """Return the row-normalised counts with the floor of `trajlm.models.chains` mixed in.

    Transitions are counted forwards only, or both ways in time.
    """
    counts = states.transition_counts(lag).astype(np.float64)
    if both_ways:
        counts += counts.T.copy()
    rows = counts.sum(axis=1, keepdims=True)
    T = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    T[rows[:, 0] == 0] = smoothed_populations(states)
    return with_floor(T, states)


def fit_msm(
    states: States | IntArray | Sequence[IntArray], lag: int = 1, reversible: bool = True
) -> MarkovModel:
    """Fit a maximum-likelihood Markov state model with deeptime.

    Parameters
    ----------
    states
        The data.
    lag
        Lag in frames; the model's dt is lag times that of the data.
    reversible
        Whether detailed balance is imposed: by maximum likelihood, beyond 1,000 states by counting
        each transition both ways.

    Raises
    ------
    InputError
        The lag is below one or leaves no transition.
    """
    from deeptime.markov import TransitionCountModel

    data = as_states(states)
    longest = max(len(s) for s in data)
    if not 1 <= lag < longest:
        raise InputError(f"lag {lag} is out of range: the longest trajectory has {longest} frames")
    all_counts = data.transition_counts(lag).astype(np.float64)
    counts = TransitionCountModel(all_counts, "sliding", lag).submodel_largest()
    connected = np.asarray(counts.state_symbols)
    n = data.n_states
    T = np.tile(smoothed_populations(data), (n, 1))
    pi = np.zeros(n)
    if len(connected) > 1:
        T[connected] = 0.0
        T[np.ix_(connected, connected)], pi[connected] = _estimate(counts, reversible)
    else:
        pi = smoothed_populations(data)
    space = StateSpace(n, data.dt * lag, data.unit, data.centers, data.discretization)
    record = MarkovRecord(int(lag), bool(reversible), tuple(connected.tolist()))
    return MarkovModel(with_floor(T, data), pi, space, record)


def _estimate(counts: Any, reversible: bool) -> tuple[F64, F64]:
    """Return the transition matrix of connected counts and its stationary distribution."""
    from deeptime.markov.msm import MaximumLikelihoodMSM

    if reversible and counts.n_states > MOST_ITERATED:
        both_ways = counts.count_matrix + counts.count_matrix.T
        rows = both_ways.sum(axis=1)
        return both_ways / rows[:, None], rows / rows.sum()
    msm = MaximumLikelihoodMSM(reversible=reversible).fit(counts).fetch_model()
    return msm.transition_matrix, msm.stationary_distribution
