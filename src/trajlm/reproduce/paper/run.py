"""Running a recipe: from nothing to results, each stage taken up where it was left."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trajlm.analysis import CommittedTransitions
from trajlm.comparison import Comparison, compare
from trajlm.data import Features
from trajlm.evaluate.reference import make_reference
from trajlm.io import read_features, read_states, write_features, write_states
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.settings import TrainingSettings, training_settings
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.models.registry import load_model
from trajlm.reproduce.paper.data import (
    ExactCheck,
    check_potential,
    exact_values,
    make_features,
    make_grouping,
    make_states,
    n_frames_expected,
    plane_states,
    process_of,
)
from trajlm.reproduce.paper.embedding import (
    EmbeddingResult,
    StatePairs,
    compare_embeddings,
    state_pairs,
)
from trajlm.reproduce.paper.entropy import (
    SCORED,
    ExactEntropy,
    Nats,
    cross_nats,
    excess_entropy,
)
from trajlm.reproduce.paper.recipe import AlanineData, HiddenMarkovData, PotentialData, Recipe, View
from trajlm.reproduce.paper.tasks import Fit, Task, Training, run_tasks
from trajlm.systems.alanine import remove_kept
from trajlm.util.arrays import F64
from trajlm.util.atomic import check_writable, write_json
from trajlm.util.clock import StageClock

Say = Callable[[str], None]
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

# Spread of the state vectors at the start of a plain network: small, so that the map shows what
# was learned and not where it began.
PLAIN_EMBEDDING_SCALE = 0.1


@dataclass(frozen=True)
class ViewResult:
    """Everything measured on one view.

    Parameters
    ----------
    view
        How the data was cut.
    comparison
        The data beside LSTM, MSMs and HMM.
    nats
        Nats per frame of generated paths, by source and by model, one value a training.
    embeddings
        By kind of network ("plain", "with skip"); empty where no plain network was trained.
    pairs
        How easily the states of the data turn into each other; None without embeddings.
    plane
        Committed transitions of the wells told apart in the plane; None where there is no plane.
    exact_populations
        Of the states; None where unknown.
    exact_entropy
        None where it is unknown.
    """

    view: View
    comparison: Comparison
    nats: Nats
    embeddings: Mapping[str, EmbeddingResult]
    pairs: StatePairs | None
    plane: CommittedTransitions | None
    exact_populations: F64 | None
    exact_entropy: ExactEntropy | None


@dataclass(frozen=True)
class SystemResult:
    """Everything measured on one system.

    Parameters
    ----------
    recipe
        What was asked for.
    views
        One result a view.
    checks
        The simulation against exact values; empty where none are known.
    seconds
        Of each stage, over all the runs that it took.
    machine
        What it ran on.
    """

    recipe: Recipe
    views: tuple[ViewResult, ...]
    checks: tuple[ExactCheck, ...]
    seconds: Mapping[str, float]
    machine: str


def run_recipe(
    recipe: Recipe, folder: Path, workers: int, say: Say, progress: Progress
) -> SystemResult:
    """Run a recipe in `folder`, or take up what is there of it.

    Raises
    ------
    InputError
        Data that cannot be had.
    OutputError
        The folder cannot be written.
    """
    check_writable(folder / "results.json")
    clock = StageClock(folder / f"seconds-{recipe.digest('data', 'views', 'models')}.json")
    with clock.stage("data"):
        features = _features(recipe, folder, say, progress)
    checks: tuple[ExactCheck, ...] = ()
    if isinstance(recipe.data, PotentialData):
        with clock.stage("checks against exact values"):
            checks = _checks(recipe, folder)
    paths = {view.name: _states_file(recipe, view, features, folder) for view in recipe.views}
    with clock.stage("fits and trainings"):
        run_tasks(_learning(recipe, folder, paths), workers, say)
    with clock.stage("generation and counting"):
        comparisons = [
            _comparison(recipe, view, paths[view.name], folder, say) for view in recipe.views
        ]
    with clock.stage("analysis"):
        views = tuple(
            _view_result(recipe, view, features, comparison, folder)
            for view, comparison in zip(recipe.views, comparisons, strict=True)
        )
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {workers} trainings side by side, Python "
        f"{platform.python_version()}"
    )
    return SystemResult(recipe, views, checks, clock.seconds, machine)


def first_model(recipe: Recipe, folder: Path, say: Say, progress: Progress) -> LSTMModel:
    """Return the first training of the first view of a recipe, made where it is not there yet."""
    view = recipe.views[0]
    features = _features(recipe, folder, say, progress)
    states = _states_file(recipe, view, features, folder)
    trained = _training_folders(recipe, view, folder, "lstm")[0]
    say(Training(states, trained, _settings(recipe, recipe.seed, plain=False))())
    model = load_model(trained)
    assert isinstance(model, LSTMModel)
    return model


def _features(recipe: Recipe, folder: Path, say: Say, progress: Progress) -> Features:
    path = folder / f"features-{recipe.digest('data')}.npz"
    if path.exists():
        say(f"taking up the data in {path}")
        return read_features(path)
    say(f"making the data of {recipe.name}")
    total = n_frames_expected(recipe)
    if total:
        with progress(f"simulating {recipe.name}", total) as advance:
            features = make_features(recipe, advance, path.with_suffix(""))
    else:
        features = make_features(recipe)
    write_features(path, features)
    if isinstance(recipe.data, AlanineData):
        remove_kept(path.with_suffix(""), recipe.data.n_walkers)
    return features


def _checks(recipe: Recipe, folder: Path) -> tuple[ExactCheck, ...]:
    path = folder / f"checks-{recipe.digest('data')}.json"
    if not path.exists():
        write_json(path, [vars(check) for check in check_potential(recipe)])
    return tuple(ExactCheck(**values) for values in json.loads(path.read_text()))


def _states_file(recipe: Recipe, view: View, features: Features, folder: Path) -> Path:
    path = folder / f"states-{view.name}-{recipe.digest('data', 'views')}.npz"
    if not path.exists():
        write_states(path, make_states(features, view))
    return path


def _models_folder(recipe: Recipe, view: View, folder: Path) -> Path:
    return folder / "models" / f"{view.name}-{recipe.digest('data', 'views')}"


def _settings(recipe: Recipe, seed: int, plain: bool) -> TrainingSettings:
    """Return the defaults, but for what the recipe says; the plain network is the paper's."""
    epochs = recipe.models.plain_epochs if plain else recipe.models.epochs
    chosen: dict[str, Any] = {"seed": seed}
    if epochs:
        chosen["epochs"] = epochs
    if plain:
        chosen |= {
            "bigram_skip": False,
            "slow_units": 0.0,
            "embedding_scale": PLAIN_EMBEDDING_SCALE,
        }
    return training_settings(**chosen)


def _kinds(recipe: Recipe) -> tuple[str, ...]:
    return ("lstm",) if recipe.models.plain_epochs == 0 else ("lstm", "plain")


def _training_folders(recipe: Recipe, view: View, folder: Path, kind: str) -> list[Path]:
    settings = _settings(recipe, 0, kind == "plain")
    parent = _models_folder(recipe, view, folder) / f"{kind}-{settings.epochs}epochs"
    seeds = range(recipe.seed, recipe.seed + recipe.models.n_models)
    return [parent / f"seed{seed}" for seed in seeds]


def _fit_name(recipe: Recipe, lag: int | None) -> str:
    return f"hmm-max{recipe.models.max_hidden}" if lag is None else f"msm-lag{lag}"


def _learning(recipe: Recipe, folder: Path, paths: Mapping[str, Path]) -> list[Task]:
    """Return fits and trainings: the fit that takes longest first, trainings seed by seed."""
    tasks: list[Task] = []
    for view in recipe.views:
        models = _models_folder(recipe, view, folder)
        for lag in (None, *recipe.models.lags):
            fit = (
                partial(fit_hmm, max_hidden=recipe.models.max_hidden, seed=recipe.seed)
                if lag is None
                else partial(fit_msm, lag=lag)
            )
            tasks.append(Fit(paths[view.name], models / _fit_name(recipe, lag), fit))
    for k in range(recipe.models.n_models):
        for view in recipe.views:
            for kind in _kinds(recipe):
                where = _training_folders(recipe, view, folder, kind)[k]
                settings = _settings(recipe, recipe.seed + k, kind == "plain")
                tasks.append(Training(paths[view.name], where, settings))
    return tasks


def _models(recipe: Recipe, view: View, folder: Path) -> dict[str, list[SequenceModel]]:
    """Return the trainings of each kind, by its name on the page."""
    fitted = _models_folder(recipe, view, folder)
    trained = _training_folders(recipe, view, folder, "lstm")
    models = {"LSTM": [load_model(path) for path in trained]}
    for lag in recipe.models.lags:
        name = "MSM" if lag == 1 else f"MSM, lag {lag}"
        models[name] = [load_model(fitted / _fit_name(recipe, lag))]
    models["HMM"] = [load_model(fitted / _fit_name(recipe, None))]
    return models


def _comparison(recipe: Recipe, view: View, path: Path, folder: Path, say: Say) -> Comparison:
    """Compare all models with the data of a view, or take up what was saved."""
    where = folder / f"comparison-{view.name}-{recipe.digest('data', 'views', 'models')}"
    if not (where / "results.json").exists():
        data = read_states(path)
        made = compare(
            data,
            _models(recipe, view, folder),
            make_grouping(data, view),
            n_runs=recipe.models.n_lanes,
            seed=recipe.seed,
            stage=say,
        )
        made.save(where)
    # Read back in any case: what is shown is then the same whenever it was counted.
    return Comparison.load(where)


def _nats(recipe: Recipe, view: View, comparison: Comparison, folder: Path) -> Nats:
    """Return the nats of generated paths under each model, taken up where they are there."""
    digest = recipe.digest("data", "views", "models")
    path = folder / f"entropy-{view.name}-{digest}.json"
    if not path.exists():
        models = {n: m for n, m in _models(recipe, view, folder).items() if n in SCORED}
        n_frames = comparison.reference.n_frames
        write_json(path, cross_nats(models, n_frames, recipe.models.n_lanes, recipe.seed))
    found = json.loads(path.read_text("utf-8"))
    return {source: {m: tuple(v) for m, v in row.items()} for source, row in found.items()}


def _view_result(
    recipe: Recipe, view: View, features: Features, comparison: Comparison, folder: Path
) -> ViewResult:
    plane = None
    if isinstance(recipe.data, PotentialData):
        wells = plane_states(features, recipe)
        plane = make_reference(wells, make_grouping(wells, view)).transitions
    entropy = None
    if isinstance(recipe.data, HiddenMarkovData):
        entropy = _exact_entropy(recipe, recipe.data, view, folder)
    pairs = None
    if "plain" in _kinds(recipe):
        pairs = state_pairs(read_states(_states_file(recipe, view, features, folder)))
    return ViewResult(
        view=view,
        comparison=comparison,
        nats=_nats(recipe, view, comparison, folder),
        embeddings=_embeddings(recipe, view, pairs, folder) if pairs else {},
        pairs=pairs,
        plane=plane,
        exact_populations=exact_values(recipe),
        exact_entropy=entropy,
    )


def _embeddings(
    recipe: Recipe, view: View, pairs: StatePairs, folder: Path
) -> dict[str, EmbeddingResult]:
    found = {}
    for kind, name in (("plain", "plain"), ("lstm", "with skip")):
        models = [load_model(path) for path in _training_folders(recipe, view, folder, kind)]
        found[name] = compare_embeddings([m for m in models if isinstance(m, LSTMModel)], pairs)
    return found


def _exact_entropy(
    recipe: Recipe, data: HiddenMarkovData, view: View, folder: Path
) -> ExactEntropy:
    """Score a fresh path of the process, as long as the data, under it and under each model."""
    process = process_of(data)
    fresh = process.simulate(data.n_frames, seed=recipe.seed + 1)
    truth = -float(process.log_prob(fresh).sum() / fresh.n_transitions)
    models = {n: m for n, m in _models(recipe, view, folder).items() if n in SCORED}
    return excess_entropy(truth, fresh, models)
