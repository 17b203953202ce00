"""What the data is, and what its groups are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.evaluate.result import Evaluation
from trajlm.util.words import counted, number, physical_time

# A group of a smaller share of the frames is rather noise at the rim than a metastable state.
RARE_GROUP = 1e-3
RANGES_SHOWN = 4
# Coordinates of a state that the page writes out.
COLUMNS_SHOWN = 8


@dataclass(frozen=True)
class StateRow:
    """One state of a group: its number, its centre and its share of the frames."""

    group: str
    state: int
    center: tuple[float, ...]
    share: float


@dataclass(frozen=True)
class StateTable:
    """The states of each group, in the order of the groups, with the names of the columns."""

    columns: tuple[str, ...]
    rows: tuple[StateRow, ...]


def data_facts(comparison: Evaluation) -> list[tuple[str, str]]:
    """Return what the data is, as names and values."""
    data, space = comparison.reference, comparison.space
    facts = []
    if columns := space.discretization.columns:
        facts.append(("Quantity", ", ".join(columns)))
    several = f" in {data.n_trajectories} trajectories" if data.n_trajectories > 1 else ""
    facts.append(("Length", f"{data.n_frames:,} frames{several}"))
    if space.unit != "frame":
        whole = physical_time(data.n_frames, space.dt, space.unit)
        facts.append(("Time", f"{whole}, {space.dt:g} {space.unit} per frame"))
    visited = int((data.free_energy.populations > 0).sum())
    seen = "all visited" if visited == space.n_states else f"{visited} of them visited"
    facts.append(("States", f"{space.n_states}, {seen}"))
    if comparison.grouping.n_groups < space.n_states or comparison.grouping.running_mean > 1:
        facts.append(("Groups", comparison.grouping.describe()))
        facts.extend((f"Group {name}", text) for name, text in _members(comparison))
    return facts


def grouping_warning(comparison: Evaluation) -> str:
    """Say that PCCA+ found no metastable groups; nothing where it did, or was not asked."""
    grouping, shares = comparison.grouping, comparison.reference.group_free_energy.populations
    if grouping.method != "pcca" or shares.min() >= RARE_GROUP:
        return ""
    k = int(shares.argmin())
    return (
        f"PCCA+ made group {grouping.names[k]} of {number(float(shares[k]), 2)} of the frames: "
        "noise hides the metastable states from it, or one is hardly ever seen. Choose the "
        "thresholds yourself, after a running mean if the coordinate is noisy."
    )


def groups_line(comparison: Evaluation) -> str:
    """Say in a line what the groups are whose kinetics are compared."""
    grouping = comparison.grouping
    if grouping.n_groups == comparison.space.n_states and grouping.running_mean == 1:
        return f"{counted(grouping.n_groups, 'state', 'states')}, each compared as it is"
    members = "; ".join(f"{name}: {text}" for name, text in _members(comparison))
    return f"{grouping.describe().rstrip('.')} ({members})"


def state_table(comparison: Evaluation) -> StateTable | None:
    """Return the states of each group where their centres lie in several columns, else None."""
    grouping, space = comparison.grouping, comparison.space
    centers = space.centers
    if centers is None or centers.ndim != 2 or centers.shape[1] < 2:
        return None
    n = min(centers.shape[1], COLUMNS_SHOWN)
    given = space.discretization.columns
    named = len(given) == centers.shape[1]
    columns = tuple(given[k] if named else f"column {k}" for k in range(n))
    shares = comparison.reference.free_energy.populations
    rows = [
        StateRow(grouping.names[group], int(k), tuple(centers[k, :n].tolist()), float(shares[k]))
        for group in range(grouping.n_groups)
        for k in np.flatnonzero(grouping.assignment == group)
    ]
    return StateTable(columns, tuple(rows))


def _members(comparison: Evaluation) -> list[tuple[str, str]]:
    """Return what each group is: the centres of its states, in several columns their mean.

    Without centres it is the numbers of the states.
    """
    grouping = comparison.grouping
    centers = grouping.centers
    visited = comparison.reference.free_energy.populations > 0
    if (table := state_table(comparison)) is not None and grouping.group_centers is not None:
        sizes = np.bincount(grouping.assignment[visited], minlength=grouping.n_groups)
        return [
            (
                name,
                f"{counted(int(size), 'state', 'states')} about {_place(table.columns, mean)}"
                if size
                else "never visited",
            )
            for name, size, mean in zip(grouping.names, sizes, grouping.group_centers, strict=True)
        ]
    if centers is None or centers.size != len(grouping.assignment):
        what, values = "states", np.arange(len(grouping.assignment), dtype=np.float64)
    else:
        what, values = "centres", centers.ravel()
    order = np.argsort(values)
    groups, values = np.where(visited, grouping.assignment, -1)[order], values[order]
    pieces = np.split(np.arange(len(values)), np.flatnonzero(np.diff(groups)) + 1)
    found = []
    for k, name in enumerate(grouping.names):
        ends = [values[piece[[0, -1]]] for piece in pieces if groups[piece[0]] == k]
        text = ", ".join(_range(low, high, what) for low, high in ends[:RANGES_SHOWN])
        more = ", …" if len(ends) > RANGES_SHOWN else ""
        found.append((name, f"{what} {text}{more}" if ends else "never visited"))
    return found


def _place(columns: Sequence[str], center: Sequence[float]) -> str:
    """Return the first coordinates of a centre with their names."""
    shown = list(zip(columns, center, strict=False))[:RANGES_SHOWN]
    more = ", …" if len(center) > RANGES_SHOWN else ""
    return ", ".join(f"{name} {number(float(x))}" for name, x in shown) + more


def _range(low: float, high: float, what: str) -> str:
    digits = ".4g" if what == "centres" else ".0f"
    return f"{low:{digits}}" if low == high else f"{low:{digits}} to {high:{digits}}"
