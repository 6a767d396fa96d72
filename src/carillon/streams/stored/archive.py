"""The index of stored fragments: makes them known, finds them by number and by time, reads them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.storage import Database, SealBroken
from carillon.streams import tables
from carillon.streams.catalog.stream import Stream
from carillon.streams.errors import FragmentUnreadable, StreamNotFound
from carillon.streams.fragments import FragmentInfo, ReceivedFragment
from carillon.streams.stored.sealing import ADDED_BYTES, FragmentSealing
from carillon.streams.stored.segments import Segment, Segments, StorageFailed

_row: Final = tables.fragments.c
_LOOK_AHEAD: Final = 1_000


@dataclass(frozen=True, slots=True)
class StoredFragment(FragmentInfo):
    """A row of the index: a fragment, and where its bytes lie, sealed."""

    head_bytes: int
    segment: str
    offset: int
    size: int

    @classmethod
    def of(cls, fragment: ReceivedFragment, segment: str, offset: int, size: int) -> Self:
        """Return the row of a fragment that lies in this place."""
        return cls(*fragment.info, len(fragment.head), segment, offset, size)

    @property
    def media_bytes(self) -> int:
        """How many bytes it has when it is opened."""
        return self.size - ADDED_BYTES


_NAMES: Final = tuple(StoredFragment.__dataclass_fields__)
_SELECTED: Final = tuple(_row[name] for name in _NAMES)
# Made once: what is said for every fragment costs more to put into words than to do.
_INSERT: Final = sa.insert(tables.fragments)
_GROW: Final = (
    sa.update(tables.streams)
    .where(tables.streams.c.id == sa.bindparam("of"))
    .values(stored_bytes=tables.streams.c.stored_bytes + sa.bindparam("size"))
)


class FragmentSelectorType(Enum):
    """Whose time: when a fragment began to arrive, or when its producer says that it was recorded."""

    SERVER = "server_at"
    PRODUCER = "producer_at"


@dataclass(frozen=True, slots=True)
class TimestampRange:
    """Fragments that begin at a time from `start` to `end`, both included."""

    by: FragmentSelectorType
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ListPosition:
    """Where in a span a list goes on: behind the fragment of this time and number."""

    at: datetime
    number: str


class Archive:
    """Adds to the index, queries it, opens records."""

    def __init__(self, database: Database, sealing: FragmentSealing, segments: Segments) -> None:
        self._database = database
        self._sealing = sealing
        self._segments = segments

    async def add(self, rows: Mapping[str, Sequence[StoredFragment]]) -> frozenset[str]:
        """Make fragments known that are durable, by stream; return the streams that are still there to have them."""
        async with self._database.transaction(beside_others=True) as connection:
            found = await _grow(connection, {stream_id: sum(row.size for row in rows[stream_id]) for stream_id in rows})
            values = [_values(stream_id, row) for stream_id in found for row in rows[stream_id]]
            if values:
                await connection.execute(_INSERT, values if len(values) > 1 else values[0])
        return frozenset(found)

    async def newest(self, stream: Stream) -> tuple[int, StoredFragment | None]:
        """Return the last sequence that was reserved for fragments of a stream, and the latest one that is stored.

        Raises:
            StreamNotFound: it was deleted.
        """
        reserved = sa.select(tables.streams.c.reserved_sequence).where(tables.streams.c.id == stream.id)
        latest = _of(stream).order_by(_row.number.desc()).limit(1)
        async with self._database.reading() as connection:
            sequence = (await connection.execute(reserved)).scalar_one_or_none()
            if sequence is None:
                raise StreamNotFound(stream.arn)
            found = (await connection.execute(latest)).mappings().one_or_none()
        return sequence, StoredFragment(**found) if found else None

    async def after(self, stream: Stream, number: str, up_to: str, limit: int) -> Sequence[StoredFragment]:
        """Return the first fragments behind `number`, none beyond `up_to`, oldest first."""
        query = _of(stream).where(_row.number > number, _row.number <= up_to).order_by(_row.number).limit(limit)
        return await self._select(query)

    async def has(self, stream: Stream, number: str) -> bool:
        """Return whether a fragment is stored."""
        return bool(await self.find(stream, [number]))

    async def find(self, stream: Stream, numbers: Sequence[str]) -> Mapping[str, StoredFragment]:
        """Return those of some fragments that are stored, by number."""
        return {row.number: row for row in await self._select(_of(stream).where(_row.number.in_(numbers)))}

    async def within(
        self, stream: Stream, span: TimestampRange, after: ListPosition | None, limit: int
    ) -> Sequence[StoredFragment]:
        """Return the first fragments of a span, in the order of its times."""
        at = _row[span.by.value]
        query = _of(stream).where(at.between(span.start, span.end)).order_by(at, _row.number).limit(limit)
        if after:
            query = query.where(at >= after.at, sa.or_(at > after.at, _row.number > after.number))
        return await self._select(query)

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
            if producer_at < row.producer_at + row.duration:
                return row
        later = _of(stream).where(_row.producer_at > producer_at).order_by(_row.producer_at, _row.number).limit(1)
        found = await self._select(later)
        return found[0] if found else None

    async def read(self, stream: Stream, row: StoredFragment) -> ReceivedFragment:
        """Return a fragment with its bytes.

        Raises:
            FragmentUnreadable: its segment is gone or damaged.
        """
        try:
            sealed = await self._segments.read(Segment(stream.id, row.segment), row.offset, row.size)
            plain = await self._sealing.unseal(stream, row.number, sealed)
        except (StorageFailed, SealBroken) as error:
            raise FragmentUnreadable(row.number) from error
        return ReceivedFragment(*row.info, plain[: row.head_bytes], plain[row.head_bytes :])

    async def _select(self, query: sa.Select[tuple[object, ...]]) -> Sequence[StoredFragment]:
        async with self._database.reading() as connection:
            return [StoredFragment(**row) for row in (await connection.execute(query)).mappings()]


def _of(stream: Stream) -> sa.Select[tuple[object, ...]]:
    return sa.select(*_SELECTED).where(_row.stream_id == stream.id)


def _values(stream_id: str, row: StoredFragment) -> dict[str, Any]:
    return {"stream_id": stream_id, **{name: getattr(row, name) for name in _NAMES}}


async def _grow(connection: AsyncConnection, sizes: Mapping[str, int]) -> Sequence[str]:
    """Add to what is stored of streams; return those that are still there."""
    if len(sizes) == 1:  # one statement less, and none that goes to a thread
        ((stream_id, size),) = sizes.items()
        grown = await connection.execute(_GROW, {"of": stream_id, "size": size})
        return [stream_id] if grown.rowcount else []
    stream = tables.streams.c
    there = sa.select(stream.id).where(stream.id.in_(sizes)).order_by(stream.id)  # in order: nobody waits in a circle
    found = (await connection.execute(there.with_for_update(key_share=True))).scalars().all()
    if found:
        await connection.execute(_GROW, [{"of": stream_id, "size": sizes[stream_id]} for stream_id in found])
    return found
