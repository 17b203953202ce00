"""Comparing generated trajectories with the data, and the report of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajlm.analysis import Grouping
from trajlm.data import StatesLike
from trajlm.evaluate.evaluation import Stage, evaluate
from trajlm.evaluate.result import Evaluation
from trajlm.evaluate.summary import summary
from trajlm.evaluate.verdict import floor_sentence, verdicts
from trajlm.models.base import SequenceModel
from trajlm.report import save_report
from trajlm.util.words import html


@dataclass(frozen=True, repr=False)
class Comparison(Evaluation):
    """The data beside one or more models, with its report."""

    def _repr_html_(self) -> str:
        found = summary(self)
        facts = [(name, f"{text} {reading}") for name, text, reading in verdicts(found)]
        return html("Comparison", [("data", floor_sentence(found)), *facts])

    def save(self, folder: str | Path, how: Mapping[str, Any] | None = None) -> None:
        """Write ``index.html`` and ``results.json`` into `folder`.

        `how` says how the results were made (command, times), for the report's last section.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        save_report(self, Path(folder), how or {})


def compare(
    reference: StatesLike,
    models: Mapping[str, SequenceModel | StatesLike],
    grouping: Grouping | None = None,
    *,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    stage: Stage | None = None,
) -> Comparison:
    """Measure the data and what each model generates, and how far they are apart.

    Parameters
    ----------
    reference
        The data.
    models
        By name: a model, which then generates, or states that were generated before.
    grouping
        How fine states are grouped for the kinetics; None: as they are up to five, else by
        PCCA+ (`default_grouping`).
    n_runs
        Independent generations of each model, from which the intervals of D come.
    n_frames
        Frames of each generation; as many as the data has when None.
    seed
        Of the generations.
    stage
        Called with what is being done, before each step.

    Raises
    ------
    InputError
        No model, or models of other states than the data.
    """
    return Comparison(
        **vars(
            evaluate(
                reference,
                models,
                grouping,
                n_runs=n_runs,
                n_frames=n_frames,
                seed=seed,
                stage=stage,
            )
        )
    )
