"""One stream of one pipeline, read once for all the tasks that listen to it.

Each task is a subscription with a bounded queue: the slowest one holds the reading back, and nothing piles up. A
listener that needs older fragments than those being read (it resumes, or was started with a fragment number) makes the
reading go back to the earliest place that anybody needs; the others are not given again what they had, and nobody is
given what was said before the task was asked for.

Every place is a fragment number, never a time: clocks are set, and the endpoint's is not ours.

A stream is silent once nothing has come for a while of time in which something could have come: the endpoint can be
reached, and this process runs. What a frozen process finds when it wakes is read before anybody speaks of silence.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from anyio import BrokenResourceError, CancelScope, ClosedResourceError, Event, create_memory_object_stream

from carillon.clock import Clock, StallDetector
from carillon.errors import CarillonError
from carillon.media import After, Fragment, Newest, Oldest, Position
from carillon.tasks.subscription import LastFragment, StreamSubscription
from carillon.telemetry import get_logger

log = get_logger()


class FragmentSource(Protocol):
    """Whatever yields a stream's fragments without end, from a position on."""

    @property
    def is_unreachable(self) -> bool:
        """Return whether the endpoint cannot be reached now, so that nobody knows whether there are fragments."""
        ...

    def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments, in order; never ends by itself."""
        ...


OpenStream = Callable[[str, Position], FragmentSource]
"""Makes a source for a stream ARN and a position."""


class StreamReading:
    """Reads one stream while anybody listens or watches.

    Args:
        stream_arn: which.
        open_stream: opens it at a position, as often as need be.
        clock: times the silence.
        stalls: tells when this process could last run again.
        queued_fragments: how many may wait for one subscription.
    """

    def __init__(
        self, stream_arn: str, open_stream: OpenStream, clock: Clock, stalls: StallDetector, queued_fragments: int
    ) -> None:
        self.stream_arn = stream_arn
        self._open_stream = open_stream
        self._clock = clock
        self._stalls = stalls
        self._queued_fragments = queued_fragments
        self._subscriptions: list[StreamSubscription] = []
        self._position: Position | None = None
        self._source: FragmentSource | None = None
        self._latest: Fragment | None = None
        self._is_unreadable = False
        self._delivering = False
        self._heard_at = clock.monotonic()
        self._wanted = Event()
        self._attempt: CancelScope | None = None

    @property
    def is_read(self) -> bool:
        """Return whether anybody made the reading begin; a stream that turned out to be unreadable counts as silent."""
        return self._position is not None or self._is_unreadable

    @property
    def quiet_seconds(self) -> float:
        """Return for how long nothing has come though it could have; zero while fragments wait for a slow task."""
        now = self._clock.monotonic()
        if self._delivering or (self._source is not None and self._source.is_unreachable):
            self._heard_at = now
        return now - max(self._heard_at, self._stalls.resumed_at)

    def watch(self) -> None:
        """Begin to read even if nobody listens, to notice when the stream falls silent."""
        if not self.is_read:
            self._open_at(Newest())

    @asynccontextmanager
    async def subscribed(
        self, position: Position, last_fragment: LastFragment | None = None
    ) -> AsyncIterator[StreamSubscription]:
        """Take part in the reading.

        Args:
            position: where the task wants to begin.
            last_fragment: the last fragment that the task had in an earlier life; it then goes on after that one.
        """
        queue, fragments = create_memory_object_stream[Fragment](self._queued_fragments)
        subscription = StreamSubscription(position, queue, fragments, last_fragment)
        with queue, fragments:
            self._subscriptions.append(subscription)
            self._join(subscription)
            try:
                yield subscription
            finally:
                self._dismiss(subscription)

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

    def _join(self, subscription: StreamSubscription) -> None:
        if self._position is None or self._must_go_back(subscription):
            self._open_at(self._earliest_needed())
        elif self._latest is not None and subscription.admits(self._latest, is_exact=False):
            subscription.queue.send_nowait(self._latest)
            subscription.last_fragment = LastFragment.of(self._latest)

    def _must_go_back(self, subscription: StreamSubscription) -> bool:
        """Return whether what is being read begins too late for a subscription that joins."""
        wanted = _first_of(subscription.needs)
        if wanted is None:
            return False
        if self._latest is not None:
            return wanted < int(self._latest.number)
        begun = None if self._position is None else _first_of(self._position)
        return begun is None or wanted < begun

    def _earliest_needed(self) -> Position:
        numbered = [need for subscription in self._subscriptions if _first_of(need := subscription.needs) is not None]
        return min(numbered, key=lambda need: _first_of(need) or 0, default=Newest())

    def _open_at(self, position: Position) -> None:
        self._position = position
        self._latest = None
        self._is_unreadable = False
        self._heard_at = self._clock.monotonic()
        self._wanted.set()
        if self._attempt is not None:
            self._attempt.cancel()

    async def _read(self, position: Position) -> None:
        self._source = self._open_stream(self.stream_arn, position)
        async with aclosing(self._source.fragments()) as fragments:
            async for fragment in fragments:
                self._latest = fragment  # before it is delivered: who joins meanwhile is given it by `_join`
                self._delivering = True
                try:
                    await self._deliver(fragment)
                finally:
                    self._delivering = False
                    self._heard_at = self._clock.monotonic()

    async def _deliver(self, fragment: Fragment) -> None:
        for subscription in tuple(self._subscriptions):
            if not subscription.admits(fragment, is_exact=subscription.needs == self._position):
                continue
            try:
                await subscription.queue.send(fragment)
                subscription.last_fragment = LastFragment.of(fragment)
            except (BrokenResourceError, ClosedResourceError):  # the task has ended meanwhile
                self._dismiss(subscription)

    def _give_up(self, position: Position, error: CarillonError) -> None:
        """End the subscriptions that an error concerns: a number to begin after may be one task's mistake."""
        is_of_some = isinstance(position, After) and self._latest is None
        for subscription in tuple(self._subscriptions):
            if not is_of_some or subscription.needs == position:
                subscription.failure = error
                subscription.close()
                self._dismiss(subscription)
        if self._subscriptions:
            self._open_at(self._earliest_needed())
            return
        self._position = None
        self._is_unreadable = not is_of_some
        self._wanted = Event()

    def _dismiss(self, subscription: StreamSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)


def _first_of(position: Position) -> int | None:
    """Return the lowest number that a fragment from a position on can have; None where only the endpoint knows."""
    match position:
        case After(number):
            return int(number) + 1
        case Oldest():
            return 0
        case Newest():
            return None
