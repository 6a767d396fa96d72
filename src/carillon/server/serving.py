"""Runs the application on a socket until a signal stops it, and then ends without losing anything.

A stop is a drain: no connection is accepted any more; producers are sent an ERROR at the end of their next fragment,
once it is stored and acknowledged, and go on elsewhere or when we are back; what tasks have found is committed; then
connections that are left are cut off. All of it within `server.stop_seconds`; a second signal ends the wait.
"""

import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Final

import prometheus_client
from anyio import create_task_group, move_on_after, open_signal_receiver, to_thread

from carillon.app import assembled
from carillon.config import ServerSettings, Settings
from carillon.server.connections import connections_for, raise_descriptor_limit
from carillon.server.heads import bounded
from carillon.server.listener import AddressUnusable, Listener
from carillon.server.tls import certificate_of
from carillon.telemetry import get_logger

log = get_logger()

_BACKLOG: Final = 2048
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - where that is reached from here
_CTRL_C_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 0.3  # for connections that are left after the drain
_TRIES: Final = 20  # to find a port that is free for both families


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Another one ends the patience with producers, but nothing that would be lost.

    Args:
        settings: everything that can be set.
        on_ready: called with where the server is reached from this machine, once requests are answered.
    """
    certificate = certificate_of(settings)
    scheme = "http" if certificate is None else "https"
    own = settings.server
    descriptors = raise_descriptor_limit()
    with _listening(own.host, own.port) as sockets, ExitStack() as until_the_end:
        own_url = _url_of(sockets[0], scheme)
        async with (
            _metrics(own),
            assembled(settings, own_url) as application,
            create_task_group() as group,
        ):
            connections = connections_for(descriptors, own.max_strangers)
            server = Listener(
                application.asgi,
                min(_LAST_SECONDS, own.stop_seconds),
                certificate,
                bounded(own.max_head_bytes, own.head_seconds, connections),
                settings.ingest.max_message_bytes if settings.ingest.is_on else 0,
                keep_alive_seconds=own.keep_alive_seconds,
                handshake_seconds=own.head_seconds,
                connections=connections,
            )
            group.start_soon(server.serve, sockets)
            await server.is_listening.wait()
            for number in _ENDING:
                until_the_end.callback(signal.signal, number, signal.SIG_IGN)
            signals = until_the_end.enter_context(open_signal_receiver(*_ENDING))
            async with application.work:
                on_ready(own_url)
                received = await anext(aiter(signals))
                # Whoever presses Ctrl-C waits for it; an orchestrator has patience.
                seconds = own.stop_seconds if received == signal.SIGTERM else min(own.stop_seconds, _CTRL_C_SECONDS)
                log.info("server.draining", signal=signal.Signals(received).name, seconds=seconds)
                server.stop_accepting()
                with move_on_after(seconds) as patience:
                    await _either(application.drain, partial(anext, aiter(signals)))
                if patience.cancelled_caught:
                    log.warning("server.drain_incomplete", seconds=seconds)
            server.should_exit = True
    log.info("server.stopped")


async def _either(*children: Callable[[], Awaitable[object]]) -> None:
    """Return when the first of some children does."""
    async with create_task_group() as group:

        async def until_done(child: Callable[[], Awaitable[object]]) -> None:
            await child()
            group.cancel_scope.cancel()

        for child in children:
            group.start_soon(until_done, child)


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
def _listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Yield sockets that listen: for every address of this machine, one for each family, on the same port."""
    with ExitStack() as stack:
        if host != "::":
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            yield [stack.enter_context(_bound(host, port, family))]
            return
        for _ in range(_TRIES if port == 0 else 1):
            first = stack.enter_context(_bound("::", port, socket.AF_INET6))
            try:
                second = stack.enter_context(_bound("0.0.0.0", first.getsockname()[1], socket.AF_INET))  # noqa: S104 - as asked
            except AddressUnusable as error:
                taken = error
                stack.close()
            else:
                yield [second, first]
                return
        raise taken


def _bound(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    try:
        host.encode("idna")  # else what is no host name at all is a TypeError
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=False)
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(host, port, "server.host and server.port", error) from error


def _url_of(listener: socket.socket, scheme: str) -> str:
    """Return where the server is reached from this machine."""
    host, port, *_ = listener.getsockname()
    host = _EVERY_ADDRESS.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
