"""GetMedia: a document for each fragment, from some place on, as they arrive.

A reader remembers a fragment number and nothing else. It looks for the next fragment, in memory or on disk, and if
there is none waits to be woken; a slow or late reader therefore costs nothing but its own time.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import anyio

from carillon.clock import Clock
from carillon.streams import starts
from carillon.streams.errors import FragmentUnreadable
from carillon.streams.fragments import Fragment, document, error_document
from carillon.streams.live import LiveStream
from carillon.streams.settings import Settings
from carillon.streams.store import Cursor, Store

# Source: Kinesis Video Streams Developer Guide, "GetMedia", the errors that come as tags.
_NOT_FOUND: Final = (4000, "Requested fragment is not found")
_INTERNAL: Final = (5000, "Internal error")


class Tail:
    """One GetMedia connection: an async iterator of bytes that ends when no fragment comes for a while.

    Raises:
        TooManyReaders: from the constructor.
    """

    def __init__(self, store: Store, live: LiveStream, start: starts.Start, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._live = live
        self._start = start
        self._clock = clock
        self._settings = settings
        live.add_reader(self, settings.max_readers)
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except BaseException:
            self._live.remove_reader(self)
            raise

    async def aclose(self) -> None:
        """Stop reading, wherever it is."""
        self._live.remove_reader(self)
        await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        cursor = await starts.find(self._start, self._live, self._store, self._clock, self._settings.now_seconds)
        if cursor is None:
            assert isinstance(self._start, starts.After)
            yield error_document(self._start.number, *_NOT_FOUND)
            return
        while not self._live.is_deleted:
            try:
                fragment = await self._next(cursor)
            except FragmentUnreadable as error:
                yield error_document(error.number, *_INTERNAL)
                continue
            if fragment is None:
                return
            newest = self._live.newest
            for piece in document(fragment, newest.server_at if newest else fragment.server_at):
                yield piece

    async def _next(self, cursor: Cursor) -> Fragment | None:
        """Return the next fragment once there is one; None if there is none in time, or the stream was deleted."""
        deadline = anyio.current_time() + self._settings.end_seconds
        while not self._live.is_deleted:
            changed = self._live.changed  # before looking, so that nothing can slip in between
            fragment = await self._store.next(self._live, cursor)
            if fragment:
                return fragment
            with anyio.CancelScope(deadline=deadline) as scope:
                await changed.wait()
            if scope.cancelled_caught:
                return None
        return None
