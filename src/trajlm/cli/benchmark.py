"""The command that judges models on the unseen stretch of public data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from trajlm.reproduce.benchmark.produce import produce, produce_summary
from trajlm.reproduce.benchmark.recipe import ALL as SYSTEMS_OF_ALL
from trajlm.reproduce.benchmark.recipe import SYSTEMS, system_of
from trajlm.reproduce.benchmark.run import Options
from trajlm.util.atomic import lone_writer
from trajlm.util.progress import say, tell

ALL = "all"
# What is smaller in a fast run.
FAST_FRAMES, FAST_MODELS, FAST_EPOCHS, FAST_HIDDEN = 20_000, 2, 5, 2


def benchmark(
    systems: Annotated[
        list[str], typer.Argument(metavar="SYSTEM...", help=f"{' | '.join(SYSTEMS)} | all.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for pages and all files.")] = Path(
        "trajlm-benchmark"
    ),
    n_models: Annotated[
        int | None, typer.Option(min=1, help="Independent trainings (default: 5).")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Less data, fewer and shorter trainings: a trial.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the first training; others count up.")] = 0,
) -> None:
    """Learn one stretch of public data and judge on another, beside the training data itself.

    The same command again takes up what is there.
    """
    names = SYSTEMS_OF_ALL if ALL in systems else systems
    chosen = [system_of(name) for name in names]
    options = (
        Options(n_models or FAST_MODELS, seed, FAST_FRAMES, FAST_EPOCHS, FAST_HIDDEN)
        if fast
        else Options(n_models or Options.n_models, seed)
    )
    for system in chosen:
        began = time.perf_counter()
        words = ["trajlm", "benchmark", system.name, *(["--fast"] if fast else [])]
        words += [] if n_models is None else ["--n-models", str(n_models)]
        words += ["--seed", str(seed)] if seed else []
        with lone_writer(out / system.name):
            document = produce(system, options, out, " ".join(words), say)
        tell(f"{system.name}: {document.lead}")
        tell(f"{out / system.name / 'index.html'} ({time.perf_counter() - began:.0f} s)")
    produce_summary(out)
    tell(str(out / "index.html"))
