"""The figure of rates against a condition: an Arrhenius or Bell plot."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from trajlm.evaluate.conditions import RatesAgainstCondition
from trajlm.plots.style import new_axes, plain_label, tidy


def plot_rates_against_condition(result: RatesAgainstCondition, ax: Axes | None = None) -> Axes:
    """Draw the logarithm of each rate over the condition, with 95 % intervals.

    Full points are conditions that the model was trained on, open ones are between or beyond. A
    straight line is an Arrhenius law, where the condition is an inverse temperature, or a Bell law,
    where it is a force. Rates that were never counted have no point.

    Parameters
    ----------
    result
        Of `trajlm.rates_against_condition`.
    ax
        Axes to draw on; new ones when None.
    """
    ax = ax or new_axes()
    order = np.argsort(result.values)
    x, trained = result.values[order], result.trained[order]
    for g, h in permutations(range(len(result.names)), 2):
        rate, low, high = (
            values[order, g, h] for values in (result.rates, result.rate_low, result.rate_high)
        )
        seen = rate > 0
        if not seen.any():
            continue
        name = f"{plain_label(result.names[g])} → {plain_label(result.names[h])}"
        (line,) = ax.plot(x[seen], rate[seen], lw=1, label=name)
        color = line.get_color()
        for chosen, face in ((seen & trained, color), (seen & ~trained, "white")):
            bars = np.array([rate - low, high - rate])[:, chosen]
            ax.errorbar(x[chosen], rate[chosen], bars, fmt="o", ms=4, mfc=face, color=color, lw=1)
    ax.set_yscale("log")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(plain_label(result.condition))
    ax.set_ylabel(f"transitions per {plain_label(result.unit)}")
    ax.legend()
    tidy(ax)
    return ax
