"""Models of a series of conditions: training one, taking one at a condition, rates against it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from trajlm.cli.compare import GROUP_HELP, parse_grouping
from trajlm.cli.output import is_to_be_trained, model_output
from trajlm.data import States
from trajlm.discretize import find_difference
from trajlm.errors import InputError
from trajlm.evaluate.conditions import (
    N_FRAMES,
    RatesAgainstCondition,
    rates_against_condition,
)
from trajlm.io import read_states
from trajlm.io.sources import read_bytes
from trajlm.lstm.conditional import ConditionalModel
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.conditional import finished_series, train_series_in_folder
from trajlm.models.base import SequenceModel
from trajlm.models.files import CHECKPOINT, MEMBERS
from trajlm.models.registry import load_model
from trajlm.util.atomic import atomic_paths, check_writable, lone_writer, text_bytes
from trajlm.util.progress import say, tell
from trajlm.util.words import clipped, complaint, counted, listed, number, visible

LIST = (".csv", ".tsv")
GROUPED_FRAMES = 100_000

Condition = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=VALUE", help="Of a model of a series, at which condition: force=11.5."
    ),
]
Extrapolate = Annotated[
    bool,
    typer.Option("--extrapolate", help="Allow conditions beyond those that were trained on."),
]


def is_series(states: Sequence[Path], conditions: Sequence[str] | None) -> bool:
    """Return whether a training is one of several conditions."""
    return bool(conditions) or len(states) > 1 or states[0].suffix in LIST


def parse_condition(text: str) -> tuple[str, float]:
    """Return name and value of ``--condition``.

    Raises
    ------
    InputError
        Text of another form.
    """
    name, equals, value = text.rpartition("=")
    try:
        if not equals or not name.strip():
            raise ValueError
        return name.strip(), float(value)
    except ValueError:
        raise InputError(f"--condition {text} is not of the form force=11.5") from None


def read_series(
    paths: Sequence[Path],
    conditions: Sequence[str],
    key: str | None = None,
    dt: float | None = None,
    unit: str | None = None,
) -> tuple[States, list[float], str]:
    """Return the trajectories of several conditions, the condition of each, and what it is.

    Parameters
    ----------
    paths
        Files of states, or one list of them (.csv, .tsv): a table with a column ``states``, of
        files, and one named as the condition.
    conditions
        One ``NAME=VALUE`` for each file, none with a list.
    key, dt, unit
        As of `read_states`.

    Raises
    ------
    InputError
        Not as many conditions as files, several names, or files of different states or times.
    """
    if len(paths) == 1 and paths[0].suffix in LIST:
        if conditions:
            raise InputError(f"{paths[0]} is a list of files: their conditions stand in it")
        files, values, name = _read_list(paths[0])
    else:
        given = [parse_condition(text) for text in conditions]
        if len(given) != len(paths):
            raise InputError(
                f"{counted(len(paths), 'file', 'files')} and "
                f"{counted(len(given), 'condition', 'conditions')} were given: give one "
                "--condition NAME=VALUE for each file, in the same order"
            )
        names = sorted({name for name, _ in given})
        if len(names) > 1:
            raise InputError(f"the conditions are called {listed(names)}: give all one name")
        files, values, name = list(paths), [value for _, value in given], names[0]
    trajectories, of_each = [], []
    first: States | None = None
    for path, value in zip(files, values, strict=True):
        part = read_states(path, key=key, dt=dt, unit=unit)
        first = first or part
        _check_same(first, part, files[0], path)
        trajectories += list(part)
        of_each += [value] * len(part)
    assert first is not None
    n_states = max(first.n_states, *(int(s.max()) + 1 for s in trajectories))
    if n_states > first.n_states and first.discretization.method.kind != "given":
        raise InputError(f"{files[0]} has fewer states than others: cut all in one way")
    whole = States(
        trajectories, n_states, first.dt, first.unit, first.centers, first.discretization
    )
    return whole, of_each, name


def _read_list(path: Path) -> tuple[list[Path], list[float], str]:
    """Return files, conditions and their name from a table."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        table = csv.reader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",")
        rows = [[cell.strip() for cell in row] for row in table if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a list of files ({complaint(error)})") from None
    head = rows[0] if rows else []
    if len(head) != 2 or "states" not in head or len(rows) < 2:
        raise InputError(
            f"{path} is no list of files: its first line is states,NAME, with the name of the "
            "condition, and each other line a file and its condition"
        )
    at = head.index("states")
    files, values = [], []
    for line, row in enumerate(rows[1:], 2):
        try:
            value, file = float(row[1 - at]), row[at]
            if len(row) != 2 or not file:
                raise ValueError
        except (ValueError, IndexError):
            raise InputError(
                f"{path}, row {line}: {clipped(', '.join(row))} is not a file and a number"
            ) from None
        values.append(value)
        files.append(path.parent / file)
    return files, values, head[1 - at]


def _check_same(first: States, other: States, path: Path, other_path: Path) -> None:
    if different := find_difference(first.space, other.space):
        raise InputError(
            f"the states of {path} are {different[0]}, those of {other_path} {different[1]}: cut "
            "the data of all conditions in the same way"
        )
    if (first.dt, first.unit) != (other.dt, other.unit):
        raise InputError(
            f"{path} has one frame every {first.dt:g} {first.unit}, {other_path} one every "
            f"{other.dt:g} {other.unit}: a series has one time between frames"
        )


def train_in_series(
    paths: Sequence[Path],
    conditions: Sequence[str],
    out: Path,
    settings: TrainingSettings,
    resume: bool,
    overwrite: bool,
    device: str,
    threads: int | None,
    key: str | None,
    dt: float | None,
    unit: str | None,
) -> None:
    """Train a model of a series into a folder."""
    data, values, name = read_series(paths, conditions, key, dt, unit)
    check_writable(out / CHECKPOINT)
    with lone_writer(out):
        if not is_to_be_trained(
            out,
            lambda: finished_series(out, data, values, name, settings) is not None,
            MEMBERS,
            resume,
            overwrite,
        ):
            return
        say(
            f"training on {counted(len(data), 'trajectory', 'trajectories')}, "
            f"{data.n_frames:,} frames, {data.n_states} states, {name} = "
            f"{listed([number(x, 4) for x in sorted(set(values))])}"
        )
        model = train_series_in_folder(
            data,
            values,
            name,
            settings,
            out,
            resume=resume,
            device=device,
            n_threads=threads,
            report=lambda record, baselines: say(record.describe(settings.epochs, baselines)),
            report_calibration=lambda done: say(done.describe()),
        )
    best = model.record.training.best
    tell(
        f"{out}: {best.validation:.4f} nats per frame on the held-out stretch (epoch {best.epoch})"
    )


def at_condition(model: SequenceModel, condition: str | None, extrapolate: bool) -> SequenceModel:
    """Return a model of a series at the condition that ``--condition`` gives, others as they are.

    Raises
    ------
    InputError
        A condition for a model of none, another one than the model's, or none where one is needed.
    """
    if not isinstance(model, ConditionalModel):
        if condition is not None or extrapolate:
            raise InputError("the model is not one of a series: it knows no condition")
        return model
    low, high = (number(float(x), 6) for x in model.values[[0, -1]])
    if condition is None:
        raise InputError(
            f"the model is one of a series of conditions: give --condition "
            f"{visible(model.condition)}=VALUE, from {low} to {high}"
        )
    name, value = parse_condition(condition)
    if name != model.condition:
        raise InputError(f"the condition of the model is {visible(model.condition)}, not {name}")
    return model.at(value, extrapolate)


def series(
    context: typer.Context,
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Model of a series.")],
    out: Annotated[Path, typer.Option(help="Folder for rates.csv, rates.pdf and rates.png.")],
    at: Annotated[
        str | None,
        typer.Option(help="Conditions with commas (default: those trained on, and between)."),
    ] = None,
    group: Annotated[str | None, typer.Option(help=GROUP_HELP)] = None,
    commit: Annotated[int, typer.Option(min=1, help="Frames that a stay must last to count.")] = 1,
    frames: Annotated[int, typer.Option(min=1, help="Of the run at each condition.")] = N_FRAMES,
    seed: Annotated[int, typer.Option(min=0, help="Of the runs.")] = 0,
    extrapolate: Extrapolate = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
) -> None:
    """Tabulate and draw rates against the condition: an Arrhenius or Bell plot."""
    from trajlm.cli.data import numbers

    model = load_model(model_dir)
    if not isinstance(model, ConditionalModel):
        raise InputError(f"{model_dir} is no model of a series: train one with --condition")
    check_writable(out / "rates.csv")
    context.with_resource(lone_writer(out))
    middle = float(model.values[[0, -1]].mean())
    written = model.generate(GROUPED_FRAMES, seed=seed, condition=middle)
    result = rates_against_condition(
        model,
        parse_grouping(group, written, 1),
        None if at is None else numbers(at, "--at"),
        commit,
        frames,
        seed,
        extrapolate,
        threads,
    )
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(result.rows())
    files = [out / f"rates.{suffix}" for suffix in ("csv", "pdf", "png")]
    with atomic_paths(*files) as (rows, *drawn):
        rows.write_bytes(text_bytes(table.getvalue()))
        _draw(result, drawn)
    tell(table.getvalue().rstrip())
    tell(", ".join(map(str, files)))


def _draw(result: RatesAgainstCondition, paths: Sequence[Path]) -> None:
    import matplotlib.style
    from matplotlib.figure import Figure

    from trajlm.plots.conditions import plot_rates_against_condition
    from trajlm.report.figures import LOOK
    from trajlm.report.picture import SINGLE

    with matplotlib.style.context(LOOK):
        figure = Figure(figsize=(SINGLE, 3.2), layout="constrained")
        plot_rates_against_condition(result, figure.add_subplot())
        for path in paths:
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
            figure.savefig(path, format=path.suffix[1:], metadata=metadata)


def condition(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Model of a series.")],
    at: Annotated[str, typer.Option("--at", metavar="NAME=VALUE", help="Such as force=11.5.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    extrapolate: Extrapolate = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that is there.")
    ] = False,
) -> None:
    """Take the plain model at one condition out of a model of a series."""
    model = load_model(model_dir)
    if not isinstance(model, ConditionalModel):
        raise InputError(f"{model_dir} is no model of a series: train one with --condition")
    own = at_condition(model, at, extrapolate)
    with model_output(out, [model_dir], overwrite):
        own.save(out)
    tell(str(out))
