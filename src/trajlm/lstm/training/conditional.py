"""Training one language model on a series of conditions.

The loops of training look up what each input adds to gates and logits in tables. Here an input is
a state at one of the K conditions, s + n k; the tables have a row for each, made of E[s] + c_k F[s]
and B[s] + c_k G[s], and the gradients by their rows are summed to those by E, F, B and G.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
from trajlm.lstm.training.train import Report, fingerprint, finished_in, last_work, run_epochs
from trajlm.lstm.training.trainer import Trainer
from trajlm.models.files import CHECKPOINT, forget_training, holds_model
from trajlm.models.markov import smoothed_transition_matrix
from trajlm.util.arrays import F64, I64
from trajlm.util.checked import LARGEST
from trajlm.util.devices import one_thread_in_pytorch, threads_of
from trajlm.util.processes import ALONE

if TYPE_CHECKING:
    from trajlm.lstm.training.conditional_network import ConditionalNetwork


# Transitions that the slope of a log-odds has to be told by, so that chance tells none.
TOLD_BY = 10.0


def train_series(
    states: StatesLike,
    values: Sequence[float],
    condition: str = "condition",
    settings: TrainingSettings | None = None,
    *,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    checkpoint_at_once: bool = False,
    resume: bool = False,
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
    device, checkpoint, checkpoint_at_once, resume
        As of `trajlm.train`.
    report, report_calibration
        Called after every epoch, and after every round of the calibration of each condition.
    n_threads
        Threads that share the streams; they do not change the result.

    Raises
    ------
    InputError
        Not one finite value a trajectory, or one condition only; and as `trajlm.train`.
    ModelFileError, Interrupted
        As `trajlm.train`.
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
        data_sha256, path = _digest(expanded, known), Path(checkpoint) if checkpoint else None
        if path and resume and path.exists():
            trainer.load(path, data_sha256)
        elif path and checkpoint_at_once:
            trainer.save(path, data_sha256)
        run_epochs(trainer, path, data_sha256, report)
        trainer.weights()  # the network has those of the best epoch from here on
        record = trainer.record(data, data_sha256)
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
        with last_work(bool(checkpoint)):
            model = _calibrated(
                model, parts, trainer.window, settings, report_calibration, n_threads
            )
    return model


def train_series_in_folder(
    states: States,
    values: Sequence[float],
    condition: str,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = True,
    **options: Any,
) -> ConditionalModel:
    """Train a model of a series into `folder`, or go on where a training there was stopped.

    The caller holds the folder, and a model that is there stays, as with `train_in_folder`.

    Parameters
    ----------
    resume
        Whether to go on from the checkpoint of the folder, where it has one.
    options
        Passed on to `train_series`.

    Raises
    ------
    OutputError
        The folder cannot be written.
    InputError, ModelFileError, Interrupted
        As `train_series`.
    """
    checkpoint = folder / CHECKPOINT
    at_once = checkpoint.exists() or holds_model(folder)
    model = train_series(
        states, values, condition, settings, checkpoint=checkpoint, checkpoint_at_once=at_once,
        resume=resume, **options,
    )  # fmt: skip
    model.save(folder)
    forget_training(folder)
    return model


def finished_series(
    folder: Path,
    states: States,
    values: Sequence[float],
    condition: str,
    settings: TrainingSettings,
) -> ConditionalModel | None:
    """Return the model in `folder` if it was trained on the same series in the same way."""
    model = finished_in(folder)
    if not isinstance(model, ConditionalModel) or model.record.training.settings != settings:
        return None
    x = _checked_values(states, values)
    known = np.unique(x)
    digest = _digest(_expanded(states, np.searchsorted(known, x), len(known)), known)
    same = model.condition == condition and model.record.training.data_sha256 == digest
    return model if same else None


def _digest(expanded: States, known: F64) -> str:
    """Return a digest of the data and the conditions, by which a resumed run knows them."""
    return hashlib.sha256(f"{fingerprint(expanded)} {known.tolist()}".encode()).hexdigest()


def _checked_values(data: States, values: Sequence[float]) -> F64:
    x = np.asarray(values, dtype=np.float64)
    if x.shape != (len(data),):
        raise InputError(
            f"{len(x) if x.ndim else 0} conditions were given for {len(data)} trajectories: give "
            "one each"
        )
    if not (np.abs(x) <= LARGEST).all():
        raise InputError(
            f"a condition is {x[~(np.abs(x) <= LARGEST)][0]:g}: give a number up to {LARGEST:g}"
        )
    if len(np.unique(x)) < 2:
        raise InputError(
            "all trajectories have the same condition: a series needs two or more, and one is "
            "learned by a plain model"
        )
    return x


def _expanded(data: States, number_of: I64, n_conditions: int) -> States:
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
