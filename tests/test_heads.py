"""Clients that never come to the point."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def port(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> int:
    folder: Path = tmp_path_factory.mktemp("heads") / "data"
    server = start_server(folder, CARILLON_SERVER_HEAD_SECONDS="0.5", CARILLON_SERVER_MAX_HEAD_BYTES="20000")
    return int(server.url.rpartition(":")[2])


def answer(connection: socket.socket) -> bytes:
    connection.settimeout(5)
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
    assert 0.4 < time.monotonic() - started < 3


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
