"""The page: what the template is given."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from trajlm.analysis import ExponentialMixture
from trajlm.analysis.discrepancy import MIN_COUNT
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.evaluate import groups, verdict
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.evaluate.summary import Summary, UnseenSummary, summary
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord, still_improving
from trajlm.models.record import HiddenMarkovRecord, MarkovRecord, ModelRecord
from trajlm.plots.style import one_coordinate
from trajlm.report import figures
from trajlm.report.gallery import pictures_of
from trajlm.report.results import versions
from trajlm.util import words
from trajlm.util.plain import as_values
from trajlm.util.words import counted

# Keys of `how` that the template puts in places of their own.
PLACED = ("command", "seconds", "data")
# Values of a list that the page writes out; the rest is in results.json.
VALUES_SHOWN = 12
# States up to this number are listed at once, more behind a click.
ROWS_SHOWN = 30


def render_page(comparison: Evaluation, how: Mapping[str, Any]) -> str:
    """Return the report as one HTML page that needs nothing else."""
    import matplotlib.style
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    # Names come from users: everything is escaped.
    environment = Environment(
        loader=PackageLoader("trajlm", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    for function in (
        words.number,
        words.interval,
        words.elapsed,
        verdict.warning,
        brief,
        exponentials,
    ):
        environment.filters[function.__name__] = function
    environment.tests["mapping_of_values"] = lambda value: isinstance(value, Mapping) and value
    template = environment.get_template("report.html.j2")
    script = environment.get_template("figures.js").render()
    # Nothing runs in the page but this script, whatever names from files it holds.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    with matplotlib.style.context(figures.LOOK):
        shown = {**_findings(comparison, how), **pictures_of(comparison)}
        return template.render(**shown, script=Markup(script), script_digest=digest)


def _shown(value: Any) -> Any:
    """Return text, which may come from files, with control characters written out."""
    plain_text = isinstance(value, str) and not hasattr(value, "__html__")
    return words.visible_lines(value) if plain_text else value


def exponentials(fit: ExponentialMixture | None, frame: float) -> str:
    """Return time constants with their intervals and, of several, their weights.

    Of one that is shorter than the time between frames the data only tells that it is.
    """
    if fit is None:
        return "–"
    found = []
    for tau, low, high, weight in zip(
        fit.time_constants,
        fit.time_constants_low,
        fit.time_constants_high,
        fit.weights,
        strict=True,
    ):
        share = f" ({weight:.0%})" if len(fit.weights) > 1 else ""
        if tau < frame:
            found.append(f"below {frame:g}{share}")
        else:
            found.append(f"{words.number(tau)} {words.interval(low, high, 3)}{share}")
    return "; ".join(found)


def brief(value: Any) -> str:
    """Return a value in a few words: numbers rounded, long lists counted."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e5 <= abs(value) < 1e12 else f"{value:.6g}"
    if isinstance(value, np.ndarray | np.generic):
        return brief(value.tolist())
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {brief(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        if len(value) > VALUES_SHOWN:
            ends = ", ".join(brief(item) for item in value[:3])
            return f"{len(value)} values: {ends}, …, {brief(value[-1])}"
        return ", ".join(brief(item) for item in value)
    return str(value)


def _findings(comparison: Evaluation, how: Mapping[str, Any]) -> dict[str, Any]:
    numbers = summary(comparison)
    rows = numbers.rates
    space = comparison.space
    values = as_values(how)
    frames = round(numbers.commit_time / space.dt)
    commit = words.physical_time(frames, space.dt, space.unit)
    return {
        "title": f"Beside the data: {words.listed([model.name for model in comparison.models])}",
        "headline": verdict.headline(numbers),
        "floor_sentence": verdict.floor_sentence(numbers),
        "unseen_sentence": verdict.unseen_sentence(numbers),
        "slowest_sentence": verdict.slowest_sentence(numbers, space.unit),
        "settled_sentence": verdict.settled_sentence(numbers),
        "unseen": comparison.unseen,
        "unseen_rows": _unseen_rows(numbers),
        "several_trainings": any(len(m.trainings) > 1 for m in comparison.models),
        "verdicts": verdict.verdicts(numbers),
        "summary": numbers,
        "facts": groups.data_facts(comparison),
        "grouping_warning": groups.grouping_warning(comparison),
        "warnings": space.discretization.bias_notes,
        "notes": space.discretization.remarks,
        "states": groups.state_table(comparison),
        "few_rows": ROWS_SHOWN,
        "coordinate": one_coordinate(space) is not None,
        "one_frame": _one_frame(comparison),
        "slow_coordinate": figures.slow_coordinate(comparison),
        "unfinished": {model.name: still_improving(model.record) for model in comparison.models},
        "data_source": values.get("data"),
        "unit": space.unit,
        "flicker_too": frames > 1,
        "frames": {source.name: source.lag * space.dt for source in _sources(comparison)},
        "one_frame_long": words.physical_time(1, space.dt, space.unit),
        "hidden_groups": comparison.grouping.method == "hmm",
        "commit": commit,
        "rates": rows,
        "few_events": FEW_EVENTS,
        "min_count": MIN_COUNT,
        "unsettled": [row for row in rows if not row.reliable],
        "rate_findings": verdict.rate_findings(rows, commit),
        "dwells": numbers.dwells,
        "populations": numbers.populations,
        "models": comparison.models,
        "settings": as_values(comparison.settings),
        "how": values,
        "other_how": {k: v for k, v in values.items() if k not in PLACED},
        "records": _records(comparison),
        "versions": versions(),
    }


def _unseen_rows(numbers: Summary) -> list[tuple[str, UnseenSummary]]:
    """Return the training data and the models beside the unseen data; nothing without such."""
    rows = [("training data", numbers.own_unseen)]
    rows += [(name, model.unseen) for name, model in numbers.models.items()]
    return [(name, row) for name, row in rows if row is not None]


def _sources(comparison: Evaluation) -> tuple[SourceResult, ...]:
    return (comparison.reference, *comparison.models)


def _one_frame(comparison: Evaluation) -> str:
    """Return the groups in which no stay is longer than a frame, as a list in a sentence."""
    names = [comparison.grouping.names[k] for k in figures.one_frame_groups(comparison)]
    return f"{'group' if len(names) == 1 else 'groups'} {words.listed(names)}" if names else ""


def _records(comparison: Evaluation) -> list[tuple[str, dict[str, Any]]]:
    """Return how each model was made, without the history that a figure shows."""
    made = ((model.name, model.record) for model in comparison.models)
    return [(name, _worded(record)) for name, record in made if record]


def _worded(record: ModelRecord) -> dict[str, Any]:
    """Return the record with values that would say too little by themselves put into words."""
    if isinstance(record, ColumnLSTMRecord):
        return {column.best.column: _worded(column) for column in record.columns}
    unsaid = ("history", "kind", "version")
    worded = {
        key: value
        for key, value in as_values(record).items()
        if key not in unsaid and value is not None and np.size(value)
    }
    if isinstance(record, MarkovRecord):
        worded["lag"] = counted(record.lag, "frame", "frames")
    if isinstance(record, HiddenMarkovRecord) and record.stopped_at_most:
        worded["n_hidden"] = f"{record.n_hidden}, the most tried: the criterion still fell"
    if isinstance(record, LSTMRecord):
        for name in ("direction", "rounding", "calibration"):
            done = getattr(record, name)
            worded[name] = "none" if done is None else done.describe()
        if record.settings.reversible is None:
            worded["settings"]["reversible"] = "as the data is, see direction"
    return worded
