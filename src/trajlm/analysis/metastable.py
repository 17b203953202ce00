"""The groups that kinetics are compared between where none were asked for."""

from __future__ import annotations

import numpy as np

from trajlm.analysis.grouping import Grouping, group_by_list, group_by_pcca
from trajlm.analysis.pcca import slow_timescales
from trajlm.data import States

# States up to this number are compared as they are; more are grouped by PCCA+.
FEW_STATES = 5
# Lag, in frames, of the Markov model behind the default grouping.
GROUPING_LAG = 10


def default_grouping(states: States) -> Grouping:
    """Return the states as they are up to five, else PCCA+ groups.

    The number of groups, 2 to 4, is where the implied timescales of the Markov state model that
    PCCA+ groups, at a lag of ten frames, have their largest ratio.
    """
    if states.n_states <= FEW_STATES:
        return group_by_list(states, list(range(states.n_states)))
    lag = min(GROUPING_LAG, max(len(s) for s in states) - 1)
    timescales = slow_timescales(states, lag, 4)
    n_groups = int(np.argmax(timescales[:3] / timescales[1:4])) + 2
    return group_by_pcca(states, n_groups, lag)
