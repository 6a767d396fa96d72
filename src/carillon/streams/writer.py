"""Puts fragments on disk, those of all streams that wait at the same time together.

One child writes: it takes whatever has gathered, appends to each stream's file and syncs it (several at a time, in
threads, sealing included), commits the rows of all of them in one transaction, and only then settles the receipts.
While it is at it the next lot gathers, so the cost of syncing is shared by however many streams there are. What a
receipt calls stored survives a kill at any moment: first the file, then the row, then the word.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import sqlalchemy as sa
from anyio import to_thread

from carillon.clock import Clock
from carillon.storage import Database, Vault
from carillon.streams import tables
from carillon.streams.catalog import Stream
from carillon.streams.fragments import Fragment
from carillon.streams.live import LiveStream, Receipt
from carillon.streams.segments import SegmentFiles
from carillon.streams.settings import Settings
from carillon.telemetry import get_logger

_log: Final = get_logger()


@dataclass(frozen=True, slots=True)
class _Waiting:
    live: LiveStream
    fragment: Fragment
    receipt: Receipt


@dataclass(slots=True)
class _Batch:
    """What is written together. Whoever has a row when all files are synced is stored once the rows are committed."""

    waiting: Sequence[_Waiting]
    rows: dict[Receipt, dict[str, object]] = field(default_factory=dict)


class Writer:
    """Stores fragments in the background. `run` must be running for receipts to be settled."""

    def __init__(self, database: Database, vault: Vault, files: SegmentFiles, clock: Clock, settings: Settings) -> None:
        self._database = database
        self._vault = vault
        self._files = files
        self._clock = clock
        self._settings = settings
        self._threads = anyio.CapacityLimiter(settings.writer_threads)
        self._waiting: list[_Waiting] = []
        self._unwritten_bytes = 0
        self._arrived = anyio.Event()
        self._written = anyio.Event()
        self._writing = anyio.Lock()
        self._scope = anyio.CancelScope(shield=True)
        self._is_closing = False

    def put(self, live: LiveStream, fragment: Fragment) -> Receipt:
        """Take a fragment to be stored after those before it. Await `room` before the next."""
        receipt = Receipt()
        self._waiting.append(_Waiting(live, fragment, receipt))
        self._unwritten_bytes += fragment.size
        self._arrived.set()
        return receipt

    async def room(self) -> None:
        """Wait until less than the limit is still to be written."""
        while self._unwritten_bytes >= self._settings.unwritten_bytes:
            await self._written.wait()

    async def run(self) -> None:
        """Write until told to close. A stop from outside must not tear a commit: hence the shield."""
        with self._scope:
            while not (self._is_closing and not self._waiting):
                await self._arrived.wait()
                self._arrived = anyio.Event()
                async with self._writing:
                    if self._waiting:
                        await self._write_waiting()

    def close(self) -> None:
        """Let `run` return once everything is written, or when the time for that is over."""
        self._is_closing = True
        self._scope.deadline = anyio.current_time() + self._settings.flush_seconds
        self._arrived.set()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Keep `run` from writing, so that files can be deleted without pulling one from under it."""
        async with self._writing:
            yield

    async def _write_waiting(self) -> None:
        batch = _Batch(self._waiting)
        self._waiting = []
        try:
            await self._write(batch)
        except Exception:
            batch.rows.clear()
            _log.exception("streams.fragments_not_stored", fragments=len(batch.waiting))
        finally:
            self._unwritten_bytes -= sum(item.fragment.size for item in batch.waiting)
            for item in batch.waiting:
                item.receipt.settle(is_stored=item.receipt in batch.rows)
            self._written.set()
            self._written = anyio.Event()

    async def _write(self, batch: _Batch) -> None:
        by_stream: dict[LiveStream, list[_Waiting]] = defaultdict(list)
        for item in batch.waiting:
            if not item.live.is_deleted:
                by_stream[item.live].append(item)
        async with anyio.create_task_group() as group:
            for live, items in by_stream.items():
                group.start_soon(self._append, live.stream, items, batch)
        if batch.rows:
            await self._commit(batch)

    async def _append(self, stream: Stream, items: Sequence[_Waiting], batch: _Batch) -> None:
        try:
            rows = await to_thread.run_sync(self._append_blocking, stream, items, limiter=self._threads)
        except Exception:
            _log.exception("streams.append_failed", stream=stream.name)
        else:
            batch.rows.update(zip((item.receipt for item in items), rows, strict=True))

    def _append_blocking(self, stream: Stream, items: Sequence[_Waiting]) -> list[dict[str, object]]:
        fragments = [item.fragment for item in items]
        records = [
            self._vault.seal(stream.data_key, f.head + f.body, seal_context(stream.id, f.number)) for f in fragments
        ]
        written = self._files.append(stream.id, fragments[0].number, records, self._clock.monotonic())
        return [
            {
                "stream_id": stream.id,
                "number": fragment.number,
                "server_at": fragment.server_at,
                "producer_at": fragment.producer_at,
                "received_at": fragment.received_at,
                "timecode_ms": fragment.timecode_ms,
                "duration_ms": fragment.duration_ms,
                "head_bytes": len(fragment.head),
                "segment": written.segment,
                "offset": offset,
                "size": len(record),
            }
            for fragment, record, offset in zip(fragments, records, written.offsets, strict=True)
        ]

    async def _commit(self, batch: _Batch) -> None:
        """Insert the rows, except those of streams that were deleted in the meantime."""
        wanted = {row["stream_id"] for row in batch.rows.values()}
        query = sa.select(tables.streams.c.id).where(tables.streams.c.id.in_(wanted))
        async with self._database.transaction() as connection:
            present = set((await connection.execute(query.with_for_update(read=True, key_share=True))).scalars())
            batch.rows = {receipt: row for receipt, row in batch.rows.items() if row["stream_id"] in present}
            if batch.rows:
                await connection.execute(sa.insert(tables.fragments), list(batch.rows.values()))


def seal_context(stream_id: str, number: str) -> str:
    """Return what binds a sealed fragment to its place."""
    return f"fragment {stream_id} {number}"
