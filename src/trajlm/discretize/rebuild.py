"""The discretizer that cuts other data as given states were cut."""

from __future__ import annotations

from trajlm.data import States, StateSpace
from trajlm.discretize.base import Discretizer
from trajlm.discretize.bins import Bins, ProductBins
from trajlm.discretize.centers import KMeans, NearestCenters, as_centers
from trajlm.discretize.periodic import Period
from trajlm.errors import InputError
from trajlm.provenance import Binning, Centers, Clustering, Given, Grouped, ProductBinning


def discretizer_of(cut: States | StateSpace) -> Discretizer:
    """Return the fitted discretizer that cuts other features as these states were cut.

    The states of a model are its ``space``. Filters are not part of it:
    ``cut.discretization.steps`` has them.

    Raises
    ------
    InputError
        It is not known how the states were cut, they are groups of others, or what is known
        does not fit their number.
    """
    how = cut.discretization
    method = how.method
    fitted: Discretizer
    match method:
        case Binning():
            fitted = _bins(method, how.periods[0] if how.periods else None)
        case ProductBinning():
            periods = how.periods or (None,) * len(method.bins)
            fitted = ProductBins(method.shape)
            fitted.bins_ = tuple(map(_bins, method.bins, periods))
        case Centers():
            fitted = NearestCenters(method.centers)
            fitted.periods_ = how.periods or None
        case Clustering():
            fitted = KMeans(method.n_states, method.seed)
            fitted.centers_ = as_centers(method.centers)
            fitted.periods_ = how.periods or None
        case Grouped():
            raise InputError("groups of states are not cut from features: take the fine states")
        case Given():
            raise InputError("it is not known how the states were cut: fit a new discretizer")
    if method.n_states != cut.n_states:
        raise InputError(
            f"the {method.what} make {method.n_states} states, but there are {cut.n_states}: fit "
            "a discretizer anew"
        )
    fitted.projection_ = how.projection
    return fitted


def _bins(method: Binning, period: Period | None) -> Bins:
    bins = Bins(edges=method.edges, open_ends=method.open_ends)
    bins.period_ = period
    return bins
