"""What can go wrong for a user, each said in one sentence."""


class TrajlmError(Exception):
    """Base of every error a user can cause; the command line shows it without a traceback."""


class InputError(TrajlmError):
    """Data or arguments that cannot be used as they are: the message says where and what to do."""


class ModelFileError(TrajlmError):
    """A model folder or checkpoint that is missing, damaged or of another version."""


class OutputError(TrajlmError):
    """A result that cannot be written where the user asked for it."""


class MissingDependencyError(TrajlmError):
    """An optional package is needed; the message names the extra that brings it."""


class Interrupted(KeyboardInterrupt):
    """The user stopped long work; what was done is saved and the message says how to go on.

    It is no `TrajlmError`: what goes on after errors still stops at Ctrl-C.
    """


class TrajlmWarning(UserWarning):
    """Something in the data that the user should know but that does not stop the work."""
