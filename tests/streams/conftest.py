"""Streams on a real database and a real folder, and bodies as producers send them."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from carillon.arns import Place
from carillon.clock import ManualClock
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.storage import Database, Vault
from carillon.streams import Settings, Streams

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
def settings() -> Settings:
    """Waiting is short in tests."""
    return Settings(end_seconds=0.05, sweep_seconds=3600)


@pytest.fixture
def make_streams(database: Database, vault: Vault, clock: ManualClock, tmp_path: Path) -> Callable[[Settings], Streams]:
    """Make the room, as often as a test restarts it."""

    def make(settings: Settings) -> Streams:
        return Streams(database, vault, Place(), clock, tmp_path / "streams", settings)

    return make


@pytest.fixture
async def streams(make_streams: Callable[[Settings], Streams], settings: Settings) -> AsyncIterator[Streams]:
    """The room, running."""
    async with make_streams(settings) as running:
        yield running
