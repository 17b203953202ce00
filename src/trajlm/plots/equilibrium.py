"""Figures of the free energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trajlm.analysis import FreeEnergy
from trajlm.data import StateSpace
from trajlm.plots.plane import density_map
from trajlm.plots.style import (
    BAND_COLOR,
    DATA,
    SourceStyle,
    new_axes,
    number_points,
    plain_label,
    tidy,
)

FEW_STATES = 12
# Upper end of the axis over the highest value.
HEADROOM = 1.12


def plot_free_energy(
    result: FreeEnergy,
    ax: Axes | None = None,
    *,
    centers: npt.ArrayLike | None = None,
    quantity: str = "state",
    style: SourceStyle = DATA,
    shift: float = 0.0,
) -> Axes:
    """Draw the free energy of the states, in kT, over their centres.

    States that were never seen leave a gap; the band of the data then shows how low they could
    lie.

    Parameters
    ----------
    result
        Free energies of n states.
    ax
        Axes to draw on; new ones when None.
    centers
        Where the states lie, shape (n,); their numbers when None.
    quantity
        What the centres are.
    style
        Of the source.
    shift
        Moves the points of states without centres aside, so that sources do not cover one
        another.
    """
    ax = ax or new_axes()
    n = len(result.values)
    x = np.arange(n) if centers is None else np.asarray(centers, dtype=np.float64)
    order = np.argsort(x)
    values = np.where(np.isfinite(result.values), result.values, np.nan)[order]
    # States without a coordinate have no order and are no curve: points, each with its bar.
    separate = centers is None
    top = ax.get_ylim()[1] / HEADROOM if ax.lines else 1.0
    if style.band:
        # Far above every curve, where the axis is cut, instead of infinity.
        low, high = result.low[order], np.nan_to_num(result.high[order], posinf=1e3)
        if separate:
            ax.bar(x, high - low, 0.5, low, color=BAND_COLOR, zorder=1)
        else:
            ax.fill_between(x[order], low, high, color=BAND_COLOR, lw=0, zorder=1)
    look = style.marked(6 if separate and n <= FEW_STATES else 2.8)
    ax.plot(
        x[order] + shift * separate, values, **look | ({"linestyle": "none"} if separate else {})
    )
    # Room for the values and, where a state was never seen, for where it could begin to lie.
    reached = np.where(np.isfinite(result.values), result.values, result.low)
    top = max(top, float(reached[np.isfinite(reached)].max()))
    ax.set_ylim(-0.06 * top, HEADROOM * top)
    if separate:
        if n <= FEW_STATES:
            ax.set_xticks(range(n))
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlim(-0.6, n - 0.4)
    ax.set_xlabel(plain_label(quantity))
    ax.set_ylabel("free energy / kT")
    tidy(ax)
    return ax


def plot_free_energy_map(
    result: FreeEnergy,
    space: StateSpace,
    ax: Axes | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    zero: float | None = None,
    top: float | None = None,
) -> Axes:
    """Draw the free energy over two coordinates of the states, in kT, as colours.

    It is -ln of the population of a state over its area. In a plane each point belongs to the
    nearest state; of more coordinates the states are smeared over the plane of two. Where there
    is none, or none was seen, the map is white.

    Parameters
    ----------
    result
        Free energies of n states.
    space
        Where they lie, with centres of shape (n, d), d at least 2.
    ax
        Axes to draw on; new ones when None.
    columns
        The two coordinates.
    zero
        Density at which the free energy is zero, so that maps share a scale
        (`highest_density`); the highest of these states when None.
    top
        Upper end of the colours; the highest free energy when None.

    Raises
    ------
    InputError
        States without two coordinates.
    """
    ax = ax or new_axes()
    found = density_map(space, result.populations, columns)
    energy = -np.log(found.density / (np.nanmax(found.density) if zero is None else zero))
    image = ax.imshow(
        energy.T,
        extent=found.extent,
        origin="lower",
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=top,
        interpolation="none",
    )
    for axis, coordinate in zip((ax.xaxis, ax.yaxis), found.coordinates, strict=True):
        axis.set_label_text(plain_label(coordinate.label))
    figure = ax.get_figure()
    assert figure is not None
    if top is None:
        figure.colorbar(image, ax=ax, label="free energy / kT", pad=0.02)
    return ax


def plot_state_map(
    result: FreeEnergy,
    centers: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("", ""),
) -> Axes:
    """Draw the states where they lie in the plane of two columns, coloured by free energy in kT.

    States that were never seen are left out.

    Parameters
    ----------
    result
        Free energies of n states.
    centers
        Where the states lie, shape (n, 2).
    ax
        Axes to draw on; new ones when None.
    names
        Of the two columns.
    """
    ax = ax or new_axes()
    points = np.asarray(centers, dtype=np.float64)
    seen = np.isfinite(result.values)
    x, y = points[seen].T
    dots = ax.scatter(x, y, 42, result.values[seen], cmap="viridis", linewidths=0.4, edgecolors="w")
    number_points(ax, points[seen], np.flatnonzero(seen))
    ax.margins(0.08)
    ax.set_xlabel(plain_label(names[0]))
    ax.set_ylabel(plain_label(names[1]))
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(dots, ax=ax, label="free energy / kT", pad=0.02)
    tidy(ax)
    return ax
