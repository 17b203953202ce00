"""From features to states: cutting, smoothing and spike removal."""

from __future__ import annotations

from trajlm.discretize.compatibility import find_difference, periods_of
from trajlm.discretize.discretizers import (
    Bins,
    Discretizer,
    KMeans,
    NearestCenters,
    discretizer_of,
)
from trajlm.discretize.filters import average, decimate, remove_spikes, smooth

__all__ = [
    "Bins",
    "Discretizer",
    "KMeans",
    "NearestCenters",
    "average",
    "decimate",
    "discretizer_of",
    "find_difference",
    "periods_of",
    "remove_spikes",
    "smooth",
]
