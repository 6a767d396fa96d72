"""PutMedia: one connection, from its first byte until its last fragment is stored."""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final, Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from carillon.clock import Clock
from carillon.streams.acknowledgements import AckKind, Acknowledgement, Refusal
from carillon.streams.catalog import Catalog
from carillon.streams.children import beside
from carillon.streams.errors import StreamNotFound
from carillon.streams.fragment_numbers import RANDOM_BITS, NumberSource
from carillon.streams.fragments import Fragment
from carillon.streams.ingest import MIN_FRAGMENT_BYTES, Ingest, Outcome
from carillon.streams.live import LiveStream, Receipt
from carillon.streams.settings import Settings
from carillon.streams.store import Store
from carillon.telemetry import get_logger

_log: Final = get_logger()

_PIECE_BYTES: Final = 64 * 1024
_NUMBERS_PER_PIECE: Final = _PIECE_BYTES // MIN_FRAGMENT_BYTES + 2
_RESERVED_AT_ONCE: Final = 10_000
"""More than a piece can need, so that most connections reserve but once; there are 2^64 to give away."""
_WAITING: Final = 100
"""Acknowledgements, and fragments on their way to the disk, of one connection. Beyond it the producer waits."""


def random_bits() -> int:
    """Return what makes fragment numbers unguessable."""
    return secrets.randbits(RANDOM_BITS)


class Recording:
    """Takes the bytes of one PutMedia body, stores what they hold, and tells how far each fragment got.

    `feed`, `settle`, `end` and `fail` are for one child. `acknowledgements` is for another, which must read them: when
    nobody does, feeding waits. They end once the body has ended or failed and nothing is left to be stored; an ERROR is
    always the last.
    """

    acknowledgements: MemoryObjectReceiveStream[Acknowledgement]

    def __init__(
        self, live: LiveStream, store: Store, catalog: Catalog, ingest: Ingest, numbers: NumberSource, clock: Clock
    ) -> None:
        self._live = live
        self._store = store
        self._catalog = catalog
        self._ingest = ingest
        self._numbers = numbers
        self._clock = clock
        self._telling, self.acknowledgements = anyio.create_memory_object_stream[Acknowledgement](_WAITING)
        self._receipts, self._unconfirmed = anyio.create_memory_object_stream[tuple[Acknowledgement, Receipt]](_WAITING)
        self._last_word: Acknowledgement | None = None
        self._has_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._telling, self.acknowledgements, self._receipts, self._unconfirmed):
            stream.close()

    async def feed(self, data: bytes) -> None:
        """Take the next bytes of the body; waits while the disk or the reader of acknowledgements is behind."""
        for start in range(0, len(data), _PIECE_BYTES):
            if await self._is_ready():
                await self._take(self._ingest.feed(data[start : start + _PIECE_BYTES], self._clock.now()))

    async def settle(self) -> None:
        """Take note that nothing has arrived for a moment."""
        if await self._is_ready():
            await self._take(self._ingest.settle(self._clock.now()))

    async def end(self) -> None:
        """Take note that the body is over."""
        if await self._is_ready():
            await self._take(self._ingest.end(self._clock.now()))
            self._finish(None)

    async def fail(self, refusal: Refusal) -> None:
        """Give up, and discard the fragment that is not complete."""
        if not self._has_ended:
            await self._take(self._ingest.fail(refusal, self._clock.now()))
            self._finish(None)

    async def idle(self) -> None:
        """Tell the producer that we are waiting for it."""
        await self._tell(Acknowledgement(AckKind.IDLE))

    async def confirm(self) -> None:
        """Tell of fragments as they reach the disk. Runs beside everything else until the recording is over."""
        async for received, receipt in self._unconfirmed:
            if await receipt.outcome():
                await self._tell(Acknowledgement(AckKind.PERSISTED, received.timecode_ms, received.number))
            else:
                self._finish(self._why_not_stored(received))
        if self._last_word:
            await self._tell(self._last_word)
        self._telling.close()

    def _why_not_stored(self, received: Acknowledgement) -> Acknowledgement:
        refusal = Refusal.STREAM_NOT_ACTIVE if self._live.is_deleted else Refusal.ARCHIVAL_ERROR
        return Acknowledgement(AckKind.ERROR, received.timecode_ms, received.number, refusal)

    async def _is_ready(self) -> bool:
        """Tell whether more can be taken: the stream is there, and numbers for what may come are reserved."""
        if self._has_ended:
            return False
        try:
            if self._live.is_deleted:
                raise StreamNotFound(self._live.stream.arn)
            if self._numbers.left < _NUMBERS_PER_PIECE:
                self._numbers.extend(await _reserve(self._live, self._catalog))
        except StreamNotFound:
            await self.fail(Refusal.STREAM_NOT_ACTIVE)
            return False
        return True

    async def _take(self, outcomes: Sequence[Outcome]) -> None:
        receipt: Receipt | None = None
        for outcome in outcomes:
            if isinstance(outcome, Fragment):
                receipt = await self._store.add(self._live, outcome)
            elif outcome.kind is AckKind.ERROR:
                self._finish(outcome)
            else:
                await self._tell(outcome)
                if receipt and outcome.kind is AckKind.RECEIVED and not self._has_ended:
                    await self._receipts.send((outcome, receipt))

    async def _tell(self, acknowledgement: Acknowledgement) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # nobody listens any more, or it is over
            await self._telling.send(acknowledgement)

    def _finish(self, last_word: Acknowledgement | None) -> None:
        """Let `confirm` come to its end, with this to say after all else."""
        self._has_ended = True
        self._last_word = self._last_word or last_word
        self._receipts.close()


@asynccontextmanager
async def open_recording(
    live: LiveStream,
    store: Store,
    catalog: Catalog,
    producer_start: datetime | None,
    clock: Clock,
    settings: Settings,
    random: Callable[[], int] = random_bits,
) -> AsyncGenerator[Recording, None]:
    """Be the one connection that writes to a stream.

    Raises:
        ProducerConnected: another one is.
        StreamNotFound: the stream was deleted.
    """
    with live.producing():
        reserved = await _reserve(live, catalog)
        numbers = NumberSource(reserved - _RESERVED_AT_ONCE, random)
        numbers.extend(reserved)
        ingest = Ingest(numbers, producer_start, settings)
        with Recording(live, store, catalog, ingest, numbers, clock) as recording:
            log = _log.bind(stream_arn=live.stream.arn)
            log.info("streams.producer_connected", first_sequence=reserved - _RESERVED_AT_ONCE + 1)
            try:
                async with beside(recording.confirm):
                    yield recording
            finally:
                log.info("streams.producer_left")


async def _reserve(live: LiveStream, catalog: Catalog) -> int:
    live.reserved_sequence = await catalog.reserve_numbers(live.stream, _RESERVED_AT_ONCE)
    return live.reserved_sequence
