"""Writing the report of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajlm.evaluate.result import Evaluation
from trajlm.report.page import render_page
from trajlm.report.results import RESULTS, collect_results
from trajlm.util.atomic import atomic_paths, json_bytes, text_bytes


def save_report(comparison: Evaluation, folder: Path, how: Mapping[str, Any]) -> None:
    """Write ``results.json`` and ``index.html`` into `folder`, both or neither.

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
    results = json_bytes(collect_results(comparison, how))
    page = text_bytes(render_page(comparison, how))
    with atomic_paths(folder / RESULTS, folder / "index.html") as (numbers, shown):
        numbers.write_bytes(results)
        shown.write_bytes(page)
