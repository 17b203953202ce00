"""What a notebook shows of a comparison."""

from __future__ import annotations

from html import escape

from trajlm.evaluate.result import Evaluation
from trajlm.report import figures, maps
from trajlm.report.picture import Picture


def first_figures(comparison: Evaluation) -> str:
    """Return the free energy, the network of the groups and their relaxation as images in HTML."""
    import matplotlib.style

    with matplotlib.style.context(figures.LOOK):
        pictures = [
            maps.free_energy_map_picture(comparison) or figures.free_energy_pictures(comparison)[0],
            maps.network_picture(comparison),
            figures.relaxation_picture(comparison),
        ]
    return "".join(_image(picture) for picture in pictures if picture is not None)


def _image(picture: Picture) -> str:
    width = round(110 * picture.size[0])
    return f'<img src="{picture.image}" alt="{escape(picture.alt)}" width="{width}" />'
