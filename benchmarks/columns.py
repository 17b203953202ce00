"""Tokens of several columns beside one softmax over all states: nats, kinetics and time.

``python benchmarks/columns.py wells`` simulates three coupled double wells and compares product
bins with k-means states; ``python benchmarks/columns.py alanine N_STATES`` learns the first run of
`mdshare_alanine` in the folder ``TRAJLM_DATA`` and judges on the others. Seeds 0 to 4.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from trajlm import Bins, Features, KMeans, LSTMEstimator, ProductBins, States
from trajlm.analysis import commit_times, committed_transitions, discrepancy, lump
from trajlm.analysis.relaxation import transition_probabilities

SEEDS = range(5)
GENERATED = 20_000_000
LANES = 16
LAGS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def coupled_wells(n_frames, seed, height=2.0, coupling=0.5, step=0.004, stride=10, walkers=20):
    """Return overdamped walks in U = h sum (x_i^2 - 1)^2 + c (x_1 x_2 + x_2 x_3), kT = 1."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(walkers, 3))
    kept = np.empty((n_frames // walkers, walkers, 3))
    for t in range(-200, len(kept)):
        for _ in range(stride):
            force = -4 * height * x * (x**2 - 1)
            force[:, [0, 2]] -= coupling * x[:, [1]]
            force[:, 1] -= coupling * (x[:, 0] + x[:, 2])
            x = x + step * force + np.sqrt(2 * step) * rng.normal(size=x.shape)
        if t >= 0:
            kept[t] = x
    return Features(list(kept.swapaxes(0, 1)))


def grouped(states, groups):
    """Return the group of every frame."""
    return States([groups[s] for s in states], n_states=int(groups.max()) + 1)


def judge(name, model, data, unseen, groups, seconds):
    """Print what a model is like on its own data and on data that it has not seen."""
    generated = model.generate(GENERATED // LANES, LANES, seed=100)
    times = commit_times(500)
    own, other, made = (
        committed_transitions(grouped(s, groups), times) for s in (data, unseen, generated)
    )
    shares = grouped(data, groups).counts() / data.n_frames
    T, T_own = (
        transition_probabilities(grouped(s, groups), LAGS, intervals=False).values
        for s in (generated, data)
    )
    squares = (shares[:, None] * (T - T_own) ** 2).sum(axis=(1, 2)) / len(shares)
    print(
        f"{name}: {model.cross_entropy(unseen):.4f} nats per frame on unseen data, "
        f"D {discrepancy(other, made).value:.3f} (training data {discrepancy(other, own).value:.3f}"
        f"), against training data {discrepancy(own, made).value:.3f}, RMSE of T(t) "
        f"{np.sqrt(np.mean(squares)):.4f}, {seconds:.0f} s",
        flush=True,
    )


def compare_columns(settings, data, unseen, groups):
    """Train and judge with each choice of columns."""
    for columns in settings:
        for seed in SEEDS:
            began = time.process_time()
            model = LSTMEstimator(columns=columns, seed=seed, n_threads=1).fit_fetch(data)
            seconds = time.process_time() - began
            judge(f"{columns}, seed {seed}", model, data, unseen, groups, seconds)


def wells():
    """Compare bins of three coordinates with k-means states of the same number."""
    features, unseen = coupled_wells(200_000, 1), coupled_wells(400_000, 2)
    for cut, settings in (
        (ProductBins(3 * [Bins(8, open_ends=True)]), ("bins", "state")),
        (KMeans(512, seed=0), ("state", "groups")),
    ):
        data = cut.fit_transform(features)
        groups = (data.space.centers > 0) @ np.array([4, 2, 1])
        print(cut, flush=True)
        compare_columns(settings, data, cut.transform(unseen), groups)


def alanine(n_states):
    """Compare groups and states with one softmax."""
    folder = Path(os.environ["TRAJLM_DATA"]) / "mdshare_alanine"
    angles = [np.load(folder / f"dihedral_traj{k}.npy") for k in range(3)]
    circle = [np.concatenate([np.cos(x), np.sin(x)], axis=1) for x in angles]
    cut = KMeans(n_states, seed=0)
    data = cut.fit_transform(circle[:1])
    compare_columns(("auto", "state"), data, cut.transform(circle[1:]), lump(data, 10))


if __name__ == "__main__":
    if sys.argv[1:2] == ["wells"]:
        wells()
    else:
        alanine(int(sys.argv[2]))
