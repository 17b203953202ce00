import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare

from trajlm.data import States, StateSpace
from trajlm.errors import InputError
from trajlm.lstm.generation import lanes
from trajlm.lstm.generation.blocks import START_FRAMES, choose_starts
from trajlm.lstm.generation.lanes import share_out
from trajlm.lstm.loops import loops
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.quantization.precision import byte_precision, half_precision, single_precision
from trajlm.lstm.quantization.weights import in_two_bytes, worth_of_one
from trajlm.lstm.tables import step_tables
from trajlm.lstm.training.network import LSTMNetwork, export_weights
from trajlm.lstm.weights import LSTMWeights


def small_network(n_states=3, embedding_dim=4, hidden_dim=6, skip=True, seed=0):
    torch.manual_seed(seed)
    log_transitions = torch.log_softmax(torch.randn(n_states, n_states), 1) if skip else None
    network = LSTMNetwork(n_states, embedding_dim, hidden_dim, log_transitions)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=1.7 / hidden_dim**0.5)
    return network


def small_model(**kwargs):
    network = small_network(**kwargs)
    n = network.readout.out_features
    starts = (np.array([0, 1, n - 1]), np.array([1, 1]))
    return LSTMModel(export_weights(network), StateSpace(n), starts)


def by_definition(w: LSTMWeights, path):
    """ln Q(s(t+1) | past) in float64, straight from the equations."""
    return np.array([x for x, _, _ in steps_by_definition(w, path)])


def steps_by_definition(w: LSTMWeights, path):
    """ln Q(s(t+1) | past) and the units and cells after state s(t), for each t but the last."""
    L = w.readout.shape[1]
    h, c = np.zeros(L), np.zeros(L)
    f64 = {k: v.astype(np.float64) for k, v in w.arrays().items()}
    out = []
    for now, after in itertools.pairwise(path):
        gates = (
            f64["input_weights"] @ f64["embedding"][now]
            + f64["recurrent_weights"] @ h
            + f64["gate_bias"]
        )
        i, f, g, o = gates.reshape(4, L)
        i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        z = f64["readout"] @ h + f64["readout_bias"] + f64["skip"][now]
        out.append((z[after] - np.logaddexp.reduce(z), h, c))
    return out


@pytest.mark.parametrize("skip", [True, False])
def test_probabilities_of_all_paths_sum_to_one(skip):
    model = small_model(skip=skip)
    for first in range(3):
        paths = [np.array((first, *rest)) for rest in itertools.product(range(3), repeat=6)]
        total = sum(np.exp(model.log_prob(path)) for path in paths)
        assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("n_states", "hidden_dim"), [(3, 6), (20, 64), (34, 61)])
def test_kernel_agrees_with_equations_and_pytorch(n_states, hidden_dim):
    network = small_network(n_states, 5, hidden_dim)
    weights = export_weights(network)
    model = LSTMModel(weights, StateSpace(n_states), (np.array([0, 1]),))
    path = np.random.default_rng(1).integers(n_states, size=400)
    found = model.log_probs(path)[0]
    np.testing.assert_allclose(found, by_definition(weights, path), atol=1e-4)
    states = torch.from_numpy(path)[:, None]
    with torch.no_grad():
        logits, _ = network(states[:-1], network.initial_memory(1))
    torch_values = torch.log_softmax(logits[:, 0], 1)[range(399), path[1:]]
    np.testing.assert_allclose(found, torch_values.numpy(), atol=1e-4)


def nearest(weights):
    """The nearest integers, a byte and a half for each weight."""
    worth = worth_of_one(weights)
    integers = 16 * np.rint(weights / (16 * worth[:, None])).astype(np.int32)
    return in_two_bytes(integers, worth, np.arange(weights.shape[1]))


def in_bytes(weights):
    return byte_precision(nearest(weights))


# Lanes of a larger and a smaller tile.
TILES = 8, 4
BYTES = pytest.mark.skipif(not loops().HAS_BYTES, reason="this machine multiplies no bytes")


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [
        (single_precision, 1e-4),
        (half_precision, 2e-3),
        pytest.param(in_bytes, 2e-3, marks=BYTES),
    ],
)
@pytest.mark.parametrize(("n_states", "hidden_dim"), [(20, 64), (34, 200)])
def test_lanes_forced_along_a_path_agree_with_the_equations(
    n_states, hidden_dim, precision, tolerance
):
    weights = export_weights(small_network(n_states, 5, hidden_dim))
    tables, recurrent = step_tables(weights), precision(weights.recurrent_weights)
    path = np.random.default_rng(2).integers(n_states, size=300)
    wanted = steps_by_definition(weights, path)
    # Thirteen lanes begin at different frames of the path, and read all but its last state.
    ends = np.arange(300 - 13, 300)
    paths = np.zeros((13, 300), np.int64)
    for lane, end in enumerate(ends):
        paths[lane, 300 - end :] = path[:end]
    hidden, cell = np.zeros((2, 13, tables.hidden_dim), np.float32)
    loops().read_lanes(tables.inputs, recurrent, paths, 300 - ends, hidden, cell)
    for lane, end in enumerate(ends):
        _, h, c = wanted[end - 2]
        np.testing.assert_allclose(hidden[lane, :hidden_dim], h, atol=tolerance)
        np.testing.assert_allclose(cell[lane, :hidden_dim], c, atol=10 * tolerance)
    # And thirteen paths side by side.
    paths = np.stack([np.roll(path, lane) for lane in range(13)])
    found = np.empty((13, 299))
    tables_of = tables.inputs, recurrent, tables.readout, tables.skip
    loops().score_lanes(*tables_of, paths, found)
    for lane in range(13):
        np.testing.assert_allclose(found[lane], by_definition(weights, paths[lane]), atol=tolerance)


def test_log_prob_is_the_sum_over_frames_and_trajectories():
    model = small_model()
    a, b = np.array([0, 1, 2, 2]), np.array([2, 0, 1])
    parts = model.log_probs([a, b])
    assert [len(p) for p in parts] == [3, 2]
    assert model.log_prob([a, b]) == pytest.approx(model.log_prob(a) + model.log_prob(b))
    assert model.cross_entropy([a, b]) == pytest.approx(-model.log_prob([a, b]) / 5)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_sampled_paths_have_the_probabilities_of_the_model(temperature):
    model = small_model(seed=3)
    length, n_lanes = 4, 8000
    generated = model.generate(length, n_lanes, seed=5, start=1, temperature=temperature)
    codes = np.array(list(generated)) @ 3 ** np.arange(length)
    observed = np.bincount(codes, minlength=3**length)
    paths = list(itertools.product(range(3), repeat=length))
    expected = np.zeros(3**length)
    for path in paths:
        expected[np.array(path) @ 3 ** np.arange(length)] = path_probability(
            model, (1, *path), temperature
        )
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    # Paths too rare for the test share one cell with the next ones up.
    order = np.argsort(expected)
    cell = np.floor(np.cumsum(expected[order]) * n_lanes / 20)
    pooled = np.array([observed[order][cell == c].sum() for c in np.unique(cell)])
    wanted = np.array([expected[order][cell == c].sum() for c in np.unique(cell)]) * n_lanes
    assert chisquare(pooled, wanted * pooled.sum() / wanted.sum()).pvalue > 1e-4


def path_probability(model, path, temperature):
    probability = 1.0
    for t in range(len(path) - 1):
        rows = [model.log_probs(np.array((*path[: t + 1], k)))[0][-1] for k in range(3)]
        p = np.exp(np.array(rows) / temperature)
        probability *= p[path[t + 1]] / p.sum()
    return probability


def test_lanes_do_not_depend_on_threads_and_other_seeds_differ():
    model = small_model()
    one = np.array(list(model.generate(50_000, 5, seed=1, n_threads=1)))
    two = np.array(list(model.generate(50_000, 5, seed=1, n_threads=3)))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, np.array(list(model.generate(50_000, 5, seed=2))))
    assert len({lane.tobytes() for lane in one}) == 5


def test_a_lane_is_the_same_whatever_lanes_run_beside_it():
    model = small_model(n_states=5, hidden_dim=40)
    many = np.array(list(model.generate(300, 101, seed=1, n_threads=2)))
    few = np.array(list(model.generate(300, 7, seed=1, n_threads=3)))
    one = np.array(list(model.generate(300, 1, seed=1)))
    np.testing.assert_array_equal(few, many[:7])
    np.testing.assert_array_equal(one, many[:1])


@pytest.mark.parametrize("hidden_dim", [192, 300])
def test_threads_that_share_lanes_change_nothing(hidden_dim, monkeypatch):
    monkeypatch.setattr(lanes, "usable_cores", lambda: 7)
    # Three chunks, so that what they carry is taken up again.
    monkeypatch.setattr(lanes.LaneBlock, "chunk", 30)
    model = small_model(n_states=5, hidden_dim=hidden_dim)
    alone = np.array(list(model.generate(70, 5, seed=1, n_threads=1)))
    shares = set()
    for n_lanes, n_threads in ((1, 7), (2, 7), (3, 7), (3, 2), (5, 2)):
        shares.add(share_out(n_lanes, n_threads, hidden_dim, TILES, loops().HAS_TEAMS))
        together = np.array(list(model.generate(70, n_lanes, seed=1, n_threads=n_threads)))
        np.testing.assert_array_equal(together, alone[:n_lanes])
    assert (max(team for _, team in shares) > 1) == loops().HAS_TEAMS


@pytest.mark.skipif(not loops().HAS_TEAMS, reason="threads share no lane in plain code")
def test_no_thread_waits_for_one_that_failed(monkeypatch):
    compiled = loops().generate_lanes

    def failing(*arguments):
        if arguments[-2] == 1:
            raise MemoryError
        compiled(*arguments)

    monkeypatch.setattr(lanes, "usable_cores", lambda: 3)
    model = small_model(hidden_dim=192)
    (block,) = lanes.lane_blocks(model, 1, 0, None, 1.0, 3)
    block.advance(4)
    before = {name: x.copy() for name, x in block.memory().items()}
    with monkeypatch.context() as patch:
        patch.setattr(loops(), "generate_lanes", failing)
        with pytest.raises(MemoryError):
            block.advance(10)
    # As if nothing had been tried.
    for name, x in block.memory().items():
        np.testing.assert_array_equal(x, before[name])
    (again,) = model.generate(14, 1, seed=0)
    np.testing.assert_array_equal(block.advance(10)[0], again[4:])


@pytest.mark.parametrize("hidden_dim", [64, 512])
@pytest.mark.parametrize("n_threads", [1, 2, 16])
def test_no_more_threads_work_than_there_are(hidden_dim, n_threads, monkeypatch):
    monkeypatch.setattr(lanes, "usable_cores", lambda: n_threads)
    for n_lanes in (1, 2, 3, 4, 10, 16, 52, 60, 100, 4096):
        size, team = share_out(n_lanes, n_threads, hidden_dim, TILES)
        n_blocks = -(-n_lanes // size)
        assert 1 <= size <= lanes.BLOCK
        assert team == 1 or n_blocks * team <= n_threads
    assert share_out(4096, n_threads, hidden_dim, TILES)[0] >= 12
    # One of several processes may have no lane.
    assert share_out(0, n_threads, hidden_dim, TILES)[0] == 1


def test_lanes_are_shared_out_evenly_in_whole_tiles_or_to_a_team():
    assert share_out(10, 2, 64, (12, 4)) == (5, 1)
    assert share_out(4096, 1, 64, TILES) == (48, 1)
    assert share_out(16, 2, 512, TILES) == (8, 1)
    assert share_out(4, 2, 512, TILES) == (4, 2)
    assert share_out(4, 2, 512, TILES, teams=False) == (2, 1)


def transitions_as_the_model_says(n_frames, n_lanes):
    """The p-value of the states that follow each state, for a network that is a Markov chain."""
    network = small_network(n_states=20, hidden_dim=64)
    torch.nn.init.zeros_(network.readout.weight)
    weights = export_weights(network)
    model = LSTMModel(weights, StateSpace(20), (np.array([0, 1]),))
    logits = (weights.skip + weights.readout_bias).astype(np.float64)
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    states = np.array(list(model.generate(n_frames, n_lanes, seed=8)), dtype=np.int64)
    counts = np.bincount((states[:, :-1] * 20 + states[:, 1:]).ravel(), minlength=400)
    counts = counts.reshape(20, 20)
    expected = counts.sum(1, keepdims=True) * p
    statistic = ((counts - expected) ** 2 / expected).sum()
    return chi2.sf(statistic, 20 * 19)


def test_transitions_of_many_lanes_pass_a_chi_square_test():
    assert transitions_as_the_model_says(4000, 100) > 1e-4


@pytest.mark.slow
def test_ten_million_transitions_pass_a_chi_square_test():
    assert transitions_as_the_model_says(100_000, 100) > 1e-3


def test_more_lanes_leave_the_first_ones_independent_of_each_other():
    lanes = np.array(list(small_model().generate(20_000, 2, seed=0, start=0)))
    same = (lanes[0] == lanes[1]).mean()
    p = np.bincount(lanes.ravel(), minlength=3) / lanes.size
    assert same == pytest.approx((p**2).sum(), abs=0.03)


def test_generation_goes_on_from_the_stretch_it_read():
    model = small_model()
    stretch = States((np.array([0, 1, 2, 2, 1]),), 3)
    first = [int(s[0]) for s in model.generate(2, 4000, seed=3, start=stretch)]
    # Stretches end at any frame: average the exact distributions over all five ends.
    path = stretch.trajectories[0]
    expected = np.zeros(3)
    for end in range(1, 6):
        for k in range(3):
            expected[k] += np.exp(model.log_probs(np.array([*path[:end], k]))[0][-1]) / 5
    assert chisquare(np.bincount(first, minlength=3), expected * 4000).pvalue > 1e-4


def test_starts_come_from_the_data_and_never_cross_a_border():
    states = States((np.zeros(3000, int), np.ones(1000, int)), 2)
    starts = choose_starts(states, seed=0)
    assert all(len(np.unique(s)) == 1 and 1 <= len(s) <= START_FRAMES for s in starts)
    assert np.mean([s[-1] for s in starts]) == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n_steps": 1}, "2 steps"),
        ({"n_steps": 10, "n_lanes": 0}, "1 lane"),
        ({"n_steps": 10, "start": 3}, "start state 3"),
        ({"n_steps": 10, "start": -1}, "start state -1"),
        ({"n_steps": 10, "start": np.int64(3)}, "start state 3"),
        ({"n_steps": 10, "start": States((np.array([0, 7]),))}, "state 7"),
        ({"n_steps": 10, "seed": -1}, "seed"),
        ({"n_steps": 10**21}, "memory"),
        ({"n_steps": 10, "temperature": 1e-50}, "temperature"),
        ({"n_steps": 10, "temperature": 0.0}, "temperature"),
        ({"n_steps": 10, "temperature": float("nan")}, "temperature"),
    ],
)
def test_bad_generation_is_refused(arguments, word):
    with pytest.raises(InputError, match=word):
        small_model().generate(**arguments)


def test_unknown_state_is_refused_with_its_place():
    with pytest.raises(InputError, match="state 7 in trajectory 1, frame 2"):
        small_model().log_prob([np.array([0, 1]), np.array([0, 1, 7])])


def test_data_of_another_dt_is_not_scored():
    model = LSTMModel(small_model().weights, StateSpace(3, 0.1, "ps"), (np.array([0, 1]),))
    path = np.array([0, 1, 2, 0])
    assert np.isfinite(model.log_prob(path))
    assert model.log_prob(States((path,), 3, 0.1, "ps")) == model.log_prob(path)
    with pytest.raises(InputError, match=r"one step each 0\.1 ps"):
        model.log_prob(States((path,), 3, 0.2, "ps"))
