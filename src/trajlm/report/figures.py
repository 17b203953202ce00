"""The figures of the page, each with its title, its legend and its units inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate.coordinates import slow_columns
from trajlm.evaluate.groups import state_table
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.significance import seen_pairs
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.plots import (
    DATA,
    SourceStyle,
    plot_autocorrelation,
    plot_committed_transitions,
    plot_discrepancies,
    plot_free_energy,
    plot_relaxation,
    plot_survival,
    plot_timescales,
    plot_training,
    quantity_of,
    styles_of,
)
from trajlm.plots import tables as columns_of
from trajlm.plots.kinetics import lags_shown
from trajlm.plots.style import one_coordinate, plain_label
from trajlm.plots.tables import Columns
from trajlm.report.picture import DOUBLE, SINGLE, Picture, finish, new_sheet, shorten

# Height of a panel in inches.
HEIGHT = 2.35
# Groups of which the relaxation of every pair is shown.
MOST_GROUPS = 4
# Letters of a name under or beside an axis.
LONGEST_LABEL = 16
# The same for every user, whatever their own style of figures.
LOOK: list[str | Path | dict[str, Any]] = [
    "default",
    "trajlm.plots.single_column",
    {"svg.hashsalt": "trajlm", "figure.constrained_layout.use": False},
]

Draw = Callable[[SourceResult, Axes, SourceStyle], object]
Table = Callable[[SourceResult], Columns | None]


def sources_of(comparison: Evaluation) -> list[tuple[SourceResult, SourceStyle]]:
    """Return the data and the models, each with its style."""
    styles = styles_of([model.name for model in comparison.models])
    return [(comparison.reference, DATA), *zip(comparison.models, styles, strict=True)]


def free_energy_pictures(comparison: Evaluation) -> list[Picture]:
    """Return the free energy of the states and, where they differ from them, of the groups."""
    space, grouping = comparison.space, comparison.grouping
    centers, quantity = one_coordinate(space), quantity_of(space)
    x = np.arange(space.n_states) if centers is None else centers

    def fine(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        plot_free_energy(source.free_energy, ax, centers=centers, quantity=quantity, style=style)

    styles = [style for _, style in sources_of(comparison)]
    same = grouping.n_groups == space.n_states and grouping.running_mean == 1
    labels = [plain_label(shorten(name, LONGEST_LABEL)) for name in grouping.names]
    long_labels = sum(map(len, labels)) > 24

    def coarse(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        shift = 0.4 * ((styles.index(style) + 0.5) / len(styles) - 0.5)
        plot_free_energy(source.group_free_energy, ax, quantity="group", style=style, shift=shift)
        ax.set_xticks(range(grouping.n_groups), labels)
        if long_labels:
            for label in ax.get_xticklabels():
                label.set(rotation=30, ha="right", rotation_mode="anchor")

    pictures = []
    # In several coordinates a map says more; groups that are the states are better shown by name.
    if centers is not None or (not same and state_table(comparison) is None):
        pictures.append(
            _panel(
                comparison,
                fine,
                lambda s: columns_of.free_energy_columns(s.free_energy, x, quantity),
                ("free-energy", "Free energy", f"Free energy over {quantity}"),
            )
        )
    if not same or centers is None:
        pictures.append(
            _panel(
                comparison,
                coarse,
                lambda s: columns_of.free_energy_columns(
                    s.group_free_energy, np.array(grouping.names), "group"
                ),
                ("free-energy-groups", "Free energy of the groups", "Free energy of the groups"),
                fitted=long_labels,
            )
        )
    return pictures


def transition_pictures(comparison: Evaluation) -> list[Picture]:
    """Return one panel for each ordered pair that has enough transitions to show a curve.

    That is in the data or in what a model generated; where no pair has, for each that was seen.
    """
    seen = seen_pairs(comparison)
    sources = (comparison.reference, *comparison.models)
    most = np.max([source.transitions.counts.max(axis=0) for source in sources], axis=0)
    return [
        _transitions(comparison, pair)
        for pair in [p for p in seen if most[p] >= FEW_EVENTS] or seen
    ]


def _transitions(comparison: Evaluation, pair: tuple[int, int]) -> Picture:
    title = _pair_name(comparison, pair)
    return _panel(
        comparison,
        lambda s, ax, style: plot_committed_transitions(s.transitions, pair, ax, style=style),
        lambda s: columns_of.committed_columns(s.transitions, pair),
        (f"rate-{pair[0]}-{pair[1]}", f"Rate of {title}", f"Rate over commit time, {title}"),
    )


def relaxation_picture(comparison: Evaluation) -> Picture:
    """Return where the trajectory is after it was in each group: the Chapman-Kolmogorov test.

    One panel for each pair or, of many groups, for the way back to each.
    """
    names, n = comparison.grouping.names, comparison.grouping.n_groups
    every = n <= MOST_GROUPS
    pairs = [(i, j) for i in range(n) for j in range(n) if every or i == j]
    n_columns = n if every else MOST_GROUPS
    n_rows = -(-len(pairs) // n_columns)
    sources = sources_of(comparison)
    styles = [style for _, style in sources]
    sheet = new_sheet("Chapman-Kolmogorov test", DOUBLE, 1.5 * n_rows + 0.25, styles)
    panels = sheet.fitted().subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    tables: dict[str, Columns] = {}
    for (i, j), ax in zip(pairs, panels.flat, strict=False):
        for source, style in sources:
            plot_relaxation(source.relaxation, (i, j), ax, style=style)
        first, second = (shorten(names[k], LONGEST_LABEL) for k in (i, j))
        ax.set_title(plain_label(f"{first} → {second}"), fontsize="medium", pad=5)
        ax.label_outer()
    for ax in panels.flat[len(pairs) :]:
        ax.set_visible(False)
    for source, _ in sources:
        parts = [_relaxation_columns(source, names, pair) for pair in pairs]
        tables[source.name] = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    alt = f"Probability of each group a lag time after each: {_names(sources)}"
    return finish(sheet, "chapman-kolmogorov", alt, tables)


def _relaxation_columns(
    source: SourceResult, names: Sequence[str], pair: tuple[int, int]
) -> Columns:
    columns = columns_of.relaxation_columns(source.relaxation, pair)
    size = len(source.relaxation.lags)
    ends = {key: np.full(size, names[k]) for key, k in zip(("from", "to"), pair, strict=True)}
    return columns | ends


def timescale_picture(comparison: Evaluation) -> Picture:
    """Return the implied timescales of the data and of what the models generated."""

    def draw(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        plot_timescales(source.timescales, source.transitions.dt, ax, style=style)

    return _panel(
        comparison,
        draw,
        lambda s: columns_of.timescale_columns(s.timescales, s.transitions.dt),
        ("timescales", "Implied timescales", "Implied timescales over lag time"),
    )


def survival_pictures(comparison: Evaluation) -> list[Picture]:
    """Return one panel for each group that the data enters."""
    one_frame = one_frame_groups(comparison)
    return [
        _survival(comparison, k)
        for k, curve in enumerate(comparison.reference.survivals)
        if curve is not None and k not in one_frame
    ]


def _survival(comparison: Evaluation, k: int) -> Picture:
    name = comparison.grouping.names[k]

    def draw(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        if (curve := source.survivals[k]) is not None:
            plot_survival(curve, ax, style=style)
        _cut_to_data(comparison, k, ax)

    def table(source: SourceResult) -> Columns | None:
        curve = source.survivals[k]
        return None if curve is None else columns_of.survival_columns(curve)

    about = (f"dwells-{k}", f"Dwells in {name}", f"Survival of dwells in group {name}")
    return _panel(comparison, draw, table, about)


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


def autocorrelation_picture(comparison: Evaluation) -> Picture | None:
    """Return the autocorrelations of all sources; None where no source has one."""
    if all(source.autocorrelation is None for source, _ in sources_of(comparison)):
        return None

    def draw(source: SourceResult, ax: Axes, style: SourceStyle) -> None:
        if source.autocorrelation:
            plot_autocorrelation(source.autocorrelation, ax, style=style)

    def table(source: SourceResult) -> Columns | None:
        curve = source.autocorrelation
        if curve is None:
            return None
        return columns_of.autocorrelation_columns(curve, lags_shown(curve))

    of = slow_coordinate(comparison)
    about = ("autocorrelation", f"Autocorrelation of {of}", "Autocorrelation over lag time")
    return _panel(comparison, draw, table, about)


def slow_coordinate(comparison: Evaluation) -> str:
    """Return the name of the coordinate that curves show: the one that tells groups apart."""
    populations = comparison.reference.free_energy.populations
    columns = slow_columns(comparison.space, comparison.grouping, populations)
    if not columns:
        name = quantity_of(comparison.space).split(" / ")[0]
        return "the state number" if name == "state" else name
    named = comparison.space.discretization.columns
    return named[columns[0]] if named else f"column {columns[0]}"


def discrepancy_picture(comparison: Evaluation) -> Picture | None:
    """Return D of the models beside D0; None where no D is above zero."""
    values = np.array([model.discrepancy.value for model in comparison.models])
    if not np.any(np.nan_to_num(values) > 0):
        return None
    styles = [
        replace(s, name=shorten(s.name, LONGEST_LABEL)) for _, s in sources_of(comparison)[1:]
    ]
    intervals = [model.discrepancy_interval for model in comparison.models]
    floor = comparison.reference.discrepancy.value
    sheet = new_sheet("How far the models are from the data", SINGLE, 0.75 + 0.3 * len(values))
    ax = sheet.fitted().add_subplot()
    plot_discrepancies(values.tolist(), styles, ax, intervals=intervals, floor=floor)
    low, high = np.array([bounds or (np.nan, np.nan) for bounds in intervals]).T
    tables: dict[str, Columns] = {
        model.name: {"D": values[[k]], "low": low[[k]], "high": high[[k]]}
        for k, model in enumerate(comparison.models)
    }
    tables["D0"] = {"D": np.array([floor]), "low": np.full(1, np.nan), "high": np.full(1, np.nan)}
    return finish(sheet, "discrepancy", "Discrepancy D of each model beside D0", tables)


def training_picture(model: SourceResult) -> Picture | None:
    """Return the training curve of a language model, of each of its columns, where it is known."""
    record = model.record
    records: tuple[LSTMRecord, ...] = ()
    if isinstance(record, LSTMRecord):
        records = (record,)
    elif isinstance(record, ColumnLSTMRecord):
        records = record.columns
    if not records:
        return None
    sheet = new_sheet(f"Training of {model.name}", SINGLE, 2.6 * len(records))
    tables: dict[str, Columns] = {}
    for ax, trained in zip(
        sheet.fitted().subplots(len(records), squeeze=False)[:, 0], records, strict=True
    ):
        plot_training(trained, ax)
        ax.set_title(trained.best.column, loc="right")
        history = trained.history
        tables[f"{model.name} {trained.best.column}".strip()] = {
            "epoch": np.array([epoch.epoch for epoch in history]),
            "nats per frame, training": np.array([epoch.training for epoch in history]),
            "nats per frame, held out": np.array([epoch.validation for epoch in history]),
        }
    name = f"training-{file_name(model.name)}"
    return finish(sheet, name, f"Nats per frame over epochs, {model.name}", tables)


def _panel(
    comparison: Evaluation,
    draw: Draw,
    table: Table,
    about: tuple[str, str, str],
    *,
    fitted: bool = False,
) -> Picture:
    """Return one panel with all sources; `about` is the file name, the title and what is shown.

    `fitted` gives long labels the room they need.
    """
    name, title, alt = about
    sources = sources_of(comparison)
    sheet = new_sheet(title, SINGLE, HEIGHT, [style for _, style in sources])
    # Equal margins line the panels up, and take half the time.
    ax = sheet.fitted().add_subplot() if fitted else sheet.one_panel()
    for source, style in sources:
        draw(source, ax, style)
    tables = {s.name: columns for s, _ in sources if (columns := table(s)) is not None}
    return finish(sheet, name, f"{alt}: {_names(sources)}", tables)


def _pair_name(comparison: Evaluation, pair: tuple[int, int]) -> str:
    names = comparison.grouping.names
    return f"{names[pair[0]]} → {names[pair[1]]}"


def _names(sources: Sequence[tuple[SourceResult, SourceStyle]]) -> str:
    return ", ".join(style.name for _, style in sources)


def file_name(name: str) -> str:
    """Return a name with letters, digits and dashes only."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())[:40]
