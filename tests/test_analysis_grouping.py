"""Grouping of fine states."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlm.analysis import group_by_edges, group_by_list, group_by_pcca
from trajlm.analysis.pcca import merge_rare_states
from trajlm.data import Features, States
from trajlm.discretize import Bins
from trajlm.errors import InputError
from trajlm.provenance import Discretization, Given, Grouped, RunningMean

CENTERS = np.array([0.0, 0.7, 1.0, 2.0, 5.0])


def chain_of_blocks(permutation, seed=0, n_frames=20_000):
    """Draw a chain of three blocks of two states; `permutation` hides the order of the states."""
    T = np.zeros((6, 6))
    for block in range(3):
        T[2 * block : 2 * block + 2, 2 * block : 2 * block + 2] = 0.5
    for i, j in ((1, 2), (3, 4)):
        T[i, j] = T[j, i] = 0.02
    T /= T.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(T, axis=1)
    states = np.zeros(n_frames, dtype=int)
    for t, u in enumerate(rng.random(n_frames - 1)):
        states[t + 1] = min(np.searchsorted(cumulative[states[t]], u, side="right"), 5)
    return np.asarray(permutation)[states]


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=12, max_size=50), min_size=1, max_size=3),
    st.integers(1, 11),
)
def test_running_mean_then_edges_matches_its_definition(trajectories, window):
    states = States(
        tuple(np.array(s) for s in trajectories), n_states=5, dt=0.2, unit="ps", centers=CENTERS
    )
    edges = [0.9371, 2.5113]
    grouped = group_by_edges(states, edges, running_mean=window).apply(states)
    assert (grouped.dt, grouped.unit, grouped.n_states) == (0.2, "ps", 3)
    for s, g in zip(states, grouped, strict=True):
        means = [CENTERS[s[t : t + window]].mean() for t in range(len(s) - window + 1)]
        assert g.tolist() == [sum(m >= edge for edge in edges) for m in means]


@pytest.mark.parametrize("window", [1, 3, 7, 10])
def test_a_value_equal_to_an_edge_belongs_to_the_upper_group(window):
    # The sum of three times 0.7, divided by three, is below 0.7 in floating point.
    states = States((np.array([1] * 20 + [0] * 20),), n_states=5, centers=CENTERS)
    grouped = group_by_edges(states, [0.7], running_mean=window).apply(states)
    assert grouped.trajectories[0][0] == 1
    assert grouped.trajectories[0][-1] == 0


def test_group_centers_are_weighted_by_population_and_the_same_for_all_data():
    reference = States((np.array([0, 0, 0, 1, 4]),), n_states=5, centers=CENTERS)
    grouping = group_by_edges(reference, [1.5], names=("left", "right"))
    np.testing.assert_allclose(grouping.group_centers, [0.7 / 4, 5.0])
    other = States((np.array([1, 1, 3, 3]),), n_states=5)
    np.testing.assert_array_equal(grouping.apply(other).trajectories[0], [0, 0, 1, 1])
    np.testing.assert_allclose(grouping.apply(other).centers, [0.7 / 4, 5.0])


def test_running_mean_with_a_list_takes_the_nearest_state():
    states = States((np.array([0, 0, 4, 4, 3, 3]),), n_states=5, centers=CENTERS)
    grouped = group_by_list(states, [0, 0, 1, 1, 2], running_mean=2).apply(states)
    # Means 0, 2.5, 5, 3.5 and 2: a tie goes up, to the state at 5.
    assert grouped.trajectories[0].tolist() == [0, 1, 2, 2, 1]


def test_generated_data_without_centers_or_last_state_are_grouped_alike():
    states = States((np.array([0, 1, 2, 3, 4] * 3),), centers=CENTERS)
    grouping = group_by_edges(states, [0.9], running_mean=2)
    plain = States((np.array([0, 1, 2, 3, 3]),))
    assert grouping.apply(plain).trajectories[0].tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="6 states"):
        grouping.apply(States((np.array([0, 5]),)))
    with pytest.raises(InputError, match="trajectory 1 has 2 frames"):
        grouping.apply(States((np.array([0, 1, 2]), np.array([0, 1]))))


@pytest.mark.parametrize("permutation", [[0, 1, 2, 3, 4, 5], [3, 0, 5, 2, 1, 4]])
def test_pcca_finds_the_blocks_of_a_chain_in_order_of_their_centers(permutation):
    centers = np.empty(6)
    centers[permutation] = np.arange(6.0)
    states = States((chain_of_blocks(permutation),), n_states=6, centers=centers)
    grouping = group_by_pcca(states, 3)
    assert grouping.assignment[permutation].tolist() == [0, 0, 1, 1, 2, 2]
    assert np.all(np.diff(grouping.group_centers) > 0)


def test_pcca_puts_states_outside_the_connected_set_in_a_group():
    s = chain_of_blocks(range(6))
    centers = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.4, -9.0])
    # State 6 has no way back and state 7 is never seen.
    data = (s, np.array([6, 6, 6]))
    near = group_by_pcca(States(data, n_states=8, centers=centers), 3)
    assert near.assignment.tolist() == [0, 0, 1, 1, 2, 2, 1, 0]
    unknown = group_by_pcca(States(data, n_states=8), 3)
    largest = np.argmax(np.bincount(unknown.assignment[s]))
    assert unknown.assignment[6:].tolist() == [largest, largest]
    assert unknown.group_centers is None


def test_edges_that_wrap_join_the_first_and_the_last_interval():
    x = np.concatenate([np.full(30, -2.9), np.full(30, 2.9), np.full(20, -1.0), np.full(9, 1.0)])
    phi = Features((x,), names=("phi",), periods=((-np.pi, np.pi),))
    states = Bins(20).fit_transform(phi)
    grouping = group_by_edges(states, [-2, 0, 2], wrap=True)
    assert grouping.n_groups == 3
    np.testing.assert_array_equal(grouping.assignment[[0, 19, 8, 12]], [0, 0, 1, 2])
    assert "the first group over the periodic border" in grouping.describe()
    # The mean of -2.9 and 2.9 lies at the border, not at zero.
    assert abs(grouping.group_centers[0]) > 3
    assert group_by_edges(states, [-2, 0, 2]).n_groups == 4
    bare = States(states.trajectories, 20, centers=states.centers)
    for data, edges, window in ((states, [0.0], 1), (bare, [-2, 0, 2], 5)):
        with pytest.raises(InputError, match="wrap"):
            group_by_edges(data, edges, window, wrap=True)


def test_a_running_mean_goes_over_the_periodic_border():
    """Wells at -60 and 172 degrees: noise crosses the border, where nothing happens."""
    rng = np.random.default_rng(0)
    well = np.repeat(rng.permuted(np.arange(40) % 2), 500)
    x = np.where(well == 0, -60.0, 172.0) + rng.normal(0, 15, len(well))
    x = (x + 180) % 360 - 180
    phi = Features((x,), names=("phi",), periods=((-180.0, 180.0),))
    states = Bins(36).fit_transform(phi)
    window = 20
    truth = np.convolve(well, np.ones(window), "valid") / window
    for grouping in (
        group_by_edges(states, [-115, 60], window),
        group_by_list(states, [int(not -115 < c < 60) for c in states.centers], window),
    ):
        assert grouping.n_groups == 2
        (found,) = grouping.apply(states)
        found = found if grouping.method == "list" else 1 - found
        sure = (truth == 0) | (truth == 1)
        np.testing.assert_array_equal(found[sure], truth[sure])
        assert np.count_nonzero(np.diff(found)) == np.count_nonzero(np.diff(well))


def test_rare_states_are_merged_with_those_they_exchange_most_with():
    frames = np.array([4000, 4000, 30, 3, 4000, 4000, 2])
    steps = np.zeros((7, 7), dtype=np.int64)
    # The rarest, 6, hangs on 3, that on 2, and all three on 4; 0, 1 and 4, 5 are basins.
    for i, j, n in ((0, 1, 900), (4, 5, 900), (1, 4, 5), (2, 4, 20), (3, 2, 3), (6, 3, 2)):
        steps[i, j] = steps[j, i] = n
    counts = steps + np.diag(frames).astype(float)
    assert merge_rare_states(frames, steps, counts, 2).tolist() == [0, 1, 2, 2, 3, 4, 2]
    counts = np.outer(frames, frames) / frames.sum() + 0.3 * np.diag(frames)
    assert merge_rare_states(frames, steps, counts, 2).tolist() == [0, 1, 2, 2, 2, 3, 2]
    assert merge_rare_states(frames, steps, counts, 7).tolist() == list(range(7))


def test_states_never_visited_follow_their_neighbour_over_the_period():
    s = chain_of_blocks(range(6))
    centers = -np.pi + np.pi / 8 * (2 * np.arange(8) + 1)
    periodic = Discretization(periods=((-np.pi, np.pi),))
    states = States((s,), 8, centers=centers, discretization=periodic)
    assert group_by_pcca(states, 3).assignment.tolist() == [0, 0, 1, 1, 2, 2, 2, 0]


def test_description_and_dictionary_are_plain():
    states = States((np.array([0, 1, 2, 3, 4]),), centers=CENTERS)
    grouping = group_by_edges(states, [0.9, 3], running_mean=20)
    assert grouping.describe() == (
        "5 states in 3 groups by the edges 0.9, 3, after a running mean of the state centres "
        "over 20 frames."
    )
    with_twenty = States((np.arange(40) % 5,), centers=CENTERS)
    how = grouping.apply(with_twenty).discretization
    assignment = tuple(grouping.assignment.tolist())
    assert how.method == Grouped("edges", assignment, Given(), 20, (0.9, 3.0), ("0", "1", "2"))
    assert how.steps == (RunningMean(20),)
    assert Discretization.from_dict(json.loads(json.dumps(how.to_dict()))) == how
    assert group_by_list(states, [0, 1, 1, 0, 0]).describe() == "5 states in 2 groups by a list."
    assert grouping.names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("centers", "columns", "names"),
    [
        ([[-1.0], [0.0], [9.4]], ("phi",), ("phi \u22121.0", "phi 0.0", "phi 9.4")),
        ([[706.1], [711.4], [730.0]], ("extension",), ("706", "711", "730")),
        ([[0.1], [0.104], [5.0]], (), ("0.100", "0.104", "5.000")),
        ([[-1.76, 2.65], [-1.7, -0.04], [1, 0.5]], ("phi", "psi"), None),
        ([[0, 0, 0], [1, 1, 1], [2, 2, 2]], ("a", "b", "c"), ("0", "1", "2")),
        ([[1, 1], [1, 1], [2, 2]], ("a", "b"), ("0", "1", "2")),
    ],
)
def test_groups_found_by_themselves_are_named_by_their_place(centers, columns, names):
    centers = np.array(centers, float)
    states = np.repeat([0, 1, 2, 1, 0], 200)
    data = States(states, 3, centers=centers, discretization=Discretization(columns=columns))
    expected = names or ("(\u22121.8, 2.6)", "(\u22121.7, 0.0)", "(1.0, 0.5)")
    assert group_by_pcca(data, 3).names == expected
    assert group_by_pcca(data, 3, names=("a", "b", "c")).names == ("a", "b", "c")


def test_groupings_that_cannot_be_made_are_refused():
    states = States((np.array([0, 1, 2, 3, 4]),), centers=CENTERS)
    bare = States((np.array([0, 1, 2]),))
    plane = States((np.array([0, 1]),), centers=np.zeros((2, 2)))
    with pytest.raises(InputError, match="no centres"):
        group_by_edges(bare, [1])
    with pytest.raises(InputError, match="2 coordinates"):
        group_by_edges(plane, [1])
    with pytest.raises(InputError, match="increasing"):
        group_by_edges(states, [2, 1])
    with pytest.raises(InputError, match="group 1 without any state"):
        group_by_edges(states, [6])
    with pytest.raises(InputError, match="every number"):
        group_by_list(bare, [0, 2, 2])
    with pytest.raises(InputError, match="one integer"):
        group_by_list(bare, [0, 1])
    with pytest.raises(InputError, match="no centres"):
        group_by_list(bare, [0, 1, 1], running_mean=3)
    with pytest.raises(InputError, match="running mean"):
        group_by_list(bare, [0, 1, 1], running_mean=0)
    with pytest.raises(InputError, match="names"):
        group_by_list(bare, [0, 1, 1], names=("a",))
    with pytest.raises(InputError, match="connected"):
        group_by_pcca(bare, 2)
    with pytest.raises(InputError, match="lag"):
        group_by_pcca(bare, 2, lag=3)
