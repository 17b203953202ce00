"""The test of the path-sampling LSTM on a three-state potential: a ratio and neighbour counts.

A language model of the three wells of `linear3` in a row, prepared as in the paper of 2020, is
constrained to an equilibrium ratio of the two outer states, to a number of transitions between
neighbours, and to both (Tsai et al., Nat. Commun. 13:7231 (2022)); beside it the Markov model of
the same data, solved exactly.

    python benchmarks/path_sampling.py [SEEDS [FRAMES]]
"""

import sys
import time

import numpy as np

import trajlm
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import LINEAR3

NEIGHBOURS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def prepared(n_frames, seed):
    """Return the wells as states: running mean, nearest centre, no spikes."""
    x = trajlm.smooth(simulate_langevin(LINEAR3, n_frames, 1, seed).select(["x"]), 20)
    return trajlm.remove_spikes(trajlm.NearestCenters([-1.5, 0.0, 1.5]).fit(x).transform(x), 20)


def main(n_seeds=3, n_frames=200_000):
    """Train, constrain, print."""
    for seed in range(n_seeds):
        states = prepared(n_frames, seed)
        began = time.perf_counter()
        settings = trajlm.TrainingSettings(seed=seed, hidden_dim=32, embedding_dim=8, epochs=15)
        models = {"LSTM": trajlm.train(states, settings), "MSM": trajlm.fit_msm(states)}
        steps = float((NEIGHBOURS * states.transition_counts()).sum()) / states.n_transitions
        p = states.counts() / states.n_frames
        ratio = trajlm.Ratio(0, 2, 2.0 * p[0] / p[2])
        half = trajlm.StepMean(NEIGHBOURS, 0.5 * steps, name="neighbour steps a frame")
        print(
            f"seed {seed}: ratio {p[0] / p[2]:.3f}, neighbour steps {steps:.5f} in the data; ",
            end="",
        )
        print(f"trained in {time.perf_counter() - began:.0f} s", flush=True)
        for targets in ([ratio], [half], [ratio, half]):
            for name, model in models.items():
                found = trajlm.constrain(model, targets, seed=seed, n_frames=1_000_000)
                print(f"{name}\n{found}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
