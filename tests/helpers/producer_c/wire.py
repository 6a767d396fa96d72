"""One request as libcurl writes it for the SDK: what it puts first, what it adds, and when it sends the body."""

import socket
import ssl
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from producer_c.acknowledgements import Acknowledgement, Parser
from producer_c.signing import Headers

READ_BYTES = 65_524
"""What libcurl asks for at once: its upload buffer, less the head and the end of a chunk."""
CURL_WAIT_SECONDS = 1.0
"""How long libcurl waits for 100 Continue before it sends the body all the same."""
WAIT_SECONDS = 60.0
"""The same where an answer is to come: a machine may be busy."""


class Closed(Exception):
    """The server closed the connection, or it broke."""


def head(url: str, headers: Headers, *, is_streamed: bool) -> bytes:
    """Return a request's head. `Host` comes first, `Expect` last: both are libcurl's, and unsigned but for the host."""
    host = next(value for name, value in headers if name == "host")
    lines = [f"POST {urlsplit(url).path} HTTP/1.1", f"Host: {host}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers if name != "host"]
    lines += ["Expect: 100-continue"] if is_streamed else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Connection:
    """A TLS connection of TLS 1.2 or later that verifies its peer and offers HTTP/2, as libcurl does."""

    def __init__(self, url: str, authorities: Path, timeout: float = 120) -> None:
        address = urlsplit(url)
        context = ssl.create_default_context(cafile=authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2", "http/1.1"])
        assert address.hostname
        raw = socket.create_connection((address.hostname, address.port or 443), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw, server_hostname=address.hostname)
        assert self._socket.selected_alpn_protocol() in {None, "http/1.1"}
        self._timeout = timeout
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Closed from error

    def answer(self) -> tuple[int, dict[str, str]]:
        """Read a status line and headers, those of an interim answer too."""
        status = int(self._line().split()[1])
        headers = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def answer_within(self, seconds: float) -> tuple[int, dict[str, str]] | None:
        """Read the same, or return None where nothing comes in time."""
        self._socket.settimeout(seconds)
        try:
            return self.answer()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(self._timeout)

    def body(self, headers: dict[str, str]) -> bytes:
        """Read the whole body of an answer."""
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self.chunks())
        while len(self._held) < int(headers["content-length"]):
            self._more()
        return self._held

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks of a body: each reaches the SDK by a call of its own."""
        while size := int(self._line(), 16):
            while len(self._held) < size + 2:
                self._more()
            chunk, self._held = self._held[:size], self._held[size + 2 :]
            yield chunk
        self._line()

    def is_closed_by_server(self) -> bool:
        """Tell, once the answer is over, whether the server says goodbye."""
        try:
            self._more()
        except Closed:
            return True
        return False

    def reset(self) -> None:
        """Break the connection as a network does: no goodbye of TLS, and none of TCP."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw = self._socket.detach()
        socket.close(raw)

    def _line(self) -> str:
        while b"\r\n" not in self._held:
            self._more()
        line, _, self._held = self._held.partition(b"\r\n")
        return line.decode("latin-1")

    def _more(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        self._held += data


class Upload:
    """One PutMedia."""

    def __init__(self, url: str, headers: Headers, authorities: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        self._connection = Connection(url, authorities)
        self._parser = Parser()
        self.pieces: list[bytes] = []
        """The answer so far, as it was handed to the SDK."""
        self.heard: list[Acknowledgement] = []
        self._connection.write(head(url, headers, is_streamed=True))
        self.interim = self._connection.answer_within(wait_seconds)
        """What came before the SDK would send the body unasked: 100 Continue, a refusal, or nothing."""
        self._final = self.interim if self.interim and self.interim[0] != 100 else None
        self._pieces: Iterator[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__()

    @property
    def status(self) -> int:
        """Return the status of the answer."""
        return self.answer()[0]

    def answer(self) -> tuple[int, dict[str, str]]:
        """Return the head of the final answer, read when it is first asked for."""
        while self._final is None:
            answered = self._connection.answer()
            self._final = None if answered[0] == 100 else answered
        return self._final

    def refusal(self) -> str:
        """Return the body of an answer that is an error."""
        return self._connection.body(self.answer()[1]).decode()

    def send(self, data: bytes) -> Self:
        """Send some of the body, in chunks no larger than libcurl makes them."""
        for at in range(0, len(data), READ_BYTES):
            piece = data[at : at + READ_BYTES]
            self._connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return self

    def end(self) -> Self:
        """End the body: the SDK returns 0 from its read callback."""
        self._connection.write(b"0\r\n\r\n")
        return self

    def hear(self, kind: str, timecode: int | None = None) -> Acknowledgement:
        """Return the acknowledgement of this kind, and of this fragment; read on until it has come."""
        for acknowledgement in chain(list(self.heard), self._acknowledgements()):
            if acknowledgement.kind == kind and timecode in {None, acknowledgement.timecode}:
                return acknowledgement
        raise Closed(f"No {kind} of {timecode} came; what came: {self.heard}")

    def hear_all(self) -> list[Acknowledgement]:
        """Read acknowledgements to the end of the answer; return all that there were."""
        for _ in self._acknowledgements():
            pass
        return self.heard

    def reset(self) -> None:
        """Break the connection."""
        self._connection.reset()

    def is_closed_by_server(self) -> bool:
        """Tell, once the answer is over, whether the server says goodbye."""
        return self._connection.is_closed_by_server()

    def _acknowledgements(self) -> Iterator[Acknowledgement]:
        status, _ = self.answer()
        assert status == 200, self.refusal()
        self._pieces = self._pieces or self._connection.chunks()
        for piece in self._pieces:
            self.pieces.append(piece)
            for acknowledgement in self._parser.feed(piece):
                self.heard.append(acknowledgement)
                yield acknowledgement
