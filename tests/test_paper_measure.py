import numpy as np
import pytest
from scipy.stats import spearmanr

from trajlm.analysis import committed_transitions, mean_first_passage_time
from trajlm.data import States, StateSpace
from trajlm.lstm.model import LSTMModel
from trajlm.models.markov import fit_msm
from trajlm.reproduce.paper.data import MARKOV3_TRANSITION_MATRIX
from trajlm.reproduce.paper.embedding import (
    compare_embeddings,
    memoryless_probabilities,
    state_pairs,
)
from trajlm.reproduce.paper.measure import (
    Source,
    agreement_from,
    first_frames,
    intervals_of,
    kullback_leibler,
    measure_run,
    yardstick,
)
from trajlm.reproduce.paper.recipe import Groups, View
from trajlm.reproduce.paper.tasks import read_runs, write_runs
from trajlm.systems.hidden_markov import markov_chain, markov_entropy_rate

VIEW = View(name="states", groups=Groups(names=("A", "B", "C"), assignment=(0, 1, 2)))


def chain(n_frames, seed=0):
    return markov_chain(MARKOV3_TRANSITION_MATRIX).simulate(n_frames, seed=seed)


def source_of(data, runs, lag=1, **kwargs):
    stick = yardstick(data, VIEW, 10, lag)
    measured = [
        measure_run(s, stick, k, float("nan"), kwargs.get("scorers", {}), {})
        for k, s in enumerate(runs)
    ]
    return stick, Source("model", lag, tuple(measured), "", runs[0].trajectories[0])


def test_the_data_against_itself_has_no_discrepancy():
    data = chain(20_000)
    stick, source = source_of(data, [data, data])
    assert source.discrepancy() == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    np.testing.assert_allclose(source.rates()[0], stick.transitions.rates())
    assert agreement_from(source, stick) == 1.0


def test_a_lag_looks_at_every_frame_of_that_number():
    data = chain(30_000)
    stick = yardstick(data, VIEW, 10, lag=10)
    assert (stick.states.dt, stick.states.n_frames) == (10.0, 3000)
    by_hand = committed_transitions(States((data.trajectories[0][::10],), 3), [1])
    np.testing.assert_array_equal(stick.transitions.counts[0], by_hand.counts[0])


def test_a_chain_seen_at_its_own_lag_agrees_at_every_commit_time():
    data = chain(300_000)
    msm = fit_msm(data, lag=10)
    runs = [msm.generate(30_000, 1, k) for k in range(10)]
    stick, source = source_of(data, runs, lag=10)
    assert source.discrepancy()[0] < 2 * stick.floor.value
    assert agreement_from(source, stick) is not None


def test_a_wrong_rate_never_agrees():
    data = chain(100_000)
    slower = np.array(MARKOV3_TRANSITION_MATRIX) * 0.3 + 0.7 * np.eye(3)
    runs = [markov_chain(slower).simulate(100_000, seed=k) for k in range(3)]
    stick, source = source_of(data, runs)
    assert agreement_from(source, stick) is None


def test_path_entropy_and_kl_of_a_chain_are_the_closed_forms():
    P = np.array(MARKOV3_TRANSITION_MATRIX)
    data = chain(400_000)
    other = fit_msm(chain(400_000, seed=5).with_trajectories([np.array([0, 1, 2, 0] * 50)]))
    true = fit_msm(data)
    nats = {
        "true": {"true": [true.cross_entropy(data)], "other": [other.cross_entropy(data)]},
    }
    assert nats["true"]["true"][0] == pytest.approx(markov_entropy_rate(P), abs=2e-3)
    pi = markov_chain(P).stationary_distribution
    exact = np.sum(pi[:, None] * P * np.log(P / other.transition_matrix))
    assert kullback_leibler(nats)["true"]["other"] == pytest.approx(exact, rel=0.02)
    assert kullback_leibler(nats)["true"]["true"] == 0.0


def test_intervals_are_student_t():
    values = np.array([[1.0], [2.0], [3.0]])
    mean, low, high = intervals_of(values)
    # t(0.975, 2) = 4.30265, standard error 1/sqrt(3)
    assert mean[0] == 2.0
    assert high[0] == pytest.approx(2 + 4.30265 / np.sqrt(3), rel=1e-5)
    assert low[0] == 0.0  # never below zero
    assert np.isnan(intervals_of(values[:1])[1]).all()


def test_runs_survive_a_file(tmp_path):
    data = chain(5000)
    _, source = source_of(data, [data, data])
    write_runs(tmp_path / "runs.npz", list(source.runs), source.excerpt)
    runs, excerpt = read_runs(tmp_path / "runs.npz")
    np.testing.assert_array_equal(excerpt, source.excerpt)
    for one, other in zip(runs, source.runs, strict=True):
        np.testing.assert_array_equal(one.counts, other.counts)
        assert one.discrepancy == other.discrepancy
        assert np.isnan(one.nats_of_data)


def test_first_frames_take_an_equal_part_of_each_lane():
    data = States((np.zeros(10, int), np.ones(10, int)))
    assert [len(s) for s in first_frames(data, 8)] == [4, 4]


def test_pairs_of_states_are_counted_in_the_data():
    s = np.array([0, 0, 1, 1, 0, 2, 2, 0, 1, 0])
    data = States((s,))
    pairs = state_pairs(data)
    # after 0 (4 followed frames: 0,1,2,1) comes 1 twice
    assert pairs.interconversion[1, 0] == pytest.approx(2 / 4)
    assert pairs.interconversion[0, 0] == 0.0
    there = mean_first_passage_time(data, 0, 1).mean
    back = mean_first_passage_time(data, 1, 0).mean
    assert pairs.commute_times[0, 1] == pytest.approx(there + back)
    assert pairs.commute_times[0, 1] == pairs.commute_times[1, 0]


def small_model(seed, n=5, skip=False):
    import torch

    from trajlm.lstm.training.network import LSTMNetwork, export_weights

    torch.manual_seed(seed)
    log_transitions = torch.randn(n, n) if skip else None
    network = LSTMNetwork(n, 3, 8, log_transitions, seed=seed)
    torch.nn.init.normal_(network.readout.weight)
    weights = export_weights(network)
    return network, LSTMModel(weights, StateSpace(n), (np.zeros(1, np.uint8),))


@pytest.mark.parametrize("skip", [False, True])
def test_memoryless_probabilities_are_one_step_of_the_network(skip):
    import torch

    network, model = small_model(0, skip=skip)
    with torch.no_grad():
        logits, _ = network(torch.arange(5)[None, :], network.initial_memory(5))
    expected = torch.softmax(logits[0], dim=1).numpy().T
    Q = memoryless_probabilities(model)
    np.testing.assert_allclose(Q, expected, atol=1e-6)
    np.testing.assert_allclose(Q.sum(axis=0), 1.0)


def test_rank_correlations_are_spearman_over_pairs():
    data = markov_chain(np.full((5, 5), 0.05) + 0.75 * np.eye(5)).simulate(20_000)
    pairs = state_pairs(data)
    models = [small_model(k)[1] for k in range(3)]
    result = compare_embeddings(models, pairs)
    upper = np.triu_indices(5, 1)
    expected = spearmanr(result.distances[upper], pairs.commute_times[upper]).statistic
    assert result.distance_commute.values[0] == pytest.approx(expected)
    assert result.distance_commute.n_pairs == 10
    assert len(result.between_trainings.values) == 3
