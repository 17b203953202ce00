"""From a system to a folder with its page and numbers."""

from __future__ import annotations

import json
from pathlib import Path

from trajlm.reproduce.benchmark.page import summary_page, system_page
from trajlm.reproduce.benchmark.recipe import SYSTEMS, System
from trajlm.reproduce.benchmark.results import collect
from trajlm.reproduce.benchmark.run import Options, Say, run_system
from trajlm.reproduce.document import Document, save_document, saved_results
from trajlm.util.atomic import json_bytes


def produce(system: System, options: Options, out: Path, command: str, say: Say) -> Document:
    """Run a system and write ``index.html``, ``page.md`` and ``results.json``.

    All lies in the folder of the system's name in `out`; what an earlier run left there is
    taken up.

    Raises
    ------
    InputError
        Data that cannot be had.
    OutputError
        The folder cannot be written.
    """
    folder = out / system.name
    values = collect(run_system(system, options, folder, say), command)
    # As they will be read from the file.
    document = system_page(json.loads(json_bytes(values)))
    save_document(document, folder, values)
    return document


def produce_summary(out: Path) -> Document:
    """Write the page with one table over all systems that were run in `out`.

    Raises
    ------
    InputError
        No system was run there.
    """
    found = saved_results(out, SYSTEMS, "benchmark")
    document = summary_page(found)
    save_document(document, out)
    return document
