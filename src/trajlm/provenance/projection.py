"""The linear map from columns to slow coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator
from pydantic.dataclasses import dataclass

from trajlm.util.checked import FROZEN, Name, Number, Positive

Scaling = Literal["kinetic_map", "commute_map"]
# Columns that are named in a sentence.
MOST_NAMED = 4


def _forward(period: tuple[float, float]) -> tuple[float, float]:
    if not period[0] < period[1]:
        raise ValueError("a period does not go from a lower to a higher number")
    return period


Period = Annotated[tuple[Number, Number], AfterValidator(_forward)]


@dataclass(frozen=True, config=FROZEN)
class Projection:
    """A linear map of columns, each periodic one as cosine and sine, to slow coordinates.

    Coordinate k is sum_j (x_j - mean_j) matrix_jk, where x are the columns in their order and a
    periodic column stands for two: cosine and sine on the circle whose circumference is the
    period.

    Parameters
    ----------
    method
        ``TICA`` or ``VAMP``.
    lag
        Frames over which the coordinates are slow.
    columns, periods
        What is projected.
    mean, matrix
        Shape (n,) and (n, d), n counting a periodic column twice.
    names
        The d coordinates.
    values
        The eigenvalue (TICA) or singular value (VAMP) of each coordinate at the lag.
    scaling
        How the coordinates were scaled, so that distances mean something; None for unit variance.
    """

    method: Literal["TICA", "VAMP"]
    lag: Positive
    columns: tuple[Name, ...]
    periods: tuple[Period | None, ...]
    mean: tuple[Number, ...]
    matrix: tuple[tuple[Number, ...], ...]
    names: tuple[Name, ...]
    values: tuple[Number, ...]
    scaling: Scaling | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        n = len(self.periods) + sum(period is not None for period in self.periods)
        d = len(self.names)
        sizes = (len(self.columns), len(self.mean), len(self.matrix), len(self.values))
        if not d or sizes != (len(self.periods), n, n, d) or {len(r) for r in self.matrix} != {d}:
            raise ValueError("the columns, the matrix and the names of the projection do not fit")
        return self

    def select(self, index: Sequence[int]) -> Projection:
        """Return the projection to some of its coordinates."""
        return replace(
            self,
            matrix=tuple(tuple(row[k] for k in index) for row in self.matrix),
            names=tuple(self.names[k] for k in index),
            values=tuple(self.values[k] for k in index),
        )

    def describe(self) -> str:
        """Say it in words."""
        n = len(self.columns)
        of = ", ".join(self.columns[:MOST_NAMED]) + f" and {n - MOST_NAMED} more" * (n > MOST_NAMED)
        return f"{self.method} of {of} at a lag of {self.lag} frames"
