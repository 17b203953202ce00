"""The page of a system: figures, tables, and plain sentences on what agrees and what does not."""

from __future__ import annotations

from typing import Any

from trajlm.evaluate.summary import summary
from trajlm.evaluate.verdict import headline, is_close, verdicts
from trajlm.reproduce.document import Block, Code, Document, Heading, Paragraph, Table
from trajlm.reproduce.paper.entropy import SCORED
from trajlm.reproduce.paper.recipe import RecordData
from trajlm.reproduce.paper.results import at_every_frame, plane_inside
from trajlm.reproduce.paper.run import SystemResult, ViewResult
from trajlm.reproduce.paper.sections import view_sections
from trajlm.util.words import counted, elapsed, interval, listed, number


def make_page(result: SystemResult, command: str) -> Document:
    """Return the page of a system."""
    blocks: list[Block] = []
    several = len(result.views) > 1
    for view in result.views:
        blocks += view_sections(view, result.recipe.name, several)
    if result.checks:
        blocks += _checks(result)
    blocks += _how(result, command)
    lead = " ".join(_verdict(view, several) for view in result.views)
    return Document(result.recipe.title, lead, (Paragraph(result.recipe.about), *blocks))


def summary_table(rows: list[dict[str, Any]]) -> Table:
    """Return one row a system: D0 of the data, and D of each model with the upper interval."""
    header = ("system", "frames", "trainings", "D0", *SCORED)
    lines = []
    for row in rows:
        name = (
            row["system"] if row["view"] in ("x", "states") else f"{row['system']}, {row['view']}"
        )
        lines.append(
            (
                name.replace("_", " "),
                f"{row['n_frames']:,}",
                str(row["n_models"]),
                number(row["D0"], 2),
                *(f"{number(row[m][0], 2)}" for m in SCORED),
            )
        )
    return Table(header, tuple(lines))


def _verdict(view: ViewResult, several: bool) -> str:
    """Say what agrees and what does not, in the words of every comparison."""
    found = summary(view.comparison)
    where = f"For {view.view.name.replace('_', ' ')}: " if several else ""
    spoken = {v.name: v for v in verdicts(found)}
    told = " ".join(str(spoken[name]) for name in SCORED)
    text = f"{where}{headline(found)} {told}"
    close = [is_close(found.models[name], found.D0) for name in SCORED]
    if found.D0 > 0 and all(close):
        text += " D does not tell them apart" + _told_apart(view)
    return text


def _told_apart(view: ViewResult) -> str:
    """Say what models of the same D differ in: nats per frame, and the connectivity."""
    nats = [f"{m.name} {number(m.cross_entropy, 4)}" for m in at_every_frame(view)]
    text = f"; nats per frame of the data: {', '.join(nats)}."
    if view.plane is not None:
        n = view.comparison.grouping.n_groups
        inside = listed([f"{name} {found}" for name, found in plane_inside(view).items()])
        text += f" Of the {n * (n - 1)} rates of the plane, inside its 95 % interval: {inside}."
    return text


def _checks(result: SystemResult) -> list[Block]:
    rows = tuple(
        (
            check.quantity,
            number(check.exact, 4),
            number(check.measured, 4),
            interval(check.low, check.high, 4),
            "inside" if check.inside else "outside",
        )
        for check in result.checks
    )
    n_inside = sum(check.inside for check in result.checks)
    return [
        Heading("The simulation against exact values"),
        Table(("quantity", "exact", "simulated", "95 % interval", ""), rows),
        Paragraph(
            f"{n_inside} of {len(rows)} exact values lie in the interval of the simulation "
            "(one in twenty falls outside by chance), which are walkers of their own, at the time "
            "step of the data and at half of it. Exact values by quadrature; populations by "
            "nearest centre of raw x."
        ),
    ]


def _how(result: SystemResult, command: str) -> list[Block]:
    recipe = result.recipe
    lines = []
    for view in result.views:
        data, space = view.comparison.reference, view.comparison.space
        lines.append(
            f"{view.view.name.replace('_', ' ')}: {data.n_frames:,} frames of {space.dt:g} "
            f"{space.unit} in {counted(data.n_trajectories, 'trajectory', 'trajectories')}, "
            f"{space.n_states} states."
        )
    trained = [training.record for training in result.views[0].comparison.models[0].trainings]
    seeds = [record["settings"]["seed"] for record in trained]
    source = _source_of_data(result)
    epochs = [len(record["history"]) for record in trained]
    text = (
        f"{' '.join(lines)} {source}{recipe.models.n_models} trainings with seeds {seeds[0]} to "
        f"{seeds[-1]}, {min(epochs)} to {max(epochs)} epochs each, with the default settings"
        + (f" but at most {recipe.models.epochs} epochs" if recipe.models.epochs else "")
        + f"; each generates {recipe.models.n_lanes} trajectories as long as the data. Machine: "
        f"{result.machine}."
    )
    total = sum(result.seconds.values())
    times = ", ".join(f"{stage} {elapsed(s)}" for stage, s in result.seconds.items())
    return [
        Heading("How it was made"),
        Code(command),
        Paragraph(text),
        Paragraph(f"Time taken: {elapsed(total)} ({times})."),
    ]


def _source_of_data(result: SystemResult) -> str:
    data = result.recipe.data
    if not isinstance(data, RecordData):
        return f"Simulated with seed {result.recipe.seed}. "
    from trajlm.io.datasets import DATASETS

    dataset = DATASETS[data.dataset]
    return f"Data: {dataset.terms}; {dataset.cite}; sha256 {dataset.sha256[:16]}…. "


def summary_page(rows: list[dict[str, Any]]) -> Document:
    """Return the page with one table over all systems."""
    text = (
        "D is the mean |ln(rate of the model / rate of the data)| over all pairs of metastable "
        "states and all commit times at which the data counts 20 transitions or more; D0 is the "
        "same between the two halves of the data. Means over independent trainings (LSTM) or "
        "generations (MSM at a lag of one frame, HMM with its hidden states chosen by BIC)."
    )
    return Document(
        "All systems", "Kinetics of three kinds of model.", (summary_table(rows), Paragraph(text))
    )
