"""The kinetics of a model in the terms of Markov state models, in the same way for every model.

Markov and hidden Markov models are solved exactly. A language model has no closed form: it
generates, and what it wrote is counted, with intervals. Data is counted like that, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    counted_timescales,
    population_intervals,
    populations,
    stationary_first_passage_time,
)
from trajlm.analysis.transitions import counted_transition_matrix, name_states
from trajlm.analysis.uncertainty import independent_parts, jackknife_error
from trajlm.data import States, StatesLike, StateSpace, as_states
from trajlm.errors import InputError
from trajlm.kernels.stochastic import (
    closed_sets,
    implied_timescales,
    passage_times,
    stationary_distribution,
)
from trajlm.lstm.ensemble import EnsembleRecord
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.models.markov import MarkovModel
from trajlm.util.words import Fact, html, interval, listed, number

F64 = npt.NDArray[np.float64]
StateSet = int | Sequence[int]

# Parts that are left out in turn for an interval.
N_PARTS = 10
# Frames a run where the model does not say how much data it comes from.
DEFAULT_FRAMES = 100_000
# States and timescales that a notebook shows.
SHOWN = 5


@dataclass(frozen=True)
class Estimate:
    """A number or an array with its 95 % interval; all three are equal where it is exact.

    Parameters
    ----------
    value, low, high
        Of one shape.
    unit
        Of time; empty for probabilities.
    why
        Why it is not reliable, in a sentence; empty where it is.
    n_events
        Number of independent events that it rests on, of the shape of `value` or one for all;
        None where it is exact or made of frames.
    """

    value: F64
    low: F64
    high: F64
    unit: str = ""
    why: str = ""
    n_events: F64 | None = None

    @property
    def reliable(self) -> bool:
        """Whether there is enough behind it to believe it within its interval."""
        return not self.why


class Kinetics(ABC):
    """Transition matrix, timescales, passages and equilibrium of one model.

    Lags are in frames of the model; times come out in its unit. States keep their numbers.

    Parameters
    ----------
    space
        The states, with dt and unit of the frames.
    """

    def __init__(self, space: StateSpace) -> None:
        self.space = space

    def facts(self) -> list[Fact]:
        """Return the populations and the slowest timescales, of the first states each."""
        shares = self.stationary_distribution()
        slow = self.timescales(1, min(SHOWN, self.space.n_states - 1))
        facts = [
            (f"population of {k}", _in_words(shares, k))
            for k in range(min(SHOWN, self.space.n_states))
        ]
        facts += [
            (f"timescale {k + 1}", f"{_in_words(slow, k)} {slow.unit}")
            for k in range(len(slow.value))
        ]
        return facts + ([("note", slow.why)] if slow.why else [])

    def _repr_html_(self) -> str:
        return html(f"{type(self).__name__} of {self.space.n_states} states", self.facts())

    @abstractmethod
    def transition_matrix(self, lag: int = 1) -> Estimate:
        """Return P(s(t + lag) = j | s(t) = i) in equilibrium, shape (n, n)."""

    @abstractmethod
    def stationary_distribution(self) -> Estimate:
        """Return the equilibrium populations, shape (n,)."""

    @abstractmethod
    def mfpt(self, source: StateSet, target: StateSet) -> Estimate:
        """Return the mean first-passage time from the source states to the target states.

        A passage begins with the first frame in the source after one in the target, as
        `trajlm.analysis.mean_first_passage_time` counts it. Between single states that is the
        usual definition; deeptime starts a larger source from its equilibrium instead.

        Raises
        ------
        InputError
            An empty set, a state that does not exist, or one that is in both sets.
        """

    @abstractmethod
    def timescales(self, lag: int = 1, n: int | None = None) -> Estimate:
        """Return the implied timescales ``-lag dt / ln |lambda_k|`` of the matrix at `lag`.

        Parameters
        ----------
        lag
            In frames.
        n
            How many of the slowest ones; all n_states - 1 when None.
        """

    def markov_state_model(self, lag: int = 1, reversible: bool = True) -> Any:
        """Return deeptime's MarkovStateModel of the transition matrix at `lag`.

        All that deeptime does with one (PCCA+, committors, its plots) can follow; its times
        are in frames.

        Parameters
        ----------
        lag
            In frames.
        reversible
            Average each flow pi_i T_ij with its reverse, as equilibrium demands and PCCA+ needs.
        """
        from deeptime.markov.msm import MarkovStateModel

        matrix = self.transition_matrix(lag).value
        if reversible:
            flow = stationary_distribution(matrix)[:, None] * matrix
            flow = flow + flow.T
            matrix = flow / flow.sum(axis=1, keepdims=True)
        return MarkovStateModel(matrix, reversible=reversible or None, lagtime=lag)

    def _check_lag(self, lag: int) -> None:
        if lag < 1:
            raise InputError(f"lag {lag} is out of range: it is a number of frames from 1")


def kinetics(
    source: SequenceModel | StatesLike,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    n_threads: int | None = None,
) -> Kinetics:
    """Return the kinetics of a model, or of data.

    Parameters
    ----------
    source
        A Markov or hidden Markov model, which is solved exactly: intervals have no width, since
        the uncertainty of the fit is not in them. Any other model generates. States are
        counted as they are.
    n_runs, n_frames
        Trajectories generated and frames of each; as many frames as the model was trained on
        when None.
    seed
        Of the generation.
    n_threads
        That generate; all cores when None. The result is the same for any number.

    Examples
    --------
    >>> import numpy as np, trajlm
    >>> s = np.random.default_rng(0).integers(2, size=10_000)
    >>> exact = trajlm.kinetics(trajlm.fit_msm(s))
    >>> bool(abs(exact.mfpt(0, 1).value - 2) < 0.1)  # a fair coin, in frames
    True
    """
    if isinstance(source, MarkovModel):
        identity = np.eye(source.n_states)
        return ExactKinetics(
            source.transition_matrix, identity, source.space, source.stationary_distribution
        )
    if isinstance(source, HiddenMarkovModel):
        return ExactKinetics(
            source.transition_matrix, source.emission, source.space, source.stationary_distribution
        )
    if isinstance(source, SequenceModel):
        record = source.record
        known = DEFAULT_FRAMES
        if isinstance(record, LSTMRecord | ColumnLSTMRecord | EnsembleRecord):
            known = record.n_frames
        frames = n_frames or known
        return CountedKinetics(source.generate(frames, n_runs, seed, n_threads=n_threads))
    return CountedKinetics(as_states(source))


class ExactKinetics(Kinetics):
    """Kinetics of a hidden Markov chain; without a hidden layer the emission is the identity.

    Parameters
    ----------
    hidden
        Transition matrix between hidden states, shape (m, m).
    emission
        Probability of each state in each hidden state, shape (m, n).
    space
        The states.
    weights
        Probability of each hidden state where trajectories begin, shape (m,): what several sets
        that are never left are weighted by. The stationary distribution when None.
    """

    def __init__(
        self, hidden: F64, emission: F64, space: StateSpace, weights: F64 | None = None
    ) -> None:
        super().__init__(space)
        self.hidden, self.emission = hidden, emission
        self.closed = closed_sets(hidden)
        if (len(self.closed) == 1 and len(self.closed[0]) == len(hidden)) or weights is None:
            weights = stationary_distribution(hidden)
        self.weights = weights

    def transition_matrix(self, lag: int = 1) -> Estimate:
        """Return sum_hk pi_h E_hi (T^lag)_hk E_kj over its sum over j.

        For a state that is never shown from pi on, it is what the hidden chain says of it alone.
        """
        self._check_lag(lag)
        step = np.linalg.matrix_power(self.hidden, lag)
        shown = self.weights[:, None] * self.emission
        alone = self.emission / np.maximum(self.emission.sum(axis=0), 1e-300)
        shown = np.where(shown.sum(axis=0) > 0, shown, alone)
        joint = shown.T @ step @ self.emission
        return _exact(joint / joint.sum(axis=1, keepdims=True), why=self._why())

    def stationary_distribution(self) -> Estimate:
        """Return pi E; where several sets are never left, as trajectories begin."""
        return _exact(self.weights @ self.emission, why=self._why())

    def timescales(self, lag: int = 1, n: int | None = None) -> Estimate:
        """Return the implied timescales of the exact matrix at `lag`.

        They are infinite between sets that no step joins.
        """
        matrix = self.transition_matrix(lag).value
        moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1][1:]
        moduli[: len(closed_sets(matrix)) - 1] = 1.0
        times = implied_timescales(np.minimum(moduli, 1.0), lag)[:n] * self.space.dt
        return _exact(times, self.space.unit, self._why())

    def mfpt(self, source: StateSet, target: StateSet) -> Estimate:
        """Solve the passage in the hidden chain.

        With b_k the probability that hidden state k shows a target state, the mean time u_h to
        see one from h is u = 1 + T ((1 - b) u). Where a passage begins follows from the chain of
        first sights of source and target in turn; where the source is not seen again from the
        target, from the weights. It is infinite where the target may never be seen, and NaN where
        the source never is.
        """
        index = [_members(s, self.space.n_states) for s in (source, target)]
        if set(index[0]) & set(index[1]):
            raise InputError(f"the target states {index[1]} hold a state of the source")
        shows_source, shows_target = (self.emission[:, i].sum(axis=1) for i in index)
        unit = self.space.unit
        times = passage_times(self.hidden, shows_target)
        returns = passage_times(self.hidden, shows_source)
        start = self.weights * shows_source
        if not start.any():
            return _exact(np.nan, unit, f"{name_states(np.array(index[0]))} is never visited")
        if np.isfinite(times).all() and np.isfinite(returns).all():
            towards_target = _first_sight(self.hidden, shows_target)
            start = stationary_distribution(
                towards_target @ _first_sight(self.hidden, shows_source)
            )
        value = float(start[start > 0] @ times[start > 0] / start.sum())
        why = ""
        if np.isinf(value):
            sets = [name_states(np.array(i)) for i in index]
            why = f"the steps that the model knows do not always lead from {sets[0]} to {sets[1]}"
        return _exact(value * self.space.dt, unit, why)

    def _why(self) -> str:
        """Say which states are never left, where these are not all."""
        if len(self.closed) == 1 and len(self.closed[0]) == len(self.hidden):
            return ""
        shown = [np.flatnonzero(self.emission[c].max(axis=0) > 0.5) for c in self.closed]
        sets = listed([name_states(k) for k in shown if len(k)])
        return f"no step leads out of {sets}" if sets else "a set of hidden states is never left"


class CountedKinetics(Kinetics):
    """Kinetics counted from trajectories, with intervals over parts that are left out in turn.

    Parameters
    ----------
    states
        Generated or measured trajectories.
    """

    def __init__(self, states: States) -> None:
        super().__init__(states.space)
        self.states = states

    def transition_matrix(self, lag: int = 1) -> Estimate:
        """Return the normalised counts, see `trajlm.analysis.transitions.transition_matrix`."""
        self._check_lag(lag)
        return self._jackknife(lambda s: counted_transition_matrix(s, lag), 0.0, 1.0)

    def stationary_distribution(self) -> Estimate:
        """Return the share of frames; intervals as `trajlm.analysis.population_intervals`."""
        return Estimate(populations(self.states), *population_intervals(self.states))

    def timescales(self, lag: int = 1, n: int | None = None) -> Estimate:
        """Return the implied timescales of the counted matrix at `lag`.

        See `trajlm.analysis.counted_timescales`.
        """
        self._check_lag(lag)
        found = counted_timescales(self.states, lag, n)
        return Estimate(found.values, found.low, found.high, found.unit, found.why, found.n_events)

    def mfpt(self, source: StateSet, target: StateSet) -> Estimate:
        """Return what `trajlm.analysis.stationary_first_passage_time` finds."""
        found = stationary_first_passage_time(self.states, source, target)
        value, low, high = (np.asarray(x) for x in (found.mean, found.low, found.high))
        events = np.asarray(found.n_events, dtype=np.float64)
        return Estimate(value, low, high, self.space.unit, found.why, events)

    def _jackknife(
        self, of: Callable[[States], F64], least: float, most: float, unit: str = ""
    ) -> Estimate:
        """Return `of` all data, and Student's t interval from leaving out each part in turn."""
        from scipy.special import stdtrit

        states = self.states
        parts = [list(part) for part in independent_parts(states, N_PARTS)]
        value, n = of(states), len(parts)
        if n < 2:
            return Estimate(value, np.full_like(value, least), np.full_like(value, most), unit)
        left_out = np.array(
            [
                of(states.with_trajectories([s for j in range(n) if j != k for s in parts[j]]))
                for k in range(n)
            ]
        )
        half = stdtrit(n - 1, 0.975) * jackknife_error(left_out)
        low, high = (np.clip(value + sign * half, least, most) for sign in (-1, 1))
        return Estimate(value, low, high, unit)


def _in_words(found: Estimate, k: int) -> str:
    value, low, high = (float(x[k]) for x in (found.value, found.low, found.high))
    return number(value) if low == high else f"{number(value)} {interval(low, high)}"


def _exact(value: npt.ArrayLike, unit: str = "", why: str = "") -> Estimate:
    array = np.asarray(value, dtype=np.float64)
    return Estimate(array, array, array, unit, why)


def _members(states: StateSet, n_states: int) -> list[int]:
    index = sorted({int(k) for k in np.atleast_1d(np.asarray(states, dtype=np.int64))})
    if not index or index[0] < 0 or index[-1] >= n_states:
        raise InputError(f"the states {index} are not some of the states 0 to {n_states - 1}")
    return index


def _first_sight(hidden: F64, shows: F64) -> F64:
    """Return the probability that from h the set is first seen in hidden state k, shape (m, m)."""
    return np.asarray(np.linalg.solve(np.eye(len(hidden)) - hidden * (1 - shows), hidden * shows))
