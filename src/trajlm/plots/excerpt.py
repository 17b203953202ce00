"""Figure of a stretch of a trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trajlm.data import IntArray, StateSpace
from trajlm.discretize import periods_of
from trajlm.plots.style import (
    DATA,
    SourceStyle,
    new_axes,
    one_coordinate,
    plain_label,
    quantity_of,
    tidy,
)

# Changes of state above which a stretch is drawn as a curve instead of as steps.
DENSE = 250


def plot_excerpt(
    trajectory: IntArray,
    space: StateSpace,
    ax: Axes | None = None,
    *,
    n_frames: int | None = None,
    max_points: int = 2000,
    style: SourceStyle = DATA,
    dense: bool | None = None,
) -> Axes:
    """Draw the first frames of a trajectory: the centre of each state over time.

    Parameters
    ----------
    trajectory
        States, shape (T,).
    space
        Their meaning.
    ax
        Axes to draw on; new ones when None.
    n_frames
        Frames to show; all when None.
    max_points
        Longer stretches are drawn by the lowest and highest value of each of max_points / 2
        equal pieces, which on the page looks the same.
    style
        Of the source; the line is always solid and thin.
    dense
        Draw a curve instead of steps; None: where there are many steps (`is_dense`).
    """
    ax = ax or new_axes()
    shown = np.asarray(trajectory[:n_frames])
    centers = one_coordinate(space)
    values = shown.astype(np.float64) if centers is None else centers[shown]
    # Many steps side by side are read as a curve.
    dense = is_dense(shown) if dense is None else dense
    frames, values = _thinned(values, max_points)
    times, values = _broken_at_wraps(frames * space.dt, values, space)
    ax.plot(
        times,
        values,
        color=style.color,
        linewidth=0.55 if dense else 1.1,
        drawstyle="default" if dense else "steps-post",
        label=plain_label(style.name),
    )
    # One frame on the other side of a border has no line to either side.
    missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = missing[:-2] & missing[2:] & ~missing[1:-1]
    ax.plot(times[alone], values[alone], ".", color=style.color, markersize=2)
    if centers is None:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set_xlim(0, len(shown) * space.dt)
    ax.set_xlabel(f"time / {plain_label(space.unit)}")
    ax.set_ylabel(plain_label(quantity_of(space)))
    tidy(ax)
    return ax


def _broken_at_wraps(
    times: npt.NDArray[np.floating[Any]], values: npt.NDArray[np.float64], space: StateSpace
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.float64]]:
    """Put a gap where a periodic coordinate goes the short way round its border.

    Drawn through, every such step would look like a leap over the whole range.
    """
    period = next(iter(periods_of(space)), None)
    if period is None:
        return times, values
    wraps = np.flatnonzero(np.abs(np.diff(values)) > (period[1] - period[0]) / 2) + 1
    return np.insert(times, wraps, times[wraps]), np.insert(values, wraps, np.nan)


def is_dense(trajectory: IntArray) -> bool:
    """Return whether a stretch of states changes too often for each step to be seen."""
    return int(np.count_nonzero(np.diff(trajectory))) > DENSE


def _thinned(
    values: npt.NDArray[np.float64], max_points: int
) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.float64]]:
    """Return frames and values of at most `max_points` points that keep every excursion."""
    if len(values) <= max_points:
        return np.arange(len(values)), values
    pieces = np.array_split(np.arange(len(values)), max_points // 2)
    frames = []
    for piece in pieces:
        ends = {int(piece[np.argmin(values[piece])]), int(piece[np.argmax(values[piece])])}
        frames.extend(sorted(ends))
    index = np.array(frames, dtype=np.int64)
    return index, values[index]
