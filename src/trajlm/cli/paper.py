"""The command that reproduces the systems of the 2020 paper."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from trajlm.errors import InputError
from trajlm.reproduce.paper.produce import check_records, produce, produce_authors, produce_summary
from trajlm.reproduce.paper.recipe import SYSTEMS, load_recipe
from trajlm.util.atomic import lone_writer
from trajlm.util.progress import progress, say, tell

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
    if system == AUTHORS:
        _authors(file, out, fast, seed)
        return
    workers = workers or os.cpu_count() or 1
    if file is not None:
        raise InputError(f"only {AUTHORS} takes a file, not {system}")
    names = SYSTEMS if system == ALL else (system,)
    recipes = [load_recipe(name, fast, n_models, seed) for name in names]
    check_records(recipes)
    for recipe in recipes:
        began = time.perf_counter()
        command = _command(recipe.name, fast, n_models, seed)
        with lone_writer(out / recipe.name):
            document = produce(recipe, out, command, workers, say, progress)
        tell(f"{recipe.name}: {document.lead}")
        tell(f"{out / recipe.name / 'index.html'} ({time.perf_counter() - began:.0f} s)")
    if system == ALL:
        produce_summary(out)
        tell(str(out / "index.html"))


def _authors(file: Path | None, out: Path, fast: bool, seed: int) -> None:
    if file is None:
        raise InputError(f"{AUTHORS} needs the file of labels: trajlm paper {AUTHORS} FILE")
    recipe = load_recipe("four_state", fast, None, seed)
    command = f"trajlm paper {AUTHORS} {file.name}" + (" --fast" if fast else "")
    with lone_writer(out / AUTHORS):
        document = produce_authors(file, recipe, out, command, say, progress)
    tell(document.lead)
    tell(str(out / AUTHORS / "index.html"))


def _command(name: str, fast: bool, n_models: int | None, seed: int) -> str:
    words = ["trajlm", "paper", name]
    words += ["--fast"] if fast else []
    words += ["--n-models", str(n_models)] if n_models is not None else []
    words += ["--seed", str(seed)] if seed else []
    return " ".join(words)
