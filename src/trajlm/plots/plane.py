"""Populations of states as a density over the plane of two of their coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlm.data import StateSpace
from trajlm.discretize.periodic import nearest
from trajlm.errors import InputError
from trajlm.plots.coordinate import Coordinate, coordinate_of
from trajlm.util.arrays import F64

# Cells of the plane along each coordinate.
CELLS = 120
# Room around the outermost states, as a share of their extent.
MARGIN = 0.08
# A point farther from its state than so many distances to the next state belongs to none.
REACH = 1.6
# Width of the Gaussian of a state of more than two coordinates, in mean distances of states.
WIDTH = 0.7
# Share of the highest density below which such a map is empty.
LEAST = 1e-5


@dataclass(frozen=True)
class DensityMap:
    """A density over the plane.

    Parameters
    ----------
    density
        In each cell, shape (cells, cells); NaN where no state is.
    extent
        Ends of the plane: left, right, bottom, top.
    coordinates
        The two.
    """

    density: F64
    extent: tuple[float, float, float, float]
    coordinates: tuple[Coordinate, Coordinate]


def density_map(
    space: StateSpace, populations: F64, columns: tuple[int, int] = (0, 1)
) -> DensityMap:
    """Spread the populations of states over the plane of two coordinates.

    In a plane each cell belongs to the nearest state, whose population is shared by its cells. Of
    states with more coordinates each is a Gaussian about its centre.

    Raises
    ------
    InputError
        States without two coordinates.
    """
    if space.centers is None or space.centers.ndim != 2 or space.centers.shape[1] < 2:
        raise InputError("a map needs states with centres in two coordinates at least")
    pair = coordinate_of(space, columns[0]), coordinate_of(space, columns[1])
    ends = [_ends(coordinate) for coordinate in pair]
    cells = [np.linspace(low, high, 2 * CELLS + 1)[1::2] for low, high in ends]
    spread = _shared if space.centers.shape[1] == 2 else _smeared
    return DensityMap(spread(pair, cells, populations), (*ends[0], *ends[1]), pair)


def highest_density(
    space: StateSpace, populations: F64, columns: tuple[int, int] = (0, 1)
) -> float:
    """Return the highest density of the map, the common zero of free energies."""
    return float(np.nanmax(density_map(space, populations, columns).density))


def _ends(coordinate: Coordinate) -> tuple[float, float]:
    if coordinate.period is not None:
        return coordinate.period
    low, high = float(coordinate.values.min()), float(coordinate.values.max())
    room = MARGIN * (high - low) or 1.0
    return low - room, high + room


def _shared(pair: tuple[Coordinate, Coordinate], cells: list[F64], populations: F64) -> F64:
    # Lengths in shares of the extent, or one coordinate would decide what is near.
    scales = [x[-1] - x[0] for x in cells]
    centers = np.column_stack([c.values / s for c, s in zip(pair, scales, strict=True)])
    periods = tuple(
        c.period and (c.period[0] / s, c.period[1] / s) for c, s in zip(pair, scales, strict=True)
    )
    grid = np.stack(np.meshgrid(*cells, indexing="ij"), axis=-1).reshape(-1, 2) / scales
    state = nearest(grid, centers, periods).astype(np.int64)
    reach = REACH * _distances_to_next(centers, periods)
    away = np.sqrt(_squares(grid, centers[state], periods)) > reach[state]
    areas = np.bincount(state[~away], minlength=len(centers))
    density = np.where(populations > 0, populations / np.maximum(areas, 1), np.nan)[state]
    density[away] = np.nan
    return density.reshape(CELLS, CELLS)


def _smeared(pair: tuple[Coordinate, Coordinate], cells: list[F64], populations: F64) -> F64:
    weights = []
    for coordinate, x in zip(pair, cells, strict=True):
        width = WIDTH * float(np.ptp(coordinate.values)) / np.sqrt(len(populations))
        away = x[:, None] - coordinate.values
        if coordinate.period is not None:
            length = coordinate.period[1] - coordinate.period[0]
            away -= length * np.round(away / length)
        weights.append(np.exp(-0.5 * (away / (width or 1.0)) ** 2))
    density = (weights[0] * populations) @ weights[1].T
    return np.where(density > LEAST * density.max(), density, np.nan)


def _squares(points: F64, others: F64, periods: tuple[tuple[float, float] | None, ...]) -> F64:
    away = points - others
    for k, period in enumerate(periods):
        if period is not None:
            length = period[1] - period[0]
            away[..., k] -= length * np.round(away[..., k] / length)
    squares: F64 = (away**2).sum(axis=-1)
    return squares


def _distances_to_next(centers: F64, periods: tuple[tuple[float, float] | None, ...]) -> F64:
    """Return how far the nearest other state is, but never less than the median of all states."""
    distances = np.empty(len(centers))
    for k, center in enumerate(centers):
        squares = _squares(centers, center, periods)
        squares[k] = np.inf
        distances[k] = np.sqrt(squares.min())
    return np.maximum(distances, np.median(distances))
