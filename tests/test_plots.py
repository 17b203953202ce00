from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from trajlm.analysis import (
    autocorrelation,
    committed_transitions,
    counted_timescales,
    dwell_times,
    free_energy,
    kinetic_map,
    rate_constants,
    survival,
    transition_probabilities,
)
from trajlm.comparison import Comparison, compare
from trajlm.data import Features, States, StateSpace
from trajlm.discretize import Bins, KMeans, NearestCenters
from trajlm.errors import InputError
from trajlm.lstm.record import Baselines, EpochRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.markov import fit_msm
from trajlm.plots import (
    DATA,
    coordinate_of,
    plot_autocorrelation,
    plot_committed_transitions,
    plot_discrepancies,
    plot_embedding,
    plot_excerpt,
    plot_free_energy,
    plot_free_energy_map,
    plot_group_network,
    plot_kinetic_map,
    plot_overview,
    plot_relaxation,
    plot_state_map,
    plot_survival,
    plot_timescales,
    plot_training,
    quantity_of,
    style_of,
    styles_of,
)
from trajlm.plots.plane import density_map
from trajlm.provenance import Discretization
from trajlm.util.words import number

matplotlib.use("Agg")

RECORD = LSTMRecord(
    settings=TrainingSettings(epochs=3),
    n_frames=1000,
    n_trajectories=1,
    best_epoch=2,
    history=(
        EpochRecord(1, 1.2, 1.3, 1.0),
        EpochRecord(2, 1.1, 1.15, 1.0),
        EpochRecord(3, 1.0, 1.2, 1.0),
    ),
    baselines=Baselines(1.4, 3.0),
)
PHI = Discretization(columns=("phi",))


def new_axes():
    return Figure().add_subplot()


def chain(n: int = 4000, seed: int = 0) -> States:
    rng = np.random.default_rng(seed)
    switches = rng.random(n) < 0.05
    return States(np.cumsum(switches) % 2, 2, dt=0.5, unit="ns")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    data = chain()
    return compare(data, {"MSM": fit_msm(data)}, n_runs=2)


def test_free_energy_lies_at_the_centres_and_unseen_states_leave_a_gap():
    states = States(np.array([0, 0, 0, 2, 2, 0, 0, 2]), 3)
    ax = plot_free_energy(free_energy(states), new_axes(), centers=[30.0, 20.0, 10.0])
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [10, 20, 30])
    np.testing.assert_allclose(y, [np.log(5 / 3), np.nan, 0])
    assert np.isfinite(ax.get_ylim()).all()


def test_committed_rates_are_per_unit_time_and_end_where_nothing_is_counted():
    states = States(np.array([0] * 10 + [1] * 3 + [0] * 10 + [1] * 2 + [0] * 5), 2, 0.5, "ns")
    result = committed_transitions(states, [1, 2, 3, 5])
    ax = plot_committed_transitions(result, (0, 1), new_axes())
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [0.5, 1, 1.5, 2.5])
    np.testing.assert_allclose(y, [2 / 15, 2 / 15, 1 / 15, np.nan])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > 0
    assert ax.get_xlabel() == "commit time / ns"
    assert ax.get_ylabel() == "transitions per ns"


def test_a_pair_that_was_never_counted_can_be_drawn():
    result = committed_transitions(States(np.array([0, 0, 1, 1]), 3), [1, 2])
    ax = plot_committed_transitions(result, (2, 0), new_axes())
    ax.figure.draw_without_rendering()
    assert np.isnan(ax.lines[0].get_ydata()).all()


def test_survival_keeps_only_probabilities_above_zero():
    curve = survival(dwell_times(chain(), 0))
    assert curve.probability[-1] == 0
    ax = plot_survival(curve, new_axes())
    drawn = ax.lines[0].get_ydata()
    assert (drawn > 0).all()
    assert drawn[0] == 1
    assert len(drawn) == np.count_nonzero(curve.probability)


def test_autocorrelation_is_drawn_at_its_lag_times():
    result = autocorrelation(chain(), 300, [0.0, 1.0])
    ax = plot_autocorrelation(result, new_axes())
    x, y = ax.lines[-1].get_data()
    lags = np.round(x / 0.5).astype(int)
    assert lags[0] == 1
    assert lags[-1] == 300
    np.testing.assert_array_equal(y, result.values[lags])


def test_excerpt_shows_centres_over_time_in_steps():
    space = StateSpace(2, 0.5, "ps", np.array([-1.0, 3.0]), PHI)
    ax = plot_excerpt(np.array([0, 1, 1, 0, 0]), space, new_axes(), n_frames=4)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(y, [-1, 3, 3, -1])
    assert ax.lines[0].get_drawstyle() == "steps-post"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time / ps", "phi")


def test_a_long_excerpt_is_thinned_without_losing_its_excursions():
    states = np.zeros(50_000, dtype=int)
    rare = np.random.default_rng(1).choice(50_000, 20, replace=False)
    states[rare] = 1
    ax = plot_excerpt(states, StateSpace(2), new_axes(), max_points=400)
    x, y = ax.lines[0].get_data()
    assert len(x) <= 400
    assert (np.diff(x) > 0).all()
    # Two of them may share a piece; each piece with one still shows it.
    assert {int(r) // 250 for r in rare} == {int(k) // 250 for k in x[y == 1]}


@pytest.mark.parametrize(
    "cut",
    [
        Bins(4, range=(-4, 4)),
        NearestCenters([-3.0, -1.0, 1.0, 3.0]),
        KMeans(4),
    ],
)
def test_a_periodic_coordinate_goes_a_little_over_its_border(cut):
    x = np.array([-3.0, -1, -3, 3, -3, -1, 1])
    states = cut.fit_transform(Features((x,), ("phi",), periods=((-4.0, 4.0),)))
    ax = plot_excerpt(states.trajectories[0], states.space, new_axes())
    _, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, [-3, -1, -3, -5, -3, -1, 1])


def test_a_coordinate_that_goes_round_the_circle_leaves_a_gap_and_no_leap():
    x = np.array([-3.0, 3, 1, -1, -3, -1])
    states = Bins(4, range=(-4, 4)).fit_transform(Features((x,), ("phi",), periods=((-4.0, 4.0),)))
    ax = plot_excerpt(states.trajectories[0], states.space, new_axes())
    times, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, [-3, -5, -5, np.nan, 1, -1, -3, -1])
    np.testing.assert_allclose(times, [0, 1, 2, 2, 2, 3, 4, 5])


def test_a_circle_is_opened_where_the_fewest_frames_lie_and_keeps_its_numbers():
    centers = np.array([-150.0, -90, -30, 30, 90, 150])
    space = StateSpace(
        6, centers=centers, discretization=Discretization(columns=("psi",), periods=((-180, 180),))
    )
    psi = coordinate_of(space).opened(np.array([0.2, 0.01, 0.0, 0.0, 0.39, 0.4]))
    assert psi.period == (0, 360)
    np.testing.assert_allclose(psi.values, [210, 270, 330, 30, 90, 150])
    ax = new_axes()
    ax.plot([0, 1], [0, 360])
    psi.label_ticks(ax.yaxis)
    ax.figure.draw_without_rendering()
    ticks, labels = ax.get_yticks(), [label.get_text() for label in ax.get_yticklabels()]
    assert len(ticks) >= 3
    for tick, label in zip(ticks, labels, strict=True):
        turn = (float(label.replace("−", "-")) - tick) / 360
        assert turn == pytest.approx(round(turn))
        assert -180 <= float(label.replace("−", "-")) < 180
    same = coordinate_of(space).opened(np.full(6, 1 / 6))
    assert same.period == (-180, 180)


def test_a_baseline_far_above_the_curves_is_named_and_not_drawn():
    ax = plot_training(RECORD, new_axes())
    levels = [line.get_ydata()[0] for line in ax.lines]
    assert 1.4 in levels
    assert 3.0 not in levels
    assert "independent frames: 3.000" in ax.get_title(loc="left")
    best = next(line for line in ax.lines if line.get_label() == "best epoch")
    np.testing.assert_allclose(np.array(best.get_data(), dtype=float).ravel(), [2, 1.15])


def test_embedding_map_has_a_dot_for_each_state_and_labels_that_do_not_collide():
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    ax = plot_embedding(vectors, new_axes())
    assert len(ax.collections[0].get_offsets()) == 60
    labels = [int(text.get_text()) for text in ax.texts]
    assert 10 < len(labels) < 60
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    overlaps = [a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k]]
    assert not any(overlaps)


def test_discrepancies_that_are_unknown_leave_their_row_empty():
    ax = plot_discrepancies(
        [0.1, float("nan")], styles_of(["a", "b"]), new_axes(), intervals=[(0.05, 0.2), None]
    )
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    lines = [line.get_xdata() for line in ax.lines]
    np.testing.assert_allclose(np.asarray(lines[0], dtype=float), [0.05, 0.2])


def test_styles_differ_in_colour_and_in_dashes_and_marker():
    styles = [DATA, *styles_of(["LSTM", "MSM", "HMM", "x", "y", "z"])]
    assert len({style.color for style in styles}) == len(styles)
    assert len({style.dashes for style in styles}) == len(styles)
    assert len({style.marker for style in styles}) == len(styles)
    assert all(len(to_rgb(style.color)) == 3 for style in styles)


def test_a_model_looks_the_same_whatever_it_is_beside():
    assert styles_of(["x", "HMM", "LSTM"])[1:] == (style_of("HMM"), style_of("LSTM"))


@pytest.mark.parametrize("name", ["$x_1", "_hidden", r"a\b$c$"])
def test_names_are_shown_letter_by_letter(name):
    ax = plot_free_energy(free_energy(chain()), new_axes(), style=style_of(name))
    ax.legend()
    ax.figure.draw_without_rendering()
    (shown,) = (text.get_text() for text in ax.get_legend().get_texts())
    assert shown.strip().replace(r"\$", "$") == name


def test_quantity_is_the_column_or_what_is_known():
    centers = np.array([1.0, 2.0])
    assert (
        quantity_of(StateSpace(2, centers=centers, discretization=Discretization(columns=("d",))))
        == "d"
    )
    assert quantity_of(StateSpace(2, centers=centers)) == "centre of state"
    assert quantity_of(StateSpace(2, centers=np.ones((2, 2)))) == "state"


def test_new_axes_are_made_when_none_are_given():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    ax = plot_free_energy(free_energy(chain()))
    try:
        assert len(plt.get_fignums()) == len(before) + 1
    finally:
        plt.close(ax.figure)


def test_given_axes_leave_pyplot_and_its_settings_alone(comparison):
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), dict(matplotlib.rcParams)
    plot_training(RECORD, new_axes())
    plot_embedding(np.eye(4), new_axes())
    plot_overview(comparison)
    assert (plt.get_fignums(), dict(matplotlib.rcParams)) == before


def test_overview_shows_both_stretches_on_one_scale_and_the_busiest_pair(comparison):
    figure = plot_overview(comparison, n_frames=500)
    upper, lower, _, rates = figure.axes
    assert upper.get_title(loc="left") == "data"
    assert lower.get_title(loc="left") == "MSM"
    assert upper.get_ylim() == lower.get_ylim()
    counts = comparison.reference.transitions.counts.sum(axis=0)
    i, j = np.unravel_index(np.argmax(counts), counts.shape)
    assert rates.get_title() == f"{i} \u2192 {j}"
    figure.draw_without_rendering()


def test_states_without_an_order_are_points_at_whole_numbers():
    states = States(np.random.default_rng(0).integers(15, size=2000), 15)
    ax = plot_free_energy(free_energy(states), new_axes())
    assert ax.lines[0].get_linestyle() == "None"
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_the_map_of_states_shows_those_that_were_seen():
    states = States(np.array([0, 0, 0, 2, 2, 0, 0, 2]), 3)
    centers = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    ax = plot_state_map(free_energy(states), centers, new_axes(), names=("phi", "psi"))
    np.testing.assert_allclose(ax.collections[0].get_offsets(), centers[[0, 2]])
    np.testing.assert_allclose(ax.collections[0].get_array(), [0, np.log(5 / 3)])
    assert [text.get_text() for text in ax.texts] == ["0", "2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("phi", "psi")


def test_an_embedding_map_of_some_states_keeps_their_numbers():
    vectors = np.random.default_rng(0).normal(size=(6, 5))
    ax = plot_embedding(vectors, new_axes(), states=[1, 3, 4])
    assert len(ax.collections[0].get_offsets()) == 3
    assert {text.get_text() for text in ax.texts} <= {"1", "3", "4"}
    np.testing.assert_array_equal(ax.collections[0].get_array(), [1, 3, 4])


def test_dwells_of_one_frame_are_a_point_that_is_seen():
    curve = survival(dwell_times(States(np.arange(40) % 2, 2), 0))
    ax = plot_survival(curve, new_axes())
    assert ax.lines[0].get_marker() not in ("None", "")


def in_the_plane(n: int = 4000) -> States:
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.random(n) < 0.01) % 2 * 4 + rng.normal(size=n)
    y = rng.uniform(-180, 180, size=n)
    data = Features(
        (np.column_stack([x, y]),),
        ("d", "phi"),
        periods=(None, (-180, 180)),
        column_units=("nm", ""),
    )
    return KMeans(20).fit_transform(data)


def test_the_free_energy_map_holds_all_of_the_population():
    states = in_the_plane()
    result = free_energy(states)
    found = density_map(states.space, result.populations)
    assert np.nansum(found.density) == pytest.approx(1, abs=1e-9)
    ax = plot_free_energy_map(result, states.space, new_axes())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("d / nm", "phi / deg")
    drawn = ax.images[0].get_array()
    highest = np.unravel_index(np.nanargmax(found.density.T), drawn.shape)
    assert drawn[highest] == pytest.approx(0)
    lower, upper = (found.density[60, k] for k in (0, -1))
    # The upper and the lower border are one line: the same state on both sides of it.
    assert lower == upper or np.isnan(lower) == np.isnan(upper)


def test_states_of_many_coordinates_are_smeared_over_the_plane():
    centers = np.array([[0.0, 0, 1], [10, 0, 2], [0, 10, 3]])
    states = States([0, 0, 1, 2] * 5, 3, centers=centers)
    found = density_map(states.space, states.counts() / 20)
    k, m = np.unravel_index(np.nanargmax(found.density), found.density.shape)
    left, right, bottom, top = found.extent
    size = found.density.shape[0]
    assert left + (k + 0.5) / size * (right - left) == pytest.approx(0, abs=0.5)
    assert bottom + (m + 0.5) / size * (top - bottom) == pytest.approx(0, abs=0.5)
    with pytest.raises(InputError):
        density_map(chain().space, np.array([0.5, 0.5]))


def test_relaxation_and_timescales_are_drawn_at_their_lags():
    states = chain()
    result = transition_probabilities(states, [1, 4, 20])
    ax = plot_relaxation(result, (0, 1), new_axes())
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [0.5, 2, 10])
    np.testing.assert_allclose(y, result.values[:, 0, 1])
    times = [counted_timescales(states, lag) for lag in (1, 4)]
    ax = plot_timescales(times, states.dt, new_axes())
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [0.5, 2])
    np.testing.assert_allclose(y, [found.values[0] for found in times])
    assert ax.get_ylabel() == "implied timescale / ns"


def test_the_network_shows_populations_and_rate_constants():
    states = chain()
    result = rate_constants(committed_transitions(states, [1]), 1)
    shares = free_energy(states).populations
    ax = plot_group_network(result, shares, new_axes(), names=("open", "closed"))
    words = [text.get_text() for text in ax.texts]
    constants = result.values
    expected = {"open", "closed", number(constants[0, 1], 2), number(constants[1, 0], 2)}
    assert expected <= set(words)
    ax.figure.draw_without_rendering()
    never = rate_constants(committed_transitions(States([0, 0, 0, 1], 3), [1]), 1)
    ax = plot_group_network(never, [0.75, 0.25, 0], new_axes())
    assert len([patch for patch in ax.patches if "Arrow" in type(patch).__name__]) == 1


def test_the_network_lies_as_the_groups_do_with_room_for_arrows_and_shows_those_asked_for():
    result = rate_constants(committed_transitions(np.arange(3000) % 3, [1]), 1)
    shares, names = np.array([0.6, 0.3, 0.1]), ("(0.0, 2.7)", "(0.0, 2.5)", "(1.0, 0.5)")
    shown = np.zeros((3, 3), bool)
    shown[0, 1] = True
    ax = plot_group_network(
        result,
        shares,
        new_axes(),
        names=names,
        positions=[[0, 2.7], [0, 2.5], [1, 0.5]],
        shown=shown,
    )
    circles = [patch for patch in ax.patches if "Circle" in type(patch).__name__]
    (x0, y0), (x1, y1), (x2, y2) = (circle.center for circle in circles)
    assert x2 > max(x0, x1)
    assert y0 > y1 > y2
    assert y0 - y1 > circles[0].radius + circles[1].radius + 0.6
    assert len([patch for patch in ax.patches if "Arrow" in type(patch).__name__]) == 1


def test_the_kinetic_map_has_a_dot_for_each_state_that_is_joined():
    states = in_the_plane()
    found = kinetic_map(states, 5)
    ax = plot_kinetic_map(found, new_axes(), groups=np.arange(20) % 2, names=("a", "b"))
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 20
    assert [dots.get_label() for dots in ax.collections] == ["a", "b"]


@pytest.mark.parametrize(("column", "width"), [("single", 3.4), ("double", 7.0)])
def test_style_sheets_have_the_widths_of_journals(column, width):
    import matplotlib.style

    with matplotlib.style.context(f"trajlm.plots.{column}_column"):
        assert matplotlib.rcParams["figure.figsize"][0] == width
        assert matplotlib.rcParams["svg.fonttype"] == "none"
        assert matplotlib.rcParams["pdf.fonttype"] == 42
