"""Figures of the metastable groups: a network with rates, and the kinetic map of the states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch

from trajlm.analysis import KineticMap, RateConstants
from trajlm.plots.style import new_axes, number_points, plain_label, tidy
from trajlm.util.arrays import F64
from trajlm.util.words import number

# Radius of the circle of a group of all frames, where the network is about 2 wide.
LARGEST_RADIUS = 0.42
SMALLEST_RADIUS = 0.06
# Letters of a name, and of one inside a circle for its radius.
LONGEST_NAME, LETTERS = 12, 20
# Least length of an arrow, and rounds of pushing circles apart for it.
SHORTEST, ROUNDS = 0.75, 200
# Room around the circles, and for words above or below them.
ROOM, FOR_WORDS = 0.6, 0.25
# Widths of arrows in points, and the ratio of rates over which they go from thick to thin.
WIDEST, THINNEST, WIDTHS = 2.6, 0.5, 1000
# Okabe and Ito's colours, light enough for black letters.
GROUP_COLORS = ("#56b4e9", "#e69f00", "#7fc9a9", "#cc79a7", "#d9d05f", "#a0a0d0", "#c0a080")


def plot_group_network(
    result: RateConstants,
    populations: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    names: Sequence[str] = (),
    positions: npt.ArrayLike | None = None,
    shown: npt.ArrayLike | None = None,
) -> Axes:
    """Draw the groups as circles and their rate constants as arrows between them.

    The area of a circle is the population of its group. The number at an arrow i -> j is the rate
    constant per unit of time; an arrow is the thinner, the slower it is, and there is none where
    no transition was counted.

    Parameters
    ----------
    result
        Rate constants between n groups.
    populations
        Of the groups, shape (n,).
    ax
        Axes to draw on; new ones when None.
    names
        Of the groups; their numbers when empty.
    positions
        Where the groups lie, shape (n, 2); on a circle when None.
    shown
        Which arrows are drawn, shape (n, n); all when None.
    """
    ax = ax or new_axes()
    shares = np.asarray(populations, dtype=np.float64)
    n = len(shares)
    radii = np.maximum(LARGEST_RADIUS * np.sqrt(shares), SMALLEST_RADIUS)
    places = _spread(positions, radii)
    known = np.isfinite(result.values) & (True if shown is None else np.asarray(shown))
    constants = np.where(known, result.values, 0.0)
    fastest = float(constants.max(initial=0.0))
    for i in range(n):
        for j in range(n):
            if i != j and constants[i, j] > 0:
                _arrow(ax, places, radii, (i, j), float(constants[i, j]), fastest)
    middle = float(places[:, 1].min() + places[:, 1].max()) / 2
    outside = any(len(name) > LETTERS * LARGEST_RADIUS for name in names)
    for k in range(n):
        name = names[k] if names else str(k)
        color = GROUP_COLORS[k % len(GROUP_COLORS)]
        ax.add_patch(_circle(places[k], radii[k], color))
        words = plain_label(name[:LONGEST_NAME]), f"{shares[k]:.2g}"
        # On the outer side of a circle that is too small for its words.
        if radii[k] > 0.25 and len(name) <= LETTERS * radii[k]:
            y, offsets = places[k, 1], (4.5, -4.5)
        elif places[k, 1] > middle:
            y, offsets = places[k, 1] + radii[k], (15.0, 6.0)
        else:
            y, offsets = places[k, 1] - radii[k], (-7.0, -16.0)
        for text, offset in zip(words, offsets, strict=True):
            ax.annotate(
                text,
                (places[k, 0], y),
                (0, offset),
                textcoords="offset points",
                ha="center",
                va="center",
                zorder=6,
            )
    x, y = places.T
    ax.set_xlim(x.min() - ROOM, x.max() + ROOM)
    ax.set_ylim(y.min() - ROOM - FOR_WORDS * outside, y.max() + ROOM + FOR_WORDS * outside)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def plot_kinetic_map(
    result: KineticMap,
    ax: Axes | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    names: Sequence[str] = (),
    states: npt.ArrayLike | None = None,
) -> Axes:
    """Draw the states on the two slowest processes: near each other, they mix fast.

    Parameters
    ----------
    result
        Kinetic map of n states.
    ax
        Axes to draw on; new ones when None.
    groups
        Group of each state, shape (n,), which gives the colours.
    names
        Of the groups.
    states
        Numbers of the states to draw; all when None.
    """
    ax = ax or new_axes()
    known = np.array(np.isfinite(result.coordinates).all(axis=1))
    if states is not None:
        known &= np.isin(np.arange(len(known)), np.asarray(states))
    shown = np.flatnonzero(known)
    of = np.zeros(len(known), np.int64) if groups is None else np.asarray(groups, np.int64)
    for group in np.unique(of[shown]):
        inside = shown[of[shown] == group]
        label = names[group] if len(names) else str(group)
        color = GROUP_COLORS[group % len(GROUP_COLORS)]
        x, y = result.coordinates[inside].T
        ax.scatter(x, y, 30, color, linewidths=0.4, edgecolors="0.3", label=plain_label(label))
    number_points(ax, result.coordinates[shown], shown)
    ax.margins(0.1)
    for axis, k, which in ((ax.xaxis, 0, "slowest"), (ax.yaxis, 1, "second")):
        time = number(float(result.timescales[k]))
        axis.set_label_text(f"{which} process ({time} {plain_label(result.unit)})")
    tidy(ax)
    return ax


def _spread(positions: npt.ArrayLike | None, radii: F64) -> F64:
    """Return places of circles: as they were given, with room for arrows, or on a circle."""
    n = len(radii)
    if positions is not None:
        places: F64 = np.array(positions, dtype=np.float64)
        extent = np.ptp(places, axis=0)
        places = (places - places.min(axis=0)) / np.where(extent > 0, extent, 1.0) * (2.4, 1.5)
        apart = radii[:, None] + radii + SHORTEST
        np.fill_diagonal(apart, 0.0)
        for _ in range(ROUNDS):
            away = places[:, None] - places
            distance = np.linalg.norm(away, axis=-1)
            if (distance >= 0.95 * apart).all():
                return places
            push = np.maximum(apart - distance, 0.0) / np.maximum(distance, 1e-9)
            places = places + 0.3 * (push[:, :, None] * away).sum(axis=1)
    turns = 2 * np.pi * np.arange(n) / n + (np.pi if n == 2 else np.pi / 2)
    return np.column_stack([1.2 * np.cos(turns), (1.0 if n > 2 else 0.0) * np.sin(turns)])


def _circle(place: F64, radius: float, color: str) -> Circle:
    return Circle((float(place[0]), float(place[1])), radius, fc=color, ec="0.2", lw=0.8, zorder=4)


def _arrow(
    ax: Axes,
    places: F64,
    radii: F64,
    pair: tuple[int, int],
    constant: float,
    fastest: float,
) -> None:
    """Draw one bent arrow from rim to rim, with its rate constant on the outer side."""
    i, j = pair
    way = places[j] - places[i]
    length = float(np.linalg.norm(way))
    along = way / length
    aside = np.array([along[1], -along[0]])
    offset = 0.055 * aside
    begin = places[i] + along * (radii[i] + 0.03) + offset
    end = places[j] - along * (radii[j] + 0.03) + offset
    share = np.clip(1 + np.log(constant / fastest) / np.log(WIDTHS), 0, 1)
    width = THINNEST + (WIDEST - THINNEST) * float(share)
    style = f"-|>,head_length={2.2 + width},head_width={1.1 + width / 2}"
    ax.add_patch(
        FancyArrowPatch(
            tuple(begin), tuple(end), arrowstyle=style, lw=width, color="0.35", shrinkA=0, shrinkB=0
        )
    )
    middle = (begin + end) / 2
    angle = np.degrees(np.arctan2(along[1], along[0]))
    angle = (angle + 90) % 180 - 90
    ax.annotate(
        number(constant, 2),
        (float(middle[0]), float(middle[1])),
        (float(7 * aside[0]), float(7 * aside[1])),
        textcoords="offset points",
        fontsize="small",
        color="0.2",
        rotation=angle,
        rotation_mode="anchor",
        ha="center",
        va="center",
        zorder=6,
    )
