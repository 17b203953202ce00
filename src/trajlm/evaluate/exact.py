"""Kinetics of Markov and hidden Markov models, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.transitions import name_states
from trajlm.data import StateSpace
from trajlm.errors import InputError
from trajlm.evaluate.estimates import Estimate, Kinetics, StateSet, state_set
from trajlm.kernels.stochastic import (
    closed_sets,
    implied_timescales,
    passage_times,
    stationary_distribution,
)
from trajlm.util.arrays import F64, I64
from trajlm.util.words import listed

# So close to one that no probability of staying is told apart from it.
ALMOST_ONE = 1 - 1e-14


@dataclass(frozen=True)
class _ShownPairs:
    """The pairs of a state and a hidden state that shows it, and the steps between them.

    Parameters
    ----------
    state
        Of each pair, shape (p,).
    weights
        Share of time, shape (p,).
    kept, left
        Probabilities of the steps that keep the state and of those that leave it, shape (p, p).
    n_states
        Number of states.
    """

    state: I64
    weights: F64
    kept: F64
    left: F64
    n_states: int

    def begun(self) -> F64:
        """Return the runs that begin in each pair, per frame."""
        return np.asarray(self.weights @ self.left)

    def of_states(self, values: F64) -> F64:
        """Return the sums of the last axis over the pairs of each state."""
        members = self.state[:, None] == np.arange(self.n_states)
        return np.asarray(values @ members)


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
        index = [state_set(s, self.space.n_states) for s in (source, target)]
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

    def dwell_times(self) -> Estimate:
        """Return the share of time in each state over the rate at which its stays begin."""
        pairs = self._shown_pairs()
        with np.errstate(divide="ignore", invalid="ignore"):
            frames = pairs.of_states(pairs.weights) / pairs.of_states(pairs.begun())
        return _exact(frames * self.space.dt, self.space.unit, self._why())

    def committed_rates(self, commit_time: int = 1) -> Estimate:
        r"""Solve for the committed transitions of the hidden chain.

        With the pairs (state k, hidden state h), the steps S between them, B those that keep the
        state and R = S - B the others: a run that begins in x reaches c frames in
        :math:`x B^{c-1}`, and the next one begins in :math:`x (1 - B)^{-1} R`. Runs that do not
        are passed over, so that from the begins u_i of runs in i

        .. math::

            k_{ij} = u_i B^{c-1} (1 - B)^{-1} R \,
                     [1 - (1 - B^{c-1}) (1 - B)^{-1} R]^{-1} (B^{c-1} 1)_j .
        """
        self._check_lag(commit_time, "commit time")
        pairs, n = self._shown_pairs(), self.space.n_states
        held = np.linalg.matrix_power(pairs.kept, commit_time - 1)
        identity = np.eye(len(held))
        # What is never left would leave nothing to divide by.
        followed = np.linalg.solve(identity - ALMOST_ONE * pairs.kept, pairs.left)
        committed = held.sum(axis=1)
        from_state = np.where(pairs.state == np.arange(n)[:, None], pairs.begun(), 0.0)
        after = from_state @ held @ followed
        passed_over = ALMOST_ONE * (identity - held) @ followed
        arrived = np.linalg.solve((identity - passed_over).T, after.T).T
        rates = pairs.of_states(arrived * committed)
        np.fill_diagonal(rates, 0.0)
        return _exact(rates / self.space.dt, f"1/{self.space.unit}", self._why())

    def _shown_pairs(self) -> _ShownPairs:
        shown, hidden = np.nonzero(self.emission.T > 0)
        of_pair = self.emission[hidden, shown]
        steps = self.hidden[np.ix_(hidden, hidden)] * of_pair
        same = shown[:, None] == shown
        return _ShownPairs(
            shown,
            self.weights[hidden] * of_pair,
            np.where(same, steps, 0.0),
            np.where(same, 0.0, steps),
            self.space.n_states,
        )

    def _why(self) -> str:
        """Say which states are never left, where these are not all."""
        if len(self.closed) == 1 and len(self.closed[0]) == len(self.hidden):
            return ""
        shown = [np.flatnonzero(self.emission[c].max(axis=0) > 0.5) for c in self.closed]
        sets = listed([name_states(k) for k in shown if len(k)])
        return f"no step leads out of {sets}" if sets else "a set of hidden states is never left"


def _exact(value: npt.ArrayLike, unit: str = "", why: str = "") -> Estimate:
    array = np.asarray(value, dtype=np.float64)
    return Estimate(array, array, array, unit, why)


def _first_sight(hidden: F64, shows: F64) -> F64:
    """Return the probability that from h the set is first seen in hidden state k, shape (m, m)."""
    return np.asarray(np.linalg.solve(np.eye(len(hidden)) - hidden * (1 - shows), hidden * shows))
