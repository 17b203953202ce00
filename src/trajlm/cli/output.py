"""What a command may write over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from trajlm.errors import InputError
from trajlm.util.atomic import check_writable

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")]


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
