"""uvicorn as a child: it accepts connections as we want them, and ends when its parent says so.

Connections are accepted here and not by the event loop's own server, so that a stranger is counted before TLS costs
anything, a lack of descriptors is noticed, and accepting can end while connections go on. What uvicorn is for is the
protocol on each connection.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast

import uvicorn
from anyio import CancelScope, Event, create_task_group, move_on_after, sleep
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from carillon.clock import Clock, SystemClock
from carillon.errors import CarillonError
from carillon.server.connections import Connections
from carillon.server.tls import Certificate
from carillon.telemetry import get_logger

log = get_logger()

_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BREATH_SECONDS: Final = 0.05
_TOLD_EVERY_SECONDS: Final = 10.0
_MANY: Final = 1_000_000
_LOOK_SECONDS: Final = 0.02
_LAST_SECONDS: Final = 1.0  # for what connections that were cut off still have to put away


_EVERYDAY: Final = ("Invalid HTTP request received.", "ASGI callable returned without completing response.")
"""What uvicorn warns of where nothing is wrong here: strangers who speak no HTTP, who could fill a disk with it, and
answers that we cut off on purpose and told of ourselves."""

logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() not in _EVERYDAY)


class AddressUnusable(CarillonError):
    """The operating system does not let us listen there."""

    def __init__(self, host: str, port: int, setting: str, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = reason.partition(" (while")[0]  # asyncio and socket repeat the address
        super().__init__(
            f"Cannot listen on {host}, port {port}: {reason}. Stop what listens there, or choose another with "
            f"{setting}."
        )


class Listener(uvicorn.Server):
    """Serves an application on sockets.

    Args:
        application: any ASGI application.
        stop_seconds: how long connections may go on after `stop`.
        certificate: to serve https with.
        http: what speaks it.
        max_message_bytes: of a WebSocket; 0 serves none.
        keep_alive_seconds: how long a connection may be idle between two requests.
        handshake_seconds: how long TLS may take to begin.
        connections: counts them; by default none is too many.
    """

    def __init__(
        self,
        application: Any,  # noqa: ANN401 - any ASGI application
        stop_seconds: float = 1.0,
        certificate: Certificate | None = None,
        http: type[asyncio.Protocol] | Literal["auto"] = "auto",
        max_message_bytes: int = 0,
        *,
        keep_alive_seconds: float = 75.0,
        handshake_seconds: float = 10.0,
        connections: Connections | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                lifespan="off",
                access_log=False,
                log_config=None,
                http=http,
                ws=cast("type[asyncio.Protocol]", _websocket) if max_message_bytes else "none",
                ws_max_size=max_message_bytes,
                ws_per_message_deflate=False,  # what is compressed is small, and what it becomes is not
                ssl_certfile=None if certificate is None else certificate.certificate,
                ssl_keyfile=None if certificate is None else certificate.key,
                server_header=False,
                timeout_keep_alive=cast("int", keep_alive_seconds),
            )
        )
        self.is_listening = Event()
        self._stop_seconds = stop_seconds
        self._handshake_seconds = handshake_seconds
        self._connections = connections or Connections(_MANY, _MANY)
        self._clock = clock or SystemClock()
        self._accepting: TaskGroup | None = None
        self._tell_at = 0.0

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on sockets that listen, until `should_exit`; then let connections end, or cut them off."""
        async with create_task_group() as group:
            group.start_soon(self._accept_all, sockets or ())
            await super().serve(sockets)
            self.stop_accepting()

    def stop_accepting(self) -> None:
        """Take no more connections. Those that there are go on."""
        if self._accepting is not None:
            self._accepting.cancel_scope.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - see `_accept_all`
        """Log that connections are accepted."""
        self.servers = []
        self.started = True
        self.is_listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End every connection: idle ones now, the others when they have answered, or when time is up."""
        self.stop_accepting()
        for listening in sockets or ():
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._all_end(self._stop_seconds):
            log.info("server.connections_cut_off", count=len(self.server_state.connections))
            for connection in list(self.server_state.connections):
                connection.transport.abort()  # as if the client had gone: whoever answers it puts away what it has
            if not await self._all_end(_LAST_SECONDS):
                for task in self.server_state.tasks:
                    task.cancel()
                await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the parent."""
        yield

    async def _all_end(self, seconds: float) -> bool:
        with move_on_after(seconds):
            while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody
                await sleep(_LOOK_SECONDS)
            return True
        return False

    async def _accept_all(self, sockets: Sequence[socket.socket]) -> None:
        await self.is_listening.wait()
        async with create_task_group() as self._accepting:
            for listening in sockets:
                self._accepting.start_soon(self._accept, listening, self._accepting)

    async def _accept(self, listening: socket.socket, group: TaskGroup) -> None:
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            await checkpoint()  # a flood of connections must not keep the others waiting
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno == errno.EBADF:
                    return  # the socket was closed
                if error.errno in _NO_DESCRIPTORS:
                    self._tell_of_lack(error)
                    self._connections.make_room("descriptors")
                    await sleep(_BREATH_SECONDS)
                continue  # else it left before it was let in
            group.start_soon(self._connect, accepted, address[0])

    async def _connect(self, accepted: socket.socket, address: str) -> None:
        """Speak TLS with a client, if need be, and leave the connection to its protocol."""
        loop = asyncio.get_running_loop()
        make: Any = self.config.http_protocol_class
        protocol = make(config=self.config, server_state=self.server_state, app_state={}, _loop=loop)
        seconds = self._handshake_seconds if self.config.ssl else None
        is_connected = False
        with CancelScope() as scope:
            self._connections.admit(accepted, address, scope.cancel)
            try:
                await loop.connect_accepted_socket(
                    lambda: protocol, accepted, ssl=self.config.ssl, ssl_handshake_timeout=seconds
                )
                is_connected = True
            except (OSError, ValueError):
                pass  # no TLS, too slow, or gone
            finally:
                self._connections.leave(accepted)
                if not is_connected:
                    accepted.close()

    def _tell_of_lack(self, error: OSError) -> None:
        now = self._clock.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + _TOLD_EVERY_SECONDS
            log.warning("server.no_descriptors", reason=error.strerror, connections=len(self.server_state.connections))


def _websocket(**given: Any) -> asyncio.Protocol:  # noqa: ANN401 - as uvicorn has it
    """Return the protocol of one WebSocket; the first loads the library."""
    from carillon.server.sockets import BoundedWebSocket

    return BoundedWebSocket(**given)
