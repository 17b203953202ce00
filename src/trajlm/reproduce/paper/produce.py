"""From a recipe to a folder with its page, figures and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trajlm.io.datasets import fetch_dataset
from trajlm.reproduce.document import Document, save_document, saved_results
from trajlm.reproduce.paper.authors import authors_page, label_statistics, read_authors_labels
from trajlm.reproduce.paper.page import make_page, summary_page
from trajlm.reproduce.paper.recipe import SYSTEMS, Recipe, RecordData
from trajlm.reproduce.paper.results import collect, summary_rows
from trajlm.reproduce.paper.run import Progress, Say, first_model, run_recipe


def check_records(recipes: Sequence[Recipe]) -> None:
    """Fetch the public records that recipes need, before hours of work that would miss them.

    Raises
    ------
    InputError
        A record that is neither here nor to be fetched.
    """
    for recipe in recipes:
        if isinstance(recipe.data, RecordData):
            fetch_dataset(recipe.data.dataset)


def produce(
    recipe: Recipe, out: Path, command: str, workers: int, say: Say, progress: Progress
) -> Document:
    """Run a recipe and write ``index.html``, ``page.md``, ``figures`` and ``results.json``.

    All lies in the folder of the system's name in `out`; what an earlier run left there is
    taken up.

    Parameters
    ----------
    recipe
        What to run.
    out
        Folder of all systems.
    command
        As it will stand on the page.
    workers
        Trainings side by side.
    say, progress
        Told about the work.

    Raises
    ------
    InputError
        Data that cannot be had.
    OutputError
        The folder cannot be written.
    """
    folder = out / recipe.name
    result = run_recipe(recipe, folder, workers, say, progress)
    document = make_page(result, command)
    save_document(document, folder, collect(result, command))
    return document


def produce_summary(out: Path) -> Document:
    """Write the page with one table over all systems that were run in `out`.

    Raises
    ------
    InputError
        No system was run there.
    """
    found = saved_results(out, SYSTEMS, "paper")
    document = summary_page([row for values in found for row in summary_rows(values)])
    save_document(document, out)
    return document


def produce_authors(
    file: Path, recipe: Recipe, out: Path, command: str, say: Say, progress: Progress
) -> Document:
    """Hold a label file of the authors against exact populations and our own generation.

    Our generation is as long as theirs and comes from the first training of the four-state
    recipe, made where it is not there yet.

    Raises
    ------
    InputError
        A file that is not one trajectory of the labels 0 to 3.
    """
    theirs = read_authors_labels(file)
    model = first_model(recipe, out / recipe.name, say, progress)
    ours = model.generate(theirs.n_frames, 1, recipe.seed)
    found = [label_statistics("the authors'", theirs), label_statistics("ours, as long", ours)]
    document = authors_page(found, command)
    save_document(document, out / "authors_prediction")
    return document
