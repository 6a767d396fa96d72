"""Encryption at rest: a generated root key wraps data keys, a data key seals what is biometric.

Each domain, stream and pipeline has its own data key, kept wrapped in its row: deleting the row makes everything sealed
with it unreadable at once, wherever copies of the pages may lie. AES-256-GCM throughout, a fresh 96-bit nonce for each
message, and the context (which row, which column) as associated data, so that sealed values cannot be swapped.
"""

import os
import secrets
from functools import lru_cache
from typing import Final, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carillon.errors import CarillonError

WrappedKey = NewType("WrappedKey", bytes)
"""A data key, itself sealed under the root key: safe to store beside the data."""

KEY_BYTES: Final = 32
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
        if len(root_key) != KEY_BYTES:
            raise ValueError(f"The root key must be {KEY_BYTES} bytes.")
        self._root_key = root_key
        self._wrapping = AESGCM(self.derive("wrap data keys"))
        self._unwrapped = lru_cache(maxsize=4096)(self._unwrap)

    def __repr__(self) -> str:
        return "Vault(...)"

    def new_key(self) -> WrappedKey:
        """Return a fresh data key, wrapped."""
        nonce = os.urandom(_NONCE_BYTES)
        return WrappedKey(nonce + self._wrapping.encrypt(nonce, secrets.token_bytes(KEY_BYTES), b"data key"))

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
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(self._root_key)

    def opens(self, key: WrappedKey) -> bool:
        """Return whether a data key was wrapped by this vault's root key."""
        try:
            self._unwrap(key)
        except SealBroken:
            return False
        return True

    def _unwrap(self, key: WrappedKey) -> AESGCM:
        try:
            return AESGCM(self._wrapping.decrypt(key[:_NONCE_BYTES], key[_NONCE_BYTES:], b"data key"))
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error
