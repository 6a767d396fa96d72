"""One HTTP request and its response, over ASGI: what is shared by everything that answers."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Meta

from carillon.access import AccessLogRecord, Auditor
from carillon.api.errors import AwsError
from carillon.api.protocol.asgi import ClientGone, Headers, Message, Receive, Scope, Send, fold
from carillon.api.protocol.faults import NOWHERE, ErrorFormat, id_headers
from carillon.api.protocol.operations import never
from carillon.api.protocol.serialization import Response
from carillon.api.protocol.sigv4 import RequestHead
from carillon.bounds import Bytes, OptionalSeconds, Seconds
from carillon.concurrency import beside
from carillon.telemetry import get_logger

log = get_logger()

PROVEN: Final = "carillon.connection"
"""Of a scope's state: a function of the server's, to call once a client has proven who it is."""

_HOST: Final = re.compile(r"[A-Za-z0-9._\-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.%]{2,60}\](:\d{1,5})?", re.ASCII)
_NAMES_NO_PORT: Final = "AWS-SDK-KVS"
_PORT: Final = re.compile(r":\d{1,5}\Z")
_PORTS: Final = {"http": 80, "https": 443}
_LATE_SECONDS: Final = 0.5
_PIECES_AT_ONCE: Final = 8
"""Of a streamed response: neither its body nor the server need wait, and a lost client must be noticed."""


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Limits of one request."""

    max_body_bytes: Bytes = 1024 * 1024
    """Largest body of a request that is read as a whole; PutMedia has no such limit."""
    read_seconds: Seconds = 20.0
    """How long the whole body of such a request may take to arrive."""
    write_seconds: Seconds = 60.0
    """How long a client of a streamed response may take to accept one piece of it; at most twice as long."""
    linger_seconds: OptionalSeconds = 1.0
    """How long a refused client may go on sending, so that it reads the answer and not a reset."""
    max_target_bytes: Bytes = 8192
    """Longest path and query together; AWS's own limit for presigned URLs is of this size."""
    max_header_bytes: Bytes = 16_384
    """Largest sum of all header names and values."""
    max_headers: Annotated[int, Meta(ge=8, le=10_000)] = 64
    """Most headers of one request."""


class Exchange:
    """Reads one request, within limits, and sends one response, under one request id."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, settings: RequestSettings, auditor: Auditor | None = None
    ) -> None:
        raw_headers: Headers = scope["headers"]
        self.head: Final = RequestHead(scope["method"], _raw_path(scope), scope["query_string"], raw_headers)
        self.headers: Final = fold(raw_headers)
        self.request_id: Final = _new_id()
        self.operation = ""
        self.error_format: ErrorFormat = NOWHERE
        self.started = False
        self.caller = ""
        self.is_proven = False
        self.key_ended: Callable[[], Awaitable[str]] = never
        self.request: Mapping[str, Any] | None = None
        self.answer: Mapping[str, Any] | None = None
        self.error: str | None = None
        self._scope = scope
        self._source: str = (scope.get("client") or ("",))[0]
        self._auditor = auditor
        self._receive = receive
        self._send = send
        self._settings = settings
        self._held: Message | None = None
        self._is_asked = False
        self._is_writing = False
        self._written = 0  # pieces of a streamed response
        self._unread = "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"

    @property
    def base_url(self) -> str | None:
        """Return by which address the client came to us, as far as it says."""
        host, scheme = self.headers.get("host", ""), self._scope.get("scheme", "http")
        if not _HOST.fullmatch(host):
            return None
        port = (self._scope.get("server") or (None, None))[1]
        # AWS: the producer SDK for C, and what is built on it, names no port in Host, whichever it comes by.
        is_silent = _NAMES_NO_PORT in self.headers.get("user-agent", "") and not _PORT.search(host)
        if is_silent and port not in (None, _PORTS.get(scheme)):
            host = f"{host}:{port}"
        return f"{scheme}://{host}"

    def prove(self) -> None:
        """Mark the client as authenticated, for this request and for its connection."""
        self.is_proven = True
        tell = self._scope.get("state", {}).get(PROVEN)
        if tell is not None:
            tell()

    def bind(self, operation: str, error_format: ErrorFormat) -> None:
        """Set what the request asks for, and so the format of errors."""
        self.operation = operation
        self.error_format = error_format

    def check_head(self) -> None:
        """Refuse what is larger than any client of ours sends, before anything is computed from it.

        Raises:
            AwsError: RequestUriTooLongException or RequestHeaderFieldsTooLargeException.
        """
        head, limits = self.head, self._settings
        if len(head.raw_path) + len(head.raw_query) > limits.max_target_bytes:
            message = f"Path and query have at most {limits.max_target_bytes} bytes together."
            raise AwsError("RequestUriTooLongException", message)
        if len(head.headers) > limits.max_headers:
            message = f"A request has at most {limits.max_headers} headers."
            raise AwsError("RequestHeaderFieldsTooLargeException", message)
        if sum(len(name) + len(value) for name, value in head.headers) > limits.max_header_bytes:
            message = f"The headers of a request have at most {limits.max_header_bytes} bytes together."
            raise AwsError("RequestHeaderFieldsTooLargeException", message)

    async def read_body(self) -> bytes:
        """Return the whole body.

        Raises:
            AwsError: RequestEntityTooLargeException or RequestTimeoutException.
            ClientGone: the connection closed first.
        """
        if not self._unread:
            return b""
        limit = self._settings.max_body_bytes
        declared = self.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            raise _too_large(limit)
        with self._patience():
            return await self._gather(limit)

    async def _invite_body(self) -> None:
        """Send 100 Continue to a client that waits for it; do nothing for any other.

        A server sends that line when the body is first asked for, and never once the answer has begun: whoever answers
        before reading would leave the client waiting. It need not have anything to send yet: the KVS producer SDK
        connects seconds before it does.
        """
        if self._unread and not self._is_asked and self.headers.get("expect", "").lower() == "100-continue":
            with anyio.move_on_after(0):
                self._held = await self.receive()

    @contextmanager
    def _patience(self) -> Iterator[None]:
        try:
            with anyio.fail_after(self._settings.read_seconds):
                yield
        except TimeoutError as error:
            message = f"The body did not arrive within {self._settings.read_seconds:g} seconds."
            raise AwsError("RequestTimeoutException", message) from error

    async def _gather(self, limit: int) -> bytes:
        gathered = bytearray()
        while self._unread:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            gathered += message.get("body", b"")
            if len(gathered) > limit:
                raise _too_large(limit)
        return bytes(gathered)

    async def receive(self) -> Message:
        """Receive as ASGI does, noticing the end of the body."""
        self._is_asked = True
        if self._held is not None:
            message, self._held = self._held, None
            return message
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """Send as ASGI does, adding the request id."""
        if message["type"] == "http.response.start":
            if message["status"] < 300:  # others do not want the body
                await self._invite_body()
            self.started = True
            if self._auditor is not None:
                await self._auditor.note(self._answered(message["status"]))
            message["headers"] = [*message["headers"], *id_headers(self.request_id, self.error_format.family)]
        await self._send(message)

    def _answered(self, status: int) -> AccessLogRecord:
        return AccessLogRecord(
            self.request_id,
            self.caller,
            self.is_proven,
            self.error_format.family.value,
            self.operation,
            self._source,
            status,
            self.error,
            self.request,
            self.answer,
        )

    async def respond(self, response: Response) -> None:
        """Send a response; a streamed one until it ends, fails, or the client goes away."""
        if isinstance(response.body, bytes):
            await self._respond_whole(response.status, response.headers, response.body)
        else:
            await self._respond_streaming(response.status, response.headers, response.body)

    async def _respond_whole(self, status: int, headers: Headers, body: bytes) -> None:
        sent = list(headers)
        if status != 204:
            sent.append((b"content-length", b"%d" % len(body)))
        if not self._unread:
            await self.send({"type": "http.response.start", "status": status, "headers": sent})
            await self._send({"type": "http.response.body", "body": body})
            return
        # Closing at once would reset the connection under a client that still sends, and lose it the answer.
        sent.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": sent})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        await self._linger()
        await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        """Take in what a refused client still sends, up to a body's limit and for a moment."""
        left = self._settings.max_body_bytes
        with anyio.move_on_after(self._settings.linger_seconds):
            while self._unread and left > 0:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    return
                left -= len(message.get("body", b""))

    async def _respond_streaming(self, status: int, headers: Headers, body: AsyncIterator[bytes]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        async with beside() as group:
            for end in (self._cancel_when_gone, self._cancel_when_stuck, self._cancel_when_key_ends):
                group.start_soon(end, group.cancel_scope)
            await self._pump(body)

    async def _pump(self, body: AsyncIterator[bytes]) -> None:
        try:
            async for data in body:
                if data:
                    self._is_writing = True
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
                    self._is_writing = False
                    self._written += 1
                    if not self._written % _PIECES_AT_ONCE:
                        await checkpoint()
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _cancel_when_stuck(self, scope: anyio.CancelScope) -> None:
        """Give up on a client that accepts nothing for so long. A deadline for each piece would cost more than it."""
        while True:
            written = self._written if self._is_writing else None
            due = anyio.current_time() + self._settings.write_seconds
            await anyio.sleep_until(due)
            is_late = (
                anyio.current_time() - due > _LATE_SECONDS
            )  # this process did not run; the client may have read on
            if self._is_writing and self._written == written and not is_late:
                scope.cancel()
                return

    async def _cancel_when_key_ends(self, scope: anyio.CancelScope) -> None:
        why = await self.key_ended()
        log.info("api.key_ended", request_id=self.request_id, operation=self.operation, caller=self.caller, reason=why)
        scope.cancel()

    async def _cancel_when_gone(self, scope: anyio.CancelScope) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def _new_id() -> str:
    """Return a random UUID (version 4), as `uuid4` does and in a third of its time."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _too_large(limit: int) -> AwsError:
    return AwsError("RequestEntityTooLargeException", f"The body of a request has at most {limit} bytes.")


def _raw_path(scope: Scope) -> bytes:
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path is None:
        raise RuntimeError("This server does not hand down raw_path, without which ARNs cannot be routed; use uvicorn.")
    return raw_path
