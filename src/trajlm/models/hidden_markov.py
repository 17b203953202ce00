"""Hidden Markov models, behind the common protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.analysis.reversibility import DIRECTED, reversibility_p_value
from trajlm.data import States, StatesLike, StateSpace, as_states, smallest_unsigned
from trajlm.errors import InputError, TrajlmNote
from trajlm.kernels.stochastic import connected_sets, stationary_distribution
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.baum_welch import HiddenChain, best_fit
from trajlm.models.chains import check_stochastic, lane_starts, smoothed_populations, write_lanes
from trajlm.models.files import Tensors
from trajlm.models.record import HiddenMarkovRecord
from trajlm.util.arrays import F64, IntArray
from trajlm.util.warn import warn

# Random guesses that a fit starts from, beside those that follow from the data.
RANDOM_STARTS = 5

ReportFit = Callable[[int, int, float], None]


@dataclass(frozen=True)
class HiddenFloor:
    """What is mixed into the matrices for scoring, so that no path is impossible.

    Parameters
    ----------
    weight
        Probability with which the next state is drawn from the populations and, where not all
        hidden states lead to each other, the next hidden state from where trajectories begin.
    populations
        Of the states, shape (n_states,).
    """

    weight: float
    populations: F64


class HiddenMarkovModel(SequenceModel):
    """A hidden Markov model with discrete emissions.

    Parameters
    ----------
    transition_matrix
        Between hidden states, shape (m, m).
    emission
        Probability of each state in each hidden state, shape (m, n_states).
    stationary_distribution
        Of the hidden states, shape (m,); paths and generated lanes start from it. Where hidden
        states do not all lead to each other, their shares of the data.
    space, record
        As in `SequenceModel`.
    floor
        What scoring mixes in; nothing when None.
    """

    kind = "hmm"
    record_type = HiddenMarkovRecord
    record: HiddenMarkovRecord | None

    def __init__(
        self,
        transition_matrix: F64,
        emission: F64,
        stationary_distribution: F64,
        space: StateSpace,
        record: HiddenMarkovRecord | None = None,
        floor: HiddenFloor | None = None,
    ) -> None:
        super().__init__(space, record)
        self.transition_matrix = transition_matrix
        self.emission = emission
        self.stationary_distribution = stationary_distribution
        self.floor = floor

    @property
    def n_hidden(self) -> int:
        """Number of hidden states m."""
        return len(self.transition_matrix)

    def _scored(self) -> tuple[F64, F64]:
        """Return the matrices with the floor."""
        T, E = self.transition_matrix, self.emission
        if self.floor:
            epsilon = self.floor.weight
            E = (1 - epsilon) * E + epsilon * self.floor.populations
            if not _all_connected(T):
                T = (1 - epsilon) * T + epsilon * self.stationary_distribution
        return T, E

    def _log_probs(self, trajectory: IntArray) -> F64:
        from trajlm.kernels.chain import forward_log_probs

        out = np.empty(len(trajectory) - 1)
        forward_log_probs(*self._scored(), self.stationary_distribution, trajectory, out)
        return out

    def _next_state_probabilities(self, past: IntArray) -> F64:
        # The forward algorithm; scaled, or a long past would underflow.
        T, E = self._scored()
        hidden = self.stationary_distribution
        for state in past:
            seen = hidden * E[:, state]
            scale = seen.sum()
            hidden = (seen / scale if scale > 0 else seen) @ T
        return np.asarray(hidden @ E)

    def most_likely_path(self, states: StatesLike) -> list[IntArray]:
        """Return the hidden states of the most likely path behind each trajectory.

        Parameters
        ----------
        states
            What was seen.

        Returns
        -------
        list of ndarray, shape (T,) each
            Viterbi's path, see Rabiner, Proc. IEEE 77:257 (1989).

        Raises
        ------
        InputError
            States that the model does not know.
        """
        from trajlm.kernels.chain import most_likely_path

        data = as_states(states)
        self._check_known(data)
        with np.errstate(divide="ignore"):
            T, E = (np.log(matrix) for matrix in self._scored())
            first = np.log(self.stationary_distribution)
        found: list[IntArray] = []
        small = smallest_unsigned(self.n_hidden)
        for trajectory in data:
            path: IntArray = np.empty(len(trajectory), dtype=small)
            came_from = np.empty((len(trajectory), self.n_hidden), dtype=small)
            most_likely_path(T, E, first, trajectory, came_from, path)
            found.append(path)
        return found

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
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
            weights = weights * self._scored()[1][:, start]
        keys, first = lane_starts(weights / weights.sum(), n_lanes, seed, None)
        tables = np.cumsum(self.transition_matrix, axis=1), np.cumsum(self.emission, axis=1)

        def advance(lane: int, hidden: int, begin: int, piece: IntArray) -> int:
            return int(simulate_hidden_chain(*tables, hidden, keys[lane], begin, piece))

        return self.space.states(write_lanes(n_steps, self.n_states, first, advance, progress))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays: Tensors = {
            "transition_matrix": self.transition_matrix,
            "emission": self.emission,
            "stationary_distribution": self.stationary_distribution,
        }
        if self.floor:
            arrays["floor_weight"] = np.array([self.floor.weight])
            arrays["floor_populations"] = self.floor.populations
        return {"n_hidden": self.n_hidden}, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: HiddenMarkovRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> HiddenMarkovModel:
        """Rebuild a model from what `to_arrays` returned."""
        T, E, pi = (arrays[k] for k in ("transition_matrix", "emission", "stationary_distribution"))
        m = len(pi)
        if T.shape != (m, m) or E.shape != (m, space.n_states):
            raise ValueError("the matrices do not fit the number of states")
        check_stochastic(T, E, pi)
        if "floor_weight" not in arrays:
            return cls(T, E, pi, space, record)
        weight, populations = arrays["floor_weight"], arrays["floor_populations"]
        check_stochastic(populations)
        if populations.shape != (space.n_states,) or not 0 <= weight.item() <= 1:
            raise ValueError("the floor does not fit the number of states")
        return cls(T, E, pi, space, record, HiddenFloor(weight.item(), populations))


def fit_hmm(
    states: StatesLike,
    n_hidden_states: int | None = None,
    max_hidden: int = 6,
    seed: int = 0,
    reversible: bool | None = None,
    progress: ReportFit | None = None,
) -> HiddenMarkovModel:
    """Fit a hidden Markov model at a lag of one frame by maximum likelihood.

    The likelihood has many maxima. Fits start from metastable sets of the data, from hidden states
    that are left more and more slowly, as a process with memory needs them, and from random
    guesses; the best go on (`trajlm.models.baum_welch`).

    Parameters
    ----------
    states
        The data.
    n_hidden_states
        Number of hidden states; None chooses it by the Bayesian information criterion,
        BIC = n_parameters ln(n_frames) - 2 ln L, going up from 2 while it falls.
    max_hidden
        Largest number tried; a `trajlm.errors.TrajlmNote` says where the criterion still falls.
    seed
        Of the random guesses.
    reversible
        Whether the hidden chain obeys detailed balance. None: where all states of the data lead to
        each other and it shows no direction of time (`trajlm.analysis.reversibility`).
    progress
        Called after every step of the fit with the number of hidden states, the number of the
        step, and ln L.

    Raises
    ------
    InputError
        Fewer than two hidden states.
    """
    data = as_states(states)
    if n_hidden_states is not None and n_hidden_states < 2:
        raise InputError(f"{n_hidden_states} hidden state(s) were asked for: at least 2 are needed")
    if reversible is None:
        visited = np.flatnonzero(data.visited())
        joined = _all_connected(data.transition_counts()[np.ix_(visited, visited)])
        reversible = joined and reversibility_p_value(data) >= DIRECTED
    if n_hidden_states is not None:
        return _fit_hmm(data, n_hidden_states, seed, reversible, progress)
    best = _fit_hmm(data, 2, seed, reversible, progress)
    tried = [(2, _bic(best))]
    for m in range(3, max_hidden + 1):
        candidate = _fit_hmm(data, m, seed, reversible, progress)
        tried.append((m, _bic(candidate)))
        if _bic(candidate) >= _bic(best):
            break
        best = candidate
    assert best.record is not None
    record = replace(best.record, bic_tried=tuple(tried))
    if record.stopped_at_most:
        warn(
            f"the Bayesian information criterion still falls at {record.n_hidden} hidden states, "
            "the most that were tried: the data asks for more",
            TrajlmNote,
        )
    return best.with_record(record)


def _bic(model: HiddenMarkovModel) -> float:
    assert model.record is not None
    return model.record.bic


def _fit_hmm(
    data: States, n_hidden: int, seed: int, reversible: bool, progress: ReportFit | None
) -> HiddenMarkovModel:
    # Unvisited states are left out of the fit, and put back with nothing that shows them.
    visited = np.flatnonzero(data.visited())
    compressed = [np.searchsorted(visited, s) for s in data]
    guesses = _guesses(compressed, len(visited), n_hidden, seed)
    report = (lambda step, value: progress(n_hidden, step, value)) if progress else None
    chain = best_fit(compressed, guesses, reversible, report)
    emission = np.zeros((n_hidden, data.n_states))
    emission[:, visited] = chain.emission
    T, pi = chain.transition, chain.occupancy
    if _all_connected(T):
        pi = stationary_distribution(T)
    floor = HiddenFloor(1.0 / data.n_frames, smoothed_populations(data))
    model = HiddenMarkovModel(T, emission, pi / pi.sum(), data.space, floor=floor)
    n_parameters = n_hidden * (n_hidden - 1) + n_hidden * (len(visited) - 1)
    log_likelihood = model.log_prob(data)
    bic = float(n_parameters * np.log(data.n_frames) - 2 * log_likelihood)
    return model.with_record(HiddenMarkovRecord(int(n_hidden), log_likelihood, bic, reversible))


def _all_connected(weights: npt.NDArray[Any]) -> bool:
    """Return whether all states lead to each other by steps of positive weight."""
    return bool((connected_sets(weights) == 0).all())


def _guesses(
    compressed: Sequence[IntArray], n_visited: int, n_hidden: int, seed: int
) -> list[HiddenChain]:
    """Return what the fit starts from."""
    guesses = []
    if n_hidden < n_visited:
        # States that are not connected leave fewer metastable sets than were asked for.
        with suppress(ValueError):
            guesses.append(_metastable(compressed, n_hidden))
    rng = np.random.default_rng(seed)
    own = np.arange(n_hidden)
    stays = [1 - 0.3 * 0.1 ** (own // n_visited)]
    emissions = [0.1 / n_visited + 0.9 * np.eye(n_visited)[own % n_visited]]
    for _ in range(RANDOM_STARTS):
        stays.append(1 - 10 ** rng.uniform(-3, -0.3, n_hidden))
        emissions.append(rng.dirichlet(np.ones(n_visited), size=n_hidden))
    for stay, emission in zip(stays, emissions, strict=True):
        T = np.tile(((1 - stay) / (n_hidden - 1))[:, None], n_hidden)
        np.fill_diagonal(T, stay)
        guesses.append(_chain(T, emission))
    return guesses


def _metastable(compressed: Sequence[IntArray], n_hidden: int) -> HiddenChain:
    """Return deeptime's guess from the metastable sets of a Markov state model."""
    from deeptime.markov.hmm import init

    paths = [path.astype(np.int32) for path in compressed]
    guess = init.discrete.metastable_from_data(paths, n_hidden, lagtime=1)
    T = np.asarray(guess.transition_model.transition_matrix, dtype=np.float64)
    return _chain(T, np.asarray(guess.output_probabilities, dtype=np.float64))


def _chain(T: F64, emission: F64) -> HiddenChain:
    """Return a first guess in which nothing is impossible."""
    m, n = emission.shape
    even = np.full(m, 1 / m)
    T = (1 - 1e-3) * T + 1e-3 / m
    return HiddenChain(T, (1 - 1e-3) * emission + 1e-3 / n, even, even)
