"""Streams on a real database and a real folder, and bodies as producers send them."""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from carillon.arns import AwsAccount
from carillon.clock import ManualClock
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.storage import Database, Vault
from carillon.streams import Streams, StreamSettings

RATE_HZ = 8_000
BLOCK_MS = 100


class Producer:
    """Writes fragments of silent 8 kHz PCM, a second each, as a KVS producer would."""

    def __init__(self, tracks: int = 1, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self.tracks = tracks
        self.muxer = Muxer(*(_track(number) for number in range(1, tracks + 1)), metadata=metadata)
        self.header = self.muxer.header()

    def fragment(self, index: int, known_size: bool = True, blocks: int = 10, tracks: Sequence[int] = ()) -> bytes:
        """Return the Cluster of second `index`."""
        at = index * 1000
        audio = bytes([index % 256]) * (2 * RATE_HZ * BLOCK_MS // 1000)
        written = [
            Block(track, at + n * BLOCK_MS, audio)
            for n in range(blocks)
            for track in tracks or range(1, self.tracks + 1)
        ]
        return self.muxer.cluster(at, written, known_size=known_size)

    def body(self, count: int, known_size: bool = True) -> bytes:
        """Return a whole body of so many fragments."""
        return self.header + b"".join(self.fragment(index, known_size) for index in range(count))


def _track(number: int) -> Track:
    return Track(
        number=number,
        uid=number,
        kind=AUDIO,
        name=f"leg {number}",
        codec_id="A_PCM/INT/LIT",
        codec_private=b"",
        rate_hz=float(RATE_HZ),
        channels=1,
        bit_depth=16,
    )


@pytest.fixture
def producer() -> Producer:
    """A producer with one track."""
    return Producer()


@pytest.fixture
def make_producer() -> type[Producer]:
    """Producers of other kinds."""
    return Producer


@pytest.fixture
def settings() -> StreamSettings:
    """Waiting is short in tests."""
    return StreamSettings(end_seconds=0.05, sweep_seconds=3600, handover_seconds=0.02)


@pytest.fixture
def make_streams(
    database: Database, vault: Vault, clock: ManualClock, tmp_path: Path
) -> Callable[[StreamSettings], Streams]:
    """Make the room, as often as a test restarts it."""

    def make(settings: StreamSettings) -> Streams:
        return Streams(
            database=database,
            vault=vault,
            account=AwsAccount(),
            clock=clock,
            directory=tmp_path / "streams",
            settings=settings,
        )

    return make


@pytest.fixture
async def streams(
    make_streams: Callable[[StreamSettings], Streams], settings: StreamSettings
) -> AsyncIterator[Streams]:
    """The room, running."""
    async with make_streams(settings) as running:
        yield running


@dataclass(frozen=True)
class Bucket:
    """A bucket of moto's, and an ordinary client to look into it."""

    name: str
    url: str
    client: Any

    @property
    def settings(self) -> dict[str, Any]:
        """What makes carillon use it, nothing gathering for longer than a test needs."""
        return {"s3_bucket": self.name, "s3_endpoint_url": self.url, "s3_batch_seconds": 0.02}

    def names(self) -> list[str]:
        """The keys of all its objects."""
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]


@pytest.fixture
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as an operator gives them: in the environment, and nothing else there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def bucket(moto_url: str, aws_keys: None) -> Iterator[Bucket]:
    """A new bucket."""
    client = boto3.client("s3", endpoint_url=moto_url, region_name="us-east-1")
    made = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", moto_url, client)
    client.create_bucket(Bucket=made.name)
    yield made
    client.close()


@pytest.fixture(params=["files", "S3"])
def storage(request: pytest.FixtureRequest, settings: StreamSettings) -> StreamSettings:
    """Settings for each place where fragments can stay, the memory holding none of what is stored."""
    chosen = request.getfixturevalue("bucket").settings if request.param == "S3" else {}
    return replace(settings, cache_bytes=0, commit_seconds=0.0, **chosen)


@pytest.fixture
def stored_names(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], list[str]]:
    """Look where the fragments stay: STREAM/NUMBER of each segment."""

    def look() -> list[str]:
        files = (path for path in (tmp_path / "streams").rglob("*") if path.is_file())
        found = [f"{path.parent.name}/{path.name}" for path in files]
        if "bucket" in request.fixturenames or "S3" in request.node.name:
            found += [key.split("/", 2)[2] for key in request.getfixturevalue("bucket").names()]
        return sorted(found)

    return look
