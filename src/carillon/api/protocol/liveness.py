"""Whether the server lives: for load balancers and orchestrators, who sign nothing and leave no record."""

from typing import Final

from carillon.api.protocol.asgi import Receive, Scope, Send
from carillon.api.protocol.exchange import Exchange, RequestSettings
from carillon.api.protocol.serialization import Response
from carillon.api.protocol.stages import read_head

_PATHS: Final = frozenset({b"/", b"/health"})
_METHODS: Final = frozenset({"GET", "HEAD"})
_ALIVE: Final = Response(200, ((b"content-type", b"application/json"),), b'{"status":"ok"}')


class Liveness:
    """Answers everything with 200, as an ASGI 3 application."""

    def __init__(self, settings: RequestSettings | None = None) -> None:
        self._settings = settings or RequestSettings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        stage = read_head(scope)
        await Exchange(stage, receive, send, self._settings).respond(stage, _ALIVE)


def asks_for_liveness(scope: Scope) -> bool:
    """Return whether a request is one that `Liveness` is for; AWS's services have nothing there."""
    return scope["type"] == "http" and scope.get("raw_path") in _PATHS and scope["method"] in _METHODS
