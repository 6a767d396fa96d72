"""HTTP as uvicorn speaks it, but for clients that send a request line and headers without end, or too slowly.

uvicorn keeps what it has of a head until it is whole. Whoever has no key must not be able to fill our memory with it,
nor hold a connection by sending a byte now and then.

A deadline that is noticed late was missed by us, not by the client: this process did not run, and what the client sent
meanwhile has not been read yet. So the client is given a moment more.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carillon.api.protocol import PROVEN
from carillon.concurrency import MOMENT_SECONDS, is_missed
from carillon.server.connections import Connections


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    max_head_bytes = 32_768
    head_seconds = 10.0
    registry: Connections | None = None

    _head_bytes = 0
    _is_head_open = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        super().connection_made(transport)
        if self.registry is not None:
            self.registry.admit(self, self.client[0] if self.client else "", transport.abort)
        self._start_clock(self.head_seconds)

    def data_received(self, data: bytes) -> None:
        was_open = self._is_head_open
        super().data_received(data)
        if was_open and self._is_head_open:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][PROVEN] = self._prove
        self._is_head_open = True
        self._head_bytes = 0
        self._start_clock(self.head_seconds)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._stop_clock()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self._leave()  # the WebSocket application refuses at once

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, unless a request waits that nobody could read yet."""
        if is_missed(self.timeout_keep_alive_task):
            self.timeout_keep_alive_task = self.loop.call_later(MOMENT_SECONDS, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _prove(self) -> None:
        if self.registry is not None:
            self.registry.prove(self)

    def _leave(self) -> None:
        self._stop_clock()
        if self.registry is not None:
            self.registry.leave(self)

    def _start_clock(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self._out_of_time)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _out_of_time(self) -> None:
        if is_missed(self._deadline):
            self._start_clock(MOMENT_SECONDS)
        else:
            self._give_up()

    def _give_up(self) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.close()


def bounded(max_bytes: int, seconds: float, connections: Connections | None = None) -> type[asyncio.Protocol]:
    """Return a protocol that closes connections whose heads are larger, or take longer, than this.

    Args:
        max_bytes: of one request line with its headers; give and take what one read brings.
        seconds: from the opening of the connection, or the head's first byte, to its last.
        connections: counts them; None counts nothing.
    """

    class Bounded(BoundedHttp):
        max_head_bytes = max_bytes
        head_seconds = seconds
        registry = connections

    return Bounded
