"""Transitions, first passages and discrepancy against counts made frame by frame."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajlm.analysis import (
    commit_times,
    committed_transitions,
    discrepancy,
    floor,
    mean_first_passage_time,
    transition_path_times,
)
from trajlm.analysis.uncertainty import block_edges
from trajlm.data import States
from trajlm.errors import InputError

TRAJECTORIES = st.lists(
    st.lists(st.integers(0, 3), min_size=2, max_size=40), min_size=1, max_size=5
)
TAUS = [1, 2, 3, 5, 10]


def as_states(trajectories, n_states=4, **kwargs):
    return States(tuple(np.array(s) for s in trajectories), n_states=n_states, **kwargs)


def count_by_definition(trajectories, tau, n_states=4):
    counts = np.zeros((n_states, n_states), dtype=int)
    for trajectory in trajectories:
        for _, i, j in commits_by_definition(trajectory, tau):
            counts[i, j] += 1
    return counts


def commits_by_definition(trajectory, tau):
    """First frame, state before and state of each committed change."""
    runs, frame = [], 0
    for state, group in groupby(trajectory):
        length = len(list(group))
        if length >= tau:
            runs.append((frame, state))
        frame += length
    return [(t, i, j) for (_, i), (t, j) in pairwise(runs) if i != j]


def markov_chain(T, n_frames, seed, start=0):
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(T, axis=1)
    states = np.empty(n_frames, dtype=int)
    states[0] = start
    for t, u in enumerate(rng.random(n_frames - 1)):
        states[t + 1] = min(np.searchsorted(cumulative[states[t]], u, side="right"), len(T) - 1)
    return states


@given(TRAJECTORIES)
def test_committed_transitions_match_their_definition(trajectories):
    result = committed_transitions(as_states(trajectories), TAUS)
    for m, tau in enumerate(TAUS):
        np.testing.assert_array_equal(result.counts[m], count_by_definition(trajectories, tau))
    frames = np.concatenate(trajectories)
    np.testing.assert_array_equal(result.time_in_state, np.bincount(frames, minlength=4))


@given(TRAJECTORIES)
def test_time_reversal_transposes_the_counts(trajectories):
    forward = committed_transitions(as_states(trajectories), TAUS)
    backward = committed_transitions(as_states([s[::-1] for s in trajectories]), TAUS)
    np.testing.assert_array_equal(forward.counts, backward.counts.transpose(0, 2, 1))


@given(TRAJECTORIES, st.randoms(use_true_random=False))
def test_the_order_of_trajectories_changes_no_count(trajectories, random):
    shuffled = random.sample(trajectories, len(trajectories))
    a = committed_transitions(as_states(trajectories), TAUS)
    b = committed_transitions(as_states(shuffled), TAUS)
    np.testing.assert_array_equal(a.counts, b.counts)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.data())
def test_cutting_a_trajectory_never_adds_a_transition(trajectory, data):
    cut = data.draw(st.integers(2, len(trajectory) - 2))
    whole = committed_transitions(as_states([trajectory]), TAUS)
    parts = committed_transitions(as_states([trajectory[:cut], trajectory[cut:]]), TAUS)
    # Cutting a run can uncommit it and so join its neighbours: totals, not pairs, go down.
    assert (parts.counts.sum((1, 2)) <= whole.counts.sum((1, 2))).all()
    assert (parts.counts[0] <= whole.counts[0]).all()


def test_joined_trajectories_invent_no_transition():
    result = committed_transitions(as_states([[0, 0, 0], [1, 1, 1]]), [1, 2])
    assert result.counts.sum() == 0


@given(TRAJECTORIES, st.integers(2, 6))
def test_dispersion_is_the_variance_over_the_mean_of_blocks(trajectories, n_blocks):
    # Long equal trajectories, one a block: each block then counts on its own.
    padded = [(s * 20)[:40] for s in trajectories]
    result = committed_transitions(as_states(padded), [1], n_blocks=len(padded))
    by_block = np.array([count_by_definition([s], 1) for s in padded])
    if len(padded) > 1:
        mean = np.maximum(by_block.mean(0), 1e-9)
        expected = np.maximum(by_block.var(0, ddof=1) / mean, 1)
        np.testing.assert_allclose(result.dispersion[0], expected)


@given(TRAJECTORIES, st.integers(2, 9), st.integers(1, 4))
def test_dispersion_over_blocks_that_begin_anywhere(trajectories, n_blocks, tau):
    states = as_states([(s * 9)[:60] for s in trajectories])
    result = committed_transitions(states, [1, tau + 1], n_blocks)
    edges = block_edges(states, n_blocks)
    by_block = np.zeros((len(edges) - 1, *result.counts[1].shape))
    first = 0
    for s in states:
        for frame, i, j in commits_by_definition(s.tolist(), tau + 1):
            by_block[np.searchsorted(edges, first + frame, side="right") - 1, i, j] += 1
        first += len(s)
    np.testing.assert_array_equal(by_block.sum(0), result.counts[1])
    expected = by_block.sum(0) * (np.diff(edges) / edges[-1])[:, None, None]
    squares = (by_block - expected) ** 2 / np.maximum(expected, 1e-9)
    np.testing.assert_allclose(
        result.dispersion[1], np.maximum(squares.sum(0) / (len(edges) - 2), 1)
    )


def test_many_states_of_which_few_are_seen():
    trajectory = np.array([0, 7, 999, 7, 0] * 50)
    result = committed_transitions(as_states([trajectory], n_states=1000), [1, 2], n_blocks=7)
    seen = {(i, j): int(result.counts[0, i, j]) for i, j in np.argwhere(result.counts[0])}
    assert seen == {(0, 7): 50, (7, 999): 50, (999, 7): 50, (7, 0): 50}
    assert not (result.dispersion < 1).any()


def test_rates_and_waiting_times_are_in_units_of_time():
    states = as_states([[0] * 30 + [1] * 10 + [0] * 60], n_states=3, dt=0.5, unit="ns")
    result = committed_transitions(states, [1, 20])
    assert result.total_time == 50
    assert result.rates()[0, 0, 1] == 1 / 50
    waiting = result.mean_waiting_times()
    assert waiting[0, 0, 1] == 45
    assert waiting[0, 1, 0] == 5
    assert waiting[1, 0, 1] == np.inf
    assert np.isnan(waiting[0, 2, 0])
    low, high = result.rate_intervals()
    np.testing.assert_allclose(
        [low[0, 0, 1], high[0, 0, 1]], np.array([0.0253178, 5.571643]) / 50, rtol=1e-5
    )
    np.testing.assert_allclose(high[1, 0, 1], 3.688879 / 50, rtol=1e-6)
    shortest, longest = result.waiting_time_intervals()
    np.testing.assert_allclose(longest[0, 0, 1], 45 / 0.0253178, rtol=1e-5)
    assert shortest[0, 0, 1] < 45


@pytest.mark.parametrize("bad", [[], [0, 1], [2, 1], [1, 1], [1.5], [[1, 2]]])
def test_bad_commit_times_are_refused(bad):
    with pytest.raises(InputError, match="commit times"):
        committed_transitions(as_states([[0, 1, 0]]), bad)


def test_commit_times_are_a_ladder():
    assert commit_times(200).tolist() == [1, 2, 5, 10, 20, 50, 100, 200]
    assert commit_times(199).tolist() == [1, 2, 5, 10, 20, 50, 100]
    assert commit_times(1).tolist() == [1]
    with pytest.raises(InputError):
        commit_times(0)


def passages_by_definition(trajectories, source, target):
    durations, running, paths = [], [], []
    for trajectory in trajectories:
        been_in_target, begin, last_source = False, None, None
        for t, s in enumerate(trajectory):
            if s in source:
                if been_in_target and begin is None:
                    begin = t
                last_source = t
            elif s in target:
                if begin is not None:
                    durations.append(t - begin)
                if last_source is not None:
                    paths.append(t - last_source)
                been_in_target, begin, last_source = True, None, None
        if begin is not None:
            running.append(len(trajectory) - 1 - begin)
    return durations, running, paths


@given(TRAJECTORIES)
def test_passages_match_their_definition(trajectories):
    states = as_states(trajectories, dt=2.0)
    durations, running, paths = passages_by_definition(trajectories, {0}, {2, 3})
    passage = mean_first_passage_time(states, 0, [2, 3])
    assert passage.durations.tolist() == durations
    assert (passage.n_events, passage.n_censored) == (len(durations), len(running))
    exposure = 2.0 * (sum(durations) + sum(running))
    if durations:
        assert passage.mean == pytest.approx(exposure / len(durations))
        assert passage.low < passage.mean < passage.high
    elif exposure:
        assert passage.mean == passage.high == np.inf
        assert passage.low == pytest.approx(exposure / 3.688879)
    else:
        assert np.isnan(passage.mean)
    path = transition_path_times(states, [0], [2, 3])
    assert path.durations.tolist() == paths
    assert np.isnan(path.mean) if not paths else path.mean == pytest.approx(2 * np.mean(paths))


def test_first_passage_of_a_two_state_chain_is_one_over_p():
    p = 0.02
    s = markov_chain(np.array([[1 - p, p], [0.05, 0.95]]), 200_000, seed=1)
    whole = mean_first_passage_time(as_states([s], 2), 0, 1)
    assert whole.low < 1 / p < whole.high
    assert whole.mean == pytest.approx(1 / p, rel=0.06)
    # Many passages do not fit in 50 frames: without the censored ones the mean would be half.
    short = mean_first_passage_time(as_states(s.reshape(-1, 50), 2), 0, 1)
    assert short.mean == pytest.approx(1 / p, rel=0.12)


def test_first_passage_agrees_with_deeptime():
    from deeptime.markov.msm import MarkovStateModel

    T = np.array([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.02, 0.98]])
    s = markov_chain(T, 200_000, seed=2)
    exact = MarkovStateModel(T).mfpt([0], [2])
    result = mean_first_passage_time(as_states([s], 3), 0, 2)
    assert result.low < exact < result.high
    assert result.mean == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize(("source", "target"), [([], [1]), ([0], [4]), ([0, 1], [1]), ([-1], [1])])
def test_bad_sets_are_refused(source, target):
    with pytest.raises(InputError, match=r"source|target"):
        mean_first_passage_time(as_states([[0, 1, 2, 3]]), source, target)


def test_discrepancy_is_the_mean_log_ratio():
    reference = as_states([[0, 1] * 50 + [0], [2, 3] * 5 + [2]])
    generated = as_states([[0, 1] * 25 + [0] * 51, [2, 3] * 5 + [2]])
    a = committed_transitions(reference, [1])
    b = committed_transitions(generated, [1])
    result = discrepancy(a, b)
    assert result.n_terms == 2
    assert result.source.tolist() == [0, 1]
    assert result.value == pytest.approx(np.log(2))
    assert discrepancy(a, a).value == 0
    frozen = committed_transitions(as_states([[0] * 101, [2] * 11]), [1])
    assert discrepancy(a, frozen).value == pytest.approx(np.log(50 / 0.5))


def test_discrepancy_compares_rates_per_time_not_counts():
    fine = committed_transitions(as_states([[0, 0, 1, 1] * 100], 2, dt=0.5, unit="ps"), [2])
    coarse = committed_transitions(as_states([[0, 1] * 50], 2, dt=1.0, unit="ps"), [1])
    # 100 and 99 transitions in 200 ps, 50 and 49 in 100 ps, all committed for 1 ps.
    assert discrepancy(fine, coarse).value == pytest.approx(np.log(99 / 98) / 2)


def test_discrepancy_without_terms_is_nan():
    a = committed_transitions(as_states([[0, 1, 0, 1]]), [1])
    result = discrepancy(a, a)
    assert np.isnan(result.value)
    assert result.n_terms == 0


@pytest.mark.parametrize(
    ("other", "taus"),
    [
        (as_states([[0, 1, 0]], n_states=2), [1, 2]),
        (as_states([[0, 1, 0]], unit="ps"), [1, 2]),
        (as_states([[0, 1, 0]], dt=0.1), [1, 2]),
        (as_states([[0, 1, 0]]), [1, 2, 5]),
    ],
)
def test_data_that_cannot_be_compared_are_refused(other, taus):
    reference = committed_transitions(as_states([[0, 1, 0]]), [1, 2])
    with pytest.raises(InputError):
        discrepancy(reference, committed_transitions(other, taus))


def test_floor_compares_the_two_halves_in_time():
    states = as_states([[0, 1] * 100 + [0, 0, 1, 1] * 50], n_states=2)
    result = floor(states, [1])
    assert result.reference_counts.tolist() == [100, 99]
    assert result.generated_counts.tolist() == [50, 49]
    assert result.value == pytest.approx((np.log(100 / 50) + np.log(99 / 49)) / 2)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_floor_of_a_stationary_chain_is_near_its_noise(seed):
    rng = np.random.default_rng(seed)
    states = as_states([rng.integers(0, 2, 4000)], n_states=2)
    # 500 events in each half: the log ratio scatters by less than sqrt(2 / 500).
    assert floor(states, [1]).value < 5 * np.sqrt(2 / 500)
