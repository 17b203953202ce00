"""Training an ensemble: its members side by side, each of which is finished by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError, Interrupted
from trajlm.lstm.ensemble import MOST_MEMBERS, EnsembleModel, ensemble_of
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.record import Baselines, EpochRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.calibrate import CalibrationRound
from trajlm.lstm.training.train import (
    fingerprint,
    finished_in,
    finished_model,
    train,
    train_in_folder,
)
from trajlm.models.files import (
    MEMBERS,
    forget_training,
    holds_model,
    holds_training,
    settle_model,
)
from trajlm.util.devices import threads_of

# Called with the number of the member, from 0.
ReportMember = Callable[[int, EpochRecord, Baselines], None]
ReportMemberRound = Callable[[int, CalibrationRound], None]


def member_settings(settings: TrainingSettings, n_models: int) -> list[TrainingSettings]:
    """Return the settings of each member: the same, with a seed of its own.

    The seeds of the first members do not depend on how many there are.
    """
    seeds = np.random.SeedSequence(settings.seed).generate_state(n_models).tolist()
    return [settings.model_copy(update={"seed": seed}) for seed in seeds]


def train_ensemble(
    states: StatesLike,
    settings: TrainingSettings | None = None,
    n_models: int = 5,
    *,
    device: str = "cpu",
    folder: str | Path | None = None,
    resume: bool = False,
    report: ReportMember | None = None,
    report_calibration: ReportMemberRound | None = None,
    n_threads: int | None = None,
) -> EnsembleModel:
    """Train several language models on the same states, side by side, and return them as one.

    Parameters
    ----------
    states, device
        As for `trajlm.train`.
    settings
        Of each member; the seeds of the members follow from theirs.
    n_models
        Members.
    folder
        Keeps what a resumed run needs: a model folder for each member.
    resume
        Go on from `folder`; the result is bit-identical to a run that was never stopped.
    report, report_calibration
        Called with the number of the member after every epoch, and round of the calibration.
    n_threads
        Threads, each of which trains a member while there are enough; all cores when None. The
        result is the same for any number.

    Raises
    ------
    InputError
        As `trajlm.train`; or no number of members, or members in `folder` that were trained on
        other data or with other settings.
    ModelFileError
        A damaged checkpoint.
    Interrupted
        Ctrl-C; with a folder, every whole epoch of every member is saved.
    """
    if not 1 <= n_models <= MOST_MEMBERS:
        raise InputError(
            f"{n_models} members were asked for: give a number from 1 to {MOST_MEMBERS}"
        )
    settings = settings or TrainingSettings()
    threads = threads_of(n_threads)
    side_by_side = min(n_models, threads) if device == "cpu" else 1
    members = _Members(
        as_states(states),
        Path(folder) if folder else None,
        resume,
        device,
        max(1, threads // side_by_side),
        report or (lambda *_: None),
        report_calibration or (lambda *_: None),
    )
    with ThreadPoolExecutor(side_by_side) as pool:
        futures = [
            pool.submit(members.train, k, own)
            for k, own in enumerate(member_settings(settings, n_models))
        ]
        try:
            for done in wait(futures, return_when=FIRST_EXCEPTION).done:
                done.result()
        except KeyboardInterrupt:
            where = "all whole epochs saved: resume it to go on" if folder else "with nothing saved"
            raise Interrupted(f"training stopped, {where}", bool(folder)) from None
        finally:
            # Where one was stopped or failed, the others would train for nothing.
            members.stopped.set()
    return ensemble_of([future.result() for future in futures], settings)


@dataclass(frozen=True)
class _Members:
    """How each member is trained: into a folder of its own, where there is one."""

    data: States
    folder: Path | None
    resume: bool
    device: str
    n_threads: int
    report: ReportMember
    report_calibration: ReportMemberRound
    stopped: Event = field(default_factory=Event)

    def train(self, k: int, settings: TrainingSettings) -> LanguageModel:
        """Train one, or take it up where it was stopped."""

        def report(epoch: EpochRecord, baselines: Baselines) -> None:
            self.report(k, epoch, baselines)
            self._go_on()

        def report_calibration(done: CalibrationRound) -> None:
            self.report_calibration(k, done)
            self._go_on()

        self._go_on()
        options: dict[str, Any] = {
            "device": self.device,
            "n_threads": self.n_threads,
            "report": report,
            "report_calibration": report_calibration,
        }
        if self.folder is None:
            return train(self.data, settings, **options)
        place = self.folder / str(k)
        if self.resume:
            settle_model(place)
            if found := finished_model(place, self.data, settings):
                return found
            if holds_model(place) and not holds_training(place):
                raise InputError(
                    f"{place} was trained on other data or with other settings: give the same, or "
                    "begin anew"
                )
        return train_in_folder(self.data, settings, place, resume=self.resume, **options)

    def _go_on(self) -> None:
        """Stop this member where all are to be stopped; what it has done is saved by now."""
        if self.stopped.is_set():
            raise KeyboardInterrupt


def train_ensemble_in_folder(
    states: States,
    settings: TrainingSettings,
    n_models: int,
    folder: Path,
    *,
    resume: bool = True,
    **options: Any,
) -> EnsembleModel:
    """Train an ensemble into a folder, or go on where a training there was stopped.

    The caller holds the folder with `trajlm.util.atomic.lone_writer`. A model that is there stays
    until the new one takes its place.

    Parameters
    ----------
    resume
        Whether to go on from the members in the folder, where it has some.
    options
        Passed on to `train_ensemble`.

    Raises
    ------
    OutputError
        The folder cannot be written.
    InputError, ModelFileError, Interrupted
        As `train_ensemble`.
    """
    members = folder / MEMBERS
    if not resume:
        forget_training(folder)
    # From its beginning on, the folder says that what is there is being replaced.
    members.mkdir(parents=True, exist_ok=True)
    model = train_ensemble(states, settings, n_models, folder=members, resume=resume, **options)
    model.save(folder)
    forget_training(folder)
    return model


def finished_ensemble(
    folder: Path, states: States, settings: TrainingSettings, n_models: int
) -> EnsembleModel | None:
    """Return the ensemble in `folder` if it was trained on the same data with the same settings."""
    model = finished_in(folder)
    if not isinstance(model, EnsembleModel) or not model.record:
        return None
    if len(model.members) != n_models or model.record.settings != settings:
        return None
    return model if model.record.members[0].data_sha256 == fingerprint(states) else None
