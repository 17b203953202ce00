"""How much data each kind of model needs: slowest timescale and kinetics of an unseen stretch.

``python benchmarks/learning_curve.py mdshare_alanine`` (or ``hp35``) takes 1, 3, 10, 30 and 100 %
of the training stretch of `trajlm benchmark`, once from its beginning in one piece, once as pieces
of 1/300 of it spread evenly over it, and judges on the unseen stretch. States and groups are those
of the whole training stretch. The slowest timescale is -t / ln of the second eigenvalue of T(t) of
the groups at one long t, for every method alike. ``--seeds 3`` trains more than one LSTM.

Mind the rates that are zero: D takes half a transition for none, which is a high rate in few frames
and a low one in many. Data of few frames is flattered, a model that generates many is not.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from trajlm import LSTMEstimator, fit_hmm, fit_msm
from trajlm.analysis import (
    commit_times,
    committed_transitions,
    discrepancy,
    grouped_propagators,
    propagate_memory,
    transfer_tensors,
    transition_probabilities,
)
from trajlm.evaluate.evaluation import choose_grouping
from trajlm.reproduce.benchmark.recipe import SYSTEMS

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
PIECES = 300
GENERATED, LANES = 4_000_000, 16
# Frames of t, and of the memory kernel, for each system.
LONG = {"mdshare_alanine": 500, "hp35": 500}
MEMORY = {"mdshare_alanine": 10, "hp35": 50}
COMMIT_TIMES = 500


def one_piece(states, share):
    """Return the first frames."""
    return states.with_trajectories([states.trajectories[0][: int(share * states.n_frames)]])


def short_pieces(states, share):
    """Return pieces of 1/300 of the stretch, spread evenly over it."""
    pieces = np.array_split(states.trajectories[0], PIECES)
    chosen = np.linspace(0, PIECES - 1, max(1, round(share * PIECES))).astype(int)
    return states.with_trajectories([pieces[k] for k in chosen])


def timescale(T, t):
    """Return -t / ln of the second eigenvalue of T(t), over the groups that were visited."""
    visited = np.isfinite(T).all(axis=1)
    T = T[np.ix_(visited, visited)]
    if len(T) < 2:
        return np.nan
    second = np.sort(np.abs(np.linalg.eigvals(T)))[-2]
    return -t / np.log(second) if second < 1 else np.inf


class Judge:
    """The unseen stretch, and how far a method is from it."""

    def __init__(self, name, grouping, unseen):
        self.long, self.memory = LONG[name], MEMORY[name]
        self.grouping, grouped = grouping, grouping.apply(unseen)
        self.unit, self.dt = unseen.unit, unseen.dt
        self.transitions = committed_transitions(grouped, commit_times(COMMIT_TIMES))
        self.slowest = timescale(self.counted(grouped, [self.long])[0], self.long)

    def counted(self, grouped, lags):
        """Return T(t) of trajectories in groups."""
        return transition_probabilities(grouped, lags, intervals=False).values

    def say(self, name, T=None, grouped=None, seconds=0.0):
        """Print the slowest timescale, its error, and D."""
        T = self.counted(grouped, [self.long])[0] if T is None else T
        slowest, D = timescale(T, self.long), "-"
        if grouped is not None:
            times = self.transitions.commit_times
            found = discrepancy(self.transitions, committed_transitions(grouped, times))
            never = np.count_nonzero(found.generated_counts == 0)
            D = f"{found.value:.3f} ({never} of {found.n_terms} rates zero)"
        print(
            f"  {name}: slowest {slowest * self.dt:.4g} {self.unit}, "
            f"ln(slowest / unseen) {np.log(slowest / self.slowest):+.3f}, D {D}, {seconds:.0f} s",
            flush=True,
        )

    def data(self, states):
        """Judge the data itself, and the memory kernel of its first T(t)."""
        grouped = self.grouping.apply(states)
        longest = max(len(s) for s in states)
        if longest > self.long:
            self.say("data itself", grouped=grouped)
        early = self.counted(grouped, range(1, self.memory + 1))
        self.say("memory kernel", propagate_memory(transfer_tensors(early), self.long)[-1])

    def markov(self, states, lag):
        """Judge a Markov state model."""
        model = fit_msm(states, lag)
        step = round(model.space.dt / states.dt)
        groups = np.asarray(self.grouping.assignment)
        with np.errstate(invalid="ignore"):  # groups that no frame is in
            found = grouped_propagators(
                model.transition_matrix, model.stationary_distribution, groups, self.long // step
            )
        self.say(f"MSM, lag {step}", found[-1])

    def generating(self, name, model, seconds, seed):
        """Judge a model by what it generates."""
        made = model.generate(GENERATED // LANES, LANES, seed=seed)
        self.say(name, grouped=self.grouping.apply(made), seconds=seconds)


def timed(fit):
    """Return what `fit` returns, and its seconds of the processor."""
    began = time.process_time()
    return fit(), time.process_time() - began


def main():
    """Go through shares and cuts of the training stretch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=sorted(LONG))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=4, help="of the HMM; 0: none")
    arguments = parser.parse_args()
    stretches = SYSTEMS[arguments.system].load()
    grouping = stretches.grouping or choose_grouping(stretches.training)
    judge = Judge(arguments.system, grouping, stretches.unseen)
    print(f"unseen: slowest {judge.slowest * judge.dt:.4g} {judge.unit}", flush=True)
    for cut in (one_piece, short_pieces):
        for share in SHARES:
            states = cut(stretches.training, share)
            print(f"{100 * share:g} %, {cut.__name__}: {states}", flush=True)
            judge.data(states)
            for lag in (1, "auto"):
                judge.markov(states, lag)
            if arguments.hidden:
                model, seconds = timed(lambda: fit_hmm(states, arguments.hidden))  # noqa: B023
                judge.generating("HMM", model, seconds, 0)
            for seed in range(arguments.seeds):
                estimator = LSTMEstimator(seed=seed, n_threads=1)
                model, seconds = timed(lambda: estimator.fit_fetch(states))  # noqa: B023
                judge.generating(f"LSTM, seed {seed}", model, seconds, 100 + seed)


if __name__ == "__main__":
    main()
