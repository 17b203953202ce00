"""Read states from npy, npz and text."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trajlm.data import AS_GIVEN, States
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io.arrays import damaged_as_input_error, load_npy, load_npz
from trajlm.io.labels import numbered
from trajlm.io.names import canonical_unit
from trajlm.io.read import STATES_KIND, file_kind, split_trajectories
from trajlm.io.record import Wanted, features_of
from trajlm.io.sources import PathLike, Paths, as_paths, listed, time_of
from trajlm.io.text import text_record
from trajlm.provenance import Discretization
from trajlm.util.arrays import AnyArray
from trajlm.util.checked import LARGEST, NAME, checked

STATE_NAME = re.compile(
    r"(?:(?:micro|macro|meta)?states?|d_?traj|labels?|clusters?|assignments?)(?:[\s_]?\d*)",
    re.IGNORECASE,
)
LARGEST_STATE = 10**6 - 1  # beyond this a table with a row and a column a state fits no memory


def holds_states(path: PathLike, key: str | None = None) -> bool:
    """Return whether a file is read as states: it says so, or it holds whole numbers from 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajlmWarning)
        try:
            if file_kind(path) == "npz" and (meta := load_npz(path, None)[1]) is not None:
                return bool(meta["kind"] == STATES_KIND)
            read_states(path, key)
        except InputError:
            return False
    return True


@dataclass(frozen=True)
class _Part:
    """What one file says; n_states is 0 when it does not say."""

    path: PathLike
    trajectories: list[AnyArray]
    n_states: int = 0
    dt: float = 1.0
    unit: str = "frame"
    centers: Any = None
    discretization: Discretization = AS_GIVEN


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
        An npy file of integers, (T,), (T, 1) or (K, T) with one trajectory a row; an npz file of
        `write_states` or a foreign one with one array a trajectory; a text file with one
        column of integers, or one that is named as states. Or a list of such files.
    key
        Which arrays of a foreign npz file are trajectories: a name or a glob such as ``G_*``.
        They come in the order of the file.
    dt, unit
        Time between two frames and its unit, instead of what the file says; 1 frame when
        neither says anything.

    Raises
    ------
    InputError
        A damaged file; negative or fractional states, or one far beyond all others (trajectory
        and frame);
        arrays that are not states (the message lists the keys); files that disagree on the
        states, dt or unit (the message names both).
    """
    parts = [_read_one(one, key) for one in as_paths(path)]
    first = parts[0]
    for part in parts[1:]:
        _check_agree(first, part)
    source = next((part for part in parts if part.n_states), first)
    if not source.n_states:
        trajectories, labels = numbered([(part.path, part.trajectories) for part in parts])
        parts = [replace(p, trajectories=t) for p, t in zip(parts, trajectories, strict=True)]
        source = replace(first, centers=labels)
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
    return _of_text(path)


def _of_text(path: PathLike) -> _Part:
    """Return the states in a text file: its one column, or the one that is named so."""
    record = text_record(path)
    columns = None
    if len(record.names) > 1:
        columns = [name for name in record.names if STATE_NAME.fullmatch(name)][:1] or None
    features = features_of(record, Wanted(columns))
    if features.n_columns != 1:
        raise InputError(
            f"{path} has {features.n_columns} columns, {listed(features.names)}: states are one "
            "column of integers, discretise continuous data first"
        )
    rows = [x[:, 0] for x in features.trajectories]
    return _Part(path, rows, dt=features.dt, unit=features.unit)


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
        if x.ndim == 2 and x.shape[1] == 1 and len(x) > 1:
            x = x[:, 0]  # one trajectory as a column
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
            unit=checked(NAME, meta["unit"]),
            centers=_centers(arrays),
            discretization=Discretization.from_dict(meta["discretization"]),
        )


def _centers(arrays: dict[str, AnyArray]) -> AnyArray | None:
    centers = arrays.get("centers")
    if centers is None:
        return None
    array = np.atleast_1d(np.asarray(centers, dtype=np.float64))
    if array.ndim > 2 or not (np.abs(array) <= LARGEST).all():
        raise ValueError("a state centre is not a finite number")
    return array


def _check_agree(first: _Part, part: _Part) -> None:
    known = bool(first.n_states and part.n_states)
    for what, one, other in (
        ("numbers of states", first.n_states, part.n_states),
        ("dt", first.dt, part.dt),
        ("units", canonical_unit(first.unit), canonical_unit(part.unit)),
        ("state centres", _listed_centers(first), _listed_centers(part)),
        ("discretisations", _meaning(first), _meaning(part)),
    ):
        if known and one != other:
            raise InputError(
                f"{first.path} and {part.path} have different {what}: their states do not mean "
                "the same, read them apart"
            )


def _meaning(part: _Part) -> Discretization:
    # Notes name the file that was read and may differ.
    return replace(part.discretization, notes=())


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
