"""Every constraint in a model, compiled once into plain functions.

A check takes a parsed value and returns nothing, or raises `BrokenConstraint`, which says where and what the limit is
but never repeats the value: it may be the name or the number of somebody.
"""

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Final

import botocore.model

from carillon.api.protocol.patterns import full_match
from carillon.errors import InvalidRequest

Check = Callable[[Any], None]

_MAX_SHOWN_VALUES: Final = 24


class BrokenConstraint(InvalidRequest):
    """A member of the request is not as the service model says."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem: Final = problem
        self.path = ""

    def within(self, name: str) -> "BrokenConstraint":
        """Add one step of where it is: a member's name, or `[3]`. Innermost first."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{name}{joint}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else f"The request {self.problem}"


class Checks:
    """Compiles the checks of one service's shapes, each shape once.

    Args:
        admitted: what strings may be besides what the model enumerates, by the name of the shape.
    """

    def __init__(self, admitted: Mapping[str, Sequence[str]] | None = None) -> None:
        self._compiled: dict[str, Check | None] = {}
        self._admitted = admitted or {}

    def of(self, shape: botocore.model.Shape) -> Check | None:
        """Return the check of a shape and of everything in it; None where nothing is constrained.

        Raises:
            ValueError: a shape that contains itself, which no model that we serve has.
        """
        if shape.name not in self._compiled:
            self._compiled[shape.name] = _recursive
            self._compiled[shape.name] = self._compile(shape)
        check = self._compiled[shape.name]
        if check is _recursive:
            raise ValueError(f"{shape.name} contains itself.")
        return check

    def _compile(self, shape: botocore.model.Shape) -> Check | None:
        if shape.type_name == "structure":
            return self._structure(shape)
        if shape.type_name == "list":
            return _both(_size(shape, "items"), self._items(shape))
        if shape.type_name == "map":
            return _both(_size(shape, "entries"), self._entries(shape))
        if shape.type_name in {"string", "character"}:
            enum = _enum(shape, self._admitted.get(shape.name, ()))
            return _both(_both(_size(shape, "characters"), enum), _pattern(shape))
        if shape.type_name == "blob":
            return _size(shape, "bytes")
        if shape.type_name in {"integer", "long", "float", "double"}:
            return _range(shape)
        return None

    def _structure(self, shape: botocore.model.StructureShape) -> Check | None:
        required: tuple[str, ...] = tuple(shape.required_members)
        compiled = {name: self.of(member) for name, member in shape.members.items()}
        checks = {name: check for name, check in compiled.items() if check is not None}
        if not required and not checks:
            return None

        def check(value: dict[str, Any]) -> None:
            for name in required:
                if name not in value:
                    raise BrokenConstraint("is required.").within(name)
            for name, item in value.items():
                if name in checks:
                    try:
                        checks[name](item)
                    except BrokenConstraint as broken:
                        broken.within(name)
                        raise

        return check

    def _items(self, shape: botocore.model.ListShape) -> Check | None:
        check_item = self.of(shape.member)
        if check_item is None:
            return None

        def check(value: Sequence[Any]) -> None:
            for index, item in enumerate(value):
                try:
                    check_item(item)
                except BrokenConstraint as broken:
                    broken.within(f"[{index}]")
                    raise

        return check

    def _entries(self, shape: botocore.model.MapShape) -> Check | None:
        check_key, check_value = self.of(shape.key), self.of(shape.value)
        if check_key is None and check_value is None:
            return None

        def check(value: dict[str, Any]) -> None:
            for index, (key, item) in enumerate(value.items()):
                try:
                    if check_key is not None:
                        check_key(key)
                    if check_value is not None:
                        check_value(item)
                except BrokenConstraint as broken:
                    broken.within(f"[{index}]")  # Not by its key: that is as much somebody's as the value.
                    raise

        return check


def _recursive(_: object) -> None:
    """Mark a shape whose check is being compiled."""


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second

    def check(value: object) -> None:
        first(value)
        second(value)

    return check


def _size(shape: botocore.model.Shape, unit: str) -> Check | None:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if not least and most is None:
        return None

    def check(value: Sized) -> None:
        size = len(value)
        if size < least:
            raise BrokenConstraint(f"has {size} {unit}; at least {least} are required.")
        if most is not None and size > most:
            raise BrokenConstraint(f"has {size} {unit}; at most {most} are allowed.")

    return check


def _range(shape: botocore.model.Shape) -> Check | None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is None and most is None:
        return None

    def check(value: float) -> None:
        if least is not None and value < least:
            raise BrokenConstraint(f"must be at least {least}.")
        if most is not None and value > most:
            raise BrokenConstraint(f"must be at most {most}.")

    return check


def _enum(shape: botocore.model.StringShape, admitted: Sequence[str]) -> Check | None:
    values = [*shape.enum, *admitted]
    allowed = frozenset(values)
    if not shape.enum:
        return None
    shown = ", ".join(values[:_MAX_SHOWN_VALUES]) + (", ..." if len(allowed) > _MAX_SHOWN_VALUES else "")

    def check(value: str) -> None:
        if value not in allowed:
            raise BrokenConstraint(f"must be one of: {shown}.")

    return check


def _pattern(shape: botocore.model.StringShape) -> Check | None:
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        return None
    matches = full_match(pattern)

    def check(value: str) -> None:
        if not matches(value):
            raise BrokenConstraint(f"must match the pattern {pattern} as a whole.")

    return check
