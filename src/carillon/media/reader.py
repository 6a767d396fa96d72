"""A stream without end out of connections that do end: it goes on after the last complete fragment.

A GetMedia body ends after 3 s without fragments, on every network failure, and whenever the endpoint likes. The reader
opens the next one at once, or after a pause that grows while nothing can be read. It never ends by itself: whether a
silent stream means the end of a call is for others to say.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from anyio import sleep

from carillon.errors import Transient
from carillon.media.fragments import Fragment, FragmentParser
from carillon.media.settings import Settings
from carillon.telemetry import get_logger

log = get_logger()


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
    """Reads one stream, from a position on."""

    def __init__(
        self,
        stream_arn: str,
        start: Position,
        connect: Connect,
        settings: Settings | None = None,
    ) -> None:
        self._stream_arn = stream_arn
        self._position = start
        self._connect = connect
        self._settings = settings or Settings()
        self._pause_seconds = self._settings.retry_first_seconds

    async def fragments(self) -> AsyncGenerator[Fragment]:
        """Yield complete fragments in order, each once; close the iterator to stop (`contextlib.aclosing`).

        Raises:
            StreamNotFound, NotAuthorized: the stream cannot be read.
            FragmentNotFound: the fragment to begin after is not there.
            MatroskaError: the stream is not Matroska.
        """
        while True:
            try:
                async with aclosing(self._connection()) as connection:
                    async for fragment in connection:
                        self._pause_seconds = self._settings.retry_first_seconds
                        self._position = After(fragment.number)
                        yield fragment
            except Transient as error:
                log.info("stream.interrupted", stream_arn=self._stream_arn, reason=str(error))
                await sleep(self._pause_seconds)
                self._pause_seconds = min(self._pause_seconds * 2, self._settings.retry_last_seconds)

    async def _connection(self) -> AsyncGenerator[Fragment]:
        """Yield the fragments of one connection. What it cut off is read again by the next."""
        parser = FragmentParser(self._settings.max_fragment_bytes)
        last = int(self._position.fragment_number) if isinstance(self._position, After) else -1
        async with self._connect.get_media(self._stream_arn, _selector(self._position)) as body:
            async for data in body:
                for fragment in parser.feed(data):
                    if int(fragment.number) > last:
                        yield fragment


def _selector(position: Position) -> Mapping[str, Any]:
    match position:
        case After(fragment_number):
            return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": fragment_number}
        case At(server_at):
            return {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": server_at}
        case Newest():
            return {"StartSelectorType": "NOW"}
