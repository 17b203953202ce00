"""npy and npz files, read without trust: no pickle, sizes checked before memory is taken."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import IO, Any

import numpy as np

from trajlm.errors import InputError
from trajlm.io.sources import PathLike, check_file, listed
from trajlm.util.arrays import AnyArray
from trajlm.util.trajectories import owned

NARROWED_FROM = 1 << 26  # bytes of whole numbers that are kept in the smallest type that fits
READ_AT_ONCE = 1 << 24  # bytes
DEFLATE_LIMIT = 1100  # deflate shrinks at most about 1032 times: a larger claim is false
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextmanager
def damaged_as_input_error(path: PathLike) -> Iterator[None]:
    """Turn whatever a damaged file makes the parsers raise into an InputError.

    So is a file that is written to meanwhile: what was read may be half of one and half of
    another.
    """
    before = _stamp(path)
    try:
        yield
    except InputError:
        _check_unchanged(path, before)
        raise
    except Exception as error:  # damaged bytes reach zlib, zipfile, ast, struct, json ...
        _check_unchanged(path, before)
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is damaged, cut short or of another format ({reason}): make it again"
        ) from error
    _check_unchanged(path, before)


def _check_unchanged(path: PathLike, before: tuple[int, ...]) -> None:
    now = _stamp(path)
    # Another file under the same name leaves the open one as it was.
    if before and now and before[:2] == now[:2] and before != now:
        raise InputError(f"{path} was changed while it was read: try again when it is written")


def _stamp(path: PathLike) -> tuple[int, ...]:
    """Return which file lies at `path` and when it was changed; nothing where that is unknown."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def load_npy(path: PathLike) -> AnyArray:
    """Return the array of an npy file; whole numbers of a large one in the smallest type.

    Raises
    ------
    InputError
        The file is missing, damaged, changed meanwhile, or holds anything but numbers.
    """
    file = check_file(path)
    with damaged_as_input_error(path), file.open("rb") as stream:
        return _read_array(stream, file.stat().st_size, str(path))


def load_npz(path: PathLike, key: str | None) -> tuple[dict[str, AnyArray], dict[str, Any] | None]:
    """Return the arrays of an npz file in the order of the file, and its `meta` if it is ours.

    Parameters
    ----------
    path
        The file.
    key
        A name or a glob such as ``G_*`` that selects arrays of a foreign file; all when None.

    Raises
    ------
    InputError
        The file is missing or damaged, holds anything but numbers, or `key` selects nothing
        (the message lists the keys).
    """
    file = check_file(path)
    with damaged_as_input_error(path), zipfile.ZipFile(file) as archive:
        members = _members(archive, path)
        meta = _read_meta(archive, members, path)
        if meta is not None and key is not None:
            raise InputError(f"{path} was written by trajlm: leave the key {key!r} out")
        if meta is None:
            names = select_keys(list(members), key, path)
        else:
            names = [name for name in members if name != "meta"]
        return {name: _read_member(archive, members[name], path) for name in names}, meta


def select_keys(keys: Sequence[str], key: str | None, path: PathLike) -> list[str]:
    """Return the keys that a name or glob selects, in their order."""
    if key is None:
        return list(keys)
    chosen = [key] if key in keys else [k for k in keys if fnmatchcase(k, key)]
    if not chosen:
        raise InputError(f"{path} has no array {key!r}, there are {listed(keys)}")
    return chosen


def _members(archive: zipfile.ZipFile, path: PathLike) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key == info.filename:
            raise InputError(f"{path} holds {key[:40]!r}, which is no array: it is no npz file")
        if key in members:
            raise InputError(f"{path} holds two arrays {key[:40]!r}: save it again")
        members[key] = info
    if not members:
        raise InputError(f"{path} holds no array: an npz file of trajectories is needed")
    return members


def _read_meta(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: PathLike
) -> dict[str, Any] | None:
    if "meta" not in members:
        return None
    array = _read_member(archive, members["meta"], path)
    if array.ndim != 0 or array.dtype.kind != "U":
        return None
    try:
        meta = json.loads(str(array))
    except ValueError:
        return None
    ours = isinstance(meta, dict) and str(meta.get("kind", "")).startswith("trajlm.")
    return meta if ours else None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: PathLike) -> AnyArray:
    limit = info.compress_size
    if info.compress_type == zipfile.ZIP_DEFLATED:
        limit = DEFLATE_LIMIT * info.compress_size
    elif info.compress_type != zipfile.ZIP_STORED:
        raise InputError(f"{path} is packed in a way NumPy does not write: save it again")
    where = f"{path}, array {info.filename.removesuffix('.npy')!r}"
    if info.file_size > limit:
        raise InputError(f"{where} claims {info.file_size} bytes, more than the file can hold")
    with archive.open(info) as stream:
        return _read_array(stream, info.file_size, where)


def _read_array(stream: IO[bytes], size: int, where: str) -> AnyArray:
    """Read one array whose header and data fill `size` bytes.

    It is a copy of our own: native byte order and C order.
    """
    shape, fortran_order, dtype = _checked_header(stream, size, where)
    count = math.prod(shape)
    narrow = dtype.kind in "iu" and size >= NARROWED_FROM
    flat = np.zeros(count, np.uint8 if narrow else dtype.newbyteorder("="))
    step = max(1, READ_AT_ONCE // max(1, dtype.itemsize))
    for begin in range(0, count, step):
        wanted = min(step, count - begin) * dtype.itemsize
        data = stream.read(wanted)
        if len(data) != wanted:
            there = begin * dtype.itemsize + len(data)
            raise InputError(
                f"{where} is cut short: {there} of {count * dtype.itemsize} bytes are there"
            )
        part = np.frombuffer(data, dtype)
        if narrow:
            lowest, highest = int(part.min()), int(part.max())
            fits = np.result_type(np.min_scalar_type(lowest), np.min_scalar_type(highest))
            flat = flat.astype(np.promote_types(flat.dtype, fits), copy=False)
        flat[begin : begin + len(part)] = part
    array = flat.reshape(shape, order="F" if fortran_order else "C")
    return owned(np.asarray(array, order="C"))


def _checked_header(
    stream: IO[bytes], size: int, where: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of an array whose header and data fill `size` bytes."""
    version = np.lib.format.read_magic(stream)
    if version not in HEADERS:
        raise InputError(f"{where} has npy format {version}, which holds no plain numbers")
    shape, fortran_order, dtype = HEADERS[version](stream)
    if dtype.hasobject:
        raise InputError(
            f"{where} holds Python objects, which are never loaded since loading them can run "
            "code: save plain numbers, one array a trajectory"
        )
    if dtype.kind not in "biufU":
        raise InputError(f"{where} holds {dtype} values: numbers are needed")
    expected = math.prod(shape) * dtype.itemsize
    found = size - stream.tell()
    if expected != found:
        raise InputError(
            f"{where} is cut short or damaged: its header declares {expected} bytes of shape "
            f"{_short(shape)} and there are {found}"
        )
    return shape, fortran_order, dtype


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 60 else text[:60] + " ..."
