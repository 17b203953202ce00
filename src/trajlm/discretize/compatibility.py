"""What states say of how they were made, and whether two sets of them mean the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.data import StateSpace
from trajlm.discretize.periodic import Periods
from trajlm.provenance import Binning, Centers, Clustering, Discretization, ProductBinning
from trajlm.util.arrays import F64

# Rounding of a cut in units of the largest: numbers held in single precision.
ROUNDING = 1e-6


def find_difference(one: StateSpace, other: StateSpace) -> tuple[str, str] | None:
    """Return what the states of each are, such as bins of phi and bins of psi, where they differ.

    Method, columns, edges or centres and periods are compared, as far as both sides say them;
    None where nothing differs. A column without a name of its own (x0, x1 ...) may be any named
    one.
    """
    cuts, others = _cuts(one), _cuts(other)
    if cuts is None or others is None:
        return _differing_cuts(one.centers, other.centers, "centre", ("states", "states"))
    hows = one.discretization, other.discretization
    words = (f"{cuts.what}{_of(hows[0])}", f"{others.what}{_of(hows[1])}")
    if cuts.what != others.what or columns_differ(hows[0].columns, hows[1].columns):
        return words
    for period, other_period in zip(*(how.periods for how in hows), strict=False):
        if period and other_period and not np.allclose(period, other_period):
            ranges = [f"{low:g} to {high:g}" for low, high in (period, other_period)]
            return f"{words[0]} in {ranges[0]}", f"{words[1]} in {ranges[1]}"
    if hows[0].projection != hows[1].projection:
        made = [
            f"{w} ({how.projection.describe()})" if how.projection else w
            for w, how in zip(words, hows, strict=True)
        ]
        return made[0], made[1] if made[0] != made[1] else f"{made[1]} fitted to other data"
    return _differing_cuts(cuts.points, others.points, cuts.name, words)


@dataclass(frozen=True)
class _Cuts:
    """What is compared of a cut: what it makes, the name of one of its points, and all of them."""

    what: str
    name: str
    points: F64


def _cuts(space: StateSpace) -> _Cuts | None:
    method = space.discretization.method
    if isinstance(method, Binning):
        return _Cuts("bins", "edge", np.array(method.edges))
    if isinstance(method, ProductBinning):
        edges = np.concatenate([binning.edges for binning in method.bins])
        return _Cuts(" x ".join(map(str, method.shape)) + " bins", "edge", edges)
    if isinstance(method, Centers | Clustering):
        points = np.array(method.centers)
        return _Cuts("nearest centres", "centre", points[:, 0] if points.shape[1] == 1 else points)
    return None


def periods_of(space: StateSpace) -> Periods:
    """Return the periodic domain of each coordinate of the centres, None where none is known."""
    if space.centers is None:
        return ()
    n_columns = 1 if space.centers.ndim == 1 else space.centers.shape[1]
    periods = space.discretization.periods
    return periods if len(periods) == n_columns else (None,) * n_columns


def _of(how: Discretization) -> str:
    return f" of {', '.join(how.columns)}" if how.columns else ""


def columns_differ(columns: Sequence[str], other: Sequence[str]) -> bool:
    """Say whether two lists of columns differ; a name of its own and none may be the same."""
    if not columns or not other:
        return False
    pairs = zip(columns, other, strict=False)
    same = [a == b or is_unnamed(a) != is_unnamed(b) for a, b in pairs]
    return len(columns) != len(other) or not all(same)


def is_unnamed(column: str) -> bool:
    """Return whether a column has no name of its own, but a number: x0, x1 ..."""
    return re.fullmatch(r"x\d+", column) is not None


def _differing_cuts(
    a: F64 | None, b: F64 | None, cut: str, words: tuple[str, str]
) -> tuple[str, str] | None:
    if a is None or b is None:
        return None
    if a.shape != b.shape:
        return f"{words[0]} with {len(a)} {cut}s", f"{words[1]} with {len(b)} {cut}s"
    off = np.abs(a - b) > ROUNDING * np.abs(a).max(axis=0)
    if not off.any():
        return None
    k = int(np.argwhere(off)[0][0])
    return f"{words[0]} with {cut} {k} at {_at(a[k])}", f"{words[1]} with {cut} {k} at {_at(b[k])}"


def _at(value: F64) -> str:
    return ", ".join(f"{x:.6g}" for x in np.atleast_1d(value))
