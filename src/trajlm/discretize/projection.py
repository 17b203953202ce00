"""Slow coordinates as linear combinations of columns: TICA and VAMP, by deeptime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from trajlm.data import Features, FeaturesLike, as_features
from trajlm.discretize.checks import count
from trajlm.discretize.compatibility import columns_differ
from trajlm.discretize.periodic import Periods, to_circles
from trajlm.errors import InputError
from trajlm.provenance import Projection, Scaling
from trajlm.util.arrays import F64
from trajlm.util.parameters import Parameters
from trajlm.util.trajectories import owned
from trajlm.util.words import counted, duration

if TYPE_CHECKING:
    from deeptime import decomposition


# A column that varies by less, relative to its mean, is constant but for rounding.
CONSTANT = 1e-10


class SlowCoordinates(Parameters, ABC):
    """What TICA and VAMP share: ``fit`` to features, then ``transform`` gives slow coordinates."""

    name: ClassVar[Literal["TICA", "VAMP"]]

    def __init__(self, lag: int, dim: int = 2, scaling: Scaling | None = "kinetic_map") -> None:
        self.lag = lag
        self.dim = dim
        self.scaling = scaling
        count(lag, f"lag of {self.name}")
        count(dim, f"number of coordinates of {self.name}")
        if scaling not in self._scalings():
            known = ", ".join(str(x) for x in self._scalings())
            raise InputError(f"{self.name} has no scaling {scaling!r}: it has {known}")
        self.projection_: Projection | None = None
        self.values_: F64 | None = None

    @classmethod
    def _scalings(cls) -> tuple[Scaling | None, ...]:
        return (None, "kinetic_map", "commute_map")

    @abstractmethod
    def _estimator(self) -> decomposition.VAMP:
        """Return deeptime's estimator."""

    def fit(self, features: FeaturesLike) -> Self:
        """Find the coordinates; no pair of frames crosses the border of a trajectory."""
        features = as_features(features)
        if features.projection is not None:
            raise InputError(f"these are coordinates of {features.projection.method} already")
        long = [x for x in features if len(x) > self.lag]
        if not long:
            raise InputError(
                f"no trajectory is longer than the lag of {self.lag} frames: take a shorter one"
            )
        mean, deviation = _moments(long, features.periods)
        estimator = self._estimator()
        for x in long:
            scaled = (to_circles(x, features.periods)[0] - mean) / deviation
            estimator.partial_fit((scaled[: -self.lag], scaled[self.lag :]))
        model = estimator.fetch_model()
        matrix = np.asarray(model.instantaneous_coefficients, dtype=np.float64)
        if self.dim > matrix.shape[1]:
            span = counted(matrix.shape[1], "slow coordinate", "slow coordinates")
            raise InputError(f"the columns span {span}, not {self.dim}: ask for fewer")
        self.values_ = np.asarray(model.singular_values, dtype=np.float64)[: matrix.shape[1]]
        # The sign of an eigenvector is free: its largest coefficient is taken to be positive.
        matrix = matrix[:, : self.dim]
        largest = np.take_along_axis(matrix, np.abs(matrix).argmax(axis=0)[None], axis=0)
        matrix = matrix * np.sign(largest)
        self.projection_ = Projection(
            method=self.name,
            lag=int(self.lag),
            columns=features.names,
            periods=features.periods,
            mean=tuple((mean + deviation * model.cov.mean_0).tolist()),
            matrix=tuple(map(tuple, (matrix / deviation[:, None]).tolist())),
            names=tuple(f"{self.name}{k + 1}" for k in range(self.dim)),
            values=tuple(self.values_[: self.dim].tolist()),
            scaling=self.scaling,
        )
        return self

    def transform(self, features: FeaturesLike) -> Features:
        """Return the slow coordinates of features, with their dt, unit, borders and history.

        Raises
        ------
        InputError
            Not fitted yet, or other columns than those it was fitted to.
        """
        return project(as_features(features), self._fitted())

    def fit_transform(self, features: FeaturesLike) -> Features:
        """Fit to `features` and return their slow coordinates."""
        features = as_features(features)
        return self.fit(features).transform(features)

    def score(self, features: FeaturesLike) -> float:
        """Return the VAMP-2 score of the coordinates on features, which need not be those fitted.

        The sum of the squared correlations between the coordinates at two times a lag apart, in
        the best linear combinations, plus one for the constant; at most dim + 1. On data that was
        not fitted it tells which columns, lag and dimension find what is slow and there again.

        References
        ----------
        Wu, Noé, J. Nonlinear Sci. 30:23 (2020).
        """
        from deeptime import decomposition

        estimator = decomposition.VAMP(lagtime=self.lag)
        for x in self.transform(features):
            if len(x) > self.lag:
                estimator.partial_fit((x[: -self.lag], x[self.lag :]))
        return float(estimator.fetch_model().score(2))

    def describe(self, dt: float = 1.0, unit: str = "frame") -> str:
        """Say in a line which coordinates were found and how slow they are."""
        found = self._fitted()
        lag = duration(self.lag * dt, unit)
        values = ", ".join(f"{x:.3f}" for x in found.values)
        return f"{', '.join(found.names)}: correlations {values} at a lag of {lag}"

    def _fitted(self) -> Projection:
        if self.projection_ is None:
            raise InputError(f"{self.name} has found no coordinates yet: call fit first")
        return self.projection_


class TICA(SlowCoordinates):
    """Time-lagged independent components: the slowest linear coordinates of reversible dynamics.

    Periodic columns go in as cosine and sine. All columns are divided by their standard deviation
    first, so that units do not matter.

    Parameters
    ----------
    lag
        Frames over which the coordinates are to be slow.
    dim
        Number of coordinates, the slowest first.
    scaling
        ``kinetic_map`` multiplies each coordinate by its eigenvalue, so that distances are
        kinetic distances and k-means cuts the slow ones finely; ``commute_map`` by the root of
        half its timescale; None leaves all at unit variance.

    Attributes
    ----------
    projection_ : trajlm.provenance.Projection
        The linear map; None before ``fit``.
    values_ : ndarray, shape (n,)
        Eigenvalues at the lag, of all that the columns span.

    Raises
    ------
    InputError
        A lag or dimension that is no whole number from 1, another scaling; from ``fit``, no
        trajectory longer than the lag, or columns that span fewer coordinates.

    References
    ----------
    Pérez-Hernández et al., J. Chem. Phys. 139:015102 (2013); Noé, Clementi, J. Chem. Theory
    Comput. 11:5002 (2015) (kinetic map).
    """

    name = "TICA"

    def timescales(self, dt: float = 1.0) -> F64:
        """Return ``-lag dt / ln |eigenvalue|`` of each coordinate, in the unit of dt (frames)."""
        values = np.array(self._fitted().values)
        timescales: F64 = -self.lag * dt / np.log(np.abs(values))
        return timescales

    def _estimator(self) -> decomposition.VAMP:
        from deeptime import decomposition

        return decomposition.TICA(lagtime=self.lag, scaling=self.scaling)


class VAMP(SlowCoordinates):
    """The slowest linear coordinates of dynamics that need not be reversible.

    Periodic columns go in as cosine and sine. All columns are divided by their standard deviation
    first, so that units do not matter.

    Parameters
    ----------
    lag
        Frames over which the coordinates are to be slow.
    dim
        Number of coordinates, the slowest first.
    scaling
        ``kinetic_map`` multiplies each coordinate by its singular value; None leaves all at unit
        variance.

    Attributes
    ----------
    projection_ : trajlm.provenance.Projection
        The linear map; None before ``fit``.
    values_ : ndarray, shape (n,)
        Singular values at the lag, of all that the columns span.

    Raises
    ------
    InputError
        A lag or dimension that is no whole number from 1, another scaling; from ``fit``, no
        trajectory longer than the lag, or columns that span fewer coordinates.

    References
    ----------
    Wu, Noé, J. Nonlinear Sci. 30:23 (2020).
    """

    name = "VAMP"

    @classmethod
    def _scalings(cls) -> tuple[Scaling | None, ...]:
        return (None, "kinetic_map")

    def _estimator(self) -> decomposition.VAMP:
        from deeptime import decomposition

        return decomposition.VAMP(lagtime=self.lag, scaling=self.scaling)


def project(features: Features, projection: Projection) -> Features:
    """Return features in the slow coordinates of a projection; those that are there stay so.

    Raises
    ------
    InputError
        Columns other than those that are projected, or coordinates of another projection.
    """
    if features.projection is not None:
        if set(projection.names) <= set(features.names):
            features = features.select(projection.names)
        if features.projection != projection:
            raise InputError(
                f"these are coordinates of another {projection.method}: give the features that "
                "they were made from"
            )
        return features
    if set(projection.columns) <= set(features.names):
        features = features.select(projection.columns)
    if columns_differ(features.names, projection.columns):
        raise InputError(
            f"{projection.method} was fitted to {', '.join(projection.columns)} and the columns "
            f"are {', '.join(features.names)}: give those"
        )
    _check_periods(features, projection)
    mean, matrix = np.array(projection.mean), np.array(projection.matrix)
    return replace(
        features,
        trajectories=tuple(
            owned((to_circles(x, projection.periods)[0] - mean) @ matrix) for x in features
        ),
        names=projection.names,
        periods=(None,) * len(projection.names),
        column_units=("",) * len(projection.names),
        projection=projection,
    )


def _check_periods(features: Features, projection: Projection) -> None:
    pairs = zip(features.names, features.periods, projection.periods, strict=True)
    for name, period, wanted in pairs:
        if period and wanted and not np.isclose(period[1] - period[0], wanted[1] - wanted[0]):
            raise InputError(
                f"{name} goes from {period[0]:g} to {period[1]:g}, and {projection.method} was "
                f"fitted to {wanted[0]:g} to {wanted[1]:g}: give it in the same unit"
            )


def _moments(trajectories: list[F64], periods: Periods) -> tuple[F64, F64]:
    """Return mean and standard deviation of columns on their circles, 1 where they are constant."""
    n = sum(len(x) for x in trajectories)
    total = sum(to_circles(x, periods)[0].sum(axis=0) for x in trajectories)
    mean = np.asarray(total / n)
    squares = sum(((to_circles(x, periods)[0] - mean) ** 2).sum(axis=0) for x in trajectories)
    deviation = np.sqrt(squares / n)
    return mean, np.where(deviation > CONSTANT * np.abs(mean), deviation, 1.0)
