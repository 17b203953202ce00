"""The language model closest to a trained one whose free run meets the targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.uncertainty import jackknife_error
from trajlm.constraints.decisions import LogitChange, covariances, judge_decisions, kl_rate_of
from trajlm.constraints.measures import Measure, Quantity
from trajlm.constraints.multipliers import find_multipliers, within_a_step
from trajlm.constraints.tilts import answers, tilt_of
from trajlm.data import States
from trajlm.lstm.model import LSTMModel
from trajlm.util.arrays import F64
from trajlm.util.devices import one_thread_in_pytorch

N_LANES = 32
# Frames over which sums are taken as met: up to twice the slowest timescale, since longer sums
# only add noise, and no more, since what is remembered longer is in the hidden units.
SHORTEST, LONGEST = 10, 100
# Steps until all targets are near; those whose mean is a result, and how often it is corrected.
MOST_STEPS, AVERAGED, MOST_CORRECTIONS = 20, 5, 8
# Of a measure on its scale, from which on steps are averaged.
NEAR = 0.15
# Frames of a run on the way and of one that checks: as many as leave this uncertainty of every
# target on its scale, within limits.
UNCERTAINTY, LEAST_FRAMES, MOST_FRAMES = 0.02, 1_000_000, 4_000_000
CHECKED, MOST_CHECKED = 0.006, 100_000_000
# A target without an error is met within this share, and corrected as long as a check is off by
# this much of it.
TOLERANCE, CORRECTED = 0.02, 0.4
# Share of the strongest answer below which a combination of tilts is left alone.
LEAST_ANSWER = 0.05
# Standard errors of a measurement within which it says nothing against a target.
ERRORS = 2.5


@dataclass(frozen=True)
class Step:
    """One free run on the way.

    Parameters
    ----------
    number
        From 1.
    targets
        What is asked for, in words.
    values
        Of the targets, in their own units, shape (n_targets,).
    kl_rate
        Nats a frame.
    """

    number: int
    targets: tuple[str, ...]
    values: F64
    kl_rate: float

    def describe(self) -> str:
        """Return the line that is shown after the step."""
        reached = "; ".join(
            f"{target}: {value:.4g}"
            for target, value in zip(self.targets, self.values, strict=True)
        )
        return f"step {self.number}: {reached}; KL rate {self.kl_rate:.2e} nats per frame"


Report = Callable[[Step], None]


@dataclass(frozen=True)
class Measured:
    """Quantities in a free run.

    Parameters
    ----------
    values, errors
        In their own units, with their standard errors over lanes, shape (n,) each.
    kl_rate
        From the model before all changes, in nats per frame.
    n_frames
        Of the run.
    means
        Of the measures that the quantities are made of.
    steps
        Probability of each step from state to state, shape (n_states, n_states).
    """

    values: F64
    errors: F64
    kl_rate: float
    n_frames: int
    means: F64
    steps: F64


def choose_frames(
    model: LSTMModel, quantities: Sequence[Quantity], seed: int, n_threads: int | None = None
) -> tuple[int, int]:
    """Return how many frames a run on the way needs, and one that checks, after a first run."""
    pilot = measure_run(model, model, quantities, LEAST_FRAMES // 2, seed, n_threads)
    slopes = [q.slope(x * q.per_frame) for q, x in zip(quantities, pilot.values, strict=True)]
    errors = pilot.errors * [q.per_frame for q in quantities] * np.array(slopes)
    chosen = []
    for uncertainty, most in ((UNCERTAINTY, MOST_FRAMES), (CHECKED, MOST_CHECKED)):
        needed = pilot.n_frames * float(np.max(errors) / uncertainty) ** 2
        chosen.append(int(np.clip(needed, LEAST_FRAMES, most)))
    return chosen[0], chosen[1]


def measure_run(
    model: LSTMModel,
    base: LSTMModel,
    quantities: Sequence[Quantity],
    n_frames: int,
    seed: int,
    n_threads: int | None = None,
) -> Measured:
    """Run a model freely and measure quantities, and the KL rate from `base`."""
    run = model.generate(n_frames // N_LANES, N_LANES, seed, n_threads=n_threads)
    measures = _measures(quantities)
    by_lane = np.array([[m.contributions(s).mean() for s in run] for m in measures])
    values = _values(quantities, measures, by_lane.mean(axis=1))
    others = (by_lane.sum(axis=1, keepdims=True) - by_lane) / (N_LANES - 1)
    left_out = np.array([_values(quantities, measures, means) for means in others.T])
    with one_thread_in_pytorch():
        kl_rate = 0.0 if model is base else kl_rate_of(model, base.weights, run)
    steps = run.transition_counts() / run.n_transitions
    errors = jackknife_error(left_out)
    return Measured(values, errors, kl_rate, run.n_frames, by_lane.mean(axis=1), steps)


def is_met(quantities: Sequence[Quantity], measured: Measured) -> npt.NDArray[np.bool_]:
    """Return which targets a measurement leaves possible, shape (n_targets,)."""
    asked, errors = _asked(quantities)
    allowed = np.maximum(errors, TOLERANCE * _scales(quantities)) + ERRORS * measured.errors
    return np.asarray(np.abs(measured.values - asked) <= allowed)


def _outside(quantities: Sequence[Quantity], values: F64) -> F64:
    """Return how far each value lies from its target, the error of that left out, as a share."""
    asked, errors = _asked(quantities)
    return np.asarray(np.maximum(np.abs(values - asked) - errors, 0.0) / _scales(quantities))


def _asked(quantities: Sequence[Quantity]) -> tuple[F64, F64]:
    """Return the values and the errors of the targets, in their own units."""
    targets = [q.target for q in quantities]
    return np.array([t.value for t in targets]), np.array([t.error for t in targets])


def _scales(quantities: Sequence[Quantity]) -> F64:
    return np.array([q.spread if q.target.value == 0 else abs(q.target.value) for q in quantities])


def constrain_language_model(
    model: LSTMModel,
    quantities: Sequence[Quantity],
    n_frames: int,
    n_checked: int,
    seed: int,
    n_threads: int | None = None,
    report: Report | None = None,
) -> tuple[LSTMModel, int]:
    """Return the constrained model and the frames generated on the way.

    Each step runs the model as it is by now, judges its decisions (`judge_decisions`), and takes
    the change anew. The mean of the last steps is run for as long as tells the targets well, and
    what they are still off is put right by tilts (`trajlm.constraints.tilts`).

    Parameters
    ----------
    n_frames, n_checked
        Of a run on the way, and of one after the mean was taken.
    """
    change, n_steps = _approach(model, quantities, n_frames, seed, n_threads, report)
    n_generated = n_steps * n_frames
    measures = _measures(quantities)
    tilts = [tilt_of(m, model.hidden_dim) for m in measures]
    low, high = _scaled_bounds(quantities)
    answer = np.zeros((len(low), len(tilts)))
    factors, values = [np.zeros(len(tilts))], [np.zeros(len(low))]
    for k in range(MOST_CORRECTIONS):
        tilted = _with(change, tilts, factors[-1])
        found = measure_run(
            tilted.apply(model), model, quantities, n_checked, seed + MOST_STEPS + k, n_threads
        )
        n_generated += n_checked
        if report:
            targets = tuple(str(q.target) for q in quantities)
            report(Step(n_steps + k + 1, targets, found.values, found.kl_rate))
        now, promised = _answers(quantities, measures, found)
        if k:
            # The memory of the network answers, too: how, each correction tells (Broyden 1965).
            taken = factors[-1] - factors[-2]
            surprise = now - values[-1] - answer @ taken
            answer = answer + np.outer(surprise, taken) / (taken @ taken)
        else:
            answer = promised
        values.append(now)
        if (_outside(quantities, found.values) <= CORRECTED * TOLERANCE).all():
            break
        factors.append(factors[-1] + _least_tilts(answer, now, low, high))
    # Each run near the targets has its own noise, and says where they are met.
    near = [
        x + _least_tilts(answer, now, low, high)
        for x, now in zip(factors, values[1:], strict=False)
        if (np.maximum(low - now, now - high) < NEAR).all()
    ]
    # What was met at once is left as it is.
    met = np.mean(near, axis=0) if near and len(factors) > 1 else factors[-1]
    return _with(change, tilts, met).apply(model), n_generated


def _least_tilts(answer: F64, now: F64, low: F64, high: F64) -> F64:
    """Return the smallest factors of the tilts that bring the targets within their bounds."""
    missing = np.clip(now, *within_a_step(now, low, high)) - now
    return np.asarray(np.linalg.lstsq(answer, missing, rcond=LEAST_ANSWER)[0], np.float64)


def _with(change: LogitChange, others: Sequence[LogitChange], factors: F64) -> LogitChange:
    """Return a change with multiples of others added."""
    for other, factor in zip(others, factors, strict=True):
        change = change + other * float(factor)
    return change


def _answers(
    quantities: Sequence[Quantity], measures: Sequence[Measure], found: Measured
) -> tuple[F64, F64]:
    """Return the scaled values of the targets, and how they answer to the tilt of each measure."""
    rows = answers(measures, found.means, found.steps)
    index = {id(m): k for k, m in enumerate(measures)}
    scaled = [
        q.combined([(float(found.means[index[id(m)]]), rows[index[id(m)]]) for m in q.measures])
        for q in quantities
    ]
    return np.array([value for value, _ in scaled]), np.array([answer for _, answer in scaled])


def _approach(
    model: LSTMModel,
    quantities: Sequence[Quantity],
    n_frames: int,
    seed: int,
    n_threads: int | None,
    report: Report | None,
) -> tuple[LogitChange, int]:
    """Return the mean change of the steps that begin near the targets, and how many there were."""
    measures = _measures(quantities)
    low, high = _scaled_bounds(quantities)
    change, summed = LogitChange.none(model), LogitChange.none(model)
    n_near, horizon = 0, 0
    for k in range(MOST_STEPS):
        changed = change.apply(model)
        run = changed.generate(n_frames // N_LANES, N_LANES, seed + k, n_threads=n_threads)
        horizon = horizon or max(_horizon(run), *(m.memory for m in measures))
        gains = np.array([[m.contributions(s) for s in run] for m in measures])
        with one_thread_in_pytorch():
            found = judge_decisions(changed, model.weights, run, gains, horizon)
            now, wanted = _of_targets(quantities, measures, found.means, found.changes[:-1])
            rest = found.changes[-1] * -1.0
            fisher = covariances(changed, run, [*wanted, rest + change * -1.0])
        if report:
            values = _values(quantities, measures, found.means)
            targets = tuple(str(q.target) for q in quantities)
            report(Step(k + 1, targets, values, found.kl_rate))
        bounds = within_a_step(now, low, high)
        mu = find_multipliers(fisher[:-1, :-1], now + fisher[:-1, -1], *bounds)
        change = _with(rest, wanted, mu)
        if n_near or (np.maximum(low - now, now - high) < NEAR).all():
            n_near += 1
            summed = summed + change
        if n_near == AVERAGED:
            break
    return (summed * (1 / n_near) if n_near else change), k + 1


def _scaled_bounds(quantities: Sequence[Quantity]) -> tuple[F64, F64]:
    low, high = np.array([[q.scaled(x) for x in q.bounds] for q in quantities]).T
    return low, high


def _measures(quantities: Sequence[Quantity]) -> list[Measure]:
    return list({id(m): m for q in quantities for m in q.measures}.values())


def _horizon(run: States) -> int:
    """Return twice the slowest timescale of a run, within limits, in frames."""
    lag = LONGEST // 2
    counts = run.transition_counts(lag).astype(np.float64)
    counts = counts + counts.T
    rows = np.sqrt(np.maximum(counts.sum(axis=1), 1.0))
    second = np.linalg.eigvalsh(counts / np.outer(rows, rows))[-2]
    timescale = -lag / np.log(np.clip(second, 1e-9, 1 - 1e-9))
    return int(np.clip(2 * timescale, SHORTEST, LONGEST))


def _of_targets(
    quantities: Sequence[Quantity],
    measures: Sequence[Measure],
    means: F64,
    changes: Sequence[LogitChange],
) -> tuple[F64, list[LogitChange]]:
    """Return the scaled values of the targets, and what changes the logits as each is worth."""
    index = {id(m): k for k, m in enumerate(measures)}
    now, wanted = [], []
    for quantity in quantities:
        at = [index[id(m)] for m in quantity.measures]
        own = np.eye(len(at))
        value, factors = quantity.combined([(float(means[k]), own[j]) for j, k in enumerate(at)])
        now.append(value)
        parts = [changes[k] * float(factor) for k, factor in zip(at, factors, strict=True)]
        wanted.append(parts[0] if len(parts) == 1 else parts[0] + parts[1])
    return np.array(now), wanted


def _values(quantities: Sequence[Quantity], measures: Sequence[Measure], means: F64) -> F64:
    """Return the values of the targets in their own units."""
    index = {id(m): k for k, m in enumerate(measures)}
    return np.array([q.value([float(means[index[id(m)]]) for m in q.measures]) for q in quantities])
