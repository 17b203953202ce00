"""Slow coordinates, product bins and labels: against closed forms and deeptime."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trajlm
from trajlm.cli import run
from trajlm.data import Features
from trajlm.discretize import (
    TICA,
    VAMP,
    Bins,
    KMeans,
    ProductBins,
    discretizer_of,
    find_difference,
    state_means,
    with_centers,
)
from trajlm.errors import InputError
from trajlm.io import read_features, read_states, write_features, write_states
from trajlm.provenance import Discretization, ProductBinning, Projection

PI = (-np.pi, np.pi)


def autoregressive(memory: float, n: int, seed: int) -> np.ndarray:
    """Return x(t+1) = memory x(t) + noise of unit variance in the long run."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).normal(size=n) * np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], noise)


def mixed(n: int = 20_000, seed: int = 0) -> Features:
    """Three processes of memory .99, .8 and 0, mixed, in units a thousandfold apart."""
    x = np.column_stack([autoregressive(m, n, seed + k) for k, m in enumerate((0.99, 0.8, 0.0))])
    mixing = np.array([[1.0, 0.5, 2.0], [-0.3, 1.0, 5.0], [0.1, 0.2, 1.0]]) * [1, 1000, 1]
    return Features((x[: n // 2] @ mixing, x[n // 2 :] @ mixing), ("a", "b", "c"), 0.5, "ps")


def turning(n: int = 4000, seed: int = 0) -> Features:
    """An angle that goes round slowly, and one that is noise."""
    rng = np.random.default_rng(seed)
    slow = np.cumsum(rng.normal(scale=0.1, size=n))
    wrapped = (slow + np.pi) % (2 * np.pi) - np.pi
    return Features(
        (np.column_stack([wrapped, rng.uniform(-np.pi, np.pi, n)]),), ("phi", "psi"), 1.0, "ps",
        (PI, PI),
    )  # fmt: skip


# ---------------------------------------------------------------- slow coordinates


@pytest.mark.parametrize("method", [TICA, VAMP])
def test_mixed_processes_are_found_again_with_their_memory(method):
    features = mixed(200_000)
    slow = method(5, 2).fit(features)
    np.testing.assert_allclose(slow.projection_.values, [0.99**5, 0.8**5], atol=0.02)
    found = np.concatenate(list(slow.transform(features)))
    x = np.column_stack([autoregressive(m, 200_000, k) for k, m in enumerate((0.99, 0.8))])
    correlations = np.abs(np.corrcoef(found.T, x.T))[:2, 2:]
    assert correlations.diagonal().min() > 0.98
    # A kinetic map: the variance of each coordinate is its eigenvalue squared.
    np.testing.assert_allclose(found.std(axis=0), slow.projection_.values, rtol=0.02)


def test_tica_is_that_of_deeptime_where_units_are_alike():
    from deeptime import decomposition

    features = mixed()
    scaled = [x / np.concatenate(list(features)).std(axis=0) for x in features]
    model = decomposition.TICA(lagtime=7, dim=2).fit(scaled).fetch_model()
    ours = TICA(7, 2).fit_transform(features)
    for x, y in zip(ours, scaled, strict=True):
        theirs = model.transform(y)
        np.testing.assert_allclose(np.abs(x), np.abs(theirs), atol=1e-8)


@pytest.mark.parametrize("method", [TICA, VAMP])
@pytest.mark.parametrize("scaling", [None, "kinetic_map"])
def test_units_and_offsets_do_not_matter(method, scaling):
    features = mixed()
    moved = replace(features, trajectories=tuple(x * [1e-3, 7.0, 1e4] - 50.0 for x in features))
    one, other = (method(3, 2, scaling).fit_transform(x) for x in (features, moved))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)


def test_timescales_of_tica_are_those_of_the_processes():
    timescales = TICA(5, 2).fit(mixed(400_000)).timescales(0.5)
    np.testing.assert_allclose(timescales, -0.5 / np.log([0.99, 0.8]), rtol=0.1)


def test_an_angle_is_slow_wherever_its_period_is_cut():
    features = turning()
    shifted = replace(
        features,
        trajectories=tuple((x + np.pi) % (2 * np.pi) for x in features),
        periods=((0, 2 * np.pi),) * 2,
    )
    one, other = (TICA(10, 2).fit(x) for x in (features, shifted))
    np.testing.assert_allclose(one.values_, other.values_, atol=1e-9)
    # cos(slow) and sin(slow) decay as exp(-lag variance / 2) where the angle diffuses.
    assert one.projection_.values[0] == pytest.approx(np.exp(-10 * 0.01 / 2), abs=0.05)


def test_no_pair_crosses_a_border():
    x = np.repeat([0.0, 1.0], 50)[:, None] + np.random.default_rng(0).normal(size=(100, 1)) * 1e-3
    cut = Features((x[:50], x[50:]))
    assert TICA(10, 1).fit(cut).values_[0] == pytest.approx(1, abs=1e-3)
    joined = TICA(10, 1).fit(Features((x,))).values_[0]
    assert joined < 0.9


def test_the_score_on_other_data_is_that_of_deeptime_and_prefers_what_is_slow():
    from deeptime.decomposition import vamp_score_data

    features, other = mixed(40_000), mixed(40_000, seed=10)
    slow = TICA(5, 2).fit(features)
    y = slow.transform(other)
    pairs = np.concatenate([x[:-5] for x in y]), np.concatenate([x[5:] for x in y])
    assert slow.score(other) == pytest.approx(vamp_score_data(*pairs, r=2), rel=1e-6)
    assert slow.score(other) == pytest.approx(1 + 0.99**10 + 0.8**10, abs=0.05)
    assert TICA(5, 1).fit(features).score(other) < slow.score(other)
    assert VAMP(5, 2).fit(features).score(other) == pytest.approx(slow.score(other), abs=0.01)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TICA(0), "lag of TICA"),
        (lambda: VAMP(5, 0), "number of coordinates"),
        (lambda: TICA(5, scaling="whitened"), "no scaling"),
        (lambda: VAMP(5, scaling="commute_map"), "no scaling"),
        (lambda: TICA(20_000).fit(mixed()), "longer than the lag"),
        (lambda: TICA(5, 4).fit(mixed()), "3 slow coordinates, not 4"),
        (lambda: TICA(5).transform(mixed()), "call fit"),
        (lambda: TICA(5).fit(TICA(5).fit_transform(mixed())), "already"),
        (lambda: TICA(5).fit(mixed()).transform(mixed().select(["a", "b"])), "are a, b"),
        (
            lambda: TICA(5).fit(mixed()).transform(TICA(6).fit_transform(mixed())),
            "of another TICA",
        ),
        (
            lambda: TICA(5).fit(turning()).transform(
                replace(turning(), periods=((-180, 180),) * 2)
            ),
            "same unit",
        ),
    ],
)  # fmt: skip
def test_what_has_no_slow_coordinates_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_a_constant_column_is_left_out():
    features = mixed(2000)
    constant = Features(
        [np.column_stack([x, np.full(len(x), 0.1)]) for x in features], ("a", "b", "c", "d")
    )
    slow = TICA(5, 3).fit(constant)
    np.testing.assert_allclose(slow.values_[:3], TICA(5, 3).fit(features).values_, atol=1e-9)
    with pytest.raises(InputError, match="3 slow coordinates"):
        TICA(5, 4).fit(constant)


# ---------------------------------------------------------------- cut alike again


@pytest.mark.parametrize(
    ("slow", "cut"),
    [
        (TICA(5, 2), KMeans(8)),
        (VAMP(5, 2, None), ProductBins([4, 3])),
        (TICA(5, 1), Bins(6, open_ends=True)),
    ],
)
def test_new_data_is_projected_and_cut_as_the_data_of_a_model_was(slow, cut, tmp_path):
    data = turning()
    states = cut.fit_transform(slow.fit_transform(data))
    write_states(tmp_path / "s.npz", states)
    again = read_states(tmp_path / "s.npz")
    assert again == states
    assert again.discretization == states.discretization
    assert again.discretization.columns == slow.projection_.names
    trajlm.fit_msm(states).save(tmp_path / "model")
    rebuilt = trajlm.load_model(tmp_path / "model").discretizer
    new = data[:]  # the columns that were read ...
    assert rebuilt.transform(new) == states
    assert rebuilt.transform(slow.transform(new)) == states  # ... or their slow coordinates
    assert rebuilt.transform(new).discretization == states.discretization
    with pytest.raises(InputError):
        rebuilt.transform(replace(new, names=("phi", "chi")))
    assert find_difference(rebuilt.transform(new).space, states.space) is None
    other = cut.fit_transform(type(slow)(6, slow.dim).fit_transform(data))
    words = find_difference(other.space, states.space)
    assert words
    assert "at a lag of 6 frames" in words[0]
    assert "at a lag of 5 frames" in words[1]


def test_slow_coordinates_go_into_files_and_out(tmp_path):
    slow = TICA(5, 2).fit_transform(turning())
    write_features(tmp_path / "f.npz", slow)
    again = read_features(tmp_path / "f.npz")
    assert again == slow
    assert again.projection == slow.projection
    one = read_features(tmp_path / "f.npz", columns=["TICA1"])
    assert one.projection == slow.projection.select([0])
    assert Bins(5).fit_transform(one).discretization.projection.names == ("TICA1",)
    write_features(tmp_path / "g.npz", TICA(6, 2).fit_transform(turning()))
    with pytest.raises(InputError, match="different projections"):
        read_features([tmp_path / "f.npz", tmp_path / "g.npz"])
    both = read_features([tmp_path / "f.npz"] * 2)
    assert both.projection == slow.projection
    assert "TICA of phi, psi at a lag of 5 frames" in dict(slow.facts())["coordinates"]


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": [[1.0]]},
        {"matrix": [[1.0, "x"]] * 4},
        {"mean": [0.0]},
        {"names": ["TICA1"]},
        {"names": ["u", "v"]},
        {"lag": 0},
        {"method": "PCA"},
        {"periods": [[3.0, -3.0], None]},
        {"values": [float("nan"), 0.1]},
    ],
)
def test_damaged_projections_are_refused(change, tmp_path, capsys):
    states = KMeans(4).fit_transform(TICA(5, 2).fit_transform(turning(500)))
    values = states.discretization.to_dict()
    assert Discretization.from_dict(json.loads(json.dumps(values))) == states.discretization
    values["projection"] = {**values["projection"], **change}
    with pytest.raises(ValueError, match=r"."):
        Discretization.from_dict(values)
    write_states(tmp_path / "s.npz", states)
    arrays = dict(np.load(tmp_path / "s.npz"))
    meta = json.loads(str(arrays["meta"]))
    meta["discretization"] = values
    arrays["meta"] = np.array(json.dumps(meta))
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError):
        read_states(tmp_path / "s.npz")


def test_a_projection_of_other_columns_is_no_provenance():
    projection = TICA(5, 2).fit(turning()).projection_
    with pytest.raises(ValueError, match="columns"):
        Discretization(columns=("phi", "psi"), projection=projection)
    with pytest.raises(InputError, match="TICA1"):
        Features((np.zeros((5, 2)),), ("phi", "psi"), projection=projection)
    assert isinstance(projection, Projection)


# ---------------------------------------------------------------- product bins


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_product_bins_are_the_bins_of_each_column(shape, seed):
    x = np.random.default_rng(seed).uniform(size=(40, len(shape)))
    states = ProductBins(shape).fit_transform(Features((x[:20], x[20:])))
    each = [
        Bins(n).fit_transform(Features((x[:20, [k]], x[20:, [k]]))) for k, n in enumerate(shape)
    ]
    assert states.n_states == np.prod(shape)
    for i, s in enumerate(states):
        digits = np.unravel_index(s, shape)
        for k, one in enumerate(each):
            np.testing.assert_array_equal(digits[k], one[i])
            np.testing.assert_allclose(
                states.centers.reshape(len(states.centers), -1)[s, k], one.centers[one[i]]
            )


def test_product_bins_go_round_periods_and_come_back_from_files(tmp_path):
    data = turning()
    cut = ProductBins([12, Bins(edges=(-np.pi, 0, np.pi))])
    states = cut.fit_transform(data)
    assert states.discretization.periods == (PI, PI)
    assert states.discretization.method.shape == (12, 2)
    write_states(tmp_path / "s.npz", states)
    again = discretizer_of(read_states(tmp_path / "s.npz"))
    turned = replace(data, trajectories=tuple(x + 2 * np.pi * np.array([1, -2]) for x in data))
    assert (again.transform(turned)[0] == states[0]).mean() > 0.999  # rounding at an edge
    assert repr(cut).startswith("ProductBins(bins=[12, Bins(")
    assert find_difference(states.space, ProductBins([12, 3]).fit_transform(data).space) == (
        "12 x 2 bins of phi, psi", "12 x 3 bins of phi, psi",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ProductBins([]), "list"),
        (lambda: ProductBins(12), "list"),
        (lambda: ProductBins([12, 0]), "number of bins"),
        (lambda: ProductBins([12]).fit(turning()), "1 column and features of 2"),
        (lambda: ProductBins([12, 12]).transform(turning()), "call fit"),
        (lambda: ProductBins([1001, 1000]).fit(turning()), "1,001,000 states"),
        (lambda: Bins(12).fit(turning()), "for each"),
    ],
)
def test_what_product_bins_cannot_cut_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_as_many_product_bins_as_columns():
    states = ProductBins([3, 3]).fit_transform(turning())
    values = states.discretization.to_dict()
    with pytest.raises(ValueError, match="product bins"):
        Discretization.from_dict({**values, "columns": ["phi"], "periods": [None]})
    assert isinstance(Discretization.from_dict(values).method, ProductBinning)


# ---------------------------------------------------------------- k-means on a part


def test_k_means_on_one_of_several_frames_cuts_all():
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000) * 0.1 + rng.integers(3, size=4000)
    some, every = (KMeans(3, stride=k).fit(Features((x[:1999], x[1999:]))) for k in (10, 1))
    np.testing.assert_allclose(some.centers_, [0, 1, 2], atol=0.05)
    assert not np.array_equal(some.centers_, every.centers_)
    assert some.transform(x).n_frames == 4000
    with pytest.raises(InputError, match="stride"):
        KMeans(3, stride=0)


# ---------------------------------------------------------------- states made elsewhere


def test_centres_of_labels_are_the_means_of_their_frames_round_the_circle():
    x = np.array([[3.1, 1.0], [-3.1, 2.0], [0.5, 4.0], [0.7, 8.0]])
    features = Features((x[:2], x[2:]), ("phi", "d"), 2.0, "ps", (PI, None))
    labels = [np.array([0, 0]), np.array([2, 2])]
    states = with_centers(labels, features)
    assert (states.dt, states.unit) == (2.0, "ps")
    assert states.discretization.columns == ("phi", "d")
    assert states.discretization.periods == (PI, None)
    assert abs(states.centers[0, 0]) == pytest.approx(np.pi)
    np.testing.assert_allclose(states.centers[[0, 2], 1], [1.5, 6.0])
    assert states.centers[2, 0] == pytest.approx(0.6)
    assert states.centers[1, 1] == pytest.approx(3.75)  # never visited: the mean of all
    np.testing.assert_allclose(state_means(labels, features), states.centers)
    for bad in ([np.array([0, 0])], [np.array([0, 0]), np.array([2, 2, 2])]):
        with pytest.raises(InputError):
            with_centers(bad, features)
    with pytest.raises(InputError, match="their centres"):
        with_centers(ProductBins([2, 2]).fit_transform(features), features)


# ---------------------------------------------------------------- commands


def test_commands_with_slow_coordinates_bins_and_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_features("f.npz", turning())
    base = ["discretize", "f.npz", "--out", "s.npz"]
    assert run([*base, "--tica", "10", "--dim", "2", "--kmeans", "20"]) == 0
    assert "TICA1, TICA2: correlations 0.9" in capsys.readouterr().err
    assert read_states("s.npz").discretization.projection.scaling == "kinetic_map"
    assert run(["info", "s.npz"]) == 0
    assert "TICA of phi, psi at a lag of 10 frames" in capsys.readouterr().out
    assert run(["cite", "s.npz"]) == 0
    assert "perezhernandez2013" in capsys.readouterr().out
    assert run([*base, "--vamp", "10", "--scaling", "none", "--dim", "1", "--bins", "9"]) == 0
    assert read_states("s.npz").discretization.columns == ("VAMP1",)
    assert run([*base, "--bins", "12,12"]) == 0
    assert read_states("s.npz").discretization.method.shape == (12, 12)
    np.save("f.npy", turning()[0])
    named = ["discretize", "f.npy", "--period", "-3.14159265", "3.14159265", "--bins", "6,6"]
    assert run([*named, "--names", "phi, psi", "--out", "n.npz"]) == 0
    assert read_states("n.npz").discretization.columns == ("phi", "psi")
    assert run([*named, "--names", "phi", "--out", "n.npz"]) == 2
    np.save("labels.npy", np.arange(4000) % 3)
    assert run([*base, "--labels", "labels.npy"]) == 0
    assert read_states("s.npz").centers.shape == (3, 2)
    assert read_states("s.npz").unit == "ps"
    capsys.readouterr()
    for wrong, says in (
        (["--bins", "12,x"], "--bins 12,x"),
        (["--bins", "12,12", "--range", "0", "1"], "--range"),
        (["--kmeans", "4", "--open-ends"], "--bins"),
        (["--tica", "5", "--vamp", "5", "--kmeans", "4"], "one of --tica"),
        (["--tica", "5", "--scaling", "x", "--kmeans", "4"], "--scaling x"),
        (["--kmeans", "4", "--labels", "labels.npy"], "--labels"),
    ):
        assert run([*base, *wrong]) == 2
        assert says in capsys.readouterr().err
    assert run([*base[:3], "labels.npy", "--labels", "labels.npy"]) == 2
