import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlm.data import Features, States
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
