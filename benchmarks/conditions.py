"""One model of a series of temperatures, asked for one between those that it was trained at.

The three wells in a row at three inverse temperatures, or phi of alanine dipeptide at two; its
populations and rates at the one left out are compared with a long simulation there, and with the
data and the model at the others.

    python benchmarks/conditions.py wells|alanine [SEEDS [FRAMES]]

FRAMES are those of each simulation, of alanine 0.1 ps apart.
"""

import sys
import time
from dataclasses import dataclass, replace

import numpy as np

import trajlm
from trajlm.analysis import committed_transitions, population_intervals, populations
from trajlm.systems.alanine import simulate_alanine
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import LINEAR3


@dataclass(frozen=True)
class Series:
    """What is simulated at which conditions, and how it is judged.

    On a circle the groups before the first edge and after the last are one.
    """

    condition: str
    values: tuple[float, ...]
    left_out: float
    edges: tuple[float, ...]
    commits: tuple[int, ...]

    def states(self, value: float, n_frames: int, seed: int) -> trajlm.States:
        """Return a simulation in 20 bins."""
        if self.condition == "beta":
            potential = replace(LINEAR3, beta=value)
            x = simulate_langevin(potential, n_frames, 1, seed).select(["x"])
            bins = trajlm.Bins(20, range=(-3.0, 3.0), open_ends=True)
        else:
            x = simulate_alanine(n_frames * 1e-4, 1, 1000 / value, seed).select(["phi"])
            bins = trajlm.Bins(20)
        return bins.fit(x).transform(x)

    def groups(self, states: trajlm.States) -> trajlm.Grouping:
        """Return the groups between the edges."""
        n_groups = len(self.edges) + (self.condition == "beta")
        group = np.digitize(states.centers, self.edges) % n_groups
        return trajlm.group_by_list(states, group.tolist())


# Barriers are crossed with the exponential of the inverse temperature: 500, 400 and 450 K.
SERIES = {
    "wells": Series("beta", (6.5, 7.5, 9.5), 8.5, (-0.75, 0.75), (5, 20, 50)),
    "alanine": Series("1000 K / T", (2.0, 2.5), 1000 / 450, (0.0, 2.2), (5, 20, 50)),
}


def log_ratios(reference, other, commits):
    """Return ln(rate / rate of the reference) where that counts 20 or more, shape (n,)."""
    a, b = (committed_transitions(s, commits) for s in (reference, other))
    kept = a.counts >= 20
    ratio = np.maximum(b.counts, 0.5)[kept] / b.total_frames / (a.counts[kept] / a.total_frames)
    return np.log(ratio)


def inside(reference, other, commits):
    """Return how many rates of another lie in the 95 % intervals of the reference, and of all."""
    a, b = (committed_transitions(s, commits) for s in (reference, other))
    (low, high), kept = a.rate_intervals(), a.counts >= 20
    rates = b.rates()
    return int(((low <= rates) & (rates <= high))[kept].sum()), int(kept.sum())


def show(text):
    """Print at once."""
    print(text, flush=True)


def main(kind, n_seeds=3, n_frames=200_000):
    """Train on some, ask for another."""
    series = SERIES[kind]
    for seed in range(n_seeds):
        parts = [series.states(x, n_frames, 10 * seed + k) for k, x in enumerate(series.values)]
        truth = series.states(series.left_out, n_frames, 10 * seed + 9)
        groups = series.groups(truth)
        began = time.perf_counter()
        states = truth.with_trajectories([s for part in parts for s in part])
        settings = trajlm.TrainingSettings(seed=seed)
        model = trajlm.train_series(states, series.values, series.condition, settings)
        show(f"seed {seed}: trained in {time.perf_counter() - began:.0f} s")
        reference = groups.apply(truth)
        low, high = (bound.round(4) for bound in population_intervals(reference))
        show(f"  data at {series.left_out:.4g}: {populations(reference).round(4)}, {low} to {high}")
        sources = dict(zip((f"data at {x:.4g}" for x in series.values), parts, strict=True))
        for x in (series.left_out, *series.values):
            sources[f"model at {x:.4g}"] = model.generate(100_000, 20, seed, condition=x)
        for name, source in sources.items():
            own = groups.apply(source)
            k, n = inside(reference, own, series.commits)
            D = np.abs(log_ratios(reference, own, series.commits)).mean()
            p = populations(own).round(4)
            show(f"  {name}: populations {p}, D {D:.3f}, {k} of {n} rates inside")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
