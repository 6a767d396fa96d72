"""All fragments that can be read, wherever they lie: in memory first, in the archive behind that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import anyio

from carillon.clock import Clock
from carillon.concurrency import repeatedly
from carillon.streams.catalog.stream import Stream
from carillon.streams.errors import FragmentUnreadable
from carillon.streams.fragment_numbers import BEFORE_ALL, just_before
from carillon.streams.fragments import FragmentInfo, ReceivedFragment
from carillon.streams.live.live_stream import LiveStream, NewestFragment
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import Archive, StoredFragment
from carillon.streams.stored.retention import Retention
from carillon.streams.stored.write_queue import WriteFuture
from carillon.streams.stored.writer import Writer
from carillon.telemetry import get_logger

_log: Final = get_logger()
_PAGE_ROWS: Final = 64


@dataclass(slots=True)
class Cursor:
    """How far a reader got: it wants what comes behind `number`."""

    number: str
    rows: Sequence[StoredFragment] = ()  # looked up ahead of need

    def take(self) -> StoredFragment | None:
        """Return the next row that was looked up."""
        if not self.rows:
            return None
        row, self.rows = self.rows[0], self.rows[1:]
        return row


class Store:
    """Takes fragments in and finds them again."""

    def __init__(
        self, archive: Archive, writer: Writer, retention: Retention, clock: Clock, settings: StreamSettings
    ) -> None:
        self._archive = archive
        self._writer = writer
        self._retention = retention
        self._clock = clock
        self._settings = settings
        self._live: dict[str, LiveStream] = {}
        self._cached_bytes = 0
        self._is_closing = False

    async def live(self, stream: Stream) -> LiveStream:
        """Return what the stream has in memory; always the same object while there is anything to it.

        Raises:
            StreamNotFound: the stream was deleted.
        """
        if stream.id not in self._live:
            reserved_sequence, stored = await self._archive.newest(stream)
            live = LiveStream(stream, reserved_sequence, NewestFragment.of(stored) if stored else None)
            live.is_closing = self._is_closing
            self._live.setdefault(stream.id, live)
        return self._live[stream.id]

    async def add(self, live: LiveStream, fragment: ReceivedFragment) -> WriteFuture | None:
        """Make a fragment readable now and, if the stream has retention, durable in a moment; None if it has not.

        Returns once there is room for the next one.
        """
        if live.is_deleted:
            return None
        future = self._writer.put(live.stream, fragment) if live.stream.retention_hours else None
        before = live.cached_bytes
        now = self._clock.monotonic()
        live.append(fragment, future, now)
        live.trim(now, self._settings)
        self._cached_bytes += live.cached_bytes - before
        self._shrink()
        await self._writer.room()
        return future

    async def close(self) -> None:
        """Wait until producers have finished the fragments that they send, and all is stored and acknowledged."""
        self._is_closing = True
        async with anyio.create_task_group() as group:
            for live in list(self._live.values()):
                group.start_soon(live.close)

    def flush(self, live: LiveStream) -> None:
        """Make what was added durable soon: its producer is done."""
        self._writer.flush(live.stream)

    async def next(self, live: LiveStream, cursor: Cursor) -> ReceivedFragment | None:
        """Return the first fragment behind the cursor and move it there; None if there is none yet.

        Raises:
            FragmentUnreadable: it is in the archive and cannot be read; the cursor has moved past it.
        """
        while cursor.number < live.floor:
            if not cursor.rows:
                cursor.rows = await self._archive.after(live.stream, cursor.number, live.floor, _PAGE_ROWS)
            row = cursor.take()
            if row is None:
                cursor.number = live.floor
                break
            cursor.number = row.number
            try:
                return await self._archive.read(live.stream, row)
            except FragmentUnreadable:
                if await self._archive.has(live.stream, row.number):
                    raise  # else it was past retention
        fragment = live.after(cursor.number)
        if fragment:
            cursor.number = fragment.number
        return fragment

    async def has(self, live: LiveStream, number: str) -> bool:
        """Return whether a fragment can be read."""
        return any(held.number == number for held in live.fragments()) or await self._archive.has(live.stream, number)

    async def before_server_time(self, live: LiveStream, at: datetime) -> Cursor:
        """Return the place before the fragment that was arriving at a time, or else before the next one."""
        held = [fragment for fragment in live.fragments() if fragment.server_at <= at]
        latest: FragmentInfo | None = held[-1] if held else None
        if latest is None:
            latest = await self._archive.latest_before(live.stream, at)
        if latest is None:
            return Cursor(BEFORE_ALL)
        ends_at = max(latest.received_at, latest.server_at + latest.duration)
        return Cursor(just_before(latest.number) if at < ends_at else latest.number)

    async def before_producer_time(self, live: LiveStream, at: datetime) -> Cursor:
        """Return the place before the fragment that was recorded at a time, or else before the one recorded next."""
        longest = timedelta(seconds=2 * self._settings.max_fragment_seconds)
        found: FragmentInfo | None = await self._archive.recorded_at(live.stream, at, longest)
        held = [f for f in live.fragments() if f.producer_at + f.duration > at]
        if held and (found is None or found.producer_at > at):
            found = next((f for f in held if f.producer_at <= at), min(held, key=lambda f: (f.producer_at, f.number)))
        if found is None:
            return Cursor(live.newest.number if live.newest else live.floor)
        return Cursor(just_before(found.number))

    def change(self, stream: Stream) -> None:
        """Replace what is known of a stream that was changed."""
        if live := self._live.get(stream.id):
            live.stream = stream

    async def delete(self, stream: Stream) -> None:
        """Drop and delete all fragments of a stream that was deleted."""
        live = self._live.pop(stream.id, None)
        if live:
            self._cached_bytes -= live.cached_bytes
            live.delete()
        self._writer.remove(stream)
        await self._retention.purge(stream)

    async def sweep(self) -> None:
        """Delete what may be kept no longer, in memory and in the archive."""
        now = self._clock.monotonic()
        for live in list(self._live.values()):
            before = live.cached_bytes
            live.trim(now, self._settings)
            self._cached_bytes += live.cached_bytes - before
            if live.is_idle:
                del self._live[live.stream.id]
        await self._retention.apply()

    async def run(self) -> None:
        """Sweep from time to time, for ever."""
        await repeatedly(self.sweep, self._settings.sweep_seconds, self._clock, "streams.sweep_failed")

    def _shrink(self) -> None:
        while self._cached_bytes > self._settings.memory_bytes:
            largest = max(self._live.values(), key=lambda live: live.cached_bytes)
            before = largest.cached_bytes
            if not largest.drop_oldest():
                return  # all of it waits for the disk, which has a limit of its own
            self._cached_bytes -= before - largest.cached_bytes
