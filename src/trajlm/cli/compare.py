"""The command that compares generated trajectories with the data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trajlm import analysis
from trajlm.analysis import Grouping
from trajlm.cli.data import numbers
from trajlm.comparison import compare as run_comparison
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.evaluate.evaluation import Kind
from trajlm.evaluate.grouping import group_by_hmm
from trajlm.evaluate.groups import grouping_warning, groups_line
from trajlm.evaluate.summary import summary
from trajlm.evaluate.verdict import (
    floor_sentence,
    settled_sentence,
    slowest_sentence,
    unseen_sentence,
    verdicts,
)
from trajlm.io import read_states
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.models.ngram import fit_ngram
from trajlm.models.registry import load_model
from trajlm.report.gallery import FORMATS
from trajlm.util.atomic import check_writable, lone_writer
from trajlm.util.progress import progress, say, tell
from trajlm.util.words import listed, visible

MODELS_HELP = (
    "Also fit and compare these, with commas between: msm (at a lag of one frame), msm:auto (at "
    "the lag from which its timescales are level), hmm, ngram (counts after the last k states)."
)
GROUP_HELP = (
    "How fine states become metastable ones: edges:X,Y,... on their centres (edges:X,Y,...,wrap: "
    "the first and the last interval are one group, over a periodic border), pcca:N, or "
    "list:G,G,... with the group of each state, or hmm:N, the hidden states of a hidden Markov "
    "model, for noisy records (default: as they are up to five, else pcca, or hmm where noise "
    "crosses the borders)."
)


def compare(
    context: typer.Context,
    reference: Annotated[Path, typer.Argument(help="States of the data.")],
    generated: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]GENERATED...",
            help="Generated states, or model folders that generate; several trainings of a model "
            "as NAME=A,B,C.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for index.html and results.json.")] = Path(
        "comparison"
    ),
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT[,FORMAT]",
            help="Also write every figure as a file, with its numbers as CSV, into OUT/figures: "
            "pdf, svg, png.",
        ),
    ] = None,
    group: Annotated[str | None, typer.Option(help=GROUP_HELP)] = None,
    running_mean: Annotated[
        int,
        typer.Option(min=1, help="Group after a running mean of the centres over these frames."),
    ] = 1,
    commit_time: Annotated[
        float | None,
        typer.Option(
            help="Shortest stay that counts for the rate constants, in units of time; the nearest "
            "of 1, 2, 5, 10 ... frames (default: from the dwells)."
        ),
    ] = None,
    models: Annotated[str, typer.Option(help=MODELS_HELP)] = "",
    unseen: Annotated[
        Path | None,
        typer.Option(help="States that no model was trained on, to judge models and data by."),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Generations of each training, each as long as the data.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the generations.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Time between frames.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of dt, such as ps or ms.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Arrays of an npz reference to read, such as 'G_*'.")
    ] = None,
) -> None:
    """Compare generated trajectories with the data: a report and all numbers.

    A model folder generates first. Kinetics are compared between groups of states: D is the
    mean |ln(rate / rate of the data)|, D0 the same between the two halves of the data.
    """
    began = time.perf_counter()
    formats = figure_formats(figures)
    data = read_states(reference, key=key, dt=dt, unit=unit)
    check_writable(out / "index.html")
    context.with_resource(lone_writer(out))
    grouping = parse_grouping(group, data, running_mean)
    others: dict[str, Kind] = {}
    for item in generated or []:
        name, kind = _read_generated(item)
        if name in others:
            raise InputError(f"two sources are called {name}: name them, as in OTHER={item}")
        others[name] = kind
    for name, model in fit_models(data, models, seed).items():
        if name in others:
            raise InputError(f"two sources are called {name}: name yours, as in OTHER=FILE")
        others[name] = model
    future = None if unseen is None else read_states(unseen, dt=dt, unit=unit)
    comparison = run_comparison(
        data,
        others,
        grouping,
        unseen=future,
        n_runs=runs,
        seed=seed,
        n_threads=threads,
        commit_time=commit_time,
        stage=say,
    )
    how = {
        "command": " ".join(["trajlm", *sys.argv[1:]]),
        "files": {
            "reference": str(reference),
            "generated": [str(g) for g in generated or []],
            **({"unseen": str(unseen)} if unseen else {}),
        },
        "seeds": {"generation": seed},
        "seconds": {"all": round(time.perf_counter() - began, 1)},
    }
    comparison.save(out, how)
    if formats:
        say(f"drawing the figures as {listed(formats)}")
        comparison.save_figures(out / "figures", formats)
    if warning := grouping_warning(comparison):
        say(f"note: {warning}")
    tell(groups_line(comparison))
    found = summary(comparison)
    sentences = [
        slowest_sentence(found, comparison.space.unit),
        settled_sentence(found),
        floor_sentence(found),
        unseen_sentence(found),
        *map(str, verdicts(found)),
    ]
    tell("\n".join(sentence for sentence in sentences if sentence))
    tell(str(out / "index.html"))


def figure_formats(text: str | None) -> list[str]:
    """Return the formats that ``--figures`` names; none without it.

    Raises
    ------
    InputError
        A format that is not known.
    """
    formats = [] if text is None else [word.strip().lower() for word in text.split(",")]
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"--figures knows {listed(FORMATS)}, not {name!r}")
    return formats


def parse_grouping(text: str | None, data: States, running_mean: int) -> Grouping | None:
    """Return the grouping that ``--group`` asks for; None for the default.

    Raises
    ------
    InputError
        Text of another form.
    """
    if text is None:
        if running_mean != 1:
            raise InputError("--running-mean needs --group, such as --group edges:0.5")
        return None
    method, colon, rest = text.partition(":")
    if not colon or method not in ("edges", "pcca", "list", "hmm"):
        raise InputError(f"--group {text} is not edges:X,Y,..., pcca:N, list:G,G,... or hmm:N")
    wrap = method == "edges" and rest.endswith(",wrap")
    values = numbers(rest.removesuffix(",wrap") if wrap else rest, "--group")
    if method == "edges":
        return analysis.group_by_edges(data, values, running_mean, wrap=wrap or None)
    if not all(v.is_integer() for v in values):
        raise InputError(f"--group {text}: {method} takes whole numbers")
    whole = [int(v) for v in values]
    if method == "list":
        return analysis.group_by_list(data, whole, running_mean)
    if len(whole) != 1:
        raise InputError(f"--group {text}: {method} takes one number of groups")
    if method == "hmm":
        if running_mean != 1:
            raise InputError("--running-mean is for thresholds: hidden states need none")
        return group_by_hmm(data, whole[0])
    return analysis.group_by_pcca(data, whole[0], running_mean=running_mean)


def fit_models(data: States, names: str, seed: int) -> dict[str, SequenceModel]:
    """Fit the models in a list with commas.

    Raises
    ------
    InputError
        Another name than msm, msm:auto, hmm or ngram.
    """
    fit: dict[str, Callable[[], tuple[str, SequenceModel]]] = {
        "MSM": lambda: ("MSM", fit_msm(data)),
        "MSM:AUTO": lambda: _fit_at_chosen_lag(data),
        "HMM": lambda: ("HMM", _fit_hmm(data, seed)),
        "NGRAM": lambda: ("NGRAM", fit_ngram(data)),
    }
    wanted = [name for word in names.split(",") if (name := word.strip().upper())]
    for name in wanted:
        if name not in fit:
            raise InputError(f"--models knows msm, msm:auto, hmm and ngram, not {name.lower()!r}")
    fitted: dict[str, SequenceModel] = {}
    for name in wanted:
        say(f"fitting the {name}")
        title, model = fit[name]()
        fitted[title] = model
    return fitted


def _fit_hmm(data: States, seed: int) -> SequenceModel:
    with progress("fitting the HMM", None, "steps") as advance:
        return fit_hmm(data, seed=seed, progress=lambda n_hidden, step, value: advance(1))


def _fit_at_chosen_lag(data: States) -> tuple[str, SequenceModel]:
    chosen = analysis.choose_lag(data)
    say(chosen.why)
    return f"MSM lag {chosen.lag}", fit_msm(data, chosen.lag)


def _read_generated(item: str) -> tuple[str, Kind]:
    """Return the name and what stands behind it: one training, or several with commas between."""
    name, separator, rest = item.partition("=")
    name = visible(name)
    if not separator or Path(item).exists():
        path = Path(item)
        name = path.name if path.is_dir() else path.stem
        return visible(name), _read_training(path)
    if "," in rest and not Path(rest).exists():
        return name, [_read_training(Path(part)) for part in rest.split(",")]
    return name, _read_training(Path(rest))


def _read_training(path: Path) -> SequenceModel | States:

    return load_model(path) if path.is_dir() else read_states(path)
