"""Group commit of fragments: many streams, few writes, one transaction for all.

The invariant. What a future reports as stored survives a kill, or a power failure, at that very moment. Hence the
order: first its segment is durable, then its row in the index, and only then its future says so. Deletion goes the
other way. Whatever breaks off in between leaves a record that no row names, and never a row without its record.

How it works. A fragment is in one of these states, and with it the batch that it is written in:

    put -> filling -> due -> taken -> appended -> indexed: its future is set

`WriteQueue` gathers the fragments of each stream into a batch and says which are due. Each batch is appended by a child
of its own, so a stream that is slow to append holds up no other; of one stream only one batch is out at a time, so its
fragments are appended in order. What has been appended by then, of however many streams, is made known to the index in
one transaction. Under load both groups grow by themselves: the slower the disk, the more fragments share a write, and
the more streams share a commit. `room` bounds the memory: beyond `unwritten_bytes` producers wait.

What was decided against. A transaction for each fragment: hundreds of producers would commit hundreds of times a
second. One queue for all streams: a single slow request to a bucket would hold up every call. The row before the
record: readers would be sent to bytes that are not there. Trying again here: the producer is told ARCHIVAL_ERROR, still
has the fragment, and sends it again, whereas memory would fill up with what cannot be written.
"""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio

from carillon.concurrency import Notifier
from carillon.streams.catalog.stream import Stream
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import Archive, StoredFragment
from carillon.streams.stored.sealing import FragmentSealing
from carillon.streams.stored.segments import Segments
from carillon.streams.stored.write_queue import WriteBatch, WriteFuture, WriteQueue
from carillon.telemetry import get_logger, log_failure

_log: Final = get_logger()


class Writer:
    """Takes fragments to be stored. `run` must be running for futures to be set."""

    def __init__(
        self, archive: Archive, sealing: FragmentSealing, segments: Segments, settings: StreamSettings
    ) -> None:
        self._archive = archive
        self._sealing = sealing
        self._segments = segments
        self._settings = settings
        self._queue = WriteQueue(segments.batch_limits)
        self._appended: list[tuple[WriteBatch, Sequence[StoredFragment]]] = []
        self._unwritten_bytes = 0
        self._changed = Notifier()
        self._has_appended = anyio.Event()
        self._written = Notifier()
        self._scope = anyio.CancelScope(shield=True)
        self._is_closing = False

    def put(self, stream: Stream, fragment: ReceivedFragment) -> WriteFuture:
        """Take a fragment to be stored after those before it. Await `room` before the next."""
        future = WriteFuture(fragment)
        self._queue.put(stream, future, anyio.current_time())
        self._unwritten_bytes += fragment.size
        if 2 * self._unwritten_bytes >= self._settings.unwritten_bytes:
            self._queue.flush_all()
        self._changed.notify()
        return future

    def flush(self, stream: Stream) -> None:
        """Store what there is of a stream now: not much more will come."""
        self._queue.flush(stream.id)
        self._changed.notify()

    def remove(self, stream: Stream) -> None:
        """Give up what is still to be written of a stream that was deleted."""
        if batch := self._queue.remove(stream.id):
            self._set_results(batch, is_stored=False)

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
        fragments = [item.fragment for item in batch.items]
        try:
            records = await self._sealing.seal(batch.stream, fragments)
            written = await self._segments.append(batch.stream_id, fragments[0].number, records)
        except Exception as error:  # this batch's failure is its own; its producers hear of it
            log_failure(_log, "streams.append_failed", error, stream_arn=batch.stream.arn, fragments=len(fragments))
            self._finish(batch, is_stored=False)
            return
        rows = [
            StoredFragment.of(fragment, written.segment, offset, len(record))
            for fragment, record, offset in zip(fragments, records, written.offsets, strict=True)
        ]
        self._appended.append((batch, rows))
        self._has_appended.set()

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
        except Exception as error:  # likewise
            log_failure(_log, "streams.fragments_not_indexed", error, streams=len(appended))
            return frozenset()

    def _finish(self, batch: WriteBatch, *, is_stored: bool) -> None:
        self._queue.task_done(batch.stream_id)
        self._set_results(batch, is_stored=is_stored)

    def _set_results(self, batch: WriteBatch, *, is_stored: bool) -> None:
        self._unwritten_bytes -= batch.size
        for item in batch.items:
            item.set_result(is_stored=is_stored)
        self._changed.notify()
        self._written.notify()
