import numpy as np
import pytest
from scipy.stats import spearmanr

from trajlm.analysis import mean_first_passage_time
from trajlm.comparison import compare
from trajlm.data import States, StateSpace
from trajlm.evaluate.significance import agrees_from
from trajlm.lstm.model import LSTMModel
from trajlm.models.markov import fit_msm
from trajlm.reproduce.paper.data import MARKOV3_TRANSITION_MATRIX
from trajlm.reproduce.paper.embedding import (
    compare_embeddings,
    memoryless_probabilities,
    state_pairs,
)
from trajlm.reproduce.paper.entropy import cross_nats, kullback_leibler
from trajlm.reproduce.paper.results import note_of
from trajlm.systems.hidden_markov import markov_chain, markov_entropy_rate


def chain(n_frames, seed=0):
    return markov_chain(MARKOV3_TRANSITION_MATRIX).simulate(n_frames, seed=seed)


def test_a_chain_seen_at_its_own_lag_agrees_from_some_commit_time_on():
    data = chain(300_000)
    found = compare(data, {"lag 10": fit_msm(data, lag=10)})
    (model,) = found.models
    assert model.discrepancy.value < 2 * found.data_at(10).floor.value
    assert agrees_from(found, model) is not None


def test_an_msm_is_called_reversible_only_where_it_is():
    data = chain(5_000)
    fits = {name: fit_msm(data, reversible=name == "balanced") for name in ("balanced", "driven")}
    notes = [note_of(model) for model in compare(data, fits, n_runs=2).models]
    assert ["reversible" in note for note in notes] == [True, False]


def test_the_data_itself_agrees_at_every_commit_time_and_a_wrong_rate_never():
    data = chain(100_000)
    slower = markov_chain(np.array(MARKOV3_TRANSITION_MATRIX) * 0.3 + 0.7 * np.eye(3))
    wrong = [slower.simulate(100_000, seed=k) for k in range(3)]
    found = compare(data, {"same": [data, data], "slow": wrong})
    same, slow = found.models
    assert same.discrepancy.value == pytest.approx(0.0, abs=1e-12)
    assert agrees_from(found, same) == 1.0
    assert agrees_from(found, slow) is None


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
    scored = other.floor.mixed(other.transition_matrix)
    exact = np.sum(pi[:, None] * P * np.log(P / scored))
    assert kullback_leibler(nats)["true"]["other"] == pytest.approx(exact, rel=0.02)
    assert kullback_leibler(nats)["true"]["true"] == 0.0


def test_paths_are_scored_under_the_model_they_come_from_and_the_others():
    models = {
        "MSM": [fit_msm(chain(20_000))],
        "other": [fit_msm(chain(2_000, seed=k)) for k in (1, 2)],
    }
    nats = cross_nats(models, 5_000, 2, seed=3)
    assert {name: {m: len(v) for m, v in row.items()} for name, row in nats.items()} == {
        "MSM": {"MSM": 1, "other": 1},
        "other": {"MSM": 2, "other": 2},
    }
    second = models["other"][1]
    paths = second.generate(5_000, 2, 4)
    assert nats["other"]["other"][1] == second.cross_entropy(paths)
    assert nats["other"]["MSM"][1] == models["MSM"][0].cross_entropy(paths)


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
