"""Transactions that wait for the disk together.

SQLite has one writer, and each commit waits for the disk. So a transaction is a savepoint here: whoever has finished
goes to the end of the line, and who comes to its head first commits for all. None returns before that
commit, and if it fails, it has failed for every one of them. Who is alone commits at once.

Why our own: SQLite has no group commit, and neither SQLAlchemy nor its drivers add one; PostgreSQL has it built in
(`commit_delay`), so there this module is not used. Without it, every task of every call would wait for a sync of its
own.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import cast

from anyio import CancelScope, Lock, WouldBlock, move_on_after
from anyio.lowlevel import checkpoint
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from carillon.storage.errors import NotCommitted
from carillon.telemetry import get_logger

log = get_logger()


class QueueTimeout(Exception):
    """Those before took too long."""


@dataclass(slots=True, eq=False)
class _Group:
    """Transactions that are committed together."""

    connection: AsyncConnection
    driver: sqlite3.Connection
    finished: int = 0
    """How many have something to commit."""
    is_open: bool = True
    error: BaseException | None = None
    """Why nothing was committed."""


class GroupCommit:
    """Runs transactions on the one connection of an engine, one after the other.

    Args:
        engine: of SQLite, with one connection.
        wait_seconds: how long a transaction may wait for its turn.
    """

    def __init__(self, engine: AsyncEngine, wait_seconds: float) -> None:
        self._engine = engine
        self._wait_seconds = wait_seconds
        self._turn = Lock(fast_acquire=True)  # first come, first served
        self._group: _Group | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield the connection; all that is done with it is committed by the end, or not at all.

        Raises:
            QueueTimeout: the turn did not come in time.
            NotCommitted: the commit failed.
            DBAPIError: a statement failed, or another process would not stop writing.
        """
        await self._take_turn()
        group = None
        try:
            group = self._group or await self._begin()
            with _undone_alone(group.driver):
                yield group.connection
            group.finished += 1
        except BaseException as error:
            if group is not None and not group.driver.in_transaction:  # a full disk: SQLite undid it for all
                await self._give_up(group, error)
            raise
        finally:
            self._turn.release()
            if group is not None:
                with CancelScope(shield=True):  # others may depend on it
                    await self._finish(group)
        if group.error is not None:
            raise NotCommitted from group.error

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Commit what there is to commit, and begin nothing meanwhile.

        Raises:
            QueueTimeout: the turn did not come in time.
        """
        await self._take_turn()
        try:
            if self._group is not None:
                with CancelScope(shield=True):  # others depend on it
                    await self._commit(self._group)
            yield
        finally:
            self._turn.release()

    async def _take_turn(self) -> None:
        await checkpoint()  # SQLite answers at once: others must get their turn between transactions
        try:
            self._turn.acquire_nowait()
        except WouldBlock:
            with move_on_after(self._wait_seconds) as scope:
                await self._turn.acquire()
            if scope.cancelled_caught:
                raise QueueTimeout from None

    async def _begin(self) -> _Group:
        connection = await self._engine.connect()
        try:
            await connection.begin()
            driver = (await connection.get_raw_connection()).driver_connection
        except BaseException:
            with CancelScope(shield=True):
                await connection.close()
            raise
        self._group = _Group(connection, cast("sqlite3.Connection", driver))
        return self._group

    async def _finish(self, group: _Group) -> None:
        if not group.is_open:
            return
        async with self._turn:
            if group.is_open:
                await self._commit(group)

    async def _commit(self, group: _Group) -> None:
        self._group, group.is_open = None, False
        try:
            if group.finished:
                await group.connection.commit()
            await group.connection.close()  # rolls back if none has finished
        except BaseException as error:
            await self._give_up(group, error)
            if not isinstance(error, Exception):
                raise

    async def _give_up(self, group: _Group, error: BaseException) -> None:
        self._group, group.is_open, group.error = None, False, error  # raised in each of them
        log.error("storage.not_committed", error=type(error).__name__, transactions=group.finished)
        with CancelScope(shield=True):
            await group.connection.invalidate()  # whatever state it is in, nobody finds it
            await group.connection.close()


@contextmanager
def _undone_alone(driver: sqlite3.Connection) -> Iterator[None]:
    """Undo what one transaction did, and no other, if it fails."""
    driver.execute("SAVEPOINT one")
    try:
        yield
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK TO one")
            driver.execute("RELEASE one")
        raise
    try:
        driver.execute("RELEASE one")
    except sqlite3.OperationalError as error:  # undone by SQLite, which the caller did not notice
        raise NotCommitted from error
