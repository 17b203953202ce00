"""Populations and rates of a model of a series of conditions, against the condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    Grouping,
    committed_transitions,
    population_intervals,
    populations,
)
from trajlm.analysis.metastable import default_grouping
from trajlm.errors import InputError
from trajlm.lstm.conditional import ConditionalModel
from trajlm.util.arrays import F64

# Conditions at which a model is run, and the frames and lanes of each run.
N_VALUES, N_FRAMES, N_LANES = 9, 1_000_000, 20


@dataclass(frozen=True)
class RatesAgainstCondition:
    """What a model of a series does at each of some conditions.

    Parameters
    ----------
    condition
        What is varied.
    values
        Shape (k,).
    trained
        Which of them the model was trained on, shape (k,).
    names
        Of the groups, n of them.
    populations, population_low, population_high
        With their 95 % intervals, shape (k, n).
    rates, rate_low, rate_high
        Committed transitions over the total time, with their 95 % intervals, shape (k, n, n).
    commit_time
        In frames.
    unit
        Of time.
    """

    condition: str
    values: F64
    trained: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    populations: F64
    population_low: F64
    population_high: F64
    rates: F64
    rate_low: F64
    rate_high: F64
    commit_time: int
    unit: str

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Return the table, from its head on: a row for each population and rate of a condition."""
        yield (self.condition, "trained on", "quantity", "value", "low", "high")
        for k, value in enumerate(self.values):
            first = f"{value:.10g}", "yes" if self.trained[k] else "no"
            for g, name in enumerate(self.names):
                own = self.populations[k, g], self.population_low[k, g], self.population_high[k, g]
                yield (*first, f"population {name}", *(f"{x:.6g}" for x in own))
            for g, source in enumerate(self.names):
                for h, target in enumerate(self.names):
                    if g != h:
                        what = f"rate {source}-{target} per {self.unit}"
                        around = (x[k, g, h] for x in (self.rates, self.rate_low, self.rate_high))
                        yield (*first, what, *(f"{x:.6g}" for x in around))


def rates_against_condition(
    model: ConditionalModel,
    grouping: Grouping | None = None,
    values: Sequence[float] | None = None,
    commit_time: int = 1,
    n_frames: int = N_FRAMES,
    seed: int = 0,
    extrapolate: bool = False,
    n_threads: int | None = None,
) -> RatesAgainstCondition:
    """Run a model of a series at several conditions, and measure populations and rates.

    Parameters
    ----------
    model
        Of a series.
    grouping
        The groups that rates go between; None: the states as they are up to five, else PCCA+
        groups of a run at the middle condition.
    values
        The conditions; None: those that were trained on, and others evenly between.
    commit_time
        Frames that a stay must last to count.
    n_frames
        Of each run, over 20 lanes.
    seed
        Of the runs.
    extrapolate
        Whether conditions may lie beyond those that were trained on.
    n_threads
        That generate; they do not change the result.

    Raises
    ------
    InputError
        A condition beyond, without `extrapolate`; or too few frames.
    """
    trained = model.values
    if values is None:
        values = np.union1d(trained, np.linspace(trained[0], trained[-1], N_VALUES)).tolist()
    if not len(values) or n_frames < 2 * N_LANES:
        raise InputError(
            f"{len(values)} conditions with {n_frames} frames each were asked for: give one or "
            f"more, with {2 * N_LANES} or more"
        )
    models = [model.at(float(x), extrapolate) for x in values]
    length = n_frames // N_LANES
    if grouping is None:
        middle = model.at(float(trained[[0, -1]].mean()))
        grouping = default_grouping(middle.generate(length, N_LANES, seed, n_threads=n_threads))
    found, counted = [], []
    for own in models:
        groups = grouping.apply(own.generate(length, N_LANES, seed, n_threads=n_threads))
        found.append((populations(groups), *population_intervals(groups)))
        transitions = committed_transitions(groups, [commit_time])
        counted.append((transitions.rates(), *transitions.rate_intervals()))
    names = grouping.names or tuple(str(g) for g in range(grouping.n_groups))
    p, p_low, p_high = (np.array(x) for x in zip(*found, strict=True))
    rate, low, high = (np.array(x)[:, 0] for x in zip(*counted, strict=True))
    x = np.array(values, dtype=np.float64)
    return RatesAgainstCondition(
        condition=model.condition,
        values=x,
        trained=np.isin(x, trained),
        names=names,
        populations=p,
        population_low=p_low,
        population_high=p_high,
        rates=rate,
        rate_low=low,
        rate_high=high,
        commit_time=commit_time,
        unit=model.space.unit,
    )
