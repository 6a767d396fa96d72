"""PutMedia: a body that may last for the whole call, and acknowledgements that are sent while it arrives.

Three children share a connection. One receives, one takes what was received (or its absence) to the recording, and one
answers with what the recording tells. Between them are bounded streams, so a producer that does not read, or a disk
that does not follow, is felt as back-pressure on the body.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import anyio
import msgspec

from carillon.api.protocol import ClientGone, RawCall, route
from carillon.clock import from_millis
from carillon.errors import InvalidRequest
from carillon.streams import AckKind, Acknowledgement, Recording, Refusal, Streams
from carillon.telemetry import get_logger

_log: Final = get_logger()
_EPOCH_SECONDS: Final = re.compile(r"\d{1,11}(\.\d*)?|\.\d+", re.ASCII)
_NAMING: Final = {"x-amzn-stream-name": "StreamName", "x-amzn-stream-arn": "StreamARN"}
_ANSWER_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"connection", b"close"),  # when we stop first, what still arrives of the body must not pass for a request
)


class InvalidHeader(InvalidRequest):
    """A header of PutMedia is missing or makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long a PutMedia connection may be silent or slow."""

    idle_seconds: float = 5.0
    """A producer that sends nothing is told so at this interval."""
    silence_seconds: float = 30.0
    """A producer that sends nothing for this long is disconnected."""
    write_seconds: float = 30.0
    """How long a producer may take to accept one acknowledgement."""
    linger_seconds: float = 2.0
    """How long a producer that was told of an error may go on sending, so that it reads it and not a reset."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the headers say."""

    stream_name: str | None
    stream_arn: str | None
    producer_start: datetime | None
    """What timecodes count from; None if they are absolute."""
    wants_acknowledgements: bool


def read_headers(headers: Mapping[str, str]) -> Request:
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
    return Request(
        stream_name=headers.get("x-amzn-stream-name"),
        stream_arn=headers.get("x-amzn-stream-arn"),
        producer_start=start,
        wants_acknowledgements=headers.get("x-amzn-fragment-acknowledgment-required", "1") != "0",
    )


def _read_epoch_seconds(text: str) -> datetime:
    if not _EPOCH_SECONDS.fullmatch(text):
        raise InvalidHeader("Relative timecodes need the header x-amzn-producer-start-timestamp, in epoch seconds.")
    return from_millis(int(Decimal(text) * 1000))


def render(acknowledgement: Acknowledgement) -> bytes:
    """Return an acknowledgement as a line of JSON."""
    line: dict[str, object] = {"EventType": acknowledgement.kind.value}
    if acknowledgement.timecode_ms is not None:
        line["FragmentTimecode"] = acknowledgement.timecode_ms
    if acknowledgement.number is not None:
        line["FragmentNumber"] = acknowledgement.number
    if acknowledgement.refusal is not None:
        line["ErrorId"] = int(acknowledgement.refusal)
        line["ErrorCode"] = acknowledgement.refusal.name
    return msgspec.json.encode(line) + b"\n"


class PutMedia:
    """Answers what no model of botocore's describes: PutMedia, at the service `kinesis-video-media`."""

    def __init__(self, streams: Streams, settings: Settings | None = None) -> None:
        self._streams = streams
        self._settings = settings or Settings()

    @route("POST", "/putMedia", service="kinesis-video-media", name="PutMedia", parameters=_NAMING)
    async def put_media(self, call: RawCall) -> None:
        """Store a body's fragments and acknowledge each, until the body or the patience ends."""
        request = read_headers(call.headers)
        stream = await self._streams.find(request.stream_name, request.stream_arn)
        async with self._streams.record(stream, request.producer_start) as recording:
            settle_seconds = self._streams.settings.settle_seconds
            conversation = _Conversation(call, recording, request, self._settings, settle_seconds)
            await conversation.hold()
        if conversation.has_stalled:
            raise ClientGone


class _Conversation:
    """One connection, from the 200 to its end."""

    def __init__(
        self, call: RawCall, recording: Recording, request: Request, settings: Settings, settle_seconds: float
    ) -> None:
        self._call = call
        self._recording = recording
        self._request = request
        self._settings = settings
        self._settle_seconds = settle_seconds
        self._received, self._pieces = anyio.create_memory_object_stream[bytes]()
        self._is_cut_off = False
        self._is_over = anyio.Event()
        self.has_stalled = False

    async def hold(self) -> None:
        with self._received, self._pieces:
            async with anyio.create_task_group() as group:
                group.start_soon(self._receive)
                group.start_soon(self._take)
                await self._answer()
                group.cancel_scope.cancel()

    async def _receive(self) -> None:
        with self._received:
            try:
                async for data in self._call.body():
                    await self._received.send(data)
            except ClientGone:
                self._is_cut_off = True

    async def _take(self) -> None:
        """Feed the recording until the body is over or silent for too long; what comes after an error is dropped."""
        try:
            while (data := await self._next()) is not None:
                await self._recording.feed(data)
            if self._is_cut_off:
                await self._recording.fail(Refusal.STREAM_READ_ERROR)
            else:
                await self._recording.end()
        except Exception:  # this connection's failure is its own, and its producer must hear of it
            _log.exception("put_media.failed", request_id=self._call.request_id)
            await self._recording.fail(Refusal.INTERNAL_ERROR)
        self._is_over.set()

    async def _next(self) -> bytes | None:
        """Return the next piece of the body; None when it is over, or has been silent for too long."""
        since = anyio.current_time()
        for seconds, do in self._silence():
            with anyio.CancelScope(deadline=since + seconds):
                try:
                    return await self._pieces.receive()
                except anyio.EndOfStream:
                    return None
            await do()
        return None

    def _silence(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        """Yield what to do after how many seconds without data; when there is no more, it was too long."""
        yield self._settle_seconds, self._recording.settle
        seconds = self._settings.idle_seconds
        while seconds < self._settings.silence_seconds:
            yield seconds, self._recording.idle
            seconds += self._settings.idle_seconds
        yield self._settings.silence_seconds, self._recording.settle

    async def _answer(self) -> None:
        await self._call.answer(200, _ANSWER_HEADERS)
        try:
            async for acknowledgement in self._recording.acknowledgements:
                if self._request.wants_acknowledgements or acknowledgement.kind is AckKind.ERROR:
                    with anyio.fail_after(self._settings.write_seconds):
                        await self._call.write(render(acknowledgement))  # each a chunk of its own
        except TimeoutError:
            self.has_stalled = True
            return
        with anyio.move_on_after(self._settings.linger_seconds):
            await self._is_over.wait()
        await self._call.finish()
