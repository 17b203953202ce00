"""Read states from npy, npz and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.io.arrays import AnyArray, damaged_as_input_error, load_npy, load_npz
from trajlm.io.read import STATES_KIND, file_kind, split_trajectories
from trajlm.io.sources import PathLike, Paths, as_paths, listed, time_of
from trajlm.io.text import read_table

LARGEST_STATE = 2**31 - 1  # beyond this a table with a row a state fits no memory


@dataclass(frozen=True)
class _Part:
    """What one file says; n_states is 0 when it does not say."""

    path: PathLike
    trajectories: list[AnyArray]
    n_states: int = 0
    dt: float = 1.0
    unit: str = "frame"
    centers: Any = None
    discretization: dict[str, Any] = field(default_factory=dict)


def read_states(
    path: Paths,
    key: str | None = None,
    dt: float | None = None,
    unit: str | None = None,
) -> States:
    """Read discrete trajectories from npy, npz or one column of text.

    Parameters
    ----------
    path
        An npy file of integers, (T,) or (K, T) with one trajectory a row; an npz file of
        `write_states` or a foreign one with one array a trajectory; a text file with one
        column of integers. Or a list of such files.
    key
        Which arrays of a foreign npz file are trajectories: a name or a glob such as ``G_*``.
        They come in the order of the file.
    dt, unit
        Time between two frames and its unit, instead of what the file says; 1 frame when
        neither says anything.

    Raises
    ------
    InputError
        A damaged file; negative, fractional or huge state numbers (trajectory and frame);
        arrays that are not states (the message lists the keys); files that disagree on the
        states, dt or unit (the message names both).
    """
    parts = [_read_one(one, key) for one in as_paths(path)]
    first = parts[0]
    for part in parts[1:]:
        _check_agree(first, part)
    source = next((part for part in parts if part.n_states), first)
    for part in parts:
        _check_states(part, source.n_states)
    return States(
        tuple(s for part in parts for s in part.trajectories),
        n_states=source.n_states,
        centers=source.centers,
        discretization=source.discretization,
        **time_of(dt, unit, source.dt, source.unit),
    )


def _read_one(path: PathLike, key: str | None) -> _Part:
    kind = file_kind(path)
    if kind == "npz":
        arrays, meta = load_npz(path, key)
        return _foreign(arrays, path) if meta is None else _own(arrays, meta, path)
    if key is not None:
        raise InputError(f"{path} is no npz file: leave the key {key!r} out")
    if kind == "npy":
        return _foreign({"": load_npy(path)}, path)
    if kind in ("colvar", "hdf5"):
        name = {"colvar": "a COLVAR", "hdf5": "an HDF5"}[kind]
        raise InputError(f"{path} is {name} file of continuous data: discretise it first")
    table = read_table(path)
    if len(table.names) != 1:
        raise InputError(
            f"{path} has {len(table.names)} columns, {listed(table.names)}: states are one "
            "column of integers, discretise continuous data first"
        )
    return _Part(path, [table.values[:, 0]])


def _foreign(arrays: dict[str, AnyArray], path: PathLike) -> _Part:
    fit = all(x.ndim in (1, 2) and _is_whole(x) for x in arrays.values())
    if len(arrays) > 1 and (not fit or len({x.ndim for x in arrays.values()}) > 1):
        raise InputError(
            f"{path} holds arrays that are not all states, {listed(arrays)}: choose some with "
            "the key option, a name or a glob such as 'G_*'"
        )
    rows: list[AnyArray] = []
    for x in arrays.values():
        if x.ndim not in (1, 2):
            raise InputError(
                f"{path} holds an array of shape {x.shape}: states have shape (frames,), or "
                "(trajectories, frames) with one trajectory a row"
            )
        rows.extend(x if x.ndim == 2 else [x])
    return _Part(path, rows)


def _is_whole(x: AnyArray) -> bool:
    return x.dtype.kind in "biu" or (x.dtype.kind == "f" and bool((x == np.floor(x)).all()))


def _own(arrays: dict[str, AnyArray], meta: dict[str, Any], path: PathLike) -> _Part:
    if meta["kind"] != STATES_KIND:
        raise InputError(f"{path} holds features, not states: discretise them first")
    with damaged_as_input_error(path):
        return _Part(
            path,
            split_trajectories(arrays["states"], arrays["lengths"]),
            n_states=int(meta["n_states"]),
            dt=float(meta["dt"]),
            unit=str(meta["unit"]),
            centers=_centers(arrays),
            discretization=dict(meta["discretization"]),
        )


def _centers(arrays: dict[str, AnyArray]) -> AnyArray | None:
    centers = arrays.get("centers")
    return None if centers is None else np.atleast_1d(np.asarray(centers, dtype=np.float64))


def _check_agree(first: _Part, part: _Part) -> None:
    known = bool(first.n_states and part.n_states)
    for what, one, other in (
        ("numbers of states", first.n_states, part.n_states),
        ("dt", first.dt, part.dt),
        ("units", first.unit, part.unit),
        ("state centres", _listed_centers(first), _listed_centers(part)),
        ("discretisations", _meaning(first), _meaning(part)),
    ):
        if known and one != other:
            raise InputError(
                f"{first.path} and {part.path} have different {what}: their states do not mean "
                "the same, read them apart"
            )


def _meaning(part: _Part) -> dict[str, Any]:
    # Notes name the file that was read and may differ.
    return {key: value for key, value in part.discretization.items() if key != "notes"}


def _listed_centers(part: _Part) -> Any:
    return None if part.centers is None else part.centers.tolist()


def _check_states(part: _Part, n_states: int) -> None:
    """Let each file's states be checked alone, so that the message names the file."""
    if not 0 <= n_states <= LARGEST_STATE + 1:
        raise InputError(f"{part.path} is damaged: it claims {n_states} states")
    for i, s in enumerate(part.trajectories):
        if s.dtype.kind != "U" and len(s) and s.max() > LARGEST_STATE:
            frame = int(np.argmax(s > LARGEST_STATE))
            raise InputError(
                f"{part.path}: state {s[frame]} in trajectory {i}, frame {frame} is too large a "
                f"number, states go to {LARGEST_STATE}"
            )
    try:
        States(tuple(part.trajectories), n_states=n_states, dt=part.dt, unit=part.unit)
    except InputError as error:
        raise InputError(f"{part.path}: {error}") from None
