"""The language model whose tokens have several columns, each with a network of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trajlm.data import States, StatesLike, StateSpace, as_states
from trajlm.lstm.columns import Column, make_columns
from trajlm.lstm.generation.blocks import checked_starts
from trajlm.lstm.generation.column_lanes import ColumnBlock
from trajlm.lstm.generation.lanes import generate_lanes
from trajlm.lstm.loops import loops
from trajlm.lstm.quantization import precision
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.lstm.tables import StepTables, step_tables
from trajlm.lstm.weights import LSTMWeights, last_step, read_weights
from trajlm.models.base import Progress, SequenceModel
from trajlm.models.files import Tensors
from trajlm.util.arrays import F32, F64, I64, IntArray

if TYPE_CHECKING:
    from trajlm.kernels import arguments

# Columns that a model file may hold.
MOST_COLUMNS = 64


class ColumnLSTMModel(SequenceModel):
    """A trained language model that draws the next state column by column.

    The probability of a state is that of all its labels, one after the other, each given those
    before it and the whole past (`trajlm.lstm.columns`).

    Parameters
    ----------
    weights
        The arrays of each column's network.
    columns
        The labels of the states.
    space
        The states that it speaks about.
    starts
        Stretches of training data, each (frames,), that generated lanes begin from.
    record
        How it was trained.
    """

    kind = "lstm-columns"
    record_type = ColumnLSTMRecord
    record: ColumnLSTMRecord | None
    shares_lanes = on_gpus = False

    def __init__(
        self,
        weights: Sequence[LSTMWeights],
        columns: Sequence[Column],
        space: StateSpace,
        starts: tuple[IntArray, ...],
        record: ColumnLSTMRecord | None = None,
    ) -> None:
        super().__init__(space, record)
        self.weights_of_columns = tuple(weights)
        self.columns = tuple(columns)
        self.starts = starts

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what each machine makes for itself."""
        made_here = "tables", "tables_of_columns"
        return {k: v for k, v in vars(self).items() if k not in made_here}

    @property
    def first_weights(self) -> LSTMWeights:
        """The network that draws the first column."""
        return self.weights_of_columns[0]

    @property
    def first_labels(self) -> I64:
        """What that network draws, of each state."""
        return self.columns[0].labels

    @property
    def first_record(self) -> LSTMRecord | None:
        """How that network was trained."""
        return self.record.columns[0] if self.record else None

    def with_first_weights(self, weights: LSTMWeights) -> ColumnLSTMModel:
        """Return the model with other weights of the first column."""
        of_all = weights, *self.weights_of_columns[1:]
        return ColumnLSTMModel(of_all, self.columns, self.space, self.starts, self.record)

    def with_first_record(self, record: LSTMRecord) -> ColumnLSTMModel:
        """Return the model with another record of how the first column was trained."""
        assert self.record is not None
        return self.with_record(replace(self.record, columns=(record, *self.record.columns[1:])))

    @property
    def embedding(self) -> F32:
        """The state vectors E of the last column's network, shape (n_states, M)."""
        return self.weights_of_columns[-1].embedding

    @property
    def hidden_dim(self) -> int:
        """Number of hidden units L of each column."""
        return int(self.weights_of_columns[0].readout.shape[1])

    @cached_property
    def tables(self) -> StepTables:
        """The weights of the first column as the compiled step reads them."""
        return step_tables(self.weights_of_columns[0])

    @property
    def generating(self) -> arguments.Recurrent:
        """The recurrent weights of the first column as generation reads them."""
        return self.tables_of_columns[0].recurrent

    @cached_property
    def tables_of_columns(self) -> tuple[arguments.Column, ...]:
        """The weights of all columns as the compiled loops read them."""
        from trajlm.kernels import arguments

        found = []
        for weights, column in zip(self.weights_of_columns, self.columns, strict=True):
            t, recurrent = step_tables(weights), None
            if self.hidden_dim >= precision.REDUCED_FROM:
                recurrent = precision.reduced_precision(weights.recurrent_weights, None)
            found.append(
                arguments.Column(
                    t.inputs, t.given_inputs, recurrent or t.recurrent, t.readout, t.skip,
                    np.ascontiguousarray(column.follow, np.int64),
                )
            )  # fmt: skip
        return tuple(found)

    def log_probs_of_columns(self, states: StatesLike) -> list[F64]:
        """Return what each column adds to `log_probs`, shape (n_columns, frames - 1) each.

        Raises
        ------
        InputError
            As `log_probs`.
        """
        data = as_states(states)
        self._check_known(data)
        return [self._by_column(s) for s in data.trajectories]

    def _log_probs(self, trajectory: IntArray) -> F64:
        return np.asarray(self._by_column(trajectory).sum(axis=0))

    def _by_column(self, trajectory: IntArray) -> F64:
        out = np.zeros((len(self.columns), 1, len(trajectory) - 1))
        for k, (column, tables) in enumerate(
            zip(self.columns, self.tables_of_columns, strict=True)
        ):
            loops().score_column(tables, column.given, column.labels, trajectory[None], out[k])
        return out[:, 0]

    def _next_state_probabilities(self, past: IntArray) -> F64:
        from trajlm.kernels.arrays import cache_aligned

        path, begin = np.array(past, np.int64)[None], np.zeros(1, np.int64)
        logs = np.zeros(self.n_states)
        for column, tables, weights in zip(
            self.columns, self.tables_of_columns, self.weights_of_columns, strict=True
        ):
            hidden, cell = cache_aligned((2, 1, self.tables.hidden_dim))
            loops().read_column(tables, column.given, path, begin, hidden, cell)
            L = self.hidden_dim
            z = last_step(weights, int(path[0, -1]), hidden[0, :L], cell[0, :L])
            z -= np.logaddexp.reduce(z, axis=1, keepdims=True)
            logs += z[column.given, column.labels]
        return np.asarray(np.exp(logs))

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

        The arguments are those of `LSTMModel.generate`; there is no code for a GPU.

        Raises
        ------
        InputError
            Steps, lanes, seed, start or temperature out of range, or a device that is no
            processor.
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
    ) -> ColumnBlock:
        """Return some neighbouring lanes before their first frame."""
        return ColumnBlock(self, starts, keys, inverse_temperature, first)

    def to_arrays(self) -> tuple[dict[str, Any], Tensors]:
        """Return sizes and arrays for the model files."""
        arrays: Tensors = {
            "labels": np.array([column.labels for column in self.columns], np.int64),
            "start_states": np.concatenate(self.starts),
            "start_lengths": np.array([len(s) for s in self.starts], dtype=np.int64),
        }
        for k, weights in enumerate(self.weights_of_columns):
            arrays |= {f"column{k}.{name}": x for name, x in weights.arrays().items()}
        sizes = {
            "columns": [column.name for column in self.columns],
            "embedding_dim": int(self.weights_of_columns[0].embedding.shape[1]),
            "hidden_dim": self.hidden_dim,
        }
        return sizes, arrays

    @classmethod
    def from_arrays(
        cls,
        space: StateSpace,
        record: ColumnLSTMRecord | None,
        sizes: Mapping[str, Any],
        arrays: Tensors,
    ) -> ColumnLSTMModel:
        """Rebuild a model from what `to_arrays` returned."""
        labels, names, n = arrays["labels"], sizes["columns"], space.n_states
        if labels.dtype.kind != "i" or labels.ndim != 2 or labels.shape[1] != n:
            raise ValueError("the labels are not one number for each column and state")
        if not 1 <= len(labels) <= MOST_COLUMNS or labels.min() < 0 or labels.max() >= n:
            raise ValueError("the labels are out of range")
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("the columns have no names")
        weights = [read_weights(arrays, f"column{k}.") for k in range(len(labels))]
        for k, own in enumerate(weights):
            if len(own.embedding) != n or len(own.readout) != labels[k].max() + 1:
                raise ValueError(f"the network of column {k} has other states or labels")
            # The tables of the columns are as large as the networks that fit them.
            n_given = np.unique(labels[:k], axis=1).shape[1] if k else 1
            if (1 if own.given is None else len(own.given)) != n_given:
                raise ValueError(f"the network of column {k} is given something else")
        columns = make_columns(list(labels), names)
        if any((w.given is None) != c.is_first for w, c in zip(weights, columns, strict=True)):
            raise ValueError("a network is given what says nothing")
        if len({own.readout.shape[1] for own in weights}) > 1:
            raise ValueError("the columns have different numbers of hidden units")
        return cls(weights, columns, space, checked_starts(arrays, n), record)
