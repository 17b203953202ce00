"""Whether the dwell curves and the autocorrelation of a model lie far outside the data's bands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trajlm.analysis import Autocorrelation, Survival
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.util.arrays import FloatArray

# Lags at which autocorrelations are compared, evenly over the logarithm.
LAGS_COMPARED = 120
# Share of the points of a curve from which on it lies far outside.
FAR_SHARE = 0.25


def shares_outside(comparison: Evaluation, model: SourceResult) -> dict[str, float]:
    """Return for each curve of a model the share of its points far outside the data's band.

    Far outside is a point that misses the band by more than the band's own width. The points of
    a survival curve are the times at which dwells of the data end, those of the autocorrelation
    lags even over the logarithm; only points at which the data has a band count. A curve without
    any is left out.
    """
    data = comparison.reference
    shares = {}
    for name, ours, theirs in zip(
        comparison.grouping.names, data.survivals, model.survivals, strict=True
    ):
        if ours is not None and theirs is not None:
            shares[f"dwells in {name}"] = _dwells_outside(ours, theirs)
    if data.autocorrelation is not None and model.autocorrelation is not None:
        shares["autocorrelation"] = _lags_outside(data.autocorrelation, model.autocorrelation)
    return {name: share for name, share in shares.items() if np.isfinite(share)}


def far_curves(shares: Mapping[str, float]) -> list[str]:
    """Return the curves with more than a quarter of their points far outside."""
    return [name for name, share in shares.items() if share > FAR_SHARE]


def _dwells_outside(data: Survival, model: Survival) -> float:
    # The first time is zero, where every curve is one; a step holds up to the next time.
    steps = np.searchsorted(model.times, data.times[1:] * (1 + 1e-9), side="right") - 1
    return _share_outside(model.probability[steps], data.low[1:], data.high[1:])


def _lags_outside(data: Autocorrelation, model: Autocorrelation) -> float:
    longest = int(min(data.lags[-1], model.lags[-1]))
    lags = np.unique(np.geomspace(1, longest, LAGS_COMPARED).astype(np.int64))
    return _share_outside(model.values[lags], data.low[lags], data.high[lags])


def _share_outside(values: FloatArray, low: FloatArray, high: FloatArray) -> float:
    width = high - low
    known = np.isfinite(values) & np.isfinite(width) & (width > 0)
    if not known.any():
        return float("nan")
    missed = np.maximum(low - values, values - high)[known]
    return float(np.mean(missed > width[known]))
