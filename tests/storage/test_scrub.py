"""What was deleted leaves SQLite's log, too, whoever else is at work."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from carillon.storage import Database

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

SECRET = b"sealed-speech-of-somebody"


@pytest.fixture
async def scrubbed(database: Database) -> Database:
    async with database.transaction() as connection:
        await connection.exec_driver_sql("CREATE TABLE secrets (id INTEGER PRIMARY KEY, value BLOB)")
    async with database.transaction() as connection:
        await connection.execute(sa.text("INSERT INTO secrets (value) VALUES (:value)"), {"value": SECRET})
    return database


def traces(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.glob("carillon.db*")) if SECRET in path.read_bytes()]


async def delete(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.exec_driver_sql("DELETE FROM secrets")


async def test_the_log_is_emptied(scrubbed: Database, tmp_path: Path) -> None:
    await delete(scrubbed)
    assert traces(tmp_path) == ["carillon.db-wal"]
    assert await scrubbed.scrub()
    assert traces(tmp_path) == []
    assert (tmp_path / "carillon.db-wal").stat().st_size == 0


async def test_writers_wait_and_lose_nothing(scrubbed: Database, tmp_path: Path) -> None:
    await delete(scrubbed)

    async def write() -> None:
        for _ in range(20):
            async with scrubbed.transaction() as connection:
                await connection.exec_driver_sql("INSERT INTO secrets (value) VALUES (x'00')")

    async def scrub() -> None:
        for _ in range(5):
            assert await scrubbed.scrub()

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(write)
        group.start_soon(scrub)
    assert traces(tmp_path) == []
    async with scrubbed.reading() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM secrets")).scalar_one() == 80


async def test_a_reader_may_hold_it_up_and_the_next_time_it_is_done(scrubbed: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "carillon.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM secrets").fetchall()
        await delete(scrubbed)
        with anyio.fail_after(120):
            assert not await scrubbed.scrub()
        assert traces(tmp_path) == ["carillon.db-wal"]
    assert await scrubbed.scrub()
    assert traces(tmp_path) == []


async def test_another_process_that_writes_holds_up_no_request_for_long(scrubbed: Database, tmp_path: Path) -> None:
    await delete(scrubbed)
    with closing(sqlite3.connect(tmp_path / "carillon.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(120):
            assert not await scrubbed.scrub()
    assert await scrubbed.scrub()
