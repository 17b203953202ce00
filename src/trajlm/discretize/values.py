"""From states back to values of features."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from trajlm.data import Features, FeaturesLike, States, StatesLike, as_features, as_states
from trajlm.discretize.compatibility import is_unnamed
from trajlm.discretize.periodic import Periods, to_circles
from trajlm.errors import InputError
from trajlm.provenance import Discretization, Given, frames_after, origin_of_frames
from trajlm.util.arrays import F64, I64
from trajlm.util.frames import FramesByState, RandomFrames, SmoothFrames, frames_a_step
from trajlm.util.trajectories import owned
from trajlm.util.warn import warn
from trajlm.util.words import counted, without_surrogates

Choice = Literal["random", "smooth", "mean"]
CHOICES = ("random", "smooth", "mean")
# Frames of each state among which a smooth path is sought.
N_CANDIDATES = 50


def state_means(states: StatesLike, features: FeaturesLike) -> F64:
    """Return the mean of each column over the frames of each state, shape (n_states, d).

    A periodic column takes the circular mean. A state that is never visited takes the mean of all
    frames, since every state must lie somewhere.

    Parameters
    ----------
    states
        Discrete trajectories.
    features
        The data they were made from, or any other columns of the same frames; of states of
        filtered data, the features before or after the filters.

    Raises
    ------
    InputError
        Trajectories or frames that do not fit each other.
    """
    states, features = as_states(states), as_features(features)
    features = _named(features, states.discretization)
    return _means(states, np.concatenate(_matched(states, features)), features.periods)


def with_centers(states: StatesLike, features: FeaturesLike) -> States:
    """Return states that were made elsewhere with centres: the mean of each column in each state.

    For labels of density-based clusters or of any other program. dt, unit, column names and
    periods are those of the features.

    Parameters
    ----------
    states
        Labels from 0.
    features
        What was clustered, frame by frame.

    Raises
    ------
    InputError
        Trajectories or frames that do not fit each other, or states whose cut is known, which have
        their centres already.
    """
    states, features = as_states(states), as_features(features)
    if not isinstance(states.discretization.method, Given):
        raise InputError(
            f"these are {states.discretization.describe()}, which have their centres: state_means "
            "gives the mean of any columns"
        )
    return replace(
        states,
        dt=features.dt,
        unit=features.unit,
        centers=state_means(states, features),
        discretization=Discretization(
            columns=tuple(without_surrogates(name) for name in features.names),
            periods=features.periods,
            steps=features.steps,
            notes=features.notes,
            projection=features.projection,
            column_units=tuple(map(without_surrogates, features.column_units)),
        ),
    )


def backmap_features(
    generated: StatesLike,
    states: StatesLike,
    features: FeaturesLike,
    choice: Choice = "random",
    seed: int = 0,
) -> Features:
    """Return generated states as values of features, so that any coordinate can be analysed.

    Parameters
    ----------
    generated
        Trajectories of states, of a model or others.
    states, features
        The states of the data, and any columns of the same frames: those that were cut or others.
        Of states of filtered data, the features before or after the filters. Columns without names,
        as many as were cut, are taken to be those, with their names and periods.
    choice
        ``random``: each frame takes the values of a frame of its state at random, so that
        histograms within a state are those of the data. ``smooth``: the data goes on while it
        visits the generated states, and jumps are as short as the data allows, as in `backmap`.
        ``mean``: the mean of its state (`state_means`).
    seed
        Of the choice of frames.

    Returns
    -------
    Features
        One trajectory for each generated one, with its time and the columns of `features`.

    Raises
    ------
    InputError
        Trajectories or frames that do not fit each other, generated states beyond those of the
        data, another choice.

    Warns
    -----
    TrajlmWarning
        Generated frames in states that the data never visits: they repeat the frame before, or
        take the mean of all frames.
    """
    lanes, states, features = as_states(generated), as_states(states), as_features(features)
    if choice not in CHOICES:
        raise InputError(f"there is no choice {choice!r}: give one of {', '.join(CHOICES)}")
    if lanes.n_states > states.n_states:
        raise InputError(
            f"the generated states go to {lanes.n_states - 1} and the data has {states.n_states} "
            "states: give the states that the model learned"
        )
    features = _named(features, states.discretization)
    points = np.concatenate(_matched(states, features))
    _warn_unseen(lanes, states, choice)
    if choice == "mean":
        means = _means(states, points, features.periods)
        values = [means[lane] for lane in lanes]
    else:
        step = frames_a_step(lanes.dt, lanes.unit, states.dt, states.unit)
        choose = _chooser(states, points, features.periods, choice, step, seed)
        values = [points[frames] for frames in map(choose.lane, lanes)]
    return replace(
        features,
        trajectories=tuple(map(owned, values)),
        dt=lanes.dt,
        unit=lanes.unit,
        notes=(),
        steps=(),
    )


def _named(features: Features, how: Discretization) -> Features:
    """Return columns without names of their own under those that were cut, with their periods."""
    cut = how.projection or how
    if len(cut.columns) != features.n_columns or not all(map(is_unnamed, features.names)):
        return features
    periods = cut.periods or (None,) * features.n_columns
    known = tuple(own or other for own, other in zip(features.periods, periods, strict=True))
    return replace(features, names=cut.columns, periods=known)


def _chooser(
    states: States, points: F64, periods: Periods, choice: Choice, step: int, seed: int
) -> RandomFrames | SmoothFrames:
    frames = FramesByState(states.trajectories, states.n_states)
    if choice == "random":
        return RandomFrames(frames, seed)
    on_circles, _ = to_circles(points, periods)
    deviation = on_circles.std(axis=0)
    scaled = on_circles / np.where(deviation > 0, deviation, 1.0)

    def distances(some: I64, others: I64) -> F64:
        from scipy.spatial.distance import cdist

        squares: F64 = cdist(scaled[some], scaled[others], "sqeuclidean")
        return squares

    return SmoothFrames(frames, distances, step, N_CANDIDATES, seed)


def _warn_unseen(lanes: States, states: States, choice: Choice) -> None:
    visited = states.visited()
    n_unseen = sum(int((~visited[lane]).sum()) for lane in lanes)
    if n_unseen:
        they = "take the mean of all frames" if choice == "mean" else "repeat the frame before"
        warn(
            f"{n_unseen} of {lanes.n_frames} generated frames are in states that the data never "
            f"visits: they {they}"
        )


def _means(states: States, points: F64, periods: Periods) -> F64:
    on_circles, back = to_circles(points, periods)
    labels = np.concatenate(states.trajectories)
    counts = np.bincount(labels, minlength=states.n_states)
    sums = np.column_stack(
        [np.bincount(labels, weights=x, minlength=states.n_states) for x in on_circles.T]
    )
    means = np.where(
        counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], on_circles.mean(axis=0)
    )
    return back(means)


def _matched(states: States, features: Features) -> list[F64]:
    """Return the values of the features at each frame of the states, led back through filters."""
    if len(features) != len(states):
        raise InputError(
            f"there are {counted(len(states), 'trajectory', 'trajectories')} of states and "
            f"{len(features)} of features: give those of the same data"
        )
    steps = states.discretization.steps
    if features.steps == steps[: len(features.steps)]:
        steps = steps[len(features.steps) :]
    stride, offset = origin_of_frames(steps)
    found = []
    for i, (s, x) in enumerate(zip(states, features, strict=True)):
        if frames_after(steps, len(x)) != len(s):
            raise InputError(
                f"trajectory {i} has {len(s):,} frames of states and {len(x):,} of features: give "
                "those of the same data"
            )
        found.append(x[stride * np.arange(len(s)) + offset])
    return found
