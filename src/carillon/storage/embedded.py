"""The embedded database, a file of SQLite: one writer, any number of readers.

It runs in WAL mode with `synchronous=FULL`, so what is committed survives a power cut, and with `secure_delete`, so
what is deleted is overwritten. It admits one writer: the writing engine has a single connection, hence writers queue in
memory and not on SQLite's lock. How SQLite is reached from asyncio is in `sqlite.py`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Final

import sqlalchemy as sa
from anyio import CancelScope, move_on_after, sleep, to_thread
from anyio.lowlevel import checkpoint
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from carillon.errors import CarillonError
from carillon.storage import sqlite
from carillon.storage.errors import DatabaseBarred, DatabaseBusy, DatabaseDamaged
from carillon.storage.groups import GroupCommit, QueueTimeout

_SCRUB_SECONDS: Final = 1.0
_SCRUB_PAUSE_SECONDS: Final = 0.02


class Embedded:
    """Transactions on a file of SQLite.

    Args:
        url: of the file.
        readers: connections that may read at the same time.
        wait_seconds: how long to wait for a connection, and for another process that writes.
    """

    def __init__(self, url: sa.URL, readers: int, wait_seconds: float) -> None:
        self._path = url.database or ""
        self._writer = _engine(url, 1, wait_seconds, writes=True)
        self._reader = _engine(url, readers, wait_seconds, writes=False)
        self._groups = GroupCommit(self._writer, wait_seconds)

    def transaction(self, *, beside_others: bool) -> AbstractAsyncContextManager[AsyncConnection]:  # noqa: ARG002
        """Yield the one connection that writes, alone in any case."""
        return self._groups.transaction()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees one snapshot and writes nothing."""
        await checkpoint()  # SQLite answers at once: others must get their turn between transactions
        connection = await self._reader.connect()
        try:
            yield connection
        finally:
            with CancelScope(shield=True):
                await connection.close()

    def served(self) -> AbstractAsyncContextManager[None]:
        """Do nothing: of a data folder, which the file lies in, there is one server anyway."""
        return nullcontext()

    def in_our_words(self, error: Exception) -> CarillonError | None:
        """Return what an error means; None if it is a fault of ours."""
        if isinstance(error, sa.exc.TimeoutError | QueueTimeout):
            return DatabaseBusy()
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if sqlite.is_busy(cause):
            return DatabaseBusy()
        if sqlite.is_damaged(cause):
            return DatabaseDamaged(self._path)
        reason = sqlite.barred(cause)
        return DatabaseBarred(self._path, reason) if reason else None

    async def scrub(self) -> bool:
        """Have what was deleted leave the files for good; tell whether it has.

        Its rows are overwritten as they go, but older pages of the log still hold them. The log cannot be emptied while
        somebody reads from it: this waits for a moment, then leaves it to the next time.
        """
        with move_on_after(_SCRUB_SECONDS), suppress(QueueTimeout):
            while True:
                async with self._groups.pause():
                    if await to_thread.run_sync(sqlite.empty_log, self._path):
                        return True
                await sleep(_SCRUB_PAUSE_SECONDS)
        return False

    async def integrity_faults(self) -> list[str]:
        """Return what is wrong inside the file, in SQLite's words, the first few; empty if nothing is."""
        return await to_thread.run_sync(sqlite.integrity_faults, self._path)

    async def close(self) -> None:
        """Give the connections back; SQLite folds its log into the file."""
        await self._reader.dispose()
        await self._writer.dispose()


def _engine(url: sa.URL, connections: int, wait_seconds: float, *, writes: bool) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername=sqlite.DRIVER),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_seconds,
        hide_parameters=True,  # a failed statement must not print what it was about to store
        writes=writes,
        wait_seconds=wait_seconds,
    )
