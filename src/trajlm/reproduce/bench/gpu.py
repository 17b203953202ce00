"""The work that is measured where there is a GPU: its matrix products, generation, training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trajlm.data import StateSpace
from trajlm.reproduce.bench.result import GPU, Size
from trajlm.reproduce.bench.work import STREAMS, Work, empty_network, window_frames

if TYPE_CHECKING:
    import torch

# Multiplications and additions of one run: some tenths of a second.
OPERATIONS = 5e12
LANES = 65_536
LEAST_FRAMES = 16
SIDE = 8192


def gpu() -> torch.device | None:
    """Return the GPU that PyTorch sees first."""
    import torch

    return torch.device("cuda") if torch.cuda.is_available() else None


def gpu_name(device: torch.device) -> str:
    """Return the name of the card."""
    import torch

    return torch.cuda.get_device_name(device)


def gpu_work(size: Size, device: torch.device) -> list[Work]:
    """Return all that is measured of one network on a GPU.

    Generation is timed with its way back to the processor and without the set-up of the lanes.
    """
    return [*_matrix_products(device), *_generation(size, device), _training(size, device)]


def _matrix_products(device: torch.device) -> list[Work]:
    """Return the card's own rates; shares are of the first, in single precision."""
    import torch

    single = torch.randn(2, SIDE, SIDE, device=device)
    half = single.half()

    def multiply(pair: torch.Tensor) -> float:
        # Asking for a number waits until the card is done.
        torch.mm(pair[0], pair[1])[0, 0].item()
        return 1.0

    operations = 2.0 * SIDE**3
    return [
        Work(
            f"single-precision matrix product, {SIDE}",
            "product",
            GPU,
            lambda: multiply(single),
            operations,
        ),
        Work(
            f"half-precision matrix product, {SIDE}",
            "half product",
            GPU,
            lambda: multiply(half),
            operations,
        ),
    ]


def _generation(size: Size, device: torch.device) -> list[Work]:
    """Return sampling step by step, and by the fused kernel where it takes the network."""
    from trajlm.kernels.random_streams import stream_keys
    from trajlm.lstm.generation.gpu import DeviceBlock, can_be_fused
    from trajlm.lstm.model import LSTMModel
    from trajlm.lstm.training.network import export_weights

    starts = (np.array([0]),)
    model = LSTMModel(export_weights(empty_network(size)), StateSpace(size.n_states), starts)
    keys = stream_keys(0, LANES)
    frames = max(LEAST_FRAMES, int(OPERATIONS / size.operations / LANES))

    def sampling(fused: bool) -> Work:
        block = DeviceBlock(model, starts, [0] * LANES, keys, 1.0, 0, device, fused)
        how = "fused" if fused else "step by step"
        return Work(
            f"generate, {LANES} lanes, {how}",
            "token",
            GPU,
            lambda: float(block.advance(frames).size),
            size.operations,
            size,
        )

    return [sampling(fused) for fused in (False, True)[: 1 + can_be_fused(model.weights, device)]]


def _training(size: Size, device: torch.device) -> Work:
    """Return a training step through PyTorch's own layer."""
    import torch

    window = window_frames(size)
    network = empty_network(size).to(device)
    optimizer: Any = torch.optim.Adam(network.parameters(), fused=True)
    states = torch.randint(size.n_states, (window + 1, STREAMS), device=device)

    def step() -> float:
        memory = network.initial_memory(STREAMS)
        nats, _ = network.learn(states[:-1], states[1:], memory, 1 / (window * STREAMS))
        optimizer.step()
        nats.item()
        return float(window * STREAMS)

    return Work("training step", "token", GPU, step, 3 * size.operations, size)
