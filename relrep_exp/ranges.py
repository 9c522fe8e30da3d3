"""Ranges of values, which the configuration and the classes for use from Python share, and their check."""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Several = Annotated[int, Field(ge=2)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Auto = Literal["auto"]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)  # a text is no number, True is not 1
_NUMBERS = {int: "an integer", float: "a number"}
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}


def check_ranges(what: str, values: Mapping[str, Any], ranges: Mapping[str, Any]) -> None:
    """Check values, each against the type of its name; numpy's scalars count as Python's.

    Raises:
        ValueError: some do not fit; each with what would.
    """
    wrong = [
        f"{name}={values[name]!r}: use {words(kind)}"
        for name, kind in ranges.items()
        if not _fits(values[name], kind)
    ]
    if wrong:
        raise ValueError(f"{what}: {'; '.join(wrong)}")


def words(kind: Any) -> str:
    """Say what fits a type, e.g. `an integer from 1 on, or 'auto'`."""
    if get_origin(kind) in (Union, types.UnionType):
        return ", or ".join(words(one) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) is not Annotated:
        return _NUMBERS[kind]
    number, field = get_args(kind)
    bounds = [
        form.format(getattr(bound, name))
        for bound in field.metadata
        for name, form in _BOUNDS.items()
        if hasattr(bound, name)
    ]
    return " ".join([_NUMBERS[number], *bounds]) + (" on" if len(bounds) == 1 and "from" in bounds[0] else "")


def _fits(value: Any, kind: Any) -> bool:
    scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    try:
        _validator(kind).validate_python(value.item() if scalar else value)
    except ValidationError:
        return False
    return True


@cache
def _validator(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=_STRICT)
