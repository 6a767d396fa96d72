"""From what a handler returns to the wire, compiled once per operation into plain functions.

Absent members and None are left out; a member that the model does not know is a mistake of ours and raises, so that no
SDK ever sees it.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import botocore.model
import msgspec

from carillon.api.protocol import timestamps
from carillon.api.protocol.asgi import Headers

WriteValue = Callable[[Any], Any]

_JSON: Final = (b"content-type", b"application/json")
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Status, headers, and a body that is whole or still to come."""

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""


WriteResponse = Callable[[Mapping[str, Any] | None], Response]


class Writers:
    """Compiles the writers of one service's operations, each shape once."""

    def __init__(self) -> None:
        self._compiled: dict[str, WriteValue] = {}

    def response(self, operation: botocore.model.OperationModel) -> WriteResponse:
        """Return what turns an operation's output members into a response.

        The returned function raises TypeError for members that the model does not know.
        """
        status: int = operation.http.get("responseCode", 200)
        shape = operation.output_shape
        if status == 204:
            return _nothing(operation.name)
        if shape is None:
            return lambda _: Response(status, (_JSON,), b"{}")
        in_body, placed = _split(shape)
        write_head = self._head(status, placed)
        payload = shape.serialization.get("payload")
        if payload is not None:
            return _payload(payload, frozenset(shape.members), write_head)
        write_body = self._members(in_body, also_known=frozenset(placed))

        def write(members: Mapping[str, Any] | None) -> Response:
            known = members or {}
            at, headers = write_head(known)
            return Response(at, (_JSON, *headers), _ENCODER.encode(write_body(known)))

        return write

    def _head(
        self, status: int, placed: Mapping[str, botocore.model.Shape]
    ) -> Callable[[Mapping[str, Any]], tuple[int, list[tuple[bytes, bytes]]]]:
        """Return what reads the status and the headers out of the members that the model places there."""
        status_member = next((n for n, m in placed.items() if m.serialization["location"] == "statusCode"), None)
        headers = [
            (name, member.serialization.get("name", name).lower().encode(), _header_writer(member))
            for name, member in placed.items()
            if member.serialization["location"] == "header"
        ]

        def write(members: Mapping[str, Any]) -> tuple[int, list[tuple[bytes, bytes]]]:
            present = [(wire, text(members[name])) for name, wire, text in headers if members.get(name) is not None]
            chosen = members.get(status_member) if status_member else None
            return (status if chosen is None else int(chosen)), present

        return write

    def _of(self, shape: botocore.model.Shape) -> WriteValue:
        if shape.type_name == "timestamp":  # Its format may belong to the member, not to the shape.
            return timestamps.writer(shape.serialization.get("timestampFormat", "unixTimestamp"))
        if shape.name not in self._compiled:
            self._compiled[shape.name] = self._compile(shape)
        return self._compiled[shape.name]

    def _compile(self, shape: botocore.model.Shape) -> WriteValue:
        if shape.type_name == "structure":
            return self._members(shape.members)
        if shape.type_name == "list":
            write_item = self._of(shape.member)
            return lambda items: [write_item(item) for item in items]
        if shape.type_name == "map":
            write_value = self._of(shape.value)
            return lambda entries: {key: write_value(item) for key, item in entries.items() if item is not None}
        if shape.type_name == "blob":
            return lambda data: b64encode(data).decode()
        return _as_is

    def _members(
        self, members: Mapping[str, botocore.model.Shape], also_known: frozenset[str] = frozenset()
    ) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        writers = {name: (member.serialization.get("name", name), self._of(member)) for name, member in members.items()}

        def write(value: Mapping[str, Any]) -> dict[str, Any]:
            written: dict[str, Any] = {}
            for name, item in value.items():
                if name in writers:
                    if item is not None:
                        wire_name, write_member = writers[name]
                        written[wire_name] = write_member(item)
                elif name not in also_known:
                    raise TypeError(f"The model has no output member {name!r} here.")
            return written

        return write


def _as_is(value: object) -> object:
    return value


def _split(
    shape: botocore.model.StructureShape,
) -> tuple[dict[str, botocore.model.Shape], dict[str, botocore.model.Shape]]:
    """Return the members that travel in the body, and those that the model places elsewhere."""
    in_body = {name: member for name, member in shape.members.items() if "location" not in member.serialization}
    return in_body, {name: member for name, member in shape.members.items() if name not in in_body}


def _header_writer(shape: botocore.model.Shape) -> Callable[[Any], bytes]:
    if shape.type_name != "timestamp":
        return lambda value: (str(value).lower() if isinstance(value, bool) else str(value)).encode("latin-1")
    write = timestamps.writer(shape.serialization.get("timestampFormat", "rfc822"))
    return lambda at: str(write(at)).encode()


def _nothing(operation_name: str) -> WriteResponse:
    empty = Response(204, ())

    def write(members: Mapping[str, Any] | None) -> Response:
        if members:
            raise TypeError(f"{operation_name} answers 204 and has no room for members.")
        return empty

    return write


def _payload(
    payload: str,
    known: frozenset[str],
    write_head: Callable[[Mapping[str, Any]], tuple[int, list[tuple[bytes, bytes]]]],
) -> WriteResponse:
    """Return the writer of a response whose body is one blob: bytes, or an async iterator of them."""

    def write(members: Mapping[str, Any] | None) -> Response:
        present = members or {}
        if not present.keys() <= known:
            raise TypeError(f"The model has no output members {sorted(present.keys() - known)}.")
        status, headers = write_head(present)
        if all(name != b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/octet-stream"))
        return Response(status, headers, present.get(payload) or b"")

    return write
