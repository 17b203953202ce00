"""What the kinetics of any source answer, as numbers with intervals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trajlm.data import StateSpace
from trajlm.errors import InputError
from trajlm.kernels.stochastic import stationary_distribution
from trajlm.provenance import Grouped
from trajlm.util.arrays import F64
from trajlm.util.words import Fact, html, interval, number

StateSet = int | Sequence[int]

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
        shares, names = self.stationary_distribution(), self._names()
        slow = self.timescales(1, min(SHOWN, self.space.n_states - 1))
        facts = [
            (f"population of {name}", _in_words(shares, k)) for k, name in enumerate(names[:SHOWN])
        ]
        facts += [
            (f"timescale {k + 1}", f"{_in_words(slow, k)} {slow.unit}")
            for k in range(len(slow.value))
        ]
        return facts + ([("note", slow.why)] if slow.why else [])

    def _repr_html_(self) -> str:
        what = "groups" if isinstance(self.space.discretization.method, Grouped) else "states"
        return html(f"Kinetics of {self.space.n_states} {what}", self.facts())

    def _names(self) -> tuple[str, ...]:
        """Return the names of groups, with their numbers, or the numbers of states."""
        how = self.space.discretization.method
        numbers = tuple(str(k) for k in range(self.space.n_states))
        if not isinstance(how, Grouped) or len(how.names) != len(numbers) or how.names == numbers:
            return numbers
        return tuple(f"{k}, {name}" for k, name in zip(numbers, how.names, strict=True))

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

    @abstractmethod
    def dwell_times(self) -> Estimate:
        """Return the mean time of one stay in each state, shape (n,); NaN where there is none."""

    @abstractmethod
    def committed_rates(self, commit_time: int = 1) -> Estimate:
        """Return the transitions i -> j between stays of a commit time at least, shape (n, n).

        They are counted as `trajlm.analysis.committed_transitions` does, per unit of the total
        time; zero on the diagonal.

        Parameters
        ----------
        commit_time
            In frames.
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

    def _check_lag(self, lag: int, name: str = "lag") -> None:
        if lag < 1:
            raise InputError(f"{name} {lag} is out of range: it is a number of frames from 1")


def state_set(states: StateSet, n_states: int) -> list[int]:
    """Return the states of a set, each once, in order.

    Raises
    ------
    InputError
        An empty set, or a state that does not exist.
    """
    index = sorted({int(k) for k in np.atleast_1d(np.asarray(states, dtype=np.int64))})
    if not index or index[0] < 0 or index[-1] >= n_states:
        raise InputError(f"the states {index} are not some of the states 0 to {n_states - 1}")
    return index


def _in_words(found: Estimate, k: int) -> str:
    value, low, high = (float(x[k]) for x in (found.value, found.low, found.high))
    return number(value) if low == high else f"{number(value)} {interval(low, high)}"
