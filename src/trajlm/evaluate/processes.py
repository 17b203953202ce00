"""The slow processes of the data and of what a model generated, as figures show them."""

from __future__ import annotations

import numpy as np

from trajlm.analysis import (
    KineticMap,
    Timescales,
    TransitionProbabilities,
    counted_timescales,
    extreme_frames,
    kinetic_map,
    transition_probabilities,
)
from trajlm.analysis.lag import SLOWEST
from trajlm.data import States
from trajlm.discretize import periods_of
from trajlm.discretize.periodic import to_circles
from trajlm.evaluate.reference import Reference
from trajlm.evaluate.result import HiddenPath, Stretch
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.util.arrays import I64, IntArray

# Lags at which transitions between the groups are counted, and implied timescales.
RELAXATION_LAGS, TIMESCALE_LAGS = 14, 8
# Longest lag of both as a share of the longest trajectory.
LONGEST_LAG = 0.1
# States up to this number give the timescales; of more, the groups do.
MANY_STATES = 200
# Lag of the map of states as a share of that longest lag, on the logarithmic scale.
MAP_LAG = 0.5
# Typical stays in the slowest group that a stretch should show, and its least frames.
DWELLS_SHOWN = 12
SHORTEST_STRETCH = 1000
# Points of a long stretch: more than a page has across.
POINTS = 4000


def lags_of(states: States, n: int) -> I64:
    """Return up to n lags in frames, even on the logarithmic scale, that trajectories span."""
    longest = max(len(s) for s in states)
    last = max(min(int(LONGEST_LAG * longest), longest - 1), 1)
    return np.unique(np.round(np.geomspace(1, last, n)).astype(np.int64))


def relaxation(grouped: States, *, intervals: bool) -> TransitionProbabilities:
    """Return how the groups pass into each other over time."""
    return transition_probabilities(grouped, lags_of(grouped, RELAXATION_LAGS), intervals=intervals)


def timescales(states: States, grouped: States, *, intervals: bool) -> tuple[Timescales, ...]:
    """Return the slowest implied timescales at increasing lags."""
    of = states if states.n_states <= MANY_STATES else grouped
    lags = lags_of(of, TIMESCALE_LAGS).tolist()
    return tuple(counted_timescales(of, lag, SLOWEST, intervals=intervals) for lag in lags)


def map_of_states(states: States) -> KineticMap:
    """Return the states on the two slowest processes, as an intermediate lag shows them."""
    lags = lags_of(states, RELAXATION_LAGS)
    return kinetic_map(states, int(lags[int(MAP_LAG * (len(lags) - 1))]))


def overview(trajectory: IntArray, reference: Reference) -> Stretch:
    """Return a stretch in which the slowest group is entered and left several times.

    It is in frames of the data, whatever the lag of the model.
    """
    wanted = max(DWELLS_SHOWN * reference.longest_stay, SHORTEST_STRETCH)
    shown = trajectory[: int(min(wanted, len(trajectory)))]
    centers = reference.states.centers
    if centers is None:
        values = shown
    else:
        values = centers.reshape(reference.states.n_states, -1)[shown, reference.column or 0]
    frames = extreme_frames(values, POINTS)
    return Stretch(frames * reference.lag, shown[frames], len(shown) * reference.lag)


def hidden_path(model: HiddenMarkovModel, states: States, excerpt: IntArray) -> HiddenPath:
    """Return the most likely hidden path behind a stretch of the data."""
    (path,) = model.most_likely_path(states.with_trajectories([excerpt]))
    centers, periods = states.centers, periods_of(states.space)
    if centers is None or centers.size != states.n_states:
        return HiddenPath(path, None)
    points, back = to_circles(centers.reshape(-1, 1), periods)
    return HiddenPath(path, back(model.emission @ points)[:, 0])
