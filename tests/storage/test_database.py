import asyncio
import sqlite3
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from carillon.storage import Database, DatabaseBusy, DatabaseSettings

pytestmark = pytest.mark.anyio


async def test_what_a_failed_transaction_wrote_is_gone(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))

    async def fail_after_writing() -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()
    async with database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM t"))).scalar_one() == 0


async def test_writers_queue_instead_of_failing(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        await connection.execute(sa.text("INSERT INTO t VALUES (0)"))

    async def increment() -> None:
        async with database.transaction() as connection:
            n = (await connection.execute(sa.text("SELECT n FROM t"))).scalar_one()
            await anyio.lowlevel.checkpoint()
            await connection.execute(sa.text("UPDATE t SET n = :n"), {"n": n + 1})

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(increment)
    async with database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT n FROM t"))).scalar_one() == 20


async def test_a_writer_that_waits_too_long_is_told_to_come_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}", DatabaseSettings(wait_seconds=0.05))

    async def write() -> None:
        with pytest.raises(DatabaseBusy):
            async with database.transaction():
                pass

    try:
        async with database.transaction(), anyio.create_task_group() as group:
            group.start_soon(write)
    finally:
        await database.close()


async def test_a_writer_in_another_process_is_waited_for_without_keeping_anybody_else(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}", DatabaseSettings(wait_seconds=5))
    other = sqlite3.connect(path, isolation_level=None)
    done: list[str] = []

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        done.append("ours")

    async def read() -> None:
        async with database.reading() as connection:
            assert (await connection.execute(sa.text("SELECT count(*) FROM t"))).scalar_one() == 0
        done.append("read")
        other.execute("COMMIT")

    try:
        async with database.transaction() as connection:
            await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            group.start_soon(read)
    finally:
        other.close()
        await database.close()
    assert done == ["read", "ours"]


async def test_a_writer_in_another_process_that_does_not_stop_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}", DatabaseSettings(wait_seconds=0.05))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        async with database.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            async with database.transaction():
                pass
        other.execute("ROLLBACK")
        async with database.transaction() as connection:
            await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
    finally:
        other.close()
        await database.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_commits_survive_power_cuts_and_deleted_rows_are_overwritten(database: Database) -> None:
    async with database.transaction() as connection:
        for pragma, wanted in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == wanted


async def test_a_failed_statement_does_not_print_its_values(database: Database) -> None:
    async with database.transaction() as connection:
        with pytest.raises(sa.exc.DBAPIError) as caught:
            await connection.execute(sa.text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "embedding-bytes"})
    assert "embedding-bytes" not in str(caught.value)


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.03])
async def test_readers_cancelled_in_the_middle_of_a_statement_leave_nothing_behind(
    database: Database, seconds: float
) -> None:
    count = (
        "SELECT count(*) FROM (WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 20000) "
        "SELECT i FROM r)"
    )

    async def read_on() -> None:
        while True:
            async with database.reading() as connection:
                await connection.execute(sa.text(count))

    before = asyncio.all_tasks()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read_on)
        await anyio.sleep(seconds)
        group.cancel_scope.cancel()
    assert asyncio.all_tasks() == before
    with anyio.fail_after(120):
        await database.close()
