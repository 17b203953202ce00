"""How each source looks in every figure, and the axes it is drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from trajlm.data import StateSpace
from trajlm.plots.coordinate import coordinate_of
from trajlm.util.arrays import F64, IntArray
from trajlm.util.words import number, visible

BAND_COLOR = "#d4d4d4"
# Ranges of a logarithmic axis from which on 1, 2, 5 are enough labels, and the decades alone.
FEW_TIMES, MANY_TIMES = 5, 50
# Two numbers in a map of states are at least this share of its width or height apart.
LABEL_WIDTH, LABEL_HEIGHT = 0.06, 0.055


@dataclass(frozen=True)
class SourceStyle:
    """The look of one source, told apart by colour and, in grey print, by dashes and marker.

    Parameters
    ----------
    name
        What the legend says.
    color
        As matplotlib takes it.
    dashes
        Lengths of strokes and gaps in points; empty for a solid line.
    marker
        As matplotlib takes it; empty for none.
    width
        Of lines, in points.
    band
        Whether intervals are drawn.
    """

    name: str
    color: str
    dashes: tuple[float, ...] = ()
    marker: str = ""
    width: float = 1.4
    band: bool = False

    def line(self) -> dict[str, Any]:
        """Return the keywords of a line in this style."""
        return {
            "label": plain_label(self.name),
            "color": self.color,
            "linestyle": (0, self.dashes) if self.dashes else "-",
            "linewidth": self.width,
            "zorder": 3 if self.band else 4,
        }

    def marked(self, size: float = 3.6) -> dict[str, Any]:
        """Return the keywords of a line with a marker at each point."""
        return {**self.line(), "marker": self.marker or "o", "markersize": size, "mew": 0.8} | (
            {} if self.band else {"markerfacecolor": "white"}
        )


DATA = SourceStyle("data", "black", band=True, width=1.6)
# Colours of Okabe and Ito, which the colour-blind can tell apart.
_KNOWN = {
    "LSTM": ("#d55e00", (5.0, 1.6), "o"),
    "MSM": ("#0072b2", (1.2, 1.4), "s"),
    "HMM": ("#009e73", (5.0, 1.5, 1.2, 1.5), "^"),
}
_OTHERS = (
    ("#aa4499", (8.0, 2.0), "D"),
    ("#b8860b", (3.0, 1.2), "v"),
    ("#3a9bd9", (6.0, 1.2, 1.2, 1.2, 1.2, 1.2), "P"),
    ("#7f5539", (2.0, 2.0), "X"),
    ("#666699", (10.0, 2.0, 3.0, 2.0), "<"),
)


def style_of(name: str) -> SourceStyle:
    """Return the style of one model by its name, for figures made by hand."""
    return styles_of([name])[0]


def styles_of(names: Sequence[str]) -> tuple[SourceStyle, ...]:
    """Return one style a model: LSTM, MSM and HMM have their own, others take turns."""
    styles = []
    turn = 0
    for name in names:
        look = _KNOWN.get(name.upper())
        if look is None:
            look = _OTHERS[turn % len(_OTHERS)]
            turn += 1
        styles.append(SourceStyle(name, *look))
    return tuple(styles)


def styles_in_turn(names: Sequence[str]) -> tuple[SourceStyle, ...]:
    """Return one style a name for what is no model, such as pairs of groups."""
    looks = (*_KNOWN.values(), *_OTHERS)
    return tuple(SourceStyle(name, *looks[k % len(looks)]) for k, name in enumerate(names))


def new_axes() -> Axes:
    """Return the axes of a new figure, which a notebook shows."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(layout="constrained")
    return ax


def tidy(ax: Axes) -> None:
    """Take away the frame lines that carry no scale."""
    ax.spines[["top", "right"]].set_visible(False)


def label_few(axis: Axis, decades_from: float = MANY_TIMES) -> None:
    """Label a logarithmic axis by few numbers: the longer it is, the rounder they are.

    Left to themselves the labels of about one decade run into each other. From the range
    `decades_from` on, the ratio of the ends, the decades alone are labelled.
    """
    low, high = axis.get_view_interval()
    if high < FEW_TIMES * low:
        axis.set_major_locator(MaxNLocator(3))
    else:
        steps = (1.0, 2.0, 5.0) if high < decades_from * low else (1.0,)
        axis.set_major_locator(LogLocator(subs=steps))
    if high < decades_from * low:
        # Narrow enough for the margin of a panel.
        axis.set_major_formatter(FuncFormatter(_short_number))
    axis.set_minor_formatter(NullFormatter())


def _short_number(x: float, pos: int | None = None) -> str:
    """Return a tick of one digit, or of two where it has them."""
    digits = 1 if float(f"{x:.0e}") == float(f"{x:.4e}") else 2
    return number(x, digits).removeprefix("1×")


def quantity_of(space: StateSpace) -> str:
    """Return the name and the unit of what the state centres measure, or ``state``."""
    return coordinate_of(space).label


def one_coordinate(space: StateSpace) -> F64 | None:
    """Return the centres, shape (n_states,), where they lie on one coordinate."""
    coordinate = coordinate_of(space)
    return None if coordinate.is_number else coordinate.values


def plain_label(text: str) -> str:
    """Return user text as matplotlib shows it letter by letter: no formula, never hidden."""
    escaped = visible(text).replace("$", r"\$")
    # A legend leaves out labels that begin with an underscore.
    return "\u2009" + escaped if escaped.startswith("_") else escaped


def number_points(ax: Axes, points: F64, numbers: IntArray) -> None:
    """Write the numbers of states above their points, shape (n, 2), where there is room."""
    for k in _apart(points):
        ax.annotate(
            str(numbers[k]), points[k], (0, 5), textcoords="offset points", ha="center", fontsize=7
        )


def _apart(points: F64) -> list[int]:
    """Return the states whose numbers can be written without covering one another."""
    extent = np.ptp(points, axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0) / (LABEL_WIDTH, LABEL_HEIGHT)
    chosen: list[int] = []
    for state, point in enumerate(scaled):
        if all(np.abs(point - scaled[other]).max() >= 1 for other in chosen):
            chosen.append(state)
    return chosen
