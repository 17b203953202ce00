"""Cutting, smoothing and spike removal against brute force."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trajlm.data import Features, States, StateSpace
from trajlm.discretize import (
    Bins,
    KMeans,
    NearestCenters,
    average,
    decimate,
    discretizer_of,
    find_difference,
    periods_of,
    remove_spikes,
    smooth,
)
from trajlm.errors import InputError
from trajlm.io import read_states, write_states

ALANINE = Path(os.environ.get("TRAJLM_DATA", "data")) / "alanine" / "phi_psi_450K_0p1ps_100ns.npy"
PI = (-np.pi, np.pi)
FEW = settings(max_examples=60, deadline=None)


def periodic(*trajectories: np.ndarray, period: tuple[float, float] = PI) -> Features:
    return Features(trajectories, names=("phi",), dt=0.1, unit="ps", periods=(period,))


# ---------------------------------------------------------------- bins


@FEW
@given(
    x=hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(-1, 1)),
    n=st.integers(1, 40),
)
def test_bins_are_those_of_numpy_histogram(x, n):
    states = Bins(n, range=(-1, 1)).fit_transform(Features((x,)))
    counts, edges = np.histogram(x, bins=np.linspace(-1, 1, n + 1))
    assert np.bincount(states.trajectories[0], minlength=n).tolist() == counts.tolist()
    np.testing.assert_allclose(states.centers, (edges[1:] + edges[:-1]) / 2, atol=1e-15)
    for value, k in zip(x, states.trajectories[0], strict=True):
        assert edges[k] <= value
        assert value < edges[k + 1] or (k == n - 1 and value == 1)


def test_bins_over_the_data_reach_from_lowest_to_highest():
    features = Features((np.array([3.0, 5.0]), np.array([1.0, 4.0])))
    states = Bins(4).fit_transform(features)
    assert [s.tolist() for s in states] == [[2, 3], [0, 3]]
    assert states.centers.tolist() == [1.5, 2.5, 3.5, 4.5]


def test_empty_bins_keep_their_numbers():
    states = Bins(10, range=(0, 10)).fit_transform(Features((np.array([0.5, 9.5]),)))
    assert states.trajectories[0].tolist() == [0, 9]
    assert states.n_states == 10


def test_pi_falls_in_the_first_bin_of_a_periodic_column_and_in_the_last_of_another():
    x = np.array([-np.pi, np.pi, 0.0, 3 * np.pi, np.pi - 1e-12, -np.pi - 1e-12])
    bins = Bins(4, range=PI)
    assert bins.fit_transform(periodic(x)).trajectories[0].tolist() == [0, 0, 2, 0, 3, 3]
    assert bins.fit_transform(Features((x[:3],))).trajectories[0].tolist() == [0, 3, 2]


def test_range_shifted_by_less_than_a_period_wraps_too():
    x = np.array([-np.pi, -0.1, 0.1, 3.0])
    states = Bins(4, range=(0, 2 * np.pi)).fit_transform(periodic(x))
    assert states.trajectories[0].tolist() == [2, 3, 0, 1]


@FEW
@given(x=hnp.arrays(np.float64, 20, elements=st.floats(-100, 100)), turns=st.integers(-3, 3))
def test_bins_do_not_change_under_a_shift_by_whole_periods(x, turns):
    bins = Bins(7, range=(0, 1)).fit(periodic(x, period=(0.0, 1.0)))
    a = bins.transform(periodic(x, period=(0.0, 1.0))).trajectories[0].astype(int)
    b = bins.transform(periodic(x + turns, period=(0.0, 1.0))).trajectories[0].astype(int)
    on_edge = np.abs(7 * x - np.round(7 * x)) < 1e-9
    np.testing.assert_array_equal(a[~on_edge], b[~on_edge])


def test_single_precision_pi_is_not_outside():
    x = np.array([np.pi, -np.pi], dtype=np.float32).astype(float)
    assert x[0] > np.pi
    assert Bins(20, range=PI).fit_transform(Features((x,))).trajectories[0].tolist() == [19, 0]


def test_value_outside_the_range_is_refused_where_it_is():
    features = Features((np.zeros(3), np.array([0.0, 0.0, 1.25])))
    with pytest.raises(InputError, match=r"trajectory 1, frame 2: the value 1.25 .* widen"):
        Bins(3, range=(-1, 1)).fit_transform(features)


def test_unequal_edges():
    states = Bins(edges=(0, 1, 10)).fit_transform(Features((np.array([0.5, 1.0, 10.0]),)))
    assert states.trajectories[0].tolist() == [0, 1, 1]
    assert states.centers.tolist() == [0.5, 5.5]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Bins(0), "number of bins"),
        (lambda: Bins(), "number of bins"),
        (lambda: Bins(2.5), "number of bins"),
        (lambda: Bins(3, range=(1, 1)), "increasing"),
        (lambda: Bins(3, range=(0, np.nan)), "finite"),
        (lambda: Bins(3, edges=(0, 1)), "make 1 bins"),
        (lambda: Bins(edges=(0, 2, 1)), "increasing"),
        (lambda: Bins(3, range=("a", "b")), "not numbers"),
        (lambda: Bins(3).transform(Features((np.arange(3.0),))), "fit first"),
        (lambda: Bins(3).fit(Features((np.ones(3),))), "span no range"),
        (lambda: Bins(3).fit(Features((np.ones((3, 2)),))), "x0, x1: select one"),
        (lambda: NearestCenters([]), "shape"),
        (lambda: NearestCenters([1.0, np.inf]), "finite"),
        (lambda: NearestCenters([1.0, 1.0]), "twice"),
        (lambda: NearestCenters([0, 1]).fit(Features((np.ones((3, 2)),))), "1 column"),
        (lambda: KMeans(0), "number of clusters"),
        (lambda: KMeans(2, seed=-1), "seed"),
        (lambda: KMeans(2).transform(Features((np.arange(3.0),))), "fit first"),
        (lambda: KMeans(3).fit(Features((np.array([1.0, 2, 1, 2]),))), "2 distinct points"),
        (lambda: discretizer_of(States([0, 1])), "nothing says"),
        (lambda: discretizer_of(States([0, 1], discretization={"method": "magic"})), "magic"),
        (lambda: discretizer_of(States([0, 1], discretization={"method": "kmeans"})), "damaged"),
    ],
)
def test_what_cannot_be_cut_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


# ---------------------------------------------------------------- nearest centres, k-means


@FEW
@given(
    x=hnp.arrays(np.float64, (15, 2), elements=st.floats(-10, 10)),
    c=hnp.arrays(np.float64, (4, 2), elements=st.floats(-10, 10), unique=True),
    with_period=st.booleans(),
)
def test_nearest_centers_against_all_images(x, c, with_period):
    period = (-1.0, 2.0) if with_period else None
    features = Features((x,), periods=(period, None))
    states = NearestCenters(c).fit_transform(features)
    shifts = 3.0 * np.arange(-10, 11) if with_period else np.zeros(1)
    for point, k in zip(x, states.trajectories[0], strict=True):
        along = np.abs(point[0] - c[:, 0] + shifts[:, None]).min(axis=0)
        distance = np.hypot(along, point[1] - c[:, 1])
        assert distance[k] <= distance.min() + 1e-9


def test_nearest_center_keeps_the_given_order_and_the_first_of_equals():
    states = NearestCenters([2.0, 0.0, -2.0]).fit_transform(Features((np.array([1.0, 3, -5, 0]),)))
    assert states.trajectories[0].tolist() == [0, 0, 2, 1]
    assert states.centers.tolist() == [2.0, 0.0, -2.0]


def test_nearest_center_goes_the_shorter_way_round():
    states = NearestCenters([-3.0, 1.0]).fit_transform(periodic(np.array([3.1, 2.0, 0.0])))
    assert states.trajectories[0].tolist() == [0, 1, 1]


def test_many_frames_go_block_by_block():
    x = np.random.default_rng(0).normal(size=60_000)
    c = np.linspace(-2, 2, 50)
    states = NearestCenters(c).fit_transform(Features((x,)))
    midpoints = (c[1:] + c[:-1]) / 2
    np.testing.assert_array_equal(states.trajectories[0], np.searchsorted(midpoints, x))


def test_kmeans_finds_separated_clusters_in_order_whatever_the_seed():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 3000)
    x = np.array([-5.0, 0.0, 5.0])[truth] + 0.3 * rng.normal(size=3000)
    for seed in range(4):
        states = KMeans(3, seed=seed).fit_transform(Features((x[:1000], x[1000:])))
        np.testing.assert_array_equal(np.concatenate(states.trajectories), truth)
        means = [x[truth == k].mean() for k in range(3)]
        np.testing.assert_allclose(states.centers, means, atol=1e-3)


def test_kmeans_same_seed_same_result():
    x = np.random.default_rng(2).normal(size=(2000, 2))
    a, b = (KMeans(20, seed=7).fit_transform(Features((x,))) for _ in range(2))
    np.testing.assert_array_equal(a.trajectories[0], b.trajectories[0])
    np.testing.assert_array_equal(a.centers, b.centers)
    assert (np.diff(a.centers[:, 0]) >= 0).all()


def test_kmeans_does_not_cut_a_cluster_at_the_border_of_the_period():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000)
    angle = np.where(truth == 1, np.pi, 0.0) + 0.2 * rng.normal(size=2000)
    x = np.mod(angle + np.pi, 2 * np.pi) - np.pi
    states = KMeans(2).fit_transform(periodic(x))
    same = states.trajectories[0] == states.trajectories[0][np.argmax(truth)]
    np.testing.assert_array_equal(same, truth == 1)


# ---------------------------------------------------------------- the record of a cut


@pytest.mark.parametrize(
    "cut",
    [Bins(5, range=PI), Bins(7), Bins(edges=(-4, 0, 4)), NearestCenters([-1.0, 2.0]), KMeans(4)],
)
def test_states_carry_all_that_is_needed_to_cut_again(tmp_path, cut):
    features = periodic(np.random.default_rng(4).uniform(*PI, 500))
    states = cut.fit_transform(features)
    assert states.discretization["column"] == "phi"
    assert (states.dt, states.unit) == (0.1, "ps")
    write_states(tmp_path / "s.npz", states)
    read = read_states(tmp_path / "s.npz")
    assert dict(read.discretization) == dict(states.discretization)
    bare = Features(features.trajectories)  # another file, which does not know the period
    again = discretizer_of(read).transform(bare)
    np.testing.assert_array_equal(again.trajectories[0], states.trajectories[0])
    np.testing.assert_array_equal(again.centers, states.centers)
    assert discretizer_of(read.space).to_dict() == cut.to_dict()


# ---------------------------------------------------------------- estimators

ESTIMATORS = [
    Bins(5, range=PI),
    Bins(7),
    Bins(edges=[-4, 0, 4]),
    NearestCenters(np.array([-1.0, 2.0])),
    KMeans(4, seed=2),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_fit_returns_the_estimator_itself_and_changes_it(estimator):
    features = periodic(np.random.default_rng(4).uniform(*PI, 500))
    estimator = estimator.set_params()
    assert estimator.fit(features) is estimator
    assert estimator.transform(features) == estimator.fit_transform(features)


def test_fit_is_anew_each_time():
    bins = Bins(4).fit([0.0, 1.0])
    assert bins.fit([0.0, 8.0]).edges_ == (0, 2, 4, 6, 8)
    assert bins.fit(periodic([0.0, 1.0])).edges_[0] == -np.pi
    assert bins.period_ is not None
    assert bins.fit([0.0, 8.0]).period_ is None


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_arrays_and_lists_are_taken_as_features(estimator):
    x = np.random.default_rng(4).uniform(*PI, 500)
    a = estimator.fit(x).transform(x)
    b = estimator.fit([x[:200], x[200:]]).transform(Features((x[:200], x[200:])))
    np.testing.assert_array_equal(a[0], np.concatenate(b.trajectories))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_scikit_learn_clones_an_estimator_without_what_it_was_fitted_to(estimator):
    base = pytest.importorskip("sklearn.base")
    estimator.fit(np.random.default_rng(4).uniform(*PI, 500))
    copied = base.clone(estimator)
    assert repr(copied) == repr(estimator)
    assert copied is not estimator
    if isinstance(estimator, KMeans):
        with pytest.raises(InputError, match="fit first"):
            copied.transform([0.0, 1.0])


def test_parameters_are_those_of_the_signature_and_can_be_set():
    bins = Bins(5).fit([0.0, 1.0])
    assert bins.get_params() == {"n_bins": 5, "range": None, "edges": None}
    assert bins.set_params(n_bins=2, range=(0, 2)) is bins
    assert bins.fit_transform([0.5, 1.5])[0].tolist() == [0, 1]
    with pytest.raises(InputError, match="has no parameter 'bins'"):
        bins.set_params(bins=3)
    with pytest.raises(InputError):
        bins.set_params(n_bins=0)
    assert bins.n_bins == 2
    assert repr(bins) == "Bins(n_bins=2, range=(0, 2))"


def test_k_means_leaves_the_threads_of_pytorch_as_they_were():
    code = (
        "import torch, numpy, trajlm; print(torch.get_num_threads());"
        "trajlm.KMeans(20).fit(numpy.random.default_rng(0).normal(size=(5000, 2)));"
        "print(torch.get_num_threads())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    before, after = out.stdout.split()
    assert before == after


# ---------------------------------------------------------------- smooth


@FEW
@given(
    lengths=st.lists(st.integers(8, 60), min_size=1, max_size=3),
    window=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_running_mean_is_the_mean_of_each_full_window(lengths, window, seed):
    rng = np.random.default_rng(seed)
    trajectories = tuple(rng.normal(700, 10, size=(n, 2)) for n in lengths)
    smoothed = smooth(Features(trajectories), window)
    for x, y in zip(trajectories, smoothed.trajectories, strict=True):
        expected = np.array([x[t : t + window].mean(axis=0) for t in range(len(x) - window + 1)])
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-10)


def test_running_mean_stays_exact_along_a_long_trajectory():
    x = np.random.default_rng(5).normal(size=300_000).cumsum() + 1e4
    y = smooth(Features((x,)), 50).trajectories[0][:, 0]
    exact = np.array(
        [np.mean(x[t : t + 50].astype(np.longdouble)) for t in range(299_000, 299_951)]
    )
    np.testing.assert_allclose(y[299_000:], exact.astype(float), rtol=0, atol=1e-9)


def test_running_mean_of_a_periodic_column_is_circular():
    x = np.array([np.pi - 0.1, -np.pi + 0.3, 0.0, 0.2])
    y = smooth(periodic(x), 2).trajectories[0][:, 0]
    assert y[0] == pytest.approx(-np.pi + 0.1, abs=1e-12)  # not 0.1, the mean of the numbers
    assert y[2] == pytest.approx(0.1, abs=1e-12)


def test_smooth_keeps_time_and_leaves_a_note():
    features = smooth(periodic(np.zeros(5)), 2)
    assert (features.dt, features.unit, features.periods) == (0.1, "ps", (PI,))
    assert "running mean over 2 frames" in features.notes
    states = Bins(2, range=PI).fit_transform(features)
    assert states.discretization["notes"] == ["running mean over 2 frames"]


def test_smooth_refuses_what_is_too_short():
    with pytest.raises(InputError, match="trajectory 1 has 3 frames"):
        smooth(Features((np.zeros(9), np.zeros(3))), 4)
    for window in (0, -1, 2.5, True):
        with pytest.raises(InputError, match="window"):
            smooth(Features((np.zeros(9),)), window)


# ---------------------------------------------------------------- spikes


def walk(s: list[int], threshold: int) -> list[int]:
    """Follow the definition frame by frame."""
    changes = [t for t in range(1, len(s)) if s[t] != s[t - 1]]
    s = list(s)
    for start, stop in pairwise(changes):
        if stop - start <= threshold:
            before, after = s[start - 1], s[stop]
            half = (stop - start) // 2
            for t in range(start, stop):
                s[t] = before if t - start < half else after
    return s


@settings(max_examples=300, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 7)), min_size=2, max_size=12),
    threshold=st.integers(0, 8),
)
def test_spike_removal_is_the_walk_of_its_definition(runs, threshold):
    s = [k for k, n in runs for _ in range(n)]
    states = States((np.array(s), np.array(s[::-1])), n_states=9)
    cleaned = remove_spikes(states, threshold)
    assert cleaned.trajectories[0].tolist() == walk(s, threshold)
    assert cleaned.trajectories[1].tolist() == walk(s[::-1], threshold)
    assert cleaned.n_states == 9
    assert cleaned.trajectories[0].dtype == states.trajectories[0].dtype


@pytest.mark.parametrize(
    ("s", "threshold", "cleaned"),
    [
        ("0000110000", 2, "0000000000"),  # there and back: gone
        ("0000110000", 1, "0000110000"),  # longer than the threshold: stays
        ("0000112222", 2, "0000022222"),  # on the way: shared
        ("0000111222", 3, "0000022222"),  # the middle frame goes with the label after it
        ("0111122220", 4, "0002222000"),  # short stretches in a row
        ("1000000002", 5, "1000000002"),  # the first and the last stay are no spikes
        ("0000000000", 5, "0000000000"),
    ],
)
def test_spike_removal_by_hand(s, threshold, cleaned):
    states = States((np.array([int(k) for k in s]),), n_states=3)
    found = remove_spikes(states, threshold)
    assert "".join(map(str, found.trajectories[0])) == cleaned
    assert found.discretization["remove_spikes"] == threshold


def test_spike_removal_does_not_look_across_borders():
    states = States((np.array([0, 0, 1]), np.array([1, 0, 0])))
    assert [s.tolist() for s in remove_spikes(states, 5)] == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(InputError, match="threshold"):
        remove_spikes(states, -1)


@pytest.mark.skipif(not ALANINE.exists(), reason="needs TRAJLM_DATA with the alanine trajectory")
def test_alanine_population_of_positive_phi():
    x = np.load(ALANINE)[:, :1].astype(float)
    states = Bins(200, range=PI).fit_transform(periodic(x))
    inside = (states.centers >= 0) & (states.centers < 2.2)
    assert inside[states.trajectories[0]].mean() == pytest.approx(0.021, abs=0.0015)


@given(
    length=st.integers(1, 60), n=st.integers(1, 9), phase=st.floats(-np.pi, np.pi),
)  # fmt: skip
def test_averages_and_decimation_against_loops(length, n, phase):
    x = np.random.default_rng(length).normal(size=length)
    angle = np.angle(np.exp(1j * (phase + 0.1 * x)))
    both = Features(
        (np.column_stack([x, angle]),), ("x", "phi"), 0.5, "ms", (None, (-np.pi, np.pi))
    )
    thinned = decimate(both, n)
    assert (thinned.dt, thinned.unit) == (0.5 * n, "ms")
    assert thinned.trajectories[0][:, 0].tolist() == [x[k] for k in range(0, length, n)]
    if n > length:
        with pytest.raises(InputError, match="too few for averages"):
            average(both, n)
        return
    means = average(both, n)
    assert means.dt == 0.5 * n
    for k, (mean, direction) in enumerate(means.trajectories[0]):
        block = slice(k * n, (k + 1) * n)
        assert mean == pytest.approx(x[block].mean())
        resultant = np.exp(1j * angle[block]).sum()
        assert np.exp(1j * direction) == pytest.approx(resultant / abs(resultant))
    assert len(means.trajectories[0]) == length // n


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_a_step_that_is_no_number_of_frames_is_refused(n):
    features = Features((np.arange(5.0),))
    for change in (average, decimate):
        with pytest.raises(InputError, match="whole number of frames"):
            change(features, n)


def cut_of(column="phi", n=20, period=(-np.pi, np.pi), rounding=0.0):
    """Return the meaning of bins of a periodic column."""
    x = np.linspace(-3, 3, 50)
    low, high = period
    bins = Bins(n, range=(low + rounding, high))
    return bins.fit_transform(Features((x,), names=(column,), periods=(period,))).space


def test_states_of_the_same_cut_mean_the_same_as_far_as_both_sides_say():
    space = cut_of()
    plain = StateSpace(20)
    for other in (space, cut_of(rounding=5e-8), cut_of("x1"), plain, replace(space, centers=None)):
        assert find_difference(space, other) is None
        assert find_difference(other, space) is None
    # Centres of k-means given to another file are the same states.
    x = np.random.default_rng(0).normal(size=200)
    found = KMeans(3).fit_transform(Features((x,), names=("d",)))
    again = NearestCenters(found.centers).fit_transform(Features((x[:90],), names=("d",)))
    assert find_difference(found.space, again.space) is None


@pytest.mark.parametrize(
    ("other", "one_is", "other_is"),
    [
        (cut_of("psi"), "bins of phi", "bins of psi"),
        (cut_of(n=10), "bins of phi with 21 edges", "bins of phi with 11 edges"),
        (cut_of(period=(0, 2 * np.pi)), "in -3.14159 to 3.14159", "in 0 to 6.28319"),
        (cut_of(rounding=1e-4), "edge 0 at -3.14159", "edge 0 at -3.14149"),
        (
            NearestCenters([-1.0, 1.0])
            .fit_transform(Features((np.linspace(-3, 3, 9),), names=("phi",)))
            .space,
            "bins of phi",
            "nearest centres of phi",
        ),
        (StateSpace(20, centers=np.arange(20.0)), "centre 0 at -2.98451", "centre 0 at 0"),
    ],
)
def test_states_of_another_cut_are_told_apart(other, one_is, other_is):
    one, two = find_difference(cut_of(), other)
    assert one.endswith(one_is)
    assert two.endswith(other_is)


@given(
    st.dictionaries(
        st.sampled_from(["method", "column", "columns", "edges", "centers", "period", "periods"]),
        st.recursive(
            st.none() | st.floats() | st.sampled_from(["bins", "kmeans", "phi"]),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
)
def test_damaged_descriptions_of_states_are_compared_without_a_crash(description):
    space = cut_of()
    damaged = replace(space, discretization={"method": "bins", **description})
    find_difference(space, damaged)
    find_difference(damaged, space)
    assert len(periods_of(damaged)) == 1
