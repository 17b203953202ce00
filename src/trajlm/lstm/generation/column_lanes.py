"""Lanes of a model whose tokens have several columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from trajlm.lstm.columns import Column
from trajlm.lstm.generation.blocks import CARRIED, Generator
from trajlm.lstm.generation.lanes import (
    CHUNK_OPERATIONS,
    STATE_OPERATIONS,
    UNIT_OPERATIONS,
    LaneBlock,
)
from trajlm.lstm.loops import loops
from trajlm.util.arrays import IntArray

if TYPE_CHECKING:
    from trajlm.kernels import arguments


class ColumnGenerator(Generator, Protocol):
    """What generation needs of a model of several columns."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The labels of the states."""

    @property
    def tables_of_columns(self) -> tuple[arguments.Column, ...]:
        """The weights of all columns as the compiled loops read them."""


class ColumnBlock(LaneBlock):
    """Some neighbouring lanes, with the memory of each column's network.

    The memory is kept column by column, as the loops read it, and handed out lane by lane.
    """

    def __init__(
        self,
        model: ColumnGenerator,
        starts: Sequence[IntArray],
        keys: npt.NDArray[np.uint64],
        inverse_temperature: float,
        first: int,
    ) -> None:
        from trajlm.kernels.arrays import cache_aligned

        super().__init__(model, starts, keys, inverse_temperature, first)
        self.columns, self.tables_of = model.columns, model.tables_of_columns
        shape = len(self.columns), self.n_lanes, self.tables.hidden_dim
        self.hidden, self.cell = cache_aligned(shape), cache_aligned(shape)

    @property
    def chunk(self) -> int:
        """Frames to make between two looks at the clock: some tenths of a second."""
        L = self.tables.hidden_dim
        operations = sum(
            8 * L**2 + (2 * L + STATE_OPERATIONS) * column.skip.shape[1] + UNIT_OPERATIONS * L
            for column in self.tables_of
        )
        return int(max(16, CHUNK_OPERATIONS // (operations * self.n_lanes)))

    def _read(self, paths: IntArray, begins: IntArray) -> None:
        for k, (column, tables) in enumerate(zip(self.columns, self.tables_of, strict=True)):
            loops().read_column(tables, column.given, paths, begins, self.hidden[k], self.cell[k])

    def _generate(self, out: IntArray) -> dict[str, npt.NDArray[Any]]:
        loops().generate_columns(
            self.tables_of, self.states, self.hidden, self.cell, self.inverse_temperature,
            self.keys, self.made, out,
        )  # fmt: skip
        return self.memory()

    def memory(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the lanes carry, shapes (lanes,) and twice (lanes, columns, L)."""
        by_lane = self.states, self.hidden.swapaxes(0, 1), self.cell.swapaxes(0, 1)
        return {name: x.copy() for name, x in zip(CARRIED, by_lane, strict=True)}

    def remember(self, made: int, memory: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `memory` returned when `made` frames were made."""
        self.made = made
        states, hidden, cell = (memory[name] for name in CARRIED)
        self.states[:] = states
        self.hidden[:], self.cell[:] = hidden.swapaxes(0, 1), cell.swapaxes(0, 1)
