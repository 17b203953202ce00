"""Warnings that point at the user's line."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import FrameType

from trajlm.errors import TrajlmWarning

PACKAGE = str(Path(__file__).parents[1]) + os.sep


def warn(message: str, category: type[UserWarning] = TrajlmWarning) -> None:
    """Warn of something in the data, at the line outside the package that called into it.

    Python's own `stacklevel` counts frames, whose number changes with the way that was taken.
    """
    frame: FrameType = sys._getframe()
    while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    scope = frame.f_globals
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        scope.get("__name__", "<unknown>"),
        scope.setdefault("__warningregistry__", {}),
    )
