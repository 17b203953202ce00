"""What a command may write over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trajlm.errors import InputError
from trajlm.models.files import (
    DESCRIPTION,
    MEMBERS,
    forget_training,
    holds_model,
    holds_training,
    settle_model,
)
from trajlm.util.atomic import check_writable, lone_file_writer, lone_writer
from trajlm.util.processes import place
from trajlm.util.progress import say, tell

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


@contextmanager
def model_output(out: Path, inputs: Sequence[Path] = (), overwrite: bool = False) -> Iterator[None]:
    """Hold the model folder `out` for the time of the block; refuse early what would be lost.

    A training in it that was not finished ends with the block: it would replace the model.

    Raises
    ------
    InputError
        The folder is one of the inputs, or holds something that is not to be replaced.
    OutputError
        It cannot be written, or another run is writing it.
    """
    if any(os.path.realpath(out) == os.path.realpath(path) for path in inputs):
        raise InputError(f"{out} is what is read: give another name to write to")
    check_writable(out / DESCRIPTION)
    with lone_writer(out):
        settle_model(out)
        if (holds_model(out) or holds_training(out)) and not overwrite:
            what = "a model" if holds_model(out) else "an unfinished training"
            raise InputError(f"{out} holds {what}: --overwrite replaces it")
        yield
        forget_training(out)


def is_to_be_trained(
    out: Path, finished: Callable[[], bool], other: str, resume: bool, overwrite: bool
) -> bool:
    """Return whether anything is to do in a folder that is held; refuse what would be lost.

    Parameters
    ----------
    finished
        Says whether the model in the folder is what would be trained.
    other
        What a training of another kind leaves in the folder.
    """
    if place()[0] == 0:
        settle_model(out)
    begun = holds_training(out)
    if begun and not (resume or overwrite):
        raise InputError(
            f"{out} holds an unfinished training: use --resume to continue it or --overwrite to "
            "start over"
        )
    if resume and finished():
        if place()[0] == 0:
            forget_training(out)
        tell(f"{out}: this training is finished already")
        return False
    if resume and (out / other).exists():
        kind = "several models" if other == MEMBERS else "one model"
        raise InputError(
            f"{out} holds an unfinished training of {kind}: give --n-models as then, or "
            "--overwrite to start over"
        )
    if holds_model(out) and not overwrite and not (resume and begun):
        raise InputError(f"{out} holds a trained model: --overwrite replaces it")
    if resume and not begun:
        say(f"{out} holds no unfinished training: starting over")
    return True


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
