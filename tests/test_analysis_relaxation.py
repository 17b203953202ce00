"""Transition probabilities over time, kinetic maps, hidden paths, slow coordinates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trajlm.analysis import (
    extreme_frames,
    group_by_list,
    kinetic_map,
    transition_probabilities,
)
from trajlm.data import Features, States
from trajlm.discretize import Bins, KMeans
from trajlm.errors import InputError
from trajlm.evaluate.coordinates import slow_columns
from trajlm.io import read_features, read_states, write_features, write_states
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.models.markov import fit_msm

T = np.array([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.2, 0.8]])


def chain(n: int, seed: int = 0) -> States:
    rng = np.random.default_rng(seed)
    draws = rng.random(n)
    edges = T.cumsum(axis=1)
    path = np.zeros(n, dtype=int)
    for t in range(1, n):
        path[t] = np.searchsorted(edges[path[t - 1]], draws[t])
    return States(np.minimum(path, 2), 3, dt=0.5, unit="ns")


def test_the_matrix_over_time_is_the_power_of_the_step_within_its_interval():
    found = transition_probabilities(chain(60_000), [1, 3, 10])
    for k, lag in enumerate(found.lags):
        exact = np.linalg.matrix_power(T, int(lag))
        inside = (found.low[k] - 1e-3 <= exact) & (exact <= found.high[k] + 1e-3)
        assert inside.sum() >= 7
        np.testing.assert_allclose(found.values[k], exact, atol=0.05)
        np.testing.assert_allclose(found.values[k].sum(axis=1), 1)
    assert (found.low <= found.values).all()
    assert (found.values <= found.high).all()
    with pytest.raises(InputError, match="lag"):
        transition_probabilities(chain(10), [10])


def test_no_pair_crosses_a_border():
    found = transition_probabilities([np.array([0, 0, 0]), np.array([1, 1, 1])], [1, 2])
    np.testing.assert_allclose(found.values, np.broadcast_to(np.eye(2), (2, 2, 2)))


@pytest.mark.parametrize("stride", [1, 3])
def test_pairs_are_counted_at_every_stride(stride):
    states = chain(500)
    s = states.trajectories[0].astype(int)
    expected = np.zeros((3, 3))
    for t in range(0, 500 - 7, stride):
        expected[s[t], s[t + 7]] += 1
    np.testing.assert_array_equal(states.transition_counts(7, stride), expected)


def test_the_kinetic_map_has_the_eigenvectors_of_the_symmetrised_counts():
    states = chain(20_000)
    found = kinetic_map(states, 2)
    counts = states.transition_counts(2)
    symmetric = counts + counts.T
    share = symmetric.sum(axis=1) / symmetric.sum()
    values, right = np.linalg.eig(symmetric / symmetric.sum(axis=1, keepdims=True))
    order = np.argsort(-values.real)[1:]
    for k, j in enumerate(order):
        psi = right[:, j].real
        psi = psi / np.sqrt(share @ psi**2) * values[j].real
        overlap = abs(psi @ found.coordinates[:, k])
        norms = np.linalg.norm(psi) * np.linalg.norm(found.coordinates[:, k])
        assert overlap == pytest.approx(norms)
        assert found.timescales[k] == pytest.approx(-2 * 0.5 / np.log(values[j].real))
        assert share @ found.coordinates[:, k] ** 2 == pytest.approx(values[j].real ** 2)


def test_states_that_the_largest_part_leaves_out_are_not_on_the_map():
    found = kinetic_map([np.array([0, 1] * 20), np.array([3, 3])], 1)
    assert np.isnan(found.coordinates[[2, 3]]).all()
    assert np.isfinite(found.coordinates[[0, 1]]).all()


def test_the_most_likely_path_is_the_best_of_all():
    rng = np.random.default_rng(3)
    hidden, emission = rng.dirichlet(np.ones(2), size=2), rng.dirichlet(np.ones(3), size=2)
    first = np.array([0.4, 0.6])
    model = HiddenMarkovModel(hidden, emission, first, States([0, 1, 2], 3).space)
    seen = np.array([0, 2, 1, 1, 0, 2, 2])

    def probability(path: tuple[int, ...]) -> float:
        p = first[path[0]] * emission[path[0], seen[0]]
        for t in range(1, len(seen)):
            p *= hidden[path[t - 1], path[t]] * emission[path[t], seen[t]]
        return float(p)

    best = max(itertools.product(range(2), repeat=len(seen)), key=probability)
    (found,) = model.most_likely_path(seen)
    assert tuple(found) == best
    with pytest.raises(InputError, match="unknown"):
        model.most_likely_path(np.array([0, 3]))


def test_few_frames_keep_every_excursion():
    values = np.zeros(10_000)
    values[[17, 5003]] = 1, -1
    kept = extreme_frames(values, 100)
    assert len(kept) <= 100
    assert (np.diff(kept) > 0).all()
    assert {17, 5003} <= set(kept.tolist())
    np.testing.assert_array_equal(extreme_frames([3, 1], 10), [0, 1])


def test_the_slow_coordinate_is_the_one_that_tells_the_groups_apart():
    rng = np.random.default_rng(0)
    slow = np.repeat([0.0, 5.0, 0.0, 5.0], 500) + rng.normal(size=2000) * 0.3
    fast = rng.normal(size=2000) * 3
    data = Features((np.column_stack([fast, slow]),), ("fast", "slow"))
    states = KMeans(8).fit_transform(data)
    grouping = group_by_list(states, (states.centers[:, 1] > 2.5).astype(int))
    shares = states.counts() / states.n_frames
    assert slow_columns(states.space, grouping, shares) == (1, 0)
    assert slow_columns(chain(10).space, grouping, shares) == ()


def test_units_of_columns_go_with_states(tmp_path):
    x = np.random.default_rng(0).uniform(0, 1, size=(50, 2))
    made = Features((x,), ("d", "phi"), periods=(None, (-180, 180)), column_units=("nm", ""))
    assert made.column_units == ("nm", "deg")
    assert Features((x,), periods=((-np.pi, np.pi), None)).column_units == ("rad", "")
    write_features(tmp_path / "f.npz", made)
    back = read_features(tmp_path / "f.npz")
    assert back.column_units == made.column_units
    assert back.select(["phi"]).column_units == ("deg",)
    states = Bins(4).fit_transform(back.select(["d"]))
    write_states(tmp_path / "s.npz", states)
    assert read_states(tmp_path / "s.npz").discretization.column_units == ("nm",)
    assert fit_msm(states).space.discretization.column_units == ("nm",)
    with pytest.raises(InputError, match="units"):
        Features((x,), column_units=("nm",))
