"""Write files whole or not at all: a new file beside the old one, then a rename."""

from __future__ import annotations

import errno
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.errors import OutputError

PathLike = str | os.PathLike[str]


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block succeeds.

    The temporary file has the suffix of the target, is flushed to the disk before the rename,
    and is removed when the block fails or is interrupted. Parent folders are created, and a
    symbolic link is written through.

    Raises
    ------
    OutputError
        The target is a folder or a device, or the system refuses to write (no space, no
        permission, a file where a folder should be).
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem[:100]}.{uuid.uuid4().hex}{target.suffix}")
    try:
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "not a plain file"
            raise OutputError(f"{path} cannot be written: it is {kind}, give a file name")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {write_failure(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path: PathLike) -> None:
    """Refuse early, before long work, what could not be written at its end.

    Raises
    ------
    OutputError
        As `atomic_path`.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder, give a file name")
    folder = target.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    probe = folder / f".{uuid.uuid4().hex}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {write_failure(error)}") from error


@contextmanager
def lone_writer(folder: PathLike) -> Iterator[None]:
    """Hold `folder`, made if need be, against a second run that would write into it.

    The hold is the operating system's and ends with the process, however it ends. File systems
    that know none are written to without.

    Raises
    ------
    OutputError
        Another run holds the folder, or it cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    is_new = not os.path.lexists(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {write_failure(error)}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OutputError(
            f"another run is writing to {folder}: wait for its end or choose another folder"
        ) from None
    except OSError:
        pass  # no locks on this file system
    try:
        yield
    finally:
        if is_new:
            # Work that failed before it wrote anything leaves no folder behind.
            with suppress(OSError):
                os.rmdir(folder)
        os.close(handle)


def write_text_atomic(path: PathLike, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with atomic_path(path) as temporary:
        # File names may hold bytes that are not UTF-8; escaped, they are still valid JSON.
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_json(path: PathLike, obj: Any) -> None:
    """Write `obj` as indented JSON.

    NumPy arrays and scalars, tuples and paths become plain values. JSON has no NaN and no
    infinity: they are written as null.

    Raises
    ------
    OutputError
        The file cannot be written.
    TypeError
        `obj` holds something that has no plain form.
    """
    text = json.dumps(plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def plain(obj: Any) -> Any:
    """Return `obj` as the plain values that JSON knows; NaN and infinity become None."""
    if isinstance(obj, np.ndarray | np.generic):
        return plain(obj.tolist())
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [plain(value) for value in obj]
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # The rename itself lives in the folder; some file systems do not let a folder be flushed.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_failure(error: OSError) -> str:
    """Say why the system refused to write, and what to do."""
    # NumPy says how much it could write, but not why it stopped.
    if error.errno == errno.ENOSPC or (error.errno is None and "written" in str(error)):
        return "there is no space left on the disk, free some or write elsewhere"
    if error.errno in (errno.EDQUOT, errno.EFBIG):
        return "the quota or the limit on file sizes is used up, free some or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission was refused, choose another folder"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "a file stands where a folder is needed, choose another name"
    return error.strerror or type(error).__name__
