"""The access keys that clients sign with, kept in the data folder; the command line reads them without a server."""

import os
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from carillon.errors import CarillonError

_PREFIX: Final = "CRLN"  # As long as AWS's own (20 in all), and not to be taken for one of them.
_ID_ALPHABET: Final = string.ascii_uppercase + "234567"
_SECRET_BYTES: Final = 30


class CredentialsUnusable(CarillonError):
    """The file of access keys is open to others, or is not what we write."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair that an SDK signs with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def generate(cls) -> "AccessKey":
        """Return a new key, random throughout."""
        suffix = "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))
        return cls(_PREFIX + suffix, secrets.token_urlsafe(_SECRET_BYTES))


class KeyRing:
    """The keys that this server accepts.

    Args:
        keys: at least one; the first is the one that `carillon env` prints.
    """

    def __init__(self, keys: Sequence[AccessKey]) -> None:
        if not keys:
            raise ValueError("A key ring needs at least one key.")
        self.default: Final = keys[0]
        self._secrets = {key.access_key_id: key.secret_access_key for key in keys}

    def secret_of(self, access_key_id: str) -> str | None:
        """Return the secret of a key, or None if there is no such key."""
        return self._secrets.get(access_key_id)


@dataclass(frozen=True, slots=True)
class _File:
    keys: list[AccessKey] = field(repr=False)
    version: int = 1


def load_or_create(path: Path) -> KeyRing:
    """Read the keys, or make a file with one new key, readable by this user alone.

    Two processes that start at once agree on one file, and no one ever sees half of it.

    Raises:
        CredentialsUnusable: others may read the file, or it is not what we write.
    """
    if not path.exists():
        _create(path)
    return KeyRing(_read(path).keys)


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_File([AccessKey.generate()]))) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # Unlike a rename, this fails where somebody else was faster.
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> _File:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise CredentialsUnusable(f"{path} may be read by others. Run: chmod 600 {path}")
        try:
            credentials = msgspec.json.decode(file.read(), type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CredentialsUnusable(f"{path} is not a file of access keys. Restore it, or remove it.") from error
    if credentials.version != 1 or not credentials.keys:
        raise CredentialsUnusable(f"{path} holds no keys that this version understands. Restore it, or remove it.")
    return credentials
