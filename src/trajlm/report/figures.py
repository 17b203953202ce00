"""The figures of the page, as images that it carries inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajlm.evaluate.groups import state_table
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.significance import seen_pairs, typical_dwells
from trajlm.lstm.record import LSTMRecord
from trajlm.plots import (
    DATA,
    SourceStyle,
    plot_autocorrelation,
    plot_committed_transitions,
    plot_discrepancies,
    plot_embedding,
    plot_excerpt,
    plot_free_energy,
    plot_state_map,
    plot_survival,
    plot_training,
    quantity_of,
    styles_of,
)
from trajlm.plots.excerpt import is_dense
from trajlm.plots.style import BAND_COLOR, one_coordinate, plain_label
from trajlm.util.words import physical_time

PANEL = (3.3, 2.6)
# The label of a tick at the right end is as wide again beyond it.
MARGINS = {"left": 0.2, "right": 0.95, "bottom": 0.18, "top": 0.97}
# Typical dwells of the longest-lived group that a stretch should show, and its least frames.
DWELLS_SHOWN = 12
SHORTEST_STRETCH = 200
# How much shorter the second, closer look is.
CLOSER = 12
# Letters of a name under or beside an axis.
LONGEST_LABEL = 16
# Letters of a name above one.
LONGEST_TITLE = 40
# The same for every user, whatever their own style of figures.
LOOK: dict[str, Any] = {
    "font.size": 8.5,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "svg.hashsalt": "trajlm",
}


@dataclass(frozen=True)
class Picture:
    """A figure for the page: its title, what it shows, and the images (data URIs).

    Parameters
    ----------
    title, alt
        Heading and description.
    image
        For wide pages, or for all.
    narrow
        For phones; empty where `image` is small enough.
    size, narrow_size
        In inches.
    """

    title: str
    alt: str
    image: str
    size: tuple[float, float]
    narrow: str = ""
    narrow_size: tuple[float, float] = (0.0, 0.0)


def sources_of(comparison: Evaluation) -> list[tuple[SourceResult, SourceStyle]]:
    """Return the data and the models, each with its style."""
    styles = styles_of([model.name for model in comparison.models])
    return [(comparison.reference, DATA), *zip(comparison.models, styles, strict=True)]


def swatch(style: SourceStyle) -> str:
    """Return a short line in a style, for the legend of the page."""
    figure = Figure(figsize=(0.42, 0.15))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    if style.band:
        ax.axhspan(-0.8, 0.8, color=BAND_COLOR, linewidth=0)
    ax.plot([0, 0.5, 1], [0, 0, 0], markevery=[1], **style.marked(4.2))
    ax.set(xlim=(0, 1), ylim=(-1, 1))
    return as_uri(figure)


def excerpt_pictures(comparison: Evaluation) -> list[Picture]:
    """Return a stretch that shows several transitions, and a closer look at its beginning."""
    shortest = min(len(source.excerpt) for source, _ in sources_of(comparison))
    longest_dwell = max(typical_dwells(comparison.reference), default=shortest)
    wanted = DWELLS_SHOWN * longest_dwell / comparison.space.dt
    n_frames = int(min(max(wanted, SHORTEST_STRETCH), shortest))
    lengths = [n_frames]
    # Where each step can be seen already, a closer look shows nothing more.
    if is_dense(comparison.reference.excerpt[:n_frames]) and n_frames >= 100 * CLOSER:
        lengths.append(n_frames // CLOSER)
    pictures = []
    for n, title in zip(lengths, ("The first {}", "Closer: the first {}"), strict=False):
        time = physical_time(n, comparison.space.dt, comparison.space.unit)
        wide, narrow = ((9.6, 1.15, 2000), (3.4, 1.0, 700))
        images = [_excerpts(comparison, n, *shape) for shape in (wide, narrow)]
        pictures.append(
            Picture(
                title.format(time),
                f"Centre of the state over {time}, the data above each model, on the same scales",
                *(images[0]),
                *(images[1]),
            )
        )
    return pictures


def _excerpts(
    comparison: Evaluation, n_frames: int, width: float, height: float, max_points: int
) -> tuple[str, tuple[float, float]]:
    sources = sources_of(comparison)
    size = (width, height * len(sources) + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(sources), sharex=True, sharey=True, squeeze=False)[:, 0]
    # All alike, or the eye would compare ways of drawing.
    dense = any(is_dense(source.excerpt[:n_frames]) for source, _ in sources)
    for (source, style), ax in zip(sources, panels, strict=True):
        plot_excerpt(
            source.excerpt,
            comparison.space,
            ax,
            n_frames=n_frames,
            max_points=max_points,
            style=style,
            dense=dense,
        )
        name = plain_label(shorten(style.name, LONGEST_TITLE))
        ax.set_title(name, loc="left", color=style.color, weight="bold", pad=3)
        ax.set_ylabel("")
        for edge in () if comparison.grouping.edges is None else comparison.grouping.edges:
            ax.axhline(edge, color="0.6", linewidth=0.6, dashes=(4, 3), zorder=0)
        if ax is not panels[-1]:
            ax.set_xlabel("")
    figure.supylabel(plain_label(quantity_of(comparison.space)), fontsize="medium")
    return as_uri(figure), size


def free_energy_pictures(comparison: Evaluation) -> list[Picture]:
    """Return the free energy of the states and, where they differ from them, of the groups."""
    space, grouping = comparison.space, comparison.grouping
    centers, quantity = one_coordinate(space), quantity_of(space)

    def fine(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        plot_free_energy(source.free_energy, ax, centers=centers, quantity=quantity, style=style)

    styles = [style for _, style in sources_of(comparison)]
    same = grouping.n_groups == space.n_states and grouping.running_mean == 1
    labels = [plain_label(shorten(name)) for name in grouping.names]
    long_labels = sum(map(len, labels)) > 24

    def coarse(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        shift = 0.4 * ((styles.index(style) + 0.5) / len(styles) - 0.5)
        plot_free_energy(source.group_free_energy, ax, quantity="group", style=style, shift=shift)
        ax.set_xticks(range(grouping.n_groups), labels)
        if long_labels:
            for label in ax.get_xticklabels():
                label.set(rotation=30, ha="right", rotation_mode="anchor")

    pictures = [] if (plane := _state_map(comparison)) is None else [plane]
    # Without a coordinate, groups that are the states themselves are better shown by name.
    if not same or centers is not None:
        pictures.append(_panel(comparison, fine, "Of the states", f"Free energy over {quantity}"))
    if not same or centers is None:
        alt = "Free energy of the groups"
        pictures.append(_panel(comparison, coarse, "Of the groups", alt, fitted=long_labels))
    return pictures


def _state_map(comparison: Evaluation) -> Picture | None:
    """Return where the states of the data lie; None where they do not lie in two columns."""
    table = state_table(comparison)
    centers = comparison.space.centers
    if table is None or centers is None or len(table.columns) != 2:
        return None
    figure = Figure(figsize=PANEL, layout="constrained")
    x, y = table.columns
    plot_state_map(comparison.reference.free_energy, centers, figure.add_subplot(), names=(x, y))
    alt = f"Map of the states of the data over {x} and {y}, coloured by free energy"
    return Picture("Where the states of the data lie", alt, as_uri(figure), PANEL)


def transition_pictures(comparison: Evaluation) -> list[Picture]:
    """Return one panel for each ordered pair that was ever seen."""
    names = comparison.grouping.names
    pictures = []
    for pair in seen_pairs(comparison):

        def draw(
            source: SourceResult, ax: Axes, style: SourceStyle, pair: tuple[int, int] = pair
        ) -> None:
            plot_committed_transitions(source.transitions, pair, ax, style=style)

        title = f"{names[pair[0]]} → {names[pair[1]]}"
        pictures.append(_panel(comparison, draw, title, f"Rate over commit time, {title}"))
    return pictures


def survival_pictures(comparison: Evaluation) -> list[Picture]:
    """Return one panel for each group that the data enters."""
    pictures = []
    for k, name in enumerate(comparison.grouping.names):
        if comparison.reference.survivals[k] is None or k in one_frame_groups(comparison):
            continue

        def draw(source: SourceResult, ax: Axes, style: SourceStyle, k: int = k) -> None:
            curve = source.survivals[k]
            if curve is not None:
                plot_survival(curve, ax, style=style)
            _cut_to_data(comparison, k, ax)

        pictures.append(
            _panel(comparison, draw, f"Group {name}", f"Survival of dwells in group {name}")
        )
    return pictures


def one_frame_groups(comparison: Evaluation) -> list[int]:
    """Return the groups in which every stay of the data and of the models lasts one frame."""
    curves = [source.survivals for source in (comparison.reference, *comparison.models)]
    return [
        k
        for k, of_data in enumerate(comparison.reference.survivals)
        if of_data is not None
        and all(
            curve is None or np.count_nonzero(curve.probability) == 1
            for curve in (of[k] for of in curves)
        )
    ]


def _cut_to_data(comparison: Evaluation, group: int, ax: Axes) -> None:
    """Show the probabilities that the data reaches; models of more frames go far below."""
    curves = [source.survivals[group] for source, _ in sources_of(comparison)]
    data = curves[0]
    assert data is not None
    lowest = min(0.7 * float(data.probability[data.probability > 0].min()), 0.05)
    last = max(float(curve.times[curve.probability >= lowest].max()) for curve in curves if curve)
    ax.set_ylim(lowest, 1.15)
    ax.set_xlim(0, last * 1.04 if last > 0 else None)


def autocorrelation_picture(comparison: Evaluation) -> Picture:
    """Return the autocorrelations of all sources."""

    def draw(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        if source.autocorrelation:
            plot_autocorrelation(source.autocorrelation, ax, style=style)

    return _panel(comparison, draw, "", "Autocorrelation over lag time")


def shorten(name: str, longest: int = LONGEST_LABEL) -> str:
    """Return a name that fits at an axis."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def discrepancy_picture(comparison: Evaluation) -> Picture | None:
    """Return D of the models beside D0; None where no D is above zero."""
    values = [model.discrepancy.value for model in comparison.models]
    if not np.any(np.nan_to_num(values) > 0):
        return None
    size = (PANEL[0], 0.75 + 0.3 * len(values))
    figure = Figure(figsize=size, layout="constrained")
    plot_discrepancies(
        values,
        [replace(s, name=shorten(s.name)) for _, s in sources_of(comparison)[1:]],
        figure.add_subplot(),
        intervals=[model.discrepancy_interval for model in comparison.models],
        floor=comparison.reference.discrepancy.value,
    )
    return Picture("", "Discrepancy D of each model beside D0", as_uri(figure), size)


def network_pictures(model: SourceResult, comparison: Evaluation) -> list[Picture]:
    """Return the training curve and the embedding map of a language model, as far as known."""
    size = (4.0, 3.1)
    pictures = []
    if isinstance(model.record, LSTMRecord):
        figure = Figure(figsize=size, layout="constrained")
        plot_training(model.record, figure.add_subplot())
        pictures.append(
            Picture("Training", f"Nats a frame over epochs, {model.name}", as_uri(figure), size)
        )
    seen = np.flatnonzero(comparison.reference.free_energy.populations > 0)
    if model.embedding is not None and len(seen) > 1:
        figure = Figure(figsize=size, layout="constrained")
        plot_embedding(
            model.embedding,
            figure.add_subplot(),
            centers=one_coordinate(comparison.space),
            quantity=quantity_of(comparison.space),
            states=seen,
        )
        pictures.append(
            Picture("Embedding", f"Map of the states, {model.name}", as_uri(figure), size)
        )
    return pictures


def _panel(
    comparison: Evaluation,
    draw: Callable[[SourceResult, Axes, SourceStyle], None],
    title: str,
    alt: str,
    *,
    fitted: bool = False,
) -> Picture:
    """Return one panel with all sources; `fitted` gives long labels the room they need."""
    figure = Figure(figsize=PANEL, layout="constrained" if fitted else None)
    ax = figure.add_subplot()
    if not fitted:
        # Equal margins line the panels up, and take half the time.
        figure.subplots_adjust(**MARGINS)
    sources = sources_of(comparison)
    for source, style in sources:
        draw(source, ax, style)
    return Picture(title, f"{alt}: {_names(sources)}", as_uri(figure), PANEL)


def _names(sources: Sequence[tuple[SourceResult, SourceStyle]]) -> str:
    return ", ".join(style.name for _, style in sources)


def as_uri(figure: Figure) -> str:
    """Return the figure as an SVG image inside an address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
