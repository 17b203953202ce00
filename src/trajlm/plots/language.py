"""Figures of a language model: its training and its embedding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trajlm.analysis import principal_plane
from trajlm.lstm.record import LSTMRecord
from trajlm.plots.style import new_axes, number_points, plain_label, style_of, tidy


def plot_training(record: LSTMRecord, ax: Axes | None = None) -> Axes:
    """Draw the nats per frame of the training and the held-out stretch after each epoch.

    Lines across give the held-out nats of two models without memory; one that lies far above
    the curves is named at the upper edge instead.

    Parameters
    ----------
    record
        How the model was trained, its `record`.
    ax
        Axes to draw on; new ones when None.
    """
    ax = ax or new_axes()
    epochs = [epoch.epoch for epoch in record.history]
    training = [epoch.training for epoch in record.history]
    validation = [epoch.validation for epoch in record.history]
    color = style_of("LSTM").color
    ax.plot(epochs, training, color="0.45", linewidth=1.2, dashes=(4, 1.5), label="training")
    ax.plot(epochs, validation, color=color, linewidth=1.8, label="held out")
    ax.plot(
        record.best_epoch,
        record.best.validation,
        "o",
        color=color,
        markersize=7,
        label="best epoch",
    )
    low, high = min(training + validation), max(training + validation)
    # A line farther off than this would press the curves flat.
    reach = max(2.5 * (high - low), 0.02 * abs(low))
    above = []
    baselines = record.baselines
    for value, name, look in (
        (baselines.msm, "MSM", "-."),
        (baselines.independent, "independent frames", ":"),
    ):
        if value > high + reach:
            above.append(f"{name}: {value:.3f} \u2191")
            continue
        ax.axhline(value, label=name, color=style_of("MSM").color, linewidth=1.2, linestyle=look)
    if above:
        ax.set_title("\n".join(above), loc="left", fontsize="small", color="0.3")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("nats per frame")
    ax.legend(frameon=False, fontsize="small")
    tidy(ax)
    return ax


def plot_embedding(
    vectors: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    centers: npt.ArrayLike | None = None,
    quantity: str = "state",
    states: npt.ArrayLike | None = None,
) -> Axes:
    """Draw the states on the two principal axes of their embedding vectors.

    Parameters
    ----------
    vectors
        One row a state, shape (n, M).
    ax
        Axes to draw on; new ones when None.
    centers
        Where the states lie on the coordinate, shape (n,), which gives the colours; their
        numbers when None.
    quantity
        What the centres are.
    states
        Numbers of the states to draw, two at least; all when None. A state that was never seen
        lies where it was put at random.
    """
    ax = ax or new_axes()
    rows = np.asarray(vectors)
    shown = np.arange(len(rows)) if states is None else np.asarray(states, dtype=np.int64)
    points, explained = principal_plane(rows[shown])
    heights = shown if centers is None else np.asarray(centers, dtype=np.float64)[shown]
    x, y = points.T
    dots = ax.scatter(x, y, 42, heights, cmap="viridis", linewidths=0.4, edgecolors="w")
    number_points(ax, points, shown)
    ax.margins(0.08)
    ax.set_xlabel(f"first axis ({explained[0]:.0%} of variance)")
    ax.set_ylabel(f"second axis ({explained[1]:.0%} of variance)")
    figure = ax.get_figure()
    assert figure is not None
    whole = MaxNLocator(integer=True) if centers is None else None
    figure.colorbar(dots, ax=ax, label=plain_label(quantity), pad=0.02, ticks=whole)
    tidy(ax)
    return ax
