"""Writing the report of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajlm.evaluate.result import Evaluation
from trajlm.report.page import render_page
from trajlm.report.results import RESULTS, collect_results
from trajlm.util.atomic import write_json, write_text_atomic


def save_report(comparison: Evaluation, folder: Path, how: Mapping[str, Any]) -> None:
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
    write_json(folder / RESULTS, collect_results(comparison, how))
    write_text_atomic(folder / "index.html", render_page(comparison, how))
