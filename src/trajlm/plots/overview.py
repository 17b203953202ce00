"""One wide figure of a comparison."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from trajlm.evaluate.result import Evaluation
from trajlm.plots.equilibrium import plot_free_energy
from trajlm.plots.excerpt import plot_excerpt
from trajlm.plots.kinetics import plot_committed_transitions
from trajlm.plots.style import DATA, one_coordinate, plain_label, quantity_of, styles_of


def plot_overview(comparison: Evaluation, n_frames: int = 2000) -> Figure:
    """Draw a stretch of the data above one of the first model, free energies, and one rate.

    The rate is that of the pair of groups with the most transitions in the data.

    Parameters
    ----------
    comparison
        The data beside one or more models.
    n_frames
        Frames of the stretches.
    """
    styles = styles_of([model.name for model in comparison.models])
    sources = list(zip((comparison.reference, *comparison.models), (DATA, *styles), strict=True))
    space = comparison.space
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(1.5, 1, 1))
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper, sharey=upper)
    for ax, (source, style) in zip((upper, lower), sources, strict=False):
        plot_excerpt(source.excerpt, space, ax, n_frames=n_frames, style=style)
        ax.set_title(plain_label(style.name), loc="left", fontsize="medium", color=style.color)
    upper.set_xlabel("")
    upper.tick_params(labelbottom=False)
    middle, right = figure.add_subplot(grid[:, 1]), figure.add_subplot(grid[:, 2])
    counts = comparison.reference.transitions.counts.sum(axis=0)
    i, j = (int(k) for k in np.unravel_index(np.argmax(counts), counts.shape))
    for source, style in sources:
        plot_free_energy(
            source.free_energy,
            middle,
            centers=one_coordinate(space),
            quantity=quantity_of(space),
            style=style,
        )
        plot_committed_transitions(source.transitions, (i, j), right, style=style)
    names = comparison.grouping.names
    right.set_title(plain_label(f"{names[i]} \u2192 {names[j]}"), fontsize="medium")
    right.legend(frameon=False, fontsize="small")
    return figure
