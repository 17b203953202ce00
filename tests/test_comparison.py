import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student_t

from trajlm.analysis import committed_transitions, discrepancy, group_by_edges
from trajlm.analysis.metastable import default_grouping
from trajlm.comparison import Comparison, compare
from trajlm.data import Features, States
from trajlm.discretize import Bins
from trajlm.errors import InputError
from trajlm.evaluate.summary import summary
from trajlm.lstm.record import Baselines, Direction, EpochRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.markov import fit_msm
from trajlm.provenance import Binning, Discretization, Note, RunningMean
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
    markov_chain,
)
from trajlm.util.atomic import plain
from trajlm.util.plain import as_values

CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
PROCESS = markov_chain(CHAIN, 0.5, "ps")
LSTM_RECORD = LSTMRecord(
    settings=TrainingSettings(epochs=2, seed=7),
    n_frames=50_000,
    n_trajectories=1,
    best_epoch=2,
    history=(EpochRecord(1, 0.5, 0.52, 1.0), EpochRecord(2, 0.4, 0.41, 1.0)),
    baselines=Baselines(0.45, 1.0),
    direction=Direction(True, 0.5),
)


@pytest.fixture(scope="module")
def data():
    return PROCESS.simulate(50_000, seed=0)


def test_d_is_near_the_floor_for_the_truth_and_far_for_another_process(data):
    slow = markov_chain(0.2 * CHAIN + 0.8 * np.eye(3), 0.5, "ps")
    comparison = compare(
        data, {"truth": PROCESS.simulate(500_000, seed=1), "slow": slow.simulate(500_000, seed=2)}
    )
    floor = comparison.reference.discrepancy.value
    truth, wrong = comparison.models
    assert truth.discrepancy.value < 2 * floor
    assert wrong.discrepancy.value > 5 * floor
    low, high = wrong.discrepancy_interval
    assert low <= wrong.discrepancy.value <= high
    assert high - low < 0.5 * wrong.discrepancy.value


def test_discrepancy_is_the_mean_over_its_definition(data):
    generated = PROCESS.simulate(50_000, seed=3)
    result = compare(data, {"x": generated}).models[0]
    times = result.transitions.commit_times
    ref, gen = (committed_transitions(s, times).counts for s in (data, generated))
    terms = [
        abs(np.log(max(gen[m, i, j], 0.5) / ref[m, i, j]))
        for m in range(len(times))
        for i in range(3)
        for j in range(3)
        if i != j and ref[m, i, j] >= 20
    ]
    assert result.discrepancy.value == pytest.approx(np.mean(terms))


def test_memory_that_a_markov_model_lacks_shows_in_d():
    process = HiddenMarkovProcess.from_rates(
        KINSOFT_LEVEL3_RATES, dt=0.2, lumping=KINSOFT_LEVEL3_LUMPING
    )
    data = process.simulate(100_000, seed=0)
    models = {"MSM": fit_msm(data), "truth": process.simulate(1_000_000, seed=1)}
    msm, truth = compare(data, models).models
    assert msm.discrepancy.value > 4 * truth.discrepancy.value
    assert msm.cross_entropy == pytest.approx(fit_msm(data).cross_entropy(data))
    assert truth.cross_entropy is None


def test_the_interval_of_d_leaves_out_each_part_in_turn(data):
    generated = PROCESS.simulate(2_000, 12, seed=3)
    result = compare(data, {"it": generated}).models[0]
    times = result.transitions.commit_times
    reference = committed_transitions(data, times)
    left_out = []
    for part in np.array_split(np.arange(12), 10):
        rest = [s for k, s in enumerate(generated) if k not in part]
        counted = committed_transitions(generated.with_trajectories(rest), times)
        left_out.append(discrepancy(reference, counted).value)
    error = np.sqrt(9 / 10 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    _, high = result.discrepancy_interval
    assert high - result.discrepancy.value == pytest.approx(student_t.ppf(0.975, 9) * error)


def test_independent_runs_of_a_model_are_repeatable(data):
    one, two, other = (
        compare(data, {"MSM": fit_msm(data)}, n_runs=3, seed=s).models[0].discrepancy.value
        for s in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_several_trainings_give_the_mean_and_the_spread_over_them(data):
    trained = [fit_msm(PROCESS.simulate(5_000, seed=k)) for k in range(4)]
    together = compare(data, {"MSM": trained, "one": trained[0]}, n_runs=3).models
    several, one = together
    values = [training.discrepancy for training in several.trainings]
    assert len(set(values)) == 4
    assert several.discrepancy.value == pytest.approx(np.mean(values))
    half = student_t.ppf(0.975, 3) * np.std(values, ddof=1) / 2
    assert several.discrepancy_interval[1] == pytest.approx(np.mean(values) + half)
    assert several.discrepancy.n_terms == 4 * one.discrepancy.n_terms
    rates = np.array([training.rates for training in several.trainings])
    np.testing.assert_allclose(several.transitions.rates(), rates.mean(axis=0))
    low, high = several.rate_intervals()
    assert np.all(low <= rates.mean(axis=0))
    assert np.all(rates.mean(axis=0) <= high)
    nats = [model.cross_entropy(data) for model in trained]
    assert several.cross_entropy == pytest.approx(np.mean(nats))


def test_the_training_data_itself_is_judged_beside_the_models_on_unseen_data(data):
    training = States((data.trajectories[0][:20_000],), 3, 0.5, "ps")
    unseen = States((data.trajectories[0][20_000:],), 3, 0.5, "ps")
    found = compare(training, {"MSM": fit_msm(training)}, unseen=unseen, n_runs=4)
    times = committed_transitions(unseen, found.unseen.transitions.commit_times)
    by_hand = committed_transitions(training, times.commit_times)
    own = found.reference.unseen
    assert own.discrepancy.value == pytest.approx(discrepancy(times, by_hand).value)
    assert own.discrepancy_interval[0] <= own.discrepancy.value <= own.discrepancy_interval[1]
    model = found.models[0].unseen
    assert model.cross_entropy == pytest.approx(fit_msm(training).cross_entropy(unseen))
    assert 0 < model.discrepancy.value < 0.5


def test_a_model_of_a_lag_is_judged_beside_training_data_seen_as_often(data):
    training = States((data.trajectories[0][:20_000],), 3, 0.5, "ps")
    unseen = States((data.trajectories[0][20_000:],), 3, 0.5, "ps")
    found = compare(training, {"lag 5": fit_msm(training, lag=5)}, unseen=unseen, n_runs=4)
    strided = [States((s.trajectories[0][::5],), 3, 2.5, "ps") for s in (training, unseen)]
    own = found.data_at(5).unseen
    times = committed_transitions(strided[1], np.unique(own.commit_times))
    by_hand = discrepancy(times, committed_transitions(strided[0], times.commit_times))
    assert own.value == pytest.approx(by_hand.value)
    row = summary(found).models["lag 5"].unseen
    assert row.D_over_own == pytest.approx(row.D / own.value)
    assert own.value != found.reference.unseen.discrepancy.value


def test_a_model_of_a_lag_is_held_against_the_data_seen_as_often(data):
    found = compare(data, {"MSM": fit_msm(data), "lag 10": fit_msm(data, lag=10)})
    one, ten = found.models
    assert (one.lag, ten.lag) == (1, 10)
    strided = States((data.trajectories[0][::10],), 3, 5.0, "ps")
    at_ten = found.data_at(10)
    expected = committed_transitions(strided, at_ten.transitions.commit_times)
    np.testing.assert_array_equal(at_ten.transitions.counts, expected.counts)
    # A chain is a chain at every lag.
    assert ten.discrepancy.value < 2 * at_ten.floor.value
    assert ten.cross_entropy is None


def test_a_saved_comparison_is_read_back_whole(data, tmp_path):
    unseen = PROCESS.simulate(20_000, seed=7)
    how = Discretization(
        Binning((0.0, 1.0, 2.0, 3.0)),
        ("x",),
        ((0.0, 3.0),),
        (RunningMean(3),),
        (Note("b", "bias"),),
    )
    data = replace(data, discretization=how)
    msm = fit_msm(data)
    trained = msm.with_record(LSTM_RECORD)
    models = {"MSM": [msm, fit_msm(data)], "lag 2": fit_msm(data, lag=2), "LSTM": trained}
    made = compare(data, models, unseen=unseen, n_runs=2)
    made.save(tmp_path)
    again = Comparison.load(tmp_path)
    assert again.space.discretization == how
    assert [model.record for model in again.models] == [model.record for model in made.models]
    assert isinstance(again.models[2].record, LSTMRecord)
    assert json.dumps(plain(as_values(again))) == json.dumps(plain(as_values(made)))
    assert again.models[0].transitions.counts.dtype == np.int64
    assert summary(again) == summary(made)
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / "index.html").read_bytes() == (
        tmp_path / "index.html"
    ).read_bytes()


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"models": 3}'])
def test_what_is_no_saved_comparison_is_refused_with_its_path(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=r"results\.json"):
        Comparison.load(tmp_path)


def test_tables_come_as_flat_records(data):
    found = compare(data, {"MSM": fit_msm(data)}, n_runs=2)
    (model,) = found.records()
    assert model["D"] == found.models[0].discrepancy.value
    rates = found.records("rates")
    assert {r["of"] for r in rates} == {"data", "MSM"}
    assert len(rates) == 2 * 6
    assert all(r["low"] <= r["rate_constant"] <= r["high"] for r in rates)
    dwells = found.records("dwells")
    assert len(dwells) == 2 * 3
    assert all(r["low"] <= r["mean"] <= r["high"] for r in dwells)
    frame = found.to_frame("rates")
    assert frame[frame.of == "data"].rate_constant.tolist() == [
        r["rate_constant"] for r in rates if r["of"] == "data"
    ]
    populations = found.records("populations")
    assert sum(r["population"] for r in populations if r["of"] == "MSM") == pytest.approx(1)


def test_few_states_stay_as_they_are_and_many_are_grouped(data):
    assert default_grouping(data).n_groups == 3
    rng = np.random.default_rng(0)
    wells = markov_chain(np.array([[0.995, 0.005], [0.01, 0.99]]), 1.0, "frame")
    fine = wells.simulate(50_000, seed=0).trajectories[0].astype(int) * 5 + rng.integers(
        5, size=50_000
    )
    grouping = default_grouping(States((fine,), 10, centers=np.arange(10.0)))
    assert grouping.assignment.tolist() == [0] * 5 + [1] * 5


def test_low_barriers_of_an_angle_part_groups_where_high_ones_are_rarely_crossed():
    # A well over the border with another beside it, 0.7 kT between them, and a third left once.
    rng = np.random.default_rng(0)
    pair = markov_chain(np.array([[0.97, 0.03], [0.03, 0.97]])).simulate(20_000, 1, 1)
    wells = np.concatenate([pair.trajectories[0][:12_000], np.full(1000, 2), pair.trajectories[0]])
    shape = np.array([0.15, 0.2, 0.3, 0.2, 0.15])
    bins = (wells * 5 + rng.choice(5, len(wells), p=shape) - 2) % 15
    how = Discretization(columns=("phi",), periods=((-180.0, 180.0),))
    data = States(bins, 15, centers=np.arange(-168.0, 180, 24), discretization=how)
    grouping = default_grouping(data)
    np.testing.assert_allclose(grouping.group_centers, [-168, -48, 72], atol=3)
    assert grouping.assignment.tolist() == [0] * 3 + [1] * 5 + [2] * 5 + [0] * 2
    found = compare(data, {"MSM": fit_msm(data)}, n_runs=2)
    assert np.isfinite(found.models[0].discrepancy.value)


def test_default_groups_have_transitions_to_judge_by_where_the_slowest_step_is_rare():
    # Two wells that are crossed four times, and a barrier within one that is crossed often.
    rng = np.random.default_rng(0)
    left = markov_chain(np.array([[0.97, 0.03], [0.03, 0.97]])).simulate(5000, 5, 1).trajectories
    wells = np.concatenate([np.concatenate([s, np.full(1000, 2)]) for s in left[:-1]] + [left[-1]])
    bins = wells * 5 + rng.choice(5, len(wells), p=[0.1, 0.2, 0.4, 0.2, 0.1])
    data = States(bins, 15, centers=np.arange(15.0))
    grouping = default_grouping(data)
    assert grouping.assignment.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert grouping.names == ("2", "7", "12")
    found = compare(data, {"MSM": fit_msm(data)}, n_runs=2)
    assert np.isfinite(found.models[0].discrepancy.value)


def test_grouping_is_applied_to_both_sides(data):
    coordinates = States(data.trajectories, 3, 0.5, "ps", np.array([0.0, 1.0, 2.0]))
    grouping = group_by_edges(coordinates, [1.5])
    comparison = compare(coordinates, {"same": coordinates}, grouping)
    assert comparison.reference.transitions.counts.shape[1:] == (2, 2)
    assert comparison.models[0].discrepancy.value == pytest.approx(0, abs=1e-12)


def test_the_truth_is_close_on_many_short_trajectories_too():
    # Their ends cut stays short; a lane without ends would commit far more often.
    T = np.array([[0.95, 0.05], [0.05, 0.95]])
    process = markov_chain(T, 1.0, "frame")
    data = process.simulate(50, 2000, seed=0)
    comparison = compare(data, {"truth": process.simulate(300_000, 2, seed=1)})
    assert comparison.models[0].discrepancy.value < 2 * comparison.reference.discrepancy.value
    assert comparison.models[0].n_trajectories == 2 * 6000


def test_very_short_trajectories_and_states_never_left_can_be_compared():
    process = markov_chain(CHAIN, 1.0, "frame")
    compare(process.simulate(8, 300, seed=0), {"x": process.simulate(8, 300, seed=1)})
    stuck = States((np.zeros(500, int),), 3)
    result = compare(process.simulate(5000, seed=0), {"stuck": stuck}).models[0]
    assert result.autocorrelation is None
    assert result.discrepancy.value > 1


@pytest.mark.parametrize(
    ("models", "word"),
    [
        ({}, "nothing to compare"),
        ({"x": States((np.array([0, 5]),))}, "x has 6 states"),
        ({"x": States((np.array([0, 1]),), 3, dt=0.7, unit="ps")}, "0.7 ps"),
    ],
)
def test_what_cannot_be_compared_is_refused(data, models, word):
    with pytest.raises(InputError, match=word):
        compare(data, models)


def test_states_of_another_coordinate_are_refused_with_both_in_words(data):
    rng = np.random.default_rng(0)
    column = {"names": ("phi",), "periods": ((-np.pi, np.pi),), "dt": 0.1, "unit": "ps"}
    phi = Bins(4).fit_transform(Features((rng.uniform(-3, 3, 2000),), **column))
    psi = Bins(4).fit_transform(
        Features((rng.uniform(-3, 3, 2000),), **column | {"names": ("psi",)})
    )
    for other in (fit_msm(phi), phi):
        with pytest.raises(InputError, match="states of M are bins of phi, those of the data are"):
            compare(psi, {"M": other})
    with pytest.raises(InputError, match="the model's states are bins of phi, the data's are bins"):
        fit_msm(phi).log_prob(psi)
    assert compare(phi, {"M": fit_msm(phi), "plain": States(phi.trajectories)}, n_runs=2).models
