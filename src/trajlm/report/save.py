"""Writing the report of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajlm.evaluate.result import Evaluation
from trajlm.report.page import render_page
from trajlm.report.results import RESULTS, collect_results
from trajlm.util.atomic import atomic_paths, json_bytes, text_bytes


def save_report(
    comparison: Evaluation,
    folder: Path,
    how: Mapping[str, Any],
    beside: Mapping[str, bytes] | None = None,
) -> None:
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
    beside
        Other files that belong to them, by name.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    files = {
        RESULTS: json_bytes(collect_results(comparison, how)),
        "index.html": text_bytes(render_page(comparison, how)),
        **(beside or {}),
    }
    with atomic_paths(*(folder / name for name in files)) as written:
        for file, data in zip(written, files.values(), strict=True):
            file.write_bytes(data)
