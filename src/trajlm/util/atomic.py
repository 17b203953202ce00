"""Write files whole or not at all: a new file beside the old one, then a rename."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.errors import OutputError

PathLike = str | os.PathLike[str]

# Bytes of a name that hidden files beside it repeat: names may have 255 in all.
LONGEST_STEM = 100
TEMPORARY = re.compile(r"\.(.*)\.[0-9a-f]{32}(\.[^.]*)?", re.DOTALL)


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
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: PathLike) -> Iterator[list[Path]]:
    """Yield a temporary path beside each of `paths`, as `atomic_path` does.

    None takes its place before all are whole and on the disk. A run that is killed while they
    take their places, one after the other, leaves some of them missing, but none of an earlier
    run beside one of this.

    Raises
    ------
    OutputError
        As `atomic_path`.
    """
    targets = [Path(os.path.realpath(path)) for path in paths]
    temporaries: list[Path] = []
    path = paths[0]
    try:
        with ExitStack() as held:
            for path, target in zip(paths, targets, strict=True):
                if target.exists() and not target.is_file():
                    kind = "a folder" if target.is_dir() else "not a plain file"
                    raise OutputError(f"{path} cannot be written: it is {kind}, give a file name")
                target.parent.mkdir(parents=True, exist_ok=True)
                temporaries.append(held.enter_context(_temporary(target)))
            path = paths[0]
            yield temporaries
            for temporary in temporaries:
                _flush_to_disk(temporary)
            for target in targets[1:]:
                target.unlink(missing_ok=True)
            for temporary, target in zip(temporaries, targets, strict=True):
                os.replace(temporary, target)
                flush_folder(target.parent)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Make an empty file beside `target`, known as in use as long as the block runs.

    What a killed process leaves is not: `_remove_leftovers` takes it away.
    """
    while True:
        temporary = target.with_name(f".{hidden_stem(target)}.{uuid.uuid4().hex}{target.suffix}")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock(handle) and _is_at(handle, temporary):
            break
        os.close(handle)  # taken for a leftover before it was locked
    if os.name == "nt":  # has no such locks, and renames no open file
        os.close(handle)
        handle = -1
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if handle >= 0:
            os.close(handle)


def hidden_stem(target: Path) -> str:
    """Return how the hidden files beside `target` begin: its name, and a digest of a long one."""
    name = os.fsencode(target.stem)
    if len(name) <= LONGEST_STEM:
        return target.stem
    digest = hashlib.sha256(name).hexdigest()[:16]
    return f"{name[:LONGEST_STEM].decode(errors='ignore')}~{digest}"


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
    # Nothing is written to find out: who holds the file or folder will see the rest.
    for code, fine in (
        (errno.ENOTDIR, folder.is_dir()),
        (errno.EACCES, os.access(folder, os.W_OK | os.X_OK)),
    ):
        if not fine:
            reason = write_failure(OSError(code, os.strerror(code)))
            raise OutputError(f"{path} cannot be written: {reason}")


@contextmanager
def lone_writer(folder: PathLike) -> Iterator[None]:
    """Hold `folder`, made if need be, against a second run that would write into it.

    The hold is the operating system's and ends with the process, however it ends. What killed
    runs left half-written in the folder is removed. File systems that know no locks are written
    to without.

    Raises
    ------
    OutputError
        Another run holds the folder, or it cannot be made.
    """
    is_new = not os.path.lexists(folder)
    place = Path(os.path.abspath(folder))
    try:
        with _held(place / ".lock", folder, is_folder=True):
            _remove_leftovers(place)
            yield
    finally:
        if is_new:
            # Work that failed before it wrote anything leaves no folder behind.
            with suppress(OSError):
                os.rmdir(place)


@contextmanager
def lone_file_writer(path: PathLike) -> Iterator[None]:
    """Hold the file at `path`, there or not, against a second run that would write it.

    As `lone_writer` does with a folder.

    Raises
    ------
    OutputError
        Another run holds the file, or its folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{hidden_stem(target)}{target.suffix}.lock")
    with _held(lock, path):
        _remove_leftovers(target.parent, target)
        yield


@contextmanager
def _held(lock: Path, what: PathLike, is_folder: bool = False) -> Iterator[None]:
    """Hold the lock file at `lock`, which stands for `what` and is removed at the end."""
    handle = -1
    while handle < 0 or not _is_at(handle, lock):  # its last holder may remove it meanwhile
        if handle >= 0:
            os.close(handle)
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the folder was removed by its last holder
        except OSError as error:
            raise OutputError(f"{what} cannot be written: {write_failure(error)}") from error
        if not _lock(handle):
            os.close(handle)
            kind = "folder" if is_folder else "name"
            raise OutputError(
                f"another run is writing to {what}: wait for its end or choose another {kind}"
            )
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file unless another process has; True where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks on this file system
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Return whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _remove_leftovers(folder: Path, target: Path | None = None) -> None:
    """Remove temporary files that no process has in use: of `target`, or all.

    All are those in `folder` and in the folders in it.
    """
    stem, suffix = ("", "") if target is None else (hidden_stem(target), target.suffix)
    try:
        import fcntl
    except ImportError:  # Windows
        return
    found: list[str] = []
    with suppress(OSError):
        found += [entry.path for entry in os.scandir(folder)]
    for place in [] if target else list(found):
        with suppress(OSError):
            found += [entry.path for entry in os.scandir(place)]
    for path in found:
        match = TEMPORARY.fullmatch(os.path.basename(path))
        if not match:
            continue
        of_target = match.groups(default="") == (stem, suffix)
        # What is kept for going on has temporary files, too.
        if target and not of_target and not match[1].startswith(f".{stem}.partial"):
            continue
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(handle)


def write_text_atomic(path: PathLike, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    data = text_bytes(text)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: PathLike, obj: Any) -> None:
    """Write `obj` as indented JSON, see `json_bytes`.

    Raises
    ------
    OutputError
        The file cannot be written.
    TypeError
        `obj` holds something that has no plain form.
    """
    data = json_bytes(obj)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def text_bytes(text: str) -> bytes:
    """Return `text` as UTF-8 with the line ends it has.

    File names may hold bytes that are not UTF-8; escaped, they are still valid JSON.
    """
    return text.encode("utf-8", errors="backslashreplace")


def json_bytes(obj: Any) -> bytes:
    """Return `obj` as indented JSON.

    NumPy arrays and scalars, tuples and paths become plain values. JSON has no NaN and no
    infinity: they are written as null.

    Raises
    ------
    TypeError
        `obj` holds something that has no plain form.
    """
    text = json.dumps(plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    return text_bytes(text + "\n")


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


def flush_folder(folder: Path) -> None:
    """Make sure that renames in `folder` are on the disk, where its file system can."""
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


def unwritable(path: PathLike, error: OSError) -> OutputError:
    """Return the error of writing `path`, or of another file that the system names."""
    named = error.filename
    if isinstance(named, str | bytes | os.PathLike):
        other = Path(os.fsdecode(named))
        target = Path(os.path.realpath(path))
        hidden = other.name.startswith(f".{hidden_stem(target)}.")
        if other != Path(path) and not hidden and other not in (target, *target.parents):
            return OutputError(f"{other} cannot be read or written: {write_failure(error)}")
    return OutputError(f"{path} cannot be written: {write_failure(error)}")


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
