"""What states say of how they were made, and whether two sets of them mean the same."""

from __future__ import annotations

import re

import numpy as np

from trajlm.data import StateSpace
from trajlm.discretize.periodic import Array, Periods

# For each method the key of its cuts, the name of one of them and that of what they make.
CUTS = {
    "bins": ("edges", "edge", "bins"),
    "nearest_centers": ("centers", "centre", "nearest centres"),
    "kmeans": ("centers", "centre", "nearest centres"),
}
# Rounding of a cut in units of the largest: numbers held in single precision.
ROUNDING = 1e-6


def find_difference(one: StateSpace, other: StateSpace) -> tuple[str, str] | None:
    """Return what the states of each are, such as bins of phi and bins of psi, where they differ.

    Method, columns, edges or centres and periods are compared, as far as both sides say them;
    None where nothing differs. A column without a name of its own (x0, x1 ...) may be any named
    one.
    """
    made, other_made = (CUTS.get(str(space.discretization.get("method"))) for space in (one, other))
    if made is None or other_made is None:
        return _differing_cuts(one.centers, other.centers, "centre", ("states", "states"))
    key, cut, _ = made
    words = (_words(one), _words(other))
    if key != other_made[0] or _differ(_columns(one), _columns(other)):
        return words
    periods = [periods_of(space) for space in (one, other)]
    for period, other_period in zip(*periods, strict=False):
        if period and other_period and not np.allclose(period, other_period):
            ranges = [f"{low:g} to {high:g}" for low, high in (period, other_period)]
            return f"{words[0]} in {ranges[0]}", f"{words[1]} in {ranges[1]}"
    cuts = (one.discretization.get(key), other.discretization.get(key))
    return _differing_cuts(*cuts, cut, words)


def periods_of(space: StateSpace) -> Periods:
    """Return the periodic domain of each coordinate of the centres, None where none is known."""
    if space.centers is None:
        return ()
    n_columns = 1 if space.centers.ndim == 1 else space.centers.shape[1]
    how = space.discretization
    found = how.get("periods") or [how.get("period")]
    if not isinstance(found, list | tuple) or len(found) != n_columns:
        return (None,) * n_columns
    domains = [_numbers(period) for period in found]
    return tuple(
        None if d is None or d.shape != (2,) or not d[0] < d[1] else (float(d[0]), float(d[1]))
        for d in domains
    )


def _words(space: StateSpace) -> str:
    kind = CUTS[str(space.discretization["method"])][2]
    columns = _columns(space)
    return f"{kind} of {', '.join(columns)}" if columns else kind


def _columns(space: StateSpace) -> list[str]:
    how = space.discretization
    found = [how["column"]] if "column" in how else how.get("columns")
    return [str(c) for c in found] if isinstance(found, list | tuple) else []


def _differ(columns: list[str], other: list[str]) -> bool:
    """Say whether two lists of columns differ; a name of its own and none may be the same."""
    if not columns or not other:
        return False
    pairs = zip(columns, other, strict=False)
    same = [a == b or _is_unnamed(a) != _is_unnamed(b) for a, b in pairs]
    return len(columns) != len(other) or not all(same)


def _is_unnamed(column: str) -> bool:
    return re.fullmatch(r"x\d+", column) is not None


def _differing_cuts(
    one: object, other: object, cut: str, words: tuple[str, str]
) -> tuple[str, str] | None:
    a, b = _numbers(one), _numbers(other)
    if a is None or b is None:
        return None
    if a.shape != b.shape:
        return f"{words[0]} with {len(a)} {cut}s", f"{words[1]} with {len(b)} {cut}s"
    off = np.abs(a - b) > ROUNDING * np.abs(a).max(axis=0)
    if not off.any():
        return None
    k = int(np.argwhere(off)[0][0])
    return f"{words[0]} with {cut} {k} at {_at(a[k])}", f"{words[1]} with {cut} {k} at {_at(b[k])}"


def _numbers(values: object) -> Array | None:
    """Return an array; None for nothing, and for what a damaged description holds instead."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim and array.size else None


def _at(value: Array) -> str:
    return ", ".join(f"{x:.6g}" for x in np.atleast_1d(value))
