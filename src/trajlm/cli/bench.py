"""The command that measures speed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.output import output
from trajlm.errors import InputError
from trajlm.reproduce.bench import run_bench
from trajlm.reproduce.bench.run import SIZES
from trajlm.util.atomic import write_json
from trajlm.util.progress import say


def bench(
    json: Annotated[Path | None, typer.Option(help="File for the numbers.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds whose median counts.")] = 5,
    largest: Annotated[
        int, typer.Option(min=1, help="Largest number L of LSTM units to measure.")
    ] = 1024,
    minutes: Annotated[
        float, typer.Option(min=0, help="Time after which no more rounds begin; three are made.")
    ] = 5,
) -> None:
    """Measure generation and training beside plain PyTorch and the machine's matrix product."""
    sizes = [size for size in SIZES if size.hidden_dim <= largest]
    if not sizes:
        raise InputError(f"the smallest network to measure has {SIZES[0].hidden_dim} units")
    with output(json) if json else nullcontext():
        result = run_bench(sizes, repeats, say, minutes)
        typer.echo(result.table())
        if json:
            write_json(json, result.to_json())
