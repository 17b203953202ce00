"""Running a system: fits and trainings one after the other, and the judgement on unseen data."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from trajlm.comparison import Comparison, compare
from trajlm.io import read_states, write_states
from trajlm.lstm.settings import TrainingSettings, training_settings
from trajlm.lstm.training.train import fingerprint
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.models.ngram import fit_ngram
from trajlm.models.registry import load_model
from trajlm.reproduce.benchmark.data import Stretches
from trajlm.reproduce.benchmark.recipe import System
from trajlm.reproduce.benchmark.relaxation import RelaxationError, relaxation_errors
from trajlm.reproduce.paper.tasks import Fit, Training
from trajlm.util.atomic import check_writable, write_json
from trajlm.util.clock import StageClock

Say = Callable[[str], None]

LSTM_NAMES = {"auto": "LSTM", "state": "LSTM, one softmax"}
# Frames that each training generates at least, and trajectories as long as the data.
GENERATED, LEAST_RUNS = 20_000_000, 4


@dataclass(frozen=True)
class Options:
    """How much is done.

    Parameters
    ----------
    n_models
        Trainings of each kind of language model; their seeds count up from `seed`.
    seed
        Of the first training and of the generations.
    frames
        Of the training stretch, so many from its beginning; None: all.
    epochs
        At most; None: the default of training.
    max_hidden
        Most hidden states; None: what the system says.
    """

    n_models: int = 5
    seed: int = 0
    frames: int | None = None
    epochs: int | None = None
    max_hidden: int | None = None


@dataclass(frozen=True)
class SystemResult:
    """Everything measured on one system.

    Parameters
    ----------
    system, options
        What was asked for.
    comparison
        The training stretch and all models, judged on the unseen one.
    relaxation
        T(t) of the groups; empty where it is not asked for.
    seconds
        Of the processor, for each fit and training by name; of an LSTM one value a training.
    machine
        What it ran on.
    """

    system: System
    options: Options
    comparison: Comparison
    relaxation: tuple[RelaxationError, ...]
    seconds: Mapping[str, tuple[float, ...]]
    machine: str


def run_system(system: System, options: Options, folder: Path, say: Say) -> SystemResult:
    """Run a system in `folder`, or take up what is there of it.

    Raises
    ------
    InputError
        Data that cannot be had.
    OutputError
        The folder cannot be written.
    """
    check_writable(folder / "results.json")
    say(f"{system.name}: reading the data")
    stretches = _shortened(system.load(), options.frames)
    # What was made of other data or with other settings lies in other folders.
    data = folder / f"data-{fingerprint(stretches.training)[:8]}"
    states = data / "states.npz"
    if not states.exists():
        write_states(data / "unseen.npz", stretches.unseen)
        write_states(states, stretches.training)
    tasks = _tasks(system, options, states)
    clock = StageClock(data / "seconds.json", time.process_time)
    for kind, several in tasks.items():
        for task in several:
            with clock.stage(str(task.folder.relative_to(data))):
                say(f"{kind}: {task()}")
    models = {kind: [load_model(t.folder) for t in several] for kind, several in tasks.items()}
    seconds = {
        kind: tuple(clock.seconds[str(t.folder.relative_to(data))] for t in several)
        for kind, several in tasks.items()
    }
    comparison = _comparison(models, stretches, options, data, say)
    return SystemResult(
        system,
        options,
        comparison,
        _relaxation(system, models, stretches, comparison, options, data, say),
        seconds,
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    )


def _shortened(stretches: Stretches, frames: int | None) -> Stretches:
    if frames is None or frames >= stretches.training.n_frames - 1:
        return stretches
    head, _ = stretches.training.split_at(frames)
    return Stretches(head, stretches.unseen, stretches.grouping)


def _settings(options: Options, columns: str, seed: int) -> TrainingSettings:
    epochs = {} if options.epochs is None else {"epochs": options.epochs}
    return training_settings(columns=columns, seed=seed, **epochs)


def _tasks(system: System, options: Options, states: Path) -> dict[str, list[Fit | Training]]:
    """Return the fits and trainings by the name of their kind on the page."""
    fits = states.parent / "models"
    tasks: dict[str, list[Fit | Training]] = {
        "MSM": [Fit(states, fits / "msm", fit_msm)],
        "MSM, chosen lag": [Fit(states, fits / "msm-auto", partial(fit_msm, lag="auto"))],
        "counts": [Fit(states, fits / "ngram", fit_ngram)],
    }
    if system.max_hidden is not None:
        most = options.max_hidden or system.max_hidden
        fit = partial(fit_hmm, max_hidden=most, seed=options.seed)
        tasks["HMM"] = [Fit(states, fits / f"hmm-max{most}-seed{options.seed}", fit)]
    trained: dict[str, list[Fit | Training]] = {}
    for columns in system.columns:
        first = _settings(options, columns, 0)
        parent = fits / f"lstm-{columns}-{first.epochs}epochs"
        trained[LSTM_NAMES[columns]] = [
            Training(states, parent / f"seed{seed}", _settings(options, columns, seed))
            for seed in range(options.seed, options.seed + options.n_models)
        ]
    return {**trained, **tasks}


def _name(options: Options, what: str) -> str:
    parts = [f"{k}{v}" for k, v in asdict(options).items() if v is not None and k != "frames"]
    return "-".join([what, *parts])


def _comparison(
    models: Mapping[str, list[SequenceModel]],
    stretches: Stretches,
    options: Options,
    folder: Path,
    say: Say,
) -> Comparison:
    """Compare all models with both stretches, or take up what was saved."""
    where = folder / _name(options, "comparison")
    if not (where / "results.json").exists():
        training = read_states(folder / "states.npz")
        compare(
            training,
            models,
            stretches.grouping,
            unseen=stretches.unseen,
            n_runs=max(LEAST_RUNS, -(-GENERATED // training.n_frames)),
            seed=options.seed,
            stage=say,
        ).save(where)
    # Read back in any case: what is shown is then the same whenever it was counted.
    return Comparison.load(where)


def _relaxation(
    system: System,
    models: Mapping[str, list[SequenceModel]],
    stretches: Stretches,
    comparison: Comparison,
    options: Options,
    folder: Path,
    say: Say,
) -> tuple[RelaxationError, ...]:
    """Return the errors of T(t), taken up where they are there."""
    if not system.relaxation_lags:
        return ()
    path = folder / f"{_name(options, 'relaxation')}.json"
    if not path.exists():
        say("generating for T(t)")
        both = (stretches.training, stretches.unseen)
        found = relaxation_errors(
            models, *both, comparison.grouping, system.relaxation_lags, options.seed
        )
        write_json(path, [asdict(error) for error in found])
    rows = json.loads(path.read_text("utf-8"))
    return tuple(
        RelaxationError(r["name"], tuple(r["training"]), tuple(r["unseen"]), r["first_lag"])
        for r in rows
    )
