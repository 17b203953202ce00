"""Populations, autocorrelation, intervals and the embedding plane."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from trajlm.analysis import (
    autocorrelation,
    blocks,
    committed_transitions,
    count_interval,
    euclidean_distances,
    free_energy,
    mean_interval,
    population_intervals,
    populations,
    principal_plane,
)
from trajlm.analysis.uncertainty import block_edges
from trajlm.data import Features, States
from trajlm.discretize import Bins
from trajlm.errors import InputError

TRAJECTORIES = st.lists(
    st.lists(st.integers(0, 3), min_size=2, max_size=40), min_size=1, max_size=5
)


def two_state_chain(p_up, p_down, n_frames, rng):
    """Draw a stationary chain of two states by its geometric dwells."""
    state = int(rng.random() < p_up / (p_up + p_down))
    states = np.empty(n_frames, dtype=int)
    t = 0
    while t < n_frames:
        dwell = rng.geometric(p_down if state else p_up)
        states[t : t + dwell] = state
        t, state = t + dwell, 1 - state
    return states


@given(TRAJECTORIES)
def test_populations_are_fractions_of_frames(trajectories):
    states = States(tuple(np.array(s) for s in trajectories), n_states=5)
    p = populations(states)
    frames = np.concatenate(trajectories)
    np.testing.assert_allclose(p, [np.mean(frames == k) for k in range(5)])
    assert p.sum() == pytest.approx(1)
    low, high = population_intervals(states)
    assert ((low >= 0) & (low <= p) & (p <= high) & (high <= 1)).all()
    assert low[4] == 0
    assert high[4] > 0


def test_free_energy_is_lowest_at_zero_and_infinite_where_unseen():
    states = States((np.array([0] * 10 + [1] * 40 + [2] * 20),), n_states=4)
    result = free_energy(states)
    np.testing.assert_allclose(result.values, [np.log(4), 0, np.log(2), np.inf])
    assert (result.low <= result.values).all()
    assert (result.values <= result.high).all()
    assert np.isfinite(result.low[3])


def test_interval_of_independent_frames_is_the_binomial_one():
    rng = np.random.default_rng(0)
    states = States((rng.integers(0, 4, 100_000),))
    low, high = population_intervals(states)
    expected = 2 * 1.96 * np.sqrt(0.25 * 0.75 / 100_000)
    np.testing.assert_allclose(high - low, expected, rtol=0.35)


@pytest.mark.parametrize(("population", "visits"), [(0.5, 10), (0.5, 40), (0.1, 10), (0.1, 40)])
def test_population_intervals_cover_the_truth(population, visits):
    n_frames = 4000
    p_down = visits / (n_frames * population)
    p_up = p_down * population / (1 - population)
    inside = 0
    for seed in range(300):
        s = two_state_chain(p_up, p_down, n_frames, np.random.default_rng(seed))
        low, high = population_intervals(States((s,), n_states=2))
        inside += low[1] <= population <= high[1]
    assert 0.90 <= inside / 300 <= 0.99


def lanes_with_rare_states(rare, visit, n_frames, n_lanes, seed):
    """Draw a walk over four states; from the first, rare ones are entered for short visits."""
    T = np.zeros((4 + len(rare), 4 + len(rare)))
    for i in range(3):
        T[i, i + 1] = T[i + 1, i] = 0.2
    common = (1 - sum(rare)) / 4
    for k, p in enumerate(rare, 4):
        T[0, k], T[k, 0] = p / visit / common, 1 / visit
    np.fill_diagonal(T, 1 - T.sum(axis=1))
    pi = np.array([common] * 4 + list(rare))
    rng = np.random.default_rng(seed)
    states = np.empty((n_frames, n_lanes), dtype=int)
    states[0] = rng.choice(len(pi), n_lanes, p=pi)
    cumulative = np.cumsum(T, axis=1)
    for t in range(1, n_frames):
        reached = cumulative[states[t - 1]] < rng.random(n_lanes)[:, None]
        states[t] = np.minimum(reached.sum(axis=1), len(pi) - 1)
    return states.T


@pytest.mark.parametrize("visit", [1.5, 12])
@pytest.mark.parametrize("expected", [1, 3])
def test_limit_of_an_unseen_state_holds_its_population(visit, expected):
    # The last state is often unseen; another with visits as long is seen some twenty times.
    n_frames, n_lanes = 4000, 200
    unit = visit / n_frames
    lanes = lanes_with_rare_states((20 * unit, expected * unit), visit, n_frames, n_lanes, 1)
    held = []
    for s in lanes:
        if not (s == 5).any() and (s == 4).any():
            low, high = population_intervals(States((s,), n_states=6))
            assert low[5] == 0
            assert high[5] <= high[:5].min()
            held.append(high[5] >= expected * unit)
    assert len(held) >= 0.5 * n_lanes * np.exp(-expected)
    assert np.mean(held) >= 0.95


def test_unseen_states_are_bounded_by_the_frames_and_not_by_the_blocks():
    rng = np.random.default_rng(0)
    s = rng.integers(0, 4, 35_000)
    s[rng.choice(len(s), 24, replace=False)] = 4
    _, high = population_intervals(States((s,), n_states=6))
    assert high[5] <= high[4] < 1.5e-3
    assert free_energy(States((s,), n_states=6)).low[5] > 5


@pytest.mark.parametrize("visits", [10, 40])
def test_rate_intervals_cover_the_truth(visits):
    n_frames, p_down = 20_000, 0.05
    p_up = visits / n_frames
    truth = p_up * p_down / (p_up + p_down)
    inside, lone = 0, 0
    for seed in range(300):
        s = two_state_chain(p_up, p_down, n_frames, np.random.default_rng(seed))
        result = committed_transitions(States((s,), n_states=2), [1])
        low, high = result.rate_intervals()
        inside += low[0, 0, 1] <= truth <= high[0, 0, 1]
        lone += result.dispersion[0, 0, 1] == 1
    assert 0.90 <= inside / 300 <= 0.99
    assert lone < 300


def test_bursts_of_events_widen_the_interval():
    # Each visit is a burst of eight: the interval must be that of an eighth of the events.
    rng = np.random.default_rng(1)
    inside, poisson = 0, 0
    for _ in range(300):
        block_counts = 8 * rng.poisson(1.5, size=20)
        total = int(block_counts.sum())
        dispersion = max(block_counts.var(ddof=1) / block_counts.mean(), 1.0)
        low, high = (bound / 20 for bound in count_interval(total, dispersion))
        inside += low <= 12 <= high
        low, high = (bound / 20 for bound in count_interval(total))
        poisson += low <= 12 <= high
    assert 0.90 <= inside / 300 <= 0.99
    assert poisson / 300 < 0.7


def test_count_interval_is_the_exact_poisson_interval():
    low, high = count_interval([0, 1, 10])
    np.testing.assert_allclose(low, [0, 0.025317808, 4.795389], rtol=1e-6)
    np.testing.assert_allclose(high, [3.688879, 5.571643, 18.390356], rtol=1e-6)
    with pytest.raises(InputError):
        count_interval(3, level=95)


def test_mean_interval_agrees_with_scipy():
    values = np.array([1.0, 4.0, 2.5, 7.0])
    mean, low, high = mean_interval(values)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose([mean, low, high], [values.mean(), *expected])
    assert mean_interval([3.0]) == (3.0, -np.inf, np.inf)
    with pytest.raises(InputError):
        mean_interval([])


@given(st.lists(st.integers(2, 60), min_size=1, max_size=30), st.integers(1, 10))
def test_blocks_cut_time_and_lose_only_lone_frames(lengths, n_blocks):
    # Every frame has its own number, so that what a block holds can be checked.
    numbers = np.arange(sum(lengths))
    trajectories = tuple(np.split(numbers, np.cumsum(lengths)[:-1]))
    states = States(trajectories)
    parts = blocks(states, n_blocks)
    assert len(parts) <= n_blocks
    kept = np.concatenate([s for part in parts for s in part])
    assert (np.diff(kept) > 0).all()
    assert all((np.diff(s.astype(int)) == 1).all() for part in parts for s in part)
    borders = set(np.cumsum(lengths)[:-1].tolist())
    for part in parts:
        for s in part:
            assert not borders & set(s[1:].tolist())
    edges = block_edges(states, n_blocks)
    assert edges[0] == 0
    assert edges[-1] == len(numbers)
    assert (np.diff(edges) > 0).all()
    assert len(numbers) - len(kept) <= 2 * (len(edges) - 1 + len(lengths))


def test_many_short_trajectories_stay_whole_in_blocks():
    states = States(tuple(np.arange(7) for _ in range(1000)))
    parts = blocks(states, 20)
    assert len(parts) == 20
    assert sum(len(part) for part in parts) == 1000
    assert all(len(s) == 7 for part in parts for s in part)


def autocorrelation_by_definition(trajectories, values, max_lag):
    series = [values[s] for s in trajectories]
    mean = np.concatenate(series).mean()
    result = []
    for lag in range(max_lag + 1):
        pairs = [(x[t] - mean) * (x[t + lag] - mean) for x in series for t in range(len(x) - lag)]
        result.append(np.mean(pairs))
    return np.array(result) / result[0]


@given(TRAJECTORIES, st.integers(1, 6))
def test_autocorrelation_matches_its_definition(trajectories, n_blocks):
    trajectories = [np.array([0, 1, 2, *s]) for s in trajectories]
    values = np.array([-1.0, 0.5, 3.0, 10.0])
    states = States(tuple(trajectories), n_states=4, centers=values)
    max_lag = max(len(s) for s in trajectories) - 1
    result = autocorrelation(states, max_lag, n_blocks=n_blocks)
    expected = autocorrelation_by_definition(trajectories, values, max_lag)
    np.testing.assert_allclose(result.values, expected, atol=1e-9)
    assert (result.low <= result.values).all()
    assert result.values[0] == 1


def test_autocorrelation_does_not_depend_on_its_stretches(monkeypatch):
    rng = np.random.default_rng(0)
    states = States(tuple(rng.integers(3, size=n) for n in (400, 57, 300)), centers=[0.0, 1.0, 5.0])
    whole = autocorrelation(states, 20, n_blocks=3)
    monkeypatch.setattr("trajlm.analysis.correlation.LEAST_STRETCH", 7)
    monkeypatch.setattr("trajlm.analysis.correlation.STRETCH", 1)
    stretched = autocorrelation(states, 20, n_blocks=3)
    np.testing.assert_allclose(stretched.values, whole.values, atol=1e-12)
    np.testing.assert_allclose(stretched.high, whole.high, atol=1e-12)


def test_autocorrelation_of_a_two_state_chain_is_exponential():
    p_up, p_down = 0.02, 0.05
    inside = np.zeros(41)
    for seed in range(200):
        s = two_state_chain(p_up, p_down, 20_000, np.random.default_rng(seed))
        result = autocorrelation(States((s,)), 40, values=[0, 1])
        exact = (1 - p_up - p_down) ** result.lags
        inside += (result.low <= exact) & (exact <= result.high)
    np.testing.assert_allclose(result.values, exact, atol=0.1)
    assert (inside[[5, 20, 40]] >= 0.88 * 200).all()
    assert (inside[[5, 20, 40]] <= 0.99 * 200).all()


def test_autocorrelation_needs_values_and_room():
    states = States((np.array([0, 1, 0, 1]),))
    with pytest.raises(InputError, match="centres"):
        autocorrelation(states, 2)
    with pytest.raises(InputError, match="lag"):
        autocorrelation(states, 4, values=[0, 1])
    with pytest.raises(InputError, match="one value"):
        autocorrelation(states, 2, values=[0.1, 0.1])
    with pytest.raises(InputError, match="shape"):
        autocorrelation(states, 2, values=[1, 2, 3])


@given(st.integers(0, 1000), st.integers(2, 6))
def test_principal_plane_does_not_depend_on_a_rotation(seed, n_columns):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(8, n_columns)) * np.arange(1, n_columns + 1)
    rotation = scipy.stats.ortho_group.rvs(n_columns, random_state=rng)
    plane, explained = principal_plane(vectors)
    turned, _ = principal_plane(vectors @ rotation + 5.0)
    np.testing.assert_allclose(plane, turned, atol=1e-8)
    assert (np.arange(8) @ plane >= -1e-9).all()
    spectrum = np.sort(np.linalg.eigvalsh(np.cov(vectors.T)))[::-1]
    np.testing.assert_allclose(explained, (spectrum / spectrum.sum())[:2])
    np.testing.assert_allclose(plane.var(axis=0, ddof=1), spectrum[:2])


def test_embedding_distances_and_their_limits():
    np.testing.assert_allclose(euclidean_distances([[0, 0], [3, 4]]), [[0, 5], [5, 0]])
    plane, explained = principal_plane([[3.0], [1.0], [2.0]])
    np.testing.assert_allclose(plane, [[-1, 0], [1, 0], [0, 0]])
    np.testing.assert_allclose(explained, [1, 0])
    with pytest.raises(InputError):
        principal_plane([[1.0, 2.0]])
    with pytest.raises(InputError, match="state 1"):
        euclidean_distances([[1.0], [np.nan]])


def test_autocorrelation_of_an_angle_is_that_of_its_vector():
    rng = np.random.default_rng(0)
    # A slow walk about the border at 180 degrees: the numbers jump, the direction does not.
    x = np.full(3000, 180.0)
    for t in range(1, 3000):
        x[t] += 0.98 * (x[t - 1] - 180) + rng.normal(0, 5)
    phi = Features(((x + 180) % 360 - 180,), names=("phi",), periods=((-180.0, 180.0),))
    states = Bins(60).fit_transform(phi)
    vectors = np.exp(1j * np.deg2rad(states.centers[states.trajectories[0]]))
    vectors -= vectors.mean()
    expected = [np.mean((vectors[: 3000 - k] * vectors[k:].conj()).real) for k in range(31)]
    found = autocorrelation(states, 30)
    np.testing.assert_allclose(found.values, np.array(expected) / expected[0], rtol=1e-9)
    assert found.values[1] > 0.9
    assert autocorrelation(states, 30, states.centers).values[1] < 0.9
