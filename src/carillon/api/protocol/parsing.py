"""From the wire to what a handler takes, compiled once per operation into plain functions.

Members come from the path, the query, headers and a JSON body, each where the model says. Unknown JSON members are
ignored and null means absent; a value of the wrong JSON type raises `BrokenConstraint`. Limits are checked afterwards,
by `validation`.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import botocore.model
import msgspec

from carillon.api.protocol import timestamps
from carillon.api.protocol.validation import BrokenConstraint, Check, Checks

Query = Mapping[str, Sequence[str]]
ReadValue = Callable[[Any], Any]

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_INTEGER_BITS: Final = {"integer": 32, "long": 64}


def decode_percent(raw: bytes) -> str:
    """Undo percent-encoding, once; a plus sign stays one.

    Raises:
        BrokenConstraint: a broken escape, or not UTF-8.
    """
    if b"%" in raw and _BAD_ESCAPE.search(raw):
        raise BrokenConstraint("has a % that is not followed by two hexadecimal digits.")
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError as error:
        raise BrokenConstraint("is not UTF-8 after percent-decoding.") from error


def parse_query(raw: bytes) -> dict[str, list[str]]:
    """Split a query string; a name may repeat.

    Raises:
        BrokenConstraint: as for `decode_percent`.
    """
    query: dict[str, list[str]] = {}
    for field in raw.split(b"&") if raw else ():
        name, _, value = field.partition(b"=")
        query.setdefault(decode_percent(name), []).append(decode_percent(value))
    return query


def parse_document(body: bytes) -> dict[str, Any]:
    """Parse a JSON body, which must be an object; an empty body counts as one without members.

    Raises:
        BrokenConstraint: not JSON, not an object, or nested too deeply.
    """
    if not body:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenConstraint("body is not valid JSON.") from error
    if not isinstance(document, dict):
        raise BrokenConstraint("body must be a JSON object.")
    return document


@dataclass(frozen=True, slots=True, eq=False)
class RequestReader:
    """Reads and checks the input of one operation. Built by `request_reader`."""

    _labels: tuple[tuple[str, str, ReadValue], ...]
    _query: tuple[tuple[str, str, ReadValue], ...]
    _headers: tuple[tuple[str, str, ReadValue], ...]
    _body: ReadValue
    _check: Check | None

    def read(
        self, labels: Mapping[str, str], query: Query, headers: Mapping[str, str], document: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the request as a handler takes it: AWS member names, absent members missing.

        Args:
            labels: what the path has in the place of `{name}`, decoded.
            query: decoded, by name.
            headers: by lower-case name.
            document: the JSON body.

        Raises:
            BrokenConstraint: the request is not as the model says.
        """
        request: dict[str, Any] = self._body(document)
        for name, wire_name, read in self._labels:
            _put(request, name, read, labels[wire_name])
        for name, wire_name, read in self._query:
            if wire_name in query:
                _put(request, name, read, query[wire_name])
        for name, wire_name, read in self._headers:
            if wire_name in headers:
                _put(request, name, read, headers[wire_name])
        if self._check is not None:
            self._check(request)
        return request


class Readers:
    """Compiles the readers of one service's operations, each shape once.

    Args:
        admitted: what strings may be besides what the model enumerates, by the name of the shape.
    """

    def __init__(self, admitted: Mapping[str, Sequence[str]] | None = None) -> None:
        self._compiled: dict[str, ReadValue] = {}
        self._checks = Checks(admitted)

    def request(self, operation: botocore.model.OperationModel) -> RequestReader:
        """Return the reader of an operation's input.

        Raises:
            ValueError: the model puts a member where none of the models that we serve has one.
        """
        shape = operation.input_shape
        if shape is None:
            return RequestReader((), (), (), lambda _: {}, None)
        check = self._checks.of(shape)  # First: it refuses a shape that contains itself.
        if shape.serialization.get("payload"):
            raise ValueError(f"{operation.name} has an input payload, which we do not read.")
        placed: dict[str, list[tuple[str, str, ReadValue]]] = {"uri": [], "querystring": [], "header": []}
        in_body = {}
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            if location is None:
                in_body[name] = member
            else:
                wire_name = member.serialization.get("name", name)
                placed[location].append((name, wire_name, _text_reader(member, location)))
        headers = tuple((name, wire_name.lower(), read) for name, wire_name, read in placed["header"])
        body = self._members(in_body)
        return RequestReader(tuple(placed["uri"]), tuple(placed["querystring"]), headers, body, check)

    def _of(self, shape: botocore.model.Shape) -> ReadValue:
        if shape.type_name == "timestamp":  # Its format may belong to the member, not to the shape.
            return timestamps.reader(shape.serialization.get("timestampFormat", "unixTimestamp"))
        if shape.name not in self._compiled:
            self._compiled[shape.name] = self._compile(shape)
        return self._compiled[shape.name]

    def _compile(self, shape: botocore.model.Shape) -> ReadValue:
        if shape.type_name == "structure":
            return self._members(shape.members)
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        return _SCALARS[shape.type_name]

    def _members(self, members: Mapping[str, botocore.model.Shape]) -> ReadValue:
        by_wire_name = {
            member.serialization.get("name", name): (name, self._of(member)) for name, member in members.items()
        }

        def read(value: object) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise BrokenConstraint("must be an object.")
            parsed: dict[str, Any] = {}
            for wire_name, item in value.items():
                if item is not None and wire_name in by_wire_name:
                    name, read_member = by_wire_name[wire_name]
                    _put(parsed, name, read_member, item)
            return parsed

        return read

    def _list(self, shape: botocore.model.ListShape) -> ReadValue:
        read_item = self._of(shape.member)

        def read(value: object) -> list[Any]:
            if not isinstance(value, list):
                raise BrokenConstraint("must be a list.")
            parsed = []
            for index, item in enumerate(value):
                try:
                    parsed.append(read_item(item))
                except BrokenConstraint as broken:
                    broken.within(f"[{index}]")
                    raise
            return parsed

        return read

    def _map(self, shape: botocore.model.MapShape) -> ReadValue:
        read_item = self._of(shape.value)

        def read(value: object) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise BrokenConstraint("must be an object.")
            parsed = {}
            for index, (key, item) in enumerate(value.items()):
                try:
                    if item is not None:
                        parsed[key] = read_item(item)
                except BrokenConstraint as broken:
                    broken.within(f"[{index}]")
                    raise
            return parsed

        return read


def _put(request: dict[str, Any], name: str, read: ReadValue, value: object) -> None:
    try:
        request[name] = read(value)
    except BrokenConstraint as broken:
        broken.within(name)
        raise


def _read_string(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenConstraint("must be a string.")
    return value


def _read_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise BrokenConstraint("must be true or false.")
    return value


def _read_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BrokenConstraint("must be a number.")
    try:
        return float(value)
    except OverflowError as error:
        raise BrokenConstraint("is too large.") from error


def _read_blob(value: object) -> bytes:
    try:
        return b64decode(_read_string(value), validate=True)
    except ValueError as error:
        raise BrokenConstraint("must be a string in base64.") from error


def _integer_reader(bits: int) -> ReadValue:
    limit = 1 << (bits - 1)

    def read(value: object) -> int:
        if isinstance(value, float) and value.is_integer():  # 3.0 is how some JSON writers spell 3.
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BrokenConstraint("must be an integer.")
        if not -limit <= value < limit:
            raise BrokenConstraint(f"must fit into {bits} bits.")
        return value

    return read


_SCALARS: Final[Mapping[str, ReadValue]] = {
    "string": _read_string,
    "character": _read_string,
    "boolean": _read_boolean,
    "float": _read_float,
    "double": _read_float,
    "blob": _read_blob,
    **{name: _integer_reader(bits) for name, bits in _INTEGER_BITS.items()},
}


def _text_reader(shape: botocore.model.Shape, location: str) -> ReadValue:
    """Return what reads a member outside the body: text, or for a query the list of its texts."""
    if location == "querystring":
        if shape.type_name == "list":
            read_item = _scalar_text_reader(shape.member, "iso8601")
            return lambda texts: [read_item(text) for text in texts]
        read_first = _scalar_text_reader(shape, "iso8601")
        return lambda texts: read_first(texts[0])
    return _scalar_text_reader(shape, "rfc822" if location == "header" else "iso8601")


def _scalar_text_reader(shape: botocore.model.Shape, timestamp_format: str) -> ReadValue:
    if shape.type_name == "timestamp":
        return _timestamp_text_reader(shape.serialization.get("timestampFormat", timestamp_format))
    if shape.type_name in _INTEGER_BITS:
        read_integer = _SCALARS[shape.type_name]
        return lambda text: read_integer(int(text) if _DIGITS.fullmatch(text) else text)
    if shape.type_name in {"float", "double"}:
        return lambda text: _read_float(float(text) if _DECIMAL.fullmatch(text) else text)
    if shape.type_name == "boolean":
        return lambda text: _read_boolean({"true": True, "false": False}.get(text))
    if shape.type_name == "string":
        return _read_string
    raise ValueError(f"{shape.name} is a {shape.type_name} outside the body, which we do not read.")


def _timestamp_text_reader(wire_format: str) -> ReadValue:
    read = timestamps.reader(wire_format)
    if wire_format != "unixTimestamp":
        return read
    return lambda text: read(float(text) if _DECIMAL.fullmatch(text) else text)
