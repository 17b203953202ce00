"""Fitting hidden Markov chains to discrete trajectories: Baum and Welch's algorithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.util.arrays import F64, IntArray

# The steps after which the best of several starts go on, and the tolerance of the end in nats of
# the whole data.
SCREENING_STEPS = 30
FINALISTS, FINAL_STEPS = 3, 100
MOST_STEPS = 2000
TOLERANCE = 1e-3
# Rounds of the reversible maximum in one step; any number of them raises the likelihood.
REVERSIBLE_ROUNDS = 10
# What is expected less often than this in the whole data did not happen.
NEVER = 1e-2

ReportStep = Callable[[int, float], None]


@dataclass(frozen=True)
class HiddenChain:
    """Parameters of a hidden Markov chain, and how well they do.

    Parameters
    ----------
    transition, emission
        Shapes (m, m) and (m, n).
    first
        Probability of each hidden state at the first frame of a trajectory, shape (m,).
    occupancy
        Expected share of the frames in each hidden state, shape (m,).
    log_likelihood
        ln P of all trajectories under the parameters before the last step.
    """

    transition: F64
    emission: F64
    first: F64
    occupancy: F64
    log_likelihood: float = -np.inf


def best_fit(
    paths: Sequence[IntArray],
    starts: Sequence[HiddenChain],
    reversible: bool,
    report: ReportStep | None = None,
) -> HiddenChain:
    """Return the best local maximum of the likelihood that any of the starts leads to.

    All starts take a few steps, the best three of them more, and the best of these goes on until a
    step gains less than 0.001 nats.

    Parameters
    ----------
    paths
        States 0..n-1, each of them seen.
    starts
        First guesses.
    reversible
        Whether the hidden chain obeys detailed balance.
    report
        Called after every step with its number and ln P.
    """
    fit = _Fit(paths, reversible, report)
    chains = [fit.run(start, SCREENING_STEPS) for start in starts]
    if len(chains) > 1:
        chains.sort(key=lambda chain: -chain.log_likelihood)
        chains = [fit.run(chain, FINAL_STEPS) for chain in chains[:FINALISTS]]
    best = fit.run(max(chains, key=lambda chain: chain.log_likelihood), MOST_STEPS)
    return fit.without_what_never_happens(best)


class _Fit:
    """Steps of expectation and maximisation over one data set."""

    def __init__(
        self, paths: Sequence[IntArray], reversible: bool, report: ReportStep | None
    ) -> None:
        self.paths = paths
        self.reversible = reversible
        self.report = report
        self.n_steps = 0
        self.scales = np.empty(max(len(path) for path in paths))

    def run(self, chain: HiddenChain, n_steps: int) -> HiddenChain:
        """Take steps until one gains next to nothing."""
        for _ in range(n_steps):
            before, chain = chain, self.step(chain)
            if chain.log_likelihood - before.log_likelihood < TOLERANCE:
                break
        return chain

    def step(self, chain: HiddenChain) -> HiddenChain:
        """Return the parameters that the expected counts under `chain` ask for."""
        first, shown, steps, log_likelihood = self._expected(chain)
        rows = steps.sum(axis=1, keepdims=True)
        T = np.divide(steps, rows, out=chain.transition.copy(), where=rows > 0)
        if self.reversible:
            T = _reversible(steps, chain)
        frames = shown.sum(axis=1, keepdims=True)
        E = np.divide(shown, frames, out=chain.emission.copy(), where=frames > 0)
        self.n_steps += 1
        if self.report:
            self.report(self.n_steps, log_likelihood)
        occupancy = frames[:, 0] / frames.sum()
        return HiddenChain(T, E, first / first.sum(), occupancy, log_likelihood)

    def without_what_never_happens(self, chain: HiddenChain) -> HiddenChain:
        """Return the chain with steps and emissions of next to no expected count at zero.

        No number of steps takes a probability to zero, though zero may be the maximum.
        """
        _, shown, steps, _ = self._expected(chain)
        never = (steps < NEVER) & ~np.eye(len(steps), dtype=np.bool_)
        if self.reversible:
            never &= never.T
        T = np.where(never, 0.0, chain.transition)
        E = np.where(shown < np.minimum(NEVER, shown.max(axis=1, keepdims=True)), 0, chain.emission)
        return HiddenChain(
            T / T.sum(axis=1, keepdims=True),
            E / E.sum(axis=1, keepdims=True),
            chain.first,
            chain.occupancy,
            chain.log_likelihood,
        )

    def _expected(self, chain: HiddenChain) -> tuple[F64, F64, F64, float]:
        from trajlm.kernels.chain import expected_counts

        m, n = chain.emission.shape
        alpha = np.empty((len(self.scales), m))
        first, shown, steps = np.zeros(m), np.zeros((m, n)), np.zeros((m, m))
        T, E = np.ascontiguousarray(chain.transition), np.ascontiguousarray(chain.emission)
        log_likelihood = 0.0
        for path in self.paths:
            log_likelihood += expected_counts(
                T, E, chain.first, path, alpha, self.scales, first, shown, steps
            )
        return first, shown, steps * T, log_likelihood


def _reversible(steps: F64, chain: HiddenChain) -> F64:
    """Return a transition matrix of detailed balance that the expected steps make more probable.

    The fixed point x_ij = (c_ij + c_ji) / (c_i / x_i + c_j / x_j), T_ij = x_ij / x_i (Bowman et
    al., J. Chem. Phys. 131:124101 (2009)).
    """
    both, rows = steps + steps.T, steps.sum(axis=1)
    x = chain.occupancy[:, None] * chain.transition
    x = x + x.T
    for _ in range(REVERSIBLE_ROUNDS):
        share = np.divide(rows, x.sum(axis=1), out=np.zeros_like(rows), where=x.sum(axis=1) > 0)
        below = share[:, None] + share
        x = np.divide(both, below, out=np.zeros_like(both), where=below > 0)
    sums = x.sum(axis=1, keepdims=True)
    T: F64 = np.divide(x, sums, out=chain.transition.copy(), where=sums > 0)
    return T
