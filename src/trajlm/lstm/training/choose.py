"""Choosing the columns of a token from the data."""

from __future__ import annotations

import math

import numpy as np

from trajlm.analysis.lumping import bundle, lump
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.lstm.columns import Column, make_columns, whole_state
from trajlm.lstm.settings import TrainingSettings
from trajlm.provenance.methods import ProductBinning
from trajlm.util.arrays import I64

# From so many states on, the noise of the fine ones keeps a network from learning the slow ones.
MANY_STATES = 100
# From so many on, one softmax over all states of a group takes most of the time.
VERY_MANY_STATES = 1000
# Of more groups most are seen too seldom to be learned, or calibrated, better by themselves.
FEW_GROUPS = 12
# Frames: groups that are left more slowly than three of these are metastable.
GROUPING_LAG = 10


def choose_columns(states: States, settings: TrainingSettings) -> tuple[Column, ...]:
    """Return the columns that are drawn one after the other.

    Metastable groups stay for more than three times ten frames (`trajlm.analysis.lumping.lump`).
    By themselves they are taken where there are 2 to 12, of 100 states or more.

    Raises
    ------
    InputError
        The groups or the bins that were asked for are not there.
    """
    if settings.columns == "bins":
        return _bins(states)
    if settings.columns == "state" or (
        settings.columns == "auto" and states.n_states < MANY_STATES
    ):
        return (whole_state(states.n_states),)
    groups = np.zeros(states.n_states, np.int64)
    if max(len(s) for s in states) > GROUPING_LAG:
        groups = lump(states, GROUPING_LAG)
    n_groups = int(groups.max()) + 1
    if settings.columns == "auto" and not 1 < n_groups <= FEW_GROUPS:
        return (whole_state(states.n_states),)
    if n_groups == 1:
        raise InputError(
            f"the data leaves all its states within {3 * GROUPING_LAG} frames, so that there are "
            "no metastable groups: train with columns = 'state'"
        )
    return _within(states, groups)


def _within(states: States, groups: I64) -> tuple[Column, ...]:
    """Return the group and the state; between them, of very many states, a bundle."""
    n = states.n_states
    if n <= VERY_MANY_STATES:
        return make_columns([groups, np.arange(n)], ["group", "state"])
    bundles = bundle(states, groups, math.ceil(math.sqrt(n)))
    labels = groups, _ranks(bundles, groups), _ranks(np.arange(n), bundles)
    return make_columns(labels, ["group", "bundle", "state"])


def _ranks(values: I64, of: I64) -> I64:
    """Return the rank of each value among the different ones of its set, from 0 on."""
    ranks = np.zeros_like(values)
    for k in np.unique(of):
        ranks[of == k] = np.unique(values[of == k], return_inverse=True)[1]
    return ranks


def _bins(states: States) -> tuple[Column, ...]:
    """Return a column for each coordinate that was cut."""
    how = states.space.discretization
    if not isinstance(how.method, ProductBinning):
        raise InputError(
            "the states are no bins of several coordinates: train with columns = 'groups' or "
            "'state'"
        )
    shape = how.method.shape
    names = how.columns or tuple(f"coordinate {k}" for k in range(len(shape)))
    labels = np.unravel_index(np.arange(states.n_states), shape)
    return make_columns(labels, names)
