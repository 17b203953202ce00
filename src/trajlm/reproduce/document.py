"""A page of headings, paragraphs, tables and figures, written as Markdown or as HTML."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajlm.errors import InputError


@dataclass(frozen=True)
class Heading:
    """The beginning of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain sentences."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first column is of names, the others of numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A PNG image that is written beside a Markdown page and carried inside an HTML one.

    Parameters
    ----------
    name
        File name without suffix.
    caption
        What it shows.
    png
        The image.
    """

    name: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Code:
    """A command, to be typed as it stands."""

    text: str


Block = Heading | Paragraph | Table | Figure | Code


@dataclass(frozen=True)
class Document:
    """A page: its title, its first sentence, and its blocks."""

    title: str
    lead: str
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures in order."""
        return tuple(block for block in self.blocks if isinstance(block, Figure))


def to_markdown(document: Document, image_folder: str) -> str:
    """Return the page as Markdown whose images lie in `image_folder`."""
    parts = [f"# {document.title}", document.lead]
    for block in document.blocks:
        if isinstance(block, Heading):
            parts.append(f"## {block.text}")
        elif isinstance(block, Paragraph):
            parts.append(block.text)
        elif isinstance(block, Table):
            parts.append(_markdown_table(block))
        elif isinstance(block, Figure):
            source = f"{image_folder}/{block.name}.png"
            parts.append(f"![{block.caption}]({source})\n\n*{block.caption}*")
        else:
            parts.append(f"```sh\n{block.text}\n```")
    return "\n\n".join(parts) + "\n"


def to_html(document: Document) -> str:
    """Return the page as HTML that needs nothing else."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("trajlm", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("document.html.j2").render(document=document)


def save_document(document: Document, folder: Path, results: object = None) -> None:
    """Write ``index.html``, ``page.md`` and the folder ``figures`` into `folder`, all or none.

    Parameters
    ----------
    results
        Plain values to go with them into ``results.json``; none where None.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from trajlm.util.atomic import atomic_paths, json_bytes, text_bytes

    files = {} if results is None else {"results.json": json_bytes(results)}
    files |= {f"figures/{figure.name}.png": figure.png for figure in document.figures}
    files |= {
        "page.md": text_bytes(to_markdown(document, "figures")),
        "index.html": text_bytes(to_html(document)),
    }
    with atomic_paths(*(folder / name for name in files)) as written:
        for file, data in zip(written, files.values(), strict=True):
            file.write_bytes(data)


def saved_results(out: Path, systems: Iterable[str], command: str) -> list[dict[str, Any]]:
    """Return the ``results.json`` of the systems that were run in `out`, in their order.

    Raises
    ------
    InputError
        No system was run there; `command` is the one that runs them.
    """
    files = [out / name / "results.json" for name in systems]
    found = [json.loads(path.read_text("utf-8")) for path in files if path.exists()]
    if not found:
        raise InputError(f"{out} holds no results: run trajlm {command} all --out {out}")
    return found


def _markdown_table(table: Table) -> str:
    rule = ["---"] + ["---:"] * (len(table.header) - 1)
    lines = [table.header, rule, *table.rows]
    return "\n".join(_markdown_row(line) for line in lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
