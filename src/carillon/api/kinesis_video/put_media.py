"""PutMedia: a body that may last for the whole call, and acknowledgements that are sent while it arrives.

Three children share a connection. One takes the body to the session, piece by piece; one answers with what the
session tells, through a bounded stream; and one watches for reasons to stop. Nothing is read from the network while
the session waits, so a producer that does not read, or a disk that does not follow, is felt as back-pressure.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import anyio
import msgspec

from carillon.api.protocol import ClientGone, RawCall, route
from carillon.bounds import OptionalSeconds, Seconds
from carillon.clock import from_millis
from carillon.errors import InvalidRequest
from carillon.streams import AckErrorCode, AckEventType, FragmentAck, PutMediaSession, Streams
from carillon.telemetry import get_logger, log_failure

_log: Final = get_logger()
_EPOCH_SECONDS: Final = re.compile(r"\d{1,11}(\.\d*)?|\.\d+", re.ASCII)
_LATE_SECONDS: Final = 0.5
_NAMING: Final = {"x-amzn-stream-name": "StreamName", "x-amzn-stream-arn": "StreamARN"}
_ANSWER_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"connection", b"close"),  # when we stop first, what still arrives of the body must not pass for a request
)


class InvalidHeader(InvalidRequest):
    """A header of PutMedia is missing or makes no sense."""


@dataclass(frozen=True, slots=True)
class PutMediaSettings:
    """How long a PutMedia connection may be silent or slow."""

    idle_seconds: Seconds = 5.0
    """A producer that sends nothing gets an IDLE acknowledgement at this interval."""
    silence_seconds: Seconds = 30.0
    """A producer that sends nothing for this long is disconnected."""
    write_seconds: Seconds = 30.0
    """How long a producer may take to accept one acknowledgement."""
    max_connection_seconds: OptionalSeconds = 0.0
    """A producer is disconnected after this long, with MAX_CONNECTION_DURATION_REACHED (AWS: 2,700); 0 means never."""
    linger_seconds: OptionalSeconds = 2.0
    """How long a producer that was sent an ERROR may go on sending, so that it reads it and not a reset."""


@dataclass(frozen=True, slots=True)
class PutMediaRequest:
    """What the headers say."""

    stream_name: str | None
    stream_arn: str | None
    producer_start: datetime | None
    """What timecodes count from; None if they are absolute."""
    wants_acknowledgements: bool


def read_headers(headers: Mapping[str, str]) -> PutMediaRequest:
    """Return what PutMedia's headers say.

    Raises:
        InvalidHeader: the type of timecodes is not given, or the producer's start that a relative one needs is not.
    """
    start = None
    match headers.get("x-amzn-fragment-timecode-type"):
        case "RELATIVE":
            start = _read_epoch_seconds(headers.get("x-amzn-producer-start-timestamp", ""))
        case "ABSOLUTE":
            pass
        case _:
            raise InvalidHeader("Say ABSOLUTE or RELATIVE in the header x-amzn-fragment-timecode-type.")
    return PutMediaRequest(
        stream_name=headers.get("x-amzn-stream-name"),
        stream_arn=headers.get("x-amzn-stream-arn"),
        producer_start=start,
        wants_acknowledgements=headers.get("x-amzn-fragment-acknowledgment-required", "1") != "0",
    )


def _read_epoch_seconds(text: str) -> datetime:
    if not _EPOCH_SECONDS.fullmatch(text):
        raise InvalidHeader("Relative timecodes need the header x-amzn-producer-start-timestamp, in epoch seconds.")
    return from_millis(int(Decimal(text) * 1000))


def render(acknowledgement: FragmentAck) -> bytes:
    """Return an acknowledgement as a line of JSON."""
    line: dict[str, object] = {"EventType": acknowledgement.kind.value}
    if acknowledgement.timecode_ms is not None:
        line["FragmentTimecode"] = acknowledgement.timecode_ms
    if acknowledgement.number is not None:
        line["FragmentNumber"] = acknowledgement.number
    if acknowledgement.error_code is not None:
        line["ErrorId"] = int(acknowledgement.error_code)
        line["ErrorCode"] = acknowledgement.error_code.name
    return msgspec.json.encode(line) + b"\n"


class PutMedia:
    """Answers what no model of botocore's describes: PutMedia, at the service `kinesis-video-media`."""

    def __init__(self, streams: Streams, settings: PutMediaSettings | None = None) -> None:
        self._streams = streams
        self._settings = settings or PutMediaSettings()

    @route("POST", "/putMedia", service="kinesis-video-media", name="PutMedia", parameters=_NAMING)
    async def put_media(self, call: RawCall) -> None:
        """Store a body's fragments and acknowledge each, until the body or the patience ends."""
        request = read_headers(call.headers)
        stream = await self._streams.catalog.find(request.stream_name, request.stream_arn)
        async with self._streams.record(stream, request.producer_start) as session:
            conversation = _Conversation(call, session, request, self._settings)
            await conversation.run()
        if conversation.has_stalled:
            raise ClientGone


class _Conversation:
    """One connection, from the 200 to its end."""

    def __init__(
        self, call: RawCall, session: PutMediaSession, request: PutMediaRequest, settings: PutMediaSettings
    ) -> None:
        self._call = call
        self._session = session
        self._request = request
        self._settings = settings
        self._listening = anyio.CancelScope()
        self._why: AckErrorCode | None = None  # listening was given up
        self._silent_since: float | None = None  # None while what was received is being taken in
        self._is_over = anyio.Event()
        self.has_stalled = False

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._take)
            group.start_soon(self._watch_silence)
            group.start_soon(self._watch_turn)
            group.start_soon(self._watch_closing)
            group.start_soon(self._watch_key)
            await self._answer()
            group.cancel_scope.cancel()

    async def _take(self) -> None:
        """Feed the session until the body is over, or there is a reason to stop; after an error, to nobody's use."""
        try:
            with self._listening:
                await self._listen()
            if self._why is None:
                await self._session.end()
            else:
                await self._session.fail(self._why)
        except Exception as error:  # this connection's failure is its own, and its producer must hear of it
            log_failure(_log, "put_media.failed", error, request_id=self._call.request_id)
            await self._session.fail(AckErrorCode.INTERNAL_ERROR)
        self._is_over.set()

    async def _listen(self) -> None:
        read, session = self._call.read, self._session
        try:
            self._silent_since = anyio.current_time()
            while data := await (
                read() if session.finalizes_in is None else self._read_or_finalize(session.finalizes_in)
            ):
                self._silent_since = None
                await session.feed(data)
                self._silent_since = anyio.current_time()
        except ClientGone:
            self._why = AckErrorCode.STREAM_READ_ERROR
        self._silent_since = None

    async def _read_or_finalize(self, seconds: float) -> bytes:
        with anyio.move_on_after(seconds):
            return await self._call.read()
        await self._session.finalize()
        return await self._call.read()

    async def _watch_silence(self) -> None:
        """Send IDLE to a producer that is silent, and stop waiting for one that is silent for too long."""
        idle, longest = self._settings.idle_seconds, self._settings.silence_seconds
        since, told = anyio.current_time(), 0
        while True:
            seconds = min((told + 1) * idle, longest)
            await anyio.sleep_until(since + seconds)
            is_late = anyio.current_time() - since - seconds > _LATE_SECONDS
            if is_late and self._silent_since == since:  # this process did not run: what was sent is still to be read
                self._silent_since = anyio.current_time()
            if self._silent_since != since:
                since, told = self._silent_since or anyio.current_time(), 0
            elif seconds < longest:
                told += 1
                await self._session.idle()
            else:
                self._stop(None)
                return

    async def _watch_turn(self) -> None:
        """Stop listening when another producer is to take over, or when this one has been connected for too long."""
        with anyio.move_on_after(self._settings.max_connection_seconds or math.inf):
            await self._session.wanted()
            self._stop(AckErrorCode.STREAM_READ_ERROR)
            return
        self._stop(AckErrorCode.MAX_CONNECTION_DURATION_REACHED)

    async def _watch_closing(self) -> None:
        """End with the producer's fragment when this server is about to end; the producer connects again."""
        await self._session.closing()
        self._session.leave(AckErrorCode.MAX_CONNECTION_DURATION_REACHED)

    async def _watch_key(self) -> None:
        """Stop listening once the producer's key may be used no more; connecting again tells it what is wrong."""
        why = await self._call.key_ended()
        _log.info("put_media.key_ended", request_id=self._call.request_id, caller=self._call.caller, reason=why)
        self._stop(AckErrorCode.MAX_CONNECTION_DURATION_REACHED)

    def _stop(self, why: AckErrorCode | None) -> None:
        self._why = why
        self._listening.cancel()

    async def _answer(self) -> None:
        await self._call.answer(200, _ANSWER_HEADERS)
        try:
            async for acknowledgement in self._session.acknowledgements:
                if self._request.wants_acknowledgements or acknowledgement.kind is AckEventType.ERROR:
                    await self._tell(render(acknowledgement))  # each a chunk of its own
        except TimeoutError:
            self.has_stalled = True
            return
        with anyio.move_on_after(self._settings.linger_seconds):
            await self._is_over.wait()
        await self._call.finish()

    async def _tell(self, line: bytes) -> None:
        """Write a line.

        Raises:
            TimeoutError: the producer does not accept it.
        """
        due = anyio.current_time() + self._settings.write_seconds
        with anyio.move_on_at(due) as patience:
            await self._call.write(line)
        if patience.cancelled_caught and anyio.current_time() - due <= _LATE_SECONDS:
            raise TimeoutError  # else this process did not run; the line is on its way, and the next one will tell
