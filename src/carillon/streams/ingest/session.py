"""PutMedia: one connection, from its first byte until its last fragment is stored.

The invariant. Acknowledgements of a fragment come in the order BUFFERING, RECEIVED, PERSISTED; PERSISTED only once it
would survive a power failure; an ERROR is the last of all, behind the PERSISTED of everything that can be stored.

How it works. Three children share a session. One feeds it: bytes go through the parser, fragments into the store,
acknowledgements out, in the order of the bytes. `confirm` waits for the disk, fragment after fragment, and acknowledges
what is there. `remind` wakes readers when nothing comes, so that they can give up. A session

- takes bytes until it has ended: the body ends or breaks a rule, a fragment cannot be stored, the stream is deleted,
  another producer takes over;
- leaves, when the process is to stop: it ends with the fragment that is arriving, and not before `confirm` knows it;
- once ended, releases the stream for the next producer at once, and says its last word when all before is confirmed.

What was decided against. One child for all would keep the next fragment from arriving while the last one is written.
A queue of bytes between the connection and the parser would hide from the producer that it must wait: as it is, rates,
a full disk queue and acknowledgements that nobody reads all slow down `feed`, and so the connection.
"""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final, Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from carillon.clock import Clock
from carillon.concurrency import FairShare, beside
from carillon.streams.catalog.catalog import StreamCatalog
from carillon.streams.errors import StreamNotFound, StreamThrottled
from carillon.streams.fragment_numbers import RANDOM_BITS
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.ingest.acknowledgements import AckErrorCode, AckEventType, FragmentAck
from carillon.streams.ingest.numbers import ReservedNumbers
from carillon.streams.ingest.parser import IngestEvent, PutMediaParser
from carillon.streams.live.live_stream import LiveStream, ProducerLock
from carillon.streams.live.store import Store
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.write_queue import WriteFuture
from carillon.telemetry import get_logger

_log: Final = get_logger()

_WAITING: Final = 100
"""Acknowledgements, and fragments on their way to the disk, of one connection. Beyond it the producer waits."""
_REMINDED: Final = 0.25
"""Part of the time after which a reader gives up; by so much it may be late."""


def random_bits() -> int:
    """Return what makes fragment numbers unguessable."""
    return secrets.randbits(RANDOM_BITS)


class PutMediaSession:
    """Takes the bytes of one PutMedia body, stores what they hold, and reports how far each fragment got.

    `feed`, `finalize`, `end` and `fail` are for one child. `acknowledgements` is for another, which must read them: if
    none does, feeding waits. They end once the body has ended or failed and nothing is left to be stored; an ERROR is
    always the last.
    """

    acknowledgements: MemoryObjectReceiveStream[FragmentAck]

    def __init__(
        self,
        *,
        live: LiveStream,
        lock: ProducerLock,
        store: Store,
        parser: PutMediaParser,
        numbers: ReservedNumbers,
        clock: Clock,
        settings: StreamSettings,
    ) -> None:
        self._live = live
        self._lock = lock
        self._store = store
        self._parser = parser
        self._numbers = numbers
        self._clock = clock
        self._rates = live.rates(settings)
        self._finalize_seconds = settings.finalize_seconds
        self._remind_seconds = settings.end_seconds * _REMINDED
        self._acknowledging, self.acknowledgements = anyio.create_memory_object_stream[FragmentAck](_WAITING)
        self._unconfirmed_writes, self._unconfirmed = anyio.create_memory_object_stream[
            tuple[FragmentAck, WriteFuture]
        ](_WAITING)
        self._share = FairShare()
        self._last_word: FragmentAck | None = None
        self._leaves_with: FragmentAck | None = None
        self._is_taking = False
        self._has_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._has_ended:  # by an error of ours, or a stop: whoever reads must not wait for the rest
            self._parser.discard()
            self._live.show(None)
        for stream in (self._acknowledging, self.acknowledgements, self._unconfirmed_writes, self._unconfirmed):
            stream.close()

    @property
    def finalizes_in(self) -> float | None:
        """After how many seconds without more bytes to call `finalize`; None if that would not change anything."""
        return self._finalize_seconds if self._parser.is_whole else None

    async def feed(self, data: bytes) -> None:
        """Take the next bytes of the body; waits while they come too fast for the rates, the disk, or the listener."""
        self._share.begin()
        for piece in self._share.pieces(data):
            if not (self._can_take or await self._is_ready()):
                return
            now = self._clock.now()
            outcomes = self._parser.feed(piece, now)
            if self._parser.is_whole and not self._parser.expects_tags:
                outcomes += self._parser.finalize(now)
            if outcomes:
                await self._take(outcomes)
            self._show()
            if self._rates.written_bytes.is_limited:
                await self._rates.written_bytes.pause(len(piece), self._clock)
            await self._share.rest()

    async def finalize(self) -> None:
        """Complete the fragment if its Cluster is: nothing has arrived for a moment."""
        if await self._is_ready():
            await self._take(self._parser.finalize(self._clock.now()))
            self._show()

    async def end(self) -> None:
        """End the body."""
        if await self._is_ready():
            await self._take(self._parser.end(self._clock.now()))
            self._finish(None)

    async def fail(self, error_code: AckErrorCode) -> None:
        """Give up, and discard the fragment that is not complete."""
        if not self._has_ended:
            await self._take(self._parser.fail(error_code, self._clock.now()))
            self._finish(None)

    async def wanted(self) -> None:
        """Wait until another connection is to take the stream over: then `fail`."""
        await self._lock.is_wanted.wait()

    async def closing(self) -> None:
        """Wait until this process wants to end: then `leave`."""
        await self._lock.is_closing.wait()

    def leave(self, error_code: AckErrorCode) -> None:
        """End with the fragment that is arriving, or at once if none is; the producer is told why."""
        self._leaves_with = FragmentAck(AckEventType.ERROR, error_code=error_code)
        self._leave_between_fragments()

    async def idle(self) -> None:
        """Send the producer an IDLE: we are waiting for it."""
        await self._acknowledge(FragmentAck(AckEventType.IDLE))

    async def confirm(self) -> None:
        """Acknowledge fragments as they reach the disk. Runs beside everything else until the session is over."""
        async for received, future in self._unconfirmed:
            if await future.result():
                await self._acknowledge(FragmentAck(AckEventType.PERSISTED, received.timecode_ms, received.number))
            else:
                self._finish(self._why_not_stored(received))
        if self._last_word:
            await self._acknowledge(self._last_word)
        self._acknowledging.close()

    async def remind(self) -> None:
        """Wake readers now and then, so that they notice when nothing comes. Runs likewise."""
        while True:
            await anyio.sleep(self._remind_seconds)
            self._live.moved.notify()

    def _why_not_stored(self, received: FragmentAck) -> FragmentAck:
        error_code = AckErrorCode.STREAM_NOT_ACTIVE if self._live.is_deleted else AckErrorCode.ARCHIVAL_ERROR
        return FragmentAck(AckEventType.ERROR, received.timecode_ms, received.number, error_code)

    @property
    def _can_take(self) -> bool:
        return not (self._has_ended or self._live.is_deleted) and self._numbers.are_enough

    async def _is_ready(self) -> bool:
        """Return whether more can be taken: the stream is there, and numbers for what may come are reserved."""
        if self._has_ended:
            return False
        try:
            if self._live.is_deleted:
                raise StreamNotFound(self._live.stream.arn)
            if not self._numbers.are_enough:
                await self._numbers.extend()
        except StreamNotFound:
            await self.fail(AckErrorCode.STREAM_NOT_ACTIVE)
            return False
        return True

    def _leave_between_fragments(self) -> None:
        if self._leaves_with and self._parser.arriving is None and not self._is_taking:
            self._finish(self._leaves_with)

    async def _take(self, outcomes: Sequence[IngestEvent]) -> None:
        self._is_taking = True  # until what was received is with `confirm`, nobody is told to leave
        try:
            await self._take_each(outcomes)
        finally:
            self._is_taking = False
        self._leave_between_fragments()

    async def _take_each(self, outcomes: Sequence[IngestEvent]) -> None:
        future: WriteFuture | None = None
        for outcome in outcomes:
            if self._has_ended:
                break
            if isinstance(outcome, ReceivedFragment):
                future = await self._store.add(self._live, outcome)
                await self._rates.written_fragments.pause(1, self._clock)
            elif outcome.kind is AckEventType.ERROR:
                self._finish(outcome)
            else:
                await self._acknowledge(outcome)
                if future and outcome.kind is AckEventType.RECEIVED and not self._has_ended:
                    with suppress(anyio.ClosedResourceError):  # `confirm` has just found that nothing can be stored
                        await self._unconfirmed_writes.send((outcome, future))
                if self._leaves_with and outcome.kind is AckEventType.RECEIVED:
                    self._finish(self._leaves_with)

    def _show(self) -> None:
        if not self._has_ended:
            self._live.show(self._parser.arriving)

    async def _acknowledge(self, acknowledgement: FragmentAck) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # nobody listens any more, or it is over
            await self._acknowledging.send(acknowledgement)

    def _finish(self, last_word: FragmentAck | None) -> None:
        """Close what `confirm` reads, with this to send after all else, and release the stream."""
        if not self._has_ended:
            self._has_ended = True
            self._parser.discard()
            self._live.show(None)
            self._lock.release()
            self._store.flush(self._live)
        self._last_word = self._last_word or last_word
        self._unconfirmed_writes.close()


@asynccontextmanager
async def open_session(
    live: LiveStream,
    store: Store,
    catalog: StreamCatalog,
    producer_start: datetime | None,
    clock: Clock,
    settings: StreamSettings,
    random: Callable[[], int] = random_bits,
) -> AsyncGenerator[PutMediaSession, None]:
    """Open the one session that writes to a stream.

    Raises:
        StreamThrottled: the stream is used faster than its rates allow.
        ProducerConnected: another one is.
        StreamNotFound: the stream was deleted.
    """
    _check_rates(live, clock, settings)
    async with live.producing(settings) as lock:
        numbers = await ReservedNumbers.reserve(live, catalog, random)
        parser = PutMediaParser(numbers.source, producer_start, settings)
        with PutMediaSession(
            live=live,
            lock=lock,
            store=store,
            parser=parser,
            numbers=numbers,
            clock=clock,
            settings=settings,
        ) as session:
            log = _log.bind(stream_arn=live.stream.arn)
            log.info("streams.producer_connected", first_sequence=numbers.source.used + 1)
            try:
                async with beside(session.confirm, session.remind):
                    yield session
            finally:
                log.info("streams.producer_left")


def _check_rates(live: LiveStream, clock: Clock, settings: StreamSettings) -> None:
    rates, now = live.rates(settings), clock.monotonic()
    is_written_slowly = rates.written_bytes.allows(0, now) and rates.written_fragments.allows(0, now)
    if not (is_written_slowly and rates.put_calls.allows(1, now)):
        raise StreamThrottled(live.stream.name)
    rates.put_calls.spend(1, now)
