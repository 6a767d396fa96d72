"""GetMedia: a document for each fragment, from some place on, as they arrive.

A reader remembers a fragment number and nothing else. It looks for the next fragment, in memory or on disk, and if
there is none waits to be woken; a slow or late reader therefore costs nothing but its own time.

Once a reader has all that is complete, it follows the fragment that is arriving, block by block, and remembers how much
of it was sent: the bytes are those that its producer's connection holds, or those of the fragment that it became. If it
breaks off instead, the body ends: without the tags at the end of its document no consumer takes it for complete, and
whoever connects again goes on after the last one that was.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Final

import anyio

from carillon.clock import Clock
from carillon.streams.documents import document, error_document, opening, rest
from carillon.streams.errors import FragmentUnreadable, StreamThrottled
from carillon.streams.fragments import ArrivingFragment, ReceivedFragment
from carillon.streams.live import starts
from carillon.streams.live.live_stream import LiveStream
from carillon.streams.live.rates import RateLimiter
from carillon.streams.live.store import Cursor, Store
from carillon.streams.settings import StreamSettings

# Source: Kinesis Video Streams Developer Guide, "GetMedia", the errors that come as tags.
_NOT_FOUND: Final = (4000, "Requested fragment is not found")
_INTERNAL: Final = (5000, "Internal error")


class Tail:
    """One GetMedia connection: an async iterator of bytes that ends when no fragment comes for a while.

    Args:
        store: where fragments are found.
        live: what the stream has in memory.
        start: where to begin.
        clock: times the rates.
        settings: limits and time spans.
        is_whole: do not follow the fragment that is arriving; wait until it is complete.

    Raises:
        StreamThrottled, TooManyReaders: from the constructor.
    """

    def __init__(
        self,
        store: Store,
        live: LiveStream,
        start: starts.StartSelector,
        clock: Clock,
        settings: StreamSettings,
        is_whole: bool = False,
    ) -> None:
        self._store = store
        self._live = live
        self._start = start
        self._clock = clock
        self._settings = settings
        self._is_whole = is_whole
        self._notifier = live.changed if is_whole else live.moved
        self._bytes = RateLimiter(settings.read_bytes_per_second)
        self._fragments = RateLimiter(settings.read_fragments_per_second)
        calls, now = live.rates(settings).get_calls, clock.monotonic()
        if not calls.allows(1, now):
            raise StreamThrottled(live.stream.name)
        calls.spend(1, now)
        live.add_reader(self, settings.max_readers)
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except BaseException:
            self._live.remove_reader(self)
            raise

    async def aclose(self) -> None:
        """Stop reading, wherever it is."""
        self._live.remove_reader(self)
        await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        cursor = await starts.find(self._start, self._live, self._store, self._clock, self._settings.now_seconds)
        if cursor is None:
            assert isinstance(self._start, starts.AfterFragment)
            yield error_document(self._start.number, *_NOT_FOUND)
            return
        while not self._live.is_deleted:
            try:
                found = await self._next(cursor)
            except FragmentUnreadable as error:
                yield error_document(error.number, *_INTERNAL)
                continue
            if found is None:
                return
            if isinstance(found, ReceivedFragment):
                for piece in document(found, self._newest_at(found)):
                    yield piece
                    await self._bytes.pause(len(piece), self._clock)
            else:
                async for piece in self._follow(found):
                    yield piece
                    if self._bytes.is_limited:  # a call that can be saved for each block
                        await self._bytes.pause(len(piece), self._clock)
                if found.complete is None:
                    return
                cursor.number = found.number
            await self._fragments.pause(1, self._clock)

    async def _next(self, cursor: Cursor) -> ReceivedFragment | ArrivingFragment | None:
        """Return the next fragment once there is one, or some of it; None if there is none in time, or no stream."""
        deadline = anyio.current_time() + self._settings.end_seconds
        while not self._live.is_deleted:
            changed = self._notifier.next_event
            fragment = await self._store.next(self._live, cursor)
            if fragment:
                return fragment
            arriving = None if self._is_whole else self._live.arriving
            if arriving and arriving.number > cursor.number and arriving.has_begun:
                return arriving
            if self._live.is_closing or not await _happens(changed, deadline):
                return None
        return None

    async def _follow(self, arriving: ArrivingFragment) -> AsyncGenerator[bytes, None]:
        """Yield the document of a fragment as it arrives; the end is missing if it breaks off, or is long in coming."""
        unsent, sent = opening(arriving), 0
        silence = _Silence(self._settings.end_seconds)
        while not arriving.complete:
            changed = self._notifier.next_event
            if data := arriving.read(sent):
                yield unsent + data
                unsent, sent = b"", sent + len(data)
            elif arriving.is_torn or self._live.is_deleted or silence.is_too_long(arriving.received):
                return
            else:
                await changed.wait()
        for piece in rest(unsent, arriving.complete, sent, self._newest_at(arriving)):
            yield piece

    def _newest_at(self, fragment: ReceivedFragment | ArrivingFragment) -> datetime:
        newest = self._live.newest
        return newest.server_at if newest else fragment.server_at


class _Silence:
    """Tells when nothing has come for too long. A deadline on each wait would cost more than sending a block does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._received = -1
        self._since = 0.0

    def is_too_long(self, received: int) -> bool:
        now = anyio.current_time()
        if received != self._received:
            self._received, self._since = received, now
        return now - self._since >= self._seconds


async def _happens(event: anyio.Event, deadline: float) -> bool:
    """Wait; tell whether it happened in time."""
    with anyio.CancelScope(deadline=deadline) as scope:
        await event.wait()
    return not scope.cancelled_caught
