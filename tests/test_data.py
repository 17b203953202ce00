import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlm.data import Features, States, as_features, as_states
from trajlm.errors import InputError


@given(st.lists(st.lists(st.integers(0, 300), min_size=2, max_size=30), min_size=1, max_size=5))
def test_states_keep_numbers_lengths_and_the_smallest_type(lists):
    states = States(tuple(np.array(s) for s in lists))
    assert [s.tolist() for s in states] == lists
    largest = max(max(s) for s in lists)
    assert states.n_states == largest + 1
    assert all(s.dtype == (np.uint8 if largest < 256 else np.uint16) for s in states)
    assert states.n_transitions == states.n_frames - len(lists)


@given(
    st.lists(st.integers(2, 20), min_size=1, max_size=5),
    st.integers(0, 100),
)
def test_cutting_in_two_keeps_every_frame_in_order(lengths, frame):
    ends = np.cumsum(lengths)
    states = States(tuple(np.arange(e - n, e) for n, e in zip(lengths, ends, strict=True)))
    try:
        head, tail = states.split_at(frame)
    except InputError:
        return
    for part, inside in ((head, lambda k: k < frame), (tail, lambda k: k >= frame)):
        for s in part:
            assert (np.diff(s.astype(int)) == 1).all()
            assert all(inside(int(k)) for k in s)
    # Only pieces of one frame, which hold no transition, may be lost.
    assert states.n_frames - head.n_frames - tail.n_frames <= 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"trajectories": ()}, "no trajectory"),
        ({"trajectories": ([0, 1], [3, -2])}, "trajectory 1, frame 1 is negative"),
        ({"trajectories": ([0, 1.5],)}, "frame 1 is not a whole number"),
        ({"trajectories": ([0, np.nan],)}, "frame 1 is not a whole number"),
        ({"trajectories": ([0, 5],), "n_states": 3}, "frame 1 is out of range"),
        ({"trajectories": ([0],)}, "at least two"),
        ({"trajectories": (np.zeros((2, 2), int),)}, "one number a frame"),
        ({"trajectories": (np.array(["a", "b"]),)}, "integers"),
        ({"trajectories": ([0, 1],), "dt": 0.0}, "dt must be"),
        ({"trajectories": ([0, 1],), "dt": float("inf")}, "dt must be"),
        ({"trajectories": ([0, 1],), "unit": ""}, "unit"),
        ({"trajectories": ([0, 1],), "centers": [0.0]}, "1 state centres"),
    ],
)
def test_what_states_refuse(arguments, word):
    with pytest.raises(InputError, match=word):
        States(**arguments)


@pytest.mark.parametrize(
    ("trajectories", "word"),
    [
        ((), "no trajectory"),
        ((np.zeros((0, 2)),), "empty"),
        ((np.zeros((3, 2)), np.zeros((3, 1))), "trajectory 1 has 1 columns"),
        ((np.array([[0.0, 1.0], [2.0, np.nan]]),), "frame 1, column 'x1'"),
        ((np.array([0.0, np.inf]),), "frame 1, column 'x0'"),
        ((np.array(["a"]),), "not numbers"),
        ((np.zeros((2, 2, 2)),), "shape"),
    ],
)
def test_what_features_refuse(trajectories, word):
    with pytest.raises(InputError, match=word):
        Features(trajectories)


def test_unknown_column_lists_those_there_are():
    features = Features((np.zeros((3, 2)),), names=("phi", "psi"))
    with pytest.raises(InputError, match="phi, psi"):
        features.select(["chi"])
    assert features.select(["psi"]).names == ("psi",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 1, 0, 1], [[0, 1, 0, 1]]),
        ((0, 1, 1), [[0, 1, 1]]),
        (np.array([0, 1, 2]), [[0, 1, 2]]),
        (np.array([[0, 1], [1, 0]]), [[0, 1], [1, 0]]),
        ([[0, 1], [1, 0, 2]], [[0, 1], [1, 0, 2]]),
        ([np.array([0, 1]), [1, 0, 2]], [[0, 1], [1, 0, 2]]),
        ((s for s in ([0, 1], [1, 0])), [[0, 1], [1, 0]]),
        ([True, False], [[1, 0]]),
        (States([0, 3]), [[0, 3]]),
    ],
)
def test_what_is_read_as_states(given, expected):
    assert [s.tolist() for s in as_states(given)] == expected


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ([0.5, 1.5, 2.5], [(3, 1)]),
        (np.zeros(4), [(4, 1)]),
        (np.zeros((4, 2)), [(4, 2)]),
        (np.zeros((3, 4, 2)), [(4, 2)] * 3),
        ([np.zeros(3), np.zeros((2, 1))], [(3, 1), (2, 1)]),
        ([[0.0, 1.0], [2.0]], [(2, 1), (1, 1)]),
        (Features(np.zeros((4, 2)), ("a", "b")), [(4, 2)]),
    ],
)
def test_what_is_read_as_features(given, shapes):
    assert [x.shape for x in as_features(given)] == shapes


@pytest.mark.parametrize("given", [5, "01", None, b"01"])
def test_what_is_no_trajectory(given):
    for read in (as_states, as_features):
        with pytest.raises(InputError):
            read(given)


def test_features_are_not_taken_for_states_nor_states_for_features():
    with pytest.raises(InputError, match="discretise"):
        as_states(Features([0.0, 1.0]))
    with pytest.raises(InputError, match="states already"):
        as_features(States([0, 1]))


ARRAYS = [
    np.array([0, 1, 2], np.uint8),
    np.array([0, 1, 2], np.int64),
    np.array([0.0, 1.0, 2.0]),
    np.array([0.0, 9.0, 1.0, 9.0, 2.0, 9.0])[::2],
]


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: memoryview(x).obj])
def test_a_later_write_into_the_users_array_changes_nothing(array, wrap):
    array = array.copy()
    states, features = States(wrap(array)), Features(wrap(array))
    array[:] = 7
    assert states[0].tolist() == [0, 1, 2]
    assert features[0].ravel().tolist() == [0, 1, 2]


def test_a_read_only_view_of_a_users_array_is_still_the_users():
    array = np.array([0, 1, 2], np.uint8)
    view = array[:]
    view.flags.writeable = False
    states = States(view)
    array[:] = 0
    assert states[0].tolist() == [0, 1, 2]


def test_centres_are_not_the_users():
    centers = np.array([0.0, 1.0])
    states = States([0, 1], centers=centers)
    centers[:] = 7
    assert states.centers.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        states.centers[0] = 1


def test_what_the_package_holds_is_read_only_and_shared_not_copied():
    states = States([0, 1, 2, 1, 0])
    with pytest.raises(ValueError, match="read-only"):
        states[0][0] = 1
    head, tail = states.split_at(2)
    assert np.shares_memory(head[0], states[0])
    assert np.shares_memory(tail[0], states[0])
    assert np.shares_memory(States(states)[0], states[0])


def test_states_index_iterate_and_slice():
    states = States([[0, 1], [1, 2], [2, 0]], dt=0.5, unit="ps", centers=[0.0, 1.0, 2.0])
    assert len(states) == 3
    assert states[-1].tolist() == [2, 0]
    assert [s.tolist() for s in states[1:]] == [[1, 2], [2, 0]]
    assert (states[1:].dt, states[1:].unit, states[1:].n_states) == (0.5, "ps", 3)
    with pytest.raises(IndexError):
        states[3]


def test_features_index_iterate_and_slice():
    features = Features([np.zeros((2, 2)), np.ones((3, 2))], ("a", "b"), 0.5, "ps")
    assert len(features) == 2
    assert features[1].shape == (3, 2)
    assert [len(x) for x in features] == [2, 3]
    assert features[1:].names == ("a", "b")


def test_states_and_features_compare_by_their_content():
    assert (States([0, 1, 0]) == States(np.array([0, 1, 0]))) is True
    for other in (
        States([0, 1, 1]),
        States([0, 1, 0], n_states=3),
        States([0, 1, 0], dt=2.0),
        States([0, 1, 0], centers=[0.0, 1.0]),
        States([[0, 1, 0], [0, 1, 0]]),
        [0, 1, 0],
    ):
        assert (States([0, 1, 0]) == other) is False
    assert (Features([0.0, 1.0]) == Features([0.0, 1.0])) is True
    for different in (
        Features([0.0, 2.0]),
        Features([0.0, 1.0], ("phi",)),
        Features([0.0, 1.0], periods=((0.0, 6.0),)),
        None,
    ):
        assert (Features([0.0, 1.0]) == different) is False
    for thing in (States([0, 1]), Features([0.0])):
        with pytest.raises(TypeError):
            hash(thing)


def test_states_and_features_survive_a_copy_and_a_pickle():
    import copy
    import pickle

    for thing in (States([[0, 1], [1, 0]], dt=0.5, unit="ps"), Features([0.5, 1.5], ("phi",))):
        assert copy.deepcopy(thing) == thing
        assert pickle.loads(pickle.dumps(thing)) == thing
