"""Figures of the states in the plane, and of trajectories in it over time."""

from __future__ import annotations

import numpy as np
from matplotlib.image import AxesImage

from trajlm.analysis import RateConstants, principal_plane
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate.coordinates import slow_columns
from trajlm.evaluate.rates import commit_index, rate_constants_of
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.plots import (
    plot_embedding,
    plot_excerpt,
    plot_free_energy_map,
    plot_group_network,
    plot_kinetic_map,
    quantity_of,
)
from trajlm.plots.coordinate import Coordinate, coordinate_of
from trajlm.plots.excerpt import curve_of, is_dense
from trajlm.plots.plane import density_map
from trajlm.plots.style import one_coordinate, plain_label
from trajlm.plots.tables import Columns
from trajlm.report.figures import file_name, sources_of
from trajlm.report.picture import DOUBLE, SINGLE, Picture, Sheet, finish, new_sheet
from trajlm.util.arrays import F64, IntArray
from trajlm.util.words import physical_time

# Changes of state in the closest look, and its least frames.
STEPS_SHOWN = 150
SHORTEST_STRETCH = 200
# How much shorter a closer look is at least.
CLOSER = 4
# Points of a curve on a wide page and on a phone.
POINTS, NARROW_POINTS = 1400, 500
# Frames of the data that the hidden path is drawn over at most.
MOST_BEHIND = 1000
# An embedding is shown where its two axes hold more than this share of the variance.
TELLING = 0.5


def excerpt_pictures(comparison: Evaluation) -> list[Picture]:
    """Return stretches at up to three zooms: the slowest process, single steps, and between.

    Where the states lie in several coordinates, it is the one that tells the groups apart, and
    the second in the longest stretch.
    """
    populations = comparison.reference.free_energy.populations
    columns = slow_columns(comparison.space, comparison.grouping, populations)
    first = coordinate_of(comparison.space, columns[0] if columns else None)
    coordinates = [first.opened(populations)]
    lengths = _lengths(comparison)
    pictures = [_excerpts(comparison, n, coordinates[0], k) for k, n in enumerate(lengths)]
    if len(columns) > 1:
        second = coordinate_of(comparison.space, columns[1]).opened(populations)
        pictures.insert(1, _excerpts(comparison, lengths[0], second, 0))
    return pictures


def _lengths(comparison: Evaluation) -> list[int]:
    """Return the frames of each zoom, the longest first."""
    sources = [comparison.reference, *comparison.models]
    longest = min(source.overview.n_frames for source in sources)
    whole = min(len(source.excerpt) for source in sources)
    # The closest look is one at single steps.
    steps = np.flatnonzero(np.diff(comparison.reference.excerpt))
    close = int(steps[STEPS_SHOWN]) if len(steps) > STEPS_SHOWN else whole
    close = min(max(close, SHORTEST_STRETCH), whole)
    if close * CLOSER > longest:
        return [longest]
    between = min(int(np.sqrt(close * longest)), whole)
    return [longest, close] if between < CLOSER * close else [longest, between, close]


def _excerpts(comparison: Evaluation, n: int, coordinate: Coordinate, zoom: int) -> Picture:
    time = physical_time(n, comparison.space.dt, comparison.space.unit)
    title = ("The first {}", "Closer: the first {}", "Closest: the first {}")[zoom].format(time)
    title += f", {coordinate.name}"
    wide = _stretches(comparison, n, coordinate, title, (DOUBLE, 0.78, POINTS))
    narrow = _stretches(comparison, n, coordinate, title, (SINGLE, 0.85, NARROW_POINTS))
    alt = f"{coordinate.name} over {time}, the data above each model, on the same scales"
    tables: dict[str, Columns] = {}
    for source, _ in sources_of(comparison):
        states, frames = _stretch(source, n)
        times, values = curve_of(states, frames, comparison.space, coordinate, POINTS)
        label = f"time / {comparison.space.unit}"
        tables[source.name] = {label: times, coordinate.label: coordinate.in_domain(values)}
    return finish(wide, f"trajectory-{file_name(coordinate.name)}-{n}", alt, tables, narrow)


def _stretches(
    comparison: Evaluation,
    n: int,
    coordinate: Coordinate,
    title: str,
    shape: tuple[float, float, int],
) -> Sheet:
    width, height, max_points = shape
    sources = sources_of(comparison)
    sheet = new_sheet(title, width, height * len(sources) + 0.35)
    panels = sheet.fitted().subplots(len(sources), sharex=True, sharey=True, squeeze=False)[:, 0]
    # All alike, or the eye would compare ways of drawing.
    dense = any(is_dense(_stretch(source, n)[0]) for source, _ in sources)
    for (source, style), ax in zip(sources, panels, strict=True):
        states, frames = _stretch(source, n)
        plot_excerpt(
            states,
            comparison.space,
            ax,
            n_frames=n,
            frames=frames,
            coordinate=coordinate,
            max_points=max_points,
            style=style,
            dense=dense,
        )
        name = plain_label(style.name[:40])
        ax.set_title(name, loc="left", color=style.color, pad=3)
        ax.set_ylabel("")
        if one_coordinate(comparison.space) is not None:
            for edge in () if comparison.grouping.edges is None else comparison.grouping.edges:
                ax.axhline(edge, color="0.6", linewidth=0.6, dashes=(4, 3), zorder=0)
        if ax is not panels[-1]:
            ax.set_xlabel("")
    sheet.figure.supylabel(plain_label(coordinate.label), fontsize="medium")
    return sheet


def _stretch(source: SourceResult, n: int) -> tuple[IntArray, IntArray]:
    """Return states and their frames of the first n frames, of a long stretch the few kept."""
    if n <= len(source.excerpt):
        return source.excerpt[:n], np.arange(n)
    kept = source.overview.frames < n
    return source.overview.states[kept], source.overview.frames[kept]


def hidden_path_picture(comparison: Evaluation) -> Picture | None:
    """Return the data with the most likely hidden path of a hidden Markov model; None without."""
    data, space = comparison.reference, comparison.space
    found = next(
        ((model, s) for model, s in sources_of(comparison) if model.hidden_path is not None), None
    )
    if found is None:
        return None
    model, style = found
    path = model.hidden_path
    assert path is not None
    if path.levels is None or len(path.levels) >= space.n_states:
        return None
    n = min(_lengths(comparison)[0], len(path.hidden), MOST_BEHIND)
    coordinate = coordinate_of(space).opened(data.free_energy.populations)
    levels = coordinate.moved(path.levels)
    title = f"The data with the most likely hidden path of {model.name}"
    sheet = new_sheet(title, DOUBLE, 1.7)
    ax = sheet.fitted().add_subplot()
    plot_excerpt(data.excerpt[:n], space, ax, coordinate=coordinate, dense=True)
    times = np.arange(n) * space.dt
    ax.lines[0].set(color="0.55")
    ax.step(times, levels[path.hidden[:n]], where="post", color=style.color, linewidth=1.4)
    tables: dict[str, Columns] = {
        "data": {
            f"time / {space.unit}": times,
            coordinate.label: coordinate.in_domain(coordinate.values)[data.excerpt[:n]],
            "hidden state": path.hidden[:n],
            "level": path.levels[path.hidden[:n]],
        }
    }
    return finish(sheet, "hidden-path", title, tables)


def free_energy_map_picture(comparison: Evaluation) -> Picture | None:
    """Return free energies over two coordinates, data and models on one scale; None in one."""
    space = comparison.space
    populations = comparison.reference.free_energy.populations
    slow = slow_columns(space, comparison.grouping, populations)
    if len(slow) < 2:
        return None
    columns = (min(slow[:2]), max(slow[:2]))
    sources = sources_of(comparison)
    maps = [density_map(space, s.free_energy.populations, columns).density for s, _ in sources]
    zero = float(np.nanmax(maps[0]))
    top = float(-np.log(min(np.nanmin(m) for m in maps) / zero))
    n_rows, n_columns = _grid(len(sources))
    width = SINGLE if len(sources) == 1 else DOUBLE
    sheet = new_sheet("Free energy of the data and of the models", width, 2.1 * n_rows + 0.3)
    panels = sheet.fitted().subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    image: AxesImage | None = None
    for ax, (source, style) in zip(panels.flat, sources, strict=False):
        plot_free_energy_map(source.free_energy, space, ax, columns=columns, zero=zero, top=top)
        ax.set_title(plain_label(style.name[:24]), loc="left", color=style.color)
        ax.label_outer()
        image = ax.images[0]
    for ax in panels.flat[len(sources) :]:
        ax.set_visible(False)
    assert image is not None
    sheet.figure.colorbar(image, ax=panels, label="free energy / kT", pad=0.02)
    x, y = (coordinate_of(space, k) for k in columns)
    tables: dict[str, Columns] = {
        source.name: {
            "state": np.arange(space.n_states),
            x.label: x.values,
            y.label: y.values,
            "population": source.free_energy.populations,
            "free energy of the state / kT": source.free_energy.values,
        }
        for source, _ in sources
    }
    alt = f"Free energy over {x.name} and {y.name}, data and models on one scale"
    return finish(sheet, "free-energy-map", alt, tables)


def _grid(n: int) -> tuple[int, int]:
    """Return rows and columns of n panels."""
    n_columns = 2 if n == 4 else min(n, 3)
    return -(-n // n_columns), n_columns


def network_picture(comparison: Evaluation) -> Picture | None:
    """Return the groups with populations and rate constants; None where nothing was counted."""
    sources = [source for source, _ in sources_of(comparison)]
    if not any(source.transitions.counts.any() for source in sources):
        return None
    time = int(comparison.reference.transitions.commit_times[commit_index(comparison)])
    names = comparison.grouping.names
    known = [(s, found) for s in sources if (found := rate_constants_of(s, time)) is not None]
    tables = {source.name: _network_columns(source, found, names) for source, found in known}
    n_rows, n_columns = _grid(len(sources))
    wide = _networks(comparison, time, n_rows, n_columns)
    narrow = _networks(comparison, time, len(sources), 1) if n_columns > 1 else None
    return finish(wide, "network", "Network of the groups: data and models", tables, narrow)


def _networks(comparison: Evaluation, time: int, n_rows: int, n_columns: int) -> Sheet:
    """Draw the network of each source at a commit time in frames."""
    space, names = comparison.space, comparison.grouping.names
    commit = physical_time(time, space.dt, space.unit)
    counts = comparison.reference.transitions.counts[commit_index(comparison)]
    settled = counts >= FEW_EVENTS if (counts >= FEW_EVENTS).any() else None
    title = f"Populations, and rate constants per {space.unit} at a commit time of {commit}"
    if n_columns == 1:
        title = f"Populations; rate constants per {space.unit} at {commit}"
    # Two circles lie beside each other.
    height = 1.15 if len(names) == 2 else 2.1
    sheet = new_sheet(title, SINGLE if n_columns == 1 else DOUBLE, height * n_rows)
    panels = sheet.fitted().subplots(n_rows, n_columns, squeeze=False)
    sources = sources_of(comparison)
    for ax, (source, style) in zip(panels.flat, sources, strict=False):
        found = rate_constants_of(source, time)
        if found is None:
            ax.set_axis_off()
            continue
        populations = source.group_free_energy.populations
        plot_group_network(
            found, populations, ax, names=names, positions=_places(comparison), shown=settled
        )
        ax.set_title(plain_label(style.name[:24]), loc="left", color=style.color)
    for ax in panels.flat[len(sources) :]:
        ax.set_visible(False)
    return sheet


def _places(comparison: Evaluation) -> F64 | None:
    """Return where the groups lie on the map of two coordinates; None where there is none."""
    populations = comparison.reference.free_energy.populations
    slow = slow_columns(comparison.space, comparison.grouping, populations)
    centers = comparison.grouping.group_centers
    if len(slow) < 2 or centers is None:
        return None
    return centers[:, sorted(slow[:2])]


def _network_columns(source: SourceResult, found: RateConstants, names: tuple[str, ...]) -> Columns:
    i, j = np.nonzero(~np.eye(len(names), dtype=bool))
    return {
        "from": np.array(names)[i],
        "to": np.array(names)[j],
        f"rate constant per {found.unit}": found.values[i, j],
        "low": found.low[i, j],
        "high": found.high[i, j],
        "population": source.group_free_energy.populations[i],
    }


def state_map_picture(model: SourceResult, comparison: Evaluation) -> Picture | None:
    """Return the embedding of a language model where it tells something, else its kinetic map."""
    seen = np.flatnonzero(comparison.reference.free_energy.populations > 0)
    if model.embedding is None or len(seen) < 3:
        return None
    grouping = comparison.grouping
    points, explained = principal_plane(model.embedding[seen])
    columns: Columns = {"state": seen, "group": np.array(grouping.names)[grouping.assignment[seen]]}
    if explained.sum() > TELLING:
        sheet = new_sheet(f"Embedding of the states by {model.name}", SINGLE, 2.6)
        plot_embedding(
            model.embedding,
            sheet.fitted().add_subplot(),
            centers=one_coordinate(comparison.space),
            quantity=quantity_of(comparison.space),
            states=seen,
        )
        columns |= {"first axis": points[:, 0], "second axis": points[:, 1]}
        name, alt = "embedding", f"Embedding of the states, {model.name}"
    else:
        sheet = new_sheet(f"Kinetic map of the states by {model.name}", SINGLE, 2.6)
        ax = sheet.fitted().add_subplot()
        of = grouping.assignment
        plot_kinetic_map(model.kinetic_map, ax, groups=of, names=grouping.names, states=seen)
        ax.legend(title="group", loc="best")
        x, y = model.kinetic_map.coordinates[seen].T
        columns |= {"slowest process": x, "second process": y}
        name, alt = "kinetic-map", f"Map of the states, {model.name}"
    return finish(sheet, f"{name}-{file_name(model.name)}", alt, {model.name: columns})
