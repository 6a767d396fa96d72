"""The data folder of a server: what lies in it, how it is made, and how it is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carillon.access import KeyRing, credentials
from carillon.config import Settings
from carillon.errors import CarillonError
from carillon.storage import Database, Vault, migrate, unlock
from carillon.storage.files import make_data_folder

DATABASE_FILE: Final = "carillon.db"
ROOT_KEY_FILE: Final = "root.key"
CREDENTIALS_FILE: Final = "credentials.json"
STREAMS_FOLDER: Final = "streams"
OWNERS_FOLDER: Final = "owners"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """An open data folder: its database, vault and keys."""

    database: Database
    vault: Vault
    keys: KeyRing


class NoDataFolder(CarillonError):
    """Nothing of carillon is in the folder that should be its data folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is no data folder of carillon: no server has run there. Name another with --data-dir or "
            f"CARILLON_DATA_DIR, or make it: carillon serve --data-dir {folder}"
        )


def prepare(data_dir: Path) -> KeyRing:
    """Make the data folder, readable by this user alone, with its access keys; return them.

    Raises:
        FolderUnusable: the operating system does not let us.
    """
    make_data_folder(data_dir)
    return credentials.load_or_create(data_dir / CREDENTIALS_FILE)


def keys_of(data_dir: Path) -> KeyRing:
    """Return the access keys of a data folder that was made before.

    Raises:
        NoDataFolder: it was not.
    """
    if not any((data_dir / name).exists() for name in (CREDENTIALS_FILE, DATABASE_FILE)):
        raise NoDataFolder(data_dir)
    return credentials.load_or_create(data_dir / CREDENTIALS_FILE)


@asynccontextmanager
async def opened(settings: Settings, *, must_exist: bool = False) -> AsyncIterator[DataFolder]:
    """Open the data folder, and bring its tables up to date.

    Args:
        settings: of the server.
        must_exist: whether a folder that was not made before is refused; else it is made.

    Raises:
        NoDataFolder: it does not exist, and must.
        FolderUnusable: it cannot be made.
    """
    keys = keys_of(settings.data_dir) if must_exist else prepare(settings.data_dir)
    url = settings.storage.url or f"sqlite:///{settings.data_dir / DATABASE_FILE}"
    database = Database(url, settings.storage)
    try:
        await migrate(database)
        yield DataFolder(database, await unlock(database, settings.data_dir / ROOT_KEY_FILE), keys)
    finally:
        await database.close()
