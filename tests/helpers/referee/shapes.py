"""Requests made out of botocore's models: valid ones, and for every constraint one that breaks just that."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import botocore.loaders
import botocore.model

from referee import strings

Path = tuple[str | int, ...]
Input = dict[str, Any]

GONE: Final = object()
"""In the place of a value: the member is missing."""

REFUSAL: Final[Mapping[str, str]] = {"chime": "BadRequestException", "kinesisvideo": "InvalidArgumentException"}
"""What a request that breaks its model is answered with, always 400, by signing name."""

_TELLING: Final[Mapping[str, Input]] = {
    # Both Chime APIs have `/tags`; the kind of resource tells which of them, and so whose limits hold.
    "chime-sdk-voice": {"ResourceARN": "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1"},
}
_NUMBERS: Final = ("integer", "long", "float", "double")
_OTHER_TYPES: Final[Mapping[str, tuple[object, ...]]] = {
    "string": (7, ["a"], {"a": "a"}, True),
    "integer": ("7", 1.5, [7], True),
    "long": ("7", 1.5, [7], True),
    "float": ("7", [7.0], True),
    "double": ("7", [7.0], True),
    "boolean": ("true", 1),
    "timestamp": (["now"], {"at": 0}, True),
    "blob": (7, "not base64!"),
    "structure": ("a", [], 7),
    "list": ("a", {}, 7),
    "map": ("a", [], 7),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """An input that breaks one constraint of its model."""

    constraint: str
    path: Path
    input: Input = field(repr=False)

    @property
    def where(self) -> str:
        """The path as an error message says it."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.constraint} at {self.where}"


@cache
def model(service: str) -> botocore.model.ServiceModel:
    """Return botocore's model of a service."""
    loader = botocore.loaders.Loader([botocore.loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)


def operation(service: str, name: str) -> botocore.model.OperationModel:
    """Return botocore's model of an operation."""
    return model(service).operation_model(name)


def valid_input(service: str, name: str) -> Input:
    """Return the smallest input that an operation's model admits: required members only."""
    shape = operation(service, name).input_shape
    if shape is None:
        return {}
    made: Input = _valid(shape)
    return {**made, **{member: value for member, value in _TELLING.get(service, {}).items() if member in made}}


def _valid(shape: Any) -> Any:
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        return {name: _valid(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [_valid(shape.member) for _ in range(max(1, limits.get("min", 0)))]
    if kind == "map":
        return {_valid(shape.key): _valid(shape.value)}
    if kind == "string":
        return shape.enum[0] if shape.enum else strings.of_length(limits.get("pattern"), least=limits.get("min", 1))
    if kind in _NUMBERS:
        return limits.get("min", 1)
    return {"boolean": True, "timestamp": _timestamp(shape), "blob": "YWJj"}[kind]


def _timestamp(shape: Any) -> str | int:
    return "2026-11-22T10:15:30.123Z" if shape.serialization.get("timestampFormat") == "iso8601" else 1_795_342_530


def broken_inputs(service: str, name: str) -> Iterator[Broken]:
    """Yield, for every constraint of an operation's input, one that breaks just that and is valid otherwise."""
    shape = operation(service, name).input_shape
    if shape is None:
        return
    base = valid_input(service, name)
    for constraint, path, value in _breaks(shape, (), in_body=True):
        yield Broken(constraint, path, _with(shape, base, path, value))


def _breaks(shape: Any, path: Path, *, in_body: bool) -> Iterator[tuple[str, Path, object]]:
    """Yield (constraint, where, the value to put there) for a shape and all in it."""
    kind = shape.type_name
    if path and in_body:
        yield from ((f"JSON type {number}", path, other) for number, other in enumerate(_OTHER_TYPES[kind]))
    if kind == "structure":
        yield from _member_breaks(shape, path, in_body=in_body)
    elif kind == "list":
        yield from _size_breaks(shape, path)
        yield from _breaks(shape.member, (*path, 0), in_body=in_body)
    elif kind == "map":
        yield from _map_breaks(shape, path)
    elif kind == "string":
        yield from _string_breaks(shape, path)
    elif kind in _NUMBERS:
        yield from _number_breaks(shape, path, in_body=in_body)


def _member_breaks(shape: Any, path: Path, *, in_body: bool) -> Iterator[tuple[str, Path, object]]:
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if name in shape.required_members and location != "uri":
            yield "required", (*path, name), GONE
        for found in _breaks(member, (*path, name), in_body=in_body and location is None):
            if location != "uri" or found[2] != "":  # An empty label is another path.
                yield found


def _number_breaks(shape: Any, path: Path, *, in_body: bool) -> Iterator[tuple[str, Path, object]]:
    if not in_body:
        yield "a number", path, "seven"
    if "min" in shape.metadata:
        yield "minimum", path, shape.metadata["min"] - 1
    if "max" in shape.metadata:
        yield "maximum", path, shape.metadata["max"] + 1


def _size_breaks(shape: Any, path: Path) -> Iterator[tuple[str, Path, object]]:
    item = [_valid(shape.member)]
    if shape.metadata.get("min", 0) > 0:
        yield "minimum size", path, item * (shape.metadata["min"] - 1)
    if "max" in shape.metadata:
        yield "maximum size", path, item * (shape.metadata["max"] + 1)


def _map_breaks(shape: Any, path: Path) -> Iterator[tuple[str, Path, object]]:
    key = _valid(shape.key)
    for constraint, _, value in _string_breaks(shape.key, ()):
        yield f"key's {constraint}", (*path, 0), {value: _valid(shape.value)}
    for constraint, inner, value in _breaks(shape.value, (0,), in_body=True):
        if inner == (0,):
            yield f"value's {constraint}", (*path, 0), {key: value}


def _string_breaks(shape: Any, path: Path) -> Iterator[tuple[str, Path, object]]:
    least, most, pattern = (shape.metadata.get(name) for name in ("min", "max", "pattern"))
    if shape.enum:
        yield "enum", path, "NoSuchValue"
        yield "enum's case", path, shape.enum[0].swapcase()
        return
    if least:
        yield "minimum length", path, strings.of_length(pattern, least - 1) or "a" * (least - 1)
    if most is not None:
        yield "maximum length", path, strings.of_length(pattern, most + 1) or "a" * (most + 1)
    if pattern is not None:
        base = strings.of_length(pattern, least=least or 1) or ""
        wrong = strings.against(pattern, base, least or 0, most or 1 << 16)
        if wrong is not None:
            yield "pattern", path, wrong


def _with(shape: Any, base: Any, path: Path, value: object) -> Any:
    """Return a copy of a valid value with another one at a path; what is missing on the way is made, valid."""
    if not path:
        return value
    made, step = copy.copy(base), path[0]
    if shape.type_name == "map":  # Its breaks give the whole map; the step is only for the message.
        return value
    inner = shape.members[step] if shape.type_name == "structure" else shape.member
    if len(path) == 1 and value is GONE:
        made.pop(step, None)
        return made
    held = made.get(step, GONE) if isinstance(made, dict) else made[step]
    made[step] = _with(inner, _valid(inner) if held is GONE else held, path[1:], value)
    return made
