"""Figures of the kinetics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    Survival,
    Timescales,
    TransitionProbabilities,
)
from trajlm.plots.style import (
    BAND_COLOR,
    DATA,
    SourceStyle,
    label_few,
    new_axes,
    plain_label,
    tidy,
)
from trajlm.util.arrays import I64

# Lags drawn of an autocorrelation, evenly over the logarithm.
LAGS_SHOWN = 120
# Least ratio between the ends of a logarithmic axis, so that it holds a power of ten.
LEAST_SPAN = 30


def plot_committed_transitions(
    result: CommittedTransitions,
    pair: tuple[int, int],
    ax: Axes | None = None,
    *,
    style: SourceStyle = DATA,
) -> Axes:
    """Draw the rate of i -> j over the commit time, both logarithmic.

    A commit time at which no transition was counted has no point; the band of the data then
    reaches from the largest rate that fits with none down to zero.

    Parameters
    ----------
    result
        Committed transitions.
    pair
        The states i, j.
    ax
        Axes to draw on; new ones when None.
    style
        Of the source.
    """
    ax = ax or new_axes()
    i, j = pair
    times = result.commit_times * result.dt
    counts = result.counts[:, i, j]
    rates = np.where(counts > 0, result.rates()[:, i, j], np.nan)
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="clip")
    if style.band:
        low, high = (bound[:, i, j] for bound in result.rate_intervals())
        low = np.maximum(low, 1e-3 / result.total_time)
        ax.fill_between(times, low, high, color=BAND_COLOR, lw=0, zorder=1)
    ax.plot(times, rates, **style.marked())
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.lines])
    if np.isfinite(drawn).any():
        top = np.nanmax(drawn) * 2
        ax.set_ylim(min(np.nanmin(drawn) / 2, top / LEAST_SPAN), top)
        label_few(ax.yaxis)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"commit time / {plain_label(result.unit)}")
    ax.set_ylabel(f"transitions per {plain_label(result.unit)}")
    tidy(ax)
    return ax


def plot_survival(result: Survival, ax: Axes | None = None, *, style: SourceStyle = DATA) -> Axes:
    """Draw the probability that a dwell lasts longer than a time, on a logarithmic scale.

    Dwells of one rate fall on a straight line.

    Parameters
    ----------
    result
        Survival curve.
    ax
        Axes to draw on; new ones when None.
    style
        Of the source.
    """
    ax = ax or new_axes()
    ax.set_yscale("log", nonpositive="clip")
    seen = result.probability > 0
    if style.band:
        floor = result.probability[seen].min() / 100
        low = np.where(np.isfinite(result.low), np.maximum(result.low, floor), floor)
        high = np.where(np.isfinite(result.high), result.high, result.probability)
        ax.fill_between(
            result.times,
            low,
            np.maximum(high, floor),
            step="post",
            color=BAND_COLOR,
            lw=0,
            zorder=1,
        )
    # Where all dwells last one time the curve is a point.
    look = style.marked() if np.count_nonzero(seen) == 1 else style.line()
    ax.plot(result.times[seen], result.probability[seen], drawstyle="steps-post", **look)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(left=0)
    ax.set_xlabel(f"time / {plain_label(result.unit)}")
    ax.set_ylabel("P(dwell > time)")
    tidy(ax)
    return ax


def lags_shown(result: Autocorrelation) -> I64:
    """Return lags in frames that are even on the logarithmic scale."""
    return np.unique(np.geomspace(1, int(result.lags[-1]), LAGS_SHOWN).astype(np.int64))


def plot_autocorrelation(
    result: Autocorrelation, ax: Axes | None = None, *, style: SourceStyle = DATA
) -> Axes:
    """Draw the autocorrelation over the logarithm of the lag time.

    Parameters
    ----------
    result
        Autocorrelation.
    ax
        Axes to draw on; new ones when None.
    style
        Of the source.
    """
    ax = ax or new_axes()
    shown = lags_shown(result)
    times = result.lags[shown] * result.dt
    if style.band:
        low, high = (np.clip(bound[shown], -2, 2) for bound in (result.low, result.high))
        ax.fill_between(times, low, high, color=BAND_COLOR, lw=0, zorder=1)
        ax.axhline(0, color="0.6", linewidth=0.6, zorder=2)
    ax.plot(times, result.values[shown], **style.line())
    curves = [np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.lines]
    lowest = min(float(np.nanmin(curve)) for curve in curves)
    ax.set_ylim(min(-0.1, lowest - 0.1), 1.05)
    ax.set_xscale("log")
    ax.set_xlabel(f"lag time / {plain_label(result.unit)}")
    ax.set_ylabel("autocorrelation")
    tidy(ax)
    return ax


def plot_relaxation(
    result: TransitionProbabilities,
    pair: tuple[int, int],
    ax: Axes | None = None,
    *,
    style: SourceStyle = DATA,
) -> Axes:
    """Draw the probability to be in j a lag time after i: the Chapman-Kolmogorov test.

    Parameters
    ----------
    result
        Transition probabilities at several lags.
    pair
        The states i, j.
    ax
        Axes to draw on; new ones when None.
    style
        Of the source.
    """
    ax = ax or new_axes()
    i, j = pair
    times = result.lags * result.dt
    if style.band:
        low, high = result.low[:, i, j], result.high[:, i, j]
        ax.fill_between(times, low, high, color=BAND_COLOR, lw=0, zorder=1)
    ax.plot(times, result.values[:, i, j], **style.marked())
    ax.set_xscale("log")
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel(f"lag time / {plain_label(result.unit)}")
    ax.set_ylabel("probability")
    tidy(ax)
    return ax


def plot_timescales(
    results: Sequence[Timescales],
    dt: float = 1.0,
    ax: Axes | None = None,
    *,
    n: int = 3,
    style: SourceStyle = DATA,
) -> Axes:
    """Draw the slowest implied timescales over the lag, both logarithmic.

    Those of a Markov state model are level from the lag on at which it is valid. Below the grey
    line a timescale is shorter than the lag and cannot be known.

    Parameters
    ----------
    results
        Timescales at increasing lags (`choose_lag` and `counted_timescales` give them).
    dt
        Time between two frames.
    ax
        Axes to draw on; new ones when None.
    n
        How many.
    style
        Of the source.
    """
    ax = ax or new_axes()
    times = np.array([result.lag for result in results]) * dt
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="clip")
    for k in range(min(n, len(results[0].values))):
        values, low, high = (
            np.array([getattr(result, name)[k] for result in results])
            for name in ("values", "low", "high")
        )
        values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if style.band:
            bounds = np.maximum(low, dt / 100), np.where(np.isfinite(high), high, 1e3 * values)
            known = values > times
            ax.fill_between(times, *bounds, where=known, color=BAND_COLOR, lw=0, zorder=1)
        look = style.marked() | ({} if k == 0 else {"label": "_again"})
        ax.plot(times, values, **look)
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.lines])
    if np.isfinite(drawn).any():
        top = 3 * np.nanmax(drawn)
        ax.set_ylim(min(np.nanmin(drawn) / 2, top / LEAST_SPAN), top)
    if style.band:
        ax.fill_between(times, dt / 1e3, times, color="0.93", lw=0, zorder=0)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"lag time / {plain_label(results[0].unit)}")
    ax.set_ylabel(f"implied timescale / {plain_label(results[0].unit)}")
    tidy(ax)
    return ax


def plot_discrepancies(
    values: Sequence[float],
    styles: Sequence[SourceStyle],
    ax: Axes | None = None,
    *,
    intervals: Sequence[tuple[float, float] | None] = (),
    floor: float = float("nan"),
) -> Axes:
    """Draw the discrepancy D of each model as a row, on a logarithmic scale.

    Parameters
    ----------
    values
        D of each model, one at least above zero; one that is not a number has no mark.
    styles
        Of the models.
    ax
        Axes to draw on; new ones when None.
    intervals
        Of each D.
    floor
        D0, drawn as a line across.
    """
    ax = ax or new_axes()
    rows = np.arange(len(values))[::-1]
    for k, (value, style) in enumerate(zip(values, styles, strict=True)):
        bounds = intervals[k] if intervals else None
        if bounds and np.isfinite(bounds).all():
            ax.plot(bounds, [rows[k]] * 2, color=style.color, linewidth=style.width)
        ax.plot(value, rows[k], marker=style.marker or "o", color=style.color, markersize=6)
    if floor > 0:
        ax.axvline(floor, color="black", linewidth=1.2, zorder=1)
        ax.annotate(
            "D0", (floor, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center"
        )
    ax.set_xscale("log")
    label_few(ax.xaxis, decades_from=np.inf)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(rows, [plain_label(style.name) for style in styles])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("discrepancy D")
    tidy(ax)
    return ax
