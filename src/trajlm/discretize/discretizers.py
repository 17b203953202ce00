"""Ways of cutting features into states: bins, nearest centres, k-means."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trajlm.data import Features, IntArray, States, StateSpace, smallest_unsigned
from trajlm.discretize.periodic import Array, Period, Periods, nearest, to_circles, wrap
from trajlm.errors import InputError
from trajlm.provenance import Binning, Centers, Clustering, Discretization, Given, Grouped, Method
from trajlm.util.checked import LARGEST
from trajlm.util.words import without_surrogates

# The rounding of a number held in single precision, as trajectory libraries give them: pi
# comes back as 3.1415927, which is above pi.
SINGLE_PRECISION = 1.2e-7


class Discretizer(ABC):
    """What all ways of cutting share: ``fit`` returns a fitted one, ``transform`` gives states.

    A state keeps its number whether or not it is visited.
    """

    @abstractmethod
    def fit(self, features: Features) -> Self:
        """Return a copy that is fitted to `features`."""

    @abstractmethod
    def _method(self) -> Method:
        """Return all that is needed to cut other data alike."""

    @abstractmethod
    def _periods(self, features: Features) -> Periods:
        """Return the domains that the cut of these features goes round."""

    @abstractmethod
    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        """Return the states of each trajectory and the centres of all states."""

    def transform(self, features: Features) -> States:
        """Return the states of `features`, with its dt, unit and borders.

        Raises
        ------
        InputError
            Not fitted yet, another number of columns, or values that belong to no state
            (trajectory, frame and value).
        """
        trajectories, centers = self._assign(features)
        return States(
            tuple(trajectories),
            n_states=len(centers),
            dt=features.dt,
            unit=features.unit,
            centers=centers,
            discretization=Discretization(
                method=self._method(),
                columns=tuple(without_surrogates(name) for name in features.names),
                periods=self._periods(features),
                steps=features.steps,
                notes=features.notes,
            ),
        )

    def fit_transform(self, features: Features) -> States:
        """Return the states of the features that the cut is fitted to."""
        return self.fit(features).transform(features)


@dataclass(frozen=True)
class Bins(Discretizer):
    """Cut one column into bins; bin k holds edges[k] <= value < edges[k+1].

    The upper end belongs to the last bin. On a periodic column whose period is as long as the
    range, values are first wrapped into the range, so that the upper end is the lower end and
    belongs to the first bin. A value above the range by no more than the rounding of single
    precision counts as its end.

    Parameters
    ----------
    n
        Number of bins of equal width.
    range
        Lowest and highest value; when not given, the periodic domain of the column or, where
        there is none, the range of the data.
    edges
        The n + 1 edges themselves, increasing, instead of `n` and `range`.
    period
        The periodic domain found by ``fit``.

    Raises
    ------
    InputError
        No bin, a range or edges that do not increase.
    """

    n: int | None = None
    range: tuple[float, float] | None = None
    edges: tuple[float, ...] | None = None
    period: Period | None = None

    def __post_init__(self) -> None:
        if self.edges is not None:
            edges = _increasing(self.edges, "bin edges")
            if self.n is not None and self.n != len(edges) - 1:
                raise InputError(f"{len(edges)} edges make {len(edges) - 1} bins, not {self.n}")
            object.__setattr__(self, "edges", edges)
            object.__setattr__(self, "n", len(edges) - 1)
        object.__setattr__(self, "n", _count(self.n, "number of bins"))
        if self.range is not None:
            ends = _increasing(self.range, "ends of the range")
            if len(ends) != 2:
                raise InputError(f"the range needs a lower and an upper end, not {self.range}")
            if self.edges is not None and ends != (self.edges[0], self.edges[-1]):
                raise InputError("the range is not that of the edges: give one of the two")
            object.__setattr__(self, "range", ends)

    def fit(self, features: Features) -> Self:
        """Return the bins with their edges, from the range or from the data.

        Raises
        ------
        InputError
            Several columns, or data of one value only and no range.
        """
        _one_column(features, "bins")
        edges = self.edges
        if edges is None:
            low, high = self.range or features.periods[0] or _data_range(features)
            assert self.n is not None
            edges = tuple(np.linspace(low, high, self.n + 1).tolist())
        period = features.periods[0]
        if period is not None and not _same_length(period, (edges[0], edges[-1])):
            period = None
        return replace(self, range=(edges[0], edges[-1]), edges=edges, period=period)

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        if self.edges is None:
            raise InputError("the bins have no edges yet: call fit first")
        _one_column(features, "bins")
        edges = np.array(self.edges)
        states = [self._bin(x[:, 0], i, edges) for i, x in enumerate(features.trajectories)]
        return states, (edges[:-1] + edges[1:]) / 2

    def _bin(self, x: Array, trajectory: int, edges: Array) -> IntArray:
        low, high = float(edges[0]), float(edges[-1])
        if self.period is not None:
            x = wrap(x, low, high)
        margin = SINGLE_PRECISION * max(abs(low), abs(high))
        outside = (x < low - margin) | (x > high + margin)
        if outside.any():
            frame = int(np.argmax(outside))
            raise InputError(
                f"trajectory {trajectory}, frame {frame}: the value {x[frame]:.10g} lies outside "
                f"the range {low:.10g} to {high:.10g}, widen the range"
            )
        index = np.searchsorted(edges, x, side="right") - 1
        n = len(edges) - 1
        return np.clip(index, 0, n - 1).astype(smallest_unsigned(n))

    def _method(self) -> Method:
        assert self.edges is not None
        return Binning(self.edges)

    def _periods(self, features: Features) -> Periods:
        return (self.period,)


@dataclass(frozen=True, eq=False)
class NearestCenters(Discretizer):
    """Give each frame the nearest of given centres; the first of equally near ones.

    Distances are Euclidean, along periodic columns the shorter way round.

    Parameters
    ----------
    centers
        Shape (k,) for one column or (k, d); state k is centres[k], in the order given.
    periods
        The periodic domains of the columns, found by ``fit``.

    Raises
    ------
    InputError
        No centre, a centre that is not a finite number or is given twice.
    """

    centers: npt.ArrayLike
    periods: Periods | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "centers", _as_centers(self.centers))

    def fit(self, features: Features) -> Self:
        """Return the centres with the periods of the columns.

        Raises
        ------
        InputError
            Another number of columns than the centres have.
        """
        _check_columns(np.asarray(self.centers), features)
        return replace(self, periods=features.periods)

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        centers = np.array(self.centers)
        _check_columns(centers, features)
        periods = self._periods(features)
        return [nearest(x, centers, periods) for x in features.trajectories], centers

    def _method(self) -> Method:
        return Centers(_points(self.centers))

    def _periods(self, features: Features) -> Periods:
        return features.periods if self.periods is None else self.periods


@dataclass(frozen=True, eq=False)
class KMeans(Discretizer):
    """Find k centres by k-means and give each frame the nearest one.

    Centres are sorted by the first column, so that state numbers do not hang on the seed. A
    periodic column goes into the search as a circle of the right radius (cosine and sine);
    frames are then given to centres as by `NearestCenters`.

    Parameters
    ----------
    k
        Number of centres.
    seed
        For the choice of the first centres (k-means++).
    centers, periods
        What ``fit`` found.

    Raises
    ------
    InputError
        k below 1 or a negative seed.
    """

    k: int
    seed: int = 0
    centers: npt.ArrayLike | None = None
    periods: Periods | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _count(self.k, "number of clusters"))
        if not 0 <= self.seed < 2**32:
            raise InputError(f"the seed must lie in 0 to {2**32 - 1}, not {self.seed}")
        if self.centers is not None:
            object.__setattr__(self, "centers", _as_centers(self.centers))

    def fit(self, features: Features) -> Self:
        """Return the clustering with its centres.

        Raises
        ------
        InputError
            Fewer distinct points than clusters.
        """
        points = np.concatenate(features.trajectories)
        n_distinct = len(np.unique(points, axis=0))
        if n_distinct < self.k:
            raise InputError(
                f"the data holds {n_distinct} distinct points, too few for {self.k} clusters: "
                "ask for fewer"
            )
        on_circles, back = to_circles(points, features.periods)
        centers = back(_cluster(on_circles, self.k, self.seed))
        centers = centers[np.lexsort(centers.T[::-1])]
        return replace(self, centers=centers, periods=features.periods)

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        if self.centers is None:
            raise InputError("the clusters have no centres yet: call fit first")
        return NearestCenters(self.centers, self.periods)._assign(features)

    def _method(self) -> Method:
        assert self.centers is not None
        return Clustering(_points(self.centers), int(self.seed))

    def _periods(self, features: Features) -> Periods:
        return features.periods if self.periods is None else self.periods


def discretizer_of(cut: States | StateSpace) -> Discretizer:
    """Return what cuts other features as these states were cut.

    Filters are not part of it: `cut.discretization.steps` has them.

    Raises
    ------
    InputError
        It is not known how the states were made, they are groups of others, or what is known
        does not fit their number.
    """
    how = cut.discretization
    method = how.method
    discretizer: Discretizer
    match method:
        case Binning():
            period = how.periods[0] if how.periods else None
            discretizer = Bins(edges=method.edges, period=period)
        case Centers():
            discretizer = NearestCenters(method.centers, how.periods or None)
        case Clustering():
            n = method.n_states
            discretizer = KMeans(n, method.seed, method.centers, how.periods or None)
        case Grouped():
            raise InputError("groups of states are not cut from features: take the fine states")
        case Given():
            raise InputError("it is not known how the states were made: cut the features anew")
    if method.n_states != cut.n_states:
        raise InputError(
            f"the {method.what} make {method.n_states} states, but there are {cut.n_states}: cut "
            "the features anew"
        )
    return discretizer


def _points(centers: npt.ArrayLike | None) -> tuple[tuple[float, ...], ...]:
    """Return centres of shape (k,) or (k, d) as k points."""
    array = np.asarray(centers, dtype=np.float64)
    return tuple(map(tuple, array.reshape(len(array), -1).tolist()))


def _cluster(points: Array, k: int, seed: int) -> Array:
    from deeptime.clustering import KMeans as Estimator

    # One thread: several give results that differ from run to run.
    model = Estimator(k, fixed_seed=int(seed), n_jobs=1).fit_fetch(points)
    return np.asarray(model.cluster_centers, dtype=np.float64)


def _one_column(features: Features, what: str) -> None:
    if features.n_columns != 1:
        raise InputError(
            f"{what} cut one column and there are {features.n_columns}, "
            f"{', '.join(features.names)}: select one, "
            f"as --column does"
        )


def _check_columns(centers: Array, features: Features) -> None:
    d = 1 if centers.ndim == 1 else centers.shape[1]
    if d != features.n_columns:
        raise InputError(
            f"the centres have {d} column(s) and the features {features.n_columns}, "
            f"{', '.join(features.names)}: select those of the centres"
        )


def _data_range(features: Features) -> tuple[float, float]:
    low = min(float(x.min()) for x in features.trajectories)
    high = max(float(x.max()) for x in features.trajectories)
    if low == high:
        raise InputError(f"all values are {low:.10g}, so they span no range: give one")
    return low, high


def _same_length(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return math.isclose(one[1] - one[0], other[1] - other[0], rel_tol=1e-9)


def _count(n: Any, what: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"the {what} must be a whole number from 1, not {n}")
    return int(n)


def _numbers(values: Any, what: str) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the {what} are not numbers: {values!r:.60}") from None
    if not (np.abs(array) <= LARGEST).all():
        raise InputError(
            f"the {what} must be finite numbers of at most {LARGEST:g}, not {values!r:.60}"
        )
    return array


def _increasing(values: Any, what: str) -> tuple[float, ...]:
    array = _numbers(values, what)
    if array.ndim != 1 or len(array) < 2 or not (np.diff(array) > 0).all():
        raise InputError(f"the {what} must be two or more increasing numbers, not {values!r:.60}")
    return tuple(array.tolist())


def _as_centers(values: Any) -> Array:
    centers = _numbers(values, "centres")
    if centers.ndim == 2 and centers.shape[1] == 1:
        centers = centers[:, 0]
    if centers.ndim not in (1, 2) or centers.size == 0:
        raise InputError(f"centres of shape {centers.shape} were given: (k,) or (k, d) is needed")
    if len(np.unique(centers, axis=0)) < len(centers):
        raise InputError("a centre was given twice, so that one of the two could never be visited")
    return centers
