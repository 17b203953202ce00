"""Training the language model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.analysis.holdout import hold_out
from trajlm.analysis.slow import crisp_sets
from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError, Interrupted, ModelFileError
from trajlm.lstm.column_model import ColumnLSTMModel
from trajlm.lstm.columns import Column
from trajlm.lstm.generation.blocks import choose_starts
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.record import Baselines, ColumnLSTMRecord, EpochRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.calibrate import ReportRound, calibrate
from trajlm.lstm.training.choose import GROUPING_LAG, choose_columns
from trajlm.lstm.training.quantize import round_for_generation
from trajlm.lstm.training.trainer import Trainer
from trajlm.lstm.weights import LSTMWeights
from trajlm.models.base import SequenceModel
from trajlm.models.files import (
    CHECKPOINT,
    column_checkpoint,
    forget_training,
    holds_model,
    holds_training,
)
from trajlm.models.registry import read_any_model
from trajlm.util.devices import is_out_of_memory, one_thread_in_pytorch, threads_of
from trajlm.util.processes import ALONE, Processes

Report = Callable[[EpochRecord, Baselines], None]


def fingerprint(states: States) -> str:
    """Return a digest of the trajectories, by which a resumed run knows its data."""
    digest = hashlib.sha256(f"{states.n_states} {len(states)}".encode())
    for s in states:
        digest.update(f"{len(s)} ".encode())
        digest.update(np.ascontiguousarray(s).data)
    return digest.hexdigest()


def train(
    states: StatesLike,
    settings: TrainingSettings | None = None,
    *,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    checkpoint_at_once: bool = False,
    resume: bool = False,
    report: Report | None = None,
    report_calibration: ReportRound | None = None,
    n_threads: int | None = None,
    processes: Processes = ALONE,
) -> LanguageModel:
    """Train a language model on `states` by minimising J, the nats per frame.

    Parameters
    ----------
    states
        The data; the last stretch of it is held out, see `hold_out`.
    settings
        Sizes and schedule.
    device
        A PyTorch device, such as "cpu" or "cuda".
    checkpoint
        File that keeps all a resumed run needs, written after every epoch; later columns have
        their own beside it.
    checkpoint_at_once
        Write it before the first epoch, too.
    resume
        Go on from `checkpoint` where it exists; the result is bit-identical to a run that was
        never stopped, on the same machine.
    report
        Called after every epoch.
    report_calibration
        Called after every round of the calibration, see `calibrate`.
    n_threads
        Threads that share the streams, on the processor; all cores when None. The result is the
        same for any number.
    processes
        Those that share the streams, as `trajlm.util.processes.join` returns them, each on its own
        device; the first writes `checkpoint`, and all return the model.

    Raises
    ------
    InputError
        One state only, too few frames, a device that is not there, too little memory, a
        training that diverges, or a checkpoint of other data or settings.
    ModelFileError
        A damaged checkpoint.
    Interrupted
        Ctrl-C; with a checkpoint everything up to the last whole epoch is saved.
    """
    data = as_states(states)
    settings = settings or TrainingSettings()
    own_threads = threads_of(n_threads)
    if data.visited().sum() < 2:
        raise InputError("the data holds one state only: there is nothing to learn")
    columns = choose_columns(data, settings)
    held_out = hold_out(data, settings.validation, settings.seed)
    data_sha256 = fingerprint(data)
    networks = []
    try:
        with one_thread_in_pytorch():
            for k, column in enumerate(columns):
                trainer = Trainer(*held_out, settings, device, own_threads, processes, column)
                path = column_checkpoint(Path(checkpoint), k) if checkpoint else None
                if path and resume and path.exists():
                    trainer.load(path, data_sha256)
                elif path and processes.is_first and (checkpoint_at_once or k):
                    trainer.save(path, data_sha256)
                processes.check_same((data_sha256, settings, len(trainer.history)))
                run_epochs(trainer, path, data_sha256, report)
                networks.append((trainer.weights(), trainer.record(data, data_sha256)))
            model = _put_together(networks, columns, data, settings)
            if processes.is_first:
                model = _completed(
                    model, data, trainer.window, bool(checkpoint), report_calibration, n_threads
                )
            return processes.tell(model)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise InputError(
                f"there is not enough memory to train with hidden_dim {settings.hidden_dim}, "
                f"window {settings.window} and {settings.streams} streams: make one smaller"
            ) from None
        raise


def finished_model(
    folder: Path, states: States, settings: TrainingSettings
) -> LanguageModel | None:
    """Return the model in `folder` if it was trained on the same data with the same settings."""
    model = finished_in(folder)
    if (
        not isinstance(model, LanguageModel)
        or not model.record
        or model.record.settings != settings
    ):
        return None
    return model if model.record.data_sha256 == fingerprint(states) else None


def finished_in(folder: Path) -> SequenceModel | None:
    """Return the model in `folder`, None where there is none but maybe a training to go on with.

    Raises
    ------
    ModelFileError
        The model is damaged, and there is nothing to go on from.
    """
    try:
        return read_any_model(folder) if holds_model(folder) else None
    except ModelFileError:
        if holds_training(folder):
            return None
        raise


def train_in_folder(
    states: States,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = True,
    processes: Processes = ALONE,
    **options: Any,
) -> LanguageModel:
    """Train a model into `folder`, or go on where a training there was stopped.

    The caller holds the folder with `trajlm.util.atomic.lone_writer`. A model that is there stays
    until the new one takes its place.

    Parameters
    ----------
    resume
        Whether to go on from the checkpoint of the folder, where it has one.
    options
        Passed on to `train`.

    Raises
    ------
    OutputError
        The folder cannot be written.
    InputError, ModelFileError, Interrupted
        As `train`.
    """
    checkpoint = folder / CHECKPOINT
    model = train(
        states,
        settings,
        checkpoint=checkpoint,
        resume=resume,
        # From its beginning on, the folder says that what is there is being replaced.
        checkpoint_at_once=checkpoint.exists() or holds_model(folder),
        processes=processes,
        **options,
    )
    if processes.is_first:
        model.save(folder)
        forget_training(folder)
    return model


def run_epochs(
    trainer: Trainer, path: Path | None, data_sha256: str, report: Report | None
) -> None:
    """Run all epochs that are left, each saved before it is reported."""
    saved = len(trainer.history)
    before = not trainer.column.is_first
    try:
        while not trainer.finished:
            record = trainer.run_epoch()
            if path and trainer.processes.is_first:
                trainer.save(path, data_sha256)
                saved = record.epoch
            if report:
                report(record, trainer.baselines)
    except KeyboardInterrupt:
        where = "with nothing saved"
        if path and (saved or before):
            where = f"all up to epoch {saved} saved: resume it to go on"
        raise Interrupted(f"training stopped, {where}", bool(path and (saved or before))) from None


def _put_together(
    networks: Sequence[tuple[LSTMWeights, LSTMRecord]],
    columns: Sequence[Column],
    data: States,
    settings: TrainingSettings,
) -> LanguageModel:
    """Return the model of the networks of all columns."""
    starts = choose_starts(data, settings.seed)
    if len(columns) == 1:
        weights, record = networks[0]
        return LSTMModel(weights, data.space, starts, record)
    record_of_all = ColumnLSTMRecord(tuple(record for _, record in networks))
    of_all = [weights for weights, _ in networks]
    return ColumnLSTMModel(of_all, columns, data.space, starts, record_of_all)


def _completed(
    model: LanguageModel,
    data: States,
    window: int,
    saved: bool,
    report: ReportRound | None,
    n_threads: int | None,
) -> LanguageModel:
    """Round the weights for generation and match the slow rates to those of the data.

    Of all of it: how often the slow states are seen decides the rates, and nothing is chosen by
    the held-out stretch any more. The checkpoint is whole by now.
    """
    record = model.first_record
    assert record is not None
    settings = record.settings
    lag, sets = window, None
    with last_work(saved):
        if isinstance(model, LSTMModel):
            model, rounding = round_for_generation(model, settings.seed, n_threads)
            record = replace(record, rounding=rounding)
        elif model.columns[0].name == "group":
            # Groups are drawn on their own, and all that they do is slower than this.
            lag = GROUPING_LAG
            sets = crisp_sets(data, model.first_labels, lag)
        if settings.calibration and settings.bigram_skip:
            model, calibration = calibrate(model, data, lag, settings.seed, report, n_threads, sets)
            record = replace(record, calibration=calibration)
    return model.with_first_record(record)


@contextmanager
def last_work(saved: bool) -> Iterator[None]:
    """Say of an interrupt that it came after the last epoch, and whether a checkpoint has these."""
    try:
        yield
    except KeyboardInterrupt:
        where = "resume it to go on" if saved else "nothing was saved"
        stopped = f"the work after the last epoch was stopped; {where}"
        raise Interrupted(stopped, resumable=saved) from None
