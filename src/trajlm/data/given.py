"""Arrays and lists taken as data wherever our own objects are."""

from __future__ import annotations

from trajlm.data.features import Features, FeaturesLike
from trajlm.data.states import States, StatesLike
from trajlm.errors import InputError
from trajlm.util.arrays import IntArray
from trajlm.util.trajectories import as_integers


def as_states(data: StatesLike) -> States:
    """Return `data` as States: arrays and lists are taken as frames with dt 1.

    Raises
    ------
    InputError
        Features, or what States refuse.
    """
    if isinstance(data, Features):
        raise InputError("these are features: discretise them first, for example with Bins")
    return data if isinstance(data, States) else States(data)


def as_trajectory(data: StatesLike) -> IntArray:
    """Return the states of one trajectory, one frame at least.

    Raises
    ------
    InputError
        Several trajectories, features, or numbers that are no states.
    """
    if not isinstance(data, States | Features):
        return as_integers(data, 0, least=1)
    states = as_states(data)
    if len(states) > 1:
        raise InputError(f"{len(states)} trajectories were given: give one of them")
    return states[0]


def as_features(data: FeaturesLike) -> Features:
    """Return `data` as Features: arrays and lists are taken as frames with dt 1.

    Raises
    ------
    InputError
        States, or what Features refuse.
    """
    if isinstance(data, States):
        raise InputError("these are states already: give the features that they were made from")
    return data if isinstance(data, Features) else Features(data)
