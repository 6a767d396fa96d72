"""Files that SQLite cannot work with: one line says which, what is wrong, and what to do."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carillon.storage import Database, DatabaseBarred, DatabaseDamaged, NotCommitted, migrate

pytestmark = pytest.mark.anyio


def text(path: Path) -> None:
    path.write_bytes(b"this is no database at all. " * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])


def zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4_096] + bytes(len(data) - 4_096))


def noise(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\x55" * 4_000 + data[4_100:])


def zeros_within(path: Path) -> None:
    """Overwrite what lies at the end, in the file that is open elsewhere."""
    with path.open("r+b") as file:
        file.seek(-100_000, os.SEEK_END)
        file.write(bytes(100_000))


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.fixture
async def path(tmp_path: Path, anyio_backend: str) -> Path:
    """A database that was used and closed."""
    database = Database(f"sqlite:///{tmp_path / 'carillon.db'}")
    await migrate(database)
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE t (n INTEGER, filling BLOB)"))
        for n in range(200):
            await connection.execute(sa.text("INSERT INTO t VALUES (:n, zeroblob(1000))"), {"n": n})
    await database.close()
    return tmp_path / "carillon.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{path}")
    yield opened
    await opened.close()


@pytest.mark.parametrize("harm", [text, cut, zeros, noise])
async def test_a_damaged_file_is_told_with_its_name_and_what_to_restore(
    harm: Callable[[Path], None], path: Path, database: Database
) -> None:
    harm(path)
    with pytest.raises(DatabaseDamaged, match="backup") as caught:
        await migrate(database)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert await database.integrity_faults()


async def test_damage_that_is_met_while_running_is_told_the_same(path: Path, database: Database) -> None:
    async with database.reading() as connection:
        await connection.execute(sa.text("SELECT count(*) FROM alembic_version"))
    zeros_within(path)
    with pytest.raises(DatabaseDamaged):
        async with database.reading() as connection:
            await connection.execute(sa.text("SELECT sum(length(filling)), sum(n) FROM t"))
    with pytest.raises(DatabaseDamaged):
        async with database.transaction() as connection:
            await connection.execute(sa.text("UPDATE t SET n = n + 1"))


async def test_a_folder_in_its_place_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "carillon.db").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'carillon.db'}")
    with pytest.raises(DatabaseBarred, match="something else lies there"):
        await migrate(database)
    await database.close()


async def test_a_file_that_may_not_be_written_is_told_in_one_line(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.text("PRAGMA query_only=ON"))
    with pytest.raises(DatabaseBarred, match="may not write"):
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1, NULL)"))


async def test_a_full_disk_is_told_in_one_line_and_is_over_when_there_is_room(database: Database) -> None:
    async with database.transaction() as connection:
        pages = (await connection.execute(sa.text("PRAGMA page_count"))).scalar_one()
        await connection.execute(sa.text(f"PRAGMA max_page_count={pages}"))
    with pytest.raises((DatabaseBarred, NotCommitted), match=r"disk"):
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1, zeroblob(1000000))"))
    async with database.transaction() as connection:
        await connection.execute(sa.text("PRAGMA max_page_count=1000000"))
        await connection.execute(sa.text("INSERT INTO t VALUES (1, zeroblob(1000000))"))


async def test_a_database_is_for_this_user_alone_whatever_the_umask_and_whatever_it_was(tmp_path: Path) -> None:
    path = tmp_path / "carillon.db"
    with sqlite3.connect(path) as older:
        older.execute("CREATE TABLE t (n INTEGER)")
    path.chmod(0o644)
    database = Database(f"sqlite:///{path}")
    try:
        async with database.transaction() as connection:
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        async with database.reading() as connection:
            await connection.execute(sa.text("SELECT * FROM t"))
        assert modes(tmp_path) == dict.fromkeys(("carillon.db", "carillon.db-wal", "carillon.db-shm"), 0o600)
    finally:
        await database.close()


async def test_a_sound_file_has_no_faults(database: Database) -> None:
    assert await database.integrity_faults() == []


def test_a_server_whose_database_is_damaged_stops_and_starts_no_more_and_says_so_in_one_line(
    start_server: Callable[..., Any], carillon: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    server = start_server(folder)
    with sqlite3.connect(folder / "carillon.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with (folder / "carillon.db").open("r+b") as file:
        file.seek(4_096)
        file.write(bytes((folder / "carillon.db").stat().st_size - 4_096))
    assert server.process.wait(120) == 1
    again = carillon("serve", "--port", "0", "--data-dir", str(folder), check=False)
    assert again.returncode == 1
    said = f"carillon: {DatabaseDamaged(str(folder / 'carillon.db'))}\n"
    assert again.stderr == said
    assert (folder / "server.log").read_text().endswith(said)
    assert "Traceback" not in (folder / "server.log").read_text()
    looked = carillon("doctor", "--data-dir", str(folder), check=False)
    assert looked.returncode == 1
    assert "is damaged" in looked.stdout
