"""The whole road that users go: a file of states in, the report out, each part timed once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trajlm.comparison import compare
from trajlm.io import read_states, write_states
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.train import train
from trajlm.models.registry import load_model
from trajlm.reproduce.bench.result import Ratio
from trajlm.systems.hidden_markov import markov_chain
from trajlm.util.arrays import F64
from trajlm.util.clock import StageClock

FRAMES = 1_000_000
SETTINGS = TrainingSettings()
# Free energies, in kT, of states along a coordinate with three wells.
BARRIER, N_STATES = 4.0, 20


def whole_road(say: Callable[[str], None]) -> list[Ratio]:
    """Return the seconds of reading, training and the report, on all cores, and their sum.

    The data is a walk among `N_STATES` neighbouring states over two barriers.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_states(folder / "states.npz", markov_chain(_walk(), 1.0, "frame").simulate(FRAMES))
        clock = StageClock()
        with clock.stage("reading"):
            states = read_states(folder / "states.npz")
        say(f"{FRAMES:,} frames of {N_STATES} states: training")
        with clock.stage("training"):
            train(states, SETTINGS).save(folder / "model")
        say(f"{FRAMES:,} frames of {N_STATES} states: comparison and report")
        with clock.stage("comparison and report"):
            compare(states, {"LSTM": load_model(folder / "model")}).save(folder / "report")
    name = f"seconds from a file of {FRAMES:,} frames of {N_STATES} states to the report"
    parts = clock.seconds | {"in all": sum(clock.seconds.values())}
    return [Ratio(name, part, seconds) for part, seconds in parts.items()]


def _walk() -> F64:
    """Return the transition matrix, by Metropolis' rule."""
    x = np.arange(N_STATES)
    energy = BARRIER * (1 - np.cos(6 * np.pi * (x + 0.5) / N_STATES)) / 2
    T = np.zeros((N_STATES, N_STATES))
    for step in (-1, 1):
        here = x[(x + step >= 0) & (x + step < N_STATES)]
        T[here, here + step] = np.minimum(1, np.exp(energy[here] - energy[here + step])) / 2
    T[x, x] = 1 - T.sum(axis=1)
    return T
