"""A real server process, over TLS, and the peers that people run: producers on one side, SDKs on the other."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from carillon.matroska import ClusterEnded, Demuxer, DocumentStarted, TagsRead
from producer_c import matroska
from producer_c.producer import Producer, StreamInfo
from producer_c.signing import Credentials

END_SECONDS = "0.4"
"""GetMedia ends so soon after the last fragment, so that tests need not wait for three seconds."""


@dataclass(frozen=True)
class Document:
    """One fragment as GetMedia sent it."""

    data: bytes
    tags: dict[str, str]
    cluster: bytes
    number: str
    producer_timestamp: str


@dataclass(frozen=True)
class Peers:
    """The server, and how to reach it from each side."""

    url: str
    authorities: Path
    key: Credentials
    temporary: Credentials
    server: Any
    clients: dict[str, Any] = field(default_factory=dict)

    def boto3(self, service: str) -> Any:
        """A boto3 client that trusts the server by its bundle."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=self.key.key_id,
                aws_secret_access_key=self.key.secret,
                verify=str(self.authorities),
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self.clients[service]

    def producer(self, info: StreamInfo, **known: Any) -> Producer:
        """The C SDK, set up as its samples are."""
        return Producer(self.url, self.authorities, known.pop("key", self.key), info, **known)

    def read(self, name: str, kind: str = "EARLIEST", **selector: Any) -> list[Document]:
        """All that GetMedia sends from some place on, read by boto3."""
        start = {"StartSelectorType": kind, **selector}
        answer = self.boto3("kinesis-video-media").get_media(StreamName=name, StartSelector=start)
        assert answer["ContentType"] == "video/webm"
        return documents(answer["Payload"].read())


def documents(body: bytes) -> list[Document]:
    """Split a GetMedia body into its documents."""
    events = Demuxer()
    read = [*events.feed(body), *events.end()]
    starts = [event.start for event in read if isinstance(event, DocumentStarted)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        inside = [event for event in read if start <= event.start < end]
        tags = {name: text for event in inside if isinstance(event, TagsRead) for name, text in event.tags}
        clusters = [body[event.start : event.end] for event in inside if isinstance(event, ClusterEnded)]
        ours = {name.removeprefix("AWS_KINESISVIDEO_"): text for name, text in tags.items()}
        found.append(
            Document(body[start:end], tags, b"".join(clusters), ours["FRAGMENT_NUMBER"], ours["PRODUCER_TIMESTAMP"])
        )
    return found


@pytest.fixture(scope="session")
def peers(start_server: Any, carillon: Any, tmp_path_factory: pytest.TempPathFactory) -> Peers:
    folder = tmp_path_factory.mktemp("peers") / "data"
    made = carillon("keys", "create", "--name", "visitor", "--hours", "1", "--json", "--data-dir", str(folder))
    visitor = json.loads(made.stdout)
    server = start_server(
        folder,
        CARILLON_SERVER_TLS="self-signed",
        CARILLON_STREAMS_END_SECONDS=END_SECONDS,
        CARILLON_STREAMS_HANDOVER_SECONDS="8",
    )
    return Peers(
        server.url,
        Path(server.environment["AWS_CA_BUNDLE"]),
        Credentials(server.environment["AWS_ACCESS_KEY_ID"], server.environment["AWS_SECRET_ACCESS_KEY"]),
        Credentials(visitor["access_key_id"], visitor["secret_access_key"], visitor["session_token"]),
        server,
    )


@pytest.fixture
def name() -> str:
    """A stream of this test alone."""
    return f"peer-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def a_law(name: str) -> Callable[..., StreamInfo]:
    """The SDK's audio-only sample: A-law, 8 kHz, mono."""

    def describe(**known: Any) -> StreamInfo:
        private = matroska.g711(6, 8000, 1)
        track = matroska.Track(known.pop("track_name", "kvs_audio_track"), "A_MS/ACM", private, 8000, 1)
        return StreamInfo(name, "audio/alaw", [track], **known)

    return describe


@pytest.fixture
def call() -> Callable[..., list[matroska.Frame]]:
    """Fragments of 2 s of A-law in frames of 20 ms, as the sample sends them; the bytes tell where they belong."""

    def fragment(index: int, start_ms: int = 0, *, all_key: bool = False) -> list[matroska.Frame]:
        at_ms = start_ms + index * 2000
        return [
            matroska.Frame(
                1,
                at_ms + n * 20,
                bytes((index * 100 + n + k) % 256 for k in range(160)),
                matroska.KEY_FRAME if all_key or n == 0 else 0,
            )
            for n in range(100)
        ]

    return fragment
