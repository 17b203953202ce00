"""Cutting features by the nearest of centres, given or found by k-means."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.discretize.base import Discretizer
from trajlm.discretize.checks import as_numbers, count
from trajlm.discretize.periodic import Periods, nearest, to_circles
from trajlm.errors import InputError
from trajlm.provenance import Centers, Clustering, Method
from trajlm.util.arrays import F64, IntArray


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
        No centre, a centre that is not a finite number or is given twice; from ``fit``, another
        number of columns than the centres have.
    """

    def __init__(self, centers: npt.ArrayLike) -> None:
        self.centers = centers
        self.centers_ = as_centers(centers)
        self.periods_: Periods | None = None

    def _fit(self, features: Features) -> None:
        _check_columns(self.centers_, features)
        self.periods_ = features.periods

    def _assign(self, features: Features) -> tuple[list[IntArray], F64]:
        return _nearest_of(self.centers_, self._periods(features), features), self.centers_

    def _method(self) -> Method:
        return Centers(_points(self.centers_))

    def _periods(self, features: Features) -> Periods:
        return features.periods if self.periods_ is None else self.periods_


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
    stride
        Centres are found on one of this many frames: a thousand frames a cluster are plenty, and
        the time grows with frames times clusters. All frames are given to centres.

    Attributes
    ----------
    centers_ : ndarray, shape (n_clusters,) for one column or (n_clusters, d)
        The centres; None before ``fit``.
    periods_ : tuple or None
        The periodic domains of the columns, found by ``fit``.

    Raises
    ------
    InputError
        Fewer than one cluster, a stride below 1 or a seed out of range; from ``fit``, fewer
        distinct points than clusters.
    """

    def __init__(self, n_clusters: int, seed: int = 0, stride: int = 1) -> None:
        self.n_clusters = n_clusters
        self.seed = seed
        self.stride = stride
        self._checked()
        self.centers_: F64 | None = None
        self.periods_: Periods | None = None

    def _checked(self) -> tuple[int, int]:
        k = count(self.n_clusters, "number of clusters")
        count(self.stride, "stride of k-means")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"the seed must lie in 0 to {2**32 - 1}, not {self.seed}")
        return k, int(self.seed)

    def _fit(self, features: Features) -> None:
        k, seed = self._checked()
        points = np.concatenate([x[:: self.stride] for x in features])
        n_distinct = len(np.unique(points, axis=0))
        if n_distinct < k:
            raise InputError(
                f"the data holds {n_distinct} distinct points, too few for {k} clusters: "
                "ask for fewer"
            )
        on_circles, back = to_circles(points, features.periods)
        centers = back(_cluster(on_circles, k, seed))
        self.centers_ = as_centers(centers[np.lexsort(centers.T[::-1])])
        self.periods_ = features.periods

    def _assign(self, features: Features) -> tuple[list[IntArray], F64]:
        if self.centers_ is None:
            raise InputError("the clusters have no centres yet: call fit first")
        return _nearest_of(self.centers_, self._periods(features), features), self.centers_

    def _method(self) -> Method:
        assert self.centers_ is not None
        return Clustering(_points(self.centers_), int(self.seed))

    def _periods(self, features: Features) -> Periods:
        return features.periods if self.periods_ is None else self.periods_


def _nearest_of(centers: F64, periods: Periods, features: Features) -> list[IntArray]:
    _check_columns(centers, features)
    return [nearest(x, centers, periods) for x in features]


def _points(centers: F64) -> tuple[tuple[float, ...], ...]:
    """Return centres of shape (k,) or (k, d) as k points."""
    return tuple(map(tuple, centers.reshape(len(centers), -1).tolist()))


def _cluster(points: F64, k: int, seed: int) -> F64:
    from deeptime.clustering import KMeans as Estimator

    # One thread: several give results that differ from run to run. deeptime sets the number of
    # threads for all that follows on its thread, PyTorch's too: so it has a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        model = thread.submit(Estimator(k, fixed_seed=seed, n_jobs=1).fit_fetch, points).result()
    return np.asarray(model.cluster_centers, dtype=np.float64)


def _check_columns(centers: F64, features: Features) -> None:
    d = 1 if centers.ndim == 1 else centers.shape[1]
    if d != features.n_columns:
        raise InputError(
            f"the centres have {d} column(s) and the features {features.n_columns}, "
            f"{', '.join(features.names)}: select those of the centres"
        )


def as_centers(values: Any) -> F64:
    """Return centres of shape (k,) or (k, d), none of them twice."""
    centers = as_numbers(values, "centres")
    if centers.ndim == 2 and centers.shape[1] == 1:
        centers = centers[:, 0]
    if centers.ndim not in (1, 2) or centers.size == 0:
        raise InputError(f"centres of shape {centers.shape} were given: (k,) or (k, d) is needed")
    if len(np.unique(centers, axis=0)) < len(centers):
        raise InputError("a centre was given twice, so that one of the two could never be visited")
    return centers
