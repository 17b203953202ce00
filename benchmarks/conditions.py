"""One model of the four-state potential at three temperatures, asked for a fourth between them.

Trained at three inverse temperatures, one left out; its populations and rates there are compared
with a long simulation, and with models of the nearest temperature.

    python benchmarks/conditions.py [SEEDS [FRAMES]]
"""

import sys
import time
from dataclasses import replace

import numpy as np

import trajlm
from trajlm.analysis import committed_transitions, population_intervals, populations
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import LINEAR3

BETAS, LEFT_OUT = (6.5, 7.5, 9.5), 8.5
EDGES, COMMITS = [-0.75, 0.75], [5, 20, 50]


def states_of(beta, n_frames, seed):
    """Return x of a simulation in 20 bins."""
    x = simulate_langevin(replace(LINEAR3, beta=beta), n_frames, 1, seed).select(["x"])
    return trajlm.Bins(20, range=(-3.0, 3.0), open_ends=True).fit(x).transform(x)


def log_ratios(reference, other):
    """Return ln(rate / rate of the reference) where that counts 20 or more, shape (n,)."""
    a, b = (committed_transitions(s, COMMITS) for s in (reference, other))
    kept = a.counts >= 20
    ratio = np.maximum(b.counts, 0.5)[kept] / b.total_frames / (a.counts[kept] / a.total_frames)
    return np.log(ratio)


def inside(reference, other):
    """Return how many rates of another lie in the 95 % intervals of the reference, and of all."""
    a, b = (committed_transitions(s, COMMITS) for s in (reference, other))
    (low, high), kept = a.rate_intervals(), a.counts >= 20
    rates = b.rates()
    return int(((low <= rates) & (rates <= high))[kept].sum()), int(kept.sum())


def show(text):
    """Print at once."""
    print(text, flush=True)


def main(n_seeds=3, n_frames=200_000):
    """Train on three, ask for the fourth."""
    for seed in range(n_seeds):
        parts = [states_of(beta, n_frames, 10 * seed + k) for k, beta in enumerate(BETAS)]
        truth = states_of(LEFT_OUT, n_frames, 10 * seed + 9)
        groups = trajlm.group_by_edges(truth, EDGES)
        began = time.perf_counter()
        states = truth.with_trajectories([s for part in parts for s in part])
        settings = trajlm.TrainingSettings(seed=seed)
        model = trajlm.train_series(states, BETAS, "beta", settings)
        show(f"seed {seed}: trained in {time.perf_counter() - began:.0f} s")
        reference = groups.apply(truth)
        low, high = (bound.round(4) for bound in population_intervals(reference))
        show(f"  data at {LEFT_OUT}: {populations(reference).round(4)}, {low} to {high}")
        sources = {f"model at {LEFT_OUT}": model.generate(100_000, 20, seed, condition=LEFT_OUT)}
        for beta, part in zip(BETAS, parts, strict=True):
            sources[f"data at {beta}"] = part
            sources[f"model at {beta}"] = model.generate(100_000, 20, seed, condition=beta)
        for name, source in sources.items():
            own = groups.apply(source)
            k, n = inside(reference, own)
            D = np.abs(log_ratios(reference, own)).mean()
            p = populations(own).round(4)
            show(f"  {name}: populations {p}, D {D:.3f}, {k} of {n} rates inside")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
