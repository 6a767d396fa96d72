"""HTTP as uvicorn speaks it, but for clients that send a request line and headers without end, or too slowly.

uvicorn keeps what it has of a head until it is whole. Whoever has no key must not be able to fill our memory with it,
nor hold a connection by sending a byte now and then.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    max_head_bytes = 32_768
    head_seconds = 10.0

    _head_bytes = 0
    _is_head_open = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        was_open = self._is_head_open
        super().data_received(data)
        if was_open and self._is_head_open:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head_open = True
        self._head_bytes = 0
        self._start_clock()

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._stop_clock()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.close()


def bounded(max_bytes: int, seconds: float) -> type[asyncio.Protocol]:
    """Return a protocol that closes connections whose heads are larger, or take longer, than this.

    Args:
        max_bytes: of one request line with its headers; give and take what one read brings.
        seconds: from the opening of the connection, or the head's first byte, to its last.
    """

    class Bounded(BoundedHttp):
        max_head_bytes = max_bytes
        head_seconds = seconds

    return Bounded
