from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import torch

from trajlm.kernels import cell, product, simd, team, training
from trajlm.kernels.arguments import DISMISSED
from trajlm.lstm.training.batching import PADDING
from trajlm.lstm.training.network import LSTMNetwork
from trajlm.lstm.training.window import CHUNK, LSTMWindow

N_STATES, EMBEDDING_DIM = 5, 4


def network_of(hidden_dim, seed=0, skip=True, n_states=N_STATES):
    torch.manual_seed(seed)
    rows = torch.randn(n_states, n_states) if skip else None
    network = LSTMNetwork(n_states, EMBEDDING_DIM, hidden_dim, rows)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=1.5 / hidden_dim**0.5)
    return network


def run(network, states, targets, memory, loops):
    """Nats a frame, memory after the window, and all gradients of the nats per frame."""
    nats, after = network.learn(states, targets, memory, 1 / states.numel(), loops)
    gradients = {k: p.grad.clone() for k, p in network.named_parameters()}
    return nats.item() / states.numel(), after, gradients


def window_of(hidden_dim, streams, frames=23, seed=1):
    rng = torch.Generator().manual_seed(seed)
    states, targets = torch.randint(N_STATES, (2, frames, streams), generator=rng)
    targets[-3:, 0] = PADDING
    h, c = 0.7 * torch.randn(2, 1, streams, hidden_dim, generator=rng)
    return states, targets, (h.clamp(-1, 1), c)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(
    ("hidden_dim", "streams"), [(6, 1), (32, 7), (64, 64), (128, 18), (150, 21)]
)
def test_loops_agree_with_the_double_precision_layer_of_pytorch(hidden_dim, streams, skip):
    network = network_of(hidden_dim, skip=skip)
    states, targets, memory = window_of(hidden_dim, streams)
    loss, after, gradients = run(network, states, targets, memory, LSTMWindow(1))
    doubled = tuple(x.double() for x in memory)
    exact_loss, exact_after, exact = run(network.double(), states, targets, doubled, None)
    assert loss == pytest.approx(exact_loss, abs=1e-6)
    for found, wanted in zip(after, exact_after, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), atol=5e-6)
    for name, wanted in exact.items():
        largest = wanted.abs().max().item()
        np.testing.assert_allclose(gradients[name], wanted, atol=2e-5 * largest, err_msg=name)


@pytest.mark.parametrize("n_states", [2, 32, 33])
def test_any_number_of_states_and_windows_of_any_length_in_turn(n_states):
    network = network_of(20, n_states=n_states)
    one_object = LSTMWindow(2)
    for frames, streams in ((23, CHUNK + 3), (2, 5), (40, 2 * CHUNK)):
        states, targets, memory = window_of(20, streams, frames)
        data = states % n_states, torch.where(targets < 0, targets, targets % n_states), memory
        loss, after, gradients = run(network, *data, one_object)
        plain_loss, plain_after, plain = run(network, *data, None)
        assert loss == pytest.approx(plain_loss, rel=1e-6)
        torch.testing.assert_close(after, plain_after, rtol=0, atol=5e-6)
        for name, wanted in plain.items():
            largest = wanted.abs().max().item()
            np.testing.assert_allclose(gradients[name], wanted, atol=5e-5 * largest, err_msg=name)


def test_one_stream_longer_than_gradients_are_summed_at_once():
    network = network_of(24)
    data = window_of(24, 1, frames=training.ROWS_AT_ONCE + 45)
    _, _, gradients = run(network, *data, LSTMWindow(1))
    _, _, plain = run(network, *data, None)
    for name, wanted in plain.items():
        largest = wanted.abs().max().item()
        np.testing.assert_allclose(gradients[name], wanted, atol=5e-5 * largest, err_msg=name)


def test_an_object_that_served_another_size_begins_anew():
    loops = LSTMWindow(1)
    run(network_of(30), *window_of(30, 5), loops)
    smaller, data = network_of(20), window_of(20, 5)
    again, _, _ = run(smaller, *data, loops)
    fresh, _, _ = run(smaller, *data, LSTMWindow(1))
    assert again == fresh


def test_gradients_are_scaled_and_take_the_place_of_those_before():
    network = network_of(16)
    data = window_of(16, 5)
    _, _, plain = run(network, *data, LSTMWindow(1))
    for _ in range(2):
        network.learn(*data, 4 / data[0].numel(), LSTMWindow(1))
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(parameter.grad, 4 * plain[name], rtol=1e-5, atol=1e-7)


def test_gradients_are_the_same_bits_for_any_number_of_threads():
    network = network_of(40)
    data = window_of(40, 2 * CHUNK + 11)
    one, _, a = run(network, *data, LSTMWindow(1))
    three, _, b = run(network, *data, LSTMWindow(3))
    assert one == three
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_stream_does_not_depend_on_those_beside_it():
    network = network_of(32)
    states, targets, (h, c) = window_of(32, 9)
    with torch.no_grad():
        together, (hidden, cell) = network.nats(states, targets, (h, c), LSTMWindow(1))
        nats = 0.0
        for s in range(9):
            only = [s]
            alone, after = network.nats(
                states[:, only], targets[:, only], (h[:, only], c[:, only]), LSTMWindow(1)
            )
            nats += alone.item()
            assert torch.equal(after[0], hidden[:, only])
            assert torch.equal(after[1], cell[:, only])
    assert nats == pytest.approx(together.item(), rel=1e-6)


@numba.njit
def apply_tanh(x, out):
    for k in range(0, len(x), simd.WIDTH):
        simd.store(out, k, cell.tanh(simd.load(x, k)))


def test_vector_tanh_is_exact_to_single_precision():
    x = np.concatenate([np.linspace(-12, 12, 200_001), [0, np.inf, -np.inf, np.nan]])
    x = np.resize(x.astype(np.float32), 200_064 // 16 * 16 + 16)
    out = np.empty_like(x)
    apply_tanh(x, out)
    exact = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(out, exact, rtol=5e-7, atol=1e-12)


def numbers(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 1, 32), (7, 300, 96), (1, 270, 160)])
def test_packed_product_is_the_product(rows, depth, columns):
    a, b, out, table = numbers((rows, depth), (depth, columns), (rows, columns), (3, columns))
    which, first = np.arange(rows + 2) % 3, 2
    exact = a.astype(np.float64) @ b
    added = out.copy()
    product.add_packed_product(added, 0, columns, a, 0, depth, depth, product.packed(b), rows)
    np.testing.assert_allclose(added, out + exact, atol=5e-5)
    product.add_to_looked_up(
        out, 0, columns, a, 0, depth, depth, product.packed(b), rows, table, which, first
    )
    np.testing.assert_allclose(out, table[which[first:]] + exact, atol=5e-5)


def test_outer_products_are_added_up():
    a, b, out = numbers((40, 32), (40, 64), (32, 64))
    exact = out + a.astype(np.float64).T @ b
    product.add_outer_products(out, a, 0, 32, b, 0, 64, 40)
    np.testing.assert_allclose(out, exact, atol=2e-5)


@numba.njit(nogil=True)
def meet_often(arrivals, meetings):
    for k in range(meetings):
        team.wait_for_all(arrivals, 2 * (k + 1))


def test_threads_meet_and_are_let_go():
    arrivals = np.zeros(1, np.int64)
    meet_often(np.array([DISMISSED]), 1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: meet_often(arrivals, 1000), range(2)))
        assert arrivals[0] == 2000
        waiting = pool.submit(meet_often, arrivals, 10_000)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.05)
        arrivals[0] = DISMISSED
        waiting.result(timeout=60)
