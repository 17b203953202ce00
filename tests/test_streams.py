import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlm.data import States
from trajlm.lstm.training.batching import PADDING, choose_n_streams, lay_streams

trajectories = st.lists(st.integers(2, 60), min_size=1, max_size=8)


def labelled(lengths):
    """States whose number tells trajectory and frame, so that a target names its transition."""
    ends = np.cumsum(lengths)
    return States(tuple(np.arange(e - n, e) for n, e in zip(lengths, ends, strict=True)))


@given(trajectories, st.integers(1, 5), st.integers(2, 20), st.booleans(), st.integers(0, 9))
def test_every_transition_is_a_target_exactly_once_and_none_crosses_a_border(
    lengths, n_streams, window, shuffled, seed
):
    states = labelled(lengths)
    rng = np.random.default_rng(seed) if shuffled else None
    streams = lay_streams(states, n_streams, window, rng)
    seen = []
    for w in streams:
        used = w.targets != PADDING
        np.testing.assert_array_equal(w.targets[used], w.inputs[used] + 1)
        seen += w.targets[used].tolist()
    first_frames = {int(s[0]) for s in states}
    assert sorted(seen) == sorted(set(range(states.n_frames)) - first_frames)
    assert streams.n_targets == states.n_transitions


@given(trajectories, st.integers(1, 5), st.integers(2, 6), st.integers(0, 9))
def test_memory_is_carried_only_from_the_frame_before(lengths, n_streams, window, seed):
    states = labelled(lengths)
    streams = lay_streams(states, n_streams, window, np.random.default_rng(seed))
    last = np.full(n_streams, -1)
    for w in streams:
        for lane in range(n_streams):
            frames = w.inputs[w.targets[:, lane] != PADDING, lane]
            if len(frames) and not w.fresh[lane]:
                assert frames[0] == last[lane] + 1
            # Memory that has run over padding must not be used again.
            full = len(frames) == window
            last[lane] = frames[-1] if full else -2


@given(trajectories, st.integers(1, 5), st.integers(2, 20), st.integers(0, 9))
def test_streams_read_both_ways_hold_every_transition_once(lengths, n_streams, window, seed):
    states = labelled(lengths)
    rng = np.random.default_rng(seed)
    streams = lay_streams(states, n_streams, window, rng, both_ways=True)
    seen, turned = [], set()
    last = np.full(n_streams, -9)
    for w in streams:
        for lane in range(n_streams):
            used = w.targets[:, lane] != PADDING
            inputs, targets = w.inputs[used, lane], w.targets[used, lane]
            if not len(inputs):
                continue
            (direction,) = set((targets - inputs).tolist())
            turned |= {lane} if direction == -1 else set()
            seen += np.maximum(inputs, targets).tolist()
            if not w.fresh[lane]:
                assert inputs[0] == last[lane]
            last[lane] = targets[-1] if len(inputs) == window else -9
    first_frames = {int(s[0]) for s in states}
    assert sorted(seen) == sorted(set(range(states.n_frames)) - first_frames)
    assert len(turned) <= (n_streams + 1) // 2


def test_half_of_the_streams_are_read_backwards_and_others_each_time():
    states = labelled([10_000])
    backwards = np.zeros(8)
    for seed in range(20):
        streams = lay_streams(states, 8, 10, np.random.default_rng(seed), both_ways=True)
        turned = next(iter(streams)).targets[0] < next(iter(streams)).inputs[0]
        assert turned.sum() == 4
        backwards += turned
    assert (backwards > 3).all()
    assert (backwards < 17).all()


def test_every_trajectory_begins_with_cleared_memory():
    states = labelled([50, 30, 40])
    streams = lay_streams(states, 2, 10, np.random.default_rng(0))
    firsts = {int(s[0]) for s in states}
    begun = set()
    for w in streams:
        begun |= {int(w.inputs[0, k]) for k in np.flatnonzero(w.fresh)}
    assert firsts <= begun


def test_small_data_gets_few_streams():
    assert choose_n_streams(labelled([400]), 100, 64) == 1
    assert choose_n_streams(States((np.zeros(400_000, int) % 2,), 2), 100, 64) == 64


@pytest.mark.parametrize("n_streams", [1, 3, 64])
def test_streams_are_contiguous_pieces_of_one_trajectory(n_streams):
    states = labelled([1000])
    streams = lay_streams(states, n_streams, 10)
    starts = streams.pieces[:, :, 1]
    used = streams.pieces[:, :, 2] > starts
    for lane in range(n_streams):
        mine = starts[used[:, lane], lane]
        assert (np.diff(mine) == 10).all()
