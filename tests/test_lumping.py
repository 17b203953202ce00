"""Metastable groups by lumping."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trajlm import States
from trajlm.analysis.lumping import MOST_GROUPS, bundle, lump
from trajlm.analysis.slow import SLOW, crisp_sets
from trajlm.systems.hidden_markov import markov_chain

SIZES = (4, 3, 5)
OF = np.repeat([0, 1, 2], SIZES)


def blocks(leave=0.002, seed=0):
    """Return a chain of three groups of states, each left once in 1 / leave frames."""
    rng = np.random.default_rng(seed)
    same = OF[:, None] == OF[None]
    P = rng.gamma(1.0, size=same.shape)
    inside = np.where(same, P, 0.0)
    outside = np.where(same, 0.0, P)
    rows = [x / x.sum(axis=1, keepdims=True) for x in (inside, outside)]
    return (1 - leave) * rows[0] + leave * rows[1]


def simulated(n_frames=40_000, seed=0):
    return markov_chain(blocks(), dt=1.0, unit="frame").simulate(n_frames, seed=seed)


def partition(groups):
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


def test_groups_that_are_hardly_ever_left_are_found():
    groups = lump(simulated(), 10)
    assert partition(groups) == partition(OF)


def test_groups_are_numbered_from_the_largest():
    data = simulated()
    frames = np.bincount(lump(data, 10), weights=data.counts())
    assert (np.diff(frames) <= 0).all()


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(12)))
def test_the_numbers_of_the_states_do_not_matter(order):
    data, order = simulated(8_000), np.array(order)
    other = States([order[s] for s in data], n_states=12)
    assert partition(lump(other, 10)[order]) == partition(lump(data, 10))


def test_what_stays_is_what_was_asked_for():
    groups = lump(simulated(), 10)
    counts = np.zeros((groups.max() + 1,) * 2)
    pairs = simulated().transition_counts(10)
    np.add.at(counts, (groups[:, None], groups[None]), pairs + pairs.T)
    assert (counts.diagonal() / counts.sum(axis=1) >= SLOW).all()


def test_a_state_seen_once_joins_its_neighbours_and_one_never_seen_the_largest():
    s = simulated().trajectories[0].astype(np.int64)
    s[20_000:20_012] = 12
    groups = lump(States([s], n_states=14), 10)
    assert groups[12] in groups[:12]
    assert groups[13] == 0


def test_basins_that_are_never_joined_stay_apart():
    data = simulated(5_000)
    apart = States([*data.trajectories, *(s + 12 for s in data)], n_states=24)
    groups = lump(apart, 10)
    assert not set(groups[:12]) & set(groups[12:])


def test_there_are_no_groups_where_nothing_stays():
    fast = markov_chain(np.full((5, 5), 0.2), dt=1.0, unit="frame").simulate(5_000, seed=0)
    assert not lump(fast, 10).any()


def test_there_are_not_more_groups_than_can_be_told():
    n = 60
    P = 0.01 * np.roll(np.eye(n), 1, axis=1) + 0.01 * np.roll(np.eye(n), -1, axis=1)
    P += 0.98 * np.eye(n)
    slow = markov_chain(P, dt=1.0, unit="frame").simulate(60_000, seed=0)
    assert lump(slow, 10).max() + 1 == MOST_GROUPS


def test_given_sets_have_the_timescale_of_their_chain():
    p, q = 0.004, 0.01
    chain = markov_chain(np.array([[1 - p, p], [q, 1 - q]]), dt=1.0, unit="frame")
    sets = crisp_sets(chain.simulate(400_000, seed=0), np.array([0, 1]), 10)
    np.testing.assert_allclose(sets.slowest, -1 / np.log(1 - p - q), rtol=0.1)
    np.testing.assert_array_equal(sets.memberships, np.eye(2))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(0, 5))
def test_bundles_lie_within_groups_and_hold_no_more_than_allowed(largest, seed):
    data = simulated(2_000, seed)
    groups = lump(data, 10)
    bundles = bundle(data, groups, largest)
    assert np.bincount(bundles).max() <= largest
    for k in np.unique(bundles):
        assert len(np.unique(groups[bundles == k])) == 1


def test_as_many_states_as_fit_are_bundled():
    data = simulated()
    bundles = bundle(data, OF, 5)
    assert partition(bundles) == partition(OF)
