"""Transactions that are committed together: each is still its own, and none is told of success before it is true."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from carillon.storage import Database, NotCommitted

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "groups.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{path}")
    async with opened.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE t (n INTEGER UNIQUE)"))
    yield opened
    await opened.close()


@pytest.fixture
def commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of rows that are there at each commit."""
    seen: list[int] = []
    backend: Any = database._backend
    dialect = backend._writer.sync_engine.dialect
    commit: Callable[[Any], None] = dialect.do_commit

    def counted(connection: Any) -> None:
        seen.append(connection.execute("SELECT count(*) FROM t").fetchone()[0])
        commit(connection)

    monkeypatch.setattr(dialect, "do_commit", counted)
    return seen


async def insert(database: Database, n: int) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
        await checkpoint()


def rows(path: Path) -> set[int]:
    """What somebody else sees: only what is committed."""
    other = sqlite3.connect(path)
    try:
        return {n for (n,) in other.execute("SELECT n FROM t")}
    finally:
        other.close()


async def test_who_waits_for_a_turn_is_committed_with_who_is_before(database: Database, commits: list[int]) -> None:
    async with anyio.create_task_group() as group:
        for n in range(10):
            group.start_soon(insert, database, n)
    assert commits == [10]


async def test_who_is_alone_commits_at_once(database: Database, commits: list[int]) -> None:
    await insert(database, 1)
    await insert(database, 2)
    assert commits == [1, 2]


async def test_nobody_is_told_of_success_before_the_commit(database: Database, path: Path) -> None:
    async def write(n: int) -> None:
        await insert(database, n)
        assert n in rows(path)

    async with anyio.create_task_group() as group:
        for n in range(30):
            group.start_soon(write, n)
    assert len(rows(path)) == 30


async def test_one_that_fails_takes_no_other_with_it(database: Database, path: Path, commits: list[int]) -> None:
    async def twice(n: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
            await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})

    async def fail(n: int) -> None:
        with pytest.raises(sa.exc.IntegrityError):
            await twice(n)

    async with anyio.create_task_group() as group:
        group.start_soon(fail, 100)
        group.start_soon(insert, database, 1)
        group.start_soon(fail, 200)
        group.start_soon(insert, database, 2)
        group.start_soon(fail, 300)
    assert rows(path) == {1, 2}
    assert commits == [2]


async def test_one_that_is_cancelled_takes_no_other_with_it(database: Database, path: Path) -> None:
    async def give_up(n: int) -> None:
        with anyio.CancelScope() as scope:
            async with database.transaction() as connection:
                await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
                scope.cancel()
                await checkpoint()

    async def never_begin(scope: anyio.CancelScope) -> None:
        with scope:
            await insert(database, 400)

    waiting = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(give_up, 100)
        group.start_soon(insert, database, 1)
        group.start_soon(never_begin, waiting)
        group.start_soon(give_up, 200)
        group.start_soon(insert, database, 2)
        await checkpoint()
        waiting.cancel()
    assert rows(path) == {1, 2}
    await insert(database, 3)
    assert rows(path) == {1, 2, 3}


async def test_a_commit_that_fails_fails_everybody_in_it(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: Any = database._backend
    dialect = backend._writer.sync_engine.dialect

    def full(_connection: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def write(n: int) -> None:
        with pytest.raises(NotCommitted):
            await insert(database, n)

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", full)
        async with anyio.create_task_group() as group:
            for n in range(5):
                group.start_soon(write, n)
    assert rows(path) == set()
    await insert(database, 9)
    assert rows(path) == {9}


async def test_when_sqlite_undoes_a_transaction_by_itself_everybody_in_it_is_told(
    database: Database, path: Path
) -> None:
    failed: list[int] = []

    async def write(n: int) -> None:
        try:
            await insert(database, n)
        except NotCommitted:
            failed.append(n)

    async def fill(n: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
            await connection.exec_driver_sql("ROLLBACK")  # as SQLite does on a full disk

    async def fail(n: int) -> None:
        with pytest.raises(NotCommitted):
            await fill(n)

    async with anyio.create_task_group() as group:
        group.start_soon(write, 1)
        group.start_soon(fail, 2)
        group.start_soon(write, 3)
    assert failed == [1]
    assert rows(path) == {3}


async def test_readers_see_nothing_of_it_before_the_commit(database: Database) -> None:
    async with database.transaction() as writing:
        await writing.execute(sa.text("INSERT INTO t VALUES (1)"))
        async with database.reading() as connection:
            assert (await connection.execute(sa.text("SELECT count(*) FROM t"))).scalar_one() == 0
