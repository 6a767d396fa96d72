"""What every test may use: one event loop, a clock that stands still, a real database in a temporary folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from carillon.clock import ManualClock
from carillon.storage import Database, Vault, metadata


@pytest.fixture
def anyio_backend() -> str:
    """Everything runs on asyncio: SQLAlchemy and aiobotocore know nothing else."""
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves only when the test says so."""
    return ManualClock()


@pytest.fixture
def vault() -> Vault:
    """A vault with a root key known to no one."""
    return Vault(bytes(range(32)))


@pytest.fixture
async def database(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Database]:
    """An empty SQLite database with the tables of every room that the test has imported."""
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'carillon.db'}")
    async with opened.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    yield opened
    await opened.close()
