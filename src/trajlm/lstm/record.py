"""How a language model was trained: frozen, typed, and written with a version."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from trajlm.lstm.calibration import Calibration, EarlierCalibration
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.record import ConstraintRecord, ModelRecord
from trajlm.util.checked import FROZEN, Count, Flag, Name, Number, Positive
from trajlm.util.words import Fact, counted

# The learning rate falls to zero as a cosine: the last tenth of the epochs is 0.2 % of its sum,
# and a training that had the epochs it needs gains next to nothing in them.
LAST_PART = 0.1
STILL_GAINED = 0.01
# Nats a frame below which a gain does not show in the four digits that are printed.
LEAST_GAIN = 1e-4


@dataclass(frozen=True, config=FROZEN)
class Baselines:
    """Nats a frame on the held-out stretch of two models without memory."""

    msm: Number
    independent: Number


@dataclass(frozen=True, config=FROZEN)
class EpochRecord:
    """Nats a frame after one epoch, and the seconds it took; of which column, where of several."""

    epoch: Positive
    training: Number
    validation: Number
    seconds: Number
    column: Name = ""

    def describe(self, epochs: int, baselines: Baselines) -> str:
        """Return the line that is shown after the epoch."""
        return (
            f"{self.column + ', ' if self.column else ''}epoch {self.epoch}/{epochs}: "
            f"{self.training:.4f} nats per frame, held out "
            f"{self.validation:.4f} (MSM {baselines.msm:.4f}, independent frames "
            f"{baselines.independent:.4f}), {self.seconds:.1f} s"
        )


@dataclass(frozen=True, config=FROZEN)
class Direction:
    """Whether the data was read in both directions of time, and why.

    Parameters
    ----------
    both_ways
        Whether half of the data is read backwards in each epoch.
    p_value
        Of the test for a direction of time; None where the user decided.
    """

    both_ways: Flag
    p_value: Number | None

    def describe(self) -> str:
        """Say it in a sentence."""
        read = "read both ways" if self.both_ways else "read forwards only"
        if self.p_value is None:
            return f"{read}, as set"
        if self.both_ways:
            return f"no direction of time in the data (p = {self.p_value:.2g}): {read}"
        return (
            f"a direction of time in the data (p = {self.p_value:.2g}): {read}. One set of "
            "equilibrium data in a hundred shows one by chance: set it as reversible if it is one"
        )


@dataclass(frozen=True, config=FROZEN)
class Rounding:
    """How the recurrent weights were rounded.

    Parameters
    ----------
    hidden_dim, n_fine
        Units, and how many of them keep a byte and a half.
    n_frames
        Frames that were looked at, at each temperature.
    changes
        The largest change of a log probability on those at 1 and on hot ones.
    """

    hidden_dim: Positive
    n_fine: Count
    n_frames: Count
    changes: tuple[Number, Number]

    def describe(self) -> str:
        """Say in a line what was done and what it changes."""
        own, hot = self.changes
        fine = f", those of {self.n_fine} of {self.hidden_dim} units of 12" if self.n_fine else ""
        return (
            f"generation reads recurrent weights of 8 bits{fine}, where the machine multiplies "
            f"bytes: log probabilities within {own:.1e} of those of the trained weights on "
            f"{self.n_frames:,} frames of its own, {hot:.1e} on hotter ones"
        )


@dataclass(frozen=True, config=FROZEN)
class LSTMRecord(ModelRecord):
    """How a language model was trained.

    Parameters
    ----------
    settings
        All but the data that decided the training.
    n_frames, n_trajectories, data_sha256
        Size and digest of the data.
    best_epoch
        The epoch (from 1) whose weights the model has.
    history
        Every epoch, in order.
    baselines
        What models without memory reach on the held-out stretch.
    direction
        Whether the data was read both ways; None in files from before it was tested.
    rounding, calibration
        What was done after the last epoch, where it was.
    constrained
        What the model was constrained to after the training, one after another.
    condition
        At which of a series of conditions a model of all of them was taken.
    """

    settings: TrainingSettings
    n_frames: Count
    n_trajectories: Count
    best_epoch: Positive
    history: tuple[EpochRecord, ...]
    baselines: Baselines
    data_sha256: Name = ""
    direction: Direction | None = None
    rounding: Rounding | None = None
    calibration: Calibration | EarlierCalibration | None = None
    constrained: tuple[ConstraintRecord, ...] = ()
    condition: tuple[Name, Number] | None = None
    kind: Literal["lstm"] = "lstm"
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_history(self.history)
        if self.best_epoch > len(self.history):
            raise ValueError(f"the best of {len(self.history)} epochs is none of them")
        return self

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights the model has."""
        return self.history[self.best_epoch - 1]

    @property
    def held_out_nats(self) -> float:
        """Nats per frame of the model on the held-out stretch."""
        return self.best.validation

    @property
    def msm_nats(self) -> float:
        """Those of the Markov state model."""
        return self.baselines.msm

    @property
    def n_epochs(self) -> int:
        """Epochs that ran."""
        return len(self.history)

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.settings.seed

    def facts(self) -> list[Fact]:
        """Return what the model was trained on and how it went, as names and values."""
        facts = [
            (
                "trained on",
                f"{counted(self.n_trajectories, 'trajectory', 'trajectories')}, "
                f"{self.n_frames:,} frames, {counted(len(self.history), 'epoch', 'epochs')}, "
                f"seed {self.settings.seed}",
            ),
            (
                "held-out stretch",
                f"{self.best.validation:.4f} nats per frame (MSM {self.baselines.msm:.4f}, "
                f"independent frames {self.baselines.independent:.4f})",
            ),
        ]
        if self.condition:
            facts.append(("taken at", f"{self.condition[0]} = {self.condition[1]:g}"))
        if unfinished := still_improving(self):
            facts.append(("training", unfinished))
        if self.direction:
            facts.append(("direction of time", self.direction.describe()))
        if self.rounding:
            facts.append(("rounding", self.rounding.describe()))
        if self.calibration:
            facts.append(("calibration", self.calibration.describe()))
        return facts + [fact for made in self.constrained for fact in made.facts()]


@dataclass(frozen=True, config=FROZEN)
class ColumnLSTMRecord(ModelRecord):
    """How a language model of tokens of several columns was trained.

    Parameters
    ----------
    columns
        How each column's network was.
    """

    columns: tuple[LSTMRecord, ...]
    kind: Literal["lstm-columns"] = "lstm-columns"
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _of_some(self) -> Self:
        if not self.columns:
            raise ValueError("there is no column")
        return self

    @property
    def settings(self) -> TrainingSettings:
        """All but the data that decided the training."""
        return self.columns[0].settings

    @property
    def data_sha256(self) -> str:
        """Digest of the data."""
        return self.columns[0].data_sha256

    @property
    def n_frames(self) -> int:
        """Frames of the data."""
        return self.columns[0].n_frames

    @property
    def n_trajectories(self) -> int:
        """Trajectories of the data."""
        return self.columns[0].n_trajectories

    @property
    def direction(self) -> Direction | None:
        """Whether the data was read both ways."""
        return self.columns[0].direction

    @property
    def rounding(self) -> None:
        """Weights of several columns are not rounded."""
        return None

    @property
    def calibration(self) -> Calibration | EarlierCalibration | None:
        """What was matched after the last epoch, by the first column."""
        return self.columns[0].calibration

    @property
    def held_out_nats(self) -> float:
        """Nats per frame of the model on the held-out stretch, of all columns together."""
        return sum(column.held_out_nats for column in self.columns)

    @property
    def msm_nats(self) -> float:
        """Those of the Markov state model."""
        return sum(column.msm_nats for column in self.columns)

    @property
    def n_epochs(self) -> int:
        """Epochs that ran, of the column that took most."""
        return max(column.n_epochs for column in self.columns)

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.settings.seed

    def facts(self) -> list[Fact]:
        """Return what the model was trained on and how it went, as names and values."""
        own = {"held-out stretch", "training"}
        facts = [fact for fact in self.columns[0].facts() if fact[0] not in own]
        parts = ", ".join(
            f"{column.held_out_nats:.4f} of the {column.best.column}" for column in self.columns
        )
        nats = f"{self.held_out_nats:.4f} nats per frame (MSM {self.msm_nats:.4f}; {parts})"
        facts.insert(1, ("held-out stretch", nats))
        if unfinished := still_improving(self):
            facts.append(("training", unfinished))
        return facts


@dataclass(frozen=True, config=FROZEN)
class CheckpointRecord(ModelRecord):
    """What a resumed training knows besides its weights.

    Parameters
    ----------
    settings, history, data_sha256
        As in `LSTMRecord`; the history is empty before the first epoch.
    computed_by
        The compiled loops, or the kind of device, that ran; empty in older files.
    """

    settings: TrainingSettings
    history: tuple[EpochRecord, ...]
    data_sha256: Name
    computed_by: Name = ""
    kind: Literal["checkpoint"] = "checkpoint"
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _whole(self) -> Self:
        # One that is written before the first epoch has no history yet.
        if self.history:
            _check_history(self.history)
        return self


def _check_history(history: tuple[EpochRecord, ...]) -> None:
    if [epoch.epoch for epoch in history] != list(range(1, len(history) + 1)):
        raise ValueError("the epochs of the history are not all of them, in order")


def still_improving(record: ModelRecord | None) -> str:
    """Say that the limit of epochs ended a training too early; nothing where it did not.

    That the last epoch is the best is no sign of it, since the learning rate falls to zero
    towards the last. It is where the held-out nats fell, in the last tenth of the epochs (one at
    least), by more than 1 % of all that was gained since the start: the higher of the MSM, where
    the bigram skip starts, and the first epoch.
    """
    if isinstance(record, ColumnLSTMRecord):
        return next(filter(None, map(still_improving, record.columns)), "")
    if not isinstance(record, LSTMRecord):
        return ""
    n = len(record.history)
    if n < record.settings.epochs or record.best_epoch < n:
        return ""
    held_out = [epoch.validation for epoch in record.history]
    start = max(record.baselines.msm, held_out[0])
    before = [start, *held_out][-1 - max(1, round(LAST_PART * n))]
    gain = before - held_out[-1]
    if gain < max(STILL_GAINED * (start - held_out[-1]), LEAST_GAIN):
        return ""
    return f"stopped at epoch {n}, the most allowed, while still improving: more epochs may help"
