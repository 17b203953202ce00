"""The command that reproduces the systems of the 2020 paper."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.progress import progress, say
from trajlm.errors import InputError

ALL = "all"
AUTHORS = "authors_prediction"


def paper(
    system: Annotated[
        str,
        typer.Argument(
            help="linear3 | triangular3 | four_state | riboswitch | alanine | markov3 | kinsoft3 | "
            "all, or authors_prediction with a FILE of labels."
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Of authors_prediction: labels 0 to 3.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pages and all files.")] = Path(
        "trajlm-paper"
    ),
    fast: Annotated[
        bool, typer.Option("--fast", help="Less data, fewer and shorter trainings.")
    ] = False,
    n_models: Annotated[
        int | None, typer.Option(min=1, help="Independent trainings (default: the recipe's 10).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation; trainings count up.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trainings side by side (default: one a core).")
    ] = None,
) -> None:
    """Go from nothing to the paper's figures and numbers for a system.

    The same command again takes up what is there.
    """
    from trajlm.paper.recipe import SYSTEMS, RecordData, load_recipe

    if system == AUTHORS:
        _authors(file, out, fast, seed)
        return
    if file is not None:
        raise InputError(f"only {AUTHORS} takes a file, not {system}")
    names = SYSTEMS if system == ALL else (system,)
    recipes = [load_recipe(name, fast, n_models, seed) for name in names]
    for recipe in recipes:
        # What cannot be had is said now and not after an hour of work.
        if isinstance(recipe.data, RecordData):
            from trajlm.datasets import fetch_dataset

            fetch_dataset(recipe.data.dataset)
    for recipe in recipes:
        _run(recipe.name, fast, n_models, seed, out, workers or os.cpu_count() or 1)
    if system == ALL:
        typer.echo(str(_summary(out)))


def _run(name: str, fast: bool, n_models: int | None, seed: int, out: Path, workers: int) -> None:
    from trajlm.atomic import write_json
    from trajlm.paper.page import make_page
    from trajlm.paper.recipe import load_recipe
    from trajlm.paper.results import collect
    from trajlm.paper.run import run_recipe
    from trajlm.report.document import save_document

    began = time.perf_counter()
    recipe = load_recipe(name, fast, n_models, seed)
    folder = out / name
    result = run_recipe(recipe, folder, workers, say, progress)
    command = _command(name, fast, n_models, seed)
    document = make_page(result, command)
    save_document(document, folder)
    write_json(folder / "results.json", collect(result, command))
    typer.echo(f"{name}: {document.lead}")
    typer.echo(f"{folder / 'index.html'} ({time.perf_counter() - began:.0f} s)")


def _summary(out: Path) -> Path:
    """Write the page with one table over all systems."""
    import json

    from trajlm.paper.page import summary_page
    from trajlm.paper.recipe import SYSTEMS
    from trajlm.paper.results import summary_rows
    from trajlm.report.document import save_document

    rows = []
    for name in SYSTEMS:
        rows += summary_rows(json.loads((out / name / "results.json").read_text()))
    save_document(summary_page(rows), out)
    return out / "index.html"


def _authors(file: Path | None, out: Path, fast: bool, seed: int) -> None:
    from trajlm.paper.authors import authors_page, label_statistics, read_authors_labels
    from trajlm.paper.recipe import load_recipe
    from trajlm.paper.run import first_model
    from trajlm.report.document import save_document

    if file is None:
        raise InputError(f"{AUTHORS} needs the file of labels: trajlm paper {AUTHORS} FILE")
    theirs = read_authors_labels(file)
    recipe = load_recipe("four_state", fast, None, seed)
    model = first_model(recipe, out / recipe.name, say, progress)
    ours = model.generate(theirs.n_frames, 1, seed)
    found = [
        label_statistics("the authors'", theirs),
        label_statistics("ours, as long", ours),
    ]
    command = f"trajlm paper {AUTHORS} {file.name}" + (" --fast" if fast else "")
    document = authors_page(found, command)
    save_document(document, out / AUTHORS)
    typer.echo(document.lead)
    typer.echo(str(out / AUTHORS / "index.html"))


def _command(name: str, fast: bool, n_models: int | None, seed: int) -> str:
    words = ["trajlm", "paper", name]
    words += ["--fast"] if fast else []
    words += ["--n-models", str(n_models)] if n_models is not None else []
    words += ["--seed", str(seed)] if seed else []
    return " ".join(words)
