"""Commands that tell: info and cite. They need nothing of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.citing import citations
from trajlm.cli.data import (
    Clip,
    Column,
    Dt,
    HeaderLines,
    Key,
    Periodic,
    SplitBy,
    TimeColumn,
    Unit,
)
from trajlm.io import read_features, read_states
from trajlm.io.states import holds_states
from trajlm.lstm.loops import choice
from trajlm.models.registry import describe_model
from trajlm.util.devices import usable_cores
from trajlm.util.progress import tell
from trajlm.util.versions import package_versions
from trajlm.util.words import first_rows, lines


def info(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="Model folder, or a file of states or features."),
    ] = None,
    column: Column = None,
    dt: Dt = None,
    unit: Unit = None,
    key: Key = None,
    period: Periodic = None,
    time_column: TimeColumn = None,
    split_by: SplitBy = None,
    header_lines: HeaderLines = None,
    clip: Clip = None,
) -> None:
    """Say what a model or a data file is and how it was made; without one, what runs here.

    Of a file of others it shows what would be read; the options are those of discretize.
    """
    if path is None or path.is_dir():
        tell(describe_model(path) if path else _installation())
        tell(f"compiled loops here: {choice().describe()}")
        return
    options = (column, period, time_column, split_by, header_lines, clip)
    if all(option is None for option in options) and holds_states(path, key):
        tell(lines("states", read_states(path, key, dt, unit).facts()))
        return
    features = read_features(
        path, columns=column, dt=dt, unit=unit, key=key, period=period, time_column=time_column,
        split_by=split_by, header_lines=header_lines, clip=clip,
    )  # fmt: skip
    tell(lines("features", features.facts(features.n_columns)))
    if features.unit == "frame":
        tell("time: not said, so a frame is the unit")
    tell("first rows\n" + first_rows(features.names, features.trajectories[0]))


def _installation() -> str:
    """Return the versions that decide a result, and the cores that may be used."""
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    return f"versions: {versions}\ncores: {usable_cores()}"


def cite(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Model folders, reports or files of states."),
    ] = None,
    used: Annotated[
        str, typer.Option("--with", help="What they cannot say: mdtraj,openmm,plumed ...")
    ] = "",
) -> None:
    """Print BibTeX for the method, this software and what else was used."""
    tell(citations(paths or [], used.split(",")))
