"""Reads stored fragments back: by number, by time, and what is past retention out of the way."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from anyio import to_thread

from carillon.storage import Database, SealBroken, Vault
from carillon.streams import tables
from carillon.streams.catalog import Stream
from carillon.streams.errors import FragmentUnreadable, StreamNotFound
from carillon.streams.fragments import Fragment
from carillon.streams.live import LiveStream, Newest
from carillon.streams.segments import SegmentFiles
from carillon.streams.writer import seal_context

_row: Final = tables.fragments.c
_LOOK_AHEAD: Final = 1_000


@dataclass(frozen=True, slots=True)
class StoredFragment:
    """A row of the index: everything about a fragment but its bytes."""

    number: str
    server_at: datetime
    producer_at: datetime
    received_at: datetime
    timecode_ms: int
    duration_ms: int
    head_bytes: int
    segment: str
    offset: int
    size: int


_SELECTED: Final = tuple(_row[name] for name in StoredFragment.__dataclass_fields__)


class Archive:
    """Queries the index, opens records, deletes what is too old."""

    def __init__(self, database: Database, vault: Vault, files: SegmentFiles) -> None:
        self._database = database
        self._vault = vault
        self._files = files

    async def look_up(self, stream: Stream) -> LiveStream:
        """Return the stream as it is in memory when nothing of it is.

        Raises:
            StreamNotFound: it was deleted.
        """
        reserved = sa.select(tables.streams.c.reserved_sequence).where(tables.streams.c.id == stream.id)
        latest = (
            sa.select(_row.number, _row.server_at, _row.received_at)
            .where(_row.stream_id == stream.id)
            .order_by(_row.number.desc())
            .limit(1)
        )
        async with self._database.reading() as connection:
            sequence = (await connection.execute(reserved)).scalar_one_or_none()
            if sequence is None:
                raise StreamNotFound(stream.arn)
            found = (await connection.execute(latest)).one_or_none()
        return LiveStream(stream, sequence, Newest(*found) if found else None)

    async def after(self, stream: Stream, number: str, up_to: str, limit: int) -> Sequence[StoredFragment]:
        """Return the first fragments behind `number`, none beyond `up_to`, oldest first."""
        query = _of(stream).where(_row.number > number, _row.number <= up_to).order_by(_row.number).limit(limit)
        return await self._select(query)

    async def has(self, stream: Stream, number: str) -> bool:
        """Tell whether a fragment is stored."""
        return bool(await self._select(_of(stream).where(_row.number == number)))

    async def latest_before(self, stream: Stream, server_at: datetime) -> StoredFragment | None:
        """Return the last fragment that had begun to arrive at a time."""
        query = _of(stream).where(_row.server_at <= server_at).order_by(_row.server_at.desc(), _row.number.desc())
        found = await self._select(query.limit(1))
        return found[0] if found else None

    async def recorded_at(self, stream: Stream, producer_at: datetime, longest: timedelta) -> StoredFragment | None:
        """Return the first fragment that was recorded at a time, or else the one recorded next.

        Args:
            stream: whose fragments to search.
            producer_at: the time.
            longest: no fragment is longer.
        """
        began = _row.producer_at.between(producer_at - longest, producer_at)
        for row in await self._select(_of(stream).where(began).order_by(_row.number).limit(_LOOK_AHEAD)):
            if producer_at < row.producer_at + timedelta(milliseconds=row.duration_ms):
                return row
        later = _of(stream).where(_row.producer_at > producer_at).order_by(_row.producer_at, _row.number).limit(1)
        found = await self._select(later)
        return found[0] if found else None

    async def read(self, stream: Stream, row: StoredFragment) -> Fragment:
        """Return a fragment with its bytes.

        Raises:
            FragmentUnreadable: its file is gone or damaged.
        """
        try:
            plain = await to_thread.run_sync(self._open, stream, row)
        except (OSError, SealBroken) as error:
            raise FragmentUnreadable(row.number) from error
        return Fragment(
            number=row.number,
            server_at=row.server_at,
            producer_at=row.producer_at,
            received_at=row.received_at,
            timecode_ms=row.timecode_ms,
            duration_ms=row.duration_ms,
            head=plain[: row.head_bytes],
            body=plain[row.head_bytes :],
        )

    async def recover(self) -> None:
        """Remove the files that no row knows. Before anything is written."""
        known: dict[str, set[str]] = defaultdict(set)
        async with self._database.reading() as connection:
            for stream_id, segment in await connection.execute(sa.select(_row.stream_id, _row.segment).distinct()):
                known[stream_id].add(segment)
        await to_thread.run_sync(self._files.keep_only, known)

    async def delete_aged(self, now: datetime) -> int:
        """Delete fragments past their stream's retention; return how many. Nothing may be written meanwhile."""
        retention = tables.streams.c.retention_hours
        async with self._database.reading() as connection:
            periods = (await connection.execute(sa.select(retention).distinct())).scalars().all()
        return sum([await self._delete_aged(hours, now - timedelta(hours=hours)) for hours in periods])

    async def _delete_aged(self, retention_hours: int, before: datetime) -> int:
        kept_alike = sa.select(tables.streams.c.id).where(tables.streams.c.retention_hours == retention_hours)
        is_aged = sa.and_(_row.server_at < before, _row.stream_id.in_(kept_alike))
        places = sa.select(_row.stream_id, _row.segment).distinct()
        async with self._database.reading() as connection:
            touched = {(stream_id, segment) for stream_id, segment in await connection.execute(places.where(is_aged))}
        if not touched:
            return 0
        async with self._database.transaction() as connection:
            deleted = (await connection.execute(sa.delete(tables.fragments).where(is_aged))).rowcount
            stream_ids = {stream_id for stream_id, _ in touched}
            left = await connection.execute(places.where(_row.stream_id.in_(stream_ids)))
            empty = touched - {(stream_id, segment) for stream_id, segment in left}
        for stream_id, segment in empty:
            await to_thread.run_sync(self._files.delete, stream_id, [segment])
        return deleted

    async def _select(self, query: sa.Select[tuple[object, ...]]) -> Sequence[StoredFragment]:
        async with self._database.reading() as connection:
            return [StoredFragment(**row) for row in (await connection.execute(query)).mappings()]

    def _open(self, stream: Stream, row: StoredFragment) -> bytes:
        sealed = self._files.read(stream.id, row.segment, row.offset, row.size)
        return self._vault.unseal(stream.data_key, sealed, seal_context(stream.id, row.number))


def _of(stream: Stream) -> sa.Select[tuple[object, ...]]:
    return sa.select(*_SELECTED).where(_row.stream_id == stream.id)
