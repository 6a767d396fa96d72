"""A stream without end out of connections that do end: it goes on after the last complete fragment.

A GetMedia body ends after 3 s without fragments, on every network failure, and whenever the endpoint likes. The reader
opens the next one at once if this one did its work, else after a pause that grows while nothing can be read. It never
ends by itself: whether a silent stream means the end of a call is for others to say.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from anyio import sleep

from carillon.clock import Clock, SystemClock
from carillon.errors import Transient
from carillon.media.fragments import Fragment, FragmentParser
from carillon.media.settings import Settings
from carillon.telemetry import get_logger

log = get_logger()

_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class Newest:
    """Begin with the newest fragment."""


@dataclass(frozen=True, slots=True)
class After:
    """Begin with the fragment that follows a known one."""

    fragment_number: str


@dataclass(frozen=True, slots=True)
class At:
    """Begin with the fragment that the server began to receive at a time, or the next one."""

    server_at: datetime


Position = Newest | After | At


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
        clock: tells how long a connection lasted.
        wait: sleeps.
    """

    def __init__(
        self,
        stream_arn: str,
        start: Position,
        connect: Connect,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        wait: Callable[[float], Awaitable[None]] = sleep,
    ) -> None:
        self._stream_arn = stream_arn
        self._position = start
        self._connect = connect
        self._settings = settings or Settings()
        self._clock = clock or SystemClock()
        self._wait = wait
        self._failures = 0  # in a row

    async def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments in order, each once; close the iterator to stop (`contextlib.aclosing`).

        Raises:
            StreamNotFound, NotAuthorized, RequestRefused: the stream cannot be read.
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
            else:
                is_early = self._clock.monotonic() - opened_at < self._settings.quiet_seconds
                if self._position is position and is_early:
                    await self._pause("the endpoint sends nothing and does not wait")
                else:
                    self._failures = 0

    async def _connection(self) -> AsyncGenerator[Fragment]:
        """Yield what is new in one connection. What it cuts off is read again by the next."""
        parser = FragmentParser(self._settings.max_fragment_bytes)
        async with self._connect.get_media(self._stream_arn, _selector(self._position)) as body:
            async for data in body:
                for fragment in parser.feed(data):
                    if not self._has_passed(fragment):
                        yield fragment

    def _has_passed(self, fragment: Fragment) -> bool:
        position = self._position
        return isinstance(position, After) and int(fragment.number) <= int(position.fragment_number)

    def _go_on_after(self, fragment: Fragment) -> None:
        if self._failures:
            log.info("stream.resumed", stream_arn=self._stream_arn, fragment_number=fragment.number)
        self._failures = 0
        self._position = After(fragment.number)

    async def _pause(self, reason: str) -> None:
        if self._failures == 0:
            log.info("stream.interrupted", stream_arn=self._stream_arn, reason=reason)
        doubled = self._settings.retry_first_seconds * 2 ** min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        await self._wait(min(doubled, self._settings.retry_last_seconds))


def _selector(position: Position) -> Mapping[str, Any]:
    match position:
        case After(fragment_number):
            return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": fragment_number}
        case At(server_at):
            return {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": server_at}
        case Newest():
            return {"StartSelectorType": "NOW"}
