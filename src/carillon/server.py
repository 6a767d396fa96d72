"""Runs the application on a socket until it is told to stop."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, cast

import prometheus_client
import uvicorn
from anyio import Event, create_task_group, open_signal_receiver, to_thread

from carillon.app import assembled
from carillon.config import ServerSettings, Settings
from carillon.errors import CarillonError
from carillon.heads import bounded
from carillon.tls import Certificate, certificate_of

_BACKLOG: Final = 2048


class Listener(uvicorn.Server):
    """uvicorn as a child: it tells when it has started, and leaves signals to its parent."""

    def __init__(
        self,
        application: Any,  # noqa: ANN401 - any ASGI application
        stop_seconds: float = 1.0,
        certificate: Certificate | None = None,
        http: type[asyncio.Protocol] | Literal["auto"] = "auto",
        max_message_bytes: int = 0,
    ) -> None:
        """Make one.

        Args:
            application: answers.
            stop_seconds: how long connections may go on after it was told to stop.
            certificate: to serve https with.
            http: what speaks it.
            max_message_bytes: of a WebSocket; 0 serves none.
        """
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
                timeout_graceful_shutdown=round(stop_seconds),
            )
        )
        self.is_listening = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self.is_listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _websocket(**given: Any) -> asyncio.Protocol:  # noqa: ANN401 - as uvicorn has it
    """Return the protocol of one WebSocket; the first loads the library."""
    from carillon.sockets import BoundedWebSocket

    return BoundedWebSocket(**given)


class AddressUnusable(CarillonError):
    """The operating system does not let us listen there."""

    def __init__(self, host: str, port: int, setting: str, error: OSError) -> None:
        super().__init__(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Stop what listens there, or choose "
            f"another with {setting}."
        )


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: everything that can be set.
        on_ready: told the base URL once requests are answered.
    """
    certificate = certificate_of(settings)
    scheme = "http" if certificate is None else "https"
    with _listening(settings.server.host, settings.server.port) as listener:
        base_url = settings.server.public_url or _url_of(listener, scheme)
        async with (
            _metrics(settings.server),
            assembled(settings, base_url) as application,
            create_task_group() as group,
        ):
            http = bounded(settings.server.max_head_bytes, settings.server.head_seconds)
            server = Listener(
                application.api,
                settings.server.stop_seconds,
                certificate,
                http,
                settings.ingest.max_message_bytes if settings.ingest.is_on else 0,
            )
            group.start_soon(server.serve, [listener])
            await server.is_listening.wait()
            with open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with application.work:
                    on_ready(base_url)
                    await anext(aiter(signals))
            server.should_exit = True


@asynccontextmanager
async def _metrics(settings: ServerSettings) -> AsyncIterator[None]:
    """Serve the metrics while entered, in a thread of their own: a busy server still tells how it is."""
    if not settings.metrics_port:
        yield
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = prometheus_client.start_http_server(port, host)
    except OSError as error:
        raise AddressUnusable(host, port, "server.metrics_port", error) from error
    try:
        yield
    finally:
        await to_thread.run_sync(server.shutdown)
        server.server_close()
        thread.join()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        raise AddressUnusable(host, port, "server.host and server.port", error) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _url_of(listener: socket.socket, scheme: str) -> str:
    host, port, *_ = listener.getsockname()
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only compared
        host = socket.gethostname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
