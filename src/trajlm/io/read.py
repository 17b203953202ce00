"""Read features from any of the file formats."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.arrays import AnyArray, damaged_as_input_error, load_npy, load_npz
from trajlm.io.colvar import read_colvar
from trajlm.io.hdf5 import MAGIC, read_hdf5
from trajlm.io.sources import (
    Columns,
    PathLike,
    Paths,
    build,
    listed,
    read_all,
    read_bytes,
    select_index,
    time_of,
)
from trajlm.io.text import read_text
from trajlm.provenance import History, Note
from trajlm.util.checked import NAME, NAMES, checked

FEATURES_KIND = "trajlm.features"
STATES_KIND = "trajlm.states"
# Each takes some hundred bytes, however short it is.
MOST_TRAJECTORIES = 10**7


def read_features(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
    key: str | None = None,
    period: tuple[float, float] | None = None,
) -> Features:
    """Read continuous time series from COLVAR, text, CSV, HDF5, npy or npz, told by content.

    Parameters
    ----------
    path
        A file, or a list of files of the same columns and dt.
    columns
        Names or zero-based numbers of the columns to keep.
    dt, unit
        Time between two frames and its unit, instead of what the file says.
    key
        Which arrays of a foreign npz or HDF5 file are trajectories: a name or a glob such as
        ``E_*``.
    period
        Periodic domain (low, high) of the columns, instead of what the file says: (-180, 180)
        for an angle in degrees that a text file holds.

    Returns
    -------
    Features
        One trajectory a file; several where an npz or HDF5 file holds them or a record has gaps.

    Raises
    ------
    InputError
        Whatever cannot be read as it is, with the file and the place in it.
    """
    features = read_all(path, lambda one: _read_features(one, columns, dt, unit, key))
    if period is None:
        return features
    low, high = period
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"a period goes from a lower to a higher number, not {low:g} to {high:g}")
    for name, known in zip(features.names, features.periods, strict=True):
        if known is not None and not np.allclose(known, (low, high), rtol=1e-3):
            raise InputError(
                f"the file says that {name} is periodic from {known[0]:.6g} to {known[1]:.6g}, not "
                f"from {low:g} to {high:g}: leave the period out"
            )
    return replace(features, periods=((low, high),) * features.n_columns)


def _read_features(
    path: PathLike, columns: Columns | None, dt: float | None, unit: str | None, key: str | None
) -> Features:
    kind = file_kind(path)
    if kind == "npz":
        return read_npz(path, key, dt, unit, columns)
    if kind == "hdf5":
        return read_hdf5(path, key, dt, unit, columns)
    if key is not None:
        raise InputError(f"{path} is neither npz nor HDF5: leave the key {key!r} out")
    if kind == "npy":
        return read_npy(path, dt, unit, columns)
    reader = read_colvar if kind == "colvar" else read_text
    return reader(path, columns, dt, unit)


def file_kind(path: PathLike) -> str:
    """Return ``npy``, ``npz``, ``hdf5``, ``colvar`` or ``text``, by the first bytes or the suffix.

    Raises
    ------
    InputError
        The file is missing, empty or a folder.
    """
    start = read_bytes(path, 1000)
    suffix = Path(path).suffix.lower()
    if start.startswith(b"\x93NUMPY") or suffix == ".npy":
        return "npy"
    if start.startswith(b"PK\x03\x04") or suffix == ".npz":
        return "npz"
    if start.startswith(MAGIC):
        return "hdf5"
    first = start.removeprefix(b"\xef\xbb\xbf").split(maxsplit=2)[:2]
    return "colvar" if first == [b"#!", b"FIELDS"] else "text"


def read_npy(
    path: Paths,
    dt: float | None = None,
    unit: str | None = None,
    columns: Columns | None = None,
) -> Features:
    """Read npy files of shape (T,) or (T, d), one file a trajectory.

    Parameters
    ----------
    path
        A file, or a list of files with the same number of columns.
    dt, unit
        Time between two frames and its unit; 1 frame when not given, as the file cannot say.
    columns
        Zero-based numbers (or ``x0``, ``x1`` ...) of the columns to keep.

    Raises
    ------
    InputError
        A damaged file, values that are not finite numbers (file, frame and column).
    """

    def read_one(one: PathLike) -> Features:
        array = load_npy(one)
        return _foreign_features({"": array}, one, columns, **time_of(dt, unit))

    return read_all(path, read_one)


def read_npz(
    path: Paths,
    key: str | None = None,
    dt: float | None = None,
    unit: str | None = None,
    columns: Columns | None = None,
) -> Features:
    """Read npz files: those of `write_features`, or foreign ones with one array a trajectory.

    Parameters
    ----------
    path
        A file, or a list of files of the same columns and dt.
    key
        Which arrays of a foreign file are trajectories: a name or a glob such as ``E_*``.
        They come in the order of the file.
    dt, unit
        Time between two frames and its unit, instead of what the file says.
    columns
        Names or zero-based numbers of the columns to keep.

    Raises
    ------
    InputError
        A damaged file, arrays that do not fit together (the message lists the keys), Python
        objects, values that are not finite.
    """

    def read_one(one: PathLike) -> Features:
        arrays, meta = load_npz(one, key)
        if meta is None:
            features = _foreign_features(arrays, one, columns, **time_of(dt, unit))
            if len(arrays) > 1:
                text = f"{one}: the arrays {listed(arrays)} were read as {len(arrays)} trajectories"
                features = replace(features, notes=(Note(text, "arrays"),))
            return features
        features = _own_features(arrays, meta, one)
        features = replace(features, **time_of(dt, unit, features.dt, features.unit))
        if columns is None:
            return features
        index = select_index(features.names, columns, one)
        return features.select([features.names[k] for k in index])

    return read_all(path, read_one)


def _foreign_features(
    arrays: dict[str, AnyArray], path: PathLike, columns: Columns | None, **clock: Any
) -> Features:
    """Return the chosen columns of plain arrays, one a trajectory, as Features."""
    _check_fit(arrays, path)
    tables = [x[:, None] if x.ndim == 1 else x for x in arrays.values()]
    names = [f"x{k}" for k in range(tables[0].shape[1])]
    if columns is None or not names:
        return build(path, tables, **clock)
    index = select_index(names, columns, path)
    chosen = tuple(names[k] for k in index)
    return build(path, [x[:, index] for x in tables], names=chosen, **clock)


def _check_fit(arrays: dict[str, AnyArray], path: PathLike) -> None:
    """Refuse arrays that cannot be trajectories of the same columns."""
    if any(x.dtype.kind == "U" for x in arrays.values()):
        raise InputError(f"{path} holds text among {listed(arrays)}: choose arrays with the key")
    shapes = {k: x.shape for k, x in arrays.items()}
    if (
        any(len(s) not in (1, 2) for s in shapes.values())
        or len({s[1:] for s in shapes.values()}) > 1
    ):
        if len(shapes) == 1:
            raise InputError(
                f"{path} holds an array of shape {next(iter(shapes.values()))}: "
                "(frames,) or (frames, columns) is needed"
            )
        raise InputError(
            f"{path} holds arrays that are not trajectories of the same columns, {listed(shapes)}: "
            "choose some with the key option, a name or a glob such as 'G_*'"
        )


def _own_features(arrays: dict[str, AnyArray], meta: dict[str, Any], path: PathLike) -> Features:
    if meta["kind"] != FEATURES_KIND:
        raise InputError(f"{path} holds states, not features: continuous data is needed here")
    with damaged_as_input_error(path):
        if len(meta["periods"]) != len(meta["names"]):
            raise ValueError("not as many periods as columns")
        history = History.from_dict(meta)
        return build(
            path,
            split_trajectories(arrays["values"], arrays["lengths"]),
            names=checked(NAMES, meta["names"]),
            dt=float(meta["dt"]),
            unit=checked(NAME, meta["unit"]),
            periods=tuple(meta["periods"]),
            notes=history.notes,
            steps=history.steps,
        )


def split_trajectories(values: AnyArray, lengths: AnyArray) -> list[AnyArray]:
    """Cut joined trajectories at the borders they had before they were written."""
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or not len(lengths):
        raise ValueError("the lengths of the trajectories are not whole numbers")
    # None longer than all, or their sum could wrap around.
    if lengths.min() < 0 or lengths.max() > len(values) or int(lengths.sum()) != len(values):
        raise ValueError("the lengths of the trajectories do not add up")
    if len(lengths) > MOST_TRAJECTORIES:
        raise ValueError(f"more than {MOST_TRAJECTORIES:,} trajectories")
    return np.split(values, np.cumsum(lengths)[:-1])
