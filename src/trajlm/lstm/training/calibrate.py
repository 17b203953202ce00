"""Calibrating the slow kinetics of a language model against its training data.

Cross-entropy hardly feels a transition that happens a few times in a million frames, so its
rate is learned within a factor of two or so. But it is known better: it was counted. Here the
sets of states that are left more slowly than a gradient window sees are found by themselves, the
model is run freely, and its weights are shifted (`trajlm.lstm.training.shifts`) until its
populations, its rates and the flicker between the sets are those of the data. This is in the
spirit of the path reweighting with known averages of Tsai et al., Nat. Commun. 13:7231 (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from trajlm.analysis.kinetics import commit_times
from trajlm.analysis.slow import SlowKinetics, SlowSets, find_slow_sets, slow_kinetics
from trajlm.data import States
from trajlm.lstm.calibration import Calibration
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.training.response import Search
from trajlm.lstm.training.shifts import make_shifts
from trajlm.util.arrays import F64, I64

# Populations are those of equilibrium in trajectories of this many slowest relaxation times.
RELAXATIONS = 10.0
# Share of the gradient window that a stay must last for its transition to be called slow, and
# after which the past of the settled mobility is forgotten.
COMMIT_SHARE = 0.5
# Free runs, and the frames of each in lengths of the data; fewer where they hold ENOUGH_EVENTS.
ROUNDS = 6
LENGTHS = 6.0
ENOUGH_EVENTS = 1000
N_LANES = 8
# Pieces of a lane, over which the noise of a run is estimated.
PIECES = 4
# Weight of flicker beside the slow transitions of the same sets.
FLICKER_WEIGHT = 0.25
# Share of the gradient window below which what holds is flicker.
FLICKER_SHARE = 0.1
# What is likely of shifts before any transition is seen: the network's word, and how far it goes.
TILT_WIDTH, MOBILITY_WIDTH = 1.0, 4.0
# A population answers to a tilt as that of a free energy, or more: a stay is made of many that
# flicker ends, and the tilt acts on each. Mean and spread of how much more.
AMPLIFIED, AMPLIFIED_SPREAD = 3.0, 3.0
# And the rates by more or less than half of what populations do.
ACROSS_SPREAD = 2.0
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
        Index of the commit time from which on transitions are called slow.
    flicker
        Index of the commit time below which they are flicker.
    pairs
        The pairs of sets g < h between which there are slow transitions.
    """

    kinetics: SlowKinetics
    commit_time: int
    flicker: int
    pairs: tuple[tuple[int, int], ...]

    @property
    def events(self) -> I64:
        """Slow transitions of each pair, both ways, shape (n_pairs,)."""
        return np.asarray(self.kinetics.both_ways[self.commit_time][self._members])

    @property
    def visits(self) -> F64:
        """Slow transitions to or from each set, halved: visits to it, shape (n_sets,)."""
        both = self.kinetics.both_ways[self.commit_time]
        return np.asarray(both.sum(axis=1) / 2)

    @property
    def weights(self) -> F64:
        """How much what `log_ratios` measures counts, shape (n_sets + 2 n_pairs,).

        The precision with which the data knows the logarithm. A population is that of alternating
        stays here and elsewhere, of two spreads; two crossings, there and back, are one event.
        Flicker is known better, but gives way where one comes at the expense of the other.
        """
        return np.concatenate([self.visits / 2, self.events / 2, FLICKER_WEIGHT * self.events / 2])

    def log_ratios(self, generated: SlowKinetics) -> F64:
        """Return ln(generated / data) of populations, slow rates and flicker, one after another.

        Those of rates are means over commit times, weighted with the transitions of the data.
        """
        data = self.kinetics
        populations = np.log(np.maximum(generated.populations, 1e-9) / data.populations)
        logs = generated.log_fluxes() - data.log_fluxes()
        rates = []
        for times in (slice(self.flicker, None), slice(0, self.flicker)):
            counts = data.both_ways[times]
            means = (counts * logs[times]).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
            rates.append(means[self._members])
        return np.concatenate([populations, *rates])

    @property
    def _members(self) -> tuple[I64, I64]:
        """The pairs as an index of matrices of pairs of sets."""
        first, second = np.array(self.pairs, dtype=np.int64).reshape(-1, 2).T
        return first, second


@dataclass(frozen=True)
class CalibrationRound:
    """One free run: how far the slow kinetics were off before the step that follows it.

    Parameters
    ----------
    number
        From 1.
    largest
        The largest |ln(generated / data)| over populations and slow rates.
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
    """Count the data over a ladder of commit times."""
    longest = max(len(s) for s in states)
    times = commit_times(max(1, longest // 10))
    kinetics = slow_kinetics(states, sets, times)
    commit_time, flicker = (
        int(np.argmin(np.abs(np.log(times / max(1.0, share * lag)))))
        for share in (COMMIT_SHARE, FLICKER_SHARE)
    )
    pairs = np.argwhere(np.triu(kinetics.both_ways[commit_time] > 0))
    return Target(kinetics, commit_time, flicker, tuple((int(g), int(h)) for g, h in pairs))


ReportRound = Callable[[CalibrationRound], None]


def calibrate(
    model: LanguageModel,
    states: States,
    lag: int,
    seed: int = 0,
    report: ReportRound | None = None,
    n_threads: int | None = None,
    sets: SlowSets | None = None,
) -> tuple[LanguageModel, Calibration | None]:
    """Match the model's slow populations and rates to those counted in `states`.

    Each round runs the model freely, measures how far its populations, rates and flicker are off,
    and moves the shifts to where all runs together expect them right (`Search`). What few
    transitions settle weighs little against the network's own word, a shift of zero. The result
    is the best of the models that were run.

    Parameters
    ----------
    model
        As trained.
    states
        The data, taken to be in equilibrium.
    lag
        Frames of the gradient window: what takes more than three is calibrated.
    seed
        Fixes the result.
    report
        Called after each round.
    n_threads
        Threads that generate; they do not change the result.
    sets
        Between which the kinetics are matched; those of `find_slow_sets` when None.

    Returns
    -------
    tuple
        The calibrated model and what was done. Where there is no transition between the slow sets
        this is `model` itself; where there is no slow process, or trajectories are too short to
        tell populations of equilibrium, it is `model` and None.
    """
    sets = sets or find_slow_sets(states, lag)
    if sets is None or states.n_frames / len(states) < RELAXATIONS * sets.slowest:
        return model, None
    target = choose_target(states, sets, lag)
    if not target.pairs:
        nothing = np.zeros(sets.n_sets)
        return model, _summary(lag, sets, target, nothing, nothing, nothing, 0)
    times = target.kinetics.transitions.commit_times
    n_steps = _frames_a_lane(target)
    shifts = make_shifts(model, states, sets, target.pairs, COMMIT_SHARE * lag, lag)
    search = _search(target)
    x = np.zeros(len(shifts.skip))
    errors: list[F64] = []
    for k in range(ROUNDS):
        shifted = shifts.apply(model, x)
        generated = shifted.generate(n_steps, N_LANES, seed=seed + k, n_threads=n_threads)
        errors.append(target.log_ratios(slow_kinetics(generated, sets, times)))
        search.add(x, _independent(errors[-1], target), _noise(generated, sets, target))
        if report:
            slow = errors[-1][: sets.n_sets + len(target.pairs)]
            report(CalibrationRound(k + 1, float(np.abs(slow).max())))
        x = search.next()
    best = search.best()
    x = search.x[best]
    done = _summary(lag, sets, target, x, errors[best], errors[0], ROUNDS * n_steps * N_LANES)
    return shifts.apply(model, x), done


def _independent(errors: F64, target: Target) -> F64:
    """Return the errors with what populations do to rates, half of theirs each, taken out."""
    n_sets = len(target.visits)
    populations = errors[:n_sets]
    halves = np.array([(populations[g] + populations[h]) / 2 for g, h in target.pairs])
    left: F64 = errors - np.concatenate([np.zeros(n_sets), halves, halves])
    return left


def _noise(generated: States, sets: SlowSets, target: Target) -> F64:
    """Return the variances of what is measured, by leaving out each piece of each lane in turn."""
    times = target.kinetics.transitions.commit_times
    pieces = [
        slow_kinetics(generated.with_trajectories([piece]), sets, times)
        for lane in generated
        for piece in np.array_split(lane, PIECES)
    ]
    frames = np.array([p.transitions.total_frames for p in pieces])
    populations = np.array([p.populations for p in pieces]) * frames[:, None]
    counts = np.array([p.transitions.counts for p in pieces])
    left_out = []
    for k, piece in enumerate(pieces):
        n = int(frames.sum() - frames[k])
        transitions = replace(
            piece.transitions, counts=counts.sum(axis=0) - counts[k], total_frames=n
        )
        others = SlowKinetics((populations.sum(axis=0) - populations[k]) / n, transitions)
        left_out.append(_independent(target.log_ratios(others), target))
    variances: F64 = np.var(left_out, axis=0) * (len(pieces) - 1)
    return variances


def _search(target: Target) -> Search:
    """Return the search with what is likely before the first run.

    A population answers to the tilts as exp(2 a_g) over its mean; flicker to both mobilities, and
    the slow rates to the settled one, but less surely to the other.
    """
    p = target.kinetics.populations
    n_sets, n_pairs = len(p), len(target.pairs)
    tilts = 2 * (np.eye(n_sets) - p)
    own = np.eye(n_pairs)
    none, across = np.zeros((n_sets, n_pairs)), np.zeros((n_pairs, n_sets))
    response = np.block(
        [
            [AMPLIFIED * tilts, none, none],
            [across, 0.5 * own, own],
            [across, 1.5 * own, own],
        ]
    )
    spread = np.block(
        [
            [AMPLIFIED_SPREAD * np.abs(tilts) + 0.1, none + 0.5, none + 0.5],
            [across + ACROSS_SPREAD, 0.5 * own + 0.2, 0.5 * own + 0.2],
            [across + ACROSS_SPREAD, own + 0.2, own + 0.2],
        ]
    )
    widths = np.repeat([TILT_WIDTH, MOBILITY_WIDTH], [n_sets, 2 * n_pairs])
    return Search(response, spread, target.weights, widths, LARGEST_STEP)


def _summary(
    lag: int,
    sets: SlowSets,
    target: Target,
    x: F64,
    errors: F64,
    errors_before: F64,
    n_generated: int,
) -> Calibration:
    cuts = [sets.n_sets, sets.n_sets + len(target.pairs)]
    tilt, mobility, settled = (tuple(part.tolist()) for part in np.split(x, cuts))
    after = [tuple(part.tolist()) for part in np.split(errors, cuts)]
    before = [tuple(part.tolist()) for part in np.split(errors_before, cuts)]
    return Calibration(
        lag=lag,
        slowest=sets.slowest,
        assignment=tuple(sets.assignment.tolist()),
        commit_time=int(target.kinetics.transitions.commit_times[target.commit_time]),
        populations=tuple(target.kinetics.populations.tolist()),
        tilt=tilt,
        pairs=target.pairs,
        events=tuple(target.events.tolist()),
        mobility=mobility,
        settled_mobility=settled,
        population_errors=after[0],
        rate_errors=after[1],
        flicker_errors=after[2],
        population_errors_before=before[0],
        rate_errors_before=before[1],
        flicker_errors_before=before[2],
        n_generated=n_generated,
    )


def _frames_a_lane(target: Target) -> int:
    """Return the frames a lane of one round."""
    lengths = min(LENGTHS, ENOUGH_EVENTS / int(target.events.min()))
    n_frames = lengths * target.kinetics.transitions.total_frames
    return max(1000, round(n_frames / N_LANES))
