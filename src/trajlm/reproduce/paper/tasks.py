"""The long work of a recipe, cut into tasks that run side by side and are taken up again.

Each task is a plain function of paths and plain values, so that it can run in a process of its
own, with one thread; what it makes is written whole or not at all.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.data import IntArray
from trajlm.io import read_states
from trajlm.lstm.record import LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.registry import load_model
from trajlm.reproduce.paper.measure import EXCERPT_FRAMES, Run, Yardstick, measure_run, yardstick
from trajlm.reproduce.paper.recipe import View
from trajlm.util.atomic import atomic_path, plain
from trajlm.util.plain import as_values


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


@dataclass(frozen=True)
class Measurement:
    """Generate from a model, as often as asked, and count.

    Parameters
    ----------
    states
        File of the data.
    view, n_segments, lag
        How it is counted.
    model
        Folder of the model.
    scorers
        Folders of the models under which the generated paths are scored, by name.
    out
        File to write.
    n_lanes
        Trajectories a generation, each as long as the data.
    seeds
        One generation a seed.
    """

    states: Path
    view: View
    n_segments: int
    lag: int
    model: Path
    scorers: Mapping[str, Path]
    out: Path
    n_lanes: int
    seeds: tuple[int, ...]

    def __call__(self) -> str:
        """Generate and count, unless it is done; return a line about it."""
        if not self.out.exists():
            data = read_states(self.states)
            stick = yardstick(data, self.view, self.n_segments, self.lag)
            runs, excerpt = self._runs(stick)
            write_runs(self.out, runs, excerpt)
        runs, _ = read_runs(self.out)
        return f"{self.out.stem}: D {np.mean([run.discrepancy for run in runs]):.3f}"

    def _runs(self, stick: Yardstick) -> tuple[list[Run], IntArray]:
        model = load_model(self.model)
        scorers = {name: load_model(path) for name, path in self.scorers.items()}
        nats_of_data = model.cross_entropy(stick.states) if self.lag == 1 else float("nan")
        runs = []
        for seed in self.seeds:
            generated = model.generate(stick.states.n_frames, self.n_lanes, seed)
            generated = stick.states.with_trajectories(generated.trajectories)
            record = as_values(model.record) or {}
            record.pop("history", None)
            if isinstance(model.record, LSTMRecord):
                record["epochs"] = len(model.record.history)
                record["validation"] = model.record.best.validation
                record["seconds"] = sum(epoch.seconds for epoch in model.record.history)
            own = {"own": model} if self.lag == 1 else {}
            runs.append(
                measure_run(generated, stick, seed, nats_of_data, {**own, **scorers}, record)
            )
        return runs, generated.trajectories[0][:EXCERPT_FRAMES]


def write_runs(path: Path, runs: list[Run], excerpt: IntArray) -> None:
    """Write runs and an excerpt into an npz file, without pickle."""
    arrays: dict[str, Any] = {"excerpt": excerpt}
    for name in ("populations", "group_populations", "counts"):
        arrays[name] = np.array([getattr(run, name) for run in runs])
    rest = [{k: v for k, v in vars(run).items() if k not in arrays} for run in runs]
    # JSON knows no NaN: `plain` writes it as null.
    arrays["rest"] = np.array(json.dumps(plain(rest)))
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def read_runs(path: Path) -> tuple[list[Run], IntArray]:
    """Read what `write_runs` wrote."""
    with np.load(path, allow_pickle=False) as file:
        rest = json.loads(str(file["rest"]))
        runs = []
        for k, values in enumerate(rest):
            for name in ("discrepancy", "nats_of_data"):
                values[name] = float("nan") if values[name] is None else values[name]
            arrays = {
                name: file[name][k] for name in ("populations", "group_populations", "counts")
            }
            runs.append(Run(**values, **arrays))
        return runs, file["excerpt"]


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
