"""NextToken: where a list goes on, opaque to clients and useless for anything but the list that gave it."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carillon.access.visibility import is_everything_visible, is_visible
from carillon.errors import InvalidRequest

MAX_POSITION_BYTES: Final = 480
"""Keeps a token under 1024 characters, the shortest limit in a model (kinesisvideo)."""

DEFAULT_PAGE: Final = 100
"""AWS documents no default; 100 is the most that `MaxResults` may ask for."""

_Item = TypeVar("_Item", bound="Listed")

_NONCE_BYTES: Final = 12


class Listed(Protocol):
    """What can be in a list."""

    @property
    def arn(self) -> str:
        """Return its ARN, by which policies show or hide it."""
        ...


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


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Some items, and the token of what follows; None on the last page."""

    items: Sequence[_Item]
    next_token: str | None


class Pages:
    """Answers list requests from functions that return up to `limit` items after a position."""

    def __init__(self, tokens: PageTokens) -> None:
        self._tokens = tokens

    async def page(
        self,
        operation: str,
        request: Mapping[str, Any],
        fetch: Callable[[str, int], Awaitable[Sequence[_Item]]],
        position: Callable[[_Item], str],
        filters: Mapping[str, str] | None = None,
    ) -> Page[_Item]:
        """Return the page that a request asks for, less what its caller may not see.

        Such a page is shorter, even empty, and still has a token while more follows, as AWS allows it to be.

        Args:
            operation: the operation's name; its tokens are good for nothing else.
            request: the parsed request.
            fetch: returns up to `limit` items after a position, in order; "" is before the first.
            position: where an item stands in that order.
            filters: parameters that choose what is listed; a token is good for the same ones only.

        Raises:
            UnusablePageToken: the token is not one that this list gave.
        """
        limit: int = request.get("MaxResults", DEFAULT_PAGE)
        token: str | None = request.get("NextToken")
        after = "" if token is None else self._tokens.read(operation, token, filters)
        found = await fetch(after, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        shown = items if is_everything_visible() else [item for item in items if is_visible(item.arn)]
        return Page(shown, self._tokens.make(operation, position(items[-1]), filters) if more else None)


def _context(operation: str, filters: Mapping[str, str] | None) -> bytes:
    return msgspec.json.encode((operation, sorted((filters or {}).items())))
