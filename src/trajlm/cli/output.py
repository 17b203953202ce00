"""What a command may write over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trajlm.errors import InputError
from trajlm.util.atomic import check_writable, lone_file_writer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")]


@contextmanager
def output(out: Path, inputs: Sequence[Path] = (), overwrite: bool = True) -> Iterator[None]:
    """Hold the file `out` for the time of the block; refuse early what could not be written.

    Raises
    ------
    InputError
        The file is one of the inputs, or is there and not to be replaced.
    OutputError
        It cannot be written, or another run is writing it.
    """
    check_output(out, inputs)
    with lone_file_writer(out):
        check_output(out, overwrite=overwrite)
        yield


def check_output(out: Path, inputs: Sequence[Path] = (), overwrite: bool = True) -> None:
    """Refuse early what could not be written, or would be lost.

    Raises
    ------
    InputError
        The file is one of the inputs, or is there and not to be replaced.
    OutputError
        It cannot be written.
    """
    if any(os.path.realpath(out) == os.path.realpath(path) for path in inputs):
        raise InputError(f"{out} is what is read: give another name to write to")
    if out.is_file() and not overwrite:
        raise InputError(f"{out} is there already: --overwrite replaces it")
    check_writable(out)
