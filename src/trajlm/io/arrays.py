"""npy and npz files, read without trust: no pickle, sizes checked before memory is taken."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.io.sources import PathLike, check_file, listed
from trajlm.util.trajectories import owned

AnyArray = npt.NDArray[Any]
MAPPED_FROM = 1 << 26  # bytes of an npy file that is mapped rather than read
DEFLATE_LIMIT = 1100  # deflate shrinks at most about 1032 times: a larger claim is false
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextmanager
def damaged_as_input_error(path: PathLike) -> Iterator[None]:
    """Turn whatever a damaged file makes the parsers raise into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged bytes reach zlib, zipfile, ast, struct, json ...
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is damaged, cut short or of another format ({reason}): make it again"
        ) from error


def load_npy(path: PathLike) -> AnyArray:
    """Return the array of an npy file; a large one is not read but mapped into memory.

    Raises
    ------
    InputError
        The file is missing, damaged, or holds anything but numbers.
    """
    file = check_file(path)
    size = file.stat().st_size
    with damaged_as_input_error(path), file.open("rb") as stream:
        if size < MAPPED_FROM:
            return _read_array(stream, size, str(path))
        shape, fortran_order, dtype = _checked_header(stream, size, str(path))
        if fortran_order or not dtype.isnative:
            stream.seek(0)
            return _read_array(stream, size, str(path))
        return np.asarray(np.memmap(file, dtype, "r", stream.tell(), shape))


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
    """Read one array whose header and data fill `size` bytes."""
    shape, fortran_order, dtype = _checked_header(stream, size, where)
    expected = math.prod(shape) * dtype.itemsize
    data = stream.read()
    if len(data) != expected:
        raise InputError(f"{where} is cut short: {len(data)} of {expected} bytes are there")
    flat = np.frombuffer(data, dtype) if expected else np.zeros(0, dtype)
    array = flat.reshape(shape, order="F" if fortran_order else "C")
    # A copy of our own: native byte order and C order.
    return owned(array.astype(dtype.newbyteorder("="), order="C", copy=True))


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
