"""WebSockets as uvicorn speaks them, but silent and bounded. `listener.py` loads this when the first one comes.

uvicorn logs the path of every connection, and here the path is the secret; at its most talkative the library below it
would log what is said. Both also remember without bounds: pings of a peer that reads none of the answers, and messages
that come in ever more parts.
"""

import logging
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from carillon.concurrency import MOMENT_SECONDS, is_missed

_MAX_UNREAD_BYTES: Final = 65_536
_MAX_PARTS: Final = 1_024

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
        if is_missed(self.pong_timer):
            self.pong_timer = self.loop.call_later(MOMENT_SECONDS, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MAX_PARTS:
            self.transport.abort()
        else:
            super().handle_cont(event)
