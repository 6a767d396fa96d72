"""A real server on loopback, real boto3 clients, and a producer that speaks HTTP by hand, both ways at once."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anyio
import boto3
import pytest
import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from carillon.access import AccessKey, KeyRing
from carillon.api import kinesis_video
from carillon.api.protocol import Api, SignatureVerifier
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.matroska import AUDIO, Block, ClusterEnded, Demuxer, DocumentStarted, Muxer, TagsRead, Track
from carillon.storage import Database, Vault, metadata
from carillon.streams import Streams, StreamSettings

KEY = AccessKey("CRLNTESTTESTTESTTEST", "a secret that only tests know")
MUXER = Muxer(Track(1, 1, AUDIO, "leg", "A_PCM/INT/LIT", b"", 8000.0, 1, 16))
HEADER = MUXER.header()


def cluster(index: int, known_size: bool = True) -> bytes:
    """Return second `index` of a call, in ten blocks."""
    blocks = [Block(1, index * 1000 + n * 100, bytes([index]) * 1600) for n in range(10)]
    return MUXER.cluster(index * 1000, blocks, known_size=known_size)


def documents(body: bytes) -> list[dict[str, str]]:
    """Return the tags (short names) and the Cluster of each document in a GetMedia body."""
    found: list[dict[str, str]] = []
    demuxer = Demuxer()
    for event in demuxer.feed(body) + demuxer.end():
        if isinstance(event, DocumentStarted):
            found.append({})
        elif isinstance(event, TagsRead):
            found[-1].update({name.removeprefix("AWS_KINESISVIDEO_"): text for name, text in event.tags})
        elif isinstance(event, ClusterEnded):
            found[-1]["cluster"] = body[event.start : event.end].hex()
    return found


class Connection:
    """One PutMedia request: chunks out, chunks in."""

    def __init__(self, port: int, headers: Mapping[str, str], timeout: float = 10) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._in = self._socket.makefile("rb")
        self._chunked = "transfer-encoding" in {name.lower() for name in headers}
        lines = ["POST /putMedia HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._socket.close()

    def send(self, data: bytes) -> Self:
        self._socket.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return self

    def end(self) -> Self:
        self._socket.sendall(b"0\r\n\r\n")
        return self

    def head(self) -> tuple[int, dict[str, str]]:
        """Read a status line and headers."""
        status = int(self._in.readline().split()[1])
        headers = {}
        while line := self._in.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def chunk(self) -> bytes:
        """Read one chunk of the response; empty at its end."""
        data = self._in.read(int(self._in.readline(), 16))
        self._in.readline()
        return data

    def event(self) -> dict[str, Any]:
        """Read one chunk, which is one acknowledgement."""
        event: dict[str, Any] = json.loads(self.chunk())
        return event

    def events(self) -> list[dict[str, Any]]:
        """Read acknowledgements to the end of the response."""
        return [json.loads(chunk) for chunk in iter(self.chunk, b"")]

    def rest(self) -> list[dict[str, Any]]:
        """Read acknowledgements until the connection breaks."""
        found = []
        try:
            while chunk := self.chunk():
                found.append(json.loads(chunk))
        except (OSError, ValueError):
            pass
        return found

    def is_closed_by_server(self) -> bool:
        return self._in.read(1) == b""


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def put_media(self, name: str, sign_as: str = "node", **changed: str | None) -> Connection:
        """Open a connection with a producer's headers, some of them changed or left out.

        Args:
            name: of the stream.
            sign_as: as the sample in Node does (UNSIGNED-PAYLOAD), or as the C SDK does (everything signed, no hash).
            changed: by header name with underscores; None leaves a header out.
        """
        headers: dict[str, str | None] = {
            "host": f"127.0.0.1:{self.port}",
            "x-amzn-stream-name": name,
            "x-amzn-fragment-timecode-type": "ABSOLUTE",
            "transfer-encoding": "chunked",
            "connection": "keep-alive",
            "user-agent": "test",
        }
        headers.update({name.replace("_", "-"): value for name, value in changed.items()})
        present = {name: value for name, value in headers.items() if value is not None}
        return Connection(self.port, _signed(present, self.url, sign_as))

    def get_media(self, name: str, kind: str = "EARLIEST", **selector: Any) -> list[dict[str, str]]:
        client = self.client("kinesis-video-media")
        answer = client.get_media(StreamName=name, StartSelector={"StartSelectorType": kind, **selector})
        assert answer["ContentType"] == "video/webm"
        return documents(answer["Payload"].read())


class _SignsEverything(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    def headers_to_sign(self, request: AWSRequest) -> Any:
        names = super().headers_to_sign(request)
        for name in ("connection", "transfer-encoding", "user-agent", "expect"):
            if name in request.headers and name not in names:
                names[name] = request.headers[name]
        return names

    def payload(self, request: AWSRequest) -> str:
        return "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _signed(headers: Mapping[str, str], url: str, sign_as: str) -> dict[str, str]:
    request = AWSRequest("POST", url + "/putMedia", headers=dict(headers), data=b"")
    auth = _SignsEverything if sign_as == "c" else SigV4Auth
    if sign_as == "node":
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    auth(Credentials(KEY.access_key_id, KEY.secret_access_key), "kinesisvideo", "us-east-1").add_auth(request)
    return dict(request.headers.items())


@contextmanager
def serving(folder: Path, settings: StreamSettings, patience: kinesis_video.PutMediaSettings) -> Iterator[Served]:
    """Run streams and their API under uvicorn in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    servers: list[uvicorn.Server] = []
    is_ready = threading.Event()

    async def serve() -> None:
        database = Database(f"sqlite:///{folder / 'carillon.db'}")
        async with database.transaction() as connection:
            await connection.run_sync(metadata.create_all)
        clock = SystemClock()
        async with Streams(
            database=database,
            vault=Vault(bytes(32)),
            account=AwsAccount(),
            clock=clock,
            directory=folder / "streams",
            settings=settings,
        ) as streams:
            services = kinesis_video.services(streams, f"http://127.0.0.1:{port}", patience)
            api = Api(services=services, verifier=SignatureVerifier(KeyRing([KEY]), "us-east-1", clock))
            config = uvicorn.Config(api, ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
            servers.append(uvicorn.Server(config))
            is_ready.set()
            await servers[0].serve([listener])
        await database.close()

    thread = threading.Thread(target=anyio.run, args=(serve,), daemon=True)
    thread.start()
    assert is_ready.wait(120)
    try:
        yield Served(port)
    finally:
        servers[0].should_exit = True
        thread.join(120)
        listener.close()


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Served]]:
    """Run a server with settings of the test's own."""
    return serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module, whose GetMedia soon comes to an end."""
    patience = kinesis_video.PutMediaSettings(linger_seconds=0.3)
    settings = StreamSettings(end_seconds=0.2, handover_seconds=0.1)
    with serving(tmp_path_factory.mktemp("served"), settings, patience) as server:
        yield server


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Served]:
    """A server that disconnects silent producers soon."""
    patience = kinesis_video.PutMediaSettings(idle_seconds=0.2, silence_seconds=0.5)
    with serving(tmp_path, StreamSettings(end_seconds=0.2), patience) as server:
        yield server


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Served]:
    """A server that lets readers wait for as long as a test may take."""
    with serving(tmp_path, StreamSettings(end_seconds=60), kinesis_video.PutMediaSettings()) as server:
        yield server


@pytest.fixture
def stream(served: Served, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Makes a stream for this test alone; returns its name."""
    made: list[str] = []

    def make(hours: int = 0) -> str:
        name = "".join(c for c in request.node.name if c.isalnum())[:200] + f"-{len(made)}"
        served.client("kinesisvideo").create_stream(StreamName=name, DataRetentionInHours=hours)
        made.append(name)
        return name

    return make


class Call:
    """The bytes of a call, for tests to send and compare."""

    muxer = MUXER
    header = HEADER
    cluster = staticmethod(cluster)
    documents = staticmethod(documents)

    @staticmethod
    def body(count: int, known_size: bool = True) -> bytes:
        return HEADER + b"".join(cluster(index, known_size) for index in range(count))


@pytest.fixture
def call() -> type[Call]:
    return Call


@pytest.fixture
def connect() -> type[Served]:
    """Clients of a server that somebody else runs, by its port."""
    return Served
