"""A kill at any moment loses nothing that was said to be persisted, wherever fragments stay."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.storage import Database, Vault
from carillon.streams import Earliest, Streams, StreamSettings, tables

pytestmark = pytest.mark.anyio

PROCESS = """
import json, sys
from pathlib import Path
import anyio
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.storage import Database, Vault
from carillon.streams import AckEventType, Streams, StreamSettings

folder, settings = Path(sys.argv[1]), StreamSettings(**json.loads(sys.argv[2]))
database_url = sys.argv[3]
header, clusters = map(Path, sys.argv[4:])

async def produce(streams, name):
    stream = await streams.catalog.find(name)
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(listen, recording)
        await recording.feed(header.read_bytes())
        data = clusters.read_bytes()
        for start in range(0, len(data), len(data) // 200):
            await recording.feed(data[start : start + len(data) // 200])
            await anyio.sleep(0.002)  # so that a call lasts for a while
        await recording.end()

async def listen(recording):
    async for told in recording.acknowledgements:
        if told.kind is AckEventType.PERSISTED:
            print(told.number, flush=True)

async def main():
    database = Database(database_url)
    async with Streams(
        database=database,
        vault=Vault(bytes(32)),
        account=AwsAccount(),
        clock=SystemClock(),
        directory=folder / "streams",
        settings=settings,
    ) as streams:
        async with anyio.create_task_group() as group:
            for name in ("one", "two", "three", "four"):
                group.start_soon(produce, streams, name)

anyio.run(main)
"""


def run_and_kill(command: list[str], after: int) -> list[str]:
    """Run the producers' process, kill it after so many acknowledgements; return all that it got out."""
    told: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line.strip())
            if len(told) == after:
                process.kill()
    return [number for number in told if len(number) == 47]  # the last line may be torn


async def test_what_was_persisted_is_there_in_order_after_every_kill(
    storage: StreamSettings,
    producer: Any,
    database: Database,
    database_url: str,
    tmp_path: Path,
    stored_names: Callable[[], list[str]],
) -> None:
    def start() -> Streams:
        return Streams(
            database=database,
            vault=Vault(bytes(32)),
            account=AwsAccount(),
            clock=SystemClock(),
            directory=tmp_path / "streams",
            settings=storage,
        )

    (tmp_path / "header").write_bytes(producer.header)
    (tmp_path / "clusters").write_bytes(b"".join(producer.fragment(index, blocks=2) for index in range(200)))
    settings = json.dumps(asdict(storage))
    command = [
        sys.executable,
        "-c",
        PROCESS,
        str(tmp_path),
        settings,
        database_url,
        *(str(tmp_path / n) for n in ("header", "clusters")),
    ]
    streams = start()
    made = [await streams.catalog.create(name, retention_hours=1) for name in ("one", "two", "three", "four")]
    told: list[str] = []
    for after in (3, 41, 97):
        told += run_and_kill(command, after)
    async with start() as streams:
        found: list[str] = []
        for stream in made:
            body = b"".join([piece async for piece in await streams.tail(stream, Earliest())])
            assert b"AWS_KINESISVIDEO_ERROR" not in body
            mark = b"AWS_KINESISVIDEO_CONTINUATION_TOKEN" + bytes.fromhex("4487AF")
            numbers = [part[:47].decode() for part in body.split(mark)[1:]]
            assert numbers == sorted(numbers)
            found += numbers
        assert set(told) <= set(found)
        assert len(told) >= 3 + 41 + 97
        for _ in range(2):
            await streams._retention.delete_orphans()
        left = {name for name in stored_names() if not name.startswith(".journal")}
        assert left == await known(database, set(found))


async def known(database: Database, numbers: set[str]) -> set[str]:
    """The segments that the index knows, having nothing that readers do not get."""
    async with database.reading() as connection:
        rows = (await connection.execute(sa.select(tables.fragments))).all()
    assert {row.number for row in rows} == numbers
    return {f"{row.stream_id}/{row.segment}" for row in rows}
