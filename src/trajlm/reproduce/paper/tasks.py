"""The long work of a recipe, cut into tasks that run side by side and are taken up again.

Each task is a plain function of paths and plain values, so that it can run in a process of its
own, with one thread; what it makes is written whole or not at all.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from trajlm.io import read_states
from trajlm.lstm.settings import TrainingSettings


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
        model = finished_model(self.folder, data, self.settings)
        model = model or train_in_folder(data, self.settings, self.folder, n_threads=1)
        record = model.record
        assert record is not None
        return (
            f"{self.folder.parent.name} {self.folder.name}: {record.best.validation:.5f} nats a "
            f"frame held out (MSM {record.baselines.msm:.5f}), epoch {record.best_epoch} of "
            f"{len(record.history)}"
        )


@dataclass(frozen=True)
class Fit:
    """Fit a Markov state model at a lag, or a hidden Markov model chosen by BIC (lag None)."""

    states: Path
    folder: Path
    lag: int | None
    max_hidden: int
    seed: int

    def __call__(self) -> str:
        """Fit and save, unless it is there; return a line about it."""
        from trajlm.models.hidden_markov import fit_hmm
        from trajlm.models.markov import fit_msm

        if not (self.folder / "model.json").exists():
            data = read_states(self.states)
            model = (
                fit_hmm(data, max_hidden=self.max_hidden, seed=self.seed)
                if self.lag is None
                else fit_msm(data, self.lag)
            )
            model.save(self.folder)
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
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()


def _call(task: Task) -> str:
    return task()


def _quiet_worker() -> None:
    # Ctrl-C goes to the whole process group: the parent decides and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
