"""Small changes of a model whose answers are about known.

They put right what Newton's steps leave. A function f of states is raised by
exp(a (f(j) - f(i)) / 2) on each step i -> j: in a Markov chain without a direction of time
populations become p exp(a f), so that means answer with covariances. Committed transitions between
two groups are raised by exp(b) on each step from one to the other, there and back, which leaves
populations alone. Memory answers as well. Both are changes of the skip B.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trajlm.constraints.decisions import LogitChange
from trajlm.constraints.measures import CommittedFlux, Measure, StepFunction
from trajlm.util.arrays import F64


def tilt_of(measure: Measure, n_hidden: int) -> LogitChange:
    """Return the change of the logits that raises a measure, for a network of `n_hidden` units."""
    if isinstance(measure, CommittedFlux):
        skip = _crossings(measure).astype(np.float64)
    else:
        assert isinstance(measure, StepFunction)
        f = measure.function
        skip = (f - f.T) / 2 if measure.is_of_states else f
    return LogitChange(np.zeros((len(skip), n_hidden)), skip, np.zeros(len(skip)))


def answers(measures: Sequence[Measure], means: F64, steps: F64) -> F64:
    """Return how the mean of each measure answers to the tilt of each, shape (m, m).

    Parameters
    ----------
    means
        Of the measures, shape (m,).
    steps
        Probability of each step i -> j, shape (n, n).
    """
    rows = zip(measures, means, strict=True)
    return np.array([[_answer(a, m, b, steps) for b in measures] for a, m in rows])


def _crossings(flux: CommittedFlux) -> npt.NDArray[np.bool_]:
    """Return the steps from one of the two groups to the other, shape (n, n)."""
    source, target = flux.groups == flux.source, flux.groups == flux.target
    there = source[:, None] & target
    crossings: npt.NDArray[np.bool_] = there | there.T
    return crossings


def _answer(measure: Measure, mean: float, tilted: Measure, steps: F64) -> float:
    p = steps.sum(axis=1)
    if isinstance(measure, CommittedFlux):
        if isinstance(tilted, CommittedFlux):
            return mean * float((_crossings(measure) == _crossings(tilted)).all())
        assert isinstance(tilted, StepFunction)
        of_states = (steps * tilted.function).sum(axis=1) / np.maximum(p, 1e-300)
        ends = [
            np.average(of_states, weights=p * (measure.groups == g) + 1e-300)
            for g in (measure.source, measure.target)
        ]
        return float(mean * (np.mean(ends) - p @ of_states))
    assert isinstance(measure, StepFunction)
    if isinstance(tilted, CommittedFlux):
        # Balanced by as many steps back, but for functions of a step.
        raised = (
            0.0
            if measure.is_of_states
            else float((steps * measure.function)[_crossings(tilted)].sum())
        )
        return raised
    assert isinstance(tilted, StepFunction)
    f, g = measure.function, tilted.function
    return float((steps * f * g).sum() - (steps * f).sum() * (steps * g).sum())
