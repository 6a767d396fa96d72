"""PostgreSQL, by psycopg 3.

SQLite has one writer, and everything above was written for that: what a transaction reads stays so until it commits.
Here it is kept by one advisory lock. A transaction holds it alone, and is then what it is on SQLite. A transaction
`beside_others` shares it with its like: for the few places that write often, and that lock, or compare and set,
whatever they read: checkpoints and results, the index of fragments, deliveries, the audit trail. So a place that nobody
has thought about is slow at worst, and never wrong.

What was decided against: SERIALIZABLE, whose failures every caller would have to repeat; and row locks everywhere,
where one that is forgotten shows under load only.

A process that is frozen within a transaction holds the lock, and with it everybody: so PostgreSQL ends a transaction
that does nothing for `_IDLE_SECONDS`. Whoever waits for a lock longer than `storage.wait_seconds` is told to come back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from anyio import CancelScope
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from carillon.clock import SystemClock
from carillon.concurrency import beside, repeatedly
from carillon.errors import CarillonError
from carillon.storage.errors import (
    CommitUnconfirmed,
    DatabaseBarred,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseServed,
    DatabaseUnreachable,
)

DRIVER: Final = "postgresql+psycopg"
_LOCK: Final = 0x6361_7269_6C6C_6F6E  # "carillon"
_SERVE: Final = f"SELECT pg_try_advisory_lock({_LOCK + 1})"
_ALONE: Final = f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})"
_BESIDE_OTHERS: Final = f"BEGIN; SELECT pg_advisory_xact_lock_shared({_LOCK})"
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_IDLE_SECONDS: Final = 2.0
_CONNECT_SECONDS: Final = 5
_SERVED_SECONDS: Final = 5.0
_DEAD_PEER_SECONDS: Final = 5

_BUSY: Final = frozenset({"40001", "40P01", "53300", "55P03", "57014"})
"""Serialization failure, deadlock, too many connections, lock timeout, statement timeout."""
_LOST: Final = frozenset({"25P03", "25P04", "57P01", "57P02", "57P03", "57P05"})
"""The server ended an idle transaction or session, stops, or starts."""
_FULL: Final = "53100"
_PASSING: Final = ("starting up", "shutting down", "too many", "remaining connection", "recovery", "terminating")
"""In the words of a server that will let us in later: of a failure to connect, libpq tells no code."""


class Postgres:
    """Transactions on a database of a server.

    Args:
        url: of the server and its database.
        connections: how many may write, and how many may read, at the same time.
        wait_seconds: how long to wait for a connection, and for a lock.
    """

    def __init__(self, url: sa.URL, connections: int, wait_seconds: float) -> None:
        self._name = f"{url.host or 'on this machine'}/{url.database}"
        limits = {
            "lock_timeout": round(wait_seconds * 1_000),
            "idle_in_transaction_session_timeout": round(_IDLE_SECONDS * 1_000),
        }
        asked: dict[str, Any] = dict(url.query)
        options = str(asked.pop("options", ""))
        arguments: dict[str, Any] = {
            "options": " ".join([options, *(f"-c {name}={value}" for name, value in limits.items())]),
            "application_name": "carillon",
            "connect_timeout": _CONNECT_SECONDS,
            "keepalives_idle": _DEAD_PEER_SECONDS,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": _DEAD_PEER_SECONDS * 1_000,
        }
        self._engine: AsyncEngine = create_async_engine(
            url.set(drivername=DRIVER, query={}),
            connect_args=arguments | asked,
            isolation_level="AUTOCOMMIT",  # we say BEGIN, which can take the lock on the same way
            pool_size=2 * connections + 1,  # one is the server's own: `served`
            max_overflow=0,
            pool_timeout=wait_seconds,
            hide_parameters=True,  # a failed statement must not print what it was about to store
        )
        self._serving: AsyncConnection | None = None  # holds the lock of `served`

    @asynccontextmanager
    async def transaction(self, *, beside_others: bool) -> AsyncIterator[AsyncConnection]:
        """Yield a connection; all that is done with it is committed by the end, or not at all."""
        async with self._connection(_BESIDE_OTHERS if beside_others else _ALONE) as connection:
            yield connection
            with CancelScope(shield=True):  # nobody would know whether a commit that is cut off was one
                try:
                    await connection.exec_driver_sql("COMMIT")
                except sa.exc.DBAPIError as error:
                    if error.connection_invalidated:
                        raise CommitUnconfirmed from error
                    raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees one snapshot and writes nothing."""
        async with self._connection(_SNAPSHOT) as connection:
            yield connection

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Be the one server of the database until the block is left: by a lock that lasts as long as a connection."""
        try:
            await self._keep_serving()
            seconds, clock = _SERVED_SECONDS, SystemClock()
            async with beside(partial(repeatedly, self._keep_serving, seconds, clock, "database.not_ours")):
                yield
        finally:
            if self._serving is not None:
                with CancelScope(shield=True):
                    await self._serving.invalidate()  # the lock ends with the connection, which is not to be used again
                    await self._serving.close()

    async def _keep_serving(self) -> None:
        """Hold the lock; take it again if the connection was lost, to a server that was away.

        Raises:
            DatabaseServed: somebody else has it.
            Transient: the database does not answer now.
        """
        try:
            if self._serving is not None:
                await self._serving.exec_driver_sql("SELECT 1")
                return
            connection = await self._engine.connect()
            is_ours = (await connection.exec_driver_sql(_SERVE)).scalar_one()
        except sa.exc.SQLAlchemyError as error:
            if self._serving is not None:
                await self._serving.close()
                self._serving = None
            raise self.in_our_words(error) or error from error
        if not is_ours:
            await connection.close()
            raise DatabaseServed(self._name)
        self._serving = connection

    @asynccontextmanager
    async def _connection(self, begin: str) -> AsyncIterator[AsyncConnection]:
        connection = await self._engine.connect()
        try:
            await connection.exec_driver_sql(begin)
            yield connection
        finally:
            with CancelScope(shield=True):  # the pool rolls back what was not committed
                await connection.close()

    def in_our_words(self, error: Exception) -> CarillonError | None:
        """Return what an error means; None if it is a fault of ours."""
        if isinstance(error, sa.exc.TimeoutError):
            return DatabaseBusy()
        if not isinstance(error, sa.exc.DBAPIError):
            return None
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state in _BUSY:
            return DatabaseBusy()
        if state == _FULL:
            return DatabaseBarred(self._name, "the disk is full")
        if error.connection_invalidated or state in _LOST or (state or "").startswith("08"):
            return DatabaseUnreachable()
        if state is None and isinstance(error, sa.exc.OperationalError):  # psycopg could not even connect
            return self._not_connected(str(error.orig))
        return None

    def _not_connected(self, message: str) -> CarillonError:
        _, is_refused, reason = message.partition("FATAL:")
        if not is_refused or any(sign in reason for sign in _PASSING):
            return DatabaseUnreachable()
        return DatabaseRefused(self._name, reason.strip().splitlines()[0])

    async def scrub(self) -> bool:
        """Do nothing: what was deleted stays in the files until VACUUM, and its data key is gone."""
        return True

    async def integrity_faults(self) -> list[str]:
        """Return nothing: the server looks after its files."""
        return []

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()
