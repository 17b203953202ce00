"""The command that constrains a model to what is known from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trajlm.analysis import Grouping
from trajlm.analysis.metastable import default_grouping
from trajlm.cli.compare import GROUP_HELP, parse_grouping
from trajlm.cli.output import model_output
from trajlm.constraints.constrain import constrain as run_constraints
from trajlm.constraints.targets import Mean, Population, Rate, Ratio, Target
from trajlm.errors import InputError
from trajlm.models.base import SequenceModel
from trajlm.models.registry import load_model
from trajlm.util.progress import say, tell

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# A value with its error, such as 0.40, 0.40+-0.05 or 0.40±0.05.
VALUE = rf"(?P<value>{NUMBER})(?:\s*(?:\+-|±|\+/-)\s*(?P<error>{NUMBER}))?"
# Frames that a model generates to find groups of more states than it is compared by.
GROUPED_FRAMES = 100_000


def constrain(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Trained model.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    population: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP=VALUE[+-ERROR]",
            help="Share of the frames in a group, such as 1=0.40 or 1=0.40+-0.05.",
        ),
    ] = None,
    ratio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A/B=VALUE[+-ERROR]", help="Population of a group over that of another."
        ),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A-B=VALUE[+-ERROR][/UNIT][@COMMIT]",
            help="Transitions from group to group over the total time, of stays that hold COMMIT "
            "frames (default 1), such as 0-1=12/s@5.",
        ),
    ] = None,
    rate_constant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A-B=VALUE[+-ERROR][/UNIT][@COMMIT]",
            help="The same over the time in the first group.",
        ),
    ] = None,
    mean: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE[+-ERROR]",
            help="Mean of a column that the states were cut from, over their centres.",
        ),
    ] = None,
    group: Annotated[str | None, typer.Option(help=GROUP_HELP)] = None,
    names: Annotated[
        str | None, typer.Option(help="Names of the groups with commas (default: 0,1,...).")
    ] = None,
    reversible: Annotated[
        bool | None,
        typer.Option(
            help="Change transitions there and back alike (default: if the model was made from "
            "data without a direction of time)."
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Of each free run (default: as many as the targets need)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the free runs.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that is there.")
    ] = False,
) -> None:
    """Change a model as little as possible so that it meets what is known from elsewhere."""
    targets: list[Target] = [
        *(parse_population(text) for text in population or []),
        *(parse_ratio(text) for text in ratio or []),
        *(parse_rate(text, constant=False) for text in rate or []),
        *(parse_rate(text, constant=True) for text in rate_constant or []),
        *(parse_mean(text) for text in mean or []),
    ]
    if not targets:
        raise InputError(
            "nothing is asked of the model: give --population, --ratio, --rate, --rate-constant "
            "or --mean"
        )
    with model_output(out, [model_dir], overwrite):
        model = load_model(model_dir)
        found = run_constraints(
            model,
            targets,
            _grouping(model, group, names, seed),
            reversible=reversible,
            n_frames=frames,
            seed=seed,
            n_threads=threads,
            report=lambda step: say(step.describe()),
        )
        found.model.save(out)
    tell(str(found))
    tell(str(out))


def parse_population(text: str) -> Population:
    """Return the target that ``--population`` asks for.

    Raises
    ------
    InputError
        Text of another form, or a target that none can meet.
    """
    name, value, error = _parsed(text, "--population", "GROUP=0.40 or GROUP=0.40+-0.05")
    return Population(name, value, error)


def parse_mean(text: str) -> Mean:
    """Return the target that ``--mean`` asks for.

    Raises
    ------
    InputError
        Text of another form.
    """
    return Mean(*_parsed(text, "--mean", "COLUMN=1.5 or COLUMN=1.5+-0.1"))


def parse_ratio(text: str) -> Ratio:
    """Return the target that ``--ratio`` asks for.

    Raises
    ------
    InputError
        Text of another form, or a target that none can meet.
    """
    form = "A/B=2.5 or A/B=2.5+-0.2"
    names, value, error = _parsed(text, "--ratio", form)
    return Ratio(*_two(names, "/", text, "--ratio", form), value, error)


def parse_rate(text: str, constant: bool) -> Rate:
    """Return the target that ``--rate`` or ``--rate-constant`` asks for.

    Raises
    ------
    InputError
        Text of another form, or a target that none can meet.
    """
    option = "--rate-constant" if constant else "--rate"
    form = "A-B=12/s, A-B=12+-3/s or A-B=12/s@5"
    rest = r"(?:\s*/\s*(?P<unit>[^@\s][^@]*?))?(?:\s*@\s*(?P<commit>\d+))?"
    match = _match(text, option, form, rest)
    name, value, error = _numbers_of(match)
    source, target = _two(name, "-", text, option, form)
    unit, commit = match["unit"] or "", int(match["commit"] or 1)
    return Rate(source, target, value, error, unit, commit, constant)


def _match(text: str, option: str, form: str, rest: str = "") -> re.Match[str]:
    # The name may hold an equals sign itself, the value none.
    match = re.fullmatch(rf"(?P<name>.+)=\s*{VALUE}{rest}\s*", text)
    if match is None:
        raise InputError(f"{option} {text} is not of the form {form}")
    return match


def _numbers_of(match: re.Match[str]) -> tuple[str, float, float]:
    return match["name"].strip(), float(match["value"]), float(match["error"] or 0.0)


def _parsed(text: str, option: str, form: str) -> tuple[str, float, float]:
    return _numbers_of(_match(text, option, form))


def _two(names: str, between: str, text: str, option: str, form: str) -> tuple[str, str]:
    """Return the names of two groups, in which the sign between them must not occur."""
    first, _, second = names.partition(between)
    if not first.strip() or not second.strip() or between in second:
        raise InputError(f"{option} {text} is not of the form {form}")
    return first.strip(), second.strip()


def _grouping(
    model: SequenceModel, group: str | None, names: str | None, seed: int
) -> Grouping | None:
    """Return the groups that were asked for; None for the default."""
    if group is None and names is None:
        return None
    written = model.generate(GROUPED_FRAMES, seed=seed)
    grouping = parse_grouping(group, written, 1) or default_grouping(written)
    if names is None:
        return grouping
    given = tuple(name.strip() for name in names.split(","))
    if len(given) != grouping.n_groups or len(set(given)) != len(given) or not all(given):
        raise InputError(f"--names {names} are not {grouping.n_groups} different names of groups")
    return replace(grouping, names=given)
