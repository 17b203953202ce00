"""The figures of one view, each as PNG; what is shown tells sources apart in grey too."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogFormatterSciNotation, NullFormatter

from trajlm.analysis import CommittedTransitions, principal_plane
from trajlm.data import StateSpace
from trajlm.plots import (
    DATA,
    SourceStyle,
    plot_discrepancies,
    plot_excerpt,
    plot_free_energy,
    quantity_of,
    styles_of,
)
from trajlm.plots.style import BAND_COLOR, label_few, one_coordinate, plain_label, tidy
from trajlm.reproduce.paper.embedding import EmbeddingResult, StatePairs
from trajlm.reproduce.paper.results import at_every_frame
from trajlm.reproduce.paper.run import ViewResult
from trajlm.util.arrays import F64

LOOK = {"font.size": 8.5, "axes.linewidth": 0.7}
DOTS_PER_INCH = 120
COLORS = 128
PANEL = (3.2, 2.7)
# Typical stays that a stretch should show.
STAYS_SHOWN = 15
SHORTEST_STRETCH = 1000


def as_png(figure: Canvas) -> bytes:
    """Return a figure as a PNG image of few colours, a third of the size."""
    from PIL import Image

    drawn, stream = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    image = Image.open(drawn).convert("RGB").quantize(COLORS)
    image.save(stream, format="png", optimize=True)
    return stream.getvalue()


def look(view: ViewResult) -> bytes:
    """Draw a stretch of the data and of what LSTM, MSM and HMM generated, on the same scales."""
    with matplotlib.style.context(["default", LOOK]):
        data, space = view.comparison.reference, view.comparison.space
        models = at_every_frame(view)
        styles = (DATA, *styles_of([model.name for model in models]))
        stretches = [data.excerpt, *(model.excerpt for model in models)]
        n = _frames_shown(data.transitions, min(map(len, stretches)))
        figure = Canvas(figsize=(8.6, 1.15 * len(stretches) + 0.4), layout="constrained")
        axes = figure.subplots(len(stretches), 1, sharex=True, sharey=True)
        for ax, stretch, style in zip(axes, stretches, styles, strict=True):
            plot_excerpt(stretch, space, ax, n_frames=n, style=style)
            ax.set_title(plain_label(style.name), loc="left", color=style.color, fontsize="medium")
            ax.set_xlabel("")
        axes[-1].set_xlabel(f"time / {plain_label(space.unit)}")
        return as_png(figure)


def boltzmann(view: ViewResult) -> bytes:
    """Draw the free energy of the states: the data with its band, models with their bars."""
    with matplotlib.style.context(["default", LOOK]):
        figure = Canvas(figsize=(4.8, 3.3), layout="constrained")
        ax = figure.subplots()
        data, space = view.comparison.reference, view.comparison.space
        names = view.comparison.grouping.names
        # A few states are no curve: points side by side, under the names of the states.
        few = space.n_states == len(names)
        centers = None if few else one_coordinate(space)
        plot_free_energy(
            data.free_energy, ax, centers=centers, quantity=quantity_of(space), style=DATA
        )
        x = np.arange(space.n_states) if centers is None else centers
        sources = at_every_frame(view)
        styles = styles_of([source.name for source in sources])
        for k, (source, style) in enumerate(zip(sources, styles, strict=True)):
            mean, (low, high) = source.free_energy.populations, source.population_intervals()
            with np.errstate(divide="ignore", invalid="ignore"):
                F, top, bottom = (-np.log(p / mean.max()) for p in (mean, low, high))
            F[~np.isfinite(F)] = np.nan
            bars = np.nan_to_num(np.abs([F - bottom, np.where(np.isfinite(top), top, F + 5) - F]))
            look = style.marked(4) | ({"linestyle": "none"} if few else {})
            shift = 0.12 * (k + 1) if few else 0.0
            ax.errorbar(x + shift, F, bars, **look, capsize=1.5, elinewidth=0.8)
        exact = view.exact_populations
        if exact is not None:
            ax.plot(
                x, -np.log(exact / exact.max()), "x", color="0.25", ms=8, mew=1.4, label="exact"
            )
        if few:
            ax.set_xticks(x, [plain_label(name) for name in names])
            ax.set_xlabel("")
        ax.legend(frameon=False, fontsize="small")
        return as_png(figure)


def kinetics(view: ViewResult) -> bytes:
    """Draw, for every ordered pair of groups, the inverse rate over the commit time."""
    with matplotlib.style.context(["default", LOOK]):
        names = view.comparison.grouping.names
        pairs = [(i, j) for i in range(len(names)) for j in range(len(names)) if i != j]
        columns = min(len(pairs), 3 if len(pairs) != 2 else 2)
        rows = -(-len(pairs) // columns)
        size = (PANEL[0] * columns, PANEL[1] * rows + 0.5)
        figure = Canvas(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for ax, (i, j) in zip(axes.flat, pairs, strict=False):
            _inverse_rates(ax, view, i, j)
            ax.set_title(plain_label(f"{names[i]} \u2192 {names[j]}"), fontsize="medium")
        for ax in axes.flat[len(pairs) :]:
            ax.axis("off")
        unit = plain_label(view.comparison.space.unit)
        figure.supxlabel(f"commit time / {unit}", fontsize="medium")
        figure.supylabel(f"inverse rate / {unit}", fontsize="medium")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(len(labels), 6), frameon=False
        )
        return as_png(figure)


def _inverse_rates(ax: Axes, view: ViewResult, i: int, j: int) -> None:
    data, models = view.comparison.reference.transitions, view.comparison.models
    _data_band(ax, data, i, j)
    for source, style in zip(models, styles_of([m.name for m in models]), strict=True):
        reference = view.comparison.data_at(source.lag).transitions
        bounds = source.rate_intervals()
        mean, low, high = (rates[:, i, j] for rates in (source.transitions.rates(), *bounds))
        _curve(ax, reference.commit_times * reference.dt, mean, low, high, style)
    if view.plane is not None:
        plane = view.plane
        rates = plane.rates()[:, i, j]
        ax.plot(
            plane.commit_times * plane.dt,
            np.where(rates > 0, 1 / np.maximum(rates, 1e-300), np.nan),
            color="0.45",
            linewidth=2.6,
            alpha=0.55,
            label="told apart in the plane",
            zorder=2,
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    drawn = data.rates()[:, i, j]
    seen = drawn[drawn > 0]
    if len(seen):
        ax.set_ylim(0.2 / seen.max(), 6 / seen.min())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    tidy(ax)


def _data_band(ax: Axes, reference: CommittedTransitions, i: int, j: int) -> None:
    times = reference.commit_times * reference.dt
    low, high = (bound[:, i, j] for bound in reference.rate_intervals())
    rates = reference.rates()[:, i, j]
    seen = rates > 0
    if not seen.any():
        return
    least = 1e-2 / reference.total_time
    ax.fill_between(
        times[seen],
        1 / np.maximum(high, least)[seen],
        1 / np.maximum(low, least)[seen],
        color=BAND_COLOR,
        lw=0,
        zorder=1,
    )
    ax.plot(times[seen], 1 / rates[seen], **DATA.marked())


def _curve(
    ax: Axes, times: npt.ArrayLike, mean: F64, low: F64, high: F64, style: SourceStyle
) -> None:
    times, seen = np.asarray(times), mean > 0
    inverse = 1 / mean[seen]
    with np.errstate(divide="ignore"):
        longest = np.where(low[seen] > 0, 1 / low[seen], inverse * 3)
        shortest = np.where(np.isfinite(high[seen]), 1 / high[seen], inverse)
    bars = np.nan_to_num(np.abs([inverse - shortest, longest - inverse]))
    ax.errorbar(times[seen], inverse, bars, **style.marked(3.2), capsize=1.5, elinewidth=0.8)


def discrepancies(view: ViewResult) -> bytes:
    """Draw D of each source as a row, with D0 across."""
    with matplotlib.style.context(["default", LOOK]):
        models = view.comparison.models
        figure = Canvas(figsize=(5.2, 0.34 * len(models) + 0.9), layout="constrained")
        ax = figure.subplots()
        intervals = [model.discrepancy_interval or (np.nan, np.nan) for model in models]
        plot_discrepancies(
            [model.discrepancy.value for model in models],
            styles_of([model.name for model in models]),
            ax,
            intervals=[(max(low, 1e-4), high) for low, high in intervals],
            floor=view.comparison.reference.discrepancy.value,
        )
        return as_png(figure)


def embedding_maps(embeddings: Mapping[str, EmbeddingResult], space: StateSpace) -> bytes:
    """Draw the state vectors on their two principal axes, one panel a kind of network."""
    with matplotlib.style.context(["default", LOOK]):
        figure = Canvas(figsize=(3.9 * len(embeddings), 3.5), layout="constrained")
        axes = figure.subplots(1, len(embeddings), squeeze=False)
        centers = one_coordinate(space)
        values = np.arange(space.n_states) if centers is None else centers
        order = np.argsort(values)
        for ax, (name, result) in zip(axes.flat, embeddings.items(), strict=True):
            xy, share = principal_plane(result.vectors)
            ax.plot(*xy[order].T, color="0.8", linewidth=0.8, zorder=1)
            ax.scatter(*xy.T, c=values, cmap="viridis", s=26, zorder=2, edgecolor="0.2", lw=0.4)
            for k in range(space.n_states):
                ax.annotate(str(k), xy[k], (3, 3), textcoords="offset points", fontsize=7)
            ax.set_title(f"{name}: {share.sum():.0%} of the variance", fontsize="medium")
            ax.set_xlabel("first principal axis")
            ax.set_ylabel("second principal axis")
            ax.margins(0.12)
            tidy(ax)
        return as_png(figure)


def embedding_kinetics(embeddings: Mapping[str, EmbeddingResult], pairs: StatePairs) -> bytes:
    """Draw distances over commute times, and Q_lm over interconversion probabilities."""
    with matplotlib.style.context(["default", LOOK]):
        figure = Canvas(figsize=(7.6, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        looks: Sequence[tuple[str, str]] = (("o", "#d55e00"), ("s", "#0072b2"))
        upper = np.triu(np.isfinite(pairs.commute_times), k=1)
        followed = pairs.interconversion > 0
        for (name, result), (marker, color) in zip(embeddings.items(), looks, strict=False):
            style = {"marker": marker, "color": color, "linestyle": "none", "ms": 3.2, "mew": 0.6}
            style |= {"markerfacecolor": "none" if marker == "s" else color, "label": name}
            left.plot(pairs.commute_times[upper], result.distances[upper], **style)
            right.plot(pairs.interconversion[followed], result.memoryless[followed], **style)
        ends = [pairs.interconversion[followed].min(), pairs.interconversion[followed].max()]
        right.plot(ends, ends, color="0.6", linewidth=0.8, zorder=1)
        left.set_xscale("log")
        right.set_xscale("log")
        right.set_yscale("log")
        left.set_xlabel("commute time of the data")
        left.set_ylabel("distance of the state vectors")
        right.set_xlabel("P(l | m), data")
        right.set_ylabel("Q(l | m), without memory")
        left.legend(frameon=False)
        for ax in (left, right):
            tidy(ax)
            label_few(ax.xaxis)
            ax.xaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
        return as_png(figure)


def _frames_shown(reference: CommittedTransitions, most: int) -> int:
    entries = reference.counts[len(reference.commit_times) // 3].sum(axis=0)
    stays = reference.time_in_state[entries > 0] / entries[entries > 0]
    typical = float(stays.max()) if len(stays) else most
    return int(min(max(STAYS_SHOWN * typical, SHORTEST_STRETCH), most))
