"""Brings a database to the tables that this version needs, in one transaction, whatever version made it."""

from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from carillon.errors import CarillonError
from carillon.storage.database import Database, metadata

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_VERSION_TABLE: Final = "alembic_version"


class NewerDatabase(CarillonError):
    """A newer version has been here."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is at revision {revision}, which this version of carillon does not know: a newer one made "
            "it. Install that version, or start from a backup."
        )


class NotWhole(CarillonError):
    """Tables are not those of the revision that the database says it is at: something was lost, or done by hand."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The database is not whole: {what}. Stop the server, and restore the database from a backup.")


async def migrate(database: Database) -> None:
    """Apply every migration that the database has not seen. Two processes that start at once take turns.

    Raises:
        NewerDatabase: it has seen one that we do not know.
        NotWhole: its tables are not those of the migrations that it has seen.
    """
    newest = known_revisions()[-1]  # read before anybody has to wait for it
    if await revision_of(database) != newest:
        async with database.transaction() as connection:
            await connection.run_sync(_upgrade)
    await check_tables(database)


async def check_tables(database: Database) -> None:
    """Make sure that a database at the newest revision has every table.

    Raises:
        NotWhole: it has not.
    """
    async with database.reading() as connection:
        there = await connection.run_sync(_tables)
    if missing := metadata.tables.keys() - there:
        raise NotWhole(f"it has no {', '.join(sorted(missing))}")


async def revision_of(database: Database) -> str | None:
    """Return the newest migration that a database has seen; None if it has no tables of ours."""
    async with database.reading() as connection:
        return await connection.run_sync(_revision)


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the migrations that this version knows, oldest first: their files begin with their numbers."""
    return tuple(sorted(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*.py")))


def _upgrade(connection: sa.Connection) -> None:
    seen = _revision(connection)
    if seen == known_revisions()[-1]:
        return  # somebody was faster
    if seen is not None and seen not in known_revisions():
        raise NewerDatabase(seen)
    if seen is None and metadata.tables.keys() & _tables(connection):
        raise NotWhole("it has tables, and does not say which version made them")
    from alembic import command  # takes a while to import, and is seldom needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    if _VERSION_TABLE not in _tables(connection):
        return None
    seen: str | None = connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(_VERSION_TABLE)))
    return seen


def _tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())
