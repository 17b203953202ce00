"""Results as plain values, and back."""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

import numpy as np

T = TypeVar("T")


def as_values(obj: Any) -> Any:
    """Return dataclasses as mappings of their fields, and anything unknown as its text."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {f.name: as_values(getattr(obj, f.name)) for f in dataclasses.fields(obj)}
    if isinstance(obj, Mapping):
        return {str(key): as_values(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [as_values(value) for value in obj]
    if obj is None or isinstance(obj, str | bool | int | float | np.ndarray | np.generic):
        return obj
    return os.fspath(obj) if isinstance(obj, os.PathLike) else str(obj)


def from_values(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return the dataclass whose `as_values` these are, as JSON gives them back.

    JSON has no NaN and no infinity: where a number is null, it becomes what the field names as
    ``metadata={"null": ...}``, or NaN. A field that is not there keeps its default.

    Raises
    ------
    KeyError, TypeError, ValueError
        The values are not those of such a dataclass.
    """
    hints = typing.get_type_hints(cls)
    arguments = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in values:
            null = field.metadata.get("null", math.nan)
            arguments[field.name] = _from_value(hints[field.name], values[field.name], null)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise KeyError(field.name)
    return cls(**arguments)


def _from_value(hint: Any, value: Any, null: float) -> Any:
    """Return a value as its annotation wants it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        (hint,) = (part for part in parts if part is not type(None))
        return _from_value(hint, value, null)
    if origin is np.ndarray:
        return _array(parts, value, null)
    if origin is tuple:
        of_each = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_from_value(p, item, null) for p, item in zip(of_each, value, strict=True))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_values(hint, value)
    if hint is float:
        return null if value is None else float(value)
    return value


def _array(parts: tuple[Any, ...], value: Any, null: float) -> np.ndarray[Any, Any]:
    (kind,) = get_args(parts[1])
    kind = get_origin(kind) or kind
    if issubclass(kind, np.integer | np.bool_):
        return np.array(value, dtype=np.int64 if kind is np.integer else kind)
    array = np.array(value, dtype=np.float64)
    array[np.isnan(array)] = null
    return array.astype(np.float64 if kind is np.floating else kind)
