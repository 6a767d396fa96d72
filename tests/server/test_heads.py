"""Clients that never come to the point."""

import re
import socket
import time
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from carillon.clock import ManualClock
from carillon.server.connections import Connections


@pytest.fixture(scope="module")
def port(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> int:
    folder: Path = tmp_path_factory.mktemp("heads") / "data"
    server = start_server(folder, CARILLON_SERVER_HEAD_SECONDS="0.5", CARILLON_SERVER_MAX_HEAD_BYTES="20000")
    return int(server.url.rpartition(":")[2])


def answer(connection: socket.socket) -> bytes:
    connection.settimeout(120)
    gathered = b""
    try:
        while data := connection.recv(65536):
            gathered += data
    except ConnectionResetError:
        pass
    return gathered


@pytest.mark.parametrize("begun", [b"", b"GET /", b"GET / HTTP/1.1\r\nX: "])
def test_who_does_not_finish_a_head_in_time_is_disconnected(port: int, begun: bytes) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(begun)
        assert answer(connection) == b""
    assert 0.4 < time.monotonic() - started < 60  # an idle connection after its first request has 75 s


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_end_is_not_taken_in(port: int, start: bytes) -> None:
    sent, piece = 0, b"A: b\r\n" * 1000 if start.endswith(b"\r\n") else b"a" * 6000
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(start)
        try:
            while sent < 100_000_000:
                sent += connection.send(piece)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert sent < 20_000_000, "what the kernel holds of it, and no more"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (b"/tags?" + b"a" * 9000, b"", b"414"),
        (b"/tags", b"".join(b"X-%d: 1\r\n" % n for n in range(80)), b"431"),
        (b"/tags", b"X: " + b"a" * 17_000 + b"\r\n", b"431"),
    ],
)
def test_a_head_that_is_too_large_is_answered_before_it_is_looked_at(
    port: int, target: bytes, headers: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n%bConnection: close\r\n\r\n" % (target, headers))
        assert answer(connection).split(b" ")[1] == status


def test_a_large_body_and_a_second_request_are_no_head(port: int) -> None:
    request = b"POST /listStreams HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + request)
        got = answer(connection)
    assert got.count(b"HTTP/1.1 200") == 3
    assert got.count(b"HTTP/1.1 403") == 1


def test_strangers_who_say_nothing_keep_no_client_out(start_server: Any, tmp_path: Path) -> None:
    """More half-open connections than there are descriptors; who can sign is let in, and it is told and counted."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = free.getsockname()[1]
    limits = {"CARILLON_SERVER_MAX_STRANGERS": "40", "CARILLON_SERVER_METRICS_PORT": str(metrics)}
    server = start_server(tmp_path / "data", **limits, CARILLON_SERVER_HEAD_SECONDS="100")
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    known = server.client("kinesisvideo")
    known.list_streams()
    with ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection(address)) for _ in range(200)]
        known.list_streams()
        assert server.client("kinesisvideo").list_streams()["StreamInfoList"] == []
        assert answer(strangers[0]) == b"", "who has said nothing for longest goes first"
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as response:
            said = response.read().decode()
    dropped = re.search(r'carillon_connections_dropped_total\{reason="address"\} (\d+)', said)
    assert dropped is not None
    assert int(dropped.group(1)) >= 160
    assert "connections.strangers_dropped" in (tmp_path / "data" / "server.log").read_text()


def test_the_oldest_stranger_goes_and_never_a_client_that_has_proven_a_key() -> None:
    closed: list[str] = []
    connections = Connections(4, 2, ManualClock())
    for name, address in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")):
        connections.admit(name, address, partial(closed.append, name))
    connections.prove("a1")
    connections.admit("a3", "a", partial(closed.append, "a3"))
    connections.admit("a4", "a", partial(closed.append, "a4"))
    assert closed == ["a2"], "two strangers of one address are enough"
    connections.admit("d1", "d", partial(closed.append, "d1"))
    assert closed == ["a2", "b1"], "four in all"
    connections.leave("a1")
    connections.leave("nobody")
    assert connections.make_room("descriptors")
    assert closed[-1] == "c1"
