"""Generated states as values of features, and frames that go on as the data went on."""

from __future__ import annotations

import numpy as np
import pytest

import trajlm
from trajlm.cli import run
from trajlm.data import Features, States
from trajlm.discretize import KMeans, average, backmap_features, remove_spikes, smooth, state_means
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import read_features, write_features, write_states
from trajlm.util.frames import FramesByState, RandomFrames, SmoothFrames, frames_a_step

PI = (-np.pi, np.pi)


def wandering(n: int, seed: int, d: int = 2) -> Features:
    """Angles that diffuse in a potential: neighbours are far nearer than frames of one state."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, d))
    for t in range(1, n):
        x[t] = x[t - 1] - 0.002 * np.sin(2 * x[t - 1]) + 0.05 * rng.normal(size=d)
    x = (x + np.pi) % (2 * np.pi) - np.pi
    return Features((x[: n // 2], x[n // 2 :]), ("phi", "psi", "chi")[:d], 2.0, "ps", (PI,) * d)


def steps(x: np.ndarray) -> np.ndarray:
    delta = np.diff(x, axis=0)
    return np.linalg.norm(delta - 2 * np.pi * np.round(delta / (2 * np.pi)), axis=1)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


# ---------------------------------------------------------------- values of features


@pytest.mark.parametrize("choice", ["random", "smooth"])
def test_values_are_those_of_frames_of_the_generated_states(choice):
    data = wandering(4000, 0)
    cut = KMeans(30).fit(data)
    states = cut.transform(data)
    generated = trajlm.fit_msm(states).generate(500, 3, seed=1)
    values = backmap_features(generated, states, data, choice, seed=2)
    assert cut.transform(values) == generated
    assert (values.names, values.periods, values.unit) == (data.names, data.periods, "ps")
    rows = {tuple(row) for x in data for row in x.tolist()}
    assert all(tuple(row) in rows for x in values for row in x.tolist())
    assert backmap_features(generated, states, data, choice, seed=2) == values
    assert backmap_features(generated, states, data, choice, seed=3) != values


def test_any_coordinate_has_the_histogram_of_the_data_within_states():
    data = wandering(20_000, 0)
    states = KMeans(5).fit_transform(data)
    other = Features([np.cos(x[:, :1]) for x in data], ("cos",))
    values = backmap_features(states, states, other, seed=1)
    for low in np.linspace(-1, 0.8, 10):
        shares = [
            np.mean((np.concatenate(list(x)) >= low) & (np.concatenate(list(x)) < low + 0.2))
            for x in (values, other)
        ]
        assert shares[0] == pytest.approx(shares[1], abs=0.015)


def test_means_are_those_of_each_state():
    data = wandering(2000, 0)
    states = KMeans(7).fit_transform(data)
    values = backmap_features([np.arange(7)], states, data, "mean")
    np.testing.assert_array_equal(values[0], state_means(states, data))
    for k in range(7):
        frames = np.concatenate([x[s == k] for x, s in zip(data, states, strict=True)])
        mean = np.angle(np.exp(1j * frames).mean(axis=0))
        np.testing.assert_allclose(values[0][k], mean, atol=1e-9)


@pytest.mark.parametrize("n", [30, 200])
def test_the_path_is_as_smooth_as_the_data_where_it_was_seen_and_nearly_so_elsewhere(n):
    data, other = wandering(20_000, 0), wandering(3000, 5)
    cut = KMeans(n, stride=10).fit(data)
    states, lane = cut.transform(data), cut.transform(other)[:1]
    own = rms(steps(other[0]))
    # Its own states lead back along the data itself, after the first frames.
    again = backmap_features(states[:1], states, data, "smooth")
    assert rms(steps(again[0])) == pytest.approx(rms(steps(data[0])), rel=0.02)
    # A path that was never seen jumps; at random from frame to frame it would far more.
    smooth_path = rms(steps(backmap_features(lane, states, data, "smooth")[0]))
    random_path = rms(steps(backmap_features(lane, states, data)[0]))
    assert 0.95 * own < smooth_path < 1.3 * own
    assert random_path > (2 if n == 200 else 4) * own


def test_columns_without_names_are_those_that_were_cut():
    data = wandering(2000, 0)
    states = KMeans(7).fit_transform(data)
    arrays = list(data)
    values = backmap_features(states, states, arrays, "mean")
    assert (values.names, values.periods) == (("phi", "psi"), (PI, PI))
    assert values == backmap_features(states, states, data, "mean")
    slow = trajlm.TICA(5, 1).fit(data)
    cut = trajlm.Bins(5).fit_transform(slow.transform(data))
    assert backmap_features(cut, cut, arrays).names == ("phi", "psi")
    assert backmap_features(cut, cut, [x[:, :1] for x in arrays]).names == ("x0",)


def test_filtered_states_are_led_back_to_features_before_or_after_the_filters():
    numbers = Features((np.arange(60.0), np.arange(100.0, 160.0)), dt=1.0, unit="ps")
    averaged = average(numbers, 4)
    states = remove_spikes(KMeans(5).fit_transform(smooth(averaged, 3)), 1)
    lane = [np.arange(5)]
    before = backmap_features(lane, states, numbers, "mean")
    after = backmap_features(lane, states, averaged, "mean")
    # The middle of four frames is half a frame after the second of them.
    np.testing.assert_allclose(before[0], after[0] - 0.5)
    with pytest.raises(InputError, match="frames of states"):
        backmap_features(lane, states, average(numbers, 2))
    with pytest.raises(InputError, match="1 of features"):
        backmap_features(lane, states, numbers[:1])


def test_a_model_of_a_lag_time_takes_steps_as_long():
    data = wandering(4000, 0)
    states = KMeans(10).fit_transform(data)
    generated = trajlm.fit_msm(states, lag=5).generate(400, seed=0)
    assert frames_a_step(generated.dt, generated.unit, states.dt, states.unit) == 5
    values = backmap_features(generated, states, data, "smooth")
    assert values.dt == 10.0
    assert rms(steps(values[0])) > 1.5 * rms(steps(data[0]))
    assert frames_a_step(1.0, "frame", 2.0, "ps") == 1
    assert frames_a_step(5.0, "ps", 2.0, "ps") == 1


@pytest.mark.parametrize("choice", ["random", "smooth", "mean"])
def test_states_that_were_never_visited(choice):
    data = Features((np.array([1.0, 2.0, 3.0, 4.0]),))
    states = States([np.array([0, 0, 2, 2])], 4)
    with pytest.warns(TrajlmWarning, match="2 of 5"):
        values = backmap_features([np.array([1, 0, 2, 3, 2])], states, data, choice)[0][:, 0]
    if choice == "mean":
        assert values.tolist() == [2.5, 1.5, 3.5, 2.5, 3.5]
    else:
        assert values[1] in (1, 2)
        assert values[2] in (3, 4)
        assert values[3] == values[2]


def test_what_does_not_fit_is_refused():
    data = wandering(100, 0)
    states = KMeans(3).fit_transform(data)
    with pytest.raises(InputError, match="states that the model learned"):
        backmap_features([np.array([0, 3])], states, data)
    with pytest.raises(InputError, match="choice"):
        backmap_features([np.array([0, 1])], states, data, "median")


# ---------------------------------------------------------------- frames


def test_the_data_goes_on_where_it_can_and_the_nearest_frame_that_did_follows():
    labels = [np.array([0, 1, 2, 0, 1, 0, 2]), np.array([0, 1, 0])]
    x = np.array([0.0, 1, 2, 0.1, 1.2, 0.2, 2.2, 0.05, 1.1, 0.3])
    frames = FramesByState(labels, 3)

    def distances(some, others):
        return (x[some, None] - x[others]) ** 2

    choose = SmoothFrames(frames, distances)
    # From 0 to 1 the data went at frames 0, 3 and 7, from 1 to 2 at frame 1 alone.
    choose.last = 3
    assert choose(np.array([1])).tolist() == [4]
    assert choose(np.array([2])).tolist() == [2]
    # From 2 to 1 it never went: of all that entered 1 the frame nearest to x = 2 is frame 3.
    assert choose(np.array([1])).tolist() == [4]
    # No step crosses the border between frames 6 and 7.
    choose.last = 6
    assert choose(np.array([0])).tolist() == [3]


def test_a_state_in_which_the_data_only_begins_is_found_too():
    frames = FramesByState([np.array([1, 0, 0]), np.array([1, 0])], 2)
    smooth_frames = SmoothFrames(frames, lambda a, b: (a[:, None] - b) ** 2.0)
    for choose in (smooth_frames, RandomFrames(frames, 0)):
        assert set(choose.lane(np.array([0, 1, 0, 1])).tolist()[1::2]) <= {0, 3}


# ---------------------------------------------------------------- the command


def test_backmap_command_writes_features(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = wandering(400, 0)
    write_features("f.npz", data)
    states = KMeans(6).fit_transform(data)
    write_states("s.npz", states)
    generated = trajlm.fit_msm(states).generate(50, 3, seed=0)
    write_states("g.npz", generated)
    command = ["backmap", "g.npz", "--from", "f.npz", "--states", "s.npz", "--out", "x.npz"]
    assert run(command) == 0
    assert "3 trajectories, 150 frames of phi, psi" in capsys.readouterr().out
    assert KMeans(6).fit(data).transform(read_features("x.npz")) == generated
    assert run([*command, "--smooth", "--lane", "1", "--every", "5", "--frames", "40"]) == 0
    found = read_features("x.npz")
    assert (len(found), found.n_frames, found.dt) == (1, 8, 10.0)
    assert run([*command, "--mean", "--column", "psi"]) == 0
    assert len(np.unique(np.concatenate(list(read_features("x.npz"))))) <= 6
    for wrong in (
        ["--from", "f.npz", "g.npz"],
        ["--out", "x.xtc", "--mean"],
        ["--lane", "3"],
        ["--out", "f.npz"],
    ):
        assert run([*command, *wrong]) == 2
