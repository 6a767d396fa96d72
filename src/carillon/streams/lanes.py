"""Which fragments wait to be written, by stream, and whose turn it is. No I/O, no clock.

Fragments of one stream are written one batch after the other. A stream's turn comes when enough has gathered, or the
first has waited long enough; until then it costs nothing to put more beside it.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from carillon.streams.fragments import Fragment
from carillon.streams.live import LiveStream, Receipt
from carillon.streams.segments import Gather


@dataclass(frozen=True, slots=True)
class Waiting:
    """A fragment, and who is to be told."""

    fragment: Fragment
    receipt: Receipt


@dataclass(slots=True, eq=False)
class Batch:
    """Fragments of one stream that are written together, oldest first."""

    live: LiveStream
    due_at: float
    items: list[Waiting] = field(default_factory=list)
    size: int = 0

    @property
    def stream_id(self) -> str:
        """Return whose they are."""
        return self.live.stream.id


class Lanes:
    """Remembers what waits. Times are those of one monotonic clock, in seconds.

    Args:
        gather: when a stream's turn comes.
    """

    def __init__(self, gather: Gather) -> None:
        self._gather = gather
        self._gathering: dict[str, Batch] = {}  # the first to be due first, since all gather for equally long
        self._due: dict[str, Batch] = {}
        self._taken: set[str] = set()
        self._paused: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being written."""
        return not (self._gathering or self._due or self._taken)

    @property
    def next_due_at(self) -> float:
        """When somebody's turn comes by itself; never, if nobody gathers."""
        return next((batch.due_at for batch in self._gathering.values()), math.inf)

    def put(self, live: LiveStream, waiting: Waiting, now: float) -> None:
        """Let a fragment wait behind the others of its stream."""
        stream_id = live.stream.id
        batch = self._due.get(stream_id) or self._gathering.get(stream_id)
        if batch is None:
            batch = self._gathering[stream_id] = Batch(live, now + self._gather.seconds)
        batch.items.append(waiting)
        batch.size += waiting.fragment.size
        if batch.size >= self._gather.size or len(batch.items) >= self._gather.count:
            self.hurry(stream_id)

    def hurry(self, stream_id: str) -> None:
        """Let a stream's turn come now."""
        if batch := self._gathering.pop(stream_id, None):
            self._due[stream_id] = batch

    def hurry_all(self) -> None:
        """Let everybody's turn come now."""
        for stream_id in list(self._gathering):
            self.hurry(stream_id)

    def take(self, now: float) -> list[Batch]:
        """Return those whose turn it is; nothing more of their streams is, until they are put down."""
        while self.next_due_at <= now:
            self.hurry(next(iter(self._gathering)))
        free = [batch for stream_id, batch in self._due.items() if self._is_free(stream_id)]
        for batch in free:
            del self._due[batch.stream_id]
            self._taken.add(batch.stream_id)
        return free

    def put_down(self, stream_id: str) -> None:
        """Say that what was taken of a stream is written, or never will be."""
        self._taken.discard(stream_id)

    def is_taken(self, stream_id: str) -> bool:
        """Tell whether something of a stream is being written."""
        return stream_id in self._taken

    @contextmanager
    def pausing(self, stream_id: str) -> Iterator[None]:
        """Let nothing more of a stream be taken meanwhile."""
        self._paused[stream_id] += 1
        try:
            yield
        finally:
            self._paused[stream_id] -= 1
            if not self._paused[stream_id]:
                del self._paused[stream_id]

    def _is_free(self, stream_id: str) -> bool:
        return stream_id not in self._taken and stream_id not in self._paused
