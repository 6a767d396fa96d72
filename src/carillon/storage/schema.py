"""Brings a database to the tables that this version needs, in one transaction, whatever version made it."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from carillon.storage.database import Database

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Apply every migration that the database has not seen. Two processes that start at once take turns."""
    async with database.transaction() as connection:
        await connection.run_sync(_upgrade)


async def revision_of(database: Database) -> str | None:
    """Return the newest migration that a database has seen; None if it has no tables of ours."""
    async with database.reading() as connection:
        return await connection.run_sync(lambda bare: MigrationContext.configure(bare).get_current_revision())


def newest_revision() -> str | None:
    """Return the newest migration that this version knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config
