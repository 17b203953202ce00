"""What a figure shows, as columns of numbers: the CSV file beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    FreeEnergy,
    Survival,
    Timescales,
    TransitionProbabilities,
)

# One array a column, all of one length.
Columns = dict[str, npt.NDArray[np.generic]]


def free_energy_columns(result: FreeEnergy, x: npt.ArrayLike, label: str) -> Columns:
    """Return free energies with their interval over what the states are."""
    return {
        label: np.asarray(x),
        "free energy / kT": result.values,
        "low": result.low,
        "high": result.high,
        "population": result.populations,
    }


def committed_columns(result: CommittedTransitions, pair: tuple[int, int]) -> Columns:
    """Return the rate of i -> j over the commit time."""
    i, j = pair
    low, high = (bound[:, i, j] for bound in result.rate_intervals())
    return {
        f"commit time / {result.unit}": result.commit_times * result.dt,
        f"transitions per {result.unit}": result.rates()[:, i, j],
        "low": low,
        "high": high,
        "transitions": result.counts[:, i, j],
    }


def survival_columns(result: Survival) -> Columns:
    """Return the survival curve."""
    return {
        f"time / {result.unit}": result.times,
        "P(dwell > time)": result.probability,
        "low": result.low,
        "high": result.high,
    }


def autocorrelation_columns(result: Autocorrelation, lags: npt.ArrayLike) -> Columns:
    """Return the autocorrelation at some lags, in frames."""
    at = np.asarray(lags)
    return {
        f"lag time / {result.unit}": result.lags[at] * result.dt,
        "autocorrelation": result.values[at],
        "low": result.low[at],
        "high": result.high[at],
    }


def relaxation_columns(result: TransitionProbabilities, pair: tuple[int, int]) -> Columns:
    """Return P(j a lag time after i)."""
    i, j = pair
    return {
        f"lag time / {result.unit}": result.lags * result.dt,
        "probability": result.values[:, i, j],
        "low": result.low[:, i, j],
        "high": result.high[:, i, j],
    }


def timescale_columns(results: Sequence[Timescales], dt: float) -> Columns:
    """Return the implied timescales, all of one lag after the other."""
    n = len(results[0].values)
    unit = results[0].unit
    return {
        f"lag time / {unit}": np.repeat([r.lag * dt for r in results], n),
        f"implied timescale / {unit}": np.concatenate([r.values for r in results]),
        "low": np.concatenate([r.low for r in results]),
        "high": np.concatenate([r.high for r in results]),
        "process": np.tile(np.arange(1, n + 1), len(results)),
    }


def as_csv(tables: Mapping[str, Columns]) -> str:
    """Return the columns of each source as lines of CSV, the source in the first column.

    Columns of the same place have the names that the first source gives them.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for k, (source, columns) in enumerate(tables.items()):
        if k == 0:
            writer.writerow(["source", *columns])
        for row in zip(*columns.values(), strict=True):
            writer.writerow([source, *map(_cell, row)])
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)
