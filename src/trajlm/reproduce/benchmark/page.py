"""Pages of the benchmark: one for each system, and one table over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trajlm.reproduce.document import Block, Code, Document, Heading, Paragraph, Table
from trajlm.util.words import counted, interval, listed, number

# Errors of T(t) of alanine dipeptide as published for memory kernels.
PUBLISHED = (
    "Published for four macrostates of this molecule, of other states and other frames than here, "
    "so not like for like: 0.0122 (MSM, lag 1.5 ps), 0.0020 (MSM, 10 ps), 0.0015 (quasi-MSM), "
    "0.0014 (IGME)."
)
EXPLAINED = (
    "D is the mean |ln(rate / rate on the unseen stretch)| of committed transitions, over all "
    "pairs of metastable states and all commit times at which the unseen stretch counts 20 or "
    "more. The training data itself is the prediction to beat: its counts are what anybody knows "
    "without a model. Nothing was chosen on an unseen stretch. An MSM of a lag speaks of every so "
    "many frames only: its D is over fewer rates, and stands beside the quotient with that of the "
    "training data seen as often."
)
KINDS = ("LSTM", "LSTM, one softmax", "MSM", "MSM, chosen lag", "counts", "HMM")


def system_page(values: dict[str, Any]) -> Document:
    """Return the page of a system from its ``results.json``."""
    return Document(values["title"], _verdict(values), tuple(_blocks(values)))


def summary_page(all_values: Sequence[dict[str, Any]]) -> Document:
    """Return the page with tables over all systems, and the section of each."""
    blocks: list[Block] = [
        discrepancy_table(all_values),
        Paragraph(EXPLAINED),
        Paragraph("Nats per frame on the unseen stretch:"),
        _table_of(all_values, "nats", 4),
        Paragraph("Seconds of one processor core for one fit or training:"),
        _table_of(all_values, "seconds", 3),
    ]
    for values in all_values:
        blocks += [Heading(values["title"]), Paragraph(_verdict(values)), *_blocks(values)]
    lead = (
        "Models learn one stretch of a public data set and are judged on another, beside the "
        "counts of the data that they learned from."
    )
    return Document("The future of the same molecule", lead, tuple(blocks))


def discrepancy_table(all_values: Sequence[dict[str, Any]]) -> Table:
    """Return D to the unseen stretch: of the training data itself and of each kind of model."""
    header = ("system", "learned", "unseen", "training data", "LSTM, each seed", *KINDS)
    rows = []
    for v in all_values:
        models = v["models"]
        rows.append(
            (
                v["system"],
                f"{v['frames']:,}",
                f"{v['frames_unseen']:,}",
                number(v["own"]),
                " ".join(number(d) for d in models["LSTM"]["D_runs"]),
                *(_value(models[kind]) if kind in models else "–" for kind in KINDS),
            )
        )
    return Table(header, tuple(rows))


def _value(model: dict[str, Any]) -> str:
    """Return D; of a model of a lag with the quotient that it can be judged by."""
    D = number(model["D"])
    return D if model["lag"] == 1 else f"{D} ({number(model['D_over_own'])} times)"


def _table_of(all_values: Sequence[dict[str, Any]], what: str, digits: int) -> Table:
    rows = [
        (
            v["system"],
            *(number(v["models"][k][what], digits) if k in v["models"] else "–" for k in KINDS),
        )
        for v in all_values
    ]
    return Table(("system", *KINDS), tuple(rows))


def _verdict(values: dict[str, Any]) -> str:
    """Say how close the language models are to the unseen stretch, beside their own data."""
    told = []
    for name in KINDS[:2]:
        if name in values["models"]:
            m = values["models"][name]
            below = sum(d < values["own"] for d in m["D_runs"])
            told.append(
                f"{name}: D = {number(m['D'])} {interval(*m['D_interval'])}, "
                f"{number(m['D_over_own'])} times that of the training data itself "
                f"({number(values['own'])}), below it in {below} of "
                f"{counted(m['trainings'], 'training', 'trainings')}."
            )
    return " ".join(told)


def _blocks(values: dict[str, Any]) -> list[Block]:
    rows = [
        (
            "training data",
            number(values["own"]),
            interval(*values["own_interval"]),
            "",
            "1",
            "–",
            "–",
            "",
        )
    ]
    for name, m in values["models"].items():
        each = " ".join(number(d) for d in m["D_runs"]) if m["trainings"] > 1 else ""
        rows.append(
            (
                name,
                number(m["D"]),
                interval(*m["D_interval"]),
                each,
                number(m["D_over_own"]),
                number(m["nats"], 4),
                number(m["seconds"]),
                m["how"],
            )
        )
    header = ("", "D", "95 % interval", "each training", "D / D of the training data")
    table = Table((*header, "nats per frame", "seconds", "how"), tuple(rows))
    blocks: list[Block] = [Paragraph(values["about"]), table, Paragraph(_details(values))]
    if values["relaxation"]:
        blocks += _relaxation(values)
    return [*blocks, Code(values["command"])]


def _details(values: dict[str, Any]) -> str:
    options = values["options"]
    last = options["seed"] + options["n_models"] - 1
    left_out = f" No HMM: {values['left_out']}." if values["left_out"] else ""
    return (
        f"{values['frames']:,} frames learned, {values['frames_unseen']:,} unseen, of "
        f"{number(values['dt'])} {values['unit']}; {values['n_states']} states in "
        f"{len(values['groups'])} groups; D is a mean over {values['terms']} rates. Seeds "
        f"{options['seed']} to {last}; each training generates "
        f"{counted(values['runs'], 'trajectory', 'trajectories')} as long as the data. The "
        "interval of several trainings holds the spread of the seeds, that of one model its "
        f"generation only. Seconds are those of the processor for one training or fit.{left_out} "
        f"Data: {values['source']} Machine: {values['machine']}."
    )


def _relaxation(values: dict[str, Any]) -> list[Block]:
    rows = []
    for error in values["relaxation"]:
        cells = [error["name"]]
        for where in ("training", "unseen"):
            several = error[where]
            each = f" ({' '.join(f'{x:.4f}' for x in several)})" if len(several) > 1 else ""
            cells.append(f"{sum(several) / len(several):.4f}{each}")
        rows.append((*cells, f"{error['first_lag'] * values['dt']:g}"))
    unit = values["unit"]
    lags = listed([f"{lag * values['dt']:g}" for lag in values["relaxation_lags"]])
    return [
        Heading("T(t) of the groups"),
        Table(("", "against the learned stretch", "unseen", f"from {unit}"), tuple(rows)),
        Paragraph(
            f"Root of the mean over {lags} {unit} of sum_ij p_i (T_ij − T_ij of the data)² / "
            f"{len(values['groups'])}. A memory kernel is that of transfer tensors, the discrete "
            "quasi-MSM, of T(t) counted on the learned stretch; its length was not chosen. These "
            "methods give T(t) alone, no trajectories; a kernel of the longest lag is the training "
            f"data itself. {PUBLISHED}"
        ),
    ]
