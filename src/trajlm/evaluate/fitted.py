"""Kinetics that models predict for the molecule, with the errors of data and training as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trajlm.errors import InputError
from trajlm.evaluate.counted import CountedKinetics
from trajlm.evaluate.estimates import Estimate, Kinetics, StateSet
from trajlm.util.arrays import F64

# A scale on which errors are about normal, and its inverse.
Scale = tuple[Callable[[F64], F64], Callable[[F64], F64]]


class FittedKinetics(Kinetics):
    """Kinetics of models as predictions about the molecule whose data they learned.

    A model is wrong where its data is, so that no prediction is better known than the same quantity
    counted from the data: the 95 % interval reaches over that of the counts and over that of
    the model. The latter holds the generation of a single training, and Student's interval of the
    mean of several, whose spread holds both. Times and rates are averaged as logarithms,
    probabilities as logits.

    Parameters
    ----------
    trainings
        Kinetics of each of K independent trainings.
    data
        Of the data that they learned.

    Raises
    ------
    InputError
        Different numbers of states, or other times.
    """

    def __init__(self, trainings: Sequence[Kinetics], data: CountedKinetics) -> None:
        super().__init__(data.space)
        for training in trainings:
            own, learned = training.space, data.space
            if (own.n_states, own.dt, own.unit) != (learned.n_states, learned.dt, learned.unit):
                raise InputError(
                    f"a model of {own.n_states} states and {own.dt:g} {own.unit} per frame did not "
                    f"learn data of {learned.n_states} states and {learned.dt:g} {learned.unit}"
                )
        self.trainings, self.data = tuple(trainings), data

    def transition_matrix(self, lag: int = 1) -> Estimate:
        """Return P(s(t + lag) = j | s(t) = i) in equilibrium, shape (n, n)."""
        return self._predicted(lambda k: k.transition_matrix(lag), LOGIT)

    def stationary_distribution(self) -> Estimate:
        """Return the equilibrium populations, shape (n,)."""
        return self._predicted(lambda k: k.stationary_distribution(), LOGIT)

    def mfpt(self, source: StateSet, target: StateSet) -> Estimate:
        """Return the mean first-passage time."""
        return self._predicted(lambda k: k.mfpt(source, target), LOG)

    def timescales(self, lag: int = 1, n: int | None = None) -> Estimate:
        """Return the implied timescales at `lag`."""
        return self._predicted(lambda k: k.timescales(lag, n), LOG)

    def dwell_times(self) -> Estimate:
        """Return the mean time of one stay in each state, shape (n,)."""
        return self._predicted(lambda k: k.dwell_times(), LOG)

    def committed_rates(self, commit_time: int = 1) -> Estimate:
        """Return the transitions between stays of a commit time at least, shape (n, n)."""
        return self._predicted(lambda k: k.committed_rates(commit_time), LOG)

    def _predicted(self, of: Callable[[Kinetics], Estimate], scale: Scale) -> Estimate:
        to, back = scale
        counted, found = of(self.data), [of(training) for training in self.trainings]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = to(np.array([x.value for x in found]))
            at = values.mean(axis=0)
            value = np.asarray(back(at))
            low, high = found[0].low, found[0].high
            if len(found) > 1:
                half = _student_half_width(values)
                low, high = back(at - half), back(at + half)
        # What is zero or certain in the model has no error of its own.
        known = np.isfinite(at)
        low, high = (np.where(known, x, value) for x in (low, high))
        low = np.fmin.reduce([low, counted.low, value])
        high = np.fmax.reduce([high, counted.high, value])
        why = next(filter(None, (x.why for x in (counted, *found))), "")
        return Estimate(value, low, high, counted.unit, why, counted.n_events)


def _student_half_width(values: F64) -> F64:
    """Return the half-width of the 95 % interval of the mean over the first axis."""
    from scipy.special import stdtrit

    n = len(values)
    return np.asarray(stdtrit(n - 1, 0.975) * values.std(axis=0, ddof=1) / np.sqrt(n))


def _logit(p: F64) -> F64:
    return np.asarray(np.log(p) - np.log1p(-p))


def _expit(x: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-x)))


LOG: Scale = np.log, np.exp
LOGIT: Scale = _logit, _expit
