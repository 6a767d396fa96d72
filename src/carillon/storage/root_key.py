"""The root key's file, and the database that remembers which key it was sealed with.

The database holds a fingerprint of its key (derived from it, so it tells nothing of it). So a key that is missing or
another one is noticed before anything is opened or sealed, and no new key is ever made beside data that an older one
sealed.
"""

import secrets
import stat
from hmac import compare_digest
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.errors import CarillonError
from carillon.storage.database import Database, metadata
from carillon.storage.files import create_file
from carillon.storage.vault import KEY_BYTES, Vault, WrappedKey

_PURPOSE: Final = "fingerprint of the root key"

_root_key: Final = sa.Table(
    "root_key",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
)


class RootKeyUnusable(CarillonError):
    """The root key is missing, is not one, is another one, or others may read it."""


async def unlock(database: Database, path: Path) -> Vault:
    """Return the vault of a migrated database; only one that nothing was sealed in gets a new key.

    Raises:
        RootKeyUnusable: the key's file is missing or not that of this database: says what to restore.
    """
    async with database.reading() as connection:
        fingerprint = await _fingerprint(connection)
    if fingerprint is None:
        async with database.transaction() as connection:  # of two first starts, one waits for the other
            return await _first_vault(connection, path)
    return _checked(path, fingerprint)


async def check_root_key(database: Database, path: Path) -> None:
    """Make sure that a root key is the one of a migrated database; makes none.

    Raises:
        RootKeyUnusable: it is missing or another one.
    """
    async with database.reading() as connection:
        fingerprint = await _fingerprint(connection)
    if fingerprint is not None:
        _checked(path, fingerprint)


async def _first_vault(connection: AsyncConnection, path: Path) -> Vault:
    """Return the vault of a database that knows no key yet, and have it remember the key."""
    fingerprint = await _fingerprint(connection)
    if fingerprint is not None:
        return _checked(path, fingerprint)
    sealed_with = await _any_data_key(connection)
    if sealed_with is None:
        create_file(path, secrets.token_bytes(KEY_BYTES))
    vault = Vault(_read(path))
    if sealed_with is not None and not vault.opens(sealed_with):
        raise _another(path)
    await connection.execute(_root_key.insert().values(number=1, fingerprint=vault.derive(_PURPOSE)))
    return vault


async def _fingerprint(connection: AsyncConnection) -> bytes | None:
    found: bytes | None = (await connection.execute(sa.select(_root_key.c.fingerprint))).scalar_one_or_none()
    return found


async def _any_data_key(connection: AsyncConnection) -> WrappedKey | None:
    """Return a data key that some row holds, whosever it is; None if nothing was ever sealed."""
    for table in metadata.sorted_tables:
        if "data_key" in table.c:
            column = table.c.data_key
            sealed = sa.select(column).where(column != b"").limit(1)  # a deleted domain's is empty
            found = (await connection.execute(sealed)).scalar_one_or_none()
            if found is not None:
                return WrappedKey(found)
    return None


def _checked(path: Path, fingerprint: bytes) -> Vault:
    vault = Vault(_read(path))
    if not compare_digest(vault.derive(_PURPOSE), fingerprint):
        raise _another(path)
    return vault


def _another(path: Path) -> RootKeyUnusable:
    return RootKeyUnusable(
        f"{path} is not the root key that this database was sealed with. Restore that one from its backup; nothing was "
        "changed."
    )


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        key = b"" if stat.S_ISFIFO(mode) else path.read_bytes()  # which would wait for ever
    except FileNotFoundError as error:
        raise RootKeyUnusable(
            f"{path} is missing, and the database beside it was sealed with it. Restore it from its backup; to begin "
            "anew instead, move the database and the streams away."
        ) from error
    except OSError as error:
        raise RootKeyUnusable(f"{path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise RootKeyUnusable(f"{path} may be read by others. Run: chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise RootKeyUnusable(
            f"{path} is not a root key of {KEY_BYTES} bytes. Restore it from a backup; without it nothing opens."
        )
    return key
