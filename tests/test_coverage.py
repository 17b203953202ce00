"""Do 95 % intervals hold the truth in about 95 % of 200 data sets? Chains with exact answers."""

import numpy as np
import pytest

from trajlm.analysis import committed_transitions, mean_first_passage_time, population_intervals
from trajlm.data import StateSpace
from trajlm.evaluate.exact import ExactKinetics
from trajlm.models.markov import MarkovModel

N_SETS = 200
# Name: transition matrix, frames a trajectory, trajectories.
SYSTEMS = {
    "three states": (
        [[0.995, 0.004, 0.001], [0.01, 0.985, 0.005], [0.002, 0.008, 0.99]], 20_000, 1,
    ),
    "two states, few events": ([[0.999, 0.001], [0.003, 0.997]], 20_000, 1),
    "ring of four, two trajectories": (
        [[0.98, 0.01, 0, 0.01], [0.005, 0.985, 0.01, 0], [0, 0.02, 0.975, 0.005],
         [0.01, 0, 0.01, 0.98]], 10_000, 2,
    ),
    "twenty shorter trajectories": (
        [[0.98, 0.015, 0.005], [0.02, 0.97, 0.01], [0.01, 0.02, 0.97]], 2_000, 20,
    ),
}  # fmt: skip


def inside(low, truth, high):
    return (low <= truth) & (truth <= high)


def covered(system):
    """Return how often each interval held the truth: populations, rates, passage times."""
    rows, n_frames, n_lanes = SYSTEMS[system]
    T, n = np.array(rows), len(rows)
    exact = ExactKinetics(T, np.eye(n), StateSpace(n))
    pi = exact.weights
    rates = pi[:, None] * T * (1 - 1 / n_frames)  # n - 1 steps in n frames
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    times = [float(exact.mfpt(i, j).value) for i, j in pairs]
    jumps = [(i, j) for i, j in pairs if T[i, j] > 0]
    model = MarkovModel(T, pi, exact.space)
    found = np.zeros(n), np.zeros(len(jumps)), np.zeros(len(pairs))
    for seed in range(N_SETS):
        states = model.generate(n_frames, n_lanes, seed)
        low, high = population_intervals(states)
        found[0][:] += inside(low, pi, high)
        low, high = committed_transitions(states, [1]).rate_intervals()
        found[1][:] += [inside(low[0][k], rates[k], high[0][k]) for k in jumps]
        passages = [mean_first_passage_time(states, i, j) for i, j in pairs]
        found[2][:] += [inside(p.low, t, p.high) for p, t in zip(passages, times, strict=True)]
    return [counts / N_SETS for counts in found]


@pytest.mark.slow
def test_intervals_hold_the_truth_in_92_to_98_per_cent_of_data_sets():
    """Pooled over the systems; single ones scatter by 1.5 % from 200 sets alone.

    Events that alternate are more regular than a Poisson process, and the intervals of their
    rates are known to be too wide rather than too narrow: the upper end is left open to them.
    """
    kinds = {"populations": [], "rates": [], "first-passage times": []}
    for system in SYSTEMS:
        for kind, shares in zip(kinds, covered(system), strict=True):
            kinds[kind].append(shares)
            print(system, kind, np.round(shares, 3))
            assert (shares >= 0.90).all(), (system, kind, shares)
    for kind, shares in kinds.items():
        pooled = np.concatenate(shares).mean()
        print(kind, round(pooled, 4))
        assert 0.92 <= pooled <= 0.98, (kind, pooled)


def test_passages_cut_by_short_trajectories_are_said_to_be_unreliable():
    T = np.array(SYSTEMS["three states"][0])
    exact = ExactKinetics(T, np.eye(3), StateSpace(3))
    model = MarkovModel(T, exact.weights, exact.space)
    assert not mean_first_passage_time(model.generate(400, 50, seed=0), 1, 2).reliable
    assert mean_first_passage_time(model.generate(40_000, 3, seed=0), 1, 2).reliable
    assert not mean_first_passage_time(model.generate(3000, 1, seed=0), 1, 2).reliable
