"""Which coordinates show the slow kinetics, where the states lie in several."""

from __future__ import annotations

import numpy as np

from trajlm.analysis import Grouping
from trajlm.data import StateSpace
from trajlm.discretize import periods_of
from trajlm.discretize.periodic import to_circles
from trajlm.util.arrays import F64


def slow_columns(space: StateSpace, grouping: Grouping, populations: F64) -> tuple[int, ...]:
    """Return the columns of the centres, first the one that tells the groups apart best.

    That is measured by the share of its variance that lies between the groups; a periodic column
    counts as the vector of its cosine and sine. Nothing where states have no centres, or lie on
    one coordinate.
    """
    centers = space.centers
    if centers is None or centers.ndim == 1 or centers.shape[1] == 1:
        return ()
    periods = periods_of(space)
    shares = []
    for k, period in enumerate(periods):
        points, _ = to_circles(centers[:, [k]], (period,))
        points = points - populations @ points
        whole = float(populations @ (points**2).sum(axis=1))
        between = 0.0
        for group in range(grouping.n_groups):
            inside = np.where(grouping.assignment == group, populations, 0.0)
            if inside.sum() > 0:
                between += float(((inside @ points) ** 2).sum() / inside.sum())
        shares.append(between / whole if whole > 0 else 0.0)
    return tuple(int(k) for k in np.argsort(-np.array(shares), kind="stable"))
