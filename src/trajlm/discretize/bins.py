"""Cutting columns into bins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trajlm.data import Features, smallest_unsigned
from trajlm.discretize.base import Discretizer
from trajlm.discretize.checks import count, increasing
from trajlm.discretize.periodic import Period, Periods, wrap
from trajlm.errors import InputError
from trajlm.provenance import Binning, Method, ProductBinning
from trajlm.util.arrays import F64, IntArray
from trajlm.util.words import counted

# The rounding of a number held in single precision, as trajectory libraries give them: pi
# comes back as 3.1415927, which is above pi.
SINGLE_PRECISION = 1.2e-7
# With more, a row and a column a state fit no memory.
MOST_STATES = 10**6


class Bins(Discretizer):
    """Cut one column into bins; bin k holds edges[k] <= value < edges[k+1].

    The upper end belongs to the last bin. On a periodic column whose period is as long as the
    range, values are first wrapped into the range, so that the upper end is the lower end and
    belongs to the first bin. A value above the range by no more than the rounding of single
    precision counts as its end.

    Parameters
    ----------
    n_bins
        Number of bins of equal width.
    range
        Lowest and highest value; when not given, the periodic domain of the column or, where
        there is none, the range of the data.
    edges
        The n_bins + 1 edges themselves, increasing, instead of `n_bins` and `range`.
    open_ends
        Whether the outermost bins hold what lies beyond the range, too; else it is refused.

    Attributes
    ----------
    edges_ : tuple of float
        The edges; None before ``fit`` where they are not given.
    period_ : tuple of float or None
        The periodic domain of the column, where bins go round it.

    Raises
    ------
    InputError
        No bin, a range or edges that do not increase; from ``fit``, several columns, or data of
        one value only and no range.
    """

    def __init__(
        self,
        n_bins: int | None = None,
        range: tuple[float, float] | None = None,
        edges: Sequence[float] | None = None,
        open_ends: bool = False,
    ) -> None:
        self.open_ends = open_ends
        self.n_bins = n_bins
        self.range = range
        self.edges = edges
        self.edges_ = self._given_edges()
        self.period_: Period | None = None

    def _fit(self, features: Features) -> None:
        _one_column(features)
        period = features.periods[0]
        edges = self._given_edges()
        if edges is None:
            low, high = self.range or period or _data_range(features)
            edges = increasing(np.linspace(low, high, self._n_bins() + 1), "bin edges")
        self.edges_ = edges
        around = period is not None and _same_length(period, (edges[0], edges[-1]))
        self.period_ = period if around else None

    def _n_bins(self) -> int:
        return count(self.n_bins, "number of bins")

    def _given_edges(self) -> tuple[float, ...] | None:
        """Check what was given; return the edges if they are among it."""
        ends = None if self.range is None else increasing(self.range, "ends of the range")
        if ends is not None and len(ends) != 2:
            raise InputError(f"the range needs a lower and an upper end, not {self.range}")
        if self.edges is None:
            self._n_bins()
            return None
        edges = increasing(self.edges, "bin edges")
        if self.n_bins is not None and self.n_bins != len(edges) - 1:
            raise InputError(f"{len(edges)} edges make {len(edges) - 1} bins, not {self.n_bins}")
        if ends is not None and ends != (edges[0], edges[-1]):
            raise InputError("the range is not that of the edges: give one of the two")
        return edges

    def _assign(self, features: Features) -> tuple[list[IntArray], F64]:
        if self.edges_ is None:
            raise InputError("the bins have no edges yet: call fit first")
        _one_column(features)
        edges = np.array(self.edges_)
        states = [self._bin(x[:, 0], i, edges) for i, x in enumerate(features)]
        return states, (edges[:-1] + edges[1:]) / 2

    def _bin(self, x: F64, trajectory: int, edges: F64) -> IntArray:
        low, high = float(edges[0]), float(edges[-1])
        if self.period_ is not None:
            x = wrap(x, low, high)
        margin = SINGLE_PRECISION * max(abs(low), abs(high))
        outside = (x < low - margin) | (x > high + margin)
        if outside.any() and not self.open_ends:
            frame = int(np.argmax(outside))
            raise InputError(
                f"trajectory {trajectory}, frame {frame}: the value {x[frame]:.10g} lies outside "
                f"the range {low:.10g} to {high:.10g}: widen the range, open the outermost bins to "
                "what lies beyond, or clip the data"
            )
        index = np.searchsorted(edges, x, side="right") - 1
        n = len(edges) - 1
        return np.clip(index, 0, n - 1).astype(smallest_unsigned(n))

    def _method(self) -> Binning:
        assert self.edges_ is not None
        return Binning(self.edges_, self.open_ends)

    def _periods(self, features: Features) -> Periods:
        return (self.period_,)


class ProductBins(Discretizer):
    """Cut each of a few columns into bins; a state is one choice of a bin in every column.

    The bins k_1 .. k_d make state (.. (k_1 n_2 + k_2) n_3 ..) + k_d, so the last column runs
    fastest, and centre k is the middle of cell k.

    Parameters
    ----------
    bins
        For each column the number of its bins, or `Bins` with a range or edges of their own.

    Attributes
    ----------
    bins_ : tuple of Bins
        The bins of each column, fitted by ``fit``.

    Raises
    ------
    InputError
        No column, or more than a million states; from ``fit``, another number of columns.
    """

    def __init__(self, bins: Sequence[int | Bins]) -> None:
        self.bins = bins
        self.bins_ = self._given_bins()

    def _given_bins(self) -> tuple[Bins, ...]:
        """Return bins of our own for each column: those that were given are left as they are."""
        if not isinstance(self.bins, Sequence) or isinstance(self.bins, str) or not self.bins:
            raise InputError("product bins need a list with the number of bins of each column")
        return tuple(
            Bins(**given.get_params()) if isinstance(given, Bins) else Bins(given)
            for given in self.bins
        )

    def _fit(self, features: Features) -> None:
        columns = _each_column(features, len(self.bins))
        fitted = [bins.fit(x) for bins, x in zip(self._given_bins(), columns, strict=True)]
        n_states = math.prod(bins._method().n_states for bins in fitted)
        if n_states > MOST_STATES:
            raise InputError(
                f"these bins make {n_states:,} states: take fewer bins, or k-means of the columns"
            )
        self.bins_ = tuple(fitted)

    def _assign(self, features: Features) -> tuple[list[IntArray], F64]:
        columns = _each_column(features, len(self.bins_))
        cut = [bins._assign(x) for bins, x in zip(self.bins_, columns, strict=True)]
        shape = tuple(len(middles) for _, middles in cut)
        dtype = smallest_unsigned(math.prod(shape))
        trajectories = [
            np.ravel_multi_index([s.astype(np.int64) for s in of_columns], shape).astype(dtype)
            for of_columns in zip(*(states for states, _ in cut), strict=True)
        ]
        grid = np.meshgrid(*(middles for _, middles in cut), indexing="ij")
        return trajectories, np.column_stack([x.ravel() for x in grid])

    def _method(self) -> Method:
        return ProductBinning(tuple(bins._method() for bins in self.bins_))

    def _periods(self, features: Features) -> Periods:
        return tuple(bins.period_ for bins in self.bins_)


def _each_column(features: Features, n: int) -> list[Features]:
    if features.n_columns != n:
        raise InputError(
            f"there are bins of {counted(n, 'column', 'columns')} and features of "
            f"{features.n_columns}, {', '.join(features.names)}: select those to cut"
        )
    return [features.select([name]) for name in features.names]


def _one_column(features: Features) -> None:
    if features.n_columns != 1:
        raise InputError(
            f"bins cut one column and there are {features.n_columns}, "
            f"{', '.join(features.names)}: select one, or give a number of bins for each"
        )


def _data_range(features: Features) -> tuple[float, float]:
    low = min(float(x.min()) for x in features.trajectories)
    high = max(float(x.max()) for x in features.trajectories)
    if low == high:
        raise InputError(f"all values are {low:.10g}, so they span no range: give one")
    return low, high


def _same_length(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return math.isclose(one[1] - one[0], other[1] - other[0], rel_tol=1e-9)
