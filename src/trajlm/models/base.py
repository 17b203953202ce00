"""What every model of a state sequence can do: score, generate, save and load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import IntArray, States, StateSpace, as_states
from trajlm.errors import InputError

Progress = Callable[[int], None]
Tensors = dict[str, npt.NDArray[Any]]


class SequenceModel(ABC):
    """The probability of the next state given the past, whatever the model behind it.

    Subclasses set `kind` and implement `_log_probs`, `generate`, `to_arrays` and `from_arrays`;
    scoring, checking and files are shared, so that one comparison serves all models.

    Parameters
    ----------
    space
        The states that the model speaks about, with dt and unit of its steps.
    record
        How the model was made (settings, history, seed), as plain values that fit in JSON.
    """

    kind: str

    def __init__(self, space: StateSpace, record: Mapping[str, Any] | None = None) -> None:
        self.space = space
        self.record: dict[str, Any] = dict(record or {})

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.space.n_states

    @abstractmethod
    def _log_probs(self, trajectory: IntArray) -> npt.NDArray[np.float64]:
        """Return ln Q(s(t+1) | s(0..t)) for t = 0..T-2."""

    @abstractmethod
    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | States | None = None,
        progress: Progress | None = None,
    ) -> States:
        """Return `n_lanes` independent trajectories of `n_steps` frames.

        Parameters
        ----------
        start
            None: as the data was found; an integer: the state before the first frame.
        progress
            Called now and then with the number of frames made since the last call.
        """

    @abstractmethod
    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes that fit in JSON, and the arrays that define the model."""

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, space: StateSpace, record: Mapping[str, Any], sizes: Mapping[str, Any], arrays: Tensors
    ) -> SequenceModel:
        """Rebuild a model from what `to_arrays` returned."""

    def log_probs(
        self, states: States | IntArray | Sequence[IntArray]
    ) -> list[npt.NDArray[np.float64]]:
        """Return ln Q(s(t+1) | s(0..t)) for every frame but the first of each trajectory.

        Raises
        ------
        InputError
            A state that the model does not know.
        """
        data = as_states(states)
        for i, s in enumerate(data.trajectories):
            if s.max() >= self.n_states:
                frame = int(np.argmax(s >= self.n_states))
                raise InputError(
                    f"state {int(s[frame])} in trajectory {i}, frame {frame} is unknown to this "
                    f"model of {self.n_states} states: use the discretisation it was trained with"
                )
        return [self._log_probs(s) for s in data.trajectories]

    def log_prob(self, states: States | IntArray | Sequence[IntArray]) -> float:
        """Return ln Q of the whole data given the first state of each trajectory, in nats."""
        return float(sum(x.sum() for x in self.log_probs(states)))

    def cross_entropy(self, states: States | IntArray | Sequence[IntArray]) -> float:
        """Return J = -(1/T) sum_t ln Q(s(t+1) | s(0..t)) over all transitions, in nats a frame."""
        data = as_states(states)
        return -self.log_prob(data) / data.n_transitions

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``model.safetensors`` and ``model.json``.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        from trajlm.models.files import save_model

        save_model(self, Path(folder))

    def _check_lanes(self, n_steps: int, n_lanes: int, start: int | States | None) -> None:
        if n_steps < 2 or n_lanes < 1:
            raise InputError(
                f"{n_steps} steps in {n_lanes} lane(s) were asked for: "
                "at least 2 steps and 1 lane are needed"
            )
        if isinstance(start, int) and not 0 <= start < self.n_states:
            raise InputError(
                f"start state {start} is out of range: there are {self.n_states} states, "
                f"0 to {self.n_states - 1}"
            )
