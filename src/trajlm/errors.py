"""What can go wrong for a user, each said in one sentence."""

from __future__ import annotations

from pathlib import Path


class TrajlmError(Exception):
    """Base of every error a user can cause; the command line shows it without a traceback."""


class InputError(TrajlmError):
    """Data or arguments that cannot be used as they are: the message says where and what to do."""


class ModelFileError(TrajlmError):
    """A model folder or checkpoint that is missing, damaged or of another version."""


class UnfinishedTrainingError(ModelFileError):
    """A model folder that holds a training which was stopped, and no model yet.

    Parameters
    ----------
    folder
        Its path.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds an unfinished training and no model yet: resume it first, with the "
            "same states and settings"
        )
        self.folder = folder


class OutputError(TrajlmError):
    """A result that cannot be written where the user asked for it."""


class MissingDependencyError(TrajlmError):
    """An optional package is needed; the message names the extra that brings it."""


class Interrupted(KeyboardInterrupt):
    """The user stopped long work; what was done is saved and the message says how to go on.

    It is no `TrajlmError`: what goes on after errors still stops at Ctrl-C.

    Parameters
    ----------
    message
        What was stopped, and what is saved of it.
    resumable
        Whether the same call can go on where this one was stopped, when told to resume.
    """

    def __init__(self, message: str, resumable: bool = False) -> None:
        super().__init__(message)
        self.resumable = resumable


class TrajlmWarning(UserWarning):
    """Something in the data that the user should know but that does not stop the work."""


class TrajlmNote(UserWarning):
    """What a reader took a file for where it is most likely right: shown, and never an error."""
