"""Connections that a key opened end soon after the key does, and it is told why."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from anyio import create_task_group, fail_after, sleep, to_thread, wait_all_tasks_blocked
from botocore.exceptions import ResponseStreamingError
from urllib3.exceptions import ProtocolError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from carillon import config
from carillon.access.credentials import AccessKey, WatchedKeys, change
from carillon.clock import ManualClock
from carillon.ingest_url import ingest_url
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.media import KinesisVideoClient, PutMediaRefused, put_media

pytestmark = pytest.mark.anyio

SILENCE = b"\0" * 1_600  # 0.1 s


async def endless() -> AsyncIterator[bytes]:
    """A call that nobody hangs up."""
    muxer = Muxer(Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))
    yield muxer.header()
    at_ms = 0
    while True:
        yield muxer.cluster(at_ms, [Block(1, at_ms, SILENCE)])
        at_ms += 100
        await sleep(0.1)  # as it is spoken


@pytest.fixture
def key(server: Any, carillon: Any) -> dict[str, Any]:
    made = carillon("keys", "create", "--name", "ends", "--json", "--data-dir", str(server.data_dir))
    found: dict[str, Any] = json.loads(made.stdout)
    return found


async def test_what_a_key_holds_open_ends_with_it(server: Any, carillon: Any, key: dict[str, Any]) -> None:
    ended: dict[str, Any] = {}
    video = server.client("kinesisvideo")
    for name in ("key-put", "key-websocket"):
        video.create_stream(StreamName=name, DataRetentionInHours=1)

    async def put() -> None:
        pair = {name: key[name] for name in ("access_key_id", "secret_access_key")}
        async with KinesisVideoClient(endpoint_url=server.url, region="us-east-1", **pair) as client:
            with pytest.raises(PutMediaRefused) as caught:
                await put_media(client, "key-put", endless(), lambda _: None)
        ended["PutMedia"] = caught.value.error_id

    def get() -> None:
        pair = {"aws_access_key_id": key["access_key_id"], "aws_secret_access_key": key["secret_access_key"]}
        client = boto3.client("kinesis-video-media", endpoint_url=server.url, region_name="us-east-1", **pair)
        start = {"StartSelectorType": "EARLIEST"}
        body = client.get_media(StreamName="key-put", StartSelector=start)["Payload"]
        with suppress(ResponseStreamingError, ProtocolError):
            while body.read(1_000):
                pass
            return
        ended["GetMedia"] = "cut off"

    async def speak() -> None:
        settings = config.load(server.data_dir, environment={})
        url = await ingest_url(settings, "key-websocket", "pcm", None, key["access_key_id"], server.url)
        async with connect(url + "?rate=8000", proxy=None, max_queue=None) as client:  # acknowledgements come too
            with suppress(ConnectionClosed):
                while True:
                    await client.send(SILENCE)
                    await sleep(0.1)  # as it is spoken
            ended["WebSocket"] = (client.close_code, client.close_reason)

    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(put)
            while not await to_thread.run_sync(_fragments, server, "key-put"):
                await sleep(0.1)
            group.start_soon(to_thread.run_sync, get)
            group.start_soon(speak)
            while not await to_thread.run_sync(_fragments, server, "key-websocket"):
                await sleep(0.1)
            arguments = ("keys", "disable", key["access_key_id"], "--data-dir", str(server.data_dir))
            await to_thread.run_sync(lambda: carillon(*arguments))
    reason = "The access key was disabled or removed."
    assert ended == {"PutMedia": 4003, "GetMedia": "cut off", "WebSocket": (4403, reason)}
    log = (server.data_dir / "server.log").read_text()
    assert log.count(reason) >= 2


def _fragments(server: Any, name: str) -> int:
    client = server.client("kinesis-video-archived-media")
    return len(client.list_fragments(StreamName=name, FragmentSelector=ALL)["Fragments"])


ALL = {
    "FragmentSelectorType": "SERVER_TIMESTAMP",
    "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 4_000_000_000},
}


async def test_a_key_ends_when_it_expires_as_a_rotated_one_does_after_its_grace(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    visitor = AccessKey.generate(expires_at=clock.now() + timedelta(hours=1))
    change(tmp_path / "credentials.json", lambda keys: [*keys, visitor])
    keys = WatchedKeys(tmp_path / "credentials.json", clock)
    told: list[str] = []

    async def wait() -> None:
        told.append(await keys.until_ended(visitor.access_key_id))

    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(wait)
            await wait_all_tasks_blocked()
            clock.advance(timedelta(minutes=59))
            await wait_all_tasks_blocked()
            assert told == []
            clock.advance(timedelta(minutes=1))
    assert told == ["The access key has expired."]
