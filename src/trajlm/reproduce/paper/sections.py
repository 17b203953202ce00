"""The sections of a system's page about one view of its data."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.analysis import mean_interval
from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.evaluate.significance import agrees_from, rates_inside
from trajlm.reproduce.document import Block, Figure, Heading, Paragraph, Table
from trajlm.reproduce.paper import figures
from trajlm.reproduce.paper.entropy import SCORED, kullback_leibler
from trajlm.reproduce.paper.results import (
    all_nats,
    at_every_frame,
    connectivity_time,
    exact_inside,
    note_of,
    plane_inside,
)
from trajlm.reproduce.paper.run import PLAIN_EMBEDDING_SCALE, ViewResult
from trajlm.util.words import interval, listed, number, physical_time


def view_sections(view: ViewResult, system: str, several: bool) -> list[Block]:
    """Return figures, tables and sentences on one view; named after it where there are several."""
    name = view.view.name
    suffix = f", {name.replace('_', ' ')}" if several else ""

    def figure(kind: str, caption: str, png: bytes) -> Figure:
        return Figure(f"{system}-{name}-{kind}", caption, png)

    blocks: list[Block] = [
        Heading(f"What it looks like{suffix}"),
        figure(
            "look",
            "A stretch of the data, and of what each model generated: not the same moments, so "
            "the curves need not agree in detail.",
            figures.look(view),
        ),
        Heading(f"Boltzmann statistics{suffix}"),
        figure(
            "boltzmann",
            "Free energy over the states. Band: 95 % interval of the data; bars: of the mean "
            "over trainings or, of one model, of what it generated.",
            figures.boltzmann(view),
        ),
        *_populations(view),
        Heading(f"Kinetics{suffix}"),
        figure(
            "kinetics",
            "Inverse rate of each transition, counting stays of at least the commit time. Band: "
            "95 % interval of the data. The MSM at a lag makes one frame every lag and is held "
            "against data seen as often.",
            figures.kinetics(view),
        ),
        figure("discrepancy", "D of each model, with D0 of the data.", figures.discrepancies(view)),
        _discrepancy_table(view),
        Paragraph(" ".join(_agreements(view))),
        _rates_table(view),
    ]
    if view.plane is not None:
        blocks += _connectivity(view)
    blocks += _entropy(view, suffix)
    if view.embeddings and view.pairs is not None:
        blocks += _embedding(view, suffix, figure)
    return blocks


def _populations(view: ViewResult) -> list[Block]:
    data = view.comparison.reference.group_free_energy
    low, high = data.population_intervals
    exact = view.exact_populations
    exact = exact if exact is not None and len(exact) == len(data.populations) else None
    sources, names = at_every_frame(view), view.comparison.grouping.names
    header = ["population", "data", *(source.name for source in sources)]
    header += ["exact"] if exact is not None else []
    rows = []
    for k, name in enumerate(names):
        cells = [name, f"{number(data.populations[k])} {interval(low[k], high[k], 3)}"]
        for source in sources:
            below, above = (x[k] for x in source.population_intervals(groups=True))
            mean = source.group_free_energy.populations[k]
            cells.append(f"{number(mean)} {interval(below, above, 3)}")
        if exact is not None:
            cells.append(number(float(exact[k])))
        rows.append(tuple(cells))
    blocks: list[Block] = [Table(tuple(header), tuple(rows))]
    inside = exact_inside(sources[0], view)
    if inside is not None:
        missing = [n for n, ok in zip(names, inside, strict=False) if not ok]
        text = "all" if not missing else f"all but those of {listed(missing)}"
        blocks.append(
            Paragraph(
                f"Of the exact populations {text} lie in the 95 % interval of the LSTM, which "
                "here holds both the spread over trainings and the statistical error of the data "
                "that they learned from."
            )
        )
    return blocks


def _discrepancy_table(view: ViewResult) -> Table:
    rows = []
    for source in view.comparison.models:
        value = source.discrepancy.value
        floor = view.comparison.data_at(source.lag).floor.value
        rates = rates_inside(view.comparison, source)
        rows.append(
            (
                source.name,
                number(value),
                interval(*(source.discrepancy_interval or (None, None))),
                number(floor),
                number(value / floor, 2) if floor > 0 else "–",
                f"{rates.n_inside} of {rates.n_judged}",
                number(source.cross_entropy, 4),
                note_of(source),
            )
        )
    header = (
        "model",
        "D",
        "95 % interval",
        "D0 at its lag",
        "D / D0",
        "rates inside",
        "nats per frame",
        "how",
    )
    return Table(header, tuple(rows))


def _agreements(view: ViewResult) -> list[str]:
    """Say from which commit time on each source agrees with the data."""
    space = view.comparison.space
    sentences = [
        "“Rates inside” counts the pairs and commit times at which the mean rate lies in the "
        f"data's 95 % interval, out of those at which the data counts {MIN_COUNT} transitions or "
        "more."
    ]
    for source in view.comparison.models:
        begin = agrees_from(view.comparison, source)
        if begin is None:
            text = "is outside for some pair even at the longest commit time"
        elif begin <= space.dt * source.lag:
            text = "is inside for all pairs at every commit time"
        else:
            time = physical_time(begin / space.dt, space.dt, space.unit)
            text = f"is inside for all pairs only from a commit time of {time} on"
        sentences.append(f"{source.name} {text}.")
    return sentences


def _rates_table(view: ViewResult) -> Table:
    """Return the inverse rates at the shortest commit time and at a long one that is settled."""
    reference = view.comparison.reference.transitions
    names = view.comparison.grouping.names
    low, high = reference.rate_intervals()
    model = view.comparison.models[0]
    lstm, (lstm_low, lstm_high) = model.transitions.rates(), model.rate_intervals()
    unit = reference.unit
    rows = []
    for m in _shown_times(reference.counts):
        for i, j in np.argwhere(~np.eye(len(names), dtype=bool)):
            data_rate, model_rate = reference.rates()[m, i, j], lstm[m, i, j]
            time = physical_time(int(reference.commit_times[m]), reference.dt, unit)
            rows.append(
                (
                    f"{names[i]} → {names[j]}",
                    time,
                    f"{reference.counts[m, i, j]:,}",
                    _inverse(data_rate, low[m, i, j], high[m, i, j]),
                    _inverse(model_rate, lstm_low[m, i, j], lstm_high[m, i, j]),
                )
            )
    header = (
        "transition",
        "commit time",
        "counted in the data",
        f"inverse rate / {unit}, data",
        f"inverse rate / {unit}, LSTM",
    )
    return Table(header, tuple(rows))


def _shown_times(counts: Any) -> list[int]:
    """Return the first commit time, and the longest at which half of the pairs are settled."""
    settled = (counts >= MIN_COUNT).sum(axis=(1, 2))
    wanted = max(1, settled[0] // 2)
    last = int(np.flatnonzero(settled >= wanted)[-1]) if settled[0] else 0
    middle = last // 2
    return sorted({0, middle, last})


def _inverse(rate: float, low: float, high: float) -> str:
    if rate == 0:
        return f"> {number(1 / high)}" if high > 0 else "–"
    return f"{number(1 / rate)} {interval(1 / high, 1 / low if low > 0 else float('inf'), 3)}"


def _connectivity(view: ViewResult) -> list[Block]:
    assert view.plane is not None
    plane, seen = view.plane, view.comparison.reference.transitions
    names = view.comparison.grouping.names
    m = connectivity_time(view)
    low, high = plane.rate_intervals()
    by_name = {source.name: source.transitions.rates() for source in at_every_frame(view)}
    scale = 1e6
    rows = []
    for i, j in np.argwhere(~np.eye(len(names), dtype=bool)):
        cells = [
            f"{names[i]} → {names[j]}",
            f"{number(plane.rates()[m, i, j] * scale)} "
            f"{interval(low[m, i, j] * scale, high[m, i, j] * scale, 3)}",
            number(seen.rates()[m, i, j] * scale),
        ]
        cells += [number(rates[m, i, j] * scale) for rates in by_name.values()]
        rows.append(tuple(cells))
    header = ("transition", "plane, 95 % interval", "data (x only)", *by_name)
    inside = listed([f"{name} {n}" for name, n in plane_inside(view).items()])
    text = (
        f"Transitions per million frames that hold {seen.commit_times[m]} frames. The wells told "
        "apart in the plane, prepared in the same way, show what x hides. Of these "
        f"{len(rows)} rates, inside the plane's 95 % interval for models that see x alone: "
        f"{inside}."
    )
    return [Heading("The connectivity that x hides"), Table(header, tuple(rows)), Paragraph(text)]


def _entropy(view: ViewResult, suffix: str) -> list[Block]:
    nats = all_nats(view)
    rows = [
        (
            f"paths of {source}" if source != "data" else "the data",
            *(_mean_cell(list(nats[source][model]), 4) for model in SCORED),
        )
        for source in ("data", *SCORED)
    ]
    rates = kullback_leibler(nats)
    divergences = [
        (f"{source} from", *(number(rates[source][model], 2) for model in SCORED))
        for source in SCORED
    ]
    blocks: list[Block] = [
        Heading(f"Path entropy{suffix}"),
        Table(("nats per frame", *(f"under {model}" for model in SCORED)), tuple(rows)),
        Paragraph(
            "A row is a source of paths, a column the model that scores them; on the diagonal are "
            "the entropy rates of the models themselves. The data's row covers all of it, the part "
            "that was learned included."
        ),
        Table(("KL rate, nats per frame", *SCORED), tuple(divergences)),
    ]
    if view.exact_entropy is not None:
        exact = view.exact_entropy
        cells = [f"{name} {_mean_cell(list(v), 2)}" for name, v in exact.excess.items()]
        blocks.append(
            Paragraph(
                f"Exact value on a fresh path of the process, never trained on: "
                f"{number(exact.rate, 5)} nats per frame. Excess of the models over it on the same "
                f"path: {'; '.join(cells)}. The largest of the LSTM's trainings is "
                f"{number(max(exact.excess['LSTM']), 2)}."
            )
        )
    return blocks


def _mean_cell(values: list[float], digits: int) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return number(values[0], digits)
    mean, low, high = mean_interval(values)
    return f"{number(mean, digits)} {interval(low, high, digits)}"


def _embedding(view: ViewResult, suffix: str, figure: Any) -> list[Block]:
    assert view.pairs is not None
    rows = []
    for name, found in view.embeddings.items():
        rows.append(
            (
                name,
                *(
                    f"{number(c.mean, 2)} {interval(c.low, c.high)}"
                    for c in (
                        found.distance_commute,
                        found.memoryless_interconversion,
                        found.between_trainings,
                    )
                ),
            )
        )
    first = next(iter(view.embeddings.values()))
    few = (
        " With so few pairs a rank correlation says little."
        if first.distance_commute.n_pairs < 10
        else ""
    )
    space = view.comparison.space
    return [
        Heading(f"Embedding{suffix}"),
        figure(
            "map",
            "State vectors of the first training on their principal axes, numbered by state; the "
            "line joins neighbours in order of their centres.",
            figures.embedding_maps(view.embeddings, space),
        ),
        figure(
            "embedding",
            "Left: distances of the state vectors against commute times. Right: probability of "
            "l after the single frame m, in the network without memory and in the data.",
            figures.embedding_kinetics(view.embeddings, view.pairs),
        ),
        Table(
            (
                "network",
                f"distance and commute time ({first.distance_commute.n_pairs} pairs)",
                f"Q and P ({first.memoryless_interconversion.n_pairs} pairs)",
                "distances, training to training",
            ),
            tuple(rows),
        ),
        Paragraph(
            "Rank correlations (Spearman), mean over trainings with its 95 % interval. Distances "
            "are Euclidean between state vectors; Q_lm = softmax(D f(x_m) + b + B[m])_l with f one "
            "LSTM step without memory and B zero in the plain network; commute times are mean "
            "first-passage times there and back, counted in the data. The plain network is the "
            f"paper's, its state vectors starting with a spread of {PLAIN_EMBEDDING_SCALE:g} so "
            f"that the map shows what was learned.{few}"
        ),
    ]
