"""The numbers of a system as plain values for ``results.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajlm.reproduce.paper.embedding import EmbeddingResult, RankCorrelation
from trajlm.reproduce.paper.measure import (
    Source,
    agreement_from,
    kullback_leibler,
    rates_inside,
)
from trajlm.reproduce.paper.run import SystemResult, ViewResult

# Sources whose paths are scored under each other.
SCORED = ("LSTM", "MSM", "HMM")


def collect(result: SystemResult, command: str) -> dict[str, Any]:
    """Return everything measured on a system as plain values."""
    from trajlm.util.versions import package_versions

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
    data = view.data
    reference = data.stick.transitions
    low, high = reference.rate_intervals()
    return {
        "n_frames": data.stick.states.n_frames,
        "n_trajectories": len(data.stick.states),
        "n_states": data.stick.states.n_states,
        "dt": data.stick.states.dt,
        "unit": data.stick.states.unit,
        "groups": list(view.view.groups.names),
        "D0": data.stick.floor.value,
        "D0_by_lag": {str(lag): stick.floor.value for lag, stick in view.sticks.items()},
        "populations": data.free_energy.populations,
        "free_energy": data.free_energy.values,
        "free_energy_low": data.free_energy.low,
        "free_energy_high": data.free_energy.high,
        "exact_populations": data.exact_populations,
        "plane_inside": plane_inside(view) if view.plane is not None else None,
        "group_populations": data.group_free_energy.populations,
        "commit_times": reference.commit_times * reference.dt,
        "counts": reference.counts,
        "rates": reference.rates(),
        "rates_low": low,
        "rates_high": high,
        "plane_counts": None if view.plane is None else view.plane.transitions.counts,
        "sources": {source.name: source_values(source, view) for source in view.sources},
        "path_entropy": cross_nats(view),
        "kl_rates": kullback_leibler(cross_nats(view)),
        "exact_entropy_rate": None if view.exact_entropy is None else view.exact_entropy.rate,
        "excess_entropy": None
        if view.exact_entropy is None
        else {name: list(values) for name, values in view.exact_entropy.excess.items()},
        "embedding": {name: _embedding(found) for name, found in view.embeddings.items()},
    }


def source_values(source: Source, view: ViewResult) -> dict[str, Any]:
    """Return what was measured on one kind of model."""
    stick = view.sticks[source.lag]
    mean, low, high = source.discrepancy()
    populations = source.populations()
    rates = source.rates()
    nats = source.nats_of_data() if source.lag == 1 else (None, None, None)
    inside, settled = rates_inside(source, stick)
    return {
        "note": source.note,
        "lag": source.lag,
        "D": mean,
        "D_low": max(low, 0.0),
        "D_high": high,
        "D_runs": [run.discrepancy for run in source.runs],
        "D0": stick.floor.value,
        "agrees_from": agreement_from(source, stick),
        "rates_inside": int((inside & settled).sum()),
        "rates_settled": int(settled.sum()),
        "n_frames_each": source.runs[0].n_frames,
        "populations": populations[0],
        "populations_low": populations[1],
        "populations_high": populations[2],
        "group_populations": source.populations(groups=True)[0],
        "exact_inside": exact_inside(source, view),
        "commit_times": stick.transitions.commit_times * stick.transitions.dt,
        "rates": rates[0],
        "rates_low": rates[1],
        "rates_high": rates[2],
        "nats_of_data": nats[0],
        "nats_of_data_low": nats[1],
        "nats_of_data_high": nats[2],
        "runs": [
            {"seed": run.seed, "D": run.discrepancy, "nats": run.nats, "record": run.record}
            for run in source.runs
        ],
    }


# Frames that a stay must last for its transition to tell which wells are neighbours.
CONNECTIVITY_FRAMES = 100


def connectivity_time(view: ViewResult) -> int:
    """Return the index of the commit time by which the connectivity is judged."""
    assert view.plane is not None
    times, in_plane = view.data.stick.transitions.commit_times, view.plane.transitions.commit_times
    wanted = int(np.searchsorted(times, CONNECTIVITY_FRAMES))
    return min(wanted, len(times) - 1, len(in_plane) - 1)


def plane_inside(view: ViewResult) -> dict[str, int]:
    """Return for how many ordered pairs of wells each model's rate lies in the plane's interval."""
    assert view.plane is not None
    m = connectivity_time(view)
    low, high = (bound[m] for bound in view.plane.transitions.rate_intervals())
    pairs = ~np.eye(len(low), dtype=bool)
    found = {}
    for source in view.sources:
        if source.lag == 1:
            rates = source.rates()[0][m]
            found[source.name] = int(((low <= rates) & (rates <= high))[pairs].sum())
    return found


def exact_inside(source: Source, view: ViewResult) -> list[bool] | None:
    """Return for each state whether the model's interval holds the exact population.

    A model cannot know the populations better than the data that it learned from: the interval
    of the mean over its runs is widened, in quadrature, by that of the data.
    """
    exact = view.data.exact_populations
    if exact is None or source.lag != 1:
        return None
    mean, low, high = source.populations()
    data = view.data.free_energy
    data_low, data_high = data.population_intervals
    below = np.hypot(mean - low, data.populations - data_low)
    above = np.hypot(high - mean, data_high - data.populations)
    return [bool(x) for x in (mean - below <= exact) & (exact <= mean + above)]


def cross_nats(view: ViewResult) -> dict[str, dict[str, list[float]]]:
    """Return nats a frame by source of the paths and by model, one value a run."""
    by_name = {source.name: source for source in view.sources}
    table: dict[str, dict[str, list[float]]] = {
        "data": {name: [run.nats_of_data for run in by_name[name].runs] for name in SCORED}
    }
    for name in SCORED:
        runs = by_name[name].runs
        table[name] = {
            model: [run.nats["own" if model == name else model] for run in runs] for model in SCORED
        }
    return table


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
