"""What of a list the caller may see: said once for a request, asked wherever a list is made."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

_predicate: Final[ContextVar[Callable[[str], bool] | None]] = ContextVar("carillon_visible", default=None)


def is_visible(arn: str) -> bool:
    """Return whether the caller of the request being answered may see a resource in its list."""
    predicate = _predicate.get()
    return predicate is None or predicate(arn)


def is_everything_visible() -> bool:
    """Return whether nothing at all is hidden from the caller."""
    return _predicate.get() is None


def show(predicate: Callable[[str], bool] | None) -> None:
    """Set what the request of the present context may see; None is everything. Only the authorizer calls this."""
    _predicate.set(predicate)
