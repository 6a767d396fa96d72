"""Two endpoints on loopback: carillon's own, and one that speaks the wire but does whatever a test wants."""

import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import boto3
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import uvicorn
from anyio import Event, to_thread

from carillon import config
from carillon.access import AccessKey, KeyRing
from carillon.api import kinesis_video
from carillon.api.protocol import Api, SignatureVerifier
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.matroska import AUDIO, Block, Muxer, Track, tags_element
from carillon.media import KinesisVideoClient, MediaSettings
from carillon.server.tls import BUNDLE, FOLDER, certificate_of
from carillon.storage import Database, Vault, metadata
from carillon.streams import Streams, StreamSettings

KEY = AccessKey("CRLNTESTTESTTESTTEST", "a secret that only tests know")
PHONE = Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
SWIFT = MediaSettings(
    connect_seconds=2,
    answer_seconds=2,
    read_seconds=2,
    acknowledgement_seconds=2,
    retry_first_seconds=0.001,
    retry_last_seconds=0.01,
    quiet_seconds=0.05,
)


class Media:
    """Bytes as GetMedia sends them. Fragments are counted from 1."""

    @staticmethod
    def number(index: int) -> str:
        return str(2**156 + index * 2**92)

    @staticmethod
    def index(number: str) -> int:
        return (int(number) - 2**156) // 2**92

    @classmethod
    def fragment(cls, index: int) -> bytes:
        """A whole fragment whose one block says its index."""
        number, muxer = cls.number(index), Muxer(PHONE)
        named = {"FRAGMENT_NUMBER": number, "SERVER_TIMESTAMP": f"{index}.5", "PRODUCER_TIMESTAMP": f"{index}.0"}
        closing = {"MILLIS_BEHIND_NOW": "0", "CONTINUATION_TOKEN": number}
        cluster = muxer.cluster(index, [Block(1, index, str(index).encode())])
        return muxer.header() + cls._tags(named) + cluster + cls._tags(closing)

    @classmethod
    def fragments(cls, first: int, last: int) -> bytes:
        return b"".join(cls.fragment(index) for index in range(first, last + 1))

    @classmethod
    def error(cls, error_id: int, index: int = 1) -> bytes:
        tags = {"FRAGMENT_NUMBER": cls.number(index), "ERROR_CODE": "SOME_CODE", "ERROR_ID": str(error_id)}
        return Muxer(PHONE).header() + cls._tags(tags)

    @staticmethod
    def _tags(tags: Mapping[str, str]) -> bytes:
        return tags_element([(f"AWS_KINESISVIDEO_{name}", text) for name, text in tags.items()])


class Cut(Exception):
    """Raised by a handler, it breaks the connection off."""


@dataclass
class Request:
    """One request, and the means to answer it."""

    path: str
    headers: Mapping[str, str]
    receive: Callable[[], Awaitable[Any]]
    send: Callable[[Any], Awaitable[None]]
    body: bytes = b""
    over: Event = field(default_factory=Event)
    """Set when the test is over: for handlers that do not receive, and so would never learn."""

    @property
    def json(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read

    @property
    def after(self) -> int:
        """The index of the fragment to start after; 0 if the selector names none."""
        return Media.index(self.json["StartSelector"].get("AfterFragmentNumber", Media.number(0)))

    async def read(self) -> bytes | None:
        """The next piece of the body; None at its end, proper or not."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            return None
        self.body += message["body"]
        return message["body"] if message["more_body"] else None

    async def read_all(self) -> None:
        while await self.read() is not None:
            pass

    async def start(self, status: int = 200, **headers: str) -> None:
        listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": listed})

    async def write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self.send({"type": "http.response.body", "body": data})

    async def answer(self, data: bytes, status: int = 200, **headers: str) -> None:
        await self.start(status, **headers)
        await self.end(data)

    async def refuse(self, code: str, status: int = 400) -> None:
        await self.answer(b'{"Message":"so it is"}', status, x_amzn_errortype=code)

    async def hang(self) -> None:
        """Do nothing until the client has had enough."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


Handler = Callable[[Request], Awaitable[None]]


@dataclass
class Endpoint:
    """Answers each path as a test tells it to; GetDataEndpoint names itself."""

    url: str = ""
    handlers: dict[str, Handler] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Request(scope["path"], headers, receive, send)
        self.requests.append(request)
        if scope["path"] != "/putMedia":
            await request.read_all()
        await self.handlers.get(scope["path"], self._answer)(request)

    def asked(self, path: str) -> Sequence[Request]:
        return [request for request in self.requests if request.path == path]

    def reset(self) -> None:
        for request in self.requests:
            request.over.set()
        self.handlers.clear()
        self.requests.clear()

    async def _answer(self, request: Request) -> None:
        if request.path == "/getDataEndpoint":
            await request.answer(json.dumps({"DataEndpoint": self.url}).encode())
        else:
            await request.refuse("UnknownOperationException", 404)


@asynccontextmanager
async def listening(application: Any, listener: socket.socket, **options: Any) -> AsyncIterator[None]:
    served = uvicorn.Config(
        application, ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1, **options
    )
    served.load()
    server = uvicorn.Server(served)
    server.lifespan = served.lifespan_class(served)
    await server.startup([listener])
    yield
    await server.shutdown([listener])


def _listener() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no profile, no endpoint: whatever the machine that runs the tests has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def media() -> type[Media]:
    return Media


@pytest.fixture(scope="session")
def cut() -> type[Cut]:
    return Cut


@pytest.fixture
def swift() -> MediaSettings:
    """Pauses too short to notice, deadlines long enough for a busy machine."""
    return SWIFT


@pytest.fixture(scope="module")
async def _endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    listener, url = _listener()
    endpoint = Endpoint(url)
    async with listening(endpoint, listener):
        yield endpoint


@pytest.fixture
def endpoint(_endpoint: Endpoint) -> Iterator[Endpoint]:
    """An endpoint that knows nothing but its own address."""
    yield _endpoint
    _endpoint.reset()


@pytest.fixture
async def tls_endpoint(tmp_path: Path) -> AsyncIterator[tuple[Endpoint, Path]]:
    """An endpoint on https, and the authorities by which to trust it."""
    settings = config.load(tmp_path, {"server": {"tls": "self-signed"}}, environment={})
    certificate = certificate_of(settings)
    assert certificate is not None
    listener, url = _listener()
    endpoint = Endpoint(url.replace("http:", "https:"))
    keys = {"ssl_certfile": str(certificate.certificate), "ssl_keyfile": str(certificate.key)}
    async with listening(endpoint, listener, **keys):
        yield endpoint, tmp_path / FOLDER / BUNDLE
    endpoint.reset()


@pytest.fixture(scope="module")
async def carillon_url(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Our own server, joined as the application joins it, with every signature verified."""
    folder = tmp_path_factory.mktemp("streams")
    database = Database(f"sqlite:///{folder / 'carillon.db'}")
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    clock, account = SystemClock(), AwsAccount()
    listener, url = _listener()
    kept = Streams(
        database=database,
        vault=Vault(bytes(32)),
        account=account,
        clock=clock,
        directory=folder / "streams",
        settings=StreamSettings(end_seconds=0.1),
    )
    async with kept as streams:
        api = Api(
            services=kinesis_video.services(streams, url),
            verifier=SignatureVerifier(KeyRing([KEY]), account.region, clock),
        )
        async with listening(api, listener):
            yield url
    await database.close()


@pytest.fixture
def create_stream(carillon_url: str) -> Callable[[str], Awaitable[str]]:
    """Make a stream in our own server; returns its ARN."""

    def create(name: str) -> str:
        client = boto3.client(
            "kinesisvideo",
            region_name=AwsAccount().region,
            endpoint_url=carillon_url,
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret_access_key,
        )
        arn: str = client.create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
        client.close()
        return arn

    async def created(name: str) -> str:
        return await to_thread.run_sync(create, name)

    return created


@pytest.fixture
def a_call(tmp_path: Path) -> Callable[..., tuple[Path, npt.NDArray[np.int16]]]:
    """Write noise into a file; returns its path and the samples."""

    def write(
        seconds: float = 3.0, rate_hz: int = 8_000, channels: int = 2, name: str = "call.wav"
    ) -> tuple[Path, npt.NDArray[np.int16]]:
        size = (round(seconds * rate_hz), channels)
        samples = np.random.default_rng(7).integers(-20_000, 20_000, size).astype(np.int16)
        soundfile.write(tmp_path / name, samples, rate_hz)
        return tmp_path / name, samples

    return write


Sound = npt.NDArray[np.float32]
"""(channels, n) samples in [-1, 1]."""


@pytest.fixture(scope="session")
def babble() -> Callable[..., Sound]:
    """Something that no codec finds easy: gliding tones and noise, another on each channel."""

    def make(seconds: float, rate_hz: int, channels: int = 1) -> Sound:
        random = np.random.default_rng(11)
        times = np.arange(round(seconds * rate_hz)) / rate_hz
        sound = [
            0.4 * np.sin(2 * np.pi * (250 + 90 * channel) * times + 20 * np.sin(3 * times))
            + 0.05 * random.standard_normal(len(times))
            for channel in range(channels)
        ]
        return np.clip(sound, -1, 1).astype(np.float32)

    return make


@dataclass
class Encoded:
    """A track and its packets, each with the time that it begins at."""

    track: Track
    packets: list[bytes]
    packet_ms: float

    def fragment_blocks(self, per_fragment: int) -> list[list[Block]]:
        """Blocks, so many in each fragment, at times counted from the first packet."""
        blocks = [Block(1, int(at * self.packet_ms), packet) for at, packet in enumerate(self.packets)]
        return [blocks[at : at + per_fragment] for at in range(0, len(blocks), per_fragment)]


@pytest.fixture(scope="session")
def encode() -> Callable[..., Encoded]:
    """Compress sound with libavcodec: `aac` or `libopus`."""

    def encode(name: str, sound: Sound, rate_hz: int, bit_rate: int = 48_000, **options: str) -> Encoded:
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.AudioCodecContext)
        layout = "mono" if len(sound) == 1 else "stereo"
        encoder.sample_rate, encoder.layout, encoder.bit_rate = rate_hz, layout, bit_rate
        encoder.format, encoder.time_base, encoder.options = "fltp", Fraction(1, rate_hz), options
        if name == "libopus":
            encoder.format = "flt"
        encoder.open()
        size, packets = encoder.frame_size, []
        for at in range(0, sound.shape[1] - size + 1, size):
            samples = np.ascontiguousarray(sound[:, at : at + size])
            if name == "libopus":
                samples = np.ascontiguousarray(samples.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, encoder.format.name, layout)
            frame.sample_rate, frame.pts = rate_hz, at
            packets += [bytes(packet) for packet in encoder.encode(frame)]
        packets += [bytes(packet) for packet in encoder.encode(None)]
        codec_id = "A_AAC" if name == "aac" else "A_OPUS"
        private = bytes(encoder.extradata or b"")
        track = Track(1, 1, AUDIO, "", codec_id, private, float(rate_hz), len(sound), None)
        return Encoded(track, packets, size * 1000 / rate_hz)

    return encode


def make_client(url: str, settings: MediaSettings = SWIFT, **parameters: Any) -> KinesisVideoClient:
    credentials = {"access_key_id": KEY.access_key_id, "secret_access_key": KEY.secret_access_key}
    return KinesisVideoClient(
        endpoint_url=url, region=AwsAccount().region, settings=settings, **{**credentials, **parameters}
    )


@pytest.fixture
def client_of() -> Callable[..., KinesisVideoClient]:
    """Make a client of an endpoint; entered by the test."""
    return make_client


@pytest.fixture(scope="module")
async def _client(_endpoint: Endpoint) -> AsyncIterator[KinesisVideoClient]:
    async with make_client(_endpoint.url) as client:
        yield client


@pytest.fixture
def client(_client: KinesisVideoClient, endpoint: Endpoint) -> Iterator[KinesisVideoClient]:
    """A client of `endpoint` that has never asked it anything, without the cost of making one."""
    yield _client
    _client._endpoints.clear()
