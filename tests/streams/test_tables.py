"""A database of an earlier version becomes one of this, with all that was stored."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import carillon.storage
from carillon.storage import Database, migrate
from carillon.streams import tables

pytestmark = pytest.mark.anyio
SCRIPTS = Path(carillon.storage.__file__).parent / "migrations"


def upgrade(connection: sa.Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_what_was_stored_before_is_counted_and_kept(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    stream = "INSERT INTO streams VALUES (:id, :id, :id, 'v', 0, 1, NULL, NULL, NULL, '{}', x'00', 10)"
    fragment = "INSERT INTO fragments VALUES (:of, :number, 0, 0, 0, 0, 1000, 10, '1', 0, :size)"
    sizes = [{"of": "a", "number": "1", "size": 100}, {"of": "a", "number": "2", "size": 23}]
    async with database.transaction() as connection:
        await connection.run_sync(upgrade, "0004")
        for name in ("a", "b"):
            await connection.execute(sa.text(stream), {"id": name})
        await connection.execute(sa.text(fragment), sizes)
    await migrate(database)
    async with database.reading() as connection:
        counted = await connection.execute(sa.select(tables.streams.c.id, tables.streams.c.stored_bytes))
        assert dict(map(tuple, counted)) == {"a": 123, "b": 0}
        kept = await connection.execute(sa.select(tables.fragments.c.number))
        assert kept.scalars().all() == ["1", "2"]
    async with database.transaction() as connection:
        await connection.execute(sa.delete(tables.streams))  # leaves the fragments: they are deleted in pages
        kept = await connection.execute(sa.select(tables.fragments.c.number))
        assert len(kept.all()) == 2
    await database.close()
