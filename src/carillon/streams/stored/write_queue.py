"""Which fragments wait to be written, in batches by stream, and which batches are due. No I/O, no clock.

A stream has at most one batch that fills, or is due, and one that was taken and is being written: the next is taken
only when that is done, and grows meanwhile. A batch is due when it is full, when its first fragment has waited long
enough, or when somebody flushes it; until it is taken it costs nothing to add more to it.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from carillon.streams.catalog.stream import Stream
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.stored.segments import BatchLimits


class WriteFuture:
    """A fragment that is to be stored, and whether it is: pending until the writer knows."""

    def __init__(self, fragment: ReceivedFragment) -> None:
        self.fragment = fragment
        self.is_stored = False
        self._done = anyio.Event()

    @property
    def is_pending(self) -> bool:
        """Whether the fragment is still to be written."""
        return not self._done.is_set()

    def set_result(self, *, is_stored: bool) -> None:
        """Set whether the fragment is stored, and wake those who wait for it."""
        self.is_stored = is_stored
        self._done.set()

    async def result(self) -> bool:
        """Wait until it is set; return whether the fragment is stored."""
        await self._done.wait()
        return self.is_stored


@dataclass(slots=True, eq=False)
class WriteBatch:
    """Fragments of one stream that are written together, oldest first."""

    stream: Stream
    due_at: float
    items: list[WriteFuture] = field(default_factory=list)
    size: int = 0

    @property
    def stream_id(self) -> str:
        """Return whose they are."""
        return self.stream.id


class WriteQueue:
    """Remembers what waits. Times are those of one monotonic clock, in seconds.

    Args:
        limits: when a batch is due.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._filling: dict[str, WriteBatch] = {}  # the first to be due first, since all are filled for equally long
        self._due: dict[str, WriteBatch] = {}
        self._taken: set[str] = set()
        self._paused: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being written."""
        return not (self._filling or self._due or self._taken)

    @property
    def next_due_at(self) -> float:
        """When the next batch that is being filled is due; infinite if none is."""
        return next((batch.due_at for batch in self._filling.values()), math.inf)

    def put(self, stream: Stream, waiting: WriteFuture, now: float) -> None:
        """Add a fragment behind the others of its stream."""
        stream_id = stream.id
        batch = self._due.get(stream_id) or self._filling.get(stream_id)
        if batch is None:
            batch = self._filling[stream_id] = WriteBatch(stream, now + self._limits.seconds)
        batch.items.append(waiting)
        batch.size += waiting.fragment.size
        if batch.size >= self._limits.size or len(batch.items) >= self._limits.count:
            self.flush(stream_id)

    def flush(self, stream_id: str) -> None:
        """Make a stream's batch due now."""
        if batch := self._filling.pop(stream_id, None):
            self._due[stream_id] = batch

    def flush_all(self) -> None:
        """Make every batch due now."""
        for stream_id in list(self._filling):
            self.flush(stream_id)

    def take(self, now: float) -> list[WriteBatch]:
        """Return the batches that are due; no other of their streams is until `task_done`."""
        while self.next_due_at <= now:
            self.flush(next(iter(self._filling)))
        free = [batch for stream_id, batch in self._due.items() if self._is_free(stream_id)]
        for batch in free:
            del self._due[batch.stream_id]
            self._taken.add(batch.stream_id)
        return free

    def remove(self, stream_id: str) -> WriteBatch | None:
        """Take out what waits of a stream, for good; what is being written of it stays."""
        return self._filling.pop(stream_id, None) or self._due.pop(stream_id, None)

    def task_done(self, stream_id: str) -> None:
        """Mark what was taken of a stream as written, or given up."""
        self._taken.discard(stream_id)

    def is_taken(self, stream_id: str) -> bool:
        """Return whether something of a stream is being written."""
        return stream_id in self._taken

    @contextmanager
    def pausing(self, stream_id: str) -> Iterator[None]:
        """Keep `take` from returning anything of a stream meanwhile."""
        self._paused[stream_id] += 1
        try:
            yield
        finally:
            self._paused[stream_id] -= 1
            if not self._paused[stream_id]:
                del self._paused[stream_id]

    def _is_free(self, stream_id: str) -> bool:
        return stream_id not in self._taken and stream_id not in self._paused
