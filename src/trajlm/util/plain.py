"""Results as plain values."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel


def as_values(obj: Any) -> Any:
    """Return dataclasses and models of pydantic as mappings, anything unknown as its text."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {f.name: as_values(getattr(obj, f.name)) for f in dataclasses.fields(obj)}
    if isinstance(obj, BaseModel):
        return as_values(obj.model_dump())
    if isinstance(obj, Mapping):
        return {str(key): as_values(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [as_values(value) for value in obj]
    if obj is None or isinstance(obj, str | bool | int | float | np.ndarray | np.generic):
        return obj
    return os.fspath(obj) if isinstance(obj, os.PathLike) else str(obj)
