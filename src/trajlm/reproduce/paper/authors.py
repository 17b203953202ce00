"""A trajectory published by the authors beside the exact populations and our own generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajlm.analysis import dwell_times, population_intervals, populations
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.io import read_states
from trajlm.reproduce.document import Block, Code, Document, Heading, Paragraph, Table
from trajlm.systems.potentials import FOUR_STATE, exact_populations
from trajlm.util.arrays import F64, I64
from trajlm.util.words import interval, number

# Label k of the authors' four-state files is the well at this x; ours are in order of x.
AUTHORS_ORDER = (2.0, 0.5, -0.5, -2.0)


@dataclass(frozen=True)
class LabelStatistics:
    """What one trajectory of the four-state system says, by well in order of x.

    Parameters
    ----------
    name
        Whose it is.
    n_frames, n_transitions
        Its length and its changes of state.
    populations, low, high
        Shape (4,), with the 95 % interval.
    mean_dwells
        In frames, shape (4,); NaN where no stay was complete.
    n_dwells
        Complete stays, shape (4,).
    """

    name: str
    n_frames: int
    n_transitions: int
    populations: F64
    low: F64
    high: F64
    mean_dwells: F64
    n_dwells: I64


def read_authors_labels(path: Path) -> States:
    """Read a label file of the authors and renumber the wells in order of x.

    Raises
    ------
    InputError
        A file that is not one trajectory of the labels 0 to 3.
    """
    states = read_states(path)
    if len(states) != 1 or states.n_states > len(AUTHORS_ORDER):
        raise InputError(
            f"{path} holds {len(states)} trajectory(ies) of {states.n_states} states: one "
            "trajectory of the labels 0 to 3 is needed"
        )
    order = np.argsort(np.argsort(AUTHORS_ORDER))
    return States((order[states.trajectories[0]],), len(AUTHORS_ORDER))


def label_statistics(name: str, states: States) -> LabelStatistics:
    """Count populations and stays of one trajectory."""
    low, high = population_intervals(states)
    dwells = [dwell_times(states, k).complete for k in range(states.n_states)]
    changes = sum(int(np.count_nonzero(np.diff(s.astype(np.int64)))) for s in states)
    return LabelStatistics(
        name=name,
        n_frames=states.n_frames,
        n_transitions=changes,
        populations=populations(states),
        low=low,
        high=high,
        mean_dwells=np.array([d.mean() if len(d) else np.nan for d in dwells]),
        n_dwells=np.array([len(d) for d in dwells]),
    )


def authors_page(found: Sequence[LabelStatistics], command: str) -> Document:
    """Return the page that holds trajectories against the exact populations."""
    exact = exact_populations(FOUR_STATE)
    names = ("x = -2", "x = -0.5", "x = 0.5", "x = 2")
    population_rows = [("exact", *(number(float(p)) for p in exact), "", "")]
    dwell_rows = []
    for one in found:
        cells = [
            f"{number(p)} {interval(low, high)}"
            for p, low, high in zip(one.populations, one.low, one.high, strict=True)
        ]
        distance = 0.5 * float(np.abs(one.populations - exact).sum())
        inside = int(((one.low <= exact) & (exact <= one.high)).sum())
        population_rows.append((one.name, *cells, number(distance, 2), f"{inside} of 4"))
        dwells = [
            f"{number(mean)} ({n})" for mean, n in zip(one.mean_dwells, one.n_dwells, strict=True)
        ]
        dwell_rows.append((one.name, f"{one.n_frames:,}", str(one.n_transitions), *dwells))
    lead = (
        f"{found[0].n_transitions} transitions in {found[0].n_frames:,} frames settle a population "
        "to within the intervals below and no better, whoever made the trajectory."
    )
    blocks: tuple[Block, ...] = (
        Heading("Populations"),
        Table(
            ("trajectory", *names, "distance from exact", "exact inside"),
            tuple(population_rows),
        ),
        Paragraph(
            "With 95 % intervals from blocks of time; the distance is half the sum of the absolute "
            "differences."
        ),
        Heading("Stays"),
        Table(("trajectory", "frames", "transitions", *names), tuple(dwell_rows)),
        Paragraph("Mean of the complete stays in frames, and their number."),
        Heading("How it was made"),
        Code(command),
    )
    return Document("The four-state trajectory of the authors", lead, blocks)
