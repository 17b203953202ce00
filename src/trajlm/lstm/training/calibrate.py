"""Calibrating the slow kinetics of a language model against its training data.

Cross-entropy hardly feels a transition that happens a few times in a million frames, so its
rate is learned within a factor of two or so. But it is known better: it was counted. Here the
sets of states that are left more slowly than a gradient window sees are found by themselves, the
model is run freely, and the odds of moving between the sets are shifted until its populations
and rates are those of the data. This is in the spirit of the path reweighting with known
averages of Tsai et al., Nat. Commun. 13:7231 (2022), but acts on the bigram skip alone: with
X_g(s) the membership of state s in set g, a step from s to k gets

    sum_g a_g (X_g(k) - X_g(s)) + sum_{g<h} b_gh f_gh(s, k)

added to its logit. The tilt a acts as a free energy and moves populations; the mobility b, on
the membership f_gh that the step moves between g and h in either direction, changes the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis.kinetics import commit_times
from trajlm.analysis.slow import SlowKinetics, SlowSets, find_slow_sets, slow_kinetics
from trajlm.data import States
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.record import Calibration

F64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

# Populations are those of equilibrium in trajectories of this many slowest relaxation times.
RELAXATIONS = 10.0
# With fewer events the interval of a rate spans more than a factor of three: no target.
MIN_EVENTS = 10
# Share of the gradient window that a stay must last for its transition to be called slow.
COMMIT_SHARE = 0.5
# Stays shorter than this share of it are left out altogether.
FLICKER_SHARE = 0.1
# Free runs, and the frames of each in lengths of the data; fewer where they hold ENOUGH_EVENTS.
ROUNDS = 5
LENGTHS = 12.0
ENOUGH_EVENTS = 1000
N_LANES = 32
# How far the response of a rate may be from proportional, and the least that is believed.
RESPONSE_SPREAD = 0.3
SMALLEST_RESPONSE = 0.3
# Largest change of a log-odds in one round, since the response is linear only nearby.
LARGEST_STEP = 1.0


@dataclass(frozen=True)
class Target:
    """What a model is calibrated to.

    Parameters
    ----------
    kinetics
        Counted in the data, over a ladder of commit times.
    commit_time
        Index of the commit time by which transitions are called slow.
    used
        The commit times that count for each pair of sets, shape (m, n_sets, n_sets): beyond
        flicker, as long as there are enough transitions.
    tilted
        The sets whose populations are matched, shape (n_sets,).
    """

    kinetics: SlowKinetics
    commit_time: int
    used: Booleans
    tilted: Booleans

    @property
    def events(self) -> Integers:
        """Slow transitions of the data, shape (n_sets, n_sets)."""
        events: Integers = self.kinetics.transitions.counts[self.commit_time]
        return events

    @property
    def pairs(self) -> Booleans:
        """The pairs of sets whose rates are matched, symmetric, shape (n_sets, n_sets)."""
        return np.asarray(self.used.any(axis=0))

    def noise(self, n_steps: int) -> float:
        """Return the counting error of ln(rate) in a run of that many frames a lane."""
        rarest = (self.events + self.events.T)[self.pairs].min()
        lengths = n_steps * N_LANES / self.kinetics.transitions.total_frames
        # Two crossings, there and back, are one visit.
        return float(np.sqrt(2 / (rarest * lengths)))

    def log_ratios(self, generated: SlowKinetics) -> tuple[F64, F64]:
        """Return ln(generated / data) of populations (n_sets,) and rates (n_sets, n_sets).

        Those of the rates are means over the commit times that count, as in the discrepancy D.
        What is not matched is zero.
        """
        data = self.kinetics
        populations = np.log(np.maximum(generated.populations, 1e-9) / data.populations)
        logs = generated.log_fluxes() - data.log_fluxes()
        rates = (logs * self.used).sum(axis=0) / np.maximum(self.used.sum(axis=0), 1)
        return np.where(self.tilted, populations, 0.0), rates


@dataclass(frozen=True)
class CalibrationRound:
    """One free run: how far the slow kinetics were off before the step that follows it.

    Parameters
    ----------
    number
        From 1.
    largest
        The largest |ln(generated / data)| over populations and rates.
    """

    number: int
    largest: float

    def describe(self) -> str:
        """Return the line that is shown after the round."""
        return (
            f"calibration {self.number}/{ROUNDS}: slow populations and rates within a factor of "
            f"{np.exp(self.largest):.2f}"
        )


def choose_target(states: States, sets: SlowSets, lag: int) -> Target:
    """Count the data, and choose what is matched: what was counted often enough."""
    longest = max(len(s) for s in states)
    times = commit_times(max(1, longest // 10))
    kinetics = slow_kinetics(states, sets, times)
    commit_time = int(np.argmin(np.abs(np.log(times / max(1.0, COMMIT_SHARE * lag)))))
    both = kinetics.both_ways
    # As often as that both ways, since in equilibrium the two directions alternate.
    often: Booleans = both >= 2 * MIN_EVENTS
    used = often & often[commit_time]
    # What holds for a shorter time is flicker, which the network has learned by itself.
    used[times < FLICKER_SHARE * lag] = False
    tilted = kinetics.transitions.counts[commit_time].sum(axis=0) >= MIN_EVENTS
    return Target(kinetics, commit_time, used, tilted)


ReportRound = Callable[[CalibrationRound], None]


class _Root:
    """Finds where noisy measurements y = y0 + c slope x are zero, c close to one; elementwise.

    Parameters
    ----------
    slope
        What the response to x should be.
    noise
        Standard deviation of a measurement.
    """

    def __init__(self, slope: float, noise: float) -> None:
        self.slope = slope
        self.noise = noise
        self.x: list[F64] = []
        self.y: list[F64] = []

    def next(self, x: F64, y: F64) -> F64:
        """Take the measurement y at x and return the root as known by now.

        The response c is that of a linear regression with the prior c = 1 +- RESPONSE_SPREAD.
        """
        self.x.append(x)
        self.y.append(y)
        mean_x, mean_y = np.mean(self.x, axis=0), np.mean(self.y, axis=0)
        dx = self.slope * (np.array(self.x) - mean_x)
        prior = (self.noise / RESPONSE_SPREAD) ** 2
        response = ((dx * (self.y - mean_y)).sum(axis=0) + prior) / ((dx**2).sum(axis=0) + prior)
        root = mean_x - mean_y / (self.slope * np.maximum(response, SMALLEST_RESPONSE))
        step: F64 = np.clip(root - x, -LARGEST_STEP, LARGEST_STEP)
        return x + step


def calibrate(
    model: LSTMModel,
    states: States,
    lag: int,
    seed: int = 0,
    report: ReportRound | None = None,
    n_threads: int | None = None,
) -> tuple[LSTMModel, Calibration | None]:
    """Match the model's slow populations and rates to those counted in `states`.

    Each round runs the model freely, measures how far its populations and rates are off, and
    moves tilt and mobility to where a regression over all rounds expects them right. To begin
    with, p_g is taken to answer as exp(2 a_g) and the transitions of a pair as
    exp(a_g + a_h + b_gh): the first as a free energy, the second as a rate over a barrier.

    Parameters
    ----------
    model
        As trained.
    states
        The training stretch, taken to be in equilibrium.
    lag
        Frames of the gradient window: what takes more than three is calibrated.
    seed
        Fixes the result.
    report
        Called after each round.
    n_threads
        Threads that generate; they do not change the result.

    Returns
    -------
    tuple
        The calibrated model and what was done. Where no transitions suffice this is `model`
        itself; where there is no slow process, or trajectories are too short to tell
        populations of equilibrium, it is `model` and None.
    """
    sets = find_slow_sets(states, lag)
    if sets is None or states.n_frames / len(states) < RELAXATIONS * sets.slowest:
        return model, None
    target = choose_target(states, sets, lag)
    if not target.pairs.any():
        zeros = np.zeros(sets.n_sets)
        nothing = np.zeros((sets.n_sets, sets.n_sets))
        return model, _summary(lag, sets, target, zeros, nothing, (zeros, nothing), 0)
    times = target.kinetics.transitions.commit_times
    n_steps = _frames_a_lane(target)
    populations, rates = _Root(2.0, target.noise(n_steps)), _Root(1.0, target.noise(n_steps))
    tilt, mobility = np.zeros(sets.n_sets), np.zeros((sets.n_sets, sets.n_sets))
    errors: list[tuple[F64, F64]] = []
    for k in range(ROUNDS):
        shifted = _shifted(model, logit_shift(sets, tilt, mobility))
        generated = shifted.generate(n_steps, N_LANES, seed=seed + k, n_threads=n_threads)
        off = target.log_ratios(slow_kinetics(generated, sets, times))
        errors.append(off)
        if report:
            report(CalibrationRound(k + 1, float(max(np.abs(e).max() for e in off))))
        # What the tilt does to a rate is taken out of it: that of the populations, halved.
        halves = (off[0][:, None] + off[0][None, :]) / 2
        tilt = populations.next(tilt, off[0])
        mobility = rates.next(mobility, np.where(target.pairs, off[1] - halves, 0.0))
    n_generated = ROUNDS * n_steps * N_LANES
    done = _summary(lag, sets, target, tilt, mobility, errors[0], n_generated)
    return _shifted(model, logit_shift(sets, tilt, mobility)), done


def _summary(
    lag: int,
    sets: SlowSets,
    target: Target,
    tilt: F64,
    mobility: F64,
    errors: tuple[F64, F64],
    n_generated: int,
) -> Calibration:
    events = target.events + target.events.T
    pairs = np.triu(events > 0)
    populations, rates = errors
    return Calibration(
        lag=lag,
        slowest=sets.slowest,
        assignment=tuple(sets.assignment.tolist()),
        commit_time=int(target.kinetics.transitions.commit_times[target.commit_time]),
        tilt=tuple(tilt.tolist()),
        pairs=tuple((int(g), int(h)) for g, h in np.argwhere(pairs)),
        events=tuple(events[pairs].tolist()),
        matched=tuple(target.pairs[pairs].tolist()),
        mobility=tuple(mobility[pairs].tolist()),
        population_errors=tuple(populations.tolist()),
        rate_errors=tuple(rates[pairs].tolist()),
        n_generated=n_generated,
    )


def logit_shift(sets: SlowSets, tilt: F64, mobility: F64) -> F64:
    """Return what is added to the logit of each step, shape (n_states, n_states).

    A step s -> k moves from set g to set h the membership that g loses,
    max(0, X_g(s) - X_g(k)), shared among the sets that gain in proportion to their gain.

    Parameters
    ----------
    tilt
        a, shape (n_sets,).
    mobility
        b, symmetric, shape (n_sets, n_sets).
    """
    change = sets.memberships[None, :, :] - sets.memberships[:, None, :]
    gain, loss = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    total = gain.sum(axis=2)
    moved = np.einsum("skg,gh,skh->sk", loss, mobility, gain)
    shift: F64 = change @ tilt + np.divide(moved, total, out=np.zeros_like(total), where=total > 0)
    return shift


def _shifted(model: LSTMModel, shift: F64) -> LSTMModel:
    """Return the model with `shift` added to its bigram skip."""
    skip = (model.weights.skip + shift).astype(np.float32)
    weights = replace(model.weights, skip=skip)
    return LSTMModel(weights, model.space, model.starts, model.record, model.rounded)


def _frames_a_lane(target: Target) -> int:
    """Return the frames a lane of one round."""
    rarest = int((target.events + target.events.T)[target.pairs].min())
    lengths = min(LENGTHS, ENOUGH_EVENTS / rarest)
    n_frames = lengths * target.kinetics.transitions.total_frames
    return max(1000, round(n_frames / N_LANES))
