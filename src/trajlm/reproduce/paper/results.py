"""The numbers of a system as plain values for ``results.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.evaluate.result import SourceResult
from trajlm.evaluate.significance import agrees_from, rates_inside
from trajlm.lstm.record import LSTMRecord
from trajlm.models.record import HiddenMarkovRecord, MarkovRecord, ModelRecord
from trajlm.reproduce.paper.embedding import EmbeddingResult, RankCorrelation
from trajlm.reproduce.paper.entropy import SCORED, Nats, kullback_leibler, nats_of_data
from trajlm.reproduce.paper.run import SystemResult, ViewResult
from trajlm.util.versions import package_versions
from trajlm.util.words import counted

# Frames that a stay must last for its transition to tell which wells are neighbours.
CONNECTIVITY_FRAMES = 100


def collect(result: SystemResult, command: str) -> dict[str, Any]:
    """Return everything measured on a system as plain values."""
    recipe = result.recipe
    return {
        "system": recipe.name,
        "title": recipe.title,
        "command": command,
        "machine": result.machine,
        "versions": package_versions(),
        "seconds": dict(result.seconds),
        "recipe": recipe.model_dump(mode="json", exclude={"fast"}),
        "checks": [{**vars(check), "inside": check.inside} for check in result.checks],
        "views": {view.view.name: view_values(view) for view in result.views},
    }


def view_values(view: ViewResult) -> dict[str, Any]:
    """Return what was measured on one view."""
    comparison, data = view.comparison, view.comparison.reference
    low, high = data.transitions.rate_intervals()
    return {
        "n_frames": data.n_frames,
        "n_trajectories": data.n_trajectories,
        "n_states": comparison.space.n_states,
        "dt": comparison.space.dt,
        "unit": comparison.space.unit,
        "groups": list(comparison.grouping.names),
        "D0": data.discrepancy.value,
        "D0_by_lag": {str(at.lag): at.floor.value for at in comparison.lags},
        "populations": data.free_energy.populations,
        "free_energy": data.free_energy.values,
        "free_energy_low": data.free_energy.low,
        "free_energy_high": data.free_energy.high,
        "exact_populations": view.exact_populations,
        "plane_inside": plane_inside(view) if view.plane is not None else None,
        "group_populations": data.group_free_energy.populations,
        "commit_times": data.transitions.commit_times * data.transitions.dt,
        "counts": data.transitions.counts,
        "rates": data.transitions.rates(),
        "rates_low": low,
        "rates_high": high,
        "plane_counts": None if view.plane is None else view.plane.counts,
        "sources": {source.name: source_values(source, view) for source in comparison.models},
        "path_entropy": all_nats(view),
        "kl_rates": kullback_leibler(all_nats(view)),
        "exact_entropy_rate": None if view.exact_entropy is None else view.exact_entropy.rate,
        "excess_entropy": None
        if view.exact_entropy is None
        else {name: list(values) for name, values in view.exact_entropy.excess.items()},
        "embedding": {name: _embedding(found) for name, found in view.embeddings.items()},
    }


def source_values(source: SourceResult, view: ViewResult) -> dict[str, Any]:
    """Return what was measured on one kind of model."""
    at_lag = view.comparison.data_at(source.lag)
    low, high = source.discrepancy_interval or (None, None)
    populations_low, populations_high = source.population_intervals()
    rates_low, rates_high = source.rate_intervals()
    rates = rates_inside(view.comparison, source)
    return {
        "note": note_of(source),
        "lag": source.lag,
        "D": source.discrepancy.value,
        "D_low": low,
        "D_high": high,
        "D_runs": [training.discrepancy for training in source.trainings],
        "D0": at_lag.floor.value,
        "agrees_from": agrees_from(view.comparison, source),
        "rates_inside": rates.n_inside,
        "rates_settled": rates.n_judged,
        "n_frames_each": source.trainings[0].n_frames,
        "populations": source.free_energy.populations,
        "populations_low": populations_low,
        "populations_high": populations_high,
        "group_populations": source.group_free_energy.populations,
        "exact_inside": exact_inside(source, view),
        "commit_times": at_lag.transitions.commit_times * at_lag.transitions.dt,
        "rates": source.transitions.rates(),
        "rates_low": rates_low,
        "rates_high": rates_high,
        "nats_of_data": source.cross_entropy,
        "runs": [
            {"seed": training.seed, "D": training.discrepancy, "record": _short(training.record)}
            for training in source.trainings
        ],
    }


def note_of(source: SourceResult) -> str:
    """Say how the models of one kind were made."""
    record = source.record
    if isinstance(record, LSTMRecord):
        return f"{len(source.trainings)} independent trainings with the default settings"
    if isinstance(record, HiddenMarkovRecord):
        most = max(m for m, _ in record.bic_tried)
        return f"{record.n_hidden} hidden states by BIC, out of 2 to {most} tried"
    lag = counted(source.lag, "frame", "frames")
    balance = "reversible, " * (isinstance(record, MarkovRecord) and record.reversible)
    return f"maximum likelihood, {balance}lag {lag}"


def connectivity_time(view: ViewResult) -> int:
    """Return the index of the commit time by which the connectivity is judged."""
    assert view.plane is not None
    times = view.comparison.reference.transitions.commit_times
    wanted = int(np.searchsorted(times, CONNECTIVITY_FRAMES))
    return min(wanted, len(times) - 1, len(view.plane.commit_times) - 1)


def plane_inside(view: ViewResult) -> dict[str, int]:
    """Return for how many ordered pairs of wells each model's rate lies in the plane's interval."""
    assert view.plane is not None
    m = connectivity_time(view)
    low, high = (bound[m] for bound in view.plane.rate_intervals())
    pairs = ~np.eye(len(low), dtype=bool)
    found = {}
    for source in at_every_frame(view):
        rates = source.transitions.rates()[m]
        found[source.name] = int(((low <= rates) & (rates <= high))[pairs].sum())
    return found


def exact_inside(source: SourceResult, view: ViewResult) -> list[bool] | None:
    """Return for each state whether the model's interval holds the exact population.

    A model cannot know the populations better than the data that it learned from: the interval
    over its trainings is widened, in quadrature, by that of the data.
    """
    exact = view.exact_populations
    if exact is None or source.lag != 1:
        return None
    mean = source.free_energy.populations
    low, high = source.population_intervals()
    data = view.comparison.reference.free_energy
    data_low, data_high = data.population_intervals
    below = np.hypot(mean - low, data.populations - data_low)
    above = np.hypot(high - mean, data_high - data.populations)
    return [bool(x) for x in (mean - below <= exact) & (exact <= mean + above)]


def at_every_frame(view: ViewResult) -> list[SourceResult]:
    """Return the models that make one frame for each of the data."""
    return [source for source in view.comparison.models if source.lag == 1]


def all_nats(view: ViewResult) -> Nats:
    """Return nats per frame by source of the paths, the data first, and by model."""
    return {"data": nats_of_data(view.comparison), **view.nats}


def summary_rows(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row a view of a system's ``results.json``: D0, and D of each model."""
    rows = []
    for name, view in values["views"].items():
        sources = view["sources"]
        rows.append(
            {
                "system": values["system"],
                "view": name,
                "n_frames": view["n_frames"],
                "n_models": len(sources["LSTM"]["D_runs"]),
                "D0": view["D0"],
                **{model: (sources[model]["D"], sources[model]["D_high"]) for model in SCORED},
            }
        )
    return rows


def _short(record: ModelRecord | None) -> dict[str, Any]:
    """Return the record of a training with the best epoch in the place of all of them."""
    short: dict[str, Any] = record.to_dict() if record else {}
    if isinstance(record, LSTMRecord):
        del short["history"]
        short["epochs"] = len(record.history)
        short["validation"] = record.best.validation
        short["seconds"] = sum(epoch.seconds for epoch in record.history)
    return short


def _embedding(found: EmbeddingResult) -> dict[str, Any]:
    return {
        "vectors": found.vectors,
        "distances": found.distances,
        "memoryless": found.memoryless,
        "distance_commute": _correlation(found.distance_commute),
        "memoryless_interconversion": _correlation(found.memoryless_interconversion),
        "between_trainings": _correlation(found.between_trainings),
    }


def _correlation(found: RankCorrelation) -> dict[str, Any]:
    return {**vars(found), "values": list(found.values)}
