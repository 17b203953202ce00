import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from test_lstm import nearest, small_model
from trajlm.data import States
from trajlm.errors import InputError, Interrupted, ModelFileError
from trajlm.kernels import recurrent
from trajlm.kernels.rounding import pivoted_cholesky
from trajlm.lstm.generation import lanes
from trajlm.lstm.generation.lanes import share_out
from trajlm.lstm.loops import loops
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.quantization import precision
from trajlm.lstm.quantization.weights import RoundedWeights, in_two_bytes, worth_of_one
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.to_file import generate_to_file
from trajlm.lstm.training import quantize
from trajlm.lstm.training.calibrate import calibrate
from trajlm.lstm.training.quantize import round_for_generation
from trajlm.lstm.training.train import train
from trajlm.models.registry import describe_model, load_model

BYTES = pytest.mark.skipif(not loops().HAS_BYTES, reason="this machine multiplies no bytes")


@pytest.fixture
def rounded_from_one(monkeypatch):
    """Small networks are rounded like large ones, on few trajectories, to one byte if they can."""
    monkeypatch.setattr(precision, "REDUCED_FROM", 1)
    monkeypatch.setattr(quantize, "N_LANES", 4)
    monkeypatch.setattr(quantize, "ALLOWED", {1.0: 5e-3, 2.0: 5e-3})


def model_for_files(hidden_dim):
    """A model whose states are as small as files have them."""
    model = small_model(n_states=3, hidden_dim=hidden_dim)
    return LSTMModel(model.weights, model.space, (np.array([0, 1], np.uint8),))


def random_bytes(rng, L, n_fine):
    return RoundedWeights(
        rng.integers(-127, 128, (4 * L, L)).astype(np.int8),
        16 * rng.integers(-8, 8, (4 * L, n_fine)).astype(np.int8),
        rng.permutation(L)[:n_fine],
        rng.uniform(0.5, 2, 4 * L).astype(np.float32),
    )


@BYTES
@pytest.mark.parametrize(("L", "n_fine"), [(16, 4), (48, 48), (64, 0), (400, 101), (1024, 256)])
@pytest.mark.parametrize("lanes", [1, 2, 5, 13])
def test_products_of_bytes_are_those_of_the_integers(L, n_fine, lanes):
    rng = np.random.default_rng(L + lanes)
    rounded = random_bytes(rng, L, n_fine)
    packed = precision.byte_precision(rounded)
    hidden = rng.uniform(-1, 1, (lanes, L)).astype(np.float32)
    hidden[:, :3] = 1, -1, 0
    table = rng.normal(size=(7, 4 * L)).astype(np.float32)
    states = rng.integers(7, size=lanes)
    out = np.full((lanes, 4 * L), np.nan, np.float32)
    parts = recurrent.memory_for_bytes(lanes, packed)
    panels = 4 * L // 32
    for begin, end, backwards in ((0, panels // 3, False), (panels // 3, panels, True)):
        recurrent.add_recurrent(begin, end, backwards, out, 0, hidden, parts, packed, table, states)
    integers = np.floor(hidden * np.float32(32767) + np.float32(32768.5)).astype(np.int64)
    high, low = integers // 256 - 128, integers % 256
    first, second = rounded.high.astype(np.int64), rounded.low.astype(np.int64)
    sums = 256 * high @ first.T + low @ first.T + high[:, rounded.units] @ second.T
    sums += second.sum(axis=1) // 2
    wanted = table[states] + sums * (rounded.scales / 32767.0)
    # The integers are exact; their conversion is to 24 bits.
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=2e-7 * np.abs(sums).max() / 32767)
    exact = table[states] + hidden @ rounded.weights.T
    spread = 2e-5 * np.abs(rounded.weights).max() * np.sqrt(L)
    np.testing.assert_allclose(out, exact, atol=6 * spread)


def test_bytes_stand_for_the_integers():
    integers = 16 * np.random.default_rng(0).integers(-2032, 2033, (12, 3)).astype(np.int32)
    integers[:, 1] = 256 * (integers[:, 1] // 256)
    worth = np.linspace(0.5, 2, 12).astype(np.float32)
    rounded = in_two_bytes(integers, worth, np.array([2, 0]))
    np.testing.assert_allclose(rounded.weights, integers * worth[:, None], rtol=1e-6)


def test_cholesky_has_the_largest_pivots_first():
    x = np.random.default_rng(1).normal(size=(40, 25)) * np.linspace(0.1, 3, 25)
    gram = x.T @ x
    factor, order = gram.copy(), np.empty(25, np.int64)
    pivoted_cholesky(factor, order)
    factor = np.tril(factor)
    np.testing.assert_allclose(factor @ factor.T, gram[np.ix_(order, order)], atol=1e-10)
    assert sorted(order) == list(range(25))
    pivots = np.diag(factor)
    assert (np.diff(pivots) <= 1e-12).all()


def rounded_rows(weights, factor, order, n_fine):
    with ThreadPoolExecutor(2) as pool:
        found = quantize._round(weights, factor.astype(np.float32), order, n_fine, pool)
    return found.weights


def byte_steps(weights):
    """What the first byte of a row counts in."""
    return 256 * worth_of_one(weights)


def test_without_correlations_each_weight_is_rounded_by_itself():
    weights = np.random.default_rng(2).normal(size=(8, 2)).astype(np.float32)
    found = rounded_rows(weights, np.eye(2), np.array([1, 0]), 0)
    steps = byte_steps(weights)[:, None]
    np.testing.assert_allclose(found, np.rint(weights / steps) * steps, rtol=1e-6)


def test_errors_make_up_for_each_other_in_the_hidden_states_that_occur():
    rng = np.random.default_rng(3)
    L = 64
    # Hidden states of few dimensions, and some noise in all.
    hidden = np.tanh(rng.normal(size=(2000, 6)) @ rng.normal(size=(6, L))) + 0.02 * rng.normal(
        size=(2000, L)
    )
    weights = rng.normal(size=(4 * L, L)).astype(np.float32)
    gram = hidden.T @ hidden
    factor, order = gram.copy(), np.empty(L, np.int64)
    pivoted_cholesky(factor, order)
    factor = np.tril(factor)

    def error(approximate):
        return np.sqrt((((weights - approximate) @ hidden.T) ** 2).mean())

    def expected(n_fine):
        # Each term is off by at most half a step, evenly, times its pivot.
        steps = np.where(np.arange(L) < n_fine, 1 / 16, 1)
        terms = (steps * np.diag(factor)) ** 2 / 12
        return np.sqrt((byte_steps(weights) ** 2).mean() * terms.sum() / len(hidden))

    steps = byte_steps(weights)[:, None]
    by_itself = error(np.rint(weights / steps) * steps)
    for n_fine in (0, 16, 48):
        found = error(rounded_rows(weights, factor, order, n_fine))
        assert found == pytest.approx(expected(n_fine), rel=0.05)
        assert found < by_itself / 2


def test_nothing_rounds_better_than_the_best_of_all_neighbours():
    # Of two weights in a row, against all integers near them: close to the best of all pairs.
    rng = np.random.default_rng(4)
    gram = np.array([[1.0, 0.9], [0.9, 1.0]])
    factor, order = gram.copy(), np.empty(2, np.int64)
    pivoted_cholesky(factor, order)
    weights = rng.normal(size=(8, 2)).astype(np.float32)
    found = rounded_rows(weights, np.tril(factor), order, 0)
    steps = byte_steps(weights)
    for row, step, rounded in zip(weights, steps, found, strict=True):
        center = np.rint(row / step)
        errors = [
            (row - (center + shift) * step) @ gram @ (row - (center + shift) * step)
            for shift in itertools.product((-2, -1, 0, 1, 2), repeat=2)
        ]
        mine = (row - rounded) @ gram @ (row - rounded)
        assert min(errors) - 1e-9 <= mine
        # Babai's bound: within the box of the orthogonalised steps.
        assert mine <= (step / 2) ** 2 * (np.diag(np.tril(factor)) ** 2).sum() + 1e-9


@BYTES
def test_rounded_lanes_are_the_same_for_any_lanes_and_threads(rounded_from_one, monkeypatch):
    monkeypatch.setattr(lanes, "usable_cores", lambda: 3)
    model, done = round_for_generation(small_model(n_states=5, hidden_dim=200))
    assert done is not None
    assert share_out(1, 2, model.tables.hidden_dim, loops().tile_rows(model.generating)) == (1, 2)
    many = np.array(list(model.generate(300, 31, seed=1, n_threads=2)))
    few = np.array(list(model.generate(300, 7, seed=1, n_threads=3)))
    one = np.array(list(model.generate(300, 1, seed=1, n_threads=2)))
    np.testing.assert_array_equal(few, many[:7])
    np.testing.assert_array_equal(one, many[:1])


def test_rounding_is_the_same_for_any_threads(rounded_from_one):
    model = small_model(n_states=5, hidden_dim=40)
    one, two = (round_for_generation(model, seed=3, n_threads=n)[0].rounded for n in (1, 2))
    assert one is not None
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(two, name))


def test_log_probabilities_change_no_more_than_is_said(rounded_from_one):
    model, done = round_for_generation(small_model(n_states=6, hidden_dim=96))
    assert done is not None
    own, hot = done.changes
    assert max(own, hot) <= 5e-3
    weights = {**model.weights.arrays(), "recurrent_weights": model.rounded.weights}
    other = LSTMModel(type(model.weights)(**weights), model.space, model.starts)
    lanes = model.generate(1000, 20, seed=9)
    changes = [
        np.abs(a - b).max()
        for a, b in zip(model.log_probs(lanes), other.log_probs(lanes), strict=True)
    ]
    # On other trajectories, and more of them.
    assert 1 / 3 < max(changes) / own < 3


def test_what_changes_too_much_is_left_alone(rounded_from_one, monkeypatch):
    monkeypatch.setitem(quantize.ALLOWED, 2.0, 1e-9)
    model = small_model(n_states=5, hidden_dim=40)
    assert round_for_generation(model) == (model, None)


def test_more_units_keep_two_bytes_where_few_do_not_suffice(rounded_from_one, monkeypatch):
    model = small_model(n_states=5, hidden_dim=64)
    few = round_for_generation(model)[1]
    monkeypatch.setitem(quantize.ALLOWED, 1.0, 0.9 * few.changes[0])
    better, more = round_for_generation(model)
    assert few.n_fine == 0
    assert more.n_fine > 0
    assert more.changes[0] < few.changes[0]
    assert f"those of {more.n_fine} of 64 units of 12" in more.describe()
    assert better.generating.precision == (
        "8 and 12 bits" if loops().HAS_BYTES else "half precision"
    )


def test_small_networks_are_not_rounded():
    model = small_model(n_states=5, hidden_dim=40)
    assert round_for_generation(model) == (model, None)
    assert model.generating is model.tables.recurrent
    assert model.generating.precision == "single precision"


@BYTES
@pytest.mark.parametrize("hidden_dim", [40, 44])
def test_what_is_not_rounded_is_read_in_half_precision(hidden_dim, monkeypatch):
    monkeypatch.setattr(precision, "REDUCED_FROM", 1)
    model = small_model(n_states=5, hidden_dim=hidden_dim)
    assert model.generating.precision == "half precision"
    rounded = with_bytes(model, nearest(model.weights.recurrent_weights))
    assert rounded.generating.precision == "12 bits"


def test_machines_that_multiply_no_bytes_read_half_precision(rounded_from_one, monkeypatch):
    monkeypatch.setattr(loops(), "HAS_BYTES", False)
    model, done = round_for_generation(small_model(n_states=5, hidden_dim=40))
    assert done is not None
    assert model.generating.precision == "half precision"
    monkeypatch.setattr(loops(), "HAS_HALF", False)
    assert round_for_generation(model)[0].generating.precision == "single precision"


def test_training_rounds_and_the_model_file_keeps_it(rounded_from_one, tmp_path):
    states = States((np.random.default_rng(5).integers(3, size=4000),), 3)
    torch.manual_seed(0)
    settings = TrainingSettings(epochs=1, hidden_dim=24, embedding_dim=4, calibration=False)
    model = train(states, settings)
    assert model.record.rounding.n_fine == 0
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    for name, array in vars(model.rounded).items():
        np.testing.assert_array_equal(array, getattr(again.rounded, name))
    np.testing.assert_array_equal(
        list(model.generate(500, 3, seed=1)), list(again.generate(500, 3, seed=1))
    )
    assert "recurrent weights of 8 bits, where" in describe_model(tmp_path / "m")


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: {"units": np.array([99] * len(r.units))},
        lambda r: {"units": r.units[:-1]},
        lambda r: {"units": np.zeros_like(r.units)},
        lambda r: {"units": r.units.astype(np.int32)},
        lambda r: {"scales": -r.scales},
        lambda r: {"scales": r.scales * np.nan},
        lambda r: {"high": r.high[:, :-1]},
        lambda r: {"high": r.high.astype(np.int16)},
        lambda r: {"low": r.low[:-4]},
        lambda r: {"low": r.low + np.int8(1)},
    ],
)
def test_damaged_bytes_are_refused(damage, tmp_path):
    model = model_for_files(8)
    rounded = nearest(model.weights.recurrent_weights)
    damaged = with_bytes(model, rounded)
    damaged.save(tmp_path / "m")
    load_model(tmp_path / "m")
    sizes, arrays = damaged.to_arrays()
    arrays |= {f"rounded.{name}": x for name, x in damage(rounded).items()}
    damaged.to_arrays = lambda: (sizes, arrays)
    damaged.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="rounded"):
        load_model(tmp_path / "m")


def test_bytes_of_another_network_are_refused(tmp_path):
    model = model_for_files(8)
    rounded = nearest(model_for_files(12).weights.recurrent_weights)
    with_bytes(model, rounded).save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="another network"):
        load_model(tmp_path / "m")


def test_rows_of_next_to_nothing_become_zero():
    weights = np.random.default_rng(6).normal(size=(8, 2)).astype(np.float32)
    weights[3] = 1e-44
    rounded = nearest(weights)
    assert (rounded.weights[3] == 0).all()
    np.testing.assert_allclose(rounded.weights, weights, atol=2e-3)


def test_calibration_keeps_the_rounded_weights(rounded_from_one):
    # Two pairs of states, seldom left for each other.
    rng = np.random.default_rng(7)
    side = np.cumsum(rng.random(60_000) < 0.002) % 2
    states = States((2 * side + rng.integers(2, size=60_000),), 4)
    model, _ = round_for_generation(small_model(n_states=4, hidden_dim=16))
    calibrated, done = calibrate(model, states, 20)
    assert done is not None
    assert calibrated is not model
    assert calibrated.rounded is model.rounded


def test_a_model_travels_without_what_a_machine_makes_of_it(rounded_from_one):
    model, _ = round_for_generation(small_model(n_states=5, hidden_dim=40))
    first = model.generate(200, 2, seed=1)
    again = pickle.loads(pickle.dumps(model))
    assert not {"tables", "generating"} & vars(again).keys()
    np.testing.assert_array_equal(list(first), list(again.generate(200, 2, seed=1)))


@BYTES
def test_lanes_of_another_precision_are_not_gone_on_with(rounded_from_one, tmp_path, monkeypatch):
    monkeypatch.setattr(lanes.LaneBlock, "chunk", 30)
    model, _ = round_for_generation(small_model(n_states=5, hidden_dim=40))

    def stop(made):
        raise KeyboardInterrupt

    arguments = tmp_path / "x.npy", 300, 2, 1
    with pytest.raises(Interrupted):
        generate_to_file(model, *arguments, progress=stop)
    other = model.rounded.high.copy()
    other[0, 0] ^= 1
    changed = replace(model.rounded, high=other)
    with pytest.raises(InputError, match="another model"):
        generate_to_file(with_bytes(model, changed), *arguments, resume=True)
    monkeypatch.setattr(loops(), "HAS_BYTES", False)
    with pytest.raises(InputError, match="another precision of the weights"):
        generate_to_file(with_bytes(model, model.rounded), *arguments, resume=True)
    monkeypatch.undo()
    monkeypatch.setattr(precision, "REDUCED_FROM", 1)
    generate_to_file(model, *arguments, resume=True)
    np.testing.assert_array_equal(
        np.load(tmp_path / "x.npy"), np.array(model.generate(300, 2, seed=1).trajectories)
    )


def with_bytes(model, rounded):
    return LSTMModel(model.weights, model.space, model.starts, model.record, rounded)
