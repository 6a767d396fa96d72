"""Deletes what may be kept no longer, and orphaned segments. Every step can be broken off and taken up again.

A transaction deletes the rows of some fragments and writes a tombstone for each segment that is empty then. It stays
until the segment has really gone, whatever happens in between. Transactions are small, so that others can write.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any, Final

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.clock import Clock
from carillon.concurrency import repeatedly
from carillon.storage import LONG, Database
from carillon.streams import tables
from carillon.streams.catalog.stream import Stream
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.segments import Segment, Segments, StorageFailed
from carillon.streams.stored.writer import Writer
from carillon.telemetry import get_logger

_log: Final = get_logger()
_row: Final = tables.fragments.c
_stream: Final = tables.streams.c
_tombstones: Final = tables.segment_tombstones.c
_PAGE_ROWS: Final = 250
_PAGE_SEGMENTS: Final = 1_000
_ALL: Final = ""
"""In the place of a segment's name: all that there is of the stream."""
_MOST_SUSPECTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Deleted:
    """What one transaction deleted."""

    fragments: int = 0
    size: int = 0


class Retention:
    """Applies retention by age and by size. Any number of processes may do so at the same time."""

    def __init__(
        self, database: Database, segments: Segments, writer: Writer, clock: Clock, settings: StreamSettings
    ) -> None:
        self._database = database
        self._segments = segments
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._suspects: frozenset[Segment] = frozenset()
        self._is_scrub_due = True

    async def recover(self) -> None:
        """Delete what a crash left behind, as far as that can be told at start. Before anything is written."""
        if self._segments.is_ours_alone:
            await self.delete_orphans(at_once=True)

    async def apply(self) -> None:
        """Delete the fragments that are too old or too many, and the segments that have a tombstone."""
        try:
            await self._segments.tidy()
            deleted = await self._delete_aged() + await self._delete_from_large() + await self._delete_from_all()
            if deleted:
                _log.info("streams.retention_applied", fragments=deleted)
        finally:
            await self._try_to_delete_tombstoned()
        if self._is_scrub_due:
            self._is_scrub_due = not await self._database.scrub()

    async def apply_to(self, stream: Stream) -> None:
        """Delete what is too old in one stream, now; what takes longer than it may goes on with the next sweep."""
        with anyio.move_on_after(self._settings.delete_seconds):
            before = self._clock.now() - timedelta(hours=stream.retention_hours)
            await self._delete_oldest(stream.id, before)
            await self._try_to_delete_tombstoned()

    async def purge(self, stream: Stream) -> None:
        """Delete all that was stored of a stream that the catalog has forgotten; likewise."""
        self._is_scrub_due = True  # its key may be in the database's log; the next sweep is soon enough
        with anyio.move_on_after(self._settings.delete_seconds):
            await self._try_to_delete([Segment(stream.id, _ALL)])

    async def run(self) -> None:
        """Look for orphaned segments from time to time, for ever."""
        seconds, at_once = self._settings.orphan_seconds, not self._segments.is_ours_alone
        await repeatedly(self.delete_orphans, seconds, self._clock, "streams.orphan_search_failed", at_once=at_once)

    async def delete_orphans(self, *, at_once: bool = False) -> None:
        """Delete orphaned segments, which no row names.

        What has been written and is not in the index yet is unknown, too: so only what was unknown the last time.

        Args:
            at_once: the first time is enough.
        """
        seen: set[Segment] = set()
        orphans = 0
        async for stream_id, names in self._segments.listing():
            unknown = await self._unknown(stream_id, names)
            proven = unknown if at_once else unknown & self._suspects
            await self._delete(proven)
            orphans += len(proven)
            if len(seen) < _MOST_SUSPECTS:
                seen |= unknown - proven
        self._suspects = frozenset(seen)
        if orphans:
            _log.info("streams.orphans_deleted", segments=orphans)

    async def _unknown(self, stream_id: str, names: Sequence[str]) -> frozenset[Segment]:
        known = sa.select(_row.segment).where(_row.stream_id == stream_id, _row.segment.in_(names)).distinct()
        async with self._database.reading() as connection:
            if not await _exists(connection, stream_id):
                return frozenset({Segment(stream_id, _ALL)})
            found = set((await connection.execute(known)).scalars())
        return frozenset(Segment(stream_id, name) for name in names if name not in found)

    async def _delete(self, segments: Collection[Segment]) -> None:
        for stream_id in {segment.stream_id for segment in segments if segment.name == _ALL}:
            await self._delete_stream(stream_id)
        rest = [segment for segment in segments if segment.name != _ALL]
        if rest:
            await self._segments.delete(rest)

    async def _delete_stream(self, stream_id: str) -> None:
        """Delete the rows and the segments of a stream that is no more."""
        async with self._writer.paused(stream_id):
            await self._segments.delete_stream(stream_id)
        some = sa.select(_row.number).where(_row.stream_id == stream_id).limit(_PAGE_ROWS)
        delete = sa.delete(tables.fragments).where(_row.stream_id == stream_id, _row.number.in_(some))
        deleted = _PAGE_ROWS
        while deleted == _PAGE_ROWS:
            async with self._database.transaction() as connection:
                deleted = (await connection.execute(delete.execution_options(**LONG))).rowcount

    async def _delete_aged(self) -> int:
        now, deleted = self._clock.now(), 0
        async with self._database.reading() as connection:
            periods = (await connection.execute(sa.select(_stream.retention_hours).distinct())).scalars().all()
        for hours in periods:
            before = now - timedelta(hours=hours)
            is_aged = sa.exists().where(_row.stream_id == _stream.id, _row.server_at < before)
            for stream_id in await self._streams(_stream.retention_hours == hours, is_aged):
                deleted += (await self._delete_oldest(stream_id, before)).fragments
        return deleted

    async def _delete_from_large(self) -> int:
        most, deleted = self._settings.max_stream_bytes, 0
        if most:
            for stream_id in await self._streams(_stream.stored_bytes > most):
                async with self._database.reading() as connection:
                    size = await connection.scalar(sa.select(_stream.stored_bytes).where(_stream.id == stream_id))
                deleted += (await self._delete_oldest(stream_id, excess=(size or 0) - most)).fragments
        return deleted

    async def _delete_from_all(self) -> int:
        """Delete the oldest fragments, whosever they are.

        Since a segment goes as a whole, its fragments go together, even if some of other streams lie between them.
        """
        most, deleted = self._settings.max_total_bytes, 0
        if not most:
            return 0
        async with self._database.reading() as connection:
            excess = (await connection.scalar(sa.select(sa.func.sum(_stream.stored_bytes))) or 0) - most
        if excess <= 0:
            return 0
        together = timedelta(seconds=self._settings.segment_seconds)
        oldest = await self._oldest()
        heapify(oldest)
        while oldest and excess > 0:
            at, stream_id = heappop(oldest)
            gone = await self._delete_oldest(stream_id, at + together, excess)
            excess -= gone.size
            deleted += gone.fragments
            if gone.fragments:
                for entry in await self._oldest(_stream.id == stream_id):
                    heappush(oldest, entry)
        return deleted

    async def _oldest(self, *conditions: sa.ColumnElement[bool]) -> list[tuple[datetime, str]]:
        """Return when the oldest fragment of each stream began to arrive."""
        first = sa.select(sa.func.min(_row.server_at)).where(_row.stream_id == _stream.id).scalar_subquery()
        query = sa.select(first, _stream.id).where(_stream.stored_bytes > 0, *conditions)
        async with self._database.reading() as connection:
            found = await connection.execute(query.execution_options(**LONG))
            return [(at, stream_id) for at, stream_id in found if at is not None]

    async def _streams(self, *conditions: sa.ColumnElement[bool]) -> Sequence[str]:
        query = sa.select(_stream.id).where(*conditions).execution_options(**LONG)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def _delete_oldest(
        self, stream_id: str, before: datetime | None = None, excess: int | None = None
    ) -> _Deleted:
        """Delete a stream's fragments, oldest first.

        Args:
            stream_id: whose.
            before: only those that began to arrive before this.
            excess: only so many that they are of this size together.
        """
        fragments = size = 0
        while excess is None or excess > size:
            deleted = await self._delete_page(stream_id, before, None if excess is None else excess - size)
            fragments, size = fragments + deleted.fragments, size + deleted.size
            if not deleted.fragments:
                break
        return _Deleted(fragments, size)

    async def _delete_page(self, stream_id: str, before: datetime | None, excess: int | None) -> _Deleted:
        query = sa.select(_row.number, _row.segment, _row.size).where(_row.stream_id == stream_id).limit(_PAGE_ROWS)
        if before is None:
            query = query.order_by(_row.number)
        else:
            query = query.where(_row.server_at < before).order_by(_row.server_at, _row.number)
        async with self._writer.paused(stream_id), self._database.transaction() as connection:
            if not await _exists(connection, stream_id, to_change=True):
                return _Deleted()
            page = (await connection.execute(query)).all()
            if excess is not None:
                page = page[: _enough([row.size for row in page], excess)]
            if not page:
                return _Deleted()
            gone = _Deleted(len(page), sum(row.size for row in page))
            numbers = _row.number.in_([row.number for row in page])
            delete = sa.delete(tables.fragments).where(_row.stream_id == stream_id, numbers)
            await connection.execute(delete.execution_options(**LONG))
            shrink = sa.update(tables.streams).where(_stream.id == stream_id)
            await connection.execute(shrink.values(stored_bytes=_stream.stored_bytes - gone.size))
            await self._add_tombstones(connection, stream_id, {row.segment for row in page})
        return gone

    async def _add_tombstones(self, connection: AsyncConnection, stream_id: str, touched: set[str]) -> None:
        """Close those segments that no fragment is left in, and remember that they must go."""
        left = sa.select(_row.segment).where(_row.stream_id == stream_id, _row.segment.in_(touched)).distinct()
        empty = touched.difference((await connection.execute(left)).scalars())
        if empty:
            self._segments.close([Segment(stream_id, name) for name in empty])
            values: list[dict[str, Any]] = [{"stream_id": stream_id, "segment": name} for name in empty]
            await connection.execute(sa.insert(tables.segment_tombstones), values)

    async def _try_to_delete_tombstoned(self) -> None:
        """Delete the segments that have a tombstone, as long as it works."""
        some = sa.select(_tombstones.stream_id, _tombstones.segment).limit(_PAGE_SEGMENTS)
        while True:
            async with self._database.reading() as connection:
                page = [Segment(*row) for row in await connection.execute(some)]
            if not (page and await self._try_to_delete(page)):
                return

    async def _try_to_delete(self, segments: Sequence[Segment]) -> bool:
        """Delete segments and their tombstones; return whether they have gone. If not, the next sweep tries again."""
        try:
            await self._delete(segments)
        except StorageFailed as error:
            _log.warning("streams.deletion_delayed", segments=len(segments), error=str(error))
            return False
        is_meant = sa.and_(_tombstones.stream_id == sa.bindparam("of"), _tombstones.segment == sa.bindparam("name"))
        values = [{"of": segment.stream_id, "name": segment.name} for segment in segments]
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(tables.segment_tombstones).where(is_meant), values)
        return True


async def _exists(connection: AsyncConnection, stream_id: str, *, to_change: bool = False) -> bool:
    query = sa.select(_stream.id).where(_stream.id == stream_id)
    found = await connection.execute(query.with_for_update(key_share=True) if to_change else query)
    return found.scalar_one_or_none() is not None


def _enough(sizes: Sequence[int], needed: int) -> int:
    """Return how many of the first sizes make up what is needed; all, if they do not."""
    for count, size in enumerate(sizes, 1):
        needed -= size
        if needed <= 0:
            return count
    return len(sizes)
