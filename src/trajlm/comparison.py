"""Comparing generated trajectories with the data, and the report of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trajlm.analysis import Grouping
from trajlm.data import StatesLike
from trajlm.evaluate.evaluation import Kind, Stage, evaluate
from trajlm.evaluate.records import (
    dwell_records,
    model_record,
    population_records,
    rate_records,
)
from trajlm.evaluate.result import Evaluation
from trajlm.evaluate.summary import summary
from trajlm.evaluate.verdict import (
    floor_sentence,
    settled_sentence,
    slowest_sentence,
    unseen_sentence,
    verdicts,
)
from trajlm.report import first_figures, load_results, save_figures, save_report
from trajlm.util.words import html

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["models", "rates", "dwells", "populations"]


@dataclass(frozen=True, repr=False)
class Comparison(Evaluation):
    """The data beside one or more models, with its report."""

    def _repr_html_(self) -> str:
        found = summary(self)
        verdict = [(v.name, f"{v.numbers} {v.reading}".strip()) for v in verdicts(found)]
        unseen = [("unseen data", text)] if (text := unseen_sentence(found)) else []
        kinetics = [
            ("slowest process", slowest_sentence(found, self.space.unit)),
            ("rate constants", settled_sentence(found)),
        ]
        facts = [*kinetics, ("data", floor_sentence(found)), *unseen, *verdict]
        table = html("Comparison", [(name, text) for name, text in facts if text])
        return table + first_figures(self)

    def save(self, folder: str | Path, how: Mapping[str, Any] | None = None) -> None:
        """Write ``index.html`` and ``results.json`` into `folder`.

        `how` says how the results were made (command, times), for the report's last section.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        save_report(self, Path(folder), how or {})

    def save_figures(self, folder: str | Path, formats: str | Sequence[str] = "pdf") -> list[Path]:
        """Write every figure of the page as a file, with its numbers as CSV beside it.

        Titles, legends and units are inside, and text stays text. Figures are as wide as one or
        two columns of a journal.

        Parameters
        ----------
        folder
            Created where it does not exist.
        formats
            ``"pdf"``, ``"svg"`` or ``"png"`` (600 dots per inch), or several of them.

        Returns
        -------
        list of Path
            The files that were written.

        Raises
        ------
        InputError
            Another format.
        OutputError
            The folder cannot be written.
        """
        given = [formats] if isinstance(formats, str) else list(formats)
        return save_figures(self, Path(folder), given)

    @classmethod
    def load(cls, folder: str | Path) -> Comparison:
        """Return the comparison that `save` wrote into `folder`.

        Raises
        ------
        InputError
            There is none, or it is damaged.
        """
        return cls(**vars(load_results(Path(folder))))

    def records(self, table: Table = "models") -> list[dict[str, Any]]:
        """Return a table of the report as flat records, ready for ``pandas.DataFrame``.

        Parameters
        ----------
        table
            ``models``: D and its like, one record a model; ``rates`` (rate constants), ``dwells``
            (mean dwell times) and ``populations``: one record for each pair or group and source,
            with intervals.
        """
        found = summary(self)
        if table == "rates":
            return [record for row in found.rates for record in rate_records(row)]
        if table == "dwells":
            return [record for row in found.dwells for record in dwell_records(row)]
        if table == "populations":
            return [record for row in found.populations for record in population_records(row)]
        return [model_record(name, row) for name, row in found.models.items()]

    def to_frame(self, table: Table = "models") -> pd.DataFrame:
        """Return a table of the report (see `records`) as a data frame of pandas."""
        import pandas as pd

        return pd.DataFrame.from_records(self.records(table))


def compare(
    reference: StatesLike,
    models: Mapping[str, Kind],
    grouping: Grouping | None = None,
    *,
    unseen: StatesLike | None = None,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    commit_time: float | None = None,
    stage: Stage | None = None,
) -> Comparison:
    """Measure the data and what each model generates, and how far they are apart.

    Parameters
    ----------
    reference
        The data.
    models
        By name: a model, which then generates, or States that were generated before; or a list
        of either, one a training, whose spread is then in the intervals. A model of a lag time
        is held against the data seen as often.
    grouping
        How fine states are grouped for the kinetics; None: as they are up to five, else by
        PCCA+, or by hidden states where noise hides the groups (`group_by_hmm`).
    unseen
        Data that no model was trained on, against which the models and the training data itself
        are judged side by side.
    n_runs
        Independent trajectories of each training, from which the intervals of D come where
        there is one training.
    n_frames
        Frames of each trajectory; as many as the data has when None.
    seed
        Of the generations.
    n_threads
        That generate; all cores when None. The result is the same for any number.
    commit_time
        Shortest stay that counts for the rate constants of the tables, in the unit of time of the
        data: the nearest of 1, 2, 5, 10 ... frames is taken. None: two frames where the groups are
        hidden states, else the one near a seventh of the typical dwell in the shortest-lived group.
    stage
        Called with what is being done, before each step.

    Raises
    ------
    InputError
        No model, or models of other states than the data.
    """
    found = evaluate(
        reference,
        models,
        grouping,
        unseen=unseen,
        n_runs=n_runs,
        n_frames=n_frames,
        seed=seed,
        n_threads=n_threads,
        commit_time=commit_time,
        stage=stage,
    )
    return Comparison(**vars(found))
