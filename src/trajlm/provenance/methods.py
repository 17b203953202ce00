"""The ways of cutting features into states, each with the parameters that cut other data alike."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from trajlm.util.checked import FROZEN, Count, Name, Number, Positive

Point = tuple[Number, ...]
Rule = Literal["edges", "list", "pcca", "hmm"]


def _as_points(values: object) -> object:
    """Return points of one coordinate, which may be given as plain numbers, as points."""
    if not isinstance(values, list | tuple):
        return values
    return [[x] if isinstance(x, int | float) else x for x in values]


def _check_points(points: tuple[Point, ...]) -> None:
    if not points or not points[0] or len({len(point) for point in points}) > 1:
        raise ValueError("the centres have no coordinate, or not all as many")


Points = Annotated[tuple[Point, ...], BeforeValidator(_as_points)]


@dataclass(frozen=True, config=FROZEN)
class Binning:
    """Bins of one column: state k is edges[k] <= value < edges[k+1]."""

    edges: Annotated[tuple[Number, ...], Field(min_length=2)]
    open_ends: Annotated[bool, Field(strict=True)] = False  # the outermost hold what lies beyond
    kind: Literal["bins"] = "bins"

    what: ClassVar[str] = "bins"

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if not all(a < b for a, b in pairwise(self.edges)):
            raise ValueError("the bin edges do not increase")
        return self

    @property
    def n_states(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1


@dataclass(frozen=True, config=FROZEN)
class ProductBinning:
    """Bins of several columns at once: one state for each choice of a bin in every column.

    The bins k_1 .. k_d of the columns make state (.. (k_1 n_2 + k_2) n_3 ..) + k_d: the last
    column runs fastest, as in an array of shape `shape`.
    """

    bins: Annotated[tuple[Binning, ...], Field(min_length=1)]
    kind: Literal["product bins"] = "product bins"

    what: ClassVar[str] = "product bins"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins of each column."""
        return tuple(binning.n_states for binning in self.bins)

    @property
    def n_states(self) -> int:
        """Number of states, visited or not."""
        return math.prod(self.shape)


@dataclass(frozen=True, config=FROZEN)
class Centers:
    """The nearest of given centres, shape (k, d)."""

    centers: Points
    kind: Literal["nearest centers"] = "nearest centers"

    what: ClassVar[str] = "nearest centres"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_points(self.centers)
        return self

    @property
    def n_states(self) -> int:
        """Number of centres."""
        return len(self.centers)


@dataclass(frozen=True, config=FROZEN)
class Clustering:
    """The nearest of the centres, shape (k, d), that k-means found with this seed."""

    centers: Points
    seed: Count = 0
    kind: Literal["kmeans"] = "kmeans"

    what: ClassVar[str] = "k-means"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_points(self.centers)
        return self

    @property
    def n_states(self) -> int:
        """Number of centres."""
        return len(self.centers)


@dataclass(frozen=True, config=FROZEN)
class Given:
    """States that came as they are: how they were made is not known."""

    kind: Literal["given"] = "given"

    what: ClassVar[str] = ""


Cut = Annotated[
    Binning | ProductBinning | Centers | Clustering | Given, Field(discriminator="kind")
]


@dataclass(frozen=True, config=FROZEN)
class Grouped:
    """Groups of finer states.

    Parameters
    ----------
    rule
        ``edges``, ``list``, ``pcca`` or ``hmm``.
    assignment
        The group of each fine state; the most probable one where groups are hidden states.
    fine
        How the fine states were cut.
    running_mean
        Frames of the running mean over the state centres that was taken first.
    edges
        Thresholds on the coordinate, where the rule is ``edges``.
    names
        One a group.
    """

    rule: Rule
    assignment: tuple[Count, ...]
    fine: Cut = Given()
    running_mean: Positive = 1
    edges: tuple[Number, ...] | None = None
    names: tuple[Name, ...] = ()
    kind: Literal["grouped"] = "grouped"

    what: ClassVar[str] = "groups"


Method = Annotated[
    Binning | ProductBinning | Centers | Clustering | Given | Grouped, Field(discriminator="kind")
]
