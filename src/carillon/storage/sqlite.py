"""SQLite for SQLAlchemy's asyncio, with no thread between: a statement takes microseconds, a thread hundreds of them.

Statements run in the event loop's own thread. Only what may wait for a disk or for another process leaves it: COMMIT,
which syncs, goes to a thread; BEGIN IMMEDIATE, when another process is writing, sleeps and tries again. A statement
marked `LONG` goes to a thread, too: for what touches more rows than a request may wait for.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from anyio import CapacityLimiter, sleep, to_thread
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor, ExecutionContext
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from carillon.storage.files import make_private

DRIVER: Final = "sqlite+inline"
_LONG: Final = "carillon_long"
LONG: Final = {_LONG: True}
"""Execution options of a statement that may take more than some milliseconds before its first row."""

_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
_RETRY_SECONDS: Final = 0.01
_MOST_FAULTS: Final = 5
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BARRED: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: something else lies there, or this user may not use the folder",
    sqlite3.SQLITE_PERM: "this user may not use it",
    sqlite3.SQLITE_READONLY: "this user may not write to it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk does not do what it should",
}
_WITH_IT: Final = ("-wal", "-shm")
"""What SQLite keeps beside the file; it gives them the mode of the file."""

Error = sqlite3.Error


class _Cursor(sqlite3.Cursor):
    async def _async_soft_close(self) -> None:
        """Do nothing: SQLAlchemy asks this of the cursors of its asynchronous drivers, whose closing waits."""


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:  # noqa: ANN401 - as the parent declares it
        return super().cursor(factory)


class InlineDialect(SQLiteDialect_pysqlite):
    """SQLite in the caller's thread, as a dialect that SQLAlchemy's asyncio accepts.

    Args:
        writes: begin as a writer, and commit in a thread.
        wait_seconds: how long to wait for another process that writes.
    """

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    def __init__(self, writes: bool = False, wait_seconds: float = 10.0, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._writes = writes
        self._wait_seconds = wait_seconds
        self._limiter = CapacityLimiter(1)

    @classmethod
    def get_pool_class(cls, url: URL) -> type[AsyncAdaptedQueuePool]:  # noqa: ARG003
        """Return the pool whose waiting is awaited."""
        return AsyncAdaptedQueuePool

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type["InlineDialect"]:  # noqa: ARG003
        """Return this class: it is the asynchronous one."""
        return cls

    def connect(self, *arguments: Any, **options: Any) -> DBAPIConnection:  # noqa: ANN401
        """Open the file, for this user alone, with BEGIN said by us alone: the driver's own would be deferred."""
        with suppress(OSError):  # what is in the way, SQLite says better
            _make_private(arguments[0])
        options |= {"factory": _Connection, "isolation_level": None, "check_same_thread": False}
        options["timeout"] = self._wait_seconds
        connection = super().connect(*arguments, **options)
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *(("busy_timeout=0",) if self._writes else ())):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        return connection

    def do_begin(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """Begin a snapshot, or a transaction that holds the one write lock there is."""
        if not self._writes:
            dbapi_connection.execute("BEGIN")
            return
        waited = 0.0
        while not _has_begun(dbapi_connection, or_fail=waited >= self._wait_seconds):
            await_only(sleep(_RETRY_SECONDS))
            waited += _RETRY_SECONDS

    def do_commit(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """Commit; a writer waits for the disk in a thread."""
        if not self._writes:
            dbapi_connection.commit()
            return
        if not dbapi_connection.in_transaction:
            raise sqlite3.OperationalError("SQLite has undone the transaction already")
        await_only(to_thread.run_sync(dbapi_connection.commit, limiter=self._limiter))

    def do_execute(
        self,
        cursor: DBAPICursor,
        statement: str,
        parameters: Any,  # noqa: ANN401
        context: ExecutionContext | None = None,
    ) -> None:
        """Execute here, or in a thread if the statement is marked as long."""
        if context is not None and context.execution_options.get(_LONG):
            await_only(to_thread.run_sync(cursor.execute, statement, parameters, limiter=self._limiter))
        else:
            await_only(_nothing())  # SQLAlchemy refuses a statement that never awaits
            cursor.execute(statement, parameters)

    def do_executemany(
        self,
        cursor: DBAPICursor,
        statement: str,
        parameters: Any,  # noqa: ANN401
        context: ExecutionContext | None = None,  # noqa: ARG002
    ) -> None:
        """Execute for each set of parameters, in a thread: they may be many."""
        await_only(to_thread.run_sync(cursor.executemany, statement, parameters, limiter=self._limiter))


def empty_log(path: str) -> bool:
    """Fold the log into the file, and leave nothing in it; tell whether that could be done.

    It cannot while anybody writes, or reads what the log has newer. Waits for the disk, so call it in a thread.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:  # a disk that is full or fails; the next write raises it
        return False
    return not is_busy


async def _nothing() -> None:
    pass


def _has_begun(connection: sqlite3.Connection, *, or_fail: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if or_fail or not is_busy(error):
            raise
        return False
    return True


def _make_private(path: str) -> None:
    if not path or path == ":memory:":
        return
    make_private(Path(path))
    for beside in _WITH_IT:
        with suppress(FileNotFoundError):
            Path(path + beside).chmod(0o600)


def integrity_faults(path: str) -> list[str]:
    """Return what SQLite finds wrong with a file, in its words, the first few. Reads all of it: call it in a thread."""
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def is_busy(error: BaseException | None) -> bool:
    """Return whether SQLite refused because another process is writing."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


def is_damaged(error: BaseException | None) -> bool:
    """Return whether SQLite found that the file is not what it should be."""
    return _code(error) in _DAMAGED


def barred(error: BaseException | None) -> str | None:
    """Return why the file cannot be used where it lies, in words; None if that is not what is wrong."""
    return _BARRED.get(_code(error))


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the upper bits say more than we want to know


registry.register("sqlite.inline", __name__, InlineDialect.__name__)
