"""The report of a comparison: one self-contained page, and all its numbers in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajlm.comparison import Comparison

__all__ = ["save_report"]


def save_report(comparison: Comparison, folder: Path, how: Mapping[str, Any]) -> None:
    """Write ``results.json`` and then ``index.html`` into `folder`.

    Parameters
    ----------
    comparison
        The data beside one or more models.
    folder
        Created where it does not exist.
    how
        How the results were made, shown as it is; of it ``command`` (str), ``seconds`` (by
        stage), ``data`` (a sentence or a mapping), ``seeds``, ``machine`` and ``files`` have a
        place of their own.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from trajlm.atomic import write_json, write_text_atomic
    from trajlm.report.page import render_page
    from trajlm.report.results import collect_results

    write_json(folder / "results.json", collect_results(comparison, how))
    write_text_atomic(folder / "index.html", render_page(comparison, how))
