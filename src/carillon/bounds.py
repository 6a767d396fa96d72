"""What a setting may be: kinds of numbers and texts with their range, and how to tell people of it."""

import math
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
"""A probability, or a part of a whole."""
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
OptionalSeconds = Annotated[float, Meta(ge=0, le=86_400)]
"""0 means at once, or never: the setting says which."""
Hours = Annotated[float, Meta(gt=0, le=87_600)]
Days = Annotated[float, Meta(gt=0, le=36_500)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]
"""Of things or bytes; 0 means no limit."""
Rate = Annotated[float, Meta(ge=0, le=1_000_000_000_000)]
"""A second; 0 means no limit."""
Bytes = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Url = Annotated[
    str,
    Meta(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?\Z", description="empty, or a URL: http://... or https://..."),
]

_NAMES: Final[Mapping[type, str]] = {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}


class OutOfBounds(ValueError):
    """A value is none that a setting can have."""


def checked(value: object, kind: Any) -> object:  # noqa: ANN401 - a type
    """Return a value as its kind; a text, as variables are, may stand for a number or for true and false.

    Raises:
        OutOfBounds: it is of another kind, or out of range.
    """
    bare = _bare(kind)
    if isinstance(value, bool) != (bare is bool) and not isinstance(value, str):
        raise OutOfBounds
    try:
        found = msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise OutOfBounds from error
    if isinstance(found, float) and not math.isfinite(found):
        raise OutOfBounds
    return found


def described(kind: Any) -> str:  # noqa: ANN401 - a type
    """Return in words what a value of a kind may be."""
    bare = _bare(kind)
    if typing.get_origin(bare) is Literal:
        return "one of " + ", ".join(f'"{value}"' for value in typing.get_args(bare))
    if typing.get_origin(bare) is Mapping:
        return f"a table of names, each with {described(typing.get_args(bare)[1])}"
    meta = meta_of(kind)
    return meta.description or f"{_NAMES[bare]}{_range(meta)}"


def meta_of(kind: Any) -> Meta:  # noqa: ANN401 - a type
    """Return the bounds of a kind; empty ones where it has none."""
    return next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, Meta)), Meta())


def _bare(kind: Any) -> Any:  # noqa: ANN401 - a type
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _range(meta: Meta) -> str:
    bounds = (("above", meta.gt), ("of at least", meta.ge), ("below", meta.lt), ("at most", meta.le))
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:,} to {meta.le:,}"
    said = ", ".join(f"{word} {bound:,}" for word, bound in bounds if bound is not None)
    return f" {said}" if said else ""
