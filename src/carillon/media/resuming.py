"""PutMedia for as long as there is media: what a connection did not get stored is sent again by the next.

A connection ends when the endpoint restarts, is taken away or grows too old, and none of that is the end of a call. So
what has been made of the document is kept until the endpoint says that it is stored, and a new connection begins with
the document's head and the oldest fragment that is not. Where a stream stores nothing (no retention), a fragment counts
once it was received. While there is no connection nothing more is asked of the document's maker, so a file waits, and a
pipe is felt as back-pressure.

A fragment that was stored just before the connection broke, but whose acknowledgement was lost, is sent twice, with the
same time; consumers hear it once.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from anyio import EndOfStream, create_memory_object_stream

from carillon.clock import Clock, SystemClock
from carillon.concurrency import Notifier, backoff_seconds, beside
from carillon.errors import Transient
from carillon.matroska import ClusterStarted, ClusterTimecode, Demuxer, Limits
from carillon.media.acknowledgements import Acknowledgement, AcknowledgementType, PutMediaRefused
from carillon.media.kinesis_video import KinesisVideoClient
from carillon.media.producer import put_media
from carillon.media.refusals import NotAuthorized, RequestRefused
from carillon.media.settings import MediaSettings
from carillon.telemetry import get_logger

log = get_logger()

# Refusals that say nothing against the media: the endpoint broke off, or wants a new connection.
# Source: Kinesis Video Streams Developer Guide, "PutMedia", error acknowledgements.
_COME_BACK: Final = frozenset({4000, 4003, 5000, 5001})


@dataclass(slots=True)
class _Cluster:
    start: int
    """Offset in the document."""
    timecode_ms: int | None = None


class Unconfirmed:
    """What was made of a document and is not known to be kept. No I/O.

    Args:
        most_bytes: of it, above which `is_full` says so.
    """

    def __init__(self, most_bytes: int) -> None:
        self.head = b""
        """What stands before the first Cluster."""
        self._most_bytes = most_bytes
        self._demuxer = Demuxer(Limits(max_element_bytes=most_bytes))
        self._data = bytearray()  # all since offset `_from`
        self._from = 0
        self._clusters: deque[_Cluster] = deque()
        self._has_begun = False

    @property
    def is_full(self) -> bool:
        """Whether more should wait until something is confirmed."""
        return len(self._data) >= self._most_bytes

    @property
    def data(self) -> bytes:
        """Return all that would have to be sent again, the head left out."""
        return bytes(self._data) if self._has_begun else b""

    def add(self, piece: bytes) -> None:
        """Take the next bytes of the document.

        Raises:
            MatroskaError: they are not Matroska.
        """
        self._data += piece
        for event in self._demuxer.feed(piece):
            match event:
                case ClusterStarted(start=start):
                    self._begin(start)
                case ClusterTimecode(timecode_ms=timecode_ms):
                    self._clusters[-1].timecode_ms = timecode_ms

    def confirm(self, timecode_ms: int) -> None:
        """Forget the Cluster of this time and those before it; one that is not known changes nothing."""
        if all(cluster.timecode_ms != timecode_ms for cluster in self._clusters):
            return
        while self._clusters.popleft().timecode_ms != timecode_ms:
            pass
        self._forget_until(self._clusters[0].start if self._clusters else self._from + len(self._data))

    def _begin(self, start: int) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.head = bytes(self._data[: start - self._from])
            self._forget_until(start)
        self._clusters.append(_Cluster(start))

    def _forget_until(self, offset: int) -> None:
        del self._data[: offset - self._from]
        self._from = offset


async def send_media(
    client: KinesisVideoClient,
    stream_name: str,
    document: AsyncIterator[bytes],
    on_acknowledgement: Callable[[Acknowledgement], None],
    *,
    started_at: datetime | None = None,
    settings: MediaSettings | None = None,
    clock: Clock | None = None,
) -> None:
    """Send one Matroska document to a stream until its end, over as many connections as it takes.

    Args:
        client: knows the endpoint and signs.
        stream_name: of an existing stream.
        document: as it is made; each piece is sent at once.
        on_acknowledgement: called with every acknowledgement as it comes; of a fragment that is sent again, again.
        started_at: if given, timecodes count from this time (RELATIVE), else they are epoch times (ABSOLUTE).
        settings: deadlines, and `resume_seconds`.
        clock: times how long there has been no connection.

    Raises:
        PutMediaRefused: the endpoint will not take the media, or has given it up again and again for so long.
        RemoteStreamNotFound, NotAuthorized, RequestRefused: the stream cannot be sent to.
        StreamUnavailable: there has been no connection for `resume_seconds`.
        MatroskaError: the document is none.
    """
    sending = _Sending(client, stream_name, on_acknowledgement, started_at, settings or MediaSettings(), clock)
    with sending.pieces:
        async with beside(partial(sending.take, document)):
            await sending.run()


class _Sending:
    """One document on its way."""

    def __init__(
        self,
        client: KinesisVideoClient,
        stream_name: str,
        on_acknowledgement: Callable[[Acknowledgement], None],
        started_at: datetime | None,
        settings: MediaSettings,
        clock: Clock | None,
    ) -> None:
        self._client = client
        self._stream_name = stream_name
        self._on_acknowledgement = on_acknowledgement
        self._started_at = started_at
        self._settings = settings
        self._clock = clock or SystemClock()
        self._unconfirmed = Unconfirmed(settings.max_fragment_bytes)
        self._made, self.pieces = create_memory_object_stream[bytes]()
        self._breakdown: Exception | None = None  # of the document's maker
        self._confirming = AcknowledgementType.PERSISTED
        self._confirmed = Notifier()
        self._heard_at: float | None = None  # when an acknowledgement last said that something is well
        self._is_denied = False  # the last request was

    async def take(self, document: AsyncIterator[bytes]) -> None:
        """Take the document from its maker, a piece at a time; runs beside `run`."""
        with self._made:
            try:
                async for piece in document:
                    if piece:
                        await self._made.send(piece)
            except Exception as error:  # raised by `_rest`, in whoever is sending
                self._breakdown = error
            finally:
                close = getattr(document, "aclose", None)  # generators have it, iterators in general do not
                if close is not None:
                    await close()

    async def run(self) -> None:
        """Send it, connection after connection."""
        failures = 0
        while True:
            heard_at = self._heard_at
            try:
                await self._connect()
            except (Transient, PutMediaRefused, NotAuthorized) as error:
                if not self._may_resume(error):
                    raise
                failures = failures + 1 if self._heard_at == heard_at else 1
                if failures == 1:
                    log.warning("push.interrupted", stream=self._stream_name, reason=str(error))
            else:
                return
            first, last = self._settings.retry_first_seconds, self._settings.retry_last_seconds
            await self._clock.sleep(backoff_seconds(first, last, failures))

    async def _connect(self) -> None:
        if not self._unconfirmed.head and await self._stores_nothing():
            self._confirming = AcknowledgementType.RECEIVED
        await put_media(
            self._client,
            self._stream_name,
            self._rest(),
            self._take_acknowledgement,
            started_at=self._started_at,
            settings=self._settings,
        )

    async def _stores_nothing(self) -> bool:
        try:
            return await self._client.retention_hours(self._stream_name) == 0
        except (NotAuthorized, RequestRefused):  # who may only send: then what was received must do
            return True

    async def _rest(self) -> AsyncGenerator[bytes]:
        """Yield the document from the first fragment on that is not known to be kept."""
        if self._unconfirmed.head:
            yield self._unconfirmed.head + self._unconfirmed.data
        with suppress(EndOfStream):
            while True:
                while self._unconfirmed.is_full:
                    await self._confirmed.next_event.wait()
                piece = await self.pieces.receive()
                self._unconfirmed.add(piece)
                yield piece
        if self._breakdown is not None:
            raise self._breakdown

    def _take_acknowledgement(self, acknowledgement: Acknowledgement) -> None:
        if acknowledgement.type is not AcknowledgementType.ERROR:
            self._heard_at, self._is_denied = self._clock.monotonic(), False
        if acknowledgement.type is self._confirming and acknowledgement.fragment_timecode is not None:
            self._unconfirmed.confirm(acknowledgement.fragment_timecode)
            self._confirmed.notify()
        self._on_acknowledgement(acknowledgement)

    def _may_resume(self, error: Exception) -> bool:
        if error is self._breakdown or self._heard_at is None:  # where nothing ever went well, nothing was interrupted
            return False
        was_denied, self._is_denied = self._is_denied, isinstance(error, NotAuthorized)
        if was_denied and self._is_denied:  # once: a clock may have been set, or a key renewed, after the signature
            return False
        if isinstance(error, PutMediaRefused) and error.error_id not in _COME_BACK:
            return False
        return self._clock.monotonic() - self._heard_at < self._settings.resume_seconds
