"""From features to states: cutting, smoothing and spike removal."""

from __future__ import annotations

from trajlm.discretize.cuts import (
    Bins,
    Discretizer,
    KMeans,
    NearestCenters,
    discretizer_from_dict,
)
from trajlm.discretize.filters import average, decimate, remove_spikes, smooth

__all__ = [
    "Bins",
    "Discretizer",
    "KMeans",
    "NearestCenters",
    "average",
    "decimate",
    "discretizer_from_dict",
    "remove_spikes",
    "smooth",
]
