"""The canonical form of a request: the bytes whose hash a client signs with Signature Version 4.

Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from carillon.api.protocol.asgi import Headers

SIGNATURE_FIELD: Final = "X-Amz-Signature"
"""The one field of a presigned query that is not signed."""

_UNRESERVED: Final = "-_.~"
_PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9_.~/%-]*")
_PLAIN_FIELD: Final = re.compile(rb"[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*")

Values = dict[bytes, list[bytes]]
"""The values of each header, by lower-case name."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """All of a request that is signed, but its body."""

    method: str
    raw_path: bytes
    """As sent, without the query."""
    raw_query: bytes = field(repr=False)
    headers: Headers = field(repr=False)


def by_name(headers: Headers) -> Values:
    """Return the values of each header, in order of arrival."""
    values: Values = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return values


def canonical_request(head: RequestHead, values: Values, signed_headers: Iterable[str], payload_hash: str) -> bytes:
    """Return the bytes whose hash is signed.

    Args:
        head: the request's head.
        values: of its headers, by name.
        signed_headers: names in the order in which the client listed them.
        payload_hash: hexadecimal, or UNSIGNED-PAYLOAD.
    """
    lines = [head.method.encode(), _canonical_path(head.raw_path), _canonical_query(head.raw_query)]
    for name in signed_headers:
        raw = name.encode("latin-1")
        lines.append(raw + b":" + b",".join(b" ".join(value.split()) for value in values.get(raw, ())))
    lines += [b"", ";".join(signed_headers).encode("latin-1"), payload_hash.encode()]
    return b"\n".join(lines)


def _canonical_path(raw_path: bytes) -> bytes:
    """Return the path as sent, encoded once more, dots and double slashes resolved: every service but S3 does so."""
    path = raw_path or b"/"
    if b"//" in path or b"/." in path:
        path = _resolve(path)
    if _PLAIN_PATH.fullmatch(path):
        return path.replace(b"%", b"%25")
    return quote(path, safe="/" + _UNRESERVED).encode()


def _resolve(path: bytes) -> bytes:
    """Resolve `.`, `..` and empty segments as RFC 3986 does."""
    resolved: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del resolved[-1:]
        elif segment not in {b"", b"."}:
            resolved.append(segment)
    directory = bool(resolved) and path.rsplit(b"/", 1)[1] in {b"", b".", b".."}
    return b"/" + b"/".join(resolved) + (b"/" if directory else b"")


def _canonical_query(raw_query: bytes) -> bytes:
    """Return the fields sorted by encoded name, then value; each decoded and strictly encoded again."""
    if not raw_query or _PLAIN_FIELD.fullmatch(raw_query):
        return raw_query
    fields = sorted(tuple(map(_encode_anew, part.partition(b"=")[::2])) for part in raw_query.split(b"&") if part)
    return "&".join(f"{name}={value}" for name, value in fields if name != SIGNATURE_FIELD).encode()


def _encode_anew(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)
