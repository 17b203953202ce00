"""Typed objects made from the plain values of files, which are not trusted."""

from __future__ import annotations

import math
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from trajlm.util.words import clipped

T = TypeVar("T")

# Beyond this a coordinate is no measurement, and its square no finite number.
LARGEST = 1e100
# What it raises to take values out of a file that has others.
UNEXPECTED = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError
)  # fmt: skip

# What files of another minor version hold besides is left aside.
FROZEN = ConfigDict(extra="ignore")


def _bounded(value: float) -> float:
    if not abs(value) <= LARGEST:
        raise ValueError(f"{value:g} is not a number from {-LARGEST:g} to {LARGEST:g}")
    return value


def _bounded_or_nan(value: float) -> float:
    return value if math.isnan(value) else _bounded(value)


def _encodable(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("half a character where a name belongs")
    return text


Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
Number = Annotated[float, Field(strict=True), AfterValidator(_bounded)]
# JSON has no NaN: what could not be measured is written as null.
Measured = Annotated[
    float,
    Field(strict=True),
    BeforeValidator(lambda value: math.nan if value is None else value),
    AfterValidator(_bounded_or_nan),
]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(strict=True), AfterValidator(_encodable)]

NAME: TypeAdapter[str] = TypeAdapter(Name)
NAMES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[Name, ...])


def checked(adapter: TypeAdapter[T], values: object) -> T:
    """Return the object that plain values describe.

    Raises
    ------
    ValueError
        They describe none; the message says in a line where and why.
    """
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        raise ValueError(first_complaint(error)) from None


def first_complaint(error: ValidationError) -> str:
    """Return where and why the first of the values does not fit, in a line."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return clipped(f"{place}: {reason}" if place else reason)
