"""Requests that nobody would send, and some that one might: made from the models and a seed, sent to a real server."""

import http.client
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlsplit

from referee import shapes, strings
from referee.wire import Request, Wire, write

SLOW_SECONDS: Final = 5.0
_ODD_TEXTS: Final = (
    "", " ", "\x00", "\n", "../..", "%", "%2F", "%zz", "é東\U0001f600", "\ud800", "a" * 5000, "'; DROP TABLE tasks; --",
    "${jndi:x}", "\u202e", "arn:aws:chime:us-east-1:111122223333:media-pipeline/", "null", "NaN", "-1", "1e999",
)  # fmt: skip
_ODD_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1 << 31, 1 << 63, 1 << 200, -(1 << 64), 0.5, 1e308, -1e308, [], {}, [None], {"": None},
    [[[[]]]], {"a": {"b": {"c": []}}}, *_ODD_TEXTS,
)  # fmt: skip
_ODD_PIECES: Final = (
    "", ".", "..", "%", "%zz", "%00", "%ff", "%2F%2e%2e", "a" * 3000, "putMedia", "tags", "operation", "stop",
)  # fmt: skip
_ODD_BODIES: Final = (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 3000, b'{"a":' * 3000, b'{"a":1e9999}')
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW")
_HEADERS: Final = (
    "Content-Type", "Accept", "Expect", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token", "Range",
    "x-amzn-stream-name", "x-amzn-stream-arn", "x-amzn-fragment-timecode-type", "x-amzn-producer-start-timestamp",
    "X-Amz-Target", "Accept-Encoding", "Content-Encoding", "If-Match", "Date",
)  # fmt: skip
_RAW: Final = (
    b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"POST /voice-profiles HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{",
    b"POST /voice-profiles HTTP/1.1\r\nHost: x\r\nContent-Length: -7\r\n\r\n",
    b"POST /voice-profiles HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /putMedia HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 3000 + b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip


@dataclass(slots=True)
class Report:
    """What became of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0

    def add(self, other: "Report") -> None:
        """Take in what became of others."""
        self.statuses += other.statuses
        self.accepted += other.accepted
        self.faults += other.faults
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return self.statuses.total()


class Fuzzer:
    """Makes requests from a seed: the same ones again for the same seed, operations and world.

    Args:
        seed: of everything random.
        operations: (service, operation), what the server answers.
        known: values of members that name what exists.
    """

    def __init__(self, seed: int, operations: Sequence[tuple[str, str]], known: Mapping[str, Sequence[object]]) -> None:
        self._random = Random(seed)
        self._operations = operations
        self._existing = known
        self._known = known

    def request(self) -> tuple[str, Request, bool]:
        """Return what to call it, the request, and whether to sign it."""
        service, name = self._random.choice(self._operations)
        spared = name.startswith("Delete") and self._random.random() < 0.99  # Or nothing would be left to ask for.
        self._known = {} if spared else self._existing
        oddness = self._random.choice((0.0, 0.0, 0.0, 0.05, 0.3, 1.0))
        shape = shapes.operation(service, name).input_shape
        values = {} if shape is None else self._structure(shape, oddness, 0)
        for label in shape.members if shape is not None else {}:
            if shape.members[label].serialization.get("location") == "uri":
                values.setdefault(label, self._text())
        request = write(service, name, _encodable(values))
        kind = self._random.random()
        if kind < 0.12:
            request = self._bent(request)
        elif kind < 0.2:
            request = replace(request, body=self._body(request.body))
        return f"{service} {name}", request, self._random.random() > 0.03

    def raw(self) -> bytes:
        """Return bytes to write on a socket: no HTTP, or hardly."""
        return self._random.choice((*_RAW, self._random.randbytes(self._random.randrange(300))))

    def _value(self, shape: Any, name: str, oddness: float, depth: int) -> Any:
        if self._random.random() < oddness * 0.4:
            return self._random.choice(_ODD_VALUES)
        if name in self._known and self._random.random() < 0.8:
            return self._random.choice(self._known[name])
        match shape.type_name:
            case "structure":
                return self._structure(shape, oddness, depth + 1)
            case "list":
                least, most = max(1, shape.metadata.get("min", 0)), shape.metadata.get("max", 3)
                length = self._random.choice((0, 1, 3, most % 300) if oddness else (least, min(most, 2)))
                return [self._value(shape.member, "", oddness, depth + 1) for _ in range(length)]
            case "map":
                return {self._valid_text(shape.key): self._value(shape.value, "", oddness, depth + 1) for _ in "ab"}
            case "string":
                return self._valid_text(shape)
            case "integer" | "long":
                least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 9)
                return self._random.choice((least, most, 1, 0) if oddness else (least, most))
            case "timestamp":
                return self._random.choice(
                    (0, 9e15, -1.5, "2026-11-22T10:15:30Z") if oddness else (1_795_342_530, 0.123)
                )
        return self._random.choice((True, False))

    def _structure(self, shape: Any, oddness: float, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, member in shape.members.items():
            needed = name in shape.required_members
            wanted = 1.0 - oddness * 0.1 if needed else 0.4 if depth < 3 else 0.1
            if self._random.random() < wanted:
                made[name] = self._value(member, name, oddness, depth)
        if self._random.random() < oddness * 0.2:
            made[self._text()] = self._random.choice(_ODD_VALUES)
        return made

    def _valid_text(self, shape: Any) -> str:
        if shape.enum:
            return str(self._random.choice(shape.enum))
        least, most = shape.metadata.get("min", 1), shape.metadata.get("max", 60)
        length = self._random.choice((None, least, most, self._random.randint(least, most)))
        return strings.of_length(shape.metadata.get("pattern"), length, least) or self._text()

    def _text(self) -> str:
        if self._random.random() < 0.5:
            return self._random.choice(_ODD_TEXTS)
        return "".join(chr(self._random.randrange(1, 0x2FF)) for _ in range(self._random.randrange(12)))

    def _bent(self, request: Request) -> Request:
        path, _, query = request.target.partition("?")
        pieces = [piece if self._random.random() < 0.7 else self._piece() for piece in path.split("/")[1:]]
        if self._random.random() < 0.3:
            query = "&".join([query, *(f"{self._piece()}={self._piece()}" for _ in range(2))])
        headers = dict(request.headers)
        for name in self._random.sample(_HEADERS, 2):
            headers[name] = quote(self._text().replace("\ud800", ""), safe=" /:;=,")[:2000]
        method = self._random.choice(_METHODS) if self._random.random() < 0.3 else request.method
        return replace(request, method=method, target="/" + "/".join(pieces) + f"?{query}", headers=headers)

    def _piece(self) -> str:
        odd = (
            "",
            ".",
            "..",
            "%",
            "%zz",
            "%00",
            "%ff",
            "%2F%2e%2e",
            "a" * 3000,
            "putMedia",
            "tags",
            "operation",
            "stop",
        )
        if self._random.random() < 0.5:
            return self._random.choice(odd)
        return quote(self._text().replace("\ud800", ""), safe="")

    def _body(self, body: bytes) -> bytes:
        if not body or self._random.random() < 0.2:
            return self._random.choice(
                (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 3000, b'{"a":' * 3000, b'{"a":1e9999}')
            )
        at = self._random.randrange(len(body))
        return body[:at] + self._random.randbytes(self._random.randrange(4)) + body[at + self._random.randrange(3) :]


def _encodable(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with no lone surrogate where only JSON can say one; in JSON it stays, escaped."""
    return {name: value.replace("\ud800", "") if isinstance(value, str) else value for name, value in values.items()}


def run(
    url: str,
    environment: Mapping[str, str],
    make_fuzzer: Callable[[int], Fuzzer],
    requests: int,
    connections: int = 4,
) -> Report:
    """Send so many requests over so many connections at once; every answer in time, and no 5xx, or it is a fault."""
    report, lock = Report(), threading.Lock()

    def work(number: int) -> None:
        fuzzer = make_fuzzer(number)
        with Wire.to(url, environment) as wire:
            for count in range(requests // connections):
                began = time.monotonic()
                if count % 50 == 49:
                    name, status, what = "raw", *_send_raw(url, fuzzer.raw())
                else:
                    name, status, what = _send(wire, *fuzzer.request())
                seconds = time.monotonic() - began
                with lock:
                    _note(report, name, status, what, seconds)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return report


def _note(report: Report, name: str, status: int, what: str, seconds: float) -> None:
    report.statuses[status] += 1
    report.slowest_seconds = max(report.slowest_seconds, seconds)
    if 200 <= status < 300:
        report.accepted[name] += 1
    if status >= 500 or status == 0 or seconds > SLOW_SECONDS:
        report.faults.append(f"{status} after {seconds:.2f} s: {what}")


def _send(wire: Wire, name: str, request: Request, sign: bool) -> tuple[str, int, str]:
    what = f"{request.method} {request.target[:300]} {request.body[:600]!r}"
    try:
        answer = wire.send(request, sign=sign)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return name, 0, f"{type(error).__name__} {error}: {what}"
    return name, answer.status, f"{answer.error} {what}"


def _send_raw(url: str, data: bytes) -> tuple[int, str]:
    """Write bytes, then half-close; any answer will do, and so will none, as long as the server lets go."""
    address = urlsplit(url)
    try:
        with socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=120) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while received := connection.recv(65536):
                answer += received
    except (ConnectionResetError, BrokenPipeError):
        return 1, "reset"
    except OSError as error:
        return 0, f"{type(error).__name__} on raw {data[:100]!r}"
    parts = answer.split(b" ", 2)
    return (int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 1), f"raw {data[:100]!r}"


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
