"""Figure of a stretch of a trajectory."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trajlm.analysis import extreme_frames
from trajlm.data import StateSpace
from trajlm.discretize.periodic import Period
from trajlm.plots.coordinate import Coordinate, coordinate_of
from trajlm.plots.style import DATA, SourceStyle, new_axes, plain_label, tidy
from trajlm.util.arrays import F64, FloatArray, IntArray

# Changes of state above which a stretch is drawn as a curve instead of as steps.
DENSE = 250
# How far over its border a periodic coordinate is followed, as a share of the period.
BEYOND = 0.2


def plot_excerpt(
    trajectory: IntArray,
    space: StateSpace,
    ax: Axes | None = None,
    *,
    n_frames: int | None = None,
    frames: IntArray | None = None,
    coordinate: Coordinate | None = None,
    max_points: int = 2000,
    style: SourceStyle = DATA,
    dense: bool | None = None,
) -> Axes:
    """Draw the first frames of a trajectory: where the state lies over time.

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
    frames
        The number of each frame, shape (T,), where some are left out (`Stretch`).
    coordinate
        What is drawn of each state (`coordinate_of`); the only coordinate when None or, where
        there are several, the number of the state.
    max_points
        Longer stretches are drawn by the lowest and highest value of each of max_points / 2
        equal pieces, which on the page looks the same.
    style
        Of the source; the line is always solid and thin.
    dense
        Draw a curve instead of steps; None: where there are many steps (`is_dense`).
    """
    ax = ax or new_axes()
    numbers = np.arange(len(trajectory)) if frames is None else np.asarray(frames)
    end = int(numbers[-1]) + 1 if n_frames is None else n_frames
    shown = np.asarray(trajectory)[numbers < end]
    coordinate = coordinate or coordinate_of(space)
    # Many steps side by side are read as a curve.
    dense = is_dense(shown) if dense is None else dense
    times, values = curve_of(shown, numbers[: len(shown)], space, coordinate, max_points)
    ax.plot(
        *_continued(times, values, coordinate.period),
        color=style.color,
        linewidth=0.55 if dense else 1.1,
        drawstyle="default" if dense else "steps-post",
        label=plain_label(style.name),
    )
    if coordinate.is_number:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    coordinate.label_ticks(ax.yaxis)
    ax.set_xlim(0, end * space.dt)
    ax.set_xlabel(f"time / {plain_label(space.unit)}")
    ax.set_ylabel(plain_label(coordinate.label))
    tidy(ax)
    return ax


def curve_of(
    trajectory: IntArray,
    frames: IntArray,
    space: StateSpace,
    coordinate: Coordinate,
    max_points: int,
) -> tuple[FloatArray, F64]:
    """Return times and values of at most `max_points` points that look like the trajectory."""
    values = coordinate.values[trajectory]
    kept = extreme_frames(values, max_points)
    return frames[kept] * space.dt, values[kept]


def _continued(
    times: FloatArray,
    values: F64,
    period: Period | None,
) -> tuple[FloatArray, F64]:
    """Follow a periodic coordinate a little way over its border instead of leaping back.

    Drawn as they are, steps over the border would look like leaps over the whole range. Only
    where the coordinate goes on farther than `BEYOND` of the period there is a gap.
    """
    if period is None:
        return times, values
    low, high = period
    length = high - low
    room = BEYOND * length
    drawn_times, drawn = [float(times[0])], [float(values[0])]
    for time, value in zip(times[1:].tolist(), values[1:].tolist(), strict=True):
        continued = value + length * round((drawn[-1] - value) / length)
        if not low - room <= continued <= high + room:
            # The value before is held up to the gap, or a frame alone would not be seen.
            drawn_times += [time, time]
            drawn += [drawn[-1], np.nan]
            continued = value
        drawn_times.append(time)
        drawn.append(continued)
    return np.array(drawn_times), np.array(drawn)


def is_dense(trajectory: IntArray) -> bool:
    """Return whether a stretch of states changes too often for each step to be seen."""
    return int(np.count_nonzero(np.diff(trajectory))) > DENSE
