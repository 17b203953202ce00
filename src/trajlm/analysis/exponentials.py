"""Mixtures of exponentials, fitted to dwell times by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis.dwells import DwellTimes
from trajlm.errors import InputError
from trajlm.util.arrays import F64

# Of the logarithms over which the curvature of the likelihood is taken.
CURVATURE_STEP = 1e-4
# Half of an interval of a logarithm that says nothing any more.
LARGEST_HALF = 100.0


@dataclass(frozen=True)
class ExponentialMixture:
    """Mixture of exponentials fitted to dwell times, fastest component first, shape (c,) each.

    Parameters
    ----------
    time_constants
        In `unit`.
    weights
        Fractions of the dwells, sum 1.
    time_constants_low, time_constants_high, weights_low, weights_high
        Intervals, over bootstrap samples of the dwells or from the curvature of the likelihood.
    log_likelihood
        Of all dwells, in nats, to compare numbers of components.
    level
        Probability that an interval holds the truth.
    unit
        Unit of the time constants.
    """

    time_constants: F64
    weights: F64
    time_constants_low: F64
    time_constants_high: F64
    weights_low: F64
    weights_high: F64
    log_likelihood: float
    level: float
    unit: str

    def survival(self, times: npt.ArrayLike) -> F64:
        """Return P(dwell > time) = sum_c w_c exp(-time / tau_c) at times of shape (m,)."""
        t = np.asarray(times, dtype=np.float64)
        return np.asarray(np.exp(-t[:, None] / self.time_constants) @ self.weights)


@dataclass(frozen=True)
class _Sample:
    """Dwells of equal duration and kind taken together, shape (u,) each.

    `stays` is the number of times the state was kept from one frame to the next, `ended` is 1
    where it was then seen to be left and 0 where the trajectory ended.
    """

    stays: F64
    ended: F64
    weights: F64


def fit_exponentials(
    dwells: DwellTimes,
    n_components: int = 2,
    seed: int = 0,
    n_bootstrap: int = 200,
    level: float = 0.95,
) -> ExponentialMixture:
    """Fit a mixture of exponentials to dwell times by maximum likelihood.

    Sampled every dt, an exponential dwell is geometric: P(k) = sum_c w_c (1 - q_c) q_c^(k-1)
    with q_c = exp(-dt / tau_c), which is exact for data of any dt. A dwell cut after c frames
    enters with P(k >= c); those running at the first frame are left out. The bootstrap draws
    dwells with replacement, as if they were independent.

    Parameters
    ----------
    dwells
        From `dwell_times`.
    n_components
        Number of exponentials.
    seed
        Of the start values and the bootstrap.
    n_bootstrap
        Number of bootstrap fits; with 0 the intervals are those of the curvature of the likelihood,
        on the logarithm of the time constants and the logit of the weights.
    level
        Probability that an interval holds the truth.

    Raises
    ------
    InputError
        Fewer complete dwells than the mixture has parameters.
    """
    n_complete = len(dwells.complete)
    if n_components < 1 or n_complete < 2 * n_components:
        raise InputError(
            f"{n_complete} complete dwells cannot give {n_components} exponentials: take one "
            "component or more, and at least two dwells for each"
        )
    rng = np.random.default_rng(seed)
    sample = _sample(dwells)
    start = np.zeros((5, 2, n_components))
    start[:, 0] = np.linspace(1.5, -1.5, n_components) if n_components > 1 else 0.0
    start[:, 0] -= np.log(dwells.complete.mean())
    start[1:] += rng.normal(size=(4, 2, n_components))
    # A single exponential has one maximum.
    starts = start if n_components > 1 else start[:1]
    best, log_likelihood = max((_maximise(sample, x) for x in starts), key=lambda fit: fit[1])

    constants, weights = _sorted_components(best)
    if n_bootstrap:
        total = int(sample.weights.sum())
        draws = rng.multinomial(total, sample.weights / total, size=n_bootstrap)
        fits = [_maximise(replace(sample, weights=w.astype(np.float64)), best)[0] for w in draws]
        spread = np.array([_sorted_components(x) for x in fits])
        low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0)
    else:
        low, high = _curvature_intervals(best, sample, level)
    return ExponentialMixture(
        time_constants=constants * dwells.dt,
        weights=weights,
        time_constants_low=low[0] * dwells.dt,
        time_constants_high=high[0] * dwells.dt,
        weights_low=low[1],
        weights_high=high[1],
        log_likelihood=log_likelihood,
        level=level,
        unit=dwells.unit,
    )


def _sample(dwells: DwellTimes) -> _Sample:
    known = ~dwells.cut_at_start
    rows = np.column_stack([dwells.durations - 1, ~dwells.cut_at_end])[known]
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    stays, ended = kinds.T.astype(np.float64)
    return _Sample(stays, ended, counts.astype(np.float64))


def _maximise(sample: _Sample, start: F64) -> tuple[F64, float]:
    """Climb from `start`, rows ln(dt / tau_c) and the logits of w_c; return the top and its height.

    The bounds keep time constants between a fiftieth of a frame and a thousand of the longest
    dwells: beyond, the likelihood no longer depends on them.
    """
    from scipy.optimize import minimize

    n = start.shape[1]
    slowest = -np.log(1e3 * (sample.stays.max() + 1))
    bounds = [(slowest, np.log(50.0))] * n + [(-20.0, 20.0)] * n
    inside = np.clip(start.ravel(), *np.transpose(bounds))
    fit = minimize(_loss, inside, args=(sample,), jac=True, method="L-BFGS-B", bounds=bounds)
    return fit.x.reshape(2, n), -float(fit.fun) * float(sample.weights.sum())


def _loss(x: F64, sample: _Sample) -> tuple[float, F64]:
    """Return the mean negative log-likelihood of a dwell and its gradient.

    With r = dt / tau, ln P_c = ln w_c - r_c stays + ended ln(1 - exp(-r_c)).
    """
    log_rates, logits = x.reshape(2, -1)
    rates = np.exp(log_rates)
    log_weights = logits - np.logaddexp.reduce(logits)
    leave = sample.ended[:, None]
    stay = sample.stays[:, None]
    joint = log_weights - rates * stay + leave * np.log(-np.expm1(-rates))
    log_p = np.logaddexp.reduce(joint, axis=1)
    share = np.exp(joint - log_p[:, None]) * (sample.weights / sample.weights.sum())[:, None]
    slope = (share * rates * (leave / np.expm1(rates) - stay)).sum(axis=0)
    weight_slope = share.sum(axis=0) - np.exp(log_weights)
    loss = -float(sample.weights @ log_p) / float(sample.weights.sum())
    return loss, -np.concatenate([slope, weight_slope])


def _curvature_intervals(x: F64, sample: _Sample, level: float) -> tuple[F64, F64]:
    """Return low and high of what `_sorted_components` gives, from the curvature at the top."""
    from scipy.special import expit, logit, ndtri

    n, flat = x.shape[1], x.ravel()
    steps = CURVATURE_STEP * np.eye(len(flat))
    slopes = [_loss(flat + step, sample)[1] - _loss(flat - step, sample)[1] for step in steps]
    information = np.array(slopes) / (2 * CURVATURE_STEP) * sample.weights.sum()
    # The logits of the weights have no common zero: the pseudo-inverse leaves that direction out.
    covariance = np.linalg.pinv((information + information.T) / 2, rcond=1e-9, hermitian=True)
    constants, weights = _sorted_components(x)
    order = np.argsort(-x[0])
    # Of ln(w_c / (1 - w_c)), with derivative 1 by its own logit and -w_k / (1 - w_c) by others.
    others = weights[None, :] / np.maximum(1 - weights[:, None], 1e-12)
    jacobian = np.where(np.eye(n, dtype=np.bool_), 1.0, -others)
    of_weights = covariance[n:, n:][np.ix_(order, order)]
    half = ndtri((1 + level) / 2) * np.sqrt(
        np.maximum(
            [
                np.diag(covariance)[:n][order],
                np.einsum("ij,jk,ik->i", jacobian, of_weights, jacobian),
            ],
            0.0,
        )
    )
    half = np.minimum(half, LARGEST_HALF)
    centre = logit(np.clip(weights, 1e-12, 1 - 1e-12))
    bounds = [
        np.stack([constants * np.exp(s * half[0]), expit(centre + s * half[1])]) for s in (-1, 1)
    ]
    if n == 1:
        bounds[0][1] = bounds[1][1] = 1.0
    return bounds[0], bounds[1]


def _sorted_components(x: F64) -> F64:
    """Return time constants in frames and weights as two rows, fastest first."""
    constants = np.exp(-x[0])
    weights = np.exp(x[1] - np.logaddexp.reduce(x[1]))
    order = np.argsort(constants)
    return np.stack([constants[order], weights[order]])
