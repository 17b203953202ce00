"""The trained language model: scoring, generation and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trajlm.data import States, StatesLike, StateSpace
from trajlm.lstm.generation.blocks import checked_starts
from trajlm.lstm.generation.lanes import LaneBlock, generate_lanes
from trajlm.lstm.loops import loops
from trajlm.lstm.quantization import precision
from trajlm.lstm.quantization.weights import RoundedWeights, read_rounded, rounded_arrays
from trajlm.lstm.record import LSTMRecord
from trajlm.lstm.tables import StepTables, step_tables
from trajlm.lstm.weights import LSTMWeights, last_step, read_weights
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.files import Tensors
from trajlm.util.arrays import F32, F64, I64, IntArray

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent


class LSTMModel(SequenceModel):
    """A trained language model of state sequences.

    Parameters
    ----------
    weights
        The network's arrays.
    space
        The states that it speaks about.
    starts
        Stretches of training data, each (frames,), that generated lanes begin from.
    record
        How it was trained.
    rounded
        Its recurrent weights as bytes, for generation; see `trajlm.lstm.training.quantize`.
    """

    kind = "lstm"
    record_type = LSTMRecord
    record: LSTMRecord | None
    shares_lanes = on_gpus = True

    def __init__(
        self,
        weights: LSTMWeights,
        space: StateSpace,
        starts: tuple[IntArray, ...],
        record: LSTMRecord | None = None,
        rounded: RoundedWeights | None = None,
    ) -> None:
        super().__init__(space, record)
        self.weights = weights
        self.starts = starts
        self.rounded = rounded

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what each machine makes for itself."""
        made_here = "tables", "generating"
        return {k: v for k, v in vars(self).items() if k not in made_here}

    @cached_property
    def tables(self) -> StepTables:
        """The weights as the compiled step reads them."""
        return step_tables(self.weights)

    @cached_property
    def generating(self) -> Recurrent:
        """The recurrent weights as generation reads them, see `quantization.precision`."""
        if self.hidden_dim < precision.REDUCED_FROM:
            return self.tables.recurrent
        return precision.reduced_precision(self.weights.recurrent_weights, self.rounded)

    @property
    def first_weights(self) -> LSTMWeights:
        """The network that draws the next state, the only column of a token."""
        return self.weights

    @property
    def first_labels(self) -> I64:
        """What the network draws, of each state: its number."""
        return np.arange(self.n_states)

    @property
    def first_record(self) -> LSTMRecord | None:
        """How the network was trained."""
        return self.record

    def with_first_weights(self, weights: LSTMWeights) -> LSTMModel:
        """Return the model with other weights, of the same recurrent ones."""
        return LSTMModel(weights, self.space, self.starts, self.record, self.rounded)

    def with_first_record(self, record: LSTMRecord) -> LSTMModel:
        """Return the model with another record of how the network was trained."""
        return self.with_record(record)

    @property
    def hidden_dim(self) -> int:
        """Number of hidden units L."""
        return int(self.weights.readout.shape[1])

    @property
    def embedding(self) -> F32:
        """The state vectors E, shape (n_states, M)."""
        return self.weights.embedding

    def _log_probs(self, trajectory: IntArray) -> F64:
        out = np.empty(len(trajectory) - 1)
        t = self.tables
        loops().score_lanes(t.inputs, t.recurrent, t.readout, t.skip, trajectory[None], out[None])
        return out

    def _next_state_probabilities(self, past: IntArray) -> F64:
        from trajlm.kernels.arrays import cache_aligned

        t, w, L = self.tables, self.weights, self.hidden_dim
        hidden, cell = cache_aligned((2, 1, t.hidden_dim))
        path, begin = np.array(past, np.int64)[None], np.zeros(1, np.int64)
        loops().read_lanes(t.inputs, t.recurrent, path, begin, hidden, cell)
        logits = last_step(w, int(past[-1]), hidden[0, :L], cell[0, :L])[0]
        return np.asarray(np.exp(logits - logits.max()))

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
        """Return `n_lanes` independent trajectories of `n_steps` frames.

        Parameters
        ----------
        n_steps, n_lanes
            Frames a lane, number of lanes.
        seed
            Fixes the result: each lane's by its number, however many lanes or threads there are.
        start
            None: each lane reads a stretch of training data, chosen at random, and goes on from
            there; States: the same with stretches of that data; an integer: the state before
            the first frame, with no past.
        progress
            Called with the number of frames made since the last call.
        n_threads
            Threads that share the lanes, or where lanes are few the product of each (from L = 192
            on); all cores when None. Of the processor only.
        temperature
            Divides the logits; 1 is the learned distribution.
        device
            ``cpu``, or a GPU such as ``cuda``: worth it for thousands of lanes. A GPU gives the
            lanes of the processor but for rounding, after which two lanes go their own ways.

        Raises
        ------
        InputError
            Steps, lanes, seed, start or temperature out of range, or no such device.
        """
        start = self.check_lanes(n_steps, n_lanes, seed, start)
        trajectories = generate_lanes(
            self, n_steps, n_lanes, seed, start, temperature, progress, n_threads, device
        )
        return self.space.states(trajectories)

    def lane_block(
        self,
        starts: Sequence[IntArray],
        keys: npt.NDArray[np.uint64],
        inverse_temperature: float,
        first: int,
        n_threads: int,
    ) -> LaneBlock:
        """Return some neighbouring lanes before their first frame."""
        return LaneBlock(self, starts, keys, inverse_temperature, first, n_threads)

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays: Tensors = {
            "start_states": np.concatenate(self.starts),
            "start_lengths": np.array([len(s) for s in self.starts], dtype=np.int64),
            **{f"weights.{k}": v for k, v in self.weights.arrays().items()},
            **(rounded_arrays(self.rounded) if self.rounded else {}),
        }
        sizes = {
            "embedding_dim": int(self.embedding.shape[1]),
            "hidden_dim": self.hidden_dim,
            "bigram_skip": bool(self.weights.skip.any()),
        }
        return sizes, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: LSTMRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> LSTMModel:
        """Rebuild a model from what `to_arrays` returned."""
        weights = read_weights(arrays, "weights.")
        if not weights.embedding.shape[0] == weights.readout.shape[0] == space.n_states:
            raise ValueError("the network has another number of states than the model")
        rounded = read_rounded(arrays)
        if rounded is not None and rounded.high.shape != weights.recurrent_weights.shape:
            raise ValueError("the rounded weights are those of another network")
        return cls(weights, space, checked_starts(arrays, space.n_states), record, rounded)
