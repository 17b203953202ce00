"""Compiled loops kept on disk, so that they are compiled once on a machine.

Numba's own cache looks at the file of one function only: after an edit to a room that others here
import, an old loop would go on running. Here all loops share a folder that is named after the text
of this whole package and what compiled it, so that any edit begins a new one. A file is whole or
not there: it begins with the digest of the rest, and takes its name when it is complete, so that
processes that compile at the same time do not disturb each other. What is damaged is compiled anew,
and where nothing can be kept the work goes on without.

A kept loop is code: folders and files that others than this user can write are not read.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from platformdirs import user_cache_dir

DIGEST_BYTES = 32
# A folder of other sources or versions is removed when nobody has used it for so long.
SECONDS_KEPT = 30 * 24 * 3600
# Settings of numba that change no code.
NOT_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")


class KernelCache:
    """What a numba dispatcher asks for the compiled code of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was kept for a signature, None if there is nothing or it is damaged."""
        context.refresh()
        name = self._file_name(signature, context.codegen())
        for folder in folders():
            if (kept := _read(folder / name)) is None:
                continue
            # A file as it was written, which yet this numba cannot read, is no reason to stop.
            with suppress(Exception):
                return CompileResult._rebuild(context, *pickle.loads(kept))
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled function in the first folder that takes it, if one does."""
        if result.library.has_dynamic_globals or any(not x.can_cache for x in result.lifted):
            return
        name, data = self._file_name(signature, result.codegen), dumps(result._reduce())
        for folder in folders():
            with suppress(OSError):
                _make(folder)
                _write(folder / name, hashlib.sha256(data).digest() + data)
                return

    def _file_name(self, signature: Any, codegen: Any) -> str:
        """Return the name for a signature on this processor."""
        what = repr((str(signature), codegen.magic_tuple()))
        return f"{self._name}-{hashlib.sha256(what.encode()).hexdigest()[:24]}"


@cache
def folders() -> tuple[Path, ...]:
    """Return the folders that loops may be kept in, the first choice first."""
    key = _key()
    if key is None:
        return ()
    home, package = Path(user_cache_dir("trajlm", appauthor=False)), Path(__file__).parent
    roots = [home, package / "__pycache__"]
    if numba.config.CACHE_DIR:
        # As the user told numba.
        roots.insert(0, Path(numba.config.CACHE_DIR).absolute())
    with suppress(OSError):
        # Without a home, as in a container, a later command finds it here.
        roots.append(Path(tempfile.gettempdir()) / f"trajlm-{_user()}")
    return tuple(root / f"kernels-{key}" for root in roots if root.is_absolute())


def _key() -> str | None:
    """Return the digest of what compiled code depends on; None where no source can be read."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    if not sources:
        return None
    settings = {k: v for k, v in os.environ.items() if k.startswith("NUMBA_") and k not in NOT_CODE}
    versions = sys.version, sys.platform, numba.__version__, llvmlite.__version__
    digest = hashlib.sha256(repr((versions, sorted(settings.items()))).encode())
    try:
        for path in sources:
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    return digest.hexdigest()[:24]


def _user() -> int:
    """Return this user's number, 0 where the system has none."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _safe(status: os.stat_result) -> bool:
    """Return whether only this user, or the system's administrator, can have written it."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make(folder: Path) -> None:
    """Make a folder that only this user can write, and remove those that nobody has used for long.

    Raises
    ------
    OSError
        It cannot be made, or others can write there.
    """
    if not folder.exists():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for other in folder.parent.glob("kernels-*"):
            if time.time() - other.lstat().st_mtime > SECONDS_KEPT:
                shutil.rmtree(other, ignore_errors=True)
    if not _safe(folder.lstat()):
        raise PermissionError(f"others can write to {folder}")


def _read(path: Path) -> bytes | None:
    """Return what `_write` was given, None if it is not there, not whole or not safe to use."""
    try:
        with path.open("rb") as file:
            if not (_safe(os.fstat(file.fileno())) and _safe(path.parent.lstat())):
                return None
            data = file.read()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(path.parent)
    digest, kept = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return kept if hashlib.sha256(kept).digest() == digest else None


def _write(path: Path, data: bytes) -> None:
    """Write a file that appears when it is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
