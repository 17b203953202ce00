"""What all ways of cutting features into states share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from trajlm.data import Features, FeaturesLike, States, as_features
from trajlm.discretize.periodic import Periods
from trajlm.discretize.projection import project
from trajlm.provenance import Discretization, Method, Projection
from trajlm.util.arrays import F64, IntArray
from trajlm.util.parameters import Parameters
from trajlm.util.trajectories import owned
from trajlm.util.words import MOST_COLUMNS, html, without_surrogates


class Discretizer(Parameters, ABC):
    """What all ways of cutting share: ``fit`` to features, then ``transform`` gives states.

    ``fit`` returns the discretizer itself. A state keeps its number whether or not it is visited.
    Where it was fitted to slow coordinates (`TICA`, `VAMP`), features in the columns that these
    came from are projected first, so that other data is cut alike.
    """

    projection_: Projection | None = None

    def _repr_html_(self) -> str:
        facts = [(name, _brief(value)) for name, value in self.get_params().items()]
        found = {k: v for k, v in vars(self).items() if k.endswith("_") and v is not None}
        facts += [(f"{name} (found)", _brief(value)) for name, value in found.items()]
        return html(type(self).__name__, facts)

    def fit(self, features: FeaturesLike) -> Self:
        """Fit to `features`, anew each time, and return the discretizer itself.

        Raises
        ------
        InputError
            Features that cannot be cut so: another number of columns, too few distinct values.
        """
        features = as_features(features)
        self._fit(features)
        self.projection_ = features.projection
        return self

    @abstractmethod
    def _fit(self, features: Features) -> None:
        """Find what the cut needs."""

    @abstractmethod
    def _method(self) -> Method:
        """Return all that is needed to cut other data alike."""

    @abstractmethod
    def _periods(self, features: Features) -> Periods:
        """Return the domains that the cut of these features goes round."""

    @abstractmethod
    def _assign(self, features: Features) -> tuple[list[IntArray], F64]:
        """Return the states of each trajectory and the centres of all states."""

    def transform(self, features: FeaturesLike) -> States:
        """Return the states of `features`, with its dt, unit and borders.

        Raises
        ------
        InputError
            Not fitted yet, another number of columns, slow coordinates of another projection, or
            values that belong to no state (trajectory, frame and value).
        """
        features = as_features(features)
        if self.projection_ is not None:
            features = project(features, self.projection_)
        trajectories, centers = self._assign(features)
        return States(
            [owned(s) for s in trajectories],
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
                projection=features.projection,
                column_units=tuple(map(without_surrogates, features.column_units)),
            ),
        )

    def fit_transform(self, features: FeaturesLike) -> States:
        """Fit to `features` and return their states."""
        features = as_features(features)
        return self.fit(features).transform(features)


def _brief(value: object) -> str:
    """Return a value in a line; of a long array its shape and its range."""
    if isinstance(value, Projection):
        return value.describe()
    array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
    if array is None or array.size <= MOST_COLUMNS or array.dtype.kind not in "fiu":
        return str(value)
    shape = " × ".join(map(str, array.shape))
    return f"{shape} numbers, {array.min():.4g} to {array.max():.4g}"
