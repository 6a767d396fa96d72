"""Stores fragments in the background: first where they stay, then in the index, and only then their futures say so.

Each stream's fragments are appended to its segment a batch at a time, those of several streams at the same time. What
has been appended in the meantime is made known to the index in one transaction, so a commit is shared by however many
streams there are, and a stream that is slow to append holds up no other. What a future reports as stored survives a
kill at any moment: first the segment, then the row, then the future.
"""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio import to_thread

from carillon.concurrency import Notifier
from carillon.storage import Vault
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.live.live_stream import LiveStream, WriteFuture
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import Archive, StoredFragment, seal_context
from carillon.streams.stored.segments import Segments
from carillon.streams.stored.write_queue import QueuedFragment, WriteBatch, WriteQueue
from carillon.telemetry import get_logger

_log: Final = get_logger()
_INLINE_BYTES: Final = 256 * 1024
"""What is sealed in the event loop: about 0.1 ms, which is what going to a thread costs."""


class Writer:
    """Takes fragments to be stored. `run` must be running for futures to be set."""

    def __init__(self, archive: Archive, segments: Segments, vault: Vault, settings: StreamSettings) -> None:
        self._archive = archive
        self._segments = segments
        self._vault = vault
        self._settings = settings
        self._queue = WriteQueue(segments.batch_limits)
        self._appended: list[tuple[WriteBatch, Sequence[StoredFragment]]] = []
        self._unwritten_bytes = 0
        self._changed = Notifier()
        self._has_appended = anyio.Event()
        self._written = Notifier()
        self._scope = anyio.CancelScope(shield=True)
        self._is_closing = False

    def put(self, live: LiveStream, fragment: ReceivedFragment) -> WriteFuture:
        """Take a fragment to be stored after those before it. Await `room` before the next."""
        future = WriteFuture()
        self._queue.put(live, QueuedFragment(fragment, future), anyio.current_time())
        self._unwritten_bytes += fragment.size
        if 2 * self._unwritten_bytes >= self._settings.unwritten_bytes:
            self._queue.flush_all()
        self._changed.notify()
        return future

    def flush(self, live: LiveStream) -> None:
        """Store what there is of a stream now: not much more will come."""
        self._queue.flush(live.stream.id)
        self._changed.notify()

    async def room(self) -> None:
        """Wait until less than the limit is still to be stored."""
        while self._unwritten_bytes >= self._settings.unwritten_bytes:
            await self._written.next_event.wait()

    async def run(self) -> None:
        """Store until told to close. A stop from outside must not tear a commit: hence the shield."""
        with self._scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._index_appended)
                while not (self._is_closing and self._queue.is_empty):
                    woken = self._changed.next_event  # before looking, so that nothing can slip in between
                    taken = self._queue.take(anyio.current_time())
                    for batch in taken:
                        group.start_soon(self._append, batch)
                    if taken:
                        await anyio.sleep(self._settings.commit_seconds)  # others come, and are written together
                    else:
                        with anyio.CancelScope(deadline=self._queue.next_due_at):
                            await woken.wait()
                group.cancel_scope.cancel()

    def close(self) -> None:
        """Make `run` return once everything is stored, or when the time for that is over."""
        self._is_closing = True
        self._scope.deadline = anyio.current_time() + self._settings.flush_seconds
        self._queue.flush_all()
        self._changed.notify()

    @asynccontextmanager
    async def paused(self, stream_id: str) -> AsyncIterator[None]:
        """Keep a stream from being written, so that nothing is deleted that is just being appended to."""
        try:
            with self._queue.pausing(stream_id):
                while self._queue.is_taken(stream_id):
                    await self._written.next_event.wait()
                yield
        finally:
            self._changed.notify()

    async def _append(self, batch: WriteBatch) -> None:
        stream = batch.live.stream
        try:
            if not batch.live.is_deleted:
                records = await self._sealed(batch)
                written = await self._segments.append(stream.id, batch.items[0].fragment.number, records)
                rows = [
                    StoredFragment.of(item.fragment, written.segment, offset, len(record))
                    for item, record, offset in zip(batch.items, records, written.offsets, strict=True)
                ]
                self._appended.append((batch, rows))
                self._has_appended.set()
                return
        except Exception:
            _log.exception("streams.append_failed", stream_arn=stream.arn, fragments=len(batch.items))
        self._finish(batch, is_stored=False)

    async def _sealed(self, batch: WriteBatch) -> list[bytes]:
        if batch.size <= _INLINE_BYTES:
            return self._seal(batch)
        return await to_thread.run_sync(self._seal, batch)

    def _seal(self, batch: WriteBatch) -> list[bytes]:
        stream = batch.live.stream
        fragments = [item.fragment for item in batch.items]
        return [
            self._vault.seal(stream.data_key, f.head + f.body, seal_context(stream.id, f.number)) for f in fragments
        ]

    async def _index_appended(self) -> None:
        """Commit again and again, not too often, what has been appended by then."""
        last = -math.inf
        while True:
            await self._has_appended.wait()
            await anyio.sleep_until(last + self._settings.commit_seconds)
            last = anyio.current_time()
            appended, self._appended = self._appended, []
            self._has_appended = anyio.Event()
            known = await self._index(appended)
            for batch, _ in appended:
                self._finish(batch, is_stored=batch.stream_id in known)

    async def _index(self, appended: Sequence[tuple[WriteBatch, Sequence[StoredFragment]]]) -> frozenset[str]:
        try:
            return await self._archive.add({batch.stream_id: rows for batch, rows in appended})
        except Exception:
            _log.exception("streams.fragments_not_indexed", streams=len(appended))
            return frozenset()

    def _finish(self, batch: WriteBatch, *, is_stored: bool) -> None:
        self._unwritten_bytes -= batch.size
        for item in batch.items:
            item.future.set_result(is_stored=is_stored)
        self._queue.task_done(batch.stream_id)
        self._changed.notify()
        self._written.notify()
