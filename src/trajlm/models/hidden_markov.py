"""Hidden Markov models over deeptime, behind the common protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from trajlm.data import IntArray, States, StatesLike, StateSpace, as_states
from trajlm.errors import InputError
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.chains import (
    F64,
    check_stochastic,
    lane_starts,
    smoothed_populations,
    write_lanes,
)
from trajlm.models.files import Tensors

# Random guesses that a fit of many hidden states starts from, and the steps after which the best
# goes on alone.
RANDOM_STARTS = 3
SCREENING_STEPS = 20


class HiddenMarkovModel(SequenceModel):
    """A hidden Markov model with discrete emissions.

    Parameters
    ----------
    transition_matrix
        Between hidden states, shape (m, m).
    emission
        Probability of each state in each hidden state, shape (m, n_states).
    stationary_distribution
        Of the hidden states, shape (m,); paths and generated lanes start from it.
    space, record
        As in `SequenceModel`.
    """

    kind = "hmm"

    def __init__(
        self,
        transition_matrix: F64,
        emission: F64,
        stationary_distribution: F64,
        space: StateSpace,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(space, record)
        self.transition_matrix = transition_matrix
        self.emission = emission
        self.stationary_distribution = stationary_distribution

    @property
    def n_hidden(self) -> int:
        """Number of hidden states m."""
        return len(self.transition_matrix)

    def _log_probs(self, trajectory: IntArray) -> F64:
        from trajlm.kernels.chain import forward_log_probs

        out = np.empty(len(trajectory) - 1)
        forward_log_probs(
            self.transition_matrix, self.emission, self.stationary_distribution, trajectory, out
        )
        return out

    def _next_state_probabilities(self, past: IntArray) -> F64:
        # The forward algorithm; scaled, or a long past would underflow.
        hidden = self.stationary_distribution
        for state in past:
            seen = hidden * self.emission[:, state]
            scale = seen.sum()
            hidden = (seen / scale if scale > 0 else seen) @ self.transition_matrix
        return np.asarray(hidden @ self.emission)

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
    ) -> States:
        """Return `n_lanes` trajectories of `n_steps` frames.

        `start` is the state before the first frame: the hidden state is drawn given that it was
        emitted; None (or States) draws it from the stationary distribution.

        Raises
        ------
        InputError
            Steps, lanes or start out of range.
        """
        from trajlm.kernels.chain import simulate_hidden_chain

        start = self.check_lanes(n_steps, n_lanes, seed, start)
        weights = self.stationary_distribution
        if isinstance(start, int):
            weights = weights * self.emission[:, start]
        keys, first = lane_starts(weights / weights.sum(), n_lanes, seed, None)
        tables = np.cumsum(self.transition_matrix, axis=1), np.cumsum(self.emission, axis=1)

        def advance(lane: int, hidden: int, begin: int, piece: IntArray) -> int:
            return int(simulate_hidden_chain(*tables, hidden, keys[lane], begin, piece))

        return self.space.states(write_lanes(n_steps, self.n_states, first, advance, progress))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        return {"n_states": self.n_states, "n_hidden": self.n_hidden}, {
            "transition_matrix": self.transition_matrix,
            "emission": self.emission,
            "stationary_distribution": self.stationary_distribution,
        }

    @classmethod
    def from_arrays(
        cls, space: StateSpace, record: Mapping[str, Any], sizes: Mapping[str, Any], arrays: Tensors
    ) -> HiddenMarkovModel:
        """Rebuild a model from what `to_arrays` returned."""
        T, E, pi = (arrays[k] for k in ("transition_matrix", "emission", "stationary_distribution"))
        m = len(pi)
        if T.shape != (m, m) or E.shape != (m, space.n_states):
            raise ValueError("the matrices do not fit the number of states")
        check_stochastic(T, E, pi)
        return cls(T, E, pi, space, record)


def fit_hmm(
    states: StatesLike,
    n_hidden: int | None = None,
    max_hidden: int = 6,
    seed: int = 0,
) -> HiddenMarkovModel:
    """Fit a hidden Markov model at a lag of one frame with deeptime.

    Parameters
    ----------
    states
        The data.
    n_hidden
        Number of hidden states; None chooses it by the Bayesian information criterion,
        BIC = n_parameters ln(n_frames) - 2 ln L, going up from 2 while it falls.
    max_hidden
        Largest number tried.
    seed
        For the random start where there are more hidden states than states.

    Raises
    ------
    InputError
        Fewer than two hidden states.
    """
    data = as_states(states)
    if n_hidden is not None:
        if n_hidden < 2:
            raise InputError(f"{n_hidden} hidden state(s) were asked for: at least 2 are needed")
        return _fit_hmm(data, n_hidden, seed)
    best = _fit_hmm(data, 2, seed)
    tried = {2: best.record["bic"]}
    for m in range(3, max_hidden + 1):
        candidate = _fit_hmm(data, m, seed)
        tried[m] = candidate.record["bic"]
        if candidate.record["bic"] >= best.record["bic"]:
            break
        best = candidate
    best.record["bic_tried"] = {str(m): b for m, b in tried.items()}
    return best


def _fit_hmm(data: States, n_hidden: int, seed: int) -> HiddenMarkovModel:
    from deeptime.markov.hmm import MaximumLikelihoodHMM

    # deeptime wants every symbol to occur: fit on the visited states, then put them back.
    visited = np.flatnonzero(data.visited())
    compressed = [np.searchsorted(visited, s).astype(np.int32) for s in data]
    starts = _initial_hmms(compressed, len(visited), n_hidden, seed)
    if len(starts) > 1:
        tried = [
            MaximumLikelihoodHMM(start, lagtime=1, maxit=SCREENING_STEPS).fit_fetch(compressed)
            for start in starts
        ]
        starts = [max(tried, key=lambda hmm: hmm.likelihood)]
    fitted = MaximumLikelihoodHMM(starts[0], lagtime=1).fit_fetch(compressed)
    emission = np.zeros((n_hidden, data.n_states))
    emission[:, visited] = fitted.output_probabilities
    epsilon = 1.0 / data.n_frames
    emission = (1 - epsilon) * emission + epsilon * smoothed_populations(data)
    T = np.asarray(fitted.transition_model.transition_matrix, np.float64)
    T, pi = _with_stationary_distribution(T, emission, data)
    model = HiddenMarkovModel(T, emission, pi, data.space)
    n_parameters = n_hidden * (n_hidden - 1) + n_hidden * (len(visited) - 1)
    log_likelihood = model.log_prob(data)
    model.record = {
        "n_hidden": n_hidden,
        "log_likelihood": log_likelihood,
        "bic": float(n_parameters * np.log(data.n_frames) - 2 * log_likelihood),
    }
    return model


def _with_stationary_distribution(T: F64, emission: F64, data: States) -> tuple[F64, F64]:
    """Return the hidden transition matrix and its stationary distribution.

    Hidden states that are not connected have none of their own: there a floor is mixed into the
    matrix, towards the weights that best explain the populations.
    """
    from deeptime.markov.tools.analysis import is_connected, stationary_distribution
    from scipy.optimize import nnls

    if not is_connected(T, directed=False):
        weights, _ = nnls(emission.T, smoothed_populations(data))
        epsilon = 1.0 / data.n_frames
        T = (1 - epsilon) * T + epsilon * weights / weights.sum()
    pi = np.asarray(stationary_distribution(T), np.float64)
    return T, pi / pi.sum()


def _initial_hmms(
    compressed: Sequence[IntArray], n_visited: int, n_hidden: int, seed: int
) -> list[Any]:
    """Return deeptime's metastable guess, or several guesses where there is none.

    With as many hidden states as states, or more, the likelihood has many maxima: one guess
    gives each state hidden states of its own that are left more and more slowly, as a process
    with memory needs them; the others are random.
    """
    from deeptime.markov.hmm import DiscreteOutputModel, HiddenMarkovModel, init

    if n_hidden < n_visited:
        # States that are not connected leave fewer metastable sets than were asked for.
        with suppress(ValueError):
            return [init.discrete.metastable_from_data(list(compressed), n_hidden, lagtime=1)]
    # deeptime's own random guess takes its numbers from the global generator.
    rng = np.random.default_rng(seed)
    own = np.arange(n_hidden)
    stays = [1 - 0.3 * 0.1 ** (own // n_visited)]
    emissions = [0.1 / n_visited + 0.9 * np.eye(n_visited)[own % n_visited]]
    for _ in range(RANDOM_STARTS):
        stays.append(rng.uniform(0.5, 0.99, n_hidden))
        emissions.append(rng.dirichlet(np.ones(n_visited), size=n_hidden))
    guesses = []
    for stay, emission in zip(stays, emissions, strict=True):
        T = np.tile(((1 - stay) / (n_hidden - 1))[:, None], n_hidden)
        np.fill_diagonal(T, stay)
        guesses.append(HiddenMarkovModel(T, DiscreteOutputModel(emission)))
    return guesses
