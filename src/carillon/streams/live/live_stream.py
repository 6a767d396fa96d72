"""What one stream has in memory: its latest fragments, who writes, who reads, and how readers learn of more."""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from weakref import WeakSet

import anyio

from carillon.concurrency import Notifier
from carillon.streams.catalog.stream import Stream
from carillon.streams.errors import ProducerConnected, TooManyReaders
from carillon.streams.fragment_numbers import last_of
from carillon.streams.fragments import ArrivingFragment, ReceivedFragment
from carillon.streams.live.rates import StreamRateLimiters
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import StoredFragment
from carillon.streams.stored.write_queue import WriteFuture


class ProducerLock:
    """Held by the one connection that may write to a stream."""

    def __init__(self) -> None:
        self.is_wanted = anyio.Event()
        """Set when another connection is to take over."""
        self.is_closing = anyio.Event()
        """Set when the connection is to end with the fragment that it is sending."""
        self.has_left = anyio.Event()
        """Set when all that it sent is stored and acknowledged."""
        self._released = anyio.Event()

    @property
    def is_released(self) -> bool:
        """Whether the connection writes no more."""
        return self._released.is_set()

    def release(self) -> None:
        """Release the stream for the next one: nothing more will be added by this one."""
        self._released.set()

    async def released(self) -> None:
        """Wait until it is released."""
        await self._released.wait()


@dataclass(frozen=True, slots=True)
class NewestFragment:
    """The latest fragment, whether or not it is in memory."""

    number: str
    server_at: datetime
    received_at: datetime
    left: float | None = None
    """Seconds of it that were not yet spoken when it was here, if it was sent faster than that."""
    completed_at: float | None = None
    """The monotonic time when it was complete; None if an earlier process received it."""

    @classmethod
    def of(cls, stored: StoredFragment) -> Self:
        """Return what the index says of it."""
        return cls(stored.number, stored.server_at, stored.received_at)


@dataclass(frozen=True, slots=True)
class _CachedFragment:
    fragment: ReceivedFragment
    future: WriteFuture | None
    completed_at: float

    @property
    def number(self) -> str:
        return self.fragment.number

    @property
    def is_pinned(self) -> bool:
        return self.future is not None and self.future.is_pending


class LiveStream:
    """The part of a stream that is in memory.

    Every fragment whose number is above `floor` is in here; whatever is not above it is on disk or nowhere.

    Args:
        stream: as the catalog has it.
        reserved_sequence: no fragment that was received before has a later one.
        newest: the latest fragment on disk.
    """

    def __init__(self, stream: Stream, reserved_sequence: int, newest: NewestFragment | None) -> None:
        self.stream = stream
        self.reserved_sequence = reserved_sequence
        self.newest = newest
        self.floor = last_of(reserved_sequence)
        self.cached_bytes = 0
        self.is_deleted = False
        self.is_closing = False
        """No more will come to it: this process is about to end."""
        self.arriving: ArrivingFragment | None = None
        self._rates: StreamRateLimiters | None = None
        self.changed = Notifier()
        """Notifies those who wait for whole fragments,"""
        self.moved = Notifier()
        """and this one for those who follow the fragment that is arriving, too."""
        self._ring: list[_CachedFragment] = []
        self._readers: WeakSet[object] = WeakSet()  # one that is dropped without a word does not count for ever
        self._lock: ProducerLock | None = None
        self._waiting = 0  # connections that would write next

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if this object were."""
        return not (self._ring or self._readers or self._lock or self._waiting)

    def rates(self, settings: StreamSettings) -> StreamRateLimiters:
        """Return the rates that count what is done with the stream."""
        if self._rates is None:
            self._rates = StreamRateLimiters.of(settings)
        return self._rates

    @asynccontextmanager
    async def producing(self, settings: StreamSettings) -> AsyncGenerator[ProducerLock, None]:
        """Hold the producer lock: be the one connection that writes.

        Args:
            settings: say whether another one is asked to leave, and how long to wait until it does.

        Raises:
            ProducerConnected: another one is, and stays.
        """
        if self._lock:
            if settings.takeover_seconds:
                self._lock.is_wanted.set()
            self._waiting += 1
            try:
                with anyio.move_on_after(settings.takeover_seconds or settings.handover_seconds):
                    await self._lock.released()
            finally:
                self._waiting -= 1
        if self._lock and not self._lock.is_released:
            raise ProducerConnected(self.stream.name)
        lock = self._lock = ProducerLock()
        if self.is_closing:
            lock.is_closing.set()
        try:
            yield lock
        finally:
            lock.release()
            lock.has_left.set()
            if self._lock is lock:
                self._lock = None

    async def close(self) -> None:
        """End the producer with the fragment that is arriving, then the readers with the last."""
        while lock := self._lock:
            lock.is_closing.set()
            await lock.has_left.wait()
        self.is_closing = True
        self.wake()

    def add_reader(self, reader: object, limit: int) -> None:
        """Count a reader until it is removed or dropped.

        Raises:
            TooManyReaders: there are `limit` already.
        """
        if len(self._readers) >= limit:
            raise TooManyReaders(self.stream.name, limit)
        self._readers.add(reader)

    def remove_reader(self, reader: object) -> None:
        """Count a reader no more."""
        self._readers.discard(reader)

    def append(self, fragment: ReceivedFragment, future: WriteFuture | None, now: float) -> None:
        """Add the next fragment, at a monotonic time, and wake everyone who waits for it."""
        self._ring.append(_CachedFragment(fragment, future, now))
        self.cached_bytes += fragment.size
        seconds = fragment.duration_ms / 1000
        arriving = min(max(0.0, (fragment.received_at - fragment.server_at).total_seconds()), seconds)
        self.newest = NewestFragment(fragment.number, fragment.server_at, fragment.received_at, seconds - arriving, now)
        self.wake()

    def show(self, arriving: ArrivingFragment | None) -> None:
        """Show readers what there is of the next fragment: more than before, or of another, or that it is torn."""
        self.arriving = arriving
        self.moved.notify()

    def wake(self) -> None:
        """Make everyone who waits look again."""
        self.changed.notify()
        self.moved.notify()

    def delete(self) -> None:
        """Drop everything: the stream is gone."""
        self.is_deleted = True
        self._ring.clear()
        self.cached_bytes = 0
        self.wake()

    def fragments(self) -> Iterator[ReceivedFragment]:
        """Yield what is in memory, oldest first."""
        return (held.fragment for held in self._ring)

    def after(self, number: str) -> ReceivedFragment | None:
        """Return the first fragment in memory whose number is greater."""
        at = bisect_right(self._ring, number, key=lambda held: held.number)
        return self._ring[at].fragment if at < len(self._ring) else None

    def trim(self, now: float, settings: StreamSettings) -> None:
        """Drop the oldest fragments that are beyond the limits, but never one that is still to be written."""
        limit = settings.cache_bytes if self.stream.retention_hours else settings.ring_bytes
        oldest_at = now - settings.ring_seconds
        while self._ring and (self.cached_bytes > limit or self._ring[0].completed_at < oldest_at):
            if not self.drop_oldest():
                break

    def drop_oldest(self) -> bool:
        """Drop the oldest fragment; return whether that could be done."""
        if not self._ring or self._ring[0].is_pinned:
            return False
        oldest = self._ring.pop(0).fragment
        self.cached_bytes -= oldest.size
        self.floor = oldest.number
        return True
