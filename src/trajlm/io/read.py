"""Read features from any of the file formats."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError, TrajlmNote
from trajlm.io.arrays import damaged_as_input_error, load_npy, load_npz
from trajlm.io.clip import clipped, ends
from trajlm.io.colvar import colvar_record
from trajlm.io.hdf5 import hdf5_features, is_hdf5
from trajlm.io.record import (
    Wanted,
    are_columns,
    columns_record,
    features_of,
    looks_odd,
    table_record,
    warn_of,
)
from trajlm.io.sources import (
    Columns,
    PathLike,
    Paths,
    build,
    is_packed,
    listed,
    read_all,
    read_bytes,
    select_index,
    time_of,
)
from trajlm.io.text import text_record
from trajlm.provenance import History, Note
from trajlm.util.arrays import AnyArray
from trajlm.util.checked import NAME, NAMES, checked

FEATURES_KIND = "trajlm.features"
STATES_KIND = "trajlm.states"
ARRAY = "number of the array"
# Comments may stand above the first line that PLUMED wrote.
FIRST_FIELDS = re.compile(rb"\s*(?:#[^\n\r]*[\n\r]\s*)*?#!\s+FIELDS\b")
# Each takes some hundred bytes, however short it is.
MOST_TRAJECTORIES = 10**7


def read_features(
    path: Paths,
    columns: Columns | None = None,
    dt: float | None = None,
    unit: str | None = None,
    key: str | None = None,
    period: tuple[float, float] | None = None,
    *,
    time_column: str | int | None = None,
    split_by: str | int | None = None,
    header_lines: int | None = None,
    clip: tuple[float, float] | None = None,
) -> Features:
    """Read continuous time series from COLVAR, text, CSV, HDF5, npy or npz, told by content.

    COLVAR and text may be packed by gzip, bzip2 or xz.

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
    time_column
        Which column holds the time, by name or number, where its name does not say so.
    split_by
        The column that tells trajectories apart, such as the number of a molecule.
    header_lines
        How many lines of a text file stand above its numbers.
    clip
        Lowest and highest value (low, high): what lies beyond is set to them, as for the few
        values that noise or bleaching drives out of 0 to 1. A note says how many.

    Returns
    -------
    Features
        One trajectory a file; several where an npz or HDF5 file holds them, a record has gaps
        or is split.

    Raises
    ------
    InputError
        Whatever cannot be read as it is, with the file and the place in it.
    """
    wanted = Wanted(columns, dt, unit, time_column, split_by, header_lines)
    features = read_all(path, lambda one: _read_features(one, wanted, key))
    if period is not None:
        features = _with_period(features, period)
    return features if clip is None else clipped(features, clip)


def _with_period(features: Features, period: tuple[float, float]) -> Features:
    low, high = ends(period, "a period")
    for name, known in zip(features.names, features.periods, strict=True):
        if known is not None and not np.allclose(known, (low, high), rtol=1e-3):
            raise InputError(
                f"the file says that {name} is periodic from {known[0]:.6g} to {known[1]:.6g}, not "
                f"from {low:g} to {high:g}: leave the period out"
            )
    return replace(features, periods=((low, high),) * features.n_columns)


def _read_features(path: PathLike, wanted: Wanted, key: str | None) -> Features:
    kind = file_kind(path)
    if wanted.header_lines is not None and kind != "text":
        raise InputError(f"{path} is no plain text: leave the number of header lines out")
    if key is not None and kind not in ("npz", "hdf5"):
        raise InputError(f"{path} is neither npz nor HDF5: leave the key {key!r} out")
    if kind == "npz":
        return _read_npz(path, key, wanted)
    if kind == "hdf5":
        return hdf5_features(path, key, wanted)
    if kind == "npy":
        return _foreign_features({"": load_npy(path)}, path, wanted)
    record = colvar_record(path) if kind == "colvar" else text_record(path, wanted.header_lines)
    return features_of(record, wanted)


def file_kind(path: PathLike) -> str:
    """Return ``npy``, ``npz``, ``hdf5``, ``colvar`` or ``text``, by the first bytes or the suffix.

    Raises
    ------
    InputError
        The file is missing, empty or a folder.
    """
    start = read_bytes(path, 4096)
    suffix = Path(path).suffix.lower()
    kind = "text"
    if start.startswith(b"\x93NUMPY") or suffix == ".npy":
        kind = "npy"
    elif start.startswith(b"PK\x03\x04") or suffix == ".npz":
        kind = "npz"
    elif is_hdf5(path, start):
        kind = "hdf5"
    elif FIRST_FIELDS.match(start.removeprefix(b"\xef\xbb\xbf")):
        kind = "colvar"
    if kind not in ("text", "colvar") and is_packed(path):
        raise InputError(f"{path} is a packed {kind} file, of which only text is read: unpack it")
    return kind


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
    wanted = Wanted(columns, dt, unit)
    return read_all(path, lambda one: _foreign_features({"": load_npy(one)}, one, wanted))


def read_npz(
    path: Paths,
    key: str | None = None,
    dt: float | None = None,
    unit: str | None = None,
    columns: Columns | None = None,
) -> Features:
    """Read npz files: those of `write_features`, or foreign ones.

    In a foreign file, arrays of one number a frame, of one length and with names of their own,
    such as ``time``, ``phi`` and ``psi``, are the columns of one trajectory; arrays of different
    lengths, tables, or with names that differ by a number only (``arr_0``, ``arr_1``) are a
    trajectory each.

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
    return read_all(path, lambda one: _read_npz(one, key, Wanted(columns, dt, unit)))


def _read_npz(path: PathLike, key: str | None, wanted: Wanted) -> Features:
    arrays, meta = load_npz(path, key)
    if meta is None:
        single = [name for name, x in arrays.items() if x.size == 1]
        rest = {name: x for name, x in arrays.items() if x.size != 1}
        if key is None and (are_columns(rest) or (single and len(rest) == 1)):
            record = columns_record(rest, path)
            text = f"{path}: the single number(s) {listed(single)} were left out"
            left_out = Note(text, "columns")
            return features_of(replace(record, remarks=(left_out,) if single else ()), wanted)
        features = _foreign_features(arrays, path, wanted)
        if len(arrays) > 1:
            text = f"{path}: the arrays {listed(arrays)} were read as {len(arrays)} trajectories"
            note = Note(text, "arrays")
            warn_of([note], TrajlmNote)
            features = replace(features, notes=(*features.notes, note))
        return features
    _no_options(path, wanted, "it was written by trajlm and says both itself")
    features = _own_features(arrays, meta, path)
    features = replace(features, **time_of(wanted.dt, wanted.unit, features.dt, features.unit))
    if wanted.columns is None:
        return features
    index = select_index(features.names, wanted.columns, path)
    return features.select([features.names[k] for k in index])


def _foreign_features(arrays: dict[str, AnyArray], path: PathLike, wanted: Wanted) -> Features:
    """Return the chosen columns of plain arrays, one a trajectory, as Features."""
    _check_fit(arrays, path)
    tables = [x[:, None] if x.ndim == 1 else x for x in arrays.values()]
    names = tuple(f"x{k}" for k in range(tables[0].shape[1]))
    if len(tables) == 1 and names and len(tables[0]):
        table = tables[0]
        if wanted.time_column is not None or wanted.split_by is not None or looks_odd(table):
            return features_of(table_record(table, names, path), wanted)
    if len(tables) > 1 and (wanted.time_column is not None or all(map(looks_odd, tables))):
        # One record, split into its arrays again.
        which = np.repeat(np.arange(len(tables)), [len(x) for x in tables])
        joined = np.column_stack([np.concatenate(tables), which])
        record = table_record(joined, (*names, ARRAY), path)
        return features_of(record, replace(wanted, split_by=ARRAY))
    _no_options(path, wanted, "it holds several arrays, each a trajectory")
    clock = time_of(wanted.dt, wanted.unit)
    if wanted.columns is None or not names:
        return build(path, tables, **clock)
    index = select_index(names, wanted.columns, path)
    chosen = tuple(names[k] for k in index)
    return build(path, [x[:, index] for x in tables], names=chosen, **clock)


def _no_options(path: PathLike, wanted: Wanted, reason: str) -> None:
    if wanted.time_column is not None or wanted.split_by is not None:
        raise InputError(f"{path} has no column of times or molecules to choose: {reason}")


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
            projection=history.projection,
            column_units=checked(NAMES, meta.get("column_units", ())),
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
