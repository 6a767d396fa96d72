"""One HTTP request and its response, over ASGI: when to read, when to write, and when to give up.

What is asked and by whom is no affair of this module: that are the stages of `stages.py`, which do not change. Here is
what does change while a request is answered, as few flags as HTTP has states:

    the body        unread -> asked for -> read         `_is_asked`, `_unread`
    the response    none -> begun -> ended              `started`
    a piece of it   being accepted, or not              `_is_writing`, `_written`

There is one response at most. Until it has begun, any error becomes one; after that there is no way to say what went
wrong but to leave it incomplete, upon which the server closes the connection and the client knows. Whatever is answered
goes through `begin`, so nothing is answered without its request id and its record.

The two sides depend on each other in three places. The first reading of a body makes the server send 100 Continue,
which it may not once the response has begun: for a handler that answers before it reads (PutMedia) `begin` asks first.
A body that is refused unread goes on arriving, and a connection closed upon it is reset, which can lose the client the
answer: so the refusal says `connection: close` and lingers, bounded in bytes and time. And while a response streams,
receiving is how a client that has gone is noticed.

Decided against: a deadline for each piece of a stream (a timer costs more than the piece; one watcher sees that nothing
moved), and reading what a refused client sends to its end (it may never end).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Meta

from carillon.access import Auditor
from carillon.api.errors import AwsError
from carillon.api.protocol.asgi import ClientGone, Headers, Message, Receive, Scope, Send
from carillon.api.protocol.faults import id_headers
from carillon.api.protocol.operations import never
from carillon.api.protocol.serialization import Response
from carillon.api.protocol.stages import Claimed, Received, format_of, operation_of, record
from carillon.bounds import Bytes, OptionalSeconds, Seconds
from carillon.concurrency import beside
from carillon.telemetry import get_logger

log = get_logger()

UntilKeyEnds = Callable[[], Awaitable[str]]

PROVEN: Final = "carillon.connection"
"""Of a scope's state: a function of the server's, to call once a client has proven who it is."""

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
    """Takes in one request, within limits, and sends one response.

    Args:
        received: its head.
        receive: of ASGI.
        send: of ASGI.
        settings: the limits.
        auditor: keeps a record of the response; None keeps none.
    """

    def __init__(
        self,
        received: Received,
        receive: Receive,
        send: Send,
        settings: RequestSettings,
        auditor: Auditor | None = None,
    ) -> None:
        self.started = False
        self._headers = received.headers
        self._auditor = auditor
        self._receive = receive
        self._send = send
        self._settings = settings
        self._held: Message | None = None
        self._is_asked = False
        self._is_writing = False
        self._written = 0  # pieces of a streamed response
        self._unread = "transfer-encoding" in self._headers or self._headers.get("content-length", "0") != "0"

    async def read_body(self) -> bytes:
        """Return the whole body.

        Raises:
            AwsError: RequestEntityTooLargeException or RequestTimeoutException.
            ClientGone: the connection closed first.
        """
        if not self._unread:
            return b""
        limit = self._settings.max_body_bytes
        declared = self._headers.get("content-length", "0")
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
        if self._unread and not self._is_asked and self._headers.get("expect", "").lower() == "100-continue":
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

    async def begin(self, stage: Received, status: int, headers: Headers, error: str | None = None) -> None:
        """Send the status line and the headers, the request id among them, and have it recorded.

        Args:
            stage: the last one that the request reached.
            status: of the response.
            headers: of the response.
            error: the shape of the error that it is about.
        """
        if status < 300:  # others do not want the body
            await self._invite_body()
        self.started = True
        if self._auditor is not None:
            await self._auditor.note(record(stage, status, error))
        sent = [*headers, *id_headers(stage.request_id, format_of(stage).family)]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    def sender(self, stage: Received) -> Send:
        """Return what sends as ASGI does, for whoever answers by itself."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self.begin(stage, message["status"], message["headers"])
            else:
                await self._send(message)

        return send

    async def respond(
        self, stage: Received, response: Response, error: str | None = None, key_ended: UntilKeyEnds = never
    ) -> None:
        """Send a response; a streamed one until it ends, fails, the client goes away, or its key ends."""
        if isinstance(response.body, bytes):
            await self._respond_whole(stage, response, response.body, error)
        else:
            await self.begin(stage, response.status, response.headers, error)
            await self._stream(stage, response.body, key_ended)

    async def _respond_whole(self, stage: Received, response: Response, body: bytes, error: str | None) -> None:
        headers = list(response.headers)
        if response.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        if not self._unread:
            await self.begin(stage, response.status, headers, error)
            await self._send({"type": "http.response.body", "body": body})
            return
        # Closing at once would reset the connection under a client that still sends, and lose it the answer.
        headers.append((b"connection", b"close"))
        await self.begin(stage, response.status, headers, error)
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

    async def _stream(self, stage: Received, body: AsyncIterator[bytes], key_ended: UntilKeyEnds) -> None:
        async with beside() as group:
            scope = group.cancel_scope
            for end in (self._cancel_when_gone, self._cancel_when_stuck):
                group.start_soon(end, scope)
            group.start_soon(_cancel_when_key_ends, scope, stage, key_ended)
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

    async def _cancel_when_gone(self, scope: anyio.CancelScope) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def tell_proven(scope: Scope) -> None:
    """Tell the server, if it wants to know, that whoever is connected has proven a key."""
    tell = scope.get("state", {}).get(PROVEN)
    if tell is not None:
        tell()


def check_head(received: Received, limits: RequestSettings) -> None:
    """Refuse what is larger than any client of ours sends, before anything is computed from it.

    Raises:
        AwsError: RequestUriTooLongException or RequestHeaderFieldsTooLargeException.
    """
    head = received.head
    if len(head.raw_path) + len(head.raw_query) > limits.max_target_bytes:
        message = f"Path and query have at most {limits.max_target_bytes} bytes together."
        raise AwsError("RequestUriTooLongException", message)
    if len(head.headers) > limits.max_headers:
        message = f"A request has at most {limits.max_headers} headers."
        raise AwsError("RequestHeaderFieldsTooLargeException", message)
    if sum(len(name) + len(value) for name, value in head.headers) > limits.max_header_bytes:
        message = f"The headers of a request have at most {limits.max_header_bytes} bytes together."
        raise AwsError("RequestHeaderFieldsTooLargeException", message)


async def _cancel_when_key_ends(scope: anyio.CancelScope, stage: Received, key_ended: UntilKeyEnds) -> None:
    why = await key_ended()
    caller = stage.caller if isinstance(stage, Claimed) else ""
    log.info("api.key_ended", request_id=stage.request_id, operation=operation_of(stage), caller=caller, reason=why)
    scope.cancel()


def _too_large(limit: int) -> AwsError:
    return AwsError("RequestEntityTooLargeException", f"The body of a request has at most {limit} bytes.")
