"""Training one language model on a series of conditions.

The loops of training look up what each input adds to gates and logits in tables. Here an input is
a state at one of the K conditions, s + n k; the tables have a row for each, made of E[s] + c_k F[s]
and B[s] + c_k G[s], and the gradients by their rows are summed to those by E, F, B and G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trajlm.analysis.holdout import hold_out
from trajlm.data import States, StatesLike, as_states, smallest_unsigned
from trajlm.errors import InputError
from trajlm.lstm.columns import Column
from trajlm.lstm.conditional import (
    ConditionalModel,
    ConditionalRecord,
    scaled_conditions,
)
from trajlm.lstm.generation.blocks import choose_starts
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.calibrate import ReportRound, calibrate
from trajlm.lstm.training.train import Report, fingerprint, run_epochs
from trajlm.lstm.training.trainer import Trainer
from trajlm.models.markov import smoothed_transition_matrix
from trajlm.util.devices import one_thread_in_pytorch, threads_of
from trajlm.util.processes import ALONE

if TYPE_CHECKING:
    from trajlm.lstm.training.conditional_network import ConditionalNetwork

F64 = npt.NDArray[np.float64]

# Transitions that the slope of a log-odds has to be told by, so that chance tells none.
TOLD_BY = 10.0


def train_series(
    states: StatesLike,
    values: Sequence[float],
    condition: str = "condition",
    settings: TrainingSettings | None = None,
    *,
    device: str = "cpu",
    report: Report | None = None,
    report_calibration: ReportRound | None = None,
    n_threads: int | None = None,
) -> ConditionalModel:
    """Train one language model on trajectories at several conditions.

    Parameters
    ----------
    states
        Trajectories, all cut in the same way.
    values
        The condition of each trajectory, in a scale in which logarithms of rates are nearly
        straight lines, shape (n_trajectories,).
    condition
        What it is called.
    settings
        Sizes and schedule, as of `trajlm.train`; rounding is left out.
    device
        A PyTorch device, such as "cpu" or "cuda".
    report, report_calibration
        Called after every epoch, and after every round of the calibration of each condition.
    n_threads
        Threads that share the streams; they do not change the result.

    Raises
    ------
    InputError
        Not one finite value a trajectory, or one condition only; and as `trajlm.train`.
    """
    data, settings = as_states(states), settings or TrainingSettings()
    x = _checked_values(data, values)
    known = np.unique(x)
    centre, spread = scaled_conditions(known)
    number_of = np.searchsorted(known, x)
    n = data.n_states
    expanded = _expanded(data, number_of, len(known))
    training, validation = hold_out(expanded, settings.validation, settings.seed)
    build = partial(_build, scaled=(known - centre) / spread)
    with one_thread_in_pytorch():
        trainer = Trainer(
            training, validation, settings, device, threads_of(n_threads), ALONE,
            _states_of_inputs(n, len(known)), build,
        )  # fmt: skip
        run_epochs(trainer, None, "", report)
        trainer.weights()  # the network has those of the best epoch from here on
        record = trainer.record(data, fingerprint(expanded))
        weights = trainer.network.to("cpu").conditional_weights()  # type: ignore[operator]
    parts = [
        data.with_trajectories([s for s, k in zip(data, number_of, strict=True) if k == own])
        for own in range(len(known))
    ]
    model = ConditionalModel(
        weights,
        data.space,
        tuple(choose_starts(part, settings.seed) for part in parts),
        ConditionalRecord(condition, tuple(known.tolist()), record),
    )
    if settings.calibration and settings.bigram_skip:
        model = _calibrated(model, parts, trainer.window, settings, report_calibration, n_threads)
    return model


def _checked_values(data: States, values: Sequence[float]) -> F64:
    x = np.asarray(values, dtype=np.float64)
    if x.shape != (len(data),) or not np.isfinite(x).all():
        raise InputError(
            f"{len(x) if x.ndim else 0} conditions were given for {len(data)} trajectories: give "
            "one finite number each"
        )
    if len(np.unique(x)) < 2:
        raise InputError(
            "all trajectories have the same condition: a series needs two or more, and one is "
            "learned by a plain model"
        )
    return x


def _expanded(data: States, number_of: npt.NDArray[np.int64], n_conditions: int) -> States:
    """Return the trajectories with the input s + n k in place of each state."""
    n = data.n_states
    size = n * n_conditions
    inputs = [
        (s.astype(np.int64) + n * k).astype(smallest_unsigned(size))
        for s, k in zip(data, number_of.tolist(), strict=True)
    ]
    return States(inputs, size, data.dt, data.unit)


def _states_of_inputs(n_states: int, n_conditions: int) -> Column:
    """Return what is to be predicted of each input: its state."""
    size = n_states * n_conditions
    numbers = np.arange(n_states)
    return Column("state", np.arange(size) % n_states, np.zeros(size, np.int64), numbers[None])


def _build(
    training: States,
    settings: TrainingSettings,
    window: int,
    both_ways: bool,
    column: Column,
    scaled: F64,
) -> ConditionalNetwork:
    """Return the network before its first step: with the skip, a Markov model at each condition."""
    from trajlm.lstm.training.conditional_network import ConditionalNetwork
    from trajlm.lstm.training.start import slow_memories

    starts, n_states = None, column.n_labels
    if settings.bigram_skip:
        starts = _log_transitions(training, n_states, scaled, both_ways)
    return ConditionalNetwork(n_states, scaled, settings, starts, slow_memories(settings, window))


def _log_transitions(training: States, n: int, scaled: F64, both_ways: bool) -> tuple[F64, F64]:
    """Return B and G: the weighted least squares of ln T_ij at the conditions on c."""
    logs: list[F64] = []
    weights: list[F64] = []
    for k in range(len(scaled)):
        own = [s - n * k for s in training if n * k <= s[0] < n * (k + 1)]
        part = States(own, n) if own else None
        if part is None:
            logs.append(np.zeros((n, n)))
            weights.append(np.zeros((n, n)))
            continue
        logs.append(np.asarray(np.log(smoothed_transition_matrix(part, both_ways=both_ways))))
        weights.append(part.transition_counts().astype(np.float64) + 0.01)
    y, w, c = np.array(logs), np.array(weights), scaled[:, None, None]
    total = w.sum(axis=0)
    at, level = (w * c).sum(axis=0) / total, (w * y).sum(axis=0) / total
    slope = (w * (c - at) * (y - level)).sum(axis=0)
    slope /= (w * (c - at) ** 2).sum(axis=0) + TOLD_BY
    return level - slope * at, slope


def _calibrated(
    model: ConditionalModel,
    parts: Sequence[States],
    window: int,
    settings: TrainingSettings,
    report: ReportRound | None,
    n_threads: int | None,
) -> ConditionalModel:
    """Match slow rates at each condition that was trained on, and keep what that adds."""
    readout, skip = [], []
    for value, part in zip(model.values.tolist(), parts, strict=True):
        own = model.at(value)
        calibrated, _ = calibrate(own, part, window, settings.seed, report, n_threads)
        readout.append(calibrated.first_weights.readout - own.weights.readout)
        skip.append(calibrated.first_weights.skip - own.weights.skip)
    weights = replace(
        model.weights, readout_corrections=np.array(readout), skip_corrections=np.array(skip)
    )
    return ConditionalModel(weights, model.space, model.starts, model.record)
