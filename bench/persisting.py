"""CPU that a persisted fragment costs: received, sealed, durable and acknowledged, beside one that stays in memory.

So many producers at once, each sending 1 s fragments of 8 kHz mono PCM at a fixed pace, so that a batch holds what
comes together in real life. The difference to streams without retention, which take in and fan out alike, is what
storage costs. With `--s3` the fragments go to a bucket as well, of moto's for instance, whose time is not counted.

    python bench/persisting.py [--producers 50] [--seconds 10] [--speed 4] [--rounds 3] [--s3 URL]
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio

from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.storage import Database, Vault, metadata
from carillon.streams import AckEventType, PutMediaSession, Stream, Streams, StreamSettings
from carillon.telemetry import configure_logging

BAR_MS: Final = 2.5
"""CPU of one persisted fragment, all in all: 200 producers then take half a core."""

_MUXER: Final = Muxer(Track(1, 1, AUDIO, "leg", "A_PCM/INT/LIT", b"", 8000.0, 1, 16))


def main() -> int:
    """Print the figures beside their bar; fail if it is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--producers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--speed", type=float, default=4, help="fragments a second of each producer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--s3", metavar="URL", help="an S3-compatible endpoint with a bucket named `bench`")
    options = parser.parse_args()
    configure_logging("warning", "json")
    kinds: dict[str, tuple[int, dict[str, Any]]] = {"memory": (0, {}), "files": (1, {})}
    if options.s3:
        kinds["S3"] = (1, {"s3_bucket": "bench", "s3_endpoint_url": options.s3})
    figures: dict[str, list[float]] = {kind: [] for kind in kinds}
    delays: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind, (hours, settings) in kinds.items():
            cpu_ms, waited = anyio.run(measure, options, hours, settings)
            figures[kind].append(cpu_ms)
            delays[kind] += waited
    for kind, measured in figures.items():
        each = "  ".join(f"{figure:.3f}" for figure in measured)
        print(f"{kind:8} {median(measured):.3f} ms CPU a fragment   rounds {each}")
        if delays[kind]:
            late = sorted(delays[kind])
            latest = late[int(len(late) * 0.99)]
            print(f"{'':8} PERSISTED after {median(late) * 1000:.0f} ms, p99 {latest * 1000:.0f} ms")
    print(f"bar: {BAR_MS} ms with files")
    return int(median(figures["files"]) > BAR_MS)


async def measure(options: argparse.Namespace, hours: int, settings: dict[str, Any]) -> tuple[float, list[float]]:
    """Return the CPU ms of one fragment, and how many seconds after RECEIVED each was PERSISTED."""
    count = int(options.seconds * options.speed)
    clusters = [cluster(index) for index in range(count)]
    waited: list[float] = []
    with TemporaryDirectory() as folder:
        async with running(Path(folder), StreamSettings(**settings)) as streams:
            made = [await streams.catalog.create(f"call-{n}", retention_hours=hours) for n in range(options.producers)]
            cpu = cpu_seconds()
            async with anyio.create_task_group() as group:
                for number, stream in enumerate(made):
                    group.start_soon(produce, streams, stream, number / len(made), clusters, options.speed, waited)
            cpu = cpu_seconds() - cpu
    return cpu * 1000 / (count * options.producers), waited


@asynccontextmanager
async def running(folder: Path, settings: StreamSettings) -> AsyncIterator[Streams]:
    """Yield streams on a new database."""
    database = Database(f"sqlite:///{folder / 'carillon.db'}")
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    vault = Vault(os.urandom(32))
    async with Streams(
        database=database,
        vault=vault,
        account=AwsAccount(),
        clock=SystemClock(),
        directory=folder / "streams",
        settings=settings,
    ) as streams:
        yield streams
    await database.close()


async def produce(
    streams: Streams, stream: Stream, phase: float, clusters: list[bytes], speed: float, waited: list[float]
) -> None:
    """Send fragments at a pace, and note when each is persisted."""
    received: dict[str, float] = {}

    async def listen(recording: PutMediaSession) -> None:
        async for told in recording.acknowledgements:
            if told.kind is AckEventType.RECEIVED and told.number:
                received[told.number] = time.perf_counter()
            elif told.kind is AckEventType.PERSISTED and told.number:
                waited.append(time.perf_counter() - received[told.number])

    began = anyio.current_time() + phase / speed
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(listen, recording)
        await recording.feed(_MUXER.header())
        for index, data in enumerate(clusters):
            await anyio.sleep_until(began + index / speed)
            await recording.feed(data)
        await recording.end()


def cluster(index: int) -> bytes:
    """Return second `index` of a call, in fifty blocks."""
    blocks = [Block(1, index * 1000 + n * 20, bytes(320)) for n in range(50)]
    return _MUXER.cluster(index * 1000, blocks)


def cpu_seconds() -> float:
    """Return the processor time of this process, in all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
