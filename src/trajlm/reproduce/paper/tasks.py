"""The long work of a recipe, cut into tasks that run side by side and are taken up again.

Each task is a plain function of paths and plain values, so that it can run in a process of its
own, with one thread; what it makes is written whole or not at all.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.io import read_states
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.base import SequenceModel
from trajlm.models.files import holds_model, settle_model
from trajlm.util.atomic import lone_writer
from trajlm.util.signals import STOPPING


@dataclass(frozen=True)
class Training:
    """Train one network on the states in a file, into a folder."""

    states: Path
    folder: Path
    settings: TrainingSettings

    def __call__(self) -> str:
        """Train, or go on where it was stopped; return a line about it."""
        from trajlm.lstm.training.train import finished_model, train_in_folder

        data = read_states(self.states)
        with lone_writer(self.folder):
            model = finished_model(self.folder, data, self.settings)
            model = model or train_in_folder(data, self.settings, self.folder, n_threads=1)
        record = model.record
        assert record is not None
        return (
            f"{self.folder.parent.name} {self.folder.name}: {record.held_out_nats:.5f} nats per "
            f"frame held out (MSM {record.msm_nats:.5f}), {record.n_epochs} epochs"
        )


@dataclass(frozen=True)
class Fit:
    """Fit another model to the states in a file, by a function of a module, into a folder."""

    states: Path
    folder: Path
    fit: Callable[[States], SequenceModel]

    def __call__(self) -> str:
        """Fit and save, unless it is there; return a line about it."""
        with lone_writer(self.folder):
            settle_model(self.folder)
            if not holds_model(self.folder):
                self.fit(read_states(self.states)).save(self.folder)
        return f"{self.folder.name}: fitted"


Task = Callable[[], str]


def run_tasks(tasks: Iterable[Task], workers: int, say: Callable[[str], None]) -> None:
    """Run tasks side by side, in order, and say what each did.

    Ctrl-C, or a task that fails, stops them all; what they saved is taken up again. One worker
    is this process itself.
    """
    if workers == 1:
        for task in tasks:
            say(task())
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet_worker)
    try:
        futures: list[Future[str]] = [pool.submit(_call, task) for task in tasks]
        for future in as_completed(futures):
            say(future.result())
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a worker was ended by the system, perhaps for want of memory: start fewer side "
                "by side; what is done is taken up again"
            ) from None
        raise
    pool.shutdown()


def _call(task: Task) -> str:
    return task()


def _quiet_worker() -> None:
    # Signals go to the whole process group: the parent decides and ends its workers.
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent, however it ends, and follow it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
