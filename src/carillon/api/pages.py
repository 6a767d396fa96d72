"""A list operation of the Chime APIs, page by page: `MaxResults`, `NextToken`, and where the last page ended."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from carillon.api.paging import PageTokens

DEFAULT_PAGE: Final = 100
"""AWS documents no default; 100 is the most that `MaxResults` may ask for."""

_Item = TypeVar("_Item")


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
        """Return the page that a request asks for.

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
        return Page(items, self._tokens.make(operation, position(items[-1]), filters) if more else None)
