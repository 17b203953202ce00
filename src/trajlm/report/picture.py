"""A figure as the page carries it: the image, what can be saved of it, and its scales."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from trajlm.plots.coordinate import CircleFormatter
from trajlm.plots.style import BAND_COLOR, SourceStyle, plain_label
from trajlm.plots.tables import Columns, as_csv

# Widths of a journal's columns, in inches.
SINGLE, DOUBLE = 3.4, 7.0
# Dots per inch of a PNG file, as of those that the page saves.
DPI = 600
# Heights of a title and of a row of the legend, and the width of a letter and a sample, in inches.
TITLE, ROW, LETTER, SAMPLE = 0.2, 0.16, 0.06, 0.44
# The label of a tick at the right end is as wide again beyond it.
MARGINS = {"left": 0.68, "right": 0.14, "bottom": 0.46, "top": 0.06}
# Letters of a name in a legend.
LONGEST_NAME = 40
# Numbers of many digits, and the tags in which they are coordinates and not text.
_NUMBER, _TAG = re.compile(r"-?\d+\.\d{3,}"), re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Picture:
    """A figure for the page.

    Parameters
    ----------
    name
        Of the files it is saved as.
    alt
        What it shows, in a sentence.
    svg
        The image, for wide pages or for all.
    size
        In inches.
    pdf
        The same, to be saved.
    csv
        The numbers behind it.
    scales
        Of each panel: where it lies and what its axes run over, for reading values off.
    narrow, narrow_size
        For phones; empty where the image is small enough.
    figure
        Of matplotlib, from which it was made.
    """

    name: str
    alt: str
    svg: bytes
    size: tuple[float, float]
    pdf: bytes
    csv: str
    scales: tuple[Mapping[str, object], ...] = ()
    narrow: bytes = b""
    narrow_size: tuple[float, float] = (0.0, 0.0)
    figure: Figure = field(default_factory=Figure, repr=False, compare=False)

    @property
    def image(self) -> str:
        """The image as an address."""
        return as_uri(self.svg)

    @property
    def narrow_image(self) -> str:
        """The image for phones as an address; empty where there is none."""
        return as_uri(self.narrow) if self.narrow else ""

    @property
    def document(self) -> str:
        """The PDF file as an address."""
        return as_uri(self.pdf, "application/pdf")

    @property
    def png(self) -> bytes:
        """The PNG file."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()

    @property
    def packed_csv(self) -> str:
        """The CSV file, compressed, as text."""
        return base64.b64encode(gzip.compress(self.csv.encode(), mtime=0)).decode("ascii")

    @property
    def scales_as_text(self) -> str:
        """The scales as JSON."""
        return json.dumps(list(self.scales))


@dataclass(frozen=True)
class Sheet:
    """An empty figure under a title and a legend of its sources.

    Parameters
    ----------
    figure
        To draw on, in the rectangle `rect`.
    size
        In inches, header and all.
    rect
        Left, bottom, width and height of what is free, as shares of the figure.
    """

    figure: Figure
    size: tuple[float, float]
    rect: tuple[float, float, float, float] = field(default=(0.0, 0.0, 1.0, 1.0))

    def one_panel(self) -> Axes:
        """Return one panel with fixed margins, which line up with those of other figures."""
        width, height = self.size
        bottom, left = MARGINS["bottom"] / height, MARGINS["left"] / width
        top = self.rect[3] - MARGINS["top"] / height
        right = 1 - MARGINS["right"] / width
        return self.figure.add_axes((left, bottom, right - left, top - bottom))

    def fitted(self) -> Figure:
        """Return the figure with a layout that gives labels the room they need."""
        self.figure.set_layout_engine("constrained", rect=self.rect)
        return self.figure


def new_sheet(title: str, width: float, height: float, styles: Sequence[SourceStyle] = ()) -> Sheet:
    """Return a figure of `height` inches below its title and its legend."""
    n_columns, n_rows = _legend_shape([style.name for style in styles], width)
    header = TITLE * bool(title) + ROW * n_rows
    size = (width, round(height + header, 3))
    figure = Figure(figsize=size)
    if title:
        longest = int((width - 0.1) / LETTER)
        shown = plain_label(shorten(title, longest))
        figure.text(0.05 / width, 1 - 0.04 / size[1], shown, fontsize=8.5, va="top", ha="left")
    if styles:
        figure.legend(
            handles=[_sample(style) for style in styles],
            labels=[_words(style) for style in styles],
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - TITLE * bool(title) / size[1]),
            ncols=n_columns,
            borderaxespad=0.0,
            borderpad=0.2,
            columnspacing=1.0,
            handlelength=2.3,
            labelspacing=0.25,
            frameon=False,
        )
    return Sheet(figure, size, (0.0, 0.0, 1.0, 1 - header / size[1]))


def finish(
    sheet: Sheet,
    name: str,
    alt: str,
    tables: Mapping[str, Columns],
    narrow: Sheet | None = None,
) -> Picture:
    """Return the figure as images and files."""
    return Picture(
        name=name,
        alt=alt,
        svg=as_svg(sheet.figure, sheet.size),
        size=sheet.size,
        pdf=as_pdf(sheet.figure),
        csv=as_csv(tables),
        scales=_scales(sheet),
        narrow=as_svg(narrow.figure, narrow.size) if narrow else b"",
        narrow_size=narrow.size if narrow else (0.0, 0.0),
        figure=sheet.figure,
    )


def shorten(name: str, longest: int) -> str:
    """Return a name that fits."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def as_svg(figure: Figure, size: tuple[float, float]) -> bytes:
    """Return the figure as SVG, its coordinates to a hundredth of a point."""
    for k, ax in enumerate(figure.axes):
        ax.set_gid(f"panel-{k}")
    if figure.get_layout_engine() is not None:
        # Laid out once, for all kinds of files.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _TAG.sub(lambda tag: _NUMBER.sub(_rounded, tag[0]), buffer.getvalue().decode()).encode()


def _rounded(found: re.Match[str]) -> str:
    x = float(found[0])
    return f"{x:.3g}" if abs(x) < 1 else f"{x:.2f}".rstrip("0").rstrip(".")


def as_uri(content: bytes, kind: str = "image/svg+xml") -> str:
    """Return a file inside an address."""
    return f"data:{kind};base64," + base64.b64encode(content).decode("ascii")


def as_pdf(figure: Figure) -> bytes:
    """Return the figure as PDF."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def _scales(sheet: Sheet) -> tuple[Mapping[str, object], ...]:
    """Return, in points from the upper left, where each panel lies and what it runs over."""
    width, height = (72 * length for length in sheet.size)
    scales = []
    for k, ax in enumerate(sheet.figure.axes):
        if ax.get_label() == "<colorbar>" or not ax.axison:
            continue
        box = ax.get_position()
        words = ax.yaxis.get_major_formatter()
        scales.append(
            {
                "id": f"panel-{k}",
                "box": [
                    round(edge, 2)
                    for edge in (
                        box.x0 * width,
                        (1 - box.y1) * height,
                        box.x1 * width,
                        (1 - box.y0) * height,
                    )
                ],
                "x": [float(end) for end in ax.get_xlim()],
                "y": [float(end) for end in ax.get_ylim()],
                "circle": list(words.ends) if isinstance(words, CircleFormatter) else None,
                "log": [ax.get_xscale() == "log", ax.get_yscale() == "log"],
            }
        )
    return tuple(scales)


def _legend_shape(names: Sequence[str], width: float) -> tuple[int, int]:
    """Return columns and rows of a legend that is no wider than the figure."""
    if not names:
        return 1, 0
    lengths = [min(len(name), LONGEST_NAME) for name in names]
    # The data comes first, and its interval with it.
    lengths[0] += len(", 95 % CI")
    if sum(SAMPLE + LETTER * length for length in lengths) <= width:
        return len(names), 1
    n_columns = max(1, min(len(names) - 1, int(width / (SAMPLE + LETTER * max(lengths)))))
    return n_columns, math.ceil(len(names) / n_columns)


def _sample(style: SourceStyle) -> tuple[Patch, Line2D] | Line2D:
    look = style.marked()
    line = Line2D([], [], **{key: look[key] for key in look if key not in ("label", "zorder")})
    return (Patch(color=BAND_COLOR, linewidth=0), line) if style.band else line


def _words(style: SourceStyle) -> str:
    name = plain_label(shorten(style.name, LONGEST_NAME))
    return f"{name}, 95 % CI" if style.band else name
