"""One language model for a series of conditions, such as temperatures, forces or concentrations.

The condition x, scaled to c = (x - centre) / spread of the values that were trained on, enters the
network with the present state: its vector is E[s] + c F[s], and its row of the skip B[s] + c G[s],
so that log-odds of steps are linear in the condition but for what the memory makes of it (as those
of an Arrhenius or Bell law are). What calibration adds at the values that were trained on is joined
by straight lines. At any one condition all this is a plain language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from trajlm.data import States, StatesLike, StateSpace
from trajlm.errors import InputError
from trajlm.lstm.generation.blocks import checked_starts
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.record import LSTMRecord
from trajlm.lstm.weights import LSTMWeights, read_weights
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.files import Tensors
from trajlm.models.record import ModelRecord
from trajlm.util.arrays import F32, F64, IntArray
from trajlm.util.checked import FROZEN, Name, Number
from trajlm.util.words import Fact, listed, number

MOST_CONDITIONS = 1000


@checked_dataclass(frozen=True, config=FROZEN)
class ConditionalRecord(ModelRecord):
    """How a model of a series was trained.

    Parameters
    ----------
    condition
        What was varied, such as force.
    values
        At which it was trained, increasing.
    training
        How, on the data of all conditions; its baselines are Markov models of each condition.
    """

    condition: Name
    values: tuple[Number, ...]
    training: LSTMRecord
    kind: Literal["conditional"] = "conditional"
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not 2 <= len(self.values) <= MOST_CONDITIONS or (np.diff(self.values) <= 0).any():
            raise ValueError("the conditions are not two or more that increase")
        return self

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.training.seed

    def facts(self) -> list[Fact]:
        """Return the conditions and how the training went, as names and values."""
        values = listed([number(value, 4) for value in self.values])
        return [("conditions", f"{self.condition} = {values}"), *self.training.facts()]


@dataclass(frozen=True)
class ConditionalWeights:
    """The arrays of a network of a series.

    Parameters
    ----------
    middle
        Those at the centre of the conditions.
    embedding_slope, skip_slope
        F and G, shapes (n_states, M) and (n_states, n_states).
    readout_corrections, skip_corrections
        What calibration adds to D and B at each condition that was trained on, shapes
        (K, n_states, L) and (K, n_states, n_states).
    """

    middle: LSTMWeights
    embedding_slope: F32
    skip_slope: F32
    readout_corrections: F32
    skip_corrections: F32

    def __post_init__(self) -> None:
        K = len(self.skip_corrections)
        expected = {
            "embedding_slope": self.middle.embedding.shape,
            "skip_slope": self.middle.skip.shape,
            "readout_corrections": (K, *self.middle.readout.shape),
            "skip_corrections": (K, *self.middle.skip.shape),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    def at(self, c: float, between: F64) -> LSTMWeights:
        """Return the weights at one condition.

        Parameters
        ----------
        c
            The condition as scaled.
        between
            The weight of each condition that was trained on, shape (K,).
        """
        w = self.middle

        def corrected(values: F32, corrections: F32) -> F32:
            return (values + np.tensordot(between, corrections, 1)).astype(np.float32)

        return replace(
            w,
            embedding=(w.embedding + c * self.embedding_slope).astype(np.float32),
            readout=corrected(w.readout, self.readout_corrections),
            skip=corrected(w.skip + np.float32(c) * self.skip_slope, self.skip_corrections),
        )


def scaled_conditions(values: npt.ArrayLike) -> tuple[float, float]:
    """Return centre and spread of the conditions that are trained on."""
    x = np.unique(np.asarray(values, dtype=np.float64))
    return float(x.mean()), float(x.std())


class ConditionalModel(SequenceModel):
    """A language model of a series of conditions; `at` makes a plain model of it at any of them.

    Parameters
    ----------
    weights
        The network's arrays.
    space
        The states, the same at all conditions.
    starts
        For each condition that was trained on, stretches of its data that lanes begin from.
    record
        The conditions, and how it was trained.
    """

    kind = "conditional"
    record_type = ConditionalRecord
    record: ConditionalRecord

    def __init__(
        self,
        weights: ConditionalWeights,
        space: StateSpace,
        starts: tuple[tuple[IntArray, ...], ...],
        record: ConditionalRecord,
    ) -> None:
        super().__init__(space, record)
        self.weights = weights
        self.starts = starts

    @property
    def condition(self) -> str:
        """What was varied."""
        return self.record.condition

    @property
    def values(self) -> F64:
        """The conditions that were trained on, increasing, shape (K,)."""
        return np.array(self.record.values)

    def at(self, value: float, extrapolate: bool = False) -> LSTMModel:
        """Return the plain language model at one condition.

        Parameters
        ----------
        value
            The condition, from the least to the largest that was trained on.
        extrapolate
            Whether it may lie beyond.

        Raises
        ------
        InputError
            A condition beyond those that were trained on, without `extrapolate`.
        """
        low, high = self.values[[0, -1]]
        if not np.isfinite(value) or not (extrapolate or low <= value <= high):
            raise InputError(
                f"{self.condition} = {number(float(value), 6)} is beyond the conditions that the "
                f"model was trained on, {number(low, 6)} to {number(high, 6)}, where nothing tells "
                "whether it is right: extrapolation has to be asked for"
            )
        centre, spread = scaled_conditions(self.values)
        between = _between(self.values, value)
        with np.errstate(all="ignore"):
            weights = self.weights.at((value - centre) / spread, between)
        if not all(np.isfinite(x).all() for x in weights.arrays().values()):
            raise InputError(
                f"{self.condition} = {number(float(value), 6)} is so far from the conditions that "
                "the model was trained on that its weights are no numbers: give one nearer to them"
            )
        record = replace(self.record.training, condition=(self.condition, float(value)))
        return LSTMModel(weights, self.space, self._starts_at(between), record)

    def _starts_at(self, between: F64) -> tuple[IntArray, ...]:
        """Return stretches of the conditions on both sides, as many of each as it is near."""
        return tuple(
            s
            for own, share in zip(self.starts, between, strict=True)
            for s in own[: max(round(share * len(own)), share > 0)]
        )

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
        condition: float | None = None,
        extrapolate: bool = False,
    ) -> States:
        """Return trajectories at one condition, which has to be given.

        Parameters
        ----------
        n_steps, n_lanes, seed, start, progress, n_threads
            As of `LSTMModel.generate`.
        condition, extrapolate
            As of `at`.

        Raises
        ------
        InputError
            No condition, or one beyond those that were trained on, and as `LSTMModel.generate`.
        """
        if condition is None:
            raise self._unsaid()
        model = self.at(condition, extrapolate)
        return model.generate(n_steps, n_lanes, seed, start, progress, n_threads)

    def _unsaid(self) -> InputError:
        low, high = (number(float(x), 6) for x in self.values[[0, -1]])
        return InputError(
            f"the model is one of a series of conditions: say at which {self.condition}, from "
            f"{low} to {high}"
        )

    def _log_probs(self, trajectory: IntArray) -> F64:
        raise self._unsaid()

    def _next_state_probabilities(self, past: IntArray) -> F64:
        raise self._unsaid()

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        w = self.weights
        stretches = [s for own in self.starts for s in own]
        arrays: Tensors = {
            "start_states": np.concatenate(stretches),
            "start_lengths": np.array([len(s) for s in stretches], dtype=np.int64),
            "start_counts": np.array([len(own) for own in self.starts], dtype=np.int64),
            **{f"weights.{k}": v for k, v in w.middle.arrays().items()},
            **{k: v for k, v in vars(w).items() if k != "middle"},
        }
        sizes = {
            "embedding_dim": int(w.middle.embedding.shape[1]),
            "hidden_dim": int(w.middle.readout.shape[1]),
            "conditions": len(self.starts),
        }
        return sizes, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: ConditionalRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> ConditionalModel:
        """Rebuild a model from what `to_arrays` returned."""
        if record is None:
            raise ValueError("a model of a series without its conditions")
        middle = read_weights(arrays, "weights.")
        names = ("embedding_slope", "skip_slope", "readout_corrections", "skip_corrections")
        plain = [arrays[name].astype(np.float32, copy=False) for name in names]
        weights = ConditionalWeights(middle, *plain)
        if not all(np.isfinite(v).all() for v in plain):
            raise ValueError("a weight is not a finite number")
        if not middle.embedding.shape[0] == middle.readout.shape[0] == space.n_states:
            raise ValueError("the embedding has another number of states than the model")
        stretches = checked_starts(arrays, space.n_states)
        counts = arrays["start_counts"]
        fits = counts.shape == (len(record.values),) == weights.skip_corrections.shape[:1]
        # None beyond all, or their sum could wrap around.
        if (
            not fits
            or counts.dtype.kind != "i"
            or not 1 <= counts.min() <= counts.max() <= len(stretches)
        ):
            raise ValueError("the starting stretches or corrections do not fit the conditions")
        if int(counts.sum()) != len(stretches):
            raise ValueError("the starting stretches or corrections do not fit the conditions")
        cuts = np.cumsum(counts)
        starts = tuple(
            stretches[end - n : end] for n, end in zip(counts.tolist(), cuts.tolist(), strict=True)
        )
        return cls(weights, space, starts, record)


def _between(values: F64, value: float) -> F64:
    """Return how near a condition is to each one trained on: 1 in all, of two neighbours."""
    return np.array([np.interp(value, values, own) for own in np.eye(len(values))])
