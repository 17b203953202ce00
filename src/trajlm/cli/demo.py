"""The command that shows the whole package on a real simulation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trajlm.reproduce.demo import run_demo
from trajlm.util.atomic import lone_writer
from trajlm.util.progress import progress, say, tell


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and all files.")] = Path(
        "trajlm-demo"
    ),
    ns: Annotated[float, typer.Option(min=0.1, max=1e6, help="Molecular time to simulate.")] = 30.0,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data at most.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the result.")] = 0,
) -> None:
    """Simulate alanine dipeptide, learn it, generate from what was learned, and report."""
    with lone_writer(out):
        page = run_demo(
            out,
            ns=ns,
            epochs=epochs,
            seed=seed,
            command=" ".join(["trajlm", *sys.argv[1:]]),
            say=say,
            progress=progress,
        )
    tell(f"open {page}")
