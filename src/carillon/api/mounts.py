"""The applications of one port: each says which requests are its own, and the AWS edge has the rest.

AWS has the whole space of paths, since SDKs append theirs to the endpoint's URL: so it is the default, and what is
mounted beside it lies where no service's model has a route.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carillon.api.protocol.asgi import AsgiApplication, Receive, Scope, Send

ScopePredicate = Callable[[Scope], bool]


@dataclass(frozen=True, slots=True)
class Mount:
    """An application, and which requests are its own."""

    owns: ScopePredicate
    application: AsgiApplication


class MountedApplications:
    """Hands each request to the first application that owns it, as an ASGI 3 application.

    Args:
        default: takes what nobody owns, and is told of the start and the stop of the server.
        mounts: asked in this order, for every request: they look at the path and no further.
    """

    def __init__(self, default: AsgiApplication, mounts: Sequence[Mount]) -> None:
        self._default = default
        self._mounts = tuple(mounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have one request, WebSocket or lifespan served."""
        if scope["type"] != "lifespan":
            for mount in self._mounts:
                if mount.owns(scope):
                    await mount.application(scope, receive, send)
                    return
        await self._default(scope, receive, send)


def is_websocket(scope: Scope) -> bool:
    """Return whether a client asks for a WebSocket, wherever."""
    return bool(scope["type"] == "websocket")


def under(prefix: bytes) -> ScopePredicate:
    """Return what owns a path and everything below it: `/console` and `/console/calls`, not `/consoles`.

    Args:
        prefix: as it arrives, percent-encoded, without a slash at its end.
    """
    below = prefix + b"/"

    def owns(scope: Scope) -> bool:
        path: bytes = scope.get("raw_path") or b""
        return path == prefix or path.startswith(below)

    return owns
