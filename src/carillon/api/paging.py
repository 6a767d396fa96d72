"""NextToken: where a list goes on, opaque to clients and useless for anything but the list that gave it."""

import os
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carillon.errors import InvalidRequest

MAX_POSITION_BYTES: Final = 480
"""Keeps a token under 1024 characters, the shortest limit in a model (kinesisvideo)."""

_NONCE_BYTES: Final = 12


class UnusablePageToken(InvalidRequest):
    """A NextToken that this list did not give out."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"NextToken is not one that {operation} returned for the same filters; start again without it."
        )


class PageTokens:
    """Makes and reads page tokens: AES-256-GCM, with the operation and its filters as associated data.

    A token is lower-case hexadecimal, which each model's pattern for tokens allows and no URL needs to escape.

    Args:
        key: 32 bytes, the same after a restart: `Vault.derive("page tokens")`.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "PageTokens(...)"

    def make(self, operation: str, after: str, filters: Mapping[str, str] | None = None) -> str:
        """Return the token of the page that follows a position.

        Args:
            operation: the operation's name.
            after: where the page ended, at most MAX_POSITION_BYTES in UTF-8.
            filters: the parameters that choose what is listed; the next request must repeat them.
        """
        position = after.encode()
        if len(position) > MAX_POSITION_BYTES:
            raise ValueError(f"A position has at most {MAX_POSITION_BYTES} bytes.")
        nonce = os.urandom(_NONCE_BYTES)
        return (nonce + self._cipher.encrypt(nonce, position, _context(operation, filters))).hex()

    def read(self, operation: str, token: str, filters: Mapping[str, str] | None = None) -> str:
        """Return the position that `make` was given.

        Raises:
            UnusablePageToken: made up, changed, or of another operation or other filters.
        """
        try:
            sealed = bytes.fromhex(token)
            nonce, position = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, position, _context(operation, filters)).decode()
        except (InvalidTag, ValueError) as error:
            raise UnusablePageToken(operation) from error


def _context(operation: str, filters: Mapping[str, str] | None) -> bytes:
    return msgspec.json.encode((operation, sorted((filters or {}).items())))
