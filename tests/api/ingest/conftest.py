"""A real server with real streams, real WebSocket clients, and calls as Twilio sends them."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from anyio import create_task_group, to_thread
from botocore.config import Config
from websockets.asyncio import client as websocket
from websockets.exceptions import ConnectionClosed

from carillon.access import AccessKey, KeyRing, PolicyAuthorizer
from carillon.access.access_log import AccessLogRecord
from carillon.api import kinesis_video
from carillon.api.ingest import IngestSettings, IngestTokens, WebSocketIngest, websocket_url
from carillon.api.mounts import Mount, MountedApplications, is_websocket
from carillon.api.protocol import Api, SignatureVerifier
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.matroska import BlockRead, ClusterTimecode, Demuxer, TagsRead, TracksRead
from carillon.server.listener import Listener
from carillon.storage import Database, Vault
from carillon.streams import Streams, StreamSettings

KEY = AccessKey("CRLNTESTTESTTESTTEST", "a secret that only tests know")
WRITER = AccessKey(
    "CRLNWRITERWRITERWRIT",
    "another",
    policy={
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "kinesisvideo:PutMedia",
            "Resource": "arn:aws:kinesisvideo:*:*:stream/writable/*",
        },
    },
)
QUICK = StreamSettings(end_seconds=0.05, handover_seconds=0)
DISABLED = AccessKey("CRLNDISABLEDDISABLED", "a third", status="disabled")


@dataclass
class Stored:
    """What a stream holds, as GetMedia tells it."""

    samples: bytes = b""
    fragments: int = 0
    first_ms: int = 0
    rate_hz: float = 0.0
    channels: int = 0
    tags: dict[str, str] | None = None


class _NoNames:
    """Knows the ARNs of streams only."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def stream_arn(self, name: str) -> str | None:
        found = (await self._streams.catalog.list(name)).streams
        return found[0].arn if found else None

    async def configuration_arn(self, identifier: str) -> str | None:
        return None

    async def domain_of_task(self, task_id: str) -> str | None:
        return None


@dataclass
class Notes:
    """Keeps what an auditor is told."""

    rows: list[AccessLogRecord]

    async def note(self, answered: AccessLogRecord) -> None:
        self.rows.append(answered)


@dataclass
class Served:
    """A server that listens."""

    port: int
    streams: Streams
    tokens: IngestTokens
    notes: Notes
    key: AccessKey = KEY
    writer: AccessKey = WRITER
    disabled: AccessKey = DISABLED

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ingest_url(self, format_: str, stream: str, key: AccessKey = KEY, expires_at: Any = None) -> str:
        return websocket_url(self.url, self.tokens.make(format_, stream, key.access_key_id, expires_at))

    def connect(self, format_: str, stream: str, query: str = "", key: AccessKey = KEY) -> websocket.connect:
        return self.at(self.ingest_url(format_, stream, key) + query)

    def at(self, url: str, **options: Any) -> websocket.connect:
        return websocket.connect(url, proxy=None, compression=None, **options)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def close_of(self, client: websocket.ClientConnection) -> tuple[int | None, str | None]:
        """Read until the server closes; return its code and reason."""
        with suppress(ConnectionClosed):
            async for _ in client:
                pass
        return client.close_code, client.close_reason

    def interleaved(self, left: bytes, right: bytes) -> bytes:
        """Return two tracks of mu-law as one of two channels."""
        return np.stack([np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)], axis=1).tobytes()

    async def stored(self, name: str) -> Stored:
        """Read a stream to its end."""
        return await to_thread.run_sync(self._stored, name)

    def _stored(self, name: str) -> Stored:
        media = self.client("kinesis-video-media")
        answer = media.get_media(StreamName=name, StartSelector={"StartSelectorType": "EARLIEST"})
        return read(answer["Payload"].read())


def read(body: bytes) -> Stored:
    """Tell what a GetMedia body holds."""
    found = Stored(tags={})
    assert found.tags is not None
    demuxer = Demuxer()
    for event in [*demuxer.feed(body), *demuxer.end()]:
        match event:
            case TracksRead():
                found.rate_hz, found.channels = event.tracks[0].rate_hz, event.tracks[0].channels
            case TagsRead():
                found.tags.update(event.tags)
            case ClusterTimecode():
                found.fragments += 1
                found.first_ms = found.first_ms or event.timecode_ms
            case BlockRead():
                found.samples += event.data
    return found


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path, database: Database, vault: Vault) -> Serve:
    """Start a server with settings; it ends its GetMedia bodies quickly."""

    @asynccontextmanager
    async def start(*, streams: StreamSettings = QUICK, **settings: Any) -> AsyncIterator[Served]:
        clock, account = SystemClock(), AwsAccount()
        chosen = IngestSettings(**settings)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            async with Streams(
                database=database,
                vault=vault,
                account=account,
                clock=clock,
                directory=tmp_path / "streams",
                settings=streams,
            ) as opened:
                keys = KeyRing([KEY, WRITER, DISABLED])
                verifier = SignatureVerifier(keys, account.region, clock)
                guard = PolicyAuthorizer(keys, _NoNames(opened), account)
                tokens = IngestTokens(vault.derive("ingest urls"), chosen.generation)
                notes = Notes([])
                ingest = WebSocketIngest(
                    streams=opened,
                    tokens=tokens,
                    keys=keys,
                    verifier=verifier,
                    guard=guard,
                    auditor=notes,
                    clock=clock,
                    settings=chosen,
                )
                services = kinesis_video.services(opened, f"http://127.0.0.1:{port}")
                api = Api(services=services, verifier=verifier)
                mounted = MountedApplications(api, [Mount(is_websocket, ingest)])
                server = Listener(mounted, max_message_bytes=chosen.max_message_bytes)
                async with create_task_group() as group:
                    group.start_soon(partial(server.serve, [listener]))
                    await server.is_listening.wait()
                    yield Served(port, opened, tokens, notes)
                    server.should_exit = True

    return start


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    """A server as it is by default, with the stream `call`."""
    async with serve() as made:
        await made.streams.catalog.create("call", retention_hours=1)
        yield made


class Twilio:
    """The messages of one call, as Twilio's media streams have them."""

    def __init__(self, tracks: tuple[str, ...] = ("inbound", "outbound")) -> None:
        self.tracks = tracks
        self._sequence = 0
        self._chunk = dict.fromkeys(tracks, 0)

    def connected(self) -> str:
        return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self, **changed: Any) -> str:
        start = {
            "accountSid": "AC00000000000000000000000000000001",
            "streamSid": "MZ00000000000000000000000000000001",
            "callSid": "CA00000000000000000000000000000001",
            "tracks": list(self.tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"FirstName": "Jane", "RemoteParty": "Bob"},
            **changed,
        }
        return self._message("start", {"start": start})

    def media(self, track: str, at_ms: int, payload: bytes) -> str:
        self._chunk[track] += 1
        media = {
            "track": track,
            "chunk": str(self._chunk[track]),
            "timestamp": str(at_ms),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._message("media", {"media": media})

    def dtmf(self) -> str:
        return self._message("dtmf", {"dtmf": {"track": "inbound_track", "digit": "1"}})

    def mark(self) -> str:
        return self._message("mark", {"mark": {"name": "my label"}})

    def stop(self) -> str:
        return self._message("stop", {"stop": {"accountSid": "AC1", "callSid": "CA1"}})

    def _message(self, event: str, said: dict[str, Any]) -> str:
        self._sequence += 1
        sid = "MZ00000000000000000000000000000001"
        return json.dumps({"event": event, "sequenceNumber": str(self._sequence), **said, "streamSid": sid})

    def call(self, *tracks: bytes, first_ms: int = 155) -> Iterator[str]:
        """A whole call, 20 ms at a time, its times rounded as Twilio rounds them."""
        yield self.connected()
        yield self.start()
        jitter = np.random.default_rng(4).integers(-3, 3, max(len(track) for track in tracks) // 160 + 1)
        for number, at in enumerate(range(0, max(len(track) for track in tracks), 160)):
            for name, track in zip(self.tracks, tracks, strict=True):
                if piece := track[at : at + 160]:
                    yield self.media(name, first_ms + 20 * number + int(jitter[number]), piece)
        yield self.stop()


@pytest.fixture
def twilio() -> type[Twilio]:
    return Twilio


@pytest.fixture(scope="session")
def speech(recordings: Path) -> tuple[bytes, bytes]:
    """A recorded call as mu-law: what the caller says, and what the caller hears."""
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="int16")
    assert rate_hz == 8000
    return mu_law(samples[:, 0]), mu_law(samples[:, 1])


def mu_law(samples: npt.NDArray[np.int16]) -> bytes:
    """Encode as ITU-T G.711 says."""
    biased = np.minimum(np.abs(samples.astype(np.int32)), 32_635) + 0x84
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    code = (exponent << 4) | ((biased >> (exponent + 3)) & 0x0F)
    return (~np.where(samples < 0, code | 0x80, code) & 0xFF).astype(np.uint8).tobytes()
