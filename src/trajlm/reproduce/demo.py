"""The main job on a real simulation: alanine dipeptide, from molecule to report."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path

import numpy as np

from trajlm.analysis import Grouping, group_by_list
from trajlm.comparison import compare
from trajlm.data import Features, States
from trajlm.discretize import Bins
from trajlm.errors import InputError
from trajlm.io import read_features, write_features, write_states
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.record import Baselines, EpochRecord
from trajlm.lstm.settings import TrainingSettings, training_settings
from trajlm.lstm.training.train import fingerprint, finished_model, train_in_folder
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.plots import plot_overview
from trajlm.report.save import save_report
from trajlm.systems.alanine import FRAME_PS, remove_kept, simulate_alanine
from trajlm.util.atomic import check_writable, lone_writer
from trajlm.util.clock import StageClock

N_STATES = 20
N_WALKERS = 2
TEMPERATURE = 450.0
# Where phi is least populated: C5 | C7eq | C7ax | C5, for the angle closes on itself.
C7EQ_FROM, C7AX_FROM, C7AX_TO = -0.6 * np.pi, 0.0, 2.2

Say = Callable[[str], None]
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def run_demo(
    out: Path,
    *,
    ns: float,
    epochs: int | None,
    seed: int,
    command: str,
    say: Say,
    progress: Progress,
) -> Path:
    """Simulate, cut into states, train, fit MSM and HMM, generate, compare; return the page.

    Finished stages are kept in `out` and taken up again when the command is repeated with the
    same settings, an interrupted training included.

    Raises
    ------
    MissingDependencyError
        OpenMM is not installed.
    Interrupted
        Ctrl-C during the training.
    """
    check_writable(out / "index.html")
    settings = training_settings(seed=seed, **({} if epochs is None else {"epochs": epochs}))
    clock = StageClock()
    with clock.stage("simulation"):
        features = _simulation(out / f"simulation-{ns:g}ns-seed{seed}.npz", ns, seed, say, progress)
    phi = features.select(["phi"])
    states = Bins(N_STATES, range=(-np.pi, np.pi)).fit(phi).transform(phi)
    write_states(out / "states.npz", states)
    with clock.stage("training"):
        model = _train(states, out, settings, say)
    with clock.stage("MSM and HMM"):
        say("fitting the MSM and the HMM")
        models = {"LSTM": model, "MSM": fit_msm(states), "HMM": fit_hmm(states, seed=seed)}
    with clock.stage("generation and analysis"):
        comparison = compare(states, models, conformers(states), seed=seed, stage=say)
    how = {
        "command": command,
        "data": f"Alanine dipeptide (ACE-ALA-NME) in vacuum, AMBER ff96, {TEMPERATURE:g} K, "
        f"Langevin dynamics with OpenMM's Reference platform: {ns:g} ns in {N_WALKERS} "
        f"trajectories, {FRAME_PS:g} ps per frame; the angle phi in {N_STATES} equal bins.",
        "seeds": {"simulation": seed, "training": seed, "generation": seed},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "seconds": clock.seconds,
    }
    overview = BytesIO()
    plot_overview(comparison).savefig(overview, dpi=150)
    save_report(comparison, out, how, {"overview.png": overview.getvalue()})
    return out / "index.html"


def conformers(states: States) -> Grouping:
    """Return the grouping of phi bins into C5 (0), C7eq (1) and C7ax (2).

    Raises
    ------
    InputError
        States without centres.
    """
    if states.centers is None:
        raise InputError("the states have no centres: cut phi into bins first")
    group = np.digitize(states.centers, [C7EQ_FROM, C7AX_FROM, C7AX_TO]) % 3
    return group_by_list(states, group.tolist(), names=("C5", "C7eq", "C7ax"))


def _simulation(path: Path, ns: float, seed: int, say: Say, progress: Progress) -> Features:
    if path.exists():
        say(f"taking up the simulation in {path}")
        return read_features(path)
    with progress("simulating alanine dipeptide", round(ns * 1000 / FRAME_PS)) as advance:
        keep = path.with_suffix("")
        features = simulate_alanine(ns, N_WALKERS, TEMPERATURE, seed, advance, keep)
    write_features(path, features)
    remove_kept(keep, N_WALKERS)
    return features


def _train(states: States, out: Path, settings: TrainingSettings, say: Say) -> LanguageModel:
    digest = fingerprint(states)[:8]
    folder = out / f"model-{digest}-{settings.epochs}epochs-seed{settings.seed}"
    model = finished_model(folder, states, settings)
    if model:
        say(f"taking up the model in {folder}")
        return model

    def report(record: EpochRecord, baselines: Baselines) -> None:
        say(record.describe(settings.epochs, baselines))

    say(f"training the language model on {states.n_frames:,} frames")
    with lone_writer(folder):
        return train_in_folder(
            states,
            settings,
            folder,
            report=report,
            report_calibration=lambda done: say(done.describe()),
        )
