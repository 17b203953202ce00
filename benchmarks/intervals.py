"""How often the intervals of a model's predictions hold the truth, on simulated data.

Of each kind of data many sets are simulated, a small language model is trained on each, and its
predictions are held against the exact values of the process. Run, for 200 sets of each kind:

    python benchmarks/intervals.py 200

It prints, for each kind and quantity, the share of intervals that hold the truth, and the shares
that lie above and below it, of those that rest on enough events.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import trajlm
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.data import StateSpace
from trajlm.evaluate.estimates import Estimate, Kinetics
from trajlm.evaluate.exact import ExactKinetics

F64 = npt.NDArray[np.float64]
COMMIT_TIME = 5


@dataclass(frozen=True)
class Process:
    """A hidden Markov chain, and how much of it is seen."""

    name: str
    hidden: F64
    emission: F64
    n_trajectories: int
    n_frames: int

    @property
    def exact(self) -> ExactKinetics:
        """The truth."""
        return ExactKinetics(self.hidden, self.emission, StateSpace(self.emission.shape[1]))

    def simulate(self, rng: np.random.Generator) -> trajlm.States:
        """Return trajectories that begin in equilibrium."""
        of_hidden, of_shown = np.cumsum(self.hidden, axis=1), np.cumsum(self.emission, axis=1)
        h = rng.choice(len(self.hidden), self.n_trajectories, p=self.exact.weights)
        shown = np.empty((self.n_trajectories, self.n_frames), np.int64)
        for t in range(self.n_frames):
            shown[:, t] = (rng.random(len(h))[:, None] > of_shown[h]).sum(axis=1)
            h = (rng.random(len(h))[:, None] > of_hidden[h]).sum(axis=1)
        return trajlm.States(list(shown), self.emission.shape[1])


CHAIN = np.array([[0.99, 0.01, 0.0], [0.01, 0.97, 0.02], [0.0, 0.02, 0.98]])
# Four hidden states that are seen as two, as in the third level of the kinSoft challenge.
HIDDEN = np.array(
    [
        [0.985, 0.010, 0.0, 0.005],
        [0.015, 0.935, 0.050, 0.0],
        [0.0, 0.100, 0.900, 0.0],
        [0.008, 0.0, 0.0, 0.992],
    ]
)
TWO_LEVELS = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
PROCESSES = (
    Process("a chain of three states", CHAIN, np.eye(3), 1, 20_000),
    Process("four hidden states seen as two", HIDDEN, TWO_LEVELS, 60, 400),
    Process("many short trajectories", CHAIN, np.eye(3), 200, 100),
)
QUANTITIES: dict[str, Callable[[Kinetics], Estimate]] = {
    "populations": lambda k: k.stationary_distribution(),
    f"rates committed for {COMMIT_TIME} frames": lambda k: k.committed_rates(COMMIT_TIME),
    "mean first-passage times": lambda k: k.mfpt(0, k.space.n_states - 1),
    "dwell times": lambda k: k.dwell_times(),
    "slowest timescale": lambda k: k.timescales(COMMIT_TIME, 1),
}


def run(process: Process, n_sets: int) -> dict[str, list[tuple[int, int, int]]]:
    """Return for each quantity and set how many intervals hold the truth, lie above, lie below."""
    found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in QUANTITIES}
    for seed in range(n_sets):
        states = process.simulate(np.random.default_rng([seed, len(process.name)]))
        estimator = trajlm.LSTMEstimator(hidden_dim=16, embedding_dim=8, seed=seed)
        model = estimator.fit(states).fetch_model()
        predicted = trajlm.kinetics(model, seed=seed, data=states)
        for name, of in QUANTITIES.items():
            truth, one = of(process.exact).value, of(predicted)
            events = one.n_events if one.n_events is not None else FEW_EVENTS * one.reliable
            asked = (truth > 0) & np.broadcast_to(events >= FEW_EVENTS, truth.shape)
            above, below = one.low[asked] > truth[asked], one.high[asked] < truth[asked]
            missed = np.count_nonzero(above), np.count_nonzero(below)
            found[name].append((np.count_nonzero(asked) - sum(missed), *missed))
    return found


def main(n_sets: int) -> None:
    """Print the table of all kinds of data."""
    for process in PROCESSES:
        print(f"{process.name}, {n_sets} sets")
        for name, rows in run(process, n_sets).items():
            total = np.sum(rows)
            holds, above, below = np.sum(rows, axis=0) / max(total, 1)
            print(
                f"  {name}: of {total} intervals {holds:.3f} hold the truth, {above:.3f} lie above "
                f"it, {below:.3f} below",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
