"""A model of one potential, constrained by what is known of another: the numbers of the docs.

The four-state potential is simulated as it is, and with one deeper well. A model of the first is
constrained by the populations of the second, and its rates compared with a longer simulation of the
second: a Markov model of the states as the paper of 2020 prepares them, and a language model of x
in 30 bins, which also gets two populations and a rate at once.

    python benchmarks/constraints.py msm|lstm [FIRST_SEED [SEEDS [FRAMES [FRAMES_A_RUN]]]]
"""

import sys
from dataclasses import replace

import numpy as np

import trajlm
from trajlm.analysis import committed_transitions
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import FOUR_STATE

EDGES = [-1.25, 0.0, 1.25]
NAMES = ("A", "B", "C", "D")
COMMITS = [20, 50, 100]
TILTED = replace(FOUR_STATE, depths=(1.12, 1.0, 1.0, 1.0))


def fine(x):
    """Return 30 bins of x."""
    return trajlm.Bins(30, range=(-3.0, 3.0), open_ends=True).fit(x).transform(x)


def prepared(x):
    """Return the nearest well of a running mean, without spikes."""
    x = trajlm.smooth(x, 50)
    wells = trajlm.NearestCenters([-2.0, -0.5, 0.5, 2.0]).fit(x).transform(x)
    return trajlm.remove_spikes(wells, 100)


def simulated(potential, n_frames, seed):
    """Return x of a simulation."""
    return simulate_langevin(potential, n_frames, 1, seed).select(["x"])


def discrepancy(reference, other):
    """Return the mean |ln(rate / rate of the reference)| where the reference counts 20 or more."""
    a, b = (committed_transitions(s, COMMITS) for s in (reference, other))
    kept = a.counts >= 20
    ratio = np.maximum(b.counts, 0.5)[kept] / b.total_frames / (a.counts[kept] / a.total_frames)
    return float(np.abs(np.log(ratio)).mean())


def show(text):
    """Print at once."""
    print(text, flush=True)


def compare(kind, far, x, seed, n_run):
    """Constrain a model of x in several ways, and print how near it comes to the other."""
    cut = prepared if kind == "msm" else fine
    states = cut(x)
    if kind == "msm":
        groups = trajlm.group_by_list(states, [0, 1, 2, 3], names=NAMES)
        model = trajlm.fit_msm(states)
    else:
        groups = trajlm.group_by_edges(states, EDGES, names=NAMES)
        model = trajlm.train(states, trajlm.TrainingSettings(seed=seed, hidden_dim=32, epochs=15))
    reference = groups.apply(cut(far))
    p = reference.counts() / reference.n_frames
    rates = committed_transitions(reference, [50]).rates()[0]
    populations = [trajlm.Population(g, x) for g, x in zip(NAMES[:3], p[:3], strict=True)]
    # Between wells that are prepared as in the paper A and C are neighbours, and A and B along x.
    far_end = 2 if kind == "msm" else 1
    rate = trajlm.Rate("A", NAMES[far_end], rates[0, far_end], commit=50)
    three = [*populations[:2], rate]
    before = groups.apply(model.generate(100_000, 20, seed=seed))
    for what, asked in (("populations", populations), ("two populations and a rate", three)):
        found = trajlm.constrain(model, asked, groups, seed=seed, n_frames=n_run)
        after = groups.apply(found.model.generate(100_000, 20, seed=seed))
        off = max(abs(c.after / t.value - 1) for c, t in zip(found.changes, asked, strict=False))
        D = [discrepancy(reference, own) for own in (before, after, groups.apply(states))]
        show(
            f"{kind}, seed {seed}, {what}: D {D[0]:.3f} before, {D[1]:.3f} after, {D[2]:.3f} of "
            f"the data; targets within {off:.1%}; {found.seconds:.1f} s\n{found}"
        )


def main(kind, first=0, n_seeds=5, n_frames=200_000, n_run=500_000):
    """Simulate, learn, constrain and compare."""
    far = simulated(TILTED, 5 * n_frames, 100)
    for seed in range(first, first + n_seeds):
        compare(kind, far, simulated(FOUR_STATE, n_frames, seed), seed, n_run)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
