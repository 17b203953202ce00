"""Markov state models over deeptime, behind the common protocol.

deeptime drops states outside the largest connected set and renumbers the rest; here all states
keep their numbers and their counts, and those outside are named in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trajlm.analysis.lag import choose_lag
from trajlm.analysis.reversibility import DIRECTED, reversibility_p_value
from trajlm.analysis.transitions import check_lag, transition_matrix
from trajlm.data import States, StatesLike, StateSpace, as_states
from trajlm.kernels.stochastic import closed_sets, connected_sets
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.chains import (
    Floor,
    check_stochastic,
    lane_starts,
    smoothed_populations,
    with_floor,
    write_lanes,
)
from trajlm.models.files import Tensors
from trajlm.models.record import MarkovRecord
from trajlm.util.arrays import F64, IntArray

# Beyond this many states the iteration for the reversible maximum of the likelihood takes minutes.
MOST_ITERATED = 1000


class MarkovModel(SequenceModel):
    """A Markov state model: the next state depends on the present one only.

    Parameters
    ----------
    transition_matrix
        Row-stochastic, shape (n_states, n_states).
    stationary_distribution
        Shape (n_states,); generated lanes start from it. Where several sets of states do not lead
        to each other, that of each by the frames it has in the data.
    space
        The states; its dt is the lag time of the model.
    record
        How it was made.
    floor
        What is mixed into the matrix for scoring and generating, so that no path is impossible;
        none when None. Kinetics are solved without it.
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
        floor: Floor | None = None,
    ) -> None:
        super().__init__(space, record)
        self.transition_matrix = transition_matrix
        self.stationary_distribution = stationary_distribution
        self.floor = floor

    def _scored(self) -> F64:
        """Return the matrix with the floor."""
        T = self.transition_matrix
        return self.floor.mixed(T) if self.floor else T

    def _log_probs(self, trajectory: IntArray) -> F64:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._scored())[trajectory[:-1], trajectory[1:]])

    def _next_state_probabilities(self, past: IntArray) -> F64:
        return np.asarray(self._scored()[past[-1]])

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
    ) -> States:
        """Return `n_lanes` trajectories of `n_steps` frames of one lag time each.

        `start` is the state before the first frame; None (or States) draws it for each lane
        from the stationary distribution. No lane goes from one set of states to another that no
        transition of the data joins to it.

        Raises
        ------
        InputError
            Steps, lanes or start out of range.
        """
        from trajlm.kernels.chain import simulate_chain

        start = self.check_lanes(n_steps, n_lanes, seed, start)
        T = self.transition_matrix
        if self.floor:
            T = self.floor.mixed_within(T)
        cumulative = np.cumsum(T, axis=1)
        keys, first = lane_starts(self.stationary_distribution, n_lanes, seed, start)

        def advance(lane: int, state: int, begin: int, piece: IntArray) -> int:
            return int(simulate_chain(cumulative, state, keys[lane], begin, piece))

        return self.space.states(write_lanes(n_steps, self.n_states, first, advance, progress))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays: Tensors = {
            "transition_matrix": self.transition_matrix,
            "stationary_distribution": self.stationary_distribution,
        }
        if self.floor:
            arrays["floor_weight"] = self.floor.weight
            arrays["floor_populations"] = self.floor.populations
            arrays["joined"] = self.floor.joined
        return {}, arrays

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
        if "joined" not in arrays:
            return cls(T, pi, space, record)
        weight, populations, joined = (
            arrays[k] for k in ("floor_weight", "floor_populations", "joined")
        )
        check_stochastic(populations)
        fits = {array.shape for array in (weight, populations, joined)} == {(n,)}
        if not (fits and ((weight >= 0) & (weight <= 1)).all() and joined.dtype.kind == "i"):
            raise ValueError("the floor does not fit the transition matrix")
        return cls(T, pi, space, record, Floor(weight, populations, joined))


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
    states: StatesLike,
    lag: int | Literal["auto"] = 1,
    reversible: bool | None = None,
    *,
    lagtime: int | Literal["auto"] | None = None,
) -> MarkovModel:
    """Fit a maximum-likelihood Markov state model with deeptime.

    States that do not lead to each other are estimated set by set, and the transitions from one
    set to another are kept as they were counted. The record names the states outside the largest
    set (`outside`) and the sets that are never left (`never_left`).

    Parameters
    ----------
    states
        The data.
    lag
        Lag in frames; the model's dt is lag times that of the data. ``"auto"`` takes the one of
        `choose_lag`.
    reversible
        Whether detailed balance is imposed: by maximum likelihood, beyond 1,000 states by counting
        each transition both ways. None: where the data shows no direction of time
        (`trajlm.analysis.reversibility`).
    lagtime
        deeptime's word for `lag`, which it replaces.

    Raises
    ------
    InputError
        The lag is below one or leaves no transition.
    """
    data = as_states(states)
    lag = lag if lagtime is None else lagtime
    chosen = choose_lag(data) if lag == "auto" else None
    lag = chosen.lag if chosen else int(lag)
    check_lag(data, lag)
    p_value = None
    if reversible is None:
        p_value = reversibility_p_value(data)
        reversible = p_value >= DIRECTED
    counts = data.transition_counts(lag)
    visited = np.flatnonzero(data.visited())
    sets = connected_sets(counts)
    members = [np.flatnonzero(sets == k) for k in np.unique(sets[visited])]
    T = transition_matrix(counts, data.counts())
    pi = np.zeros(data.n_states)
    for states_of in members:
        inside = np.ix_(states_of, states_of)
        share = T[inside].sum(axis=1, keepdims=True) if len(members) > 1 else 1.0
        frames = data.counts()[states_of].sum() / data.n_frames
        if len(states_of) == 1:
            pi[states_of] = frames
            continue
        within, weights = _estimate(counts[inside].astype(np.float64), reversible)
        T[inside], pi[states_of] = share * within, frames * weights
    largest, closed = max(members, key=len), closed_sets(counts[np.ix_(visited, visited)])
    record = MarkovRecord(
        lag=lag,
        reversible=bool(reversible),
        connected=tuple(largest.tolist()),
        lag_reason=chosen.why if chosen else "as set",
        direction_p_value=p_value,
        outside=tuple(np.setdiff1d(visited, largest).tolist()),
        never_left=tuple(tuple(visited[k].tolist()) for k in closed) if len(members) > 1 else (),
    )
    space = StateSpace(data.n_states, data.dt * lag, data.unit, data.centers, data.discretization)
    return MarkovModel(T, pi, space, record, Floor.of(data, counts))


def _estimate(counts: F64, reversible: bool) -> tuple[F64, F64]:
    """Return the transition matrix of connected counts and its stationary distribution."""
    from deeptime.markov import TransitionCountModel
    from deeptime.markov.msm import MaximumLikelihoodMSM

    if reversible and len(counts) > MOST_ITERATED:
        both_ways = counts + counts.T
        rows = both_ways.sum(axis=1)
        return both_ways / rows[:, None], rows / rows.sum()
    msm = MaximumLikelihoodMSM(reversible=reversible).fit(TransitionCountModel(counts))
    model = msm.fetch_model()
    return model.transition_matrix, model.stationary_distribution
