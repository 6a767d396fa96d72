"""One database, two ways in: `reading()` sees a snapshot, `transaction()` is the only way to write.

Which database that is, its URL says: SQLite in a file (`embedded.py`), or PostgreSQL (`postgres.py`). A transaction is
alone on either: what it reads stays so until it commits. One `beside_others` promises less, where that pays.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Protocol

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.bounds import Seconds
from carillon.errors import CarillonError
from carillon.storage.embedded import Embedded
from carillon.storage.errors import DatabaseUnknown
from carillon.storage.postgres import Postgres

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every room's tables, so that one migration history covers them."""

RowNumber: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A key that the database counts up itself; SQLite does so for INTEGER keys only."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How to reach the database."""

    url: Annotated[str, Meta(pattern=r"^(\w[\w+]*://\S*)?\Z", description="empty, or an SQLAlchemy URL")] = ""
    """SQLAlchemy URL, `postgresql+psycopg://user:password@host/database`; empty means SQLite in the data folder."""
    readers: Annotated[int, Meta(ge=1, le=1_024)] = 4
    """Connections that may read at the same time; of PostgreSQL, as many may write."""
    wait_seconds: Seconds = 10.0
    """How long a request may wait for a connection, or for others that write, before it is refused for now."""


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


class _Backend(Protocol):
    """A kind of database."""

    def transaction(self, *, beside_others: bool) -> AbstractAsyncContextManager[AsyncConnection]: ...

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    def served(self) -> AbstractAsyncContextManager[None]: ...

    def in_our_words(self, error: Exception) -> CarillonError | None: ...

    async def scrub(self) -> bool: ...

    async def integrity_faults(self) -> list[str]: ...

    async def close(self) -> None: ...


class Database:
    """Transactions on one database.

    Raises:
        DatabaseUnknown: nothing here speaks to this kind, or its driver is not installed.
    """

    def __init__(self, url: str, settings: DatabaseSettings | None = None) -> None:
        self._backend = _backend(sa.make_url(url), settings or DatabaseSettings())

    @asynccontextmanager
    async def transaction(self, *, beside_others: bool = False) -> AsyncIterator[AsyncConnection]:
        """Write: all that is done with the connection is committed together, or not at all.

        Args:
            beside_others: whether others may write meanwhile that are `beside_others`, too. Then nothing that is read
                stays so unless it is locked, or compared by the statement that sets it.

        Raises:
            DatabaseBusy, DatabaseUnreachable: no connection came free in time, or the database does not answer.
            DatabaseBarred, DatabaseDamaged: the file cannot be used.
            NotCommitted: the commit failed.
            CommitUnconfirmed: nobody knows whether it did.
        """
        with self._in_our_words():
            async with self._backend.transaction(beside_others=beside_others) as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read from one snapshot, which the first statement takes; nothing can be written.

        Raises:
            DatabaseBusy, DatabaseUnreachable: no connection came free in time, or the database does not answer.
            DatabaseBarred, DatabaseDamaged: the file cannot be used.
        """
        with self._in_our_words():
            async with self._backend.reading() as connection:
                yield connection

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Be the one server that works on the database, until the block is left.

        Raises:
            DatabaseServed: there is one already.
        """
        async with self._backend.served():
            yield

    async def scrub(self) -> bool:
        """Have what was deleted leave the database's files for good, if they are ours; tell whether it has."""
        return await self._backend.scrub()

    async def integrity_faults(self) -> list[str]:
        """Return what is wrong inside a file of ours, the first few; empty if nothing is, or where it is not ours."""
        return await self._backend.integrity_faults()

    async def close(self) -> None:
        """Give the connections back."""
        await self._backend.close()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except CarillonError:
            raise
        except Exception as error:
            if (ours := self._backend.in_our_words(error)) is not None:
                raise ours from error
            raise


def _backend(url: sa.URL, settings: DatabaseSettings) -> _Backend:
    kinds: Mapping[str, Callable[[sa.URL, int, float], _Backend]] = {"sqlite": Embedded, "postgresql": Postgres}
    try:
        return kinds[url.get_backend_name()](url, settings.readers, settings.wait_seconds)
    except (KeyError, ImportError, sa.exc.NoSuchModuleError) as error:
        raise DatabaseUnknown(url.drivername) from error
