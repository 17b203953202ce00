"""Kinetics that models predict for the molecule, with the errors of data and training as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trajlm.errors import InputError
from trajlm.evaluate.counted import CountedKinetics
from trajlm.evaluate.estimates import F64, Estimate, Kinetics, StateSet

# A scale on which errors are about normal, and its inverse.
Scale = tuple[Callable[[F64], F64], Callable[[F64], F64]]


class FittedKinetics(Kinetics):
    r"""Kinetics of models as predictions about the molecule whose data they learned.

    A model that agrees with its data is wrong where the data is. With :math:`g` the logarithm of a
    time or a rate, or the logit of a probability, its 95 % interval reaches from :math:`g(m)` so
    far down and up as

    .. math::

        \sqrt{h_\mathrm{data}^2 + h_\mathrm{generation}^2 + h_\mathrm{training}^2},

    with the lower and upper half-widths of the same quantity counted from the data, of the
    generation, and of the training. That of a single training is its distance from the data, which
    is all that is known of its error; that of K of them is Student's, of their mean, whose
    spread holds that of the generation.

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
            values, data = to(np.array([x.value for x in found])), to(counted.value)
            at, training = values.mean(axis=0), _training_error(values, data)
            # A rate that was never seen in the data is known by its upper bound alone.
            center = np.where(np.isfinite(data), data, at)
            bounds = []
            for side, sign in (("low", -1), ("high", 1)):
                of_data = to(getattr(counted, side)) - center
                generated = to(getattr(found[0], side)) - values[0] if len(found) == 1 else 0.0
                half = np.sqrt(of_data**2 + generated**2 + training**2)
                bounds.append(at + sign * np.where(np.isnan(half), np.inf, half))
        known = np.isfinite(at)
        value = np.asarray(back(at))
        low, high = (np.where(known, back(bound), value) for bound in bounds)
        why = next(filter(None, (x.why for x in (counted, *found))), "")
        return Estimate(value, low, high, counted.unit, why, counted.n_events)


def _training_error(values: F64, data: F64) -> F64:
    """Return the half-width of the 95 % interval for the error of the trainings."""
    from scipy.special import stdtrit

    n = len(values)
    if n == 1:
        return np.where(np.isfinite(data), np.abs(values[0] - data), 0.0)
    return np.asarray(stdtrit(n - 1, 0.975) * values.std(axis=0, ddof=1) / np.sqrt(n))


def _logit(p: F64) -> F64:
    return np.asarray(np.log(p) - np.log1p(-p))


def _expit(x: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-x)))


LOG: Scale = np.log, np.exp
LOGIT: Scale = _logit, _expit
