"""Several trainings as one model: the mixture of what they say of whole trajectories.

Member m gives a trajectory the probability Q_m, the ensemble the mean of these. So

    Q(s(t+1) | s(0..t)) = sum_m w_m(t) Q_m(s(t+1) | s(0..t)),   w_m(t) = Q_m(s(0..t)) / sum,

with the posterior w_m of each member given the past; and a trajectory that is drawn from the
ensemble is drawn from one of its members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from trajlm.data import States, StatesLike, StateSpace, smallest_unsigned
from trajlm.lstm.generation.blocks import Block
from trajlm.lstm.generation.lanes import lane_blocks, run_blocks
from trajlm.lstm.language import LanguageModel, language_model_from
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.files import Tensors
from trajlm.models.record import ModelRecord
from trajlm.util.arrays import F64, IntArray
from trajlm.util.checked import FROZEN
from trajlm.util.devices import threads_of
from trajlm.util.trajectories import owned
from trajlm.util.words import Fact, counted

# Members that a model file may hold.
MOST_MEMBERS = 1000


@dataclass(frozen=True, config=FROZEN)
class EnsembleRecord(ModelRecord):
    """How an ensemble was trained.

    Parameters
    ----------
    settings
        Those of the members, with the seed from which theirs follow.
    members
        How each was trained, on the same data.
    """

    settings: TrainingSettings
    members: tuple[LSTMRecord | ColumnLSTMRecord, ...]
    kind: Literal["ensemble"] = "ensemble"
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not 1 <= len(self.members) <= MOST_MEMBERS:
            raise ValueError(f"an ensemble has 1 to {MOST_MEMBERS} members")
        return self

    @property
    def n_frames(self) -> int:
        """Frames of the data."""
        return self.members[0].n_frames

    @property
    def seed(self) -> int:
        """The seed from which those of the members follow."""
        return self.settings.seed

    def facts(self) -> list[Fact]:
        """Return what the members were trained on and how it went, as names and values."""
        first, best = self.members[0], [m.held_out_nats for m in self.members]
        epochs = [m.n_epochs for m in self.members]
        facts = [
            (
                "trained on",
                f"{counted(first.n_trajectories, 'trajectory', 'trajectories')}, "
                f"{first.n_frames:,} frames, {counted(len(self.members), 'member', 'members')} of "
                f"{min(epochs)} to {max(epochs)} epochs, seed {self.seed}",
            ),
            (
                "held-out stretch",
                f"{min(best):.4f} to {max(best):.4f} nats per frame (MSM {first.msm_nats:.4f})",
            ),
        ]
        for k, member in enumerate(self.members):
            if member.calibration:
                facts.append((f"calibration of {k}", member.calibration.describe()))
        return facts


class EnsembleModel(SequenceModel):
    """Language models of the same states, as one: a trajectory is of one of them, none likelier.

    Parameters
    ----------
    members
        Trained on the same data.
    record
        How they were trained.
    """

    kind = "ensemble"
    record_type = EnsembleRecord
    record: EnsembleRecord | None

    def __init__(
        self, members: tuple[LanguageModel, ...], record: EnsembleRecord | None = None
    ) -> None:
        super().__init__(members[0].space, record)
        self.members = members

    def _log_probs(self, trajectory: IntArray) -> F64:
        # Beside the first member's, so that small differences of long sums are not lost.
        of_each = np.array([member._log_probs(trajectory) for member in self.members])
        ahead = np.cumsum(of_each - of_each[0], axis=1)
        mixed = np.logaddexp.reduce(ahead, axis=0) - np.log(len(self.members))
        found: F64 = of_each[0] + np.diff(mixed, prepend=0.0)
        return found

    def _next_state_probabilities(self, past: IntArray) -> F64:
        of_each = [member._next_state_probabilities(past) for member in self.members]
        logs = np.zeros(len(self.members))
        if len(past) > 1:
            logs = np.array([member._log_probs(past).sum() for member in self.members])
        weights = np.exp(logs - logs.max())
        found: F64 = weights @ np.array([p / p.sum() for p in of_each])
        return found

    def generate(
        self,
        n_steps: int,
        n_lanes: int = 1,
        seed: int = 0,
        start: int | StatesLike | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
        temperature: float = 1.0,
        device: str = "cpu",
    ) -> States:
        """Return `n_lanes` independent trajectories of `n_steps` frames, dealt to the members.

        Lane k is of member k modulo their number: as many of each where the number of lanes is a
        multiple of it. For the parameters see `LSTMModel.generate`.

        Raises
        ------
        InputError
            Steps, lanes, seed, start or temperature out of range, or no such device.
        """
        start = self.check_lanes(n_steps, n_lanes, seed, start)
        n = len(self.members)
        threads = max(1, threads_of(n_threads) // min(n, n_lanes))
        seeds = np.random.SeedSequence(seed).generate_state(n).tolist()
        lanes = [np.arange(k, n_lanes, n) for k in range(n)]
        blocks: list[Block] = []
        n_before = 0
        for member, own_seed, own in zip(self.members, seeds, lanes, strict=True):
            if not len(own):
                break
            its = lane_blocks(member, len(own), own_seed, start, temperature, threads, device)
            for block in its:
                block.first += n_before
            blocks += its
            n_before += len(own)
        order = np.concatenate(lanes)
        out = np.empty((n_lanes, n_steps), smallest_unsigned(self.n_states))

        def write(first: int, frame: int, states: IntArray) -> None:
            rows = order[first : first + len(states)]
            out[rows, frame : frame + states.shape[1]] = states

        run_blocks(blocks, n_steps, write, progress, n_threads)
        return self.space.states(list(owned(out)))

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays: Tensors = {}
        sizes: dict[str, Any] = {}
        for k, member in enumerate(self.members):
            sizes, own = member.to_arrays()
            arrays |= {f"{k}.{name}": array for name, array in own.items()}
        return {"n_models": len(self.members), **sizes}, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: EnsembleRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> EnsembleModel:
        """Rebuild a model from what `to_arrays` returned."""
        n = int(sizes["n_models"])
        if not 1 <= n <= MOST_MEMBERS:
            raise ValueError(f"an ensemble has 1 to {MOST_MEMBERS} members")
        if record is not None and len(record.members) != n:
            raise ValueError("the record is that of another number of members")
        of_each: list[Tensors] = [{} for _ in range(n)]
        for name, array in arrays.items():
            number, _, own_name = name.partition(".")
            k = int(number)
            if not 0 <= k < n:
                raise ValueError(f"there is no member {k}")
            of_each[k][own_name] = array
        members = tuple(
            language_model_from(space, record.members[k] if record else None, sizes, own)
            for k, own in enumerate(of_each)
        )
        return cls(members, record)


def ensemble_of(members: Sequence[LanguageModel], settings: TrainingSettings) -> EnsembleModel:
    """Return trained members as one model; `settings` has the seed from which theirs follow."""
    records = tuple(member.record for member in members if member.record)
    record = EnsembleRecord(settings, records) if len(records) == len(members) else None
    return EnsembleModel(tuple(members), record)
