"""Encryption at rest: a generated root key wraps data keys, a data key seals what is biometric.

Each domain, stream and pipeline has its own data key, kept wrapped in its row: deleting the row makes everything sealed
with it unreadable at once, wherever copies of the pages may lie. AES-256-GCM throughout, a fresh 96-bit nonce for each
message, and the context (which row, which column) as associated data, so that sealed values cannot be swapped.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carillon.errors import CarillonError

WrappedKey = NewType("WrappedKey", bytes)
"""A data key, itself sealed under the root key: safe to store beside the data."""

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class SealBroken(CarillonError):
    """A sealed value was changed, moved, or sealed under another key."""

    def __init__(self) -> None:
        super().__init__(
            "A sealed value cannot be opened: it was changed, or the root key is not the one it was made with."
        )


class Vault:
    """Seals and unseals bytes. Holds the root key; its repr shows nothing."""

    def __init__(self, root_key: bytes) -> None:
        if len(root_key) != _KEY_BYTES:
            raise ValueError(f"The root key must be {_KEY_BYTES} bytes.")
        self._root_key = root_key
        self._wrapping = AESGCM(self.derive("wrap data keys"))
        self._unwrapped = lru_cache(maxsize=4096)(self._unwrap)

    def __repr__(self) -> str:
        return "Vault(...)"

    def new_key(self) -> WrappedKey:
        """Return a fresh data key, wrapped."""
        nonce = os.urandom(_NONCE_BYTES)
        return WrappedKey(nonce + self._wrapping.encrypt(nonce, secrets.token_bytes(_KEY_BYTES), b"data key"))

    def seal(self, key: WrappedKey, plain: bytes, context: str) -> bytes:
        """Encrypt bytes under a data key; only the same context opens them again (28 bytes longer than `plain`).

        Raises:
            SealBroken: the data key is not one of this vault's.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._unwrapped(key).encrypt(nonce, plain, context.encode())

    def unseal(self, key: WrappedKey, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            SealBroken: wrong key, wrong context, or changed bytes.
        """
        try:
            return self._unwrapped(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error

    def forget_keys(self) -> None:
        """Keep no unwrapped data key in memory; called when a row with one was deleted."""
        self._unwrapped.cache_clear()  # the others come back with their next use

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose (say, signing page tokens), always the same for the same root key."""
        return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(self._root_key)

    def _unwrap(self, key: WrappedKey) -> AESGCM:
        try:
            return AESGCM(self._wrapping.decrypt(key[:_NONCE_BYTES], key[_NONCE_BYTES:], b"data key"))
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error


def load_or_create_root_key(path: Path) -> bytes:
    """Read the root key, or make one: 32 random bytes, readable by this user alone.

    Raises:
        CarillonError: the file is not 32 bytes long, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_root_key(path)
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(_KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def _read_root_key(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise CarillonError(f"{path} may be read by others. Run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise CarillonError(
            f"{path} is not a root key of {_KEY_BYTES} bytes. Restore it from a backup; without it nothing opens."
        )
    return key
