"""Running the language model freely: lanes, threads and progress."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from trajlm.data import IntArray, States, smallest_unsigned
from trajlm.devices import usable_cores
from trajlm.errors import InputError

if TYPE_CHECKING:
    from trajlm.models.base import Progress
    from trajlm.models.lstm import LSTMModel

# Frames of data that a generated lane reads before its first own frame.
START_FRAMES = 1000
N_STARTS = 256
# Outside these, a temperature is a slip: 1/T or the logits over T leave single precision.
TEMPERATURES = (1e-3, 1e3)
# Frames a lane makes between two looks at the clock: a few hundredths of a second at L=64.
CHUNK = 20_000


def choose_starts(states: States, seed: int) -> tuple[IntArray, ...]:
    """Return stretches of the data for generated lanes to begin from.

    Their last frames are drawn uniformly over all frames of all trajectories, so that lanes
    begin as often in a state as the data is found there; each reaches back at most
    `START_FRAMES` frames and never across the beginning of its trajectory.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([len(s) for s in states])
    which = rng.choice(len(lengths), size=N_STARTS, p=lengths / lengths.sum())
    starts = []
    for i in which:
        end = int(rng.integers(1, lengths[i] + 1))
        starts.append(states.trajectories[i][max(0, end - START_FRAMES) : end].copy())
    return tuple(starts)


def generate_lanes(
    model: LSTMModel,
    n_steps: int,
    n_lanes: int,
    seed: int,
    start: int | States | None = None,
    temperature: float = 1.0,
    progress: Progress | None = None,
    n_threads: int | None = None,
) -> list[IntArray]:
    """Return `n_lanes` sampled trajectories of `n_steps` frames; see `LSTMModel.generate`.

    Each lane has a random stream of its own, so the result is the same for any number of
    threads.
    """
    from trajlm.kernels.random import stream_keys

    coldest, hottest = TEMPERATURES
    if not coldest <= temperature <= hottest:
        raise InputError(
            f"the temperature must lie between {coldest:g} and {hottest:g}, not at {temperature}"
        )
    if isinstance(start, States):
        starts = choose_starts(start, seed)
    elif start is not None:
        starts = (np.array([start]),)
    else:
        starts = model.starts
    keys = stream_keys(seed, n_lanes + 1)
    chosen = np.random.default_rng(int(keys[-1])).integers(len(starts), size=n_lanes)
    out = np.empty((n_lanes, n_steps), dtype=smallest_unsigned(model.n_states))
    lanes = [
        _Lane(model, starts[chosen[k]], keys[k], 1.0 / temperature, out[k]) for k in range(n_lanes)
    ]
    pool = ThreadPoolExecutor(n_threads or usable_cores())
    try:
        for begin in range(0, n_steps, CHUNK):
            end = min(begin + CHUNK, n_steps)
            for _ in pool.map(_Lane.advance, lanes, repeat(begin), repeat(end)):
                if progress:
                    progress(end - begin)
    finally:
        # After Ctrl-C only the chunks that are running are waited for.
        pool.shutdown(cancel_futures=True)
    return list(out)


class _Lane:
    """One trajectory being written, with the memory that it carries."""

    def __init__(
        self,
        model: LSTMModel,
        start: IntArray,
        key: np.uint64,
        inverse_temperature: float,
        out: IntArray,
    ) -> None:
        self.tables = model.tables
        self.start = start
        self.key = key
        self.inverse_temperature = np.float32(inverse_temperature)
        self.out = out
        self.hidden, self.cell = np.zeros((2, model.tables.hidden_dim), np.float32)

    def advance(self, begin: int, end: int) -> None:
        """Write frames begin..end; the first call reads the starting stretch."""
        from trajlm.kernels.lstm import generate_lane, score_lane

        t = self.tables
        weights = (t.inputs, t.recurrent, t.readout, t.skip)
        if begin == 0:
            score_lane(*weights, self.start, self.hidden, self.cell, np.empty(0))
            state = int(self.start[-1])
        else:
            state = int(self.out[begin - 1])
        generate_lane(
            *weights,
            state,
            self.hidden,
            self.cell,
            self.inverse_temperature,
            self.key,
            begin,
            self.out[begin:end],
        )
