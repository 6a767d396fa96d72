"""Who may come in, to which stream: the ASGI application behind every WebSocket.

A request to connect is refused with an HTTP status while nothing is proven. Once it is, the connection is accepted
first, since browsers show no more of a refusal than that there was one: what is wrong with the stream, or with what is
sent, is in the close code and the reason.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from carillon.access import AccessKeys, AccessLogRecord, AccessRefused, Auditor, PolicyAuthorizer
from carillon.api.errors import AwsError, Family, shape_of
from carillon.api.ingest.errors import DONE, code_of, reason_of
from carillon.api.ingest.messages import MessageFormat
from carillon.api.ingest.pcm import PlainPcm
from carillon.api.ingest.session import WebSocketSession
from carillon.api.ingest.settings import IngestSettings
from carillon.api.ingest.socket import WebSocket
from carillon.api.ingest.twilio import MediaStreams
from carillon.api.ingest.urls import IngestTarget, IngestTokens, read_path
from carillon.api.protocol import SignatureVerifier
from carillon.api.protocol.asgi import Receive, Scope, Send
from carillon.api.protocol.canonical import RequestHead
from carillon.clock import Clock
from carillon.concurrency import Notifier, unwrapped
from carillon.errors import AlreadyExists, CarillonError
from carillon.media.files import check_fragment_seconds
from carillon.streams import PutMediaSession, Stream, StreamNotFound, Streams
from carillon.telemetry import get_logger

log: Final = get_logger()

_SWITCHED: Final = 101
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_FAILED: Final = {"ResourceNotFoundException": 404, "InternalFailure": 500}  # what else there is means 400


class WebSocketIngest:
    """Serves WebSockets as an ASGI 3 application.

    Args:
        streams: where audio goes.
        tokens: judges the URLs that `carillon ingest-url` makes.
        keys: where the access keys are looked up that these were made for.
        verifier: judges signatures, for clients that can sign.
        guard: judges what a key may do.
        auditor: keeps a record of every connection; None keeps none.
        clock: tells when URLs expire, and the time of the audio.
        settings: limits.

    Raises:
        BadFragmentLength: fragments cannot be so long.
    """

    def __init__(
        self,
        *,
        streams: Streams,
        tokens: IngestTokens,
        keys: AccessKeys,
        verifier: SignatureVerifier,
        guard: PolicyAuthorizer,
        auditor: Auditor | None,
        clock: Clock,
        settings: IngestSettings,
    ) -> None:
        check_fragment_seconds(settings.fragment_seconds)
        self._streams = streams
        self._tokens = tokens
        self._keys = keys
        self._visits = 0
        self._left = Notifier()
        self._verifier = verifier
        self._guard = guard
        self._auditor = auditor
        self._clock = clock
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold one connection, from the request to connect until everything is stored."""
        self._visits += 1
        try:
            await self._receive(scope, receive, send)
        finally:
            self._visits -= 1
            self._left.notify()

    async def ended(self) -> None:
        """Wait until nobody is connected: everything that came is stored."""
        while self._visits:
            await self._left.next_event.wait()

    async def _receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send, self._settings.write_seconds)
        await socket.begin()
        target = read_path(scope["raw_path"]) if self._settings.is_on else None
        if target is None:
            await socket.refuse(_NOT_FOUND, "Nothing is served here over WebSocket.")
            return
        visit = _Visit(scope, target.stream_name)
        try:
            visit.caller = self._identify(scope, target)
            visit.is_proven = True
            await self._guard.admit(visit.caller, "kinesisvideo:PutMedia", visit.request)
        except (AwsError, AccessRefused) as error:
            await self._note(visit, _FORBIDDEN, shape_of(error, Family.KINESIS_VIDEO))
            await socket.refuse(_FORBIDDEN, str(error))
            return
        await socket.accept()
        await self._hold(socket, visit, target, scope)

    def _identify(self, scope: Scope, target: IngestTarget) -> str:
        """Return the access key on whose behalf somebody connects.

        Raises:
            AwsError: no good token, and no good signature.
        """
        if target.token is not None:
            return self._tokens.issuer(target, self._keys, self._clock)
        head = RequestHead("GET", scope["raw_path"], scope["query_string"], scope["headers"])
        claim = self._verifier.claim(head, Family.KINESIS_VIDEO.value)
        claim.verify_unread()
        return claim.access_key_id

    async def _hold(self, socket: WebSocket, visit: "_Visit", target: IngestTarget, scope: Scope) -> None:
        failure: Exception | None = None
        try:
            async with self._recording(visit) as recording:
                await self._note(visit, _SWITCHED, None)
                key_ended = partial(self._keys.until_ended, visit.caller)
                session = WebSocketSession(
                    socket, recording, _format(target, scope), key_ended, self._clock, self._settings
                )
                visit.session = session
                await session.run()
        except Exception as error:  # one connection's failure is its own, and its sender must hear of it
            failure = unwrapped(error)
        await self._conclude(socket, visit, failure)

    @asynccontextmanager
    async def _recording(self, visit: "_Visit") -> AsyncIterator[PutMediaSession]:
        stream = await self._stream(visit)
        visit.stream_arn = stream.arn
        async with self._streams.record(stream, None) as recording:
            yield recording

    async def _stream(self, visit: "_Visit") -> Stream:
        """Return the stream, made if there is none and it may be.

        Raises:
            StreamNotFound: there is none.
        """
        try:
            return await self._streams.catalog.find(visit.stream_name)
        except StreamNotFound as error:
            if not self._settings.creates_streams:
                raise
            try:
                await self._guard.admit(visit.caller, "kinesisvideo:CreateStream", visit.request)
            except AccessRefused:
                raise error from None
        try:
            return await self._streams.catalog.create(visit.stream_name, retention_hours=self._settings.retention_hours)
        except AlreadyExists:  # by somebody else, a moment ago
            return await self._streams.catalog.find(visit.stream_name)

    async def _conclude(self, socket: WebSocket, visit: "_Visit", failure: Exception | None) -> None:
        """Report how it went: to the log, to the access log if nothing else was, and to the sender."""
        bound = log.bind(stream_arn=visit.stream_arn, request_id=visit.request_id)
        figures = visit.session.describe() if visit.session is not None else {}
        code = DONE if failure is None else code_of(failure)
        if failure is None or isinstance(failure, CarillonError):
            bound.info("ingest.ended", code=code, error=type(failure).__name__ if failure else None, **figures)
        else:
            bound.error("ingest.failed", code=code, exc_info=failure, **figures)
        if visit.session is None and failure is not None:
            shape = shape_of(failure, Family.KINESIS_VIDEO) or "InternalFailure"
            await self._note(visit, _FAILED.get(shape, 400), shape)
        await socket.close(code, "" if failure is None else reason_of(failure))

    async def _note(self, visit: "_Visit", status: int, error: str | None) -> None:
        if self._auditor is not None:
            await self._auditor.note(visit.record(status, error))


class _Visit:
    """What is known of one connection."""

    def __init__(self, scope: Scope, stream_name: str) -> None:
        self.stream_name: Final = stream_name
        self.request: Final[Mapping[str, Any]] = {"StreamName": stream_name}
        self.request_id: Final = str(uuid.uuid4())
        self.caller = ""
        self.is_proven = False
        self.stream_arn = ""
        self.session: WebSocketSession | None = None
        self._source: str = (scope.get("client") or ("",))[0]

    def record(self, status: int, error: str | None) -> AccessLogRecord:
        """Return it as a PutMedia, which is what it is to whoever keeps a record."""
        return AccessLogRecord(
            request_id=self.request_id,
            caller=self.caller,
            is_proven=self.is_proven,
            family=Family.KINESIS_VIDEO.value,
            operation="PutMedia",
            source=self._source,
            status=status,
            error=error,
            request=self.request,
            answer=None,
        )


def _format(target: IngestTarget, scope: Scope) -> MessageFormat:
    return MediaStreams() if target.format == "twilio" else PlainPcm(scope["query_string"])
