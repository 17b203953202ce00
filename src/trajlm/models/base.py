"""What every model of a state sequence can do: score, generate, save and load."""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from trajlm.data import States, StatesLike, StateSpace, as_states, as_trajectory
from trajlm.discretize import Discretizer, discretizer_of, find_difference
from trajlm.errors import InputError
from trajlm.models.files import ModelContent, Tensors, write_model
from trajlm.models.record import ModelRecord
from trajlm.util.arrays import F64, IntArray
from trajlm.util.words import Fact, counted, duration, html

Progress = Callable[[int], None]

# States that one call may generate: beyond, no machine holds them.
LARGEST_RESULT = 10**13


class SequenceModel(ABC):
    """The probability of the next state given the past, whatever the model behind it.

    Subclasses set `kind` and implement `_log_probs`, `_next_state_probabilities`, `generate`,
    `to_arrays` and `from_arrays`;
    scoring, checking and files are shared, so that one comparison serves all models.

    Parameters
    ----------
    space
        The states that the model speaks about, with dt and unit of its steps.
    record
        How the model was made (settings, history, seed); None where that is not known.
    """

    kind: str
    record_type: type[ModelRecord]

    def __init__(self, space: StateSpace, record: ModelRecord | None = None) -> None:
        self.space = space
        self.record = record

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.space.n_states

    @abstractmethod
    def _log_probs(self, trajectory: IntArray) -> F64:
        """Return ln Q(s(t+1) | s(0..t)) for t = 0..T-2."""

    @abstractmethod
    def _next_state_probabilities(self, past: IntArray) -> F64:
        """Return Q(s(t+1) = k | s(0..t)) for each state k, unnormalised, for a past of t + 1."""

    @abstractmethod
    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
    ) -> States:
        """Return `n_lanes` independent trajectories of `n_steps` frames.

        Parameters
        ----------
        start
            None: as the data was found; an integer: the state before the first frame, with no
            past; States: stretches of that data, as far as the model has a past.
        progress
            Called now and then with the number of frames made since the last call.
        n_threads
            Threads at most, all cores when None; they do not change the result. Markov models
            use one.
        """

    @abstractmethod
    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes that fit in JSON, without n_states, and the arrays that define the model."""

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, space: StateSpace, record: Any, sizes: Mapping[str, Any], arrays: Tensors
    ) -> SequenceModel:
        """Rebuild a model from what `to_arrays` returned; `record` is of its `record_type`."""

    def with_record(self, record: ModelRecord) -> Self:
        """Return the same model with another record of how it was made."""
        model = copy.copy(self)
        model.record = record
        return model

    @property
    def discretizer(self) -> Discretizer:
        """What cuts other features as the data of the model was cut.

        Raises
        ------
        InputError
            It is not known how the states were made, or they are groups of others.
        """
        return discretizer_of(self.space)

    def log_probs(self, states: StatesLike) -> list[F64]:
        """Return ln Q(s(t+1) | s(0..t)) for every frame but the first of each trajectory.

        Raises
        ------
        InputError
            A state that the model does not know, states cut in another way than those it
            learned, or frames of another dt than its steps.
        """
        data = as_states(states)
        self._check_known(data)
        return [self._log_probs(s) for s in data.trajectories]

    def next_state_probabilities(self, past: StatesLike) -> F64:
        """Return Q(s(t+1) = k | s(0..t)) for each state k: the next step, given the whole past.

        Parameters
        ----------
        past
            The states from the first frame to the present one, shape (t + 1,), one at least; or
            States of one trajectory. A Markov model looks at the last one only.

        Returns
        -------
        ndarray, shape (n_states,)
            Sums to one.

        Raises
        ------
        InputError
            Several trajectories, a state that the model does not know, states cut in another
            way than those it learned, or a past that cannot occur.
        """
        known = as_trajectory(past)
        if isinstance(past, States):
            self._check_known(past)
        self._check_numbers([known])
        weights = self._next_state_probabilities(known)
        total = weights.sum()
        if not total > 0:
            raise InputError("this past cannot occur in the model: its probability is zero")
        return np.asarray(weights / total)

    def log_prob(self, states: StatesLike) -> float:
        """Return ln Q of the whole data given the first state of each trajectory, in nats."""
        return float(sum(x.sum() for x in self.log_probs(states)))

    def cross_entropy(self, states: StatesLike) -> float:
        """Return J = -(1/T) sum_t ln Q(s(t+1) | s(0..t)) over all transitions, nats per frame."""
        data = as_states(states)
        return -self.log_prob(data) / data.n_transitions

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``model.safetensors`` and ``model.json``.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        own_sizes, arrays = self.to_arrays()
        sizes = {"n_states": self.n_states, **own_sizes}
        record = self.record.to_dict() if self.record else None
        seed = self.record.seed if self.record else None
        content = ModelContent(self.kind, self.space, record, sizes, arrays, seed)
        write_model(Path(folder), content)

    def facts(self) -> list[Fact]:
        """Return what the model is and how it was made, as names and values."""
        space = self.space
        sizes = {"n_states": self.n_states, **self.to_arrays()[0]}
        facts = [
            (self.kind, ", ".join(f"{k} {v}" for k, v in sizes.items())),
            ("time", f"{duration(space.dt, space.unit)} per frame"),
            ("states", f"{space.n_states}, {space.discretization.describe() or 'as given'}"),
        ]
        made = self.record.facts() if self.record else []
        return facts + made + space.discretization.facts()

    def __repr__(self) -> str:
        space = self.space
        states = counted(self.n_states, "state", "states")
        return f"{type(self).__name__}({states}, {duration(space.dt, space.unit)} per frame)"

    def _repr_html_(self) -> str:
        return html(type(self).__name__, self.facts())

    def _check_known(self, data: States) -> None:
        """Refuse states that the model does not know, or that mean others, and another dt.

        Data in frames may be scored by a model that knows their time.
        """
        self._check_numbers(data.trajectories)
        space = self.space
        if different := find_difference(space, data.space):
            raise InputError(
                f"the model's states are {different[0]}, the data's are {different[1]}: use the "
                "discretisation it was trained with"
            )
        untimed = data.unit == "frame" and space.unit != "frame"
        if not untimed and (not np.isclose(data.dt, space.dt) or data.unit != space.unit):
            raise InputError(
                f"the model makes one step each {space.dt:g} {space.unit} but the data has one "
                f"frame each {data.dt:g} {data.unit}: use data of the same dt"
            )

    def _check_numbers(self, trajectories: Sequence[IntArray]) -> None:
        for i, s in enumerate(trajectories):
            if s.max() >= self.n_states:
                frame = int(np.argmax(s >= self.n_states))
                raise InputError(
                    f"state {int(s[frame])} in trajectory {i}, frame {frame} is unknown to this "
                    f"model of {self.n_states} states: use the discretisation it was trained with"
                )

    def check_lanes(
        self, n_steps: int, n_lanes: int, seed: int, start: int | StatesLike | None
    ) -> int | States | None:
        """Return `start` as a plain integer, States or None.

        Raises
        ------
        InputError
            Steps, lanes, seed or start out of range.
        """
        if n_steps < 2 or n_lanes < 1:
            raise InputError(
                f"{counted(n_steps, 'step', 'steps')} in {counted(n_lanes, 'lane', 'lanes')} "
                "were asked for: at least 2 steps and 1 lane are needed"
            )
        if n_steps * n_lanes > LARGEST_RESULT:
            raise InputError(
                f"{n_steps} steps in {counted(n_lanes, 'lane', 'lanes')} are more than memory "
                "holds: ask for fewer"
            )
        if seed < 0:
            raise InputError(f"the seed is {seed}: give 0 or a positive whole number")
        if start is None:
            return None
        try:
            state = operator.index(start)  # type: ignore[arg-type]
        except TypeError:
            data = as_states(cast("StatesLike", start))
            self._check_known(data)
            return data
        if not 0 <= state < self.n_states:
            raise InputError(
                f"start state {state} is out of range: there are {self.n_states} states, "
                f"0 to {self.n_states - 1}"
            )
        return state
