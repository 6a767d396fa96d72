"""What one stream has in memory: its latest fragments, who writes, who reads, and how readers learn of more."""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakSet

import anyio

from carillon.streams.catalog import Stream
from carillon.streams.errors import ProducerConnected, TooManyReaders
from carillon.streams.fragment_numbers import last_of
from carillon.streams.fragments import Arriving, Fragment
from carillon.streams.rates import Rates
from carillon.streams.settings import Settings


class Receipt:
    """Tells when a fragment is on the disk, or that it could not be put there."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self.is_stored = False

    @property
    def is_pending(self) -> bool:
        """Whether the fragment is still to be written."""
        return not self._done.is_set()

    def settle(self, *, is_stored: bool) -> None:
        """Say how it went."""
        self.is_stored = is_stored
        self._done.set()

    async def outcome(self) -> bool:
        """Return, once it is decided, whether the fragment is stored."""
        await self._done.wait()
        return self.is_stored


class Bell:
    """Wakes everyone who waits for something to happen; costs next to nothing while nobody does."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    @property
    def next(self) -> anyio.Event:
        """What is set when it rings. Take it before looking, so that nothing can slip in between."""
        if self._event is None:
            self._event = anyio.Event()
        return self._event

    def ring(self) -> None:
        """Wake them."""
        if self._event is not None:
            self._event.set()
            self._event = None


class Turn:
    """The time during which one connection alone writes to a stream."""

    def __init__(self) -> None:
        self.is_wanted = anyio.Event()
        """Set when another connection is to take over."""
        self.is_closing = anyio.Event()
        """Set when the connection is to end with the fragment that it is sending."""
        self.has_left = anyio.Event()
        """Set when all that it sent is stored and told."""
        self._is_over = anyio.Event()

    @property
    def is_over(self) -> bool:
        """Whether the connection writes no more."""
        return self._is_over.is_set()

    def end(self) -> None:
        """Let the next one have the stream: nothing more will be added to it."""
        self._is_over.set()

    async def ended(self) -> None:
        """Wait until the stream is free."""
        await self._is_over.wait()


@dataclass(frozen=True, slots=True)
class Newest:
    """The latest fragment, whether or not it is in memory."""

    number: str
    server_at: datetime
    received_at: datetime
    left: float | None = None
    """Seconds of it that were not yet spoken when it was here, if it was sent faster than that."""
    held_at: float | None = None
    """The monotonic time when it was complete; None if an earlier process received it."""


@dataclass(frozen=True, slots=True)
class _Held:
    fragment: Fragment
    receipt: Receipt | None
    held_at: float

    @property
    def number(self) -> str:
        return self.fragment.number

    @property
    def is_pinned(self) -> bool:
        return self.receipt is not None and self.receipt.is_pending


class LiveStream:
    """The part of a stream that is in memory.

    Every fragment whose number is above `floor` is in here; whatever is not above it is on disk or nowhere.

    Args:
        stream: as the catalog has it.
        reserved_sequence: no fragment that was received before has a later one.
        newest: the latest fragment on disk.
    """

    def __init__(self, stream: Stream, reserved_sequence: int, newest: Newest | None) -> None:
        self.stream = stream
        self.reserved_sequence = reserved_sequence
        self.newest = newest
        self.floor = last_of(reserved_sequence)
        self.held_bytes = 0
        self.is_deleted = False
        self.is_closing = False
        """No more will come to it: this process is about to end."""
        self.arriving: Arriving | None = None
        self._rates: Rates | None = None
        self.changed = Bell()
        """Rings for those who wait for whole fragments,"""
        self.moved = Bell()
        """and this one for those who follow the fragment that is arriving, too."""
        self._ring: list[_Held] = []
        self._readers: WeakSet[object] = WeakSet()  # one that is dropped without a word does not count for ever
        self._turn: Turn | None = None
        self._waiting = 0  # connections that would write next

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if this object were."""
        return not (self._ring or self._readers or self._turn or self._waiting)

    def rates(self, settings: Settings) -> Rates:
        """Return the rates that count what is done with the stream."""
        if self._rates is None:
            self._rates = Rates.of(settings)
        return self._rates

    @asynccontextmanager
    async def producing(self, settings: Settings) -> AsyncGenerator[Turn, None]:
        """Be the one connection that writes.

        Args:
            settings: say whether another one is asked to leave, and how long to wait until it does.

        Raises:
            ProducerConnected: another one is, and stays.
        """
        if self._turn:
            if settings.takeover_seconds:
                self._turn.is_wanted.set()
            self._waiting += 1
            try:
                with anyio.move_on_after(settings.takeover_seconds or settings.handover_seconds):
                    await self._turn.ended()
            finally:
                self._waiting -= 1
        if self._turn and not self._turn.is_over:
            raise ProducerConnected(self.stream.name)
        turn = self._turn = Turn()
        if self.is_closing:
            turn.is_closing.set()
        try:
            yield turn
        finally:
            turn.end()
            turn.has_left.set()
            if self._turn is turn:
                self._turn = None

    async def close(self) -> None:
        """Let who writes end with the fragment that is arriving, then who reads with the last."""
        while turn := self._turn:
            turn.is_closing.set()
            await turn.has_left.wait()
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

    def hold(self, fragment: Fragment, receipt: Receipt | None, now: float) -> None:
        """Take in the next fragment, at a monotonic time, and wake everyone who waits for it."""
        self._ring.append(_Held(fragment, receipt, now))
        self.held_bytes += fragment.size
        arriving = min(max(0.0, (fragment.received_at - fragment.server_at).total_seconds()), fragment.seconds)
        self.newest = Newest(
            fragment.number, fragment.server_at, fragment.received_at, fragment.seconds - arriving, now
        )
        self.wake()

    def show(self, arriving: Arriving | None) -> None:
        """Let readers see what there is of the next fragment: more than before, or of another, or that it is torn."""
        self.arriving = arriving
        self.moved.ring()

    def wake(self) -> None:
        """Make everyone who waits look again."""
        self.changed.ring()
        self.moved.ring()

    def delete(self) -> None:
        """Let go of everything: the stream is gone."""
        self.is_deleted = True
        self._ring.clear()
        self.held_bytes = 0
        self.wake()

    def fragments(self) -> Iterator[Fragment]:
        """Yield what is in memory, oldest first."""
        return (held.fragment for held in self._ring)

    def after(self, number: str) -> Fragment | None:
        """Return the first fragment in memory whose number is greater."""
        at = bisect_right(self._ring, number, key=lambda held: held.number)
        return self._ring[at].fragment if at < len(self._ring) else None

    def trim(self, now: float, settings: Settings) -> None:
        """Let go of the oldest fragments that are beyond the limits, but never of one that is still to be written."""
        limit = settings.cache_bytes if self.stream.retention_hours else settings.ring_bytes
        oldest_at = now - settings.ring_seconds
        while self._ring and (self.held_bytes > limit or self._ring[0].held_at < oldest_at):
            if not self.drop_oldest():
                break

    def drop_oldest(self) -> bool:
        """Let go of the oldest fragment; tell whether that could be done."""
        if not self._ring or self._ring[0].is_pinned:
            return False
        oldest = self._ring.pop(0).fragment
        self.held_bytes -= oldest.size
        self.floor = oldest.number
        return True
