from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import carillon.app  # every room declares its tables
import carillon.storage
from carillon.storage import Database, NewerDatabase, NotWhole, known_revisions, metadata, migrate, revision_of
from postgres import PostgresServer

pytestmark = pytest.mark.anyio


def _differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def _tables(connection: sa.Connection) -> dict[str, str]:
    """Every CREATE statement, spelled alike."""
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    )
    return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}


def _words(sql: str) -> list[str]:
    """The words of a CREATE statement: constraints stand in any order."""
    return sql.replace(",", " ").replace(")", " ) ").split()


async def test_the_migrations_make_exactly_the_tables_that_the_rooms_declare(tmp_path: Path) -> None:
    migrated = Database(f"sqlite:///{tmp_path / 'migrated.db'}")
    declared = Database(f"sqlite:///{tmp_path / 'declared.db'}")
    try:
        await migrate(migrated)
        async with declared.transaction() as connection:
            await connection.run_sync(metadata.create_all)
        async with migrated.reading() as connection:
            assert await connection.run_sync(_differences) == []
            made = await connection.run_sync(_tables)
        async with declared.reading() as connection:
            wanted = await connection.run_sync(_tables)
        assert made.keys() == wanted.keys()
        for name, sql in wanted.items():
            assert sorted(_words(made[name])) == sorted(_words(sql)), name
    finally:
        await migrated.close()
        await declared.close()


async def test_on_postgresql_they_make_the_declared_tables_too(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    try:
        await migrate(database)
        async with database.reading() as connection:
            assert await connection.run_sync(_differences) == []
            triggers = await connection.exec_driver_sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
            assert set(triggers.scalars()) >= {f"audit_trail_no_{verb}" for verb in ("update", "delete", "truncate")}
    finally:
        await database.close()


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    database = Database(database_url)
    try:
        await migrate(database)
        await migrate(database)
        async with database.reading() as connection:
            versions = (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).all()
        assert len(versions) == 1
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("DROP TABLE resource_tags", "it has no resource_tags"),
        ("DROP TABLE alembic_version", "does not say which version"),
        ("DELETE FROM alembic_version", "does not say which version"),
    ],
)
async def test_a_database_that_lost_a_table_is_refused_in_one_line(tmp_path: Path, harm: str, said: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'harmed.db'}")
    try:
        await migrate(database)
        async with database.transaction() as connection:
            await connection.exec_driver_sql(harm)
        with pytest.raises(NotWhole, match=said):
            await migrate(database)
    finally:
        await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'newer.db'}")
    try:
        await migrate(database)
        async with database.transaction() as connection:
            await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(NewerDatabase, match="at revision 9999"):
            await migrate(database)
        assert await revision_of(database) == "9999"
    finally:
        await database.close()


async def test_the_revisions_that_file_names_tell_are_those_of_the_history(tmp_path: Path) -> None:
    folder = Path(carillon.storage.__file__).parent / "migrations"
    history = [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]
    assert list(known_revisions()) == history[::-1]
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    try:
        assert await revision_of(database) is None
        await migrate(database)
        async with database.reading() as connection:
            seen = await connection.run_sync(lambda one: MigrationContext.configure(one).get_current_revision())
        assert await revision_of(database) == seen == history[0]
    finally:
        await database.close()
