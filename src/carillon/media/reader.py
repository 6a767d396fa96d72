"""A stream without end out of connections that do end: it goes on after the last complete fragment.

A GetMedia body ends after 3 s without fragments, on every network failure, and whenever the endpoint likes. The reader
opens the next one at once if this one did its work, else after a pause that grows while nothing can be read. It never
ends by itself: whether a silent stream means the end of a call is for others to say.

Fragments may be lost at the endpoint: one cannot be read, or its retention is over before we came back. A call must not
end by that, so the reader leaves out what it has tried often enough, and goes on with the oldest fragment that is left.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from prometheus_client import Histogram

from carillon.clock import Clock, SystemClock
from carillon.concurrency import FairShare, backoff_seconds
from carillon.errors import Transient
from carillon.media.fragments import (
    Fragment,
    FragmentNotFound,
    FragmentParser,
    MediaInterrupted,
    UnreadableFragment,
)
from carillon.media.refusals import NotAuthorized
from carillon.media.settings import MediaSettings
from carillon.telemetry import get_logger

log = get_logger()


_LAG: Final = Histogram(
    "carillon_media_lag_seconds",
    "Time from when the last sample of a fragment reached the endpoint until the fragment is taken up here",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)


@dataclass(frozen=True, slots=True)
class Newest:
    """Begin with the newest fragment."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """Begin with the oldest fragment there is."""


@dataclass(frozen=True, slots=True)
class After:
    """Begin with the fragment that follows a known one."""

    fragment_number: str
    server_at: datetime | None = None
    """When the endpoint began to receive that one: where to go on if it has lost it. None: then it is an error."""


@dataclass(frozen=True, slots=True)
class _At:
    """Begin with the fragment that the endpoint began to receive at a time by its own clock, or the next one."""

    server_at: datetime


Position = Newest | Oldest | After


class Connect(Protocol):
    """Whoever can open a stream."""

    def get_media(
        self, stream_arn: str, selector: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a stream at a StartSelector."""
        ...


class FragmentReader:
    """Reads one stream, from a position on.

    Args:
        stream_arn: which.
        start: where to begin.
        connect: opens the stream, as often as need be.
        settings: pauses and limits.
        clock: tells how long a connection lasted and how late fragments are; times the pauses between connections.
    """

    def __init__(
        self,
        stream_arn: str,
        start: Position,
        connect: Connect,
        settings: MediaSettings | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._stream_arn = stream_arn
        self._position: Position | _At = start
        self._connect = connect
        self._settings = settings or MediaSettings()
        self._clock = clock or SystemClock()
        self._passed = int(start.fragment_number) if isinstance(start, After) else -1  # all up to here are done with
        self._last_at = start.server_at if isinstance(start, After) else None  # when the endpoint received the last one
        self._failures = 0  # in a row
        self._unreadable = 0  # how often in a row the endpoint could not read what comes next
        self._is_leaving_out = False  # the last fragment was left out: the next that cannot be read is at once
        self._is_denied = False  # the last request was
        self.is_unreachable = False
        """Whether the last connection could not be opened, so that nobody knows whether there are fragments."""

    async def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments in order, each once; close the iterator to stop (`contextlib.aclosing`).

        Raises:
            RemoteStreamNotFound, NotAuthorized, RequestRefused: the stream cannot be read.
            FragmentNotFound: the fragment to begin after is not there.
            MediaEncrypted: the endpoint cannot decrypt the stream.
            MalformedFragment, FragmentTooLarge, MatroskaError: the stream is not as it must be.
        """
        while True:
            position, opened_at = self._position, self._clock.monotonic()
            try:
                async with aclosing(self._connection()) as connection:
                    async for fragment in connection:
                        self._go_on_after(fragment)
                        yield fragment
            except Transient as error:
                await self._pause(str(error))
            except NotAuthorized as error:
                if self._is_denied:
                    raise
                self._is_denied = True  # once: a clock may have been set, or a key renewed, just after the signature
                await self._pause(str(error))
            except FragmentNotFound as error:
                if self._last_at is None:
                    raise
                self._go_on_with_what_is_left(self._last_at)
                await self._pause(str(error))
            else:
                is_early = self._clock.monotonic() - opened_at < self._settings.quiet_seconds
                if self._position is position and is_early:
                    await self._pause("the endpoint sends nothing and does not wait")
                else:
                    self._failures = 0

    async def _connection(self) -> AsyncGenerator[Fragment]:
        """Yield what is new in one connection. What it cuts off is read again by the next."""
        if self._unreadable >= self._settings.unreadable_tries:
            self._unreadable, self._position = 0, Newest()
        parser, share = FragmentParser(self._settings.max_fragment_bytes), FairShare()
        async with self._opened() as body:
            async for data in body:
                share.begin()
                for piece in share.pieces(data):
                    for item in parser.feed(piece):
                        if isinstance(item, UnreadableFragment):
                            self._leave_out(item)
                        elif int(item.number) > self._passed:
                            yield item
                    await share.rest()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AsyncIterator[bytes]]:
        async with AsyncExitStack() as stack:
            opening = self._connect.get_media(self._stream_arn, _selector(self._position))
            try:
                body = await stack.enter_async_context(opening)
            except Transient:
                self.is_unreachable = True
                raise
            self.is_unreachable = self._is_denied = False
            yield body

    def _go_on_after(self, fragment: Fragment) -> None:
        if self._failures:
            log.info("stream.resumed", stream_arn=self._stream_arn, fragment_number=fragment.number)
        self._failures = self._unreadable = 0
        self._is_leaving_out = False
        self._position, self._passed, self._last_at = After(fragment.number), int(fragment.number), fragment.server_at
        ended_at = fragment.server_at + fragment.length
        _LAG.observe(max(0.0, (self._clock.now() - ended_at).total_seconds()))

    def _leave_out(self, item: UnreadableFragment) -> None:
        """Count a failure to read a fragment: it is left out once it was tried often enough.

        Where nobody knows which fragment that is, there is nothing to leave out, only newer ones to go on with; unless
        the endpoint itself goes on.

        Raises:
            MediaInterrupted: it was not tried often enough.
        """
        self._unreadable += 1
        if item.number is None or int(item.number) <= self._passed:
            return
        if self._unreadable < self._settings.unreadable_tries and not self._is_leaving_out:
            raise MediaInterrupted(item.code, item.error_id)
        log.warning("stream.fragment_left_out", stream_arn=self._stream_arn, fragment_number=item.number)
        self._unreadable, self._is_leaving_out = 0, True
        self._position, self._passed = After(item.number), int(item.number)

    def _go_on_with_what_is_left(self, last_at: datetime) -> None:
        """Go on although the endpoint has lost the fragment to go on after: by its retention, or by a restart.

        Times can be asked for whatever is left; an endpoint that does not find even that has at least new fragments.
        """
        if isinstance(self._position, After):
            log.warning("stream.position_lost", stream_arn=self._stream_arn, after=self._position.fragment_number)
            self._position = _At(last_at)
        else:
            self._position = Newest()

    async def _pause(self, reason: str) -> None:
        if self._failures == 0:
            log.warning("stream.interrupted", stream_arn=self._stream_arn, reason=reason)
        self._failures += 1
        first, last = self._settings.retry_first_seconds, self._settings.retry_last_seconds
        await self._clock.sleep(backoff_seconds(first, last, self._failures))


def _selector(position: Position | _At) -> Mapping[str, Any]:
    match position:
        case After(fragment_number):
            return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": fragment_number}
        case Oldest():
            return {"StartSelectorType": "EARLIEST"}
        case _At(server_at):
            return {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": server_at}
        case Newest():
            return {"StartSelectorType": "NOW"}
