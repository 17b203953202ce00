"""Ways of cutting features into states: bins, nearest centres, k-means."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trajlm.data import (
    Features,
    FeaturesLike,
    IntArray,
    States,
    StateSpace,
    as_features,
    smallest_unsigned,
)
from trajlm.discretize.periodic import Array, Period, Periods, nearest, to_circles, wrap
from trajlm.errors import InputError
from trajlm.util.parameters import Parameters
from trajlm.util.trajectories import owned

# The rounding of a number held in single precision, as trajectory libraries give them: pi
# comes back as 3.1415927, which is above pi.
SINGLE_PRECISION = 1.2e-7


class Discretizer(Parameters, ABC):
    """What all ways of cutting share: ``fit`` to features, then ``transform`` gives states.

    ``fit`` returns the discretizer itself. A state keeps its number whether or not it is visited.
    """

    @abstractmethod
    def fit(self, features: FeaturesLike) -> Self:
        """Fit to `features`, anew each time, and return the discretizer itself."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to cut other data alike, as values that fit in JSON."""

    @abstractmethod
    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        """Return the states of each trajectory and the centres of all states."""

    def transform(self, features: FeaturesLike) -> States:
        """Return the states of `features`, with its dt, unit and borders.

        Raises
        ------
        InputError
            Not fitted yet, another number of columns, or values that belong to no state
            (trajectory, frame and value).
        """
        features = as_features(features)
        trajectories, centers = self._assign(features)
        names = list(features.names)
        column = {"column": names[0]} if len(names) == 1 else {"columns": names}
        notes = {"notes": list(features.notes)} if features.notes else {}
        return States(
            [owned(s) for s in trajectories],
            n_states=len(centers),
            dt=features.dt,
            unit=features.unit,
            centers=centers,
            discretization={**self.to_dict(), **column, **notes},
        )

    def fit_transform(self, features: FeaturesLike) -> States:
        """Fit to `features` and return their states."""
        features = as_features(features)
        return self.fit(features).transform(features)


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

    Attributes
    ----------
    edges_ : tuple of float
        The edges; None before ``fit`` where they are not given.
    period_ : tuple of float or None
        The periodic domain of the column, where bins go round it.

    Raises
    ------
    InputError
        No bin, a range or edges that do not increase.
    """

    def __init__(
        self,
        n_bins: int | None = None,
        range: tuple[float, float] | None = None,
        edges: Sequence[float] | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.range = range
        self.edges = edges
        self.edges_ = self._given_edges()
        self.period_: Period | None = None

    def fit(self, features: FeaturesLike) -> Self:
        """Find the edges, from the range or from the data; return the bins themselves.

        Raises
        ------
        InputError
            Several columns, or data of one value only and no range.
        """
        features = as_features(features)
        _one_column(features, "bins")
        period = features.periods[0]
        edges = self._given_edges()
        if edges is None:
            low, high = self.range or period or _data_range(features)
            edges = tuple(np.linspace(low, high, self._n_bins() + 1).tolist())
        self.edges_ = edges
        around = period is not None and _same_length(period, (edges[0], edges[-1]))
        self.period_ = period if around else None
        return self

    def _n_bins(self) -> int:
        return _count(self.n_bins, "number of bins")

    def _given_edges(self) -> tuple[float, ...] | None:
        """Check what was given; return the edges if they are among it."""
        ends = None if self.range is None else _increasing(self.range, "ends of the range")
        if ends is not None and len(ends) != 2:
            raise InputError(f"the range needs a lower and an upper end, not {self.range}")
        if self.edges is None:
            self._n_bins()
            return None
        edges = _increasing(self.edges, "bin edges")
        if self.n_bins is not None and self.n_bins != len(edges) - 1:
            raise InputError(f"{len(edges)} edges make {len(edges) - 1} bins, not {self.n_bins}")
        if ends is not None and ends != (edges[0], edges[-1]):
            raise InputError("the range is not that of the edges: give one of the two")
        return edges

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        if self.edges_ is None:
            raise InputError("the bins have no edges yet: call fit first")
        _one_column(features, "bins")
        edges = np.array(self.edges_)
        states = [self._bin(x[:, 0], i, edges) for i, x in enumerate(features)]
        return states, (edges[:-1] + edges[1:]) / 2

    def _bin(self, x: Array, trajectory: int, edges: Array) -> IntArray:
        low, high = float(edges[0]), float(edges[-1])
        if self.period_ is not None:
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

    def to_dict(self) -> dict[str, Any]:
        """Return method, n, range, edges and period."""
        edges = self.edges_
        return {
            "method": "bins",
            "n": self._n_bins() if edges is None else len(edges) - 1,
            "range": _as_list(self.range if edges is None else (edges[0], edges[-1])),
            "edges": _as_list(edges),
            "period": _as_list(self.period_),
        }


class NearestCenters(Discretizer):
    """Give each frame the nearest of given centres; the first of equally near ones.

    Distances are Euclidean, along periodic columns the shorter way round.

    Parameters
    ----------
    centers
        Shape (k,) for one column or (k, d); state k is centres[k], in the order given.

    Attributes
    ----------
    centers_ : ndarray
        The centres.
    periods_ : tuple or None
        The periodic domains of the columns, found by ``fit``; without ``fit``, those of the
        features that are cut count.

    Raises
    ------
    InputError
        No centre, a centre that is not a finite number or is given twice.
    """

    def __init__(self, centers: npt.ArrayLike) -> None:
        self.centers = centers
        self.centers_ = _as_centers(centers)
        self.periods_: Periods | None = None

    def fit(self, features: FeaturesLike) -> Self:
        """Take the periods of the columns; return the discretizer itself.

        Raises
        ------
        InputError
            Another number of columns than the centres have.
        """
        features = as_features(features)
        _check_columns(self.centers_, features)
        self.periods_ = features.periods
        return self

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        return _nearest_of(self.centers_, self.periods_, features), self.centers_

    def to_dict(self) -> dict[str, Any]:
        """Return method, centers and periods."""
        return {
            "method": "nearest_centers",
            "centers": self.centers_.tolist(),
            "periods": _as_list(self.periods_),
        }


class KMeans(Discretizer):
    """Find centres by k-means and give each frame the nearest one.

    Centres are sorted by the first column, so that state numbers do not hang on the seed. A
    periodic column goes into the search as a circle of the right radius (cosine and sine);
    frames are then given to centres as by `NearestCenters`.

    Parameters
    ----------
    n_clusters
        Number of centres.
    seed
        For the choice of the first centres (k-means++).

    Attributes
    ----------
    centers_ : ndarray, shape (n_clusters,) for one column or (n_clusters, d)
        The centres; None before ``fit``.
    periods_ : tuple or None
        The periodic domains of the columns, found by ``fit``.

    Raises
    ------
    InputError
        Fewer than one cluster or a seed out of range.
    """

    def __init__(self, n_clusters: int, seed: int = 0) -> None:
        self.n_clusters = n_clusters
        self.seed = seed
        self._checked()
        self.centers_: Array | None = None
        self.periods_: Periods | None = None

    def _checked(self) -> tuple[int, int]:
        k = _count(self.n_clusters, "number of clusters")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"the seed must lie in 0 to {2**32 - 1}, not {self.seed}")
        return k, int(self.seed)

    def fit(self, features: FeaturesLike) -> Self:
        """Find the centres; return the clustering itself.

        Raises
        ------
        InputError
            Fewer distinct points than clusters.
        """
        features = as_features(features)
        k, seed = self._checked()
        points = np.concatenate(features.trajectories)
        n_distinct = len(np.unique(points, axis=0))
        if n_distinct < k:
            raise InputError(
                f"the data holds {n_distinct} distinct points, too few for {k} clusters: "
                "ask for fewer"
            )
        on_circles, back = to_circles(points, features.periods)
        centers = back(_cluster(on_circles, k, seed))
        self.centers_ = _as_centers(centers[np.lexsort(centers.T[::-1])])
        self.periods_ = features.periods
        return self

    def _assign(self, features: Features) -> tuple[list[IntArray], Array]:
        if self.centers_ is None:
            raise InputError("the clusters have no centres yet: call fit first")
        return _nearest_of(self.centers_, self.periods_, features), self.centers_

    def to_dict(self) -> dict[str, Any]:
        """Return method, k, seed, centers and periods."""
        return {
            "method": "kmeans",
            "k": self.n_clusters,
            "seed": self.seed,
            "centers": None if self.centers_ is None else self.centers_.tolist(),
            "periods": _as_list(self.periods_),
        }


def discretizer_of(cut: States | StateSpace) -> Discretizer:
    """Return the fitted discretizer that cuts other features as these states were cut.

    The states of a model are its ``space``.

    Raises
    ------
    InputError
        It is not known how the states were cut.
    """
    how = cut.discretization
    fitted: Discretizer
    try:
        match how.get("method"):
            case "bins":
                fitted = Bins(edges=_as_tuple(how["edges"]))
                fitted.period_ = _as_tuple(how.get("period"))
            case "nearest_centers":
                fitted = NearestCenters(how["centers"])
                fitted.periods_ = _as_tuple(how.get("periods"))
            case "kmeans":
                fitted = KMeans(how["k"], how.get("seed", 0))
                fitted.centers_ = _as_centers(how["centers"])
                fitted.periods_ = _as_tuple(how.get("periods"))
            case method:
                known = "nothing says" if method is None else f"{method!r} does not say"
                raise InputError(f"{known} how the states were cut: fit a discretizer anew")
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the record of how the states were cut is damaged ({error!r}): fit a discretizer anew"
        ) from None
    return fitted


def _nearest_of(centers: Array, periods: Periods | None, features: Features) -> list[IntArray]:
    _check_columns(centers, features)
    periods = features.periods if periods is None else periods
    return [nearest(x, centers, periods) for x in features]


def _cluster(points: Array, k: int, seed: int) -> Array:
    from deeptime.clustering import KMeans as Estimator

    # One thread: several give results that differ from run to run. deeptime sets the number of
    # threads for all that follows on its thread, PyTorch's too: so it has a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        model = thread.submit(Estimator(k, fixed_seed=seed, n_jobs=1).fit_fetch, points).result()
    return np.asarray(model.cluster_centers, dtype=np.float64)


def _one_column(features: Features, what: str) -> None:
    if features.n_columns != 1:
        raise InputError(
            f"{what} cut one column and there are {features.n_columns}, "
            f"{', '.join(features.names)}: select one"
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
    if not np.isfinite(array).all():
        raise InputError(f"the {what} must be finite numbers, not {values!r:.60}")
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


def _as_list(values: Any) -> Any:
    return [_as_list(v) for v in values] if isinstance(values, tuple) else values


def _as_tuple(values: Any) -> Any:
    return tuple(_as_tuple(v) for v in values) if isinstance(values, list) else values
