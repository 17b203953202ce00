"""From features to states and back: cutting, slow coordinates, smoothing and spike removal."""

from __future__ import annotations

from trajlm.discretize.base import Discretizer
from trajlm.discretize.bins import Bins, ProductBins
from trajlm.discretize.centers import KMeans, NearestCenters
from trajlm.discretize.compatibility import find_difference, periods_of
from trajlm.discretize.filters import average, decimate, remove_spikes, smooth
from trajlm.discretize.projection import TICA, VAMP, project
from trajlm.discretize.rebuild import discretizer_of
from trajlm.discretize.values import backmap_features, state_means, with_centers

__all__ = [
    "TICA",
    "VAMP",
    "Bins",
    "Discretizer",
    "KMeans",
    "NearestCenters",
    "ProductBins",
    "average",
    "backmap_features",
    "decimate",
    "discretizer_of",
    "find_difference",
    "periods_of",
    "project",
    "remove_spikes",
    "smooth",
    "state_means",
    "with_centers",
]
