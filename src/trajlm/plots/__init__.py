"""Figures of results: one function a result type, each draws on an Axes and returns it.

Sources are laid over each other by calling a function once for each, with its style::

    ax = plot_free_energy(comparison.reference.free_energy)
    plot_free_energy(model.free_energy, ax, style=style_of("LSTM"))
    ax.legend()
"""

from trajlm.plots.conditions import plot_rates_against_condition
from trajlm.plots.coordinate import Coordinate, coordinate_of
from trajlm.plots.equilibrium import plot_free_energy, plot_free_energy_map, plot_state_map
from trajlm.plots.excerpt import plot_excerpt
from trajlm.plots.groups import plot_group_network, plot_kinetic_map
from trajlm.plots.kinetics import (
    plot_autocorrelation,
    plot_committed_transitions,
    plot_discrepancies,
    plot_relaxation,
    plot_survival,
    plot_timescales,
)
from trajlm.plots.language import plot_embedding, plot_training
from trajlm.plots.overview import plot_overview
from trajlm.plots.style import DATA, SourceStyle, quantity_of, style_of, styles_of

__all__ = [
    "DATA",
    "Coordinate",
    "SourceStyle",
    "coordinate_of",
    "plot_autocorrelation",
    "plot_committed_transitions",
    "plot_discrepancies",
    "plot_embedding",
    "plot_excerpt",
    "plot_free_energy",
    "plot_free_energy_map",
    "plot_group_network",
    "plot_kinetic_map",
    "plot_overview",
    "plot_rates_against_condition",
    "plot_relaxation",
    "plot_state_map",
    "plot_survival",
    "plot_timescales",
    "plot_training",
    "quantity_of",
    "style_of",
    "styles_of",
]
