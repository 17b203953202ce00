"""What all readers share: opening a file, selecting columns, joining files into one data set."""

from __future__ import annotations

import importlib
import lzma
import math
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.names import canonical_unit
from trajlm.util.trajectories import owned
from trajlm.util.warn import warn
from trajlm.util.words import duration

PathLike = str | os.PathLike[str]
Paths = PathLike | Sequence[PathLike]
Columns = str | int | Sequence[str | int]

# The first bytes of packed files and the module that unpacks them.
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
LONGEST_MAGIC = max(map(len, PACKED))
# Text of numbers is packed to a tenth, at most to some hundredth.
LARGEST_RATIO = 1100
LEAST_LIMIT = 1 << 26
LISTED = 12  # names shown in a message before it is cut
# Single precision leaves late times so coarse that the dt taken from them is off by this share.
ROUNDED = 0.02
UNNAMED_UNIT = "time unit"  # of a time that is known, but not of what


def check_file(path: PathLike) -> Path:
    """Return `path` as a Path.

    Raises
    ------
    InputError
        There is no such file, it is a folder or a pipe, or it is empty.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError(f"{path} is a folder: give the files in it")
        if not file.exists():
            raise InputError(f"{path} does not exist: check the name and the folder")
        if not file.is_file():
            raise InputError(f"{path} is a pipe or a device: save its data to a file first")
        if file.stat().st_size == 0:
            raise InputError(f"{path} is empty: there is nothing to read")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return file


def read_bytes(path: PathLike, count: int = -1) -> bytes:
    """Return the first `count` bytes of a file, all when -1; unpacked where it is packed.

    Raises
    ------
    InputError
        There is no such file, it is a folder, empty, damaged, or the system refuses to read it.
    """
    file = check_file(path)
    try:
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            start = stream.read(LONGEST_MAGIC)
            stream.seek(0)
            packed = next((name for magic, name in PACKED.items() if start.startswith(magic)), None)
            if packed is None:
                data = stream.read(count)
            else:
                data = _unpack(stream, packed, count, before.st_size, path)
            now = os.fstat(stream.fileno())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
        raise InputError(f"{path} was changed while it was read: try again when it is written")
    return data


def is_packed(path: PathLike) -> bool:
    """Return whether a file is packed by gzip, bzip2 or xz."""
    with check_file(path).open("rb") as stream:
        return stream.read(LONGEST_MAGIC).startswith(tuple(PACKED))


def _unpack(stream: IO[bytes], packed: str, count: int, size: int, path: PathLike) -> bytes:
    limit = max(LARGEST_RATIO * size, LEAST_LIMIT)
    opened: IO[bytes] = importlib.import_module(packed).open(stream)
    try:
        data = opened.read(limit + 1 if count < 0 else count)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged {packed} file or cut short ({error}): pack it again"
        ) from error
    if len(data) > limit:
        raise InputError(
            f"{path} unpacks to more than {limit:,} bytes, far more than text does: unpack it first"
        )
    if not data and count:
        raise InputError(f"{path} is empty once unpacked: there is nothing to read")
    return data


def as_paths(paths: Paths) -> list[PathLike]:
    """Return one path or a list of paths as a list.

    Raises
    ------
    InputError
        The list is empty.
    """
    if isinstance(paths, str | os.PathLike):
        return [paths]
    if not paths:
        raise InputError("no file was given")
    return list(paths)


def time_of(
    dt: float | None, unit: str | None, file_dt: float | None = None, file_unit: str = "frame"
) -> dict[str, Any]:
    """Return dt and unit as keywords: what the user gives wins over what the file says.

    `file_dt` is None where the file does not say it; `file_unit` is then what goes without
    saying. Where both say something and they differ, a warning tells which is used.

    Raises
    ------
    InputError
        A unit for frames whose duration is not known, or another than the file's
        without a dt in it.
    """
    unit = None if unit is None else canonical_unit(unit)
    if dt is not None and dt != 1 and unit is None and file_unit == "frame":
        warn(
            f"dt = {dt:g} has no unit: give one, such as ps",
        )
        unit = UNNAMED_UNIT
    if unit is not None and unit != "frame" and dt is None and file_unit == "frame":
        raise InputError(f"the unit is {unit} but the file does not say dt: give dt, too")
    used_dt = (1.0 if file_dt is None else file_dt) if dt is None else dt
    used_unit = file_unit if unit is None else unit
    # A time without a unit cannot be held against one that has a unit.
    known = file_unit != "frame" and (file_unit != UNNAMED_UNIT or unit is None)
    if file_dt is not None and known:
        if dt is None and canonical_unit(used_unit) != canonical_unit(file_unit):
            raise InputError(
                f"the file says {duration(file_dt, file_unit)} a frame, the unit given is {unit}: "
                "leave the unit out, or give dt, too"
            )
        same_unit = canonical_unit(used_unit) == canonical_unit(file_unit)
        agree = same_unit and math.isclose(used_dt, file_dt, rel_tol=ROUNDED)
        if not agree:
            warn(
                f"the file says {duration(file_dt, file_unit)} a frame, but "
                f"{duration(used_dt, used_unit)} as given is used",
            )
    return {"dt": used_dt, "unit": used_unit}


def select_index(names: Sequence[str], columns: Columns, path: PathLike) -> list[int]:
    """Return the positions of `columns`, each a name or a zero-based number.

    A name wins over a number. The number counts all columns of the file from the left.

    Raises
    ------
    InputError
        A column that is not there or is asked for twice; the message lists those that are.
    """
    wanted = [columns] if isinstance(columns, str | int) else list(columns)
    if not wanted:
        raise InputError(f"{path}: no column was chosen, there are {listed(names)}")
    index = []
    for column in (str(c) for c in wanted):
        if column in names:
            index.append(list(names).index(column))
        elif column.isascii() and column.isdigit() and int(column) < len(names):
            index.append(int(column))
        else:
            parts = [part.strip() for part in column.split(",")]
            repeat = ""
            if len(parts) > 1 and all(part in names for part in parts):
                repeat = f": give each on its own, {' and '.join(map(repr, parts))}"
            raise InputError(
                f"{path}: there is no column {column!r}, there are {listed(names)}{repeat}"
            )
    if len(set(index)) < len(index):
        raise InputError(f"{path}: a column was asked for twice in {listed(map(str, wanted))}")
    return index


def listed(names: Any) -> str:
    """Return names as a readable list, cut when it is long."""
    every = list(names)
    shown = ", ".join(every[:LISTED])
    return f"{shown} ... ({len(every)} in all)" if len(every) > LISTED else shown


def build(path: PathLike, trajectories: Sequence[Any], **fields: Any) -> Features:
    """Return Features, the file named in whatever they refuse."""
    try:
        return Features([owned(x) for x in trajectories], **fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_all(paths: Paths, read_one: Callable[[PathLike], Features]) -> Features:
    """Read each file and return one data set, the trajectories in the order of the files.

    Raises
    ------
    InputError
        Files of different columns, periods, dt or unit; the message names both files.
    """
    files = as_paths(paths)
    parts = [read_one(path) for path in files]
    first = parts[0]
    if len(parts) == 1:
        return first
    for path, part in zip(files[1:], parts[1:], strict=True):
        for what, one, other in (
            ("columns", first.names, part.names),
            ("periods", first.periods, part.periods),
            ("unit", canonical_unit(first.unit), canonical_unit(part.unit)),
            ("filters", _described(first), _described(part)),
        ):
            if one != other:
                raise InputError(
                    f"{files[0]} and {path} have different {what}, {_shown(one)} and "
                    f"{_shown(other)}: give files that agree"
                )
        if first.projection != part.projection:
            raise InputError(
                f"{files[0]} and {path} hold coordinates of different projections: project the "
                "data of both together"
            )
        if not math.isclose(first.dt, part.dt, rel_tol=1e-6):
            raise InputError(
                f"{files[0]} and {path} have different dt, {first.dt:g} and {part.dt:g} "
                f"{first.unit}: read files of one dt together"
            )
    return Features(
        tuple(x for part in parts for x in part.trajectories),
        names=first.names,
        dt=first.dt,
        unit=first.unit,
        periods=first.periods,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        steps=first.steps,
        projection=first.projection,
        column_units=first.column_units,
    )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"({', '.join('none' if v is None else _part(v) for v in value)})"


def _described(features: Features) -> tuple[str, ...]:
    return tuple(step.describe() for step in features.steps)


def _part(value: Any) -> str:
    return value if isinstance(value, str) else f"{value[0]:g} to {value[1]:g}"
