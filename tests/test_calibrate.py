import numpy as np
import pytest

from trajlm.analysis.slow import SlowSets, find_slow_sets, slow_kinetics
from trajlm.data import States, StateSpace
from trajlm.errors import Interrupted
from trajlm.lstm.calibration import Calibration
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.calibrate import calibrate, choose_target
from trajlm.lstm.training.response import Search
from trajlm.lstm.training.shifts import make_shifts, mobility_shift, tilt_shift
from trajlm.lstm.training.train import train
from trajlm.lstm.weights import LSTMWeights
from trajlm.models.registry import describe_model, load_model
from trajlm.systems.hidden_markov import markov_chain

LAG = 20


def two_wells(rate_up, rate_down):
    """Two wells of three states each, joined at the states 2 and 3."""
    inside = np.array([[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]])
    T = np.zeros((6, 6))
    T[:3, :3] = T[3:, 3:] = inside
    T[2, 3], T[3, 2] = rate_up, rate_down
    T[2, 2] -= rate_up
    T[3, 3] -= rate_down
    return T


TRUTH = two_wells(0.006, 0.012)


def memoryless(T):
    """A language model that is exactly the Markov chain T: its network says nothing."""
    n, M, L = len(T), 2, 8
    zeros = [np.zeros(s, np.float32) for s in ((n, M), (4 * L, M), (4 * L, L), (4 * L,), (n, L), n)]
    skip = np.log(np.maximum(T, 1e-12)).astype(np.float32)
    starts = tuple(np.array([k], dtype=np.uint8) for k in range(n))
    return LSTMModel(LSTMWeights(*zeros, skip), StateSpace(n_states=n), starts, {})


def transition_matrix(model):
    T = np.exp(model.weights.skip.astype(np.float64))
    return T / T.sum(axis=1, keepdims=True)


def stationary(T):
    values, vectors = np.linalg.eig(T.T)
    pi = vectors[:, np.argmax(values.real)].real
    return pi / pi.sum()


def simulate(T, n_frames, seed, n_trajectories=1):
    return markov_chain(T, dt=1.0, unit="frame").simulate(n_frames, n_trajectories, seed)


def test_a_wrong_slow_rate_becomes_that_of_the_data():
    data = simulate(TRUTH, 60_000, seed=1)
    wrong = memoryless(two_wells(0.015, 0.015))
    model, done = calibrate(wrong, data, LAG, seed=3)
    T = transition_matrix(model)
    pi = stationary(T)
    # A well is left from one state only, and a step there and back is rare: the flux in closed
    # form, pi_2 T_23, answers to the transitions counted. Counting error of the free runs: 4 %.
    counted = np.count_nonzero((data.trajectories[0][:-1] < 3) & (data.trajectories[0][1:] > 2))
    population = np.mean(data.trajectories[0] > 2)
    assert pi[2] * T[2, 3] == pytest.approx(counted / data.n_frames, rel=0.12)
    assert pi[3:].sum() == pytest.approx(population, rel=0.12)
    before = transition_matrix(wrong)
    assert stationary(before)[2] * before[2, 3] > 1.5 * counted / data.n_frames
    assert done.assignment in ((0, 0, 0, 1, 1, 1), (1, 1, 1, 0, 0, 0))
    assert done.pairs == ((0, 1),)
    assert "matched" in done.describe()
    assert done.out_of_line() == ()
    assert abs(done.rate_errors_before[0]) > 0.3 > abs(done.rate_errors[0])


def test_a_right_model_stays_right_and_fast_motion_is_left_alone():
    data = simulate(TRUTH, 60_000, seed=1)
    model, _ = calibrate(memoryless(TRUTH), data, LAG, seed=3)
    T = transition_matrix(model)
    assert np.abs(T - TRUTH).max() < 0.02
    excess = model.cross_entropy(data) - memoryless(TRUTH).cross_entropy(data)
    assert excess < 2e-4


def test_the_number_of_threads_does_not_matter():
    data = simulate(TRUTH, 20_000, seed=1)
    one, _ = calibrate(memoryless(two_wells(0.015, 0.015)), data, LAG, n_threads=1)
    two, _ = calibrate(memoryless(two_wells(0.015, 0.015)), data, LAG, n_threads=2)
    assert np.array_equal(one.weights.skip, two.weights.skip)


@pytest.mark.parametrize("n_states", [2, 5])
def test_nothing_is_done_where_nothing_is_slow(n_states):
    rng = np.random.default_rng(0)
    data = States((rng.integers(n_states, size=5000),), n_states=n_states)
    model = memoryless(np.full((n_states, n_states), 1 / n_states))
    assert calibrate(model, data, LAG) == (model, None)
    assert calibrate(model, data, 10_000) == (model, None)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_few_transitions_pull_a_wrong_model_to_their_populations(seed):
    data = simulate(two_wells(0.0008, 0.0008), 40_000, seed)
    wrong = memoryless(two_wells(0.0016, 0.0004))
    model, done = calibrate(wrong, data, LAG, seed=seed)
    assert 0 < done.events[0] < 30
    population = np.mean(data.trajectories[0] > 2)
    before, after = (stationary(transition_matrix(m))[3:].sum() for m in (wrong, model))
    odds = [np.log(p / (1 - p)) for p in (population, before, after)]
    assert abs(odds[2] - odds[0]) < max(0.35, 0.4 * abs(odds[1] - odds[0]))


def test_where_no_transition_lasts_nothing_is_generated():
    path = np.concatenate([np.zeros(30_000), np.ones(3), np.zeros(30_000)]).astype(np.uint8)
    target = choose_target(States((path,), n_states=2), two_states(), LAG)
    assert target.pairs == ()


def test_what_is_not_in_line_is_named():
    done = Calibration(
        lag=100, slowest=3000.0, assignment=(0, 1, 1), commit_time=50, populations=(0.093, 0.907),
        tilt=(0.0, 0.0), pairs=((0, 1),), events=(8,), mobility=(0.0,), settled_mobility=(0.0,),
        population_errors=(float(np.log(0.27 / 0.093)), -0.2), rate_errors=(0.1,),
        flicker_errors=(0.0,), population_errors_before=(0.0, 0.0), rate_errors_before=(0.0,),
        flicker_errors_before=(0.0,), n_generated=1,
    )  # fmt: skip
    assert done.out_of_line() == ("state 0: 0.27 in the model, 0.093 in the data",)
    assert done.out_of_line()[0] in done.describe()


def test_trajectories_too_short_for_equilibrium_are_left_alone():
    data = simulate(TRUTH, 400, seed=1, n_trajectories=200)
    model = memoryless(TRUTH)
    assert calibrate(model, data, LAG) == (model, None)


def test_slow_sets_are_the_wells_and_their_kinetics_are_counted():
    data = simulate(TRUTH, 60_000, seed=1)
    sets = find_slow_sets(data, LAG)
    assert sets.n_sets == 2
    np.testing.assert_allclose(sets.memberships.sum(axis=1), 1.0)
    assert len({*sets.assignment[:3]}) == len({*sets.assignment[3:]}) == 1
    second = np.sort(np.linalg.eigvals(TRUTH).real)[-2]
    assert sets.slowest == pytest.approx(-1 / np.log(second), rel=0.15)
    kinetics = slow_kinetics(data, sets, [1])
    upper = data.trajectories[0] > 2
    assert kinetics.both_ways[0, 0, 1] == np.count_nonzero(upper[1:] != upper[:-1])


def test_a_state_that_no_trajectory_connects_joins_the_largest_set():
    s = simulate(TRUTH, 60_000, seed=1).trajectories[0]
    lone = np.full(50, 6)
    sets = find_slow_sets(States((s, lone), n_states=7), LAG)
    populations = np.bincount(sets.assignment[s])
    assert sets.assignment[6] == np.argmax(populations)


def test_where_every_state_is_slow_each_is_a_set_of_its_own():
    chain = np.array([[0.996, 0.003, 0.001], [0.002, 0.994, 0.004], [0.001, 0.003, 0.996]])
    sets = find_slow_sets(simulate(chain, 60_000, seed=1), LAG)
    np.testing.assert_array_equal(sets.memberships, np.eye(3))
    np.testing.assert_array_equal(sets.assignment, np.arange(3))


def test_the_shift_of_a_path_adds_up_to_tilt_and_mobility():
    sets = find_slow_sets(simulate(TRUTH, 60_000, seed=1), LAG)
    crisp = np.eye(2)[sets.assignment]
    shift = 0.5 * tilt_shift(crisp, crisp, 0) + 0.7 * mobility_shift(crisp, crisp, 0, 1)
    a, b = sets.assignment[0], sets.assignment[5]
    tilt = 0.5 * np.eye(2)[0]
    assert shift[2, 3] == pytest.approx(tilt[b] - tilt[a] + 0.7)
    assert shift[3, 2] == pytest.approx(tilt[a] - tilt[b] + 0.7)
    assert not shift[:3, :3].any()
    soft = 0.7 * mobility_shift(sets.memberships, sets.memberships, 0, 1)
    up = [soft[k, k + 1] for k in range(5)]
    moved = np.abs(np.diff(sets.memberships[:, 0]))
    np.testing.assert_allclose(up, 0.7 * moved)


def two_states():
    return SlowSets(np.eye(2), np.arange(2), 1000.0)


def test_settled_mobility_is_the_best_read_out_of_the_hidden_units():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    path = (np.cumsum(rng.random(900) < 0.05) % 2).astype(np.uint8)
    data, memory, L = States((path,), n_states=2), 10.0, 6
    arrays = [
        rng.normal(size=s).astype(np.float32)
        for s in ((2, 3), (4 * L, 3), (4 * L, L), (4 * L,), (2, L), (2,), (2, 2))
    ]
    model = LSTMModel(LSTMWeights(*arrays), StateSpace(n_states=2), (path[:5],), {})
    shifts = make_shifts(model, data, two_states(), ((0, 1),), memory, LAG)
    lstm = torch.nn.LSTM(3, L)
    with torch.no_grad():
        for name, weight in zip(("weight_ih_l0", "weight_hh_l0"), arrays[1:3], strict=True):
            getattr(lstm, name).copy_(torch.from_numpy(weight))
        lstm.bias_ih_l0.copy_(torch.from_numpy(arrays[3]))
        lstm.bias_hh_l0.zero_()
        hidden = lstm(torch.from_numpy(arrays[0][path])[:, None])[0][:, 0].numpy()
    past = np.zeros((len(path), 2))
    mean = np.eye(2)[path[0]]
    for t, s in enumerate(path):
        mean = mean + (np.eye(2)[s] - mean) / memory
        past[t] = mean
    seen = np.concatenate([hidden, np.eye(2)[path]], axis=1)[:-1]
    away = past * (1 - np.eye(2)[path][:, ::-1])
    read = seen @ np.linalg.lstsq(seen, away[:-1], rcond=None)[0]
    # To the other state from the one it was in for long.
    expected = read[:, ::-1]
    # Without bias, the shift that one unit of it makes of the logits of both states.
    found = hidden[:-1] @ shifts.readout[-1].T + shifts.skip[-1][path[:-1]]
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert np.corrcoef(read[:, 0], away[:-1, 0])[0, 1] > 0.9
    assert not shifts.readout[:-1].any()


def test_flicker_is_told_from_slow_transitions():
    data = simulate(TRUTH, 60_000, seed=1)
    target = choose_target(data, find_slow_sets(data, LAG), LAG)
    times = target.kinetics.transitions.commit_times
    assert times[target.commit_time] == 10
    assert 0 < target.events[0] < target.kinetics.both_ways[0, 0, 1]
    populations, _, rate, flicker = target.weights
    assert populations == pytest.approx(rate / 2)
    assert 0 < flicker < rate
    assert not target.log_ratios(target.kinetics).any()


@pytest.mark.parametrize("response", [0.5, 1.0, 4.0])
def test_search_finds_zeros_in_noise_though_it_takes_the_response_for_another(response):
    rng = np.random.default_rng(0)
    found = []
    true = np.array([[2 * response, 0.3], [0.5, response]])
    for _ in range(100):
        search = Search(
            np.array([[4.0, 0.0], [0.0, 1.0]]),
            np.array([[4.0, 0.5], [0.5, 1.0]]),
            weights=np.array([10.0, 10.0]),
            widths=np.array([1.0, 1.0]),
            largest_step=0.5,
        )
        x = np.zeros(2)
        for _ in range(8):
            y = true @ (x - [0.2, -0.3]) + 0.1 * rng.standard_normal(2)
            search.add(x, y, np.full(2, 0.01))
            x = search.next()
        found.append(search.x[search.best()])
    # One measurement alone knows a zero to 0.1 over the response.
    off = (np.array(found) - [0.2, -0.3]) @ true.T
    assert np.abs(off.mean(axis=0)).max() < 0.06
    assert off.std(axis=0).max() < 0.1


def test_search_leaves_alone_what_weighs_nothing_and_takes_no_wild_step():
    eye = np.eye(2)
    search = Search(eye, eye + 0.1, np.array([0.0, 1e6]), np.ones(2), largest_step=0.5)
    search.add(np.zeros(2), np.array([3.0, 3.0]), np.full(2, 0.01))
    np.testing.assert_allclose(search.next(), [0.0, -0.5], atol=1e-3)


SMALL = TrainingSettings(hidden_dim=8, embedding_dim=4, epochs=3, window=LAG, streams=4)


def test_training_calibrates_and_remembers_it(tmp_path):
    data = simulate(TRUTH, 20_000, seed=1)
    model = train(data, SMALL)
    plain = train(data, SMALL.model_copy(update={"calibration": False}))
    assert plain.record.calibration is None
    paper = train(data, SMALL.model_copy(update={"bigram_skip": False}))
    assert not paper.weights.skip.any()
    assert not np.array_equal(model.weights.skip, plain.weights.skip)
    assert np.array_equal(model.weights.recurrent_weights, plain.weights.recurrent_weights)
    model.save(tmp_path)
    assert load_model(tmp_path).record.calibration.pairs == ((0, 1),)
    assert "slow sets" in describe_model(tmp_path)


def test_stopped_calibration_resumes_to_the_same_model(tmp_path):
    data = simulate(TRUTH, 20_000, seed=1)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="resume"):
        train(data, SMALL, checkpoint=checkpoint, report_calibration=stop)
    resumed = train(data, SMALL, checkpoint=checkpoint, resume=True)
    assert np.array_equal(resumed.weights.skip, train(data, SMALL).weights.skip)
