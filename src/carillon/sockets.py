"""WebSockets as uvicorn speaks them, but silent and bounded. `server.py` loads this when the first one comes.

uvicorn logs the path of every connection, and here the path is the secret; at its most talkative the library below it
would log what is said. Both also remember without bounds: pings of a peer that reads none of the answers, and messages
that come in ever more parts.
"""

import logging
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

_MAX_UNREAD_BYTES: Final = 65_536
_MAX_PARTS: Final = 1_024
_LATE_SECONDS: Final = 0.5  # a deadline that is noticed so late was missed by this process, which did not run
_MOMENT_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        super().__init__(**given)
        self.logger = self.conn.logger = _log
        self.conn.debug = False

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # else uvicorn reports that it never was

    def handle_ping(self) -> None:
        if self.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self.transport.abort()
        else:
            super().handle_ping()

    def keepalive_timeout(self) -> None:
        """Give up on a peer that answers no ping, unless the answer waits that nobody could read yet."""
        due = None if self.pong_timer is None else self.pong_timer.when()
        if due is not None and self.loop.time() - due > _LATE_SECONDS:
            self.pong_timer = self.loop.call_later(_MOMENT_SECONDS, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MAX_PARTS:
            self.transport.abort()
        else:
            super().handle_cont(event)
