"""HDF5 records of single-molecule instruments, read without trust."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError, MissingDependencyError
from trajlm.io.arrays import DEFLATE_LIMIT, damaged_as_input_error, select_keys
from trajlm.io.names import time_unit
from trajlm.io.record import Record, Wanted, features_of
from trajlm.io.sources import (
    Columns,
    PathLike,
    Paths,
    build,
    check_file,
    listed,
    read_all,
    select_index,
    time_of,
)
from trajlm.util.arrays import F64

MAGIC = b"\x89HDF\r\n\x1a\n"
# The fields of values that were stamped one by one.
TIMESTAMP, VALUE = "Timestamp", "Value"
# How instruments and acquisition programs call the frames a second, in any case.
SAMPLE_RATES = ("sample rate (hz)", "sample_rate", "sampling_rate", "sampling_frequency")

Dataset = Any  # h5py is untyped


def read_hdf5(
    path: Paths,
    key: str | None = None,
    dt: float | None = None,
    unit: str | None = None,
    columns: Columns | None = None,
) -> Features:
    """Read records from HDF5: datasets of one length are the columns of one trajectory.

    A dataset named as a time gives dt and is left out, and the record is cut where it has gaps.
    Else the timestamps of the values, or an attribute such as ``Sample rate (Hz)`` of a dataset
    or of the file, give dt. Files of MATLAB (7.3) and of Bluelake are read as others are.

    Parameters
    ----------
    path
        A file, or a list of files of the same columns and dt.
    key
        Datasets that are trajectories rather than columns: a name or a glob such as
        ``trace_*``, each of shape (T,) or (T, d).
    dt, unit
        Time between two frames and its unit, instead of what the file says.
    columns
        Names or zero-based numbers of the datasets to keep.

    Raises
    ------
    InputError
        A damaged file, datasets that do not fit together (the message lists them), links to
        other files, values that are not finite.
    MissingDependencyError
        h5py is not installed.
    """
    wanted = Wanted(columns, dt, unit)
    return read_all(path, lambda one: hdf5_features(one, key, wanted))


def is_hdf5(path: PathLike, start: bytes) -> bool:
    """Return whether a file is HDF5; MATLAB writes a text of its own in front, of 512 bytes."""
    return any(start[at:].startswith(MAGIC) for at in (0, 512, 1024, 2048))


def hdf5_features(path: PathLike, key: str | None, wanted: Wanted) -> Features:
    """Return the trajectories of one file.

    Raises
    ------
    InputError, MissingDependencyError
        As for `read_hdf5`.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingDependencyError(f'{path}: reading HDF5 needs h5py: pip install "trajlm[hdf5]"')
    import h5py

    check_file(path)
    with damaged_as_input_error(path), h5py.File(path, "r") as file:
        datasets = _datasets(file, path)
        if key is not None:
            return _as_trajectories(file, datasets, key, wanted, path)
        return _as_columns(file, datasets, wanted, path)


def _as_trajectories(
    file: Dataset, datasets: dict[str, Dataset], key: str, wanted: Wanted, path: PathLike
) -> Features:
    names = select_keys(list(datasets), key, path)
    rate = _sample_dt(file, datasets[names[0]])
    clock = (None, "frame") if rate is None else (rate, "s")
    arrays = [_read(datasets[name], path) for name in names]
    features = build(path, arrays, **time_of(wanted.dt, wanted.unit, *clock))
    if wanted.columns is None:
        return features
    index = select_index(features.names, wanted.columns, path)
    return features.select([features.names[k] for k in index])


def _as_columns(
    file: Dataset, datasets: dict[str, Dataset], wanted: Wanted, path: PathLike
) -> Features:
    names = list(datasets)
    times = [k for k, name in enumerate(names) if time_unit(name.rpartition("/")[2])[0]]
    index = list(range(len(names)))
    if wanted.columns is not None:
        index = select_index(names, wanted.columns, path)
    extra = times[:1]
    for option in (wanted.time_column, wanted.split_by):
        extra = extra if option is None else [*extra, *select_index(names, option, path)]
    chosen = [names[k] for k in dict.fromkeys([*extra, *index])]
    _check_fit(chosen, datasets, path)
    arrays = {name: _read(datasets[name], path) for name in chosen}
    columns = {name: _column_names(name, arrays[name]) for name in chosen}
    table = np.column_stack([x.ravel() if _is_vector(x.shape) else x for x in arrays.values()])
    if wanted.columns is not None:
        wanted = replace(wanted, columns=[n for k in index for n in columns[names[k]]])
    if times and wanted.time_column is None:
        wanted = replace(wanted, time_column=names[times[0]])
    record = Record(
        path,
        tuple(name for found in columns.values() for name in found),
        np.asarray(table, np.float64),
        lambda row: f"frame {row}",
        units=tuple(_unit(datasets[name]) for name in chosen for _ in columns[name]),
        strict=True,
    )
    stamps = _timestamps(datasets[chosen[0]])
    if wanted.time_column is None and stamps is not None:
        return features_of(_with_time(record, stamps), replace(wanted, time_column="time (s)"))
    rate = _sample_dt(file, datasets[chosen[0]])
    if wanted.time_column is None and rate is not None:
        clock = time_of(wanted.dt, wanted.unit, rate, "s")
        return replace(features_of(record, replace(wanted, dt=None, unit=None)), **clock)
    return features_of(record, wanted)


def _column_names(name: str, x: npt.NDArray[Any]) -> list[str]:
    return [name] if _is_vector(x.shape) else [f"{name}[{k}]" for k in range(x.shape[1])]


def _is_vector(shape: tuple[int, ...]) -> bool:
    """Return whether a dataset holds one number a frame, as MATLAB's columns and rows do."""
    return len(shape) == 1 or (len(shape) == 2 and 1 in shape and max(shape) > 1)


def _timestamps(dataset: Dataset) -> F64 | None:
    """Return the times in s since the first of a dataset of stamped values, as of Bluelake."""
    if dataset.dtype.names is None:
        return None
    stamps = np.asarray(dataset[TIMESTAMP], np.int64)
    times: F64 = (stamps - stamps[0]) * 1e-9
    return times


def _with_time(record: Record, times: F64) -> Record:
    return replace(
        record,
        names=("time (s)", *record.names),
        values=np.column_stack([times, record.values]),
        units=(),
    )


def _datasets(file: Dataset, path: PathLike) -> dict[str, Dataset]:
    """Return the numeric datasets by name; links to other files are never followed."""
    import h5py

    if str(file.attrs.get("conventions", "")).strip("b'") == "Pande":
        raise InputError(
            f"{path} is a molecular trajectory: compute its features first (trajlm features)"
        )
    found: dict[str, Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (1, 2) and _holds_numbers(name, item):
            found[name] = item

    file.visititems(visit)
    several = {name: item for name, item in found.items() if item.size > 1}
    found = several or found  # a single number among records is a setting
    if not found:
        raise InputError(f"{path} holds no dataset of numbers: (frames,) or (frames, columns)")
    return found


def _holds_numbers(name: str, dataset: Dataset) -> bool:
    if dataset.dtype.names is not None:
        return dataset.ndim == 1 and {TIMESTAMP, VALUE} == set(dataset.dtype.names)
    # MATLAB keeps text as numbers, and what cells hold in a group of its own.
    text = _word(dataset.attrs.get("MATLAB_class", "")) in ("char", "cell")
    return dataset.dtype.kind in "biuf" and not text and not name.startswith("#")


def _check_fit(names: Sequence[str], datasets: dict[str, Dataset], path: PathLike) -> None:
    shapes = {name: datasets[name].shape for name in names}
    tables = [s for s in shapes.values() if not _is_vector(s)]
    lengths = {max(s) if _is_vector(s) else s[0] for s in shapes.values()}
    if len(lengths) > 1 or len(tables) > 1 or (tables and len(shapes) > 2):
        found = listed(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(
            f"{path} holds datasets that are not columns of one record, {found}: choose some with "
            "the columns option, or with the key option where each is a trajectory"
        )


def check_dataset(dataset: Dataset, path: PathLike) -> None:
    """Refuse a dataset that lies elsewhere or claims more than is stored.

    Raises
    ------
    InputError
        It does, or it is empty.
    """
    where = f"{path}, dataset {dataset.name!r}"
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{where} lies in another file, which is not followed: copy it in")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > DEFLATE_LIMIT * stored:
        raise InputError(
            f"{where} claims {dataset.nbytes:,} bytes but {stored:,} are stored: it was never "
            "written whole"
        )
    if len(dataset) == 0:
        raise InputError(f"{where} is empty")


def _read(dataset: Dataset, path: PathLike) -> npt.NDArray[Any]:
    """Return a dataset, checked before memory is taken."""
    check_dataset(dataset, path)
    return np.asarray(dataset[VALUE] if dataset.dtype.names else dataset[()])


def _sample_dt(file: Dataset, dataset: Dataset) -> float | None:
    """Return the time between two frames in s, from a sample rate if there is one."""
    for item in (dataset, dataset.parent, file):
        for name, value in item.attrs.items():
            if name.lower() in SAMPLE_RATES and np.size(value) == 1:
                rate = float(np.asarray(value).ravel()[0])
                if np.isfinite(rate) and rate > 0:
                    return float(f"{1 / rate:.12g}")
    return None


def _unit(dataset: Dataset) -> str:
    return _word(dataset.attrs.get("unit", dataset.attrs.get("units", "")))


def _word(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
