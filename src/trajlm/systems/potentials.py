"""Two-dimensional model potentials whose populations and mean energy are known exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.util.arrays import F64

Points = tuple[tuple[float, float], ...]

# Beyond this distance from the origin the Boltzmann weight of the potentials here is below 1e-12
# of its largest value.
_HALF_WIDTH = 6.0


@dataclass(frozen=True)
class GaussianWells:
    r"""Gaussian wells and hills of unit height in a flat box, with the dynamics that go with them.

    .. math:: U = W (x^6 + y^6) - \sum_{wells} d_i G_i + \sum_{hills} G_j, \qquad
              G_i = \exp(-|r - r_i|^2 / 2 w^2)

    Parameters
    ----------
    name
        How the system is called.
    wells, hills
        Their centres (x, y), k of them and m of them; at least one well.
    width
        Standard deviation w of each Gaussian.
    weight
        Strength W of the walls of the box.
    beta
        Inverse temperature, in units of one over the depth of a well.
    friction
        Friction constant, one over time units.
    mass
        Mass of the particle.
    h
        Time step of the integrator.
    steps_per_frame
        Integration steps from one frame to the next.
    depths
        Depth d of each well; one when not given.

    Raises
    ------
    InputError
        No well, or a parameter that is not positive.

    References
    ----------
    Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), Methods.
    """

    name: str
    wells: Points
    hills: Points = ()
    width: float = 0.8
    weight: float = 1e-4
    beta: float = 9.5
    friction: float = 1.0
    mass: float = 1.0
    h: float = 0.01
    steps_per_frame: int = 100
    depths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.wells:
            raise InputError(f"potential {self.name!r} has no well: give at least one centre")
        if self.depths and not (
            len(self.depths) == len(self.wells) and np.isfinite(self.depths).all()
        ):
            raise InputError(
                f"potential {self.name!r} has {len(self.wells)} wells and {len(self.depths)} "
                "depths: give one finite number each"
            )
        for parameter in ("width", "weight", "beta", "friction", "mass", "h", "steps_per_frame"):
            value = getattr(self, parameter)
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{parameter} of potential {self.name!r} must be positive, not {value}"
                )

    @property
    def centers(self) -> F64:
        """Centres of the wells, then of the hills, shape (k + m, 2)."""
        return np.array([*self.wells, *self.hills], dtype=np.float64)

    @property
    def heights(self) -> F64:
        """Height of each Gaussian, negative for a well and +1 for a hill, shape (k + m,)."""
        depths = self.depths or (1.0,) * len(self.wells)
        return np.array([-depth for depth in depths] + [1.0] * len(self.hills))

    def energy(self, x: npt.ArrayLike, y: npt.ArrayLike) -> F64:
        """Return the potential energy at the points (x, y), with the broadcast shape of both."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        U = self.weight * (x**6 + y**6)
        for (cx, cy), height in zip(self.centers, self.heights, strict=True):
            U = U + height * self._gaussian(x - cx, y - cy)
        return np.asarray(U)

    def _gaussian(self, dx: F64, dy: F64) -> F64:
        return np.asarray(np.exp(-(dx**2 + dy**2) / (2 * self.width**2)))


LINEAR3 = GaussianWells("linear3", wells=((-1.5, -1.5), (0.0, 0.0), (1.5, 1.5)), beta=9.5)
TRIANGULAR3 = GaussianWells("triangular3", wells=((-1.5, 1.5), (0.0, -1.0), (1.5, 1.8)), beta=9.0)
FOUR_STATE = GaussianWells(
    "four_state",
    wells=((-2.0, 1.0), (-0.5, -2.0), (0.5, 2.0), (2.0, -1.0)),
    hills=((0.0, 0.0),),
    beta=9.5,
)

POTENTIALS: Mapping[str, GaussianWells] = MappingProxyType(
    {potential.name: potential for potential in (LINEAR3, TRIANGULAR3, FOUR_STATE)}
)


def exact_populations(potential: GaussianWells) -> F64:
    """Compute the Boltzmann populations of the wells as they are told apart in x alone.

    A point belongs to the well whose centre is nearest in x. Quadrature in double precision:
    the trapezoidal rule in y, Gauss-Legendre in x between the borders.

    Returns
    -------
    ndarray, shape (k,)
        One population a distinct x of the wells, in order of x; their sum is one.
    """
    centers = np.unique([x for x, _ in potential.wells])
    borders = [-_HALF_WIDTH, *(centers[1:] + centers[:-1]) / 2, _HALF_WIDTH]
    nodes, node_weights = np.polynomial.legendre.leggauss(100)
    weights = np.empty(len(centers))
    for k, (low, high) in enumerate(pairwise(borders)):
        x = low + (nodes + 1) * (high - low) / 2
        density = np.exp(-potential.beta * potential.energy(x[:, None], _grid())).sum(axis=1)
        weights[k] = density @ node_weights * (high - low) / 2
    return np.asarray(weights / weights.sum())


def mean_energy(potential: GaussianWells) -> float:
    """Compute the Boltzmann average of the potential energy by quadrature in the plane."""
    U = potential.energy(_grid()[:, None], _grid())
    boltzmann = np.exp(-potential.beta * U)
    return float((U * boltzmann).sum() / boltzmann.sum())


def _grid() -> F64:
    return np.linspace(-_HALF_WIDTH, _HALF_WIDTH, 1001)
