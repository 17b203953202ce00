"""The kinds of work that are measured: baselines as people write them today, and ours."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from trajlm.data import StateSpace
from trajlm.lstm.quantization import precision
from trajlm.lstm.quantization.weights import BYTE, RoundedWeights, in_two_bytes, worth_of_one
from trajlm.lstm.settings import TrainingSettings
from trajlm.reproduce.bench.result import Size
from trajlm.util.arrays import F32

if TYPE_CHECKING:
    from trajlm.lstm.training.network import LSTMNetwork

# Multiplications and additions of one run: a tenth of a second each.
OPERATIONS = 1e10
# The loop that people write is slow: so many operations of one lane, and frames at most.
PLAIN_OPERATIONS = 5e8
PLAIN_FRAMES = 1000
PLAIN_LANES = 512
LANES = (16, 256, 4096)
LONGER = 4
STREAMS = TrainingSettings().streams
# Frames of a training window: as trained for small networks, fewer where a step takes seconds.
WINDOWS = ((128, 100), (10**9, 25))
MARKOV_FRAMES = 50_000
ALANINE_NS = 0.2


@dataclass(frozen=True)
class Work:
    """Something to measure: `run` does it once and returns how many of `unit` it did.

    `threads` may be `GPU`. `operations` are the multiplications and additions a unit. `took`
    tells the seconds of the last run, where they are not those of this process. `precision` is
    that of the recurrent weights, where they are rounded for generation.
    """

    what: str
    unit: str
    threads: int
    run: Callable[[], float]
    operations: float = 0.0
    size: Size | None = None
    took: Callable[[], float] | None = None
    precision: str = ""


def matrix_products(cores: int) -> list[Work]:
    """Return the machine's own rate, on one thread and on all."""
    import torch

    a, b = torch.randn(2, 2048, 2048)

    def multiply(threads: int) -> float:
        torch.set_num_threads(threads)
        torch.mm(a, b)
        return 1.0

    return [
        Work(
            "single-precision matrix product, 2048",
            "product",
            n,
            lambda n=n: multiply(n),  # type: ignore[misc]
            2 * 2048**3,
        )
        for n in sorted({1, cores})
    ]


def generation(size: Size, cores: int) -> list[Work]:
    """Return sampling as it is done today, and ours."""
    network = empty_network(size)
    return [*_plain_loops(network, size, cores), *_lanes(network, size, cores)]


def _plain_loops(network: LSTMNetwork, size: Size, cores: int) -> list[Work]:
    """Return sampling through ``nn.LSTM``, step by step."""
    import torch

    def plain(lanes: int, threads: int) -> float:
        torch.set_num_threads(threads)
        operations = PLAIN_OPERATIONS if lanes == 1 else OPERATIONS / lanes
        steps = int(min(PLAIN_FRAMES, max(3, operations / size.operations)))
        memory = network.initial_memory(lanes)
        state = torch.zeros(1, lanes, dtype=torch.long)
        with torch.no_grad():
            for _ in range(steps):
                logits, memory = network(state, memory)
                state = torch.multinomial(torch.softmax(logits[0], -1), 1).T
        return float(steps * lanes)

    return [
        Work(
            f"plain nn.LSTM loop, {_lanes_in_words(k)}",
            "token",
            n,
            lambda k=k, n=n: plain(k, n),  # type: ignore[misc]
            size.operations,
            size,
        )
        for k, n in [*_alone(cores), (PLAIN_LANES, cores)]
    ]


def _lanes(network: LSTMNetwork, size: Size, cores: int) -> list[Work]:
    """Return our sampling, of large networks as trained and with weights rounded after."""
    from trajlm.lstm.model import LSTMModel
    from trajlm.lstm.training.network import export_weights

    weights, space, starts = export_weights(network), StateSpace(size.n_states), (np.array([0]),)
    as_trained = model = LSTMModel(weights, space, starts)
    large = size.hidden_dim >= precision.REDUCED_FROM
    if large:
        # To the nearest byte, which is as fast as what training rounds to.
        rounded = _nearest_bytes(weights.recurrent_weights)
        model = LSTMModel(weights, space, starts, rounded=rounded)
    tokens = OPERATIONS / size.operations

    def ours(model: LSTMModel, lanes: int, threads: int) -> float:
        # Long enough that what a lane costs to set up does not count.
        longer = threads * (LONGER if lanes == LANES[-1] else 1)
        steps = int(max(3, tokens / lanes * longer))
        model.generate(steps, lanes, start=0, n_threads=threads)
        return float(steps * lanes)

    runs = [(model, k, n, "") for k, n in [*_alone(cores), *((k, cores) for k in LANES)]]
    if large:
        runs += [(as_trained, k, n, ", not rounded") for k, n in _alone(cores)]
    return [
        Work(
            f"generate, {_lanes_in_words(k)}{how}",
            "token",
            n,
            lambda one=one, k=k, n=n: ours(one, k, n),  # type: ignore[misc]
            size.operations,
            size,
            precision=one.generating.precision,
        )
        for one, k, n, how in runs
    ]


def _nearest_bytes(weights: F32) -> RoundedWeights:
    """Return weights rounded to one byte each."""
    worth = worth_of_one(weights)
    integers = BYTE * np.rint(weights / (BYTE * worth[:, None])).astype(np.int32)
    return in_two_bytes(integers, worth, np.arange(0))


def _alone(cores: int) -> list[tuple[int, int]]:
    """Return one lane, on one thread and on all."""
    return [(1, threads) for threads in sorted({1, cores})]


def _lanes_in_words(n: int) -> str:
    return f"{n} lane{'s' * (n > 1)}"


def training(size: Size, cores: int) -> list[Work]:
    """Return training steps through ``nn.LSTM`` and ours, on one thread and on all."""
    import torch

    from trajlm.lstm.training.window import LSTMWindow

    window = window_frames(size)
    tokens = window * STREAMS
    steps = math.ceil(OPERATIONS / (3 * size.operations * tokens))
    states = torch.randint(size.n_states, (window + 1, STREAMS))

    def learn(network: LSTMNetwork, optimizer: Any, loops: LSTMWindow | None) -> float:
        for _ in range(steps):
            memory = network.initial_memory(STREAMS)
            network.learn(states[:-1], states[1:], memory, 1 / tokens, loops)
            optimizer.step()
        return float(steps * tokens)

    works = []
    for threads in sorted({1, cores}):
        plain, ours = empty_network(size), empty_network(size)
        plain_adam = torch.optim.Adam(plain.parameters())
        adam = torch.optim.Adam(ours.parameters(), fused=True)
        loops = LSTMWindow(threads)

        def plain_step(
            network: LSTMNetwork = plain, optimizer: Any = plain_adam, n: int = threads
        ) -> float:
            torch.set_num_threads(n)
            return learn(network, optimizer, None)

        def our_step(
            network: LSTMNetwork = ours, optimizer: Any = adam, loops: LSTMWindow = loops
        ) -> float:
            torch.set_num_threads(1)
            return learn(network, optimizer, loops)

        operations = 3 * size.operations
        for what, run in (("plain nn.LSTM training step", plain_step), ("training step", our_step)):
            works.append(Work(what, "token", threads, run, operations, size))
    return works


def window_frames(size: Size) -> int:
    """Return the frames of a training window."""
    return next(frames for L, frames in WINDOWS if size.hidden_dim <= L)


def empty_network(size: Size) -> LSTMNetwork:
    """Return an untrained network, always the same."""
    from trajlm.lstm.training.network import LSTMNetwork

    return LSTMNetwork(size.n_states, size.embedding_dim, size.hidden_dim)


def others() -> list[Work]:
    """Return the simulators, and deeptime's MSM and HMM of a chain of 20 states."""
    from deeptime.markov.hmm import HiddenMarkovModel
    from deeptime.markov.msm import MarkovStateModel, MaximumLikelihoodMSM

    from trajlm.systems.hidden_markov import markov_chain
    from trajlm.systems.langevin import simulate_langevin
    from trajlm.systems.potentials import LINEAR3

    rows = np.random.default_rng(0).dirichlet(np.full(20, 0.3), size=20)
    chain = markov_chain(rows, dt=1.0, unit="frame").simulate(MARKOV_FRAMES, seed=0)
    data = chain.trajectories[0].astype(np.int32)
    msm = MaximumLikelihoodMSM(reversible=False, lagtime=1).fit_fetch(data)
    hmm = HiddenMarkovModel(MarkovStateModel(msm.transition_matrix), np.eye(msm.n_states))

    def langevin() -> float:
        frames = 3_000
        simulate_langevin(LINEAR3, frames)
        return float(frames * LINEAR3.steps_per_frame)

    def frames(model: Any, **options: Any) -> float:
        model.simulate(MARKOV_FRAMES, **options)
        return float(MARKOV_FRAMES)

    works = [
        Work("Langevin dynamics, linear3", "step", 1, langevin),
        Work("MSM of deeptime", "frame", 1, lambda: frames(msm, start=0, seed=1)),
        Work("HMM of deeptime", "frame", 1, lambda: frames(hmm, start=0)),
    ]
    if find_spec("openmm"):
        simulation = _Alanine()
        works.append(Work("OpenMM simulation", "ns", 1, simulation.run, took=simulation.seconds))
    return works


class _Alanine:
    """Alanine dipeptide, timed between its first and last parcels of frames."""

    def __init__(self) -> None:
        self.parcels: list[tuple[float, int]] = []

    def run(self) -> float:
        """Simulate; return the ns between the first and the last parcel."""
        from trajlm.systems.alanine import FRAME_PS, simulate_alanine

        self.parcels = []
        simulate_alanine(
            ALANINE_NS,
            n_walkers=1,
            progress=lambda n: self.parcels.append((time.perf_counter(), n)),
        )
        return sum(n for _, n in self.parcels[1:]) * FRAME_PS / 1000

    def seconds(self) -> float:
        """Return the seconds between the first and the last parcel."""
        return self.parcels[-1][0] - self.parcels[0][0]
