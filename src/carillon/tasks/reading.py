"""One stream of one pipeline, read once for all the tasks that listen to it.

Each task is a listener with a bounded queue: the slowest one holds the reading back, and nothing piles up. A listener
that needs older fragments than those being read (it resumes, or was started with a fragment number) makes the reading
go back; the others skip what they have heard already, by fragment number.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from anyio import BrokenResourceError, CancelScope, ClosedResourceError, Event, create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from carillon.clock import Clock
from carillon.errors import CarillonError
from carillon.media import After, At, Fragment, Newest, Position
from carillon.telemetry import get_logger

log = get_logger()

_FRESH: Final = timedelta(seconds=5)
"""How old the newest fragment may be to still count as the newest for a task that starts now."""


class FragmentSource(Protocol):
    """Whatever yields a stream's fragments without end, from a position on."""

    def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments, in order; never ends by itself."""
        ...


OpenStream = Callable[[str, Position], FragmentSource]
"""Makes a source for a stream ARN and a position."""


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """One task's place at a stream."""

    queue: MemoryObjectSendStream[Fragment]
    fragments: MemoryObjectReceiveStream[Fragment]
    not_before: datetime | None
    """Server time before which fragments are not meant for this task, where others make the reading go further back."""

    def wants(self, fragment: Fragment) -> bool:
        """Tell whether a fragment is meant for this task."""
        return self.not_before is None or fragment.server_at >= self.not_before


class StreamReading:
    """Reads one stream while anybody listens or watches."""

    def __init__(self, stream_arn: str, open_stream: OpenStream, clock: Clock, queued_fragments: int) -> None:
        self.stream_arn = stream_arn
        self.failure: CarillonError | None = None
        self._open_stream = open_stream
        self._clock = clock
        self._queued_fragments = queued_fragments
        self._listeners: list[Listener] = []
        self._position: Position | None = None
        self._latest: Fragment | None = None
        self._delivering = False
        self._heard_at = clock.monotonic()
        self._wanted = Event()
        self._attempt: CancelScope | None = None

    @property
    def is_read(self) -> bool:
        """Tell whether anybody made the reading begin."""
        return self._position is not None

    @property
    def quiet_seconds(self) -> float:
        """Return the wall time since the last fragment came; zero while fragments wait for a slow task."""
        return 0.0 if self._delivering else self._clock.monotonic() - self._heard_at

    def watch(self) -> None:
        """Begin to read even if nobody listens, to notice when the stream falls silent."""
        if self._position is None:
            self._start_at(Newest())

    @asynccontextmanager
    async def listening(self, position: Position, asked_at: datetime) -> AsyncIterator[Listener]:
        """Take part in the reading from a position on.

        Args:
            position: where the task wants to begin.
            asked_at: when the task was created; bounds what "newest" means if others read older fragments.
        """
        queue, fragments = create_memory_object_stream[Fragment](self._queued_fragments)
        newest = isinstance(position, Newest)
        listener = Listener(queue, fragments, asked_at - _FRESH if newest else None)
        with queue, fragments:
            if newest and self._latest is not None and self._latest.server_at >= asked_at - _FRESH:
                queue.send_nowait(self._latest)
            self._listeners.append(listener)
            self._begin(position)
            try:
                yield listener
            finally:
                if listener in self._listeners:
                    self._listeners.remove(listener)

    def close_all(self) -> None:
        """Tell every listener that no more fragments will come."""
        for listener in self._listeners:
            listener.queue.close()
        self._listeners.clear()

    async def run(self) -> None:
        """Read until cancelled, or until the stream cannot be read; `failure` then says why."""
        while self.failure is None:
            await self._wanted.wait()
            assert self._position is not None
            with CancelScope() as self._attempt:
                try:
                    await self._read(self._position)
                except CarillonError as error:
                    log.warning("stream.unreadable", stream_arn=self.stream_arn, reason=str(error))
                    self.failure = error
        self.close_all()

    def _begin(self, position: Position) -> None:
        if self._position is None or self._must_go_back(position):
            self._start_at(position)

    def _start_at(self, position: Position) -> None:
        self._position = position
        self._latest = None
        self._heard_at = self._clock.monotonic()
        self._wanted.set()
        if self._attempt is not None:
            self._attempt.cancel()

    def _must_go_back(self, position: Position) -> bool:
        """Tell whether what is being read begins too late for a position."""
        match position:
            case Newest():
                return False
            case After(number) if self._latest is not None:
                return int(number) < int(self._latest.number)
            case At() if self._latest is not None:
                return True  # the newest may be the very fragment that the time lies in, and it was delivered already
            case After(number):
                return not isinstance(self._position, After) or int(number) < int(self._position.fragment_number)
            case At(at):
                return not isinstance(self._position, At) or at < self._position.server_at

    async def _read(self, position: Position) -> None:
        async with aclosing(self._open_stream(self.stream_arn, position).fragments()) as fragments:
            async for fragment in fragments:
                self._delivering = True
                try:
                    await self._deliver(fragment)
                finally:
                    self._delivering = False
                    self._heard_at = self._clock.monotonic()
                self._latest = fragment

    async def _deliver(self, fragment: Fragment) -> None:
        all_want_newest = isinstance(self._position, Newest)
        for listener in tuple(self._listeners):
            if all_want_newest or listener.wants(fragment):
                try:
                    await listener.queue.send(fragment)
                except (BrokenResourceError, ClosedResourceError):  # the task has ended meanwhile
                    if listener in self._listeners:
                        self._listeners.remove(listener)
