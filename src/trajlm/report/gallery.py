"""All figures of a comparison: in their places on the page, and as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trajlm.errors import InputError
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.report import figures, maps
from trajlm.report.picture import Picture
from trajlm.util.atomic import atomic_paths, text_bytes

FORMATS = ("pdf", "svg", "png")


def pictures_of(comparison: Evaluation) -> dict[str, Any]:
    """Return the figures of the page by their places: one, a list, by model, or None."""
    return {
        "discrepancy": figures.discrepancy_picture(comparison),
        "excerpts": maps.excerpt_pictures(comparison),
        "hidden_path": maps.hidden_path_picture(comparison),
        "free_energy_map": maps.free_energy_map_picture(comparison),
        "free_energies": figures.free_energy_pictures(comparison),
        "network": maps.network_picture(comparison),
        "transitions": figures.transition_pictures(comparison),
        "relaxation": figures.relaxation_picture(comparison),
        "timescales": figures.timescale_picture(comparison),
        "survivals": figures.survival_pictures(comparison),
        "autocorrelation": figures.autocorrelation_picture(comparison),
        "networks": [
            (model, pictures)
            for model in comparison.models
            if (pictures := _of_network(model, comparison))
        ],
    }


def _of_network(model: SourceResult, comparison: Evaluation) -> list[Picture]:
    """Return the training curve and the map of the states of a language model."""
    found = figures.training_picture(model), maps.state_map_picture(model, comparison)
    return [picture for picture in found if picture is not None]


def save_figures(comparison: Evaluation, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write each figure as files and its numbers as CSV into `folder`, and return their paths.

    Raises
    ------
    InputError
        A format that is not known.
    OutputError
        The folder cannot be written.
    """
    import matplotlib.style

    for format_ in formats:
        if format_ not in FORMATS:
            raise InputError(f"figures are saved as {', '.join(FORMATS)}, not {format_!r}")
    written: list[Path] = []
    with matplotlib.style.context(figures.LOOK):
        for picture in _each(pictures_of(comparison)):
            name = _free_name(folder, picture.name, written)
            paths = [folder / f"{name}.{end}" for end in (*formats, "csv")]
            with atomic_paths(*paths) as temporary:
                for path, end in zip(temporary, (*formats, "csv"), strict=True):
                    path.write_bytes(_content(picture, end))
            written += paths
    return written


def _each(found: object) -> Iterator[Picture]:
    if isinstance(found, Picture):
        yield found
    elif isinstance(found, dict):
        yield from _each(list(found.values()))
    elif isinstance(found, list | tuple):
        for part in found:
            yield from _each(part)


def _free_name(folder: Path, name: str, written: Sequence[Path]) -> str:
    """Return the name, numbered where names of models that are alike in letters have taken it."""
    names = [name, *(f"{name}-{k}" for k in range(2, len(written) + 3))]
    return next(free for free in names if folder / f"{free}.csv" not in written)


def _content(picture: Picture, end: str) -> bytes:
    if end == "csv":
        return text_bytes(picture.csv)
    content: bytes = getattr(picture, end)
    return content
