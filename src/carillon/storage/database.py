"""One database, two ways in: `reading()` sees a snapshot, `transaction()` is the only way to write.

SQLite runs in WAL mode with `synchronous=FULL`, so what is committed survives a power cut, and with `secure_delete`, so
what is deleted is overwritten. It admits one writer: the writing engine has a single connection, hence writers queue in
memory and not on SQLite's lock. The same code speaks to PostgreSQL, where both engines are ordinary pools.
How SQLite is reached from asyncio is in `sqlite.py`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from anyio import CancelScope, move_on_after, sleep, to_thread
from anyio.lowlevel import checkpoint
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from carillon.bounds import Seconds
from carillon.errors import CarillonError, Transient
from carillon.storage import sqlite
from carillon.storage.groups import GroupCommit, QueueTimeout

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every room's tables, so that one migration history covers them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SCRUB_SECONDS: Final = 1.0
_SCRUB_PAUSE_SECONDS: Final = 0.02


class DatabaseUnknown(CarillonError):
    """Nothing here speaks to a database of this kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"storage.url names a database of the kind {kind!r}, whose driver is not installed.")


class DatabaseBusy(Transient):
    """No connection came free in time, or another process would not stop writing."""

    def __init__(self) -> None:
        super().__init__("The database is busy. Try again in a moment.")


class DatabaseBarred(Transient):
    """The database's file cannot be read or written where it lies: rights, a full disk, a folder in its place."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The database {path} cannot be used: {reason}.")


class DatabaseDamaged(CarillonError):
    """The database's file is not what SQLite wrote: it was cut, overwritten, or the disk lost something of it."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The database {path} is damaged, or no database. Stop the server, then put {path} from a backup in its "
            f"place and remove {path}-wal and {path}-shm; root.key stays. `carillon doctor` says more."
        )


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How to reach the database."""

    url: Annotated[str, Meta(pattern=r"^(\w[\w+]*://\S*)?\Z", description="empty, or an SQLAlchemy URL")] = ""
    """SQLAlchemy URL; empty means SQLite in the data folder."""
    readers: Annotated[int, Meta(ge=1, le=1_024)] = 4
    """Connections that may read at the same time."""
    wait_seconds: Seconds = 10.0
    """How long a request may wait for a connection before it is refused for now."""


class Timestamp(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, kept as epoch microseconds so that every database sorts and compares it alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Turn an aware datetime into microseconds."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002, ANN401
        """Turn microseconds into an aware datetime."""
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


class Database:
    """Transactions on one database. Make it with `open_database`."""

    def __init__(self, url: str, settings: DatabaseSettings | None = None) -> None:
        settings = settings or DatabaseSettings()
        parsed = sa.make_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._path = parsed.database or ""
        self._writer = self._engine(url, 1 if self._is_sqlite else settings.readers, settings, writes=True)
        self._reader = self._engine(url, settings.readers, settings, writes=False)
        self._groups = GroupCommit(self._writer, settings.wait_seconds) if self._is_sqlite else None

    def _engine(self, url: str, connections: int, settings: DatabaseSettings, *, writes: bool) -> AsyncEngine:
        options: dict[str, Any] = {"writes": writes, "wait_seconds": settings.wait_seconds} if self._is_sqlite else {}
        try:
            return create_async_engine(
                sa.make_url(url).set(drivername=sqlite.DRIVER) if self._is_sqlite else url,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=settings.wait_seconds,
                hide_parameters=True,  # a failed statement must not print what it was about to store
                **options,
            )
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            raise DatabaseUnknown(sa.make_url(url).drivername) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Write: all that is done with the connection is committed together, or not at all.

        Raises:
            DatabaseBusy: no connection came free in time.
            DatabaseBarred, DatabaseDamaged: the file cannot be used.
            NotCommitted: the commit failed.
        """
        with self._in_our_words():
            async with self._groups.transaction() if self._groups else self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read from one snapshot, which the first statement takes; nothing can be written.

        Raises:
            DatabaseBusy: no connection came free in time.
            DatabaseBarred, DatabaseDamaged: the file cannot be used.
        """
        await checkpoint()  # SQLite answers at once: others must get their turn between transactions
        with self._in_our_words():
            connection = await self._reader.connect()
            try:
                yield connection
            finally:
                with CancelScope(shield=True):
                    await connection.close()

    async def scrub(self) -> bool:
        """Have what was deleted leave the database's files for good; tell whether it has.

        Its rows are overwritten as they go, but older pages of SQLite's log still hold them. The log cannot be emptied
        while somebody reads from it: this waits for a moment, then leaves it to the next time. PostgreSQL overwrites
        nothing; there deleted rows stay until VACUUM.
        """
        if self._groups is None:
            return True
        with move_on_after(_SCRUB_SECONDS), suppress(QueueTimeout):
            while True:
                async with self._groups.pause():
                    if await to_thread.run_sync(sqlite.empty_log, self._path):
                        return True
                await sleep(_SCRUB_PAUSE_SECONDS)
        return False

    async def integrity_faults(self) -> list[str]:
        """Return what is wrong inside SQLite's file, in its words, the first few; empty if nothing is, or elsewhere."""
        return await to_thread.run_sync(sqlite.integrity_faults, self._path) if self._is_sqlite else []

    async def close(self) -> None:
        """Give the connections back; SQLite folds its log into the file."""
        await self._reader.dispose()
        await self._writer.dispose()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.TimeoutError, QueueTimeout) as error:
            raise DatabaseBusy from error
        except (sa.exc.DBAPIError, sqlite.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            if sqlite.is_busy(cause):
                raise DatabaseBusy from error
            if sqlite.is_damaged(cause):
                raise DatabaseDamaged(self._path) from error
            if reason := sqlite.barred(cause):
                raise DatabaseBarred(self._path, reason) from error
            raise
