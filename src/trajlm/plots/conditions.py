"""The figure of rates against a condition: an Arrhenius or Bell plot."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from matplotlib.axes import Axes

from trajlm.evaluate.conditions import RatesAgainstCondition
from trajlm.plots.style import label_few, new_axes, plain_label, styles_in_turn, tidy


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
    pairs = list(permutations(range(len(result.names)), 2))
    names = [f"{result.names[g]} → {result.names[h]}" for g, h in pairs]
    for (g, h), style in zip(pairs, styles_in_turn(names), strict=True):
        rate, low, high = (
            values[order, g, h] for values in (result.rates, result.rate_low, result.rate_high)
        )
        seen = rate > 0
        if not seen.any():
            continue
        ax.plot(x[seen], rate[seen], **style.marked() | {"markerfacecolor": style.color})
        bars = np.array([rate - low, high - rate])[:, seen]
        ax.errorbar(x[seen], rate[seen], bars, fmt="none", ecolor=style.color, elinewidth=0.9)
        between = seen & ~trained
        look = style.marked() | {"linestyle": "none", "label": None, "zorder": 5}
        ax.plot(x[between], rate[between], **look)
    ax.set_yscale("log")
    label_few(ax.yaxis)
    ax.set_xlabel(plain_label(result.condition))
    ax.set_ylabel(f"transitions per {plain_label(result.unit)}")
    ax.set_title(f"Rates against {plain_label(result.condition)}", loc="left")
    # Below the axis, where no curve is.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2, frameon=False)
    tidy(ax)
    return ax
