"""A model of one potential, constrained by what is known of another: the numbers of the docs.

The four-state potential is simulated as it is, and with tilted wells. A language model of the first
is constrained by the populations of the second (by quadrature), and its rates compared with a long
simulation of the second. Prints one line a seed, and then three constraints at once.

    python benchmarks/constraints.py [SEEDS [FRAMES]]
"""

import sys
import time
from dataclasses import replace

import numpy as np

import trajlm
from trajlm.analysis import committed_transitions
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import FOUR_STATE, exact_populations

EDGES = [-1.25, 0.0, 1.25]
NAMES = ("A", "B", "C", "D")
COMMITS = [20, 50, 100]
TILTED = replace(FOUR_STATE, depths=(1.12, 1.0, 1.0, 1.0))
HOTTER = replace(FOUR_STATE, beta=8.5)


def states_of(potential, n_frames, seed, n_trajectories=1):
    """Return x of a simulation in 30 bins."""
    x = simulate_langevin(potential, n_frames, n_trajectories, seed).select(["x"])
    return trajlm.Bins(30, range=(-3.0, 3.0), open_ends=True).fit(x).transform(x)


def discrepancy(reference, other):
    """Return the mean |ln(rate / rate of the reference)| where the reference counts 20 or more."""
    a, b = (committed_transitions(s, COMMITS) for s in (reference, other))
    kept = a.counts >= 20
    ratio = np.maximum(b.counts, 0.5)[kept] / b.total_frames / (a.counts[kept] / a.total_frames)
    return float(np.abs(np.log(ratio)).mean())


def main(n_seeds=5, n_frames=300_000):
    """Train, constrain and compare."""
    truth = {
        name: states_of(p, 2_000_000, 100) for name, p in (("tilted", TILTED), ("hotter", HOTTER))
    }
    for seed in range(n_seeds):
        states = states_of(FOUR_STATE, n_frames, seed)
        groups = trajlm.group_by_edges(states, EDGES, names=NAMES)
        began = time.perf_counter()
        model = trajlm.train(states, trajlm.TrainingSettings(seed=seed))
        print(f"seed {seed}: trained in {time.perf_counter() - began:.0f} s", flush=True)
        for name, potential in (("tilted", TILTED), ("hotter", HOTTER)):
            far = groups.apply(truth[name])
            exact = exact_populations(potential)
            before = groups.apply(model.generate(200_000, 16, seed=seed))
            targets = [trajlm.Population(g, p) for g, p in zip(NAMES[:3], exact[:3], strict=True)]
            kinds = {"populations": targets}
            if name == "hotter" or seed == 0:
                counts = committed_transitions(far, [50]).counts[0] / far.n_frames
                kinds["populations and two rates"] = [
                    *targets[:2],
                    trajlm.Rate("A", "B", counts[0, 1], commit=50),
                    trajlm.Rate("A", "C", counts[0, 2], commit=50),
                ]
            for asked, wanted in kinds.items():
                found = trajlm.constrain(model, wanted, groups, seed=seed)
                after = groups.apply(found.model.generate(200_000, 16, seed=seed))
                off = max(
                    abs(c.after / t.value - 1) for c, t in zip(found.changes, wanted, strict=False)
                )
                print(
                    f"seed {seed}, {name}, {asked}: D {discrepancy(far, before):.3f} before, "
                    f"{discrepancy(far, after):.3f} after; targets within {off:.2%}; "
                    f"KL rate {found.kl_rate:.2e}; {found.seconds:.0f} s",
                    flush=True,
                )
                print(found, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
