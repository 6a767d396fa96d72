"""One stream of one pipeline, read once for all the tasks that listen to it.

Each task is a listener with a bounded queue: the slowest one holds the reading back, and nothing piles up. A listener
that needs older fragments than those being read (it resumes, or was started with a fragment number) makes the reading
go back to the earliest place that anybody needs; the others are not given again what they had, and nobody is given what
was said before the task was asked for.

Times can be compared, a time and a fragment number cannot. So a reading that begins at a number looks at its first
fragment, which has both, and goes back further if that is too late for somebody else.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Protocol

from anyio import BrokenResourceError, CancelScope, ClosedResourceError, Event, create_memory_object_stream

from carillon.clock import Clock
from carillon.errors import CarillonError
from carillon.media import After, At, Fragment, Newest, Position
from carillon.tasks.listener import Heard, Listener
from carillon.telemetry import get_logger

log = get_logger()


class FragmentSource(Protocol):
    """Whatever yields a stream's fragments without end, from a position on."""

    def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments, in order; never ends by itself."""
        ...


OpenStream = Callable[[str, Position], FragmentSource]
"""Makes a source for a stream ARN and a position."""


class StreamReading:
    """Reads one stream while anybody listens or watches."""

    def __init__(self, stream_arn: str, open_stream: OpenStream, clock: Clock, queued_fragments: int) -> None:
        self.stream_arn = stream_arn
        self._open_stream = open_stream
        self._clock = clock
        self._queued_fragments = queued_fragments
        self._listeners: list[Listener] = []
        self._position: Position | None = None
        self._latest: Fragment | None = None
        self._is_unreadable = False
        self._delivering = False
        self._heard_at = clock.monotonic()
        self._wanted = Event()
        self._attempt: CancelScope | None = None

    @property
    def is_read(self) -> bool:
        """Tell whether anybody made the reading begin; a stream that turned out to be unreadable counts as silent."""
        return self._position is not None or self._is_unreadable

    @property
    def quiet_seconds(self) -> float:
        """Return the wall time since the last fragment came; zero while fragments wait for a slow task."""
        return 0.0 if self._delivering else self._clock.monotonic() - self._heard_at

    def watch(self) -> None:
        """Begin to read even if nobody listens, to notice when the stream falls silent."""
        if not self.is_read:
            self._open_at(Newest())

    @asynccontextmanager
    async def listening(
        self, position: Position, asked_at: datetime, heard: Heard | None = None
    ) -> AsyncIterator[Listener]:
        """Take part in the reading.

        Args:
            position: where the task wants to begin.
            asked_at: when the task was created; bounds what "newest" means if others read older fragments.
            heard: the last fragment that the task had in an earlier life; it then goes on after that one.
        """
        queue, fragments = create_memory_object_stream[Fragment](self._queued_fragments)
        listener = Listener(position, asked_at, queue, fragments, heard)
        with queue, fragments:
            self._listeners.append(listener)
            self._join(listener)
            try:
                yield listener
            finally:
                self._dismiss(listener)

    async def run(self) -> None:
        """Read until cancelled, whenever somebody wants it."""
        while True:
            await self._wanted.wait()
            assert self._position is not None
            position = self._position
            with CancelScope() as self._attempt:
                try:
                    await self._read(position)
                except CarillonError as error:
                    log.warning("stream.unreadable", stream_arn=self.stream_arn, reason=str(error))
                    self._give_up(position, error)

    def _join(self, listener: Listener) -> None:
        if self._position is None or self._must_go_back(listener):
            self._open_at(self._earliest_needed())
        elif self._latest is not None:
            for fragment in listener.admit(self._latest, is_exact=False):
                listener.queue.send_nowait(fragment)
                listener.heard = Heard.of(fragment)

    def _must_go_back(self, listener: Listener) -> bool:
        """Tell whether what is being read begins too late for a listener that joins."""
        match listener.needs:
            case Newest():
                return False
            case After(number) if self._latest is not None:
                return int(number) < int(self._latest.number)
            case At(at) if self._latest is not None:
                return at < self._latest.server_at
            case After(number):
                return not isinstance(self._position, After) or int(number) < int(self._position.fragment_number)
            case At(at) if isinstance(self._position, At):
                return at < self._position.server_at
            case At():
                return isinstance(self._position, Newest)  # where it begins at a number, the first fragment will tell

    def _earliest_needed(self) -> Position:
        numbers = [need for listener in self._listeners if isinstance(need := listener.needs, After)]
        if numbers:
            return min(numbers, key=lambda need: int(need.fragment_number))
        return self._earliest_time() or Newest()

    def _earliest_time(self) -> At | None:
        times = [need for listener in self._listeners if isinstance(need := listener.needs, At)]
        return min(times, key=lambda need: need.server_at, default=None)

    def _open_at(self, position: Position) -> None:
        self._position = position
        self._latest = None
        self._is_unreadable = False
        self._heard_at = self._clock.monotonic()
        self._wanted.set()
        if self._attempt is not None:
            self._attempt.cancel()

    async def _read(self, position: Position) -> None:
        async with aclosing(self._open_stream(self.stream_arn, position).fragments()) as fragments:
            async for fragment in fragments:
                if self._latest is None and isinstance(position, After) and (earlier := self._earlier_than(fragment)):
                    self._open_at(earlier)
                    return
                self._latest = fragment  # before it is delivered: who joins meanwhile is given it by `_join`
                self._delivering = True
                try:
                    await self._deliver(fragment)
                finally:
                    self._delivering = False
                    self._heard_at = self._clock.monotonic()

    def _earlier_than(self, first: Fragment) -> At | None:
        """Return where to begin instead, if the first fragment after a number comes too late for somebody else."""
        earliest = self._earliest_time()
        return earliest if earliest is not None and earliest.server_at < first.server_at else None

    async def _deliver(self, fragment: Fragment) -> None:
        for listener in tuple(self._listeners):
            try:
                for meant in listener.admit(fragment, is_exact=listener.needs == self._position):
                    await listener.queue.send(meant)
                    listener.heard = Heard.of(meant)
            except (BrokenResourceError, ClosedResourceError):  # the task has ended meanwhile
                self._dismiss(listener)

    def _give_up(self, position: Position, error: CarillonError) -> None:
        """End the listeners that an error concerns: a number to begin after may be one task's mistake."""
        is_of_some = isinstance(position, After) and self._latest is None
        for listener in tuple(self._listeners):
            if not is_of_some or listener.needs == position:
                listener.failure = error
                listener.close()
                self._dismiss(listener)
        if self._listeners:
            self._open_at(self._earliest_needed())
            return
        self._position = None
        self._is_unreadable = not is_of_some
        self._wanted = Event()

    def _dismiss(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
