"""HDF5 records of single-molecule instruments, read without trust."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError, MissingDependencyError
from trajlm.io.arrays import DEFLATE_LIMIT, damaged_as_input_error, select_keys
from trajlm.io.gaps import Clock, cut_at_gaps
from trajlm.io.sources import (
    UNNAMED_UNIT,
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

MAGIC = b"\x89HDF\r\n\x1a\n"
TIMES = ("time", "t")
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

    A dataset named ``time`` gives dt and is left out, and the record is cut where it has gaps.
    Else an attribute such as ``Sample rate (Hz)`` of a dataset or of the file gives dt.

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
    return read_all(path, lambda one: _read_one(one, key, dt, unit, columns))


def _read_one(
    path: PathLike, key: str | None, dt: float | None, unit: str | None, columns: Columns | None
) -> Features:
    if importlib.util.find_spec("h5py") is None:
        raise MissingDependencyError(f'{path}: reading HDF5 needs h5py: pip install "trajlm[hdf5]"')
    import h5py

    check_file(path)
    with damaged_as_input_error(path), h5py.File(path, "r") as file:
        datasets = _datasets(file, path)
        if key is not None:
            return _as_trajectories(file, datasets, key, dt, unit, columns, path)
        return _as_columns(file, datasets, dt, unit, columns, path)


def _as_trajectories(
    file: Dataset,
    datasets: dict[str, Dataset],
    key: str,
    dt: float | None,
    unit: str | None,
    columns: Columns | None,
    path: PathLike,
) -> Features:
    names = select_keys(list(datasets), key, path)
    rate = _sample_dt(file, datasets[names[0]])
    clock = Clock() if rate is None else Clock(rate, "s")
    arrays = [_read(datasets[name], path) for name in names]
    features = build(path, arrays, **time_of(dt, unit, clock.dt, clock.unit))
    if columns is None:
        return features
    index = select_index(features.names, columns, path)
    return features.select([features.names[k] for k in index])


def _as_columns(
    file: Dataset,
    datasets: dict[str, Dataset],
    dt: float | None,
    unit: str | None,
    columns: Columns | None,
    path: PathLike,
) -> Features:
    time_name = next((n for n in datasets if n.rpartition("/")[2].lower() in TIMES), None)
    names = list(datasets)
    index = [k for k, n in enumerate(names) if n != time_name]
    if columns is not None:
        index = select_index(names, columns, path)
    chosen = [names[k] for k in index]
    _check_fit([*chosen, *([time_name] if time_name else [])], datasets, path)
    table = np.column_stack([_read(datasets[name], path) for name in chosen])
    pieces, clock = [table], Clock()
    notes: tuple[str, ...] = ()
    if time_name is not None:
        times = _read(datasets[time_name], path).astype(np.float64)
        found = cut_at_gaps(times, path, "frame", np.arange(len(times)))
        clock = Clock(found.dt, _time_unit(datasets[time_name]))
        pieces, notes = [table[piece] for piece in found.pieces], found.notes
    elif (rate := _sample_dt(file, datasets[chosen[0]])) is not None:
        clock = Clock(rate, "s")
    return build(
        path, pieces, names=_names(table, chosen), notes=notes,
        **time_of(dt, unit, clock.dt, clock.unit),
    )  # fmt: skip


def _names(table: npt.NDArray[Any], chosen: Sequence[str]) -> tuple[str, ...]:
    if table.shape[1] == len(chosen):
        return tuple(chosen)
    # One dataset of several columns
    return tuple(f"{chosen[0]}[{k}]" for k in range(table.shape[1]))


def _datasets(file: Dataset, path: PathLike) -> dict[str, Dataset]:
    """Return the numeric datasets by name; links to other files are never followed."""
    import h5py

    if str(file.attrs.get("conventions", "")).strip("b'") == "Pande":
        raise InputError(
            f"{path} is a molecular trajectory: compute its features first (trajlm features)"
        )
    found: dict[str, Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (1, 2) and item.dtype.kind in "biuf":
            found[name] = item

    file.visititems(visit)
    if not found:
        raise InputError(f"{path} holds no dataset of numbers: (frames,) or (frames, columns)")
    return found


def _check_fit(names: Sequence[str], datasets: dict[str, Dataset], path: PathLike) -> None:
    shapes = {name: datasets[name].shape for name in names}
    lone = len([s for s in shapes.values() if len(s) == 2]) == 1 and len(shapes) <= 2
    if len({s[0] for s in shapes.values()}) > 1 or not (
        lone or all(len(s) == 1 for s in shapes.values())
    ):
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
    return np.asarray(dataset[()])


def _sample_dt(file: Dataset, dataset: Dataset) -> float | None:
    """Return the time between two frames in s, from a sample rate if there is one."""
    for item in (dataset, dataset.parent, file):
        for name, value in item.attrs.items():
            if name.lower() in SAMPLE_RATES and np.size(value) == 1:
                rate = float(np.asarray(value).ravel()[0])
                if np.isfinite(rate) and rate > 0:
                    return float(f"{1 / rate:.12g}")
    return None


def _time_unit(dataset: Dataset) -> str:
    unit = dataset.attrs.get("unit", dataset.attrs.get("units", UNNAMED_UNIT))
    return unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit) or UNNAMED_UNIT
