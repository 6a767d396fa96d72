"""One WebSocket over ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html#websocket."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from anyio import fail_after

from carillon.api.protocol.asgi import Receive, Scope, Send

SUBPROTOCOLS: Final = frozenset({"audio.jambonz.org", "audio.drachtio.org", "media"})
"""What jambonz, drachtio's mod_audio_fork and Asterisk ask for, and end the connection without."""
_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]


class WebSocket:
    """Receives and sends whole messages.

    Args:
        write_seconds: how long the peer may take to accept one.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, write_seconds: float) -> None:
        self._can_answer = "websocket.http.response" in scope.get("extensions", {})
        offered: Sequence[str] = scope.get("subprotocols", ())
        self._subprotocol = next((name for name in offered if name in SUBPROTOCOLS), None)
        self._receive = receive
        self._send = send
        self._write_seconds = write_seconds
        self.is_over = False

    async def begin(self) -> None:
        """Wait for the request to connect."""
        while (await self._receive())["type"] != "websocket.connect":
            pass

    async def refuse(self, status: int, message: str) -> None:
        """Answer the request to connect with an HTTP error; what a server cannot say so becomes 403."""
        self.is_over = True
        if not self._can_answer:
            await self._send({"type": "websocket.close"})
            return
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": _TEXT})
        await self._send({"type": "websocket.http.response.body", "body": f"{message}\n".encode()})

    async def accept(self) -> None:
        """Agree to connect, and to the first subprotocol that is offered and known; to none if none is."""
        await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol})

    async def receive(self) -> str | bytes | None:
        """Return the next message; None once the peer has closed, or was lost. May be canceled without losing any."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.is_over = True
            return None
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    async def send(self, text: str) -> None:
        """Send a text message; whoever has gone does not get it.

        Raises:
            TimeoutError: it was not accepted in time.
        """
        with fail_after(self._write_seconds), suppress(OSError):  # what ASGI servers raise once the peer is lost
            await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str = "") -> None:
        """Close, unless it is closed already."""
        if not self.is_over:
            self.is_over = True
            with suppress(OSError, TimeoutError), fail_after(self._write_seconds):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
