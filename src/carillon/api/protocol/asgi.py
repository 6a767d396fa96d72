"""The words of ASGI 3 that we speak: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from carillon.errors import Transient

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = Sequence[tuple[bytes, bytes]]
"""As they travel: lower-case names, in order of arrival, a repeated header several times."""


class ClientGone(Transient):
    """The client closed the connection before its request was complete; nobody is left to answer."""

    def __init__(self) -> None:
        super().__init__("The client closed the connection before its request was complete.")


def fold(headers: Headers) -> Mapping[str, str]:
    """Return headers by lower-case name; the values of a repeated one are joined by a comma (RFC 9110, 5.3)."""
    folded = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    if len(folded) == len(headers):
        return folded
    folded.clear()
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        folded[name] = f"{folded[name]}, {value}" if name in folded else value
    return folded
