"""A server that is stopped in the middle of a call."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from anyio import sleep, to_thread
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from carillon import config
from carillon.ingest_url import ingest_url
from carillon.matroska import BlockRead, Demuxer

pytestmark = pytest.mark.anyio


async def test_a_stop_loses_nothing_of_what_came(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    server.client("kinesisvideo").create_stream(StreamName="call", DataRetentionInHours=1)
    url = await ingest_url(config.load(tmp_path, environment={}), "call", "pcm", None, None, server.url)
    samples = bytes(range(1, 251)) * 80  # 1.25 s
    async with connect(url + "?rate=8000", proxy=None) as client:
        await client.send(samples)
        await (await client.ping())
        assert await to_thread.run_sync(server.stop) == 0
        with suppress(ConnectionClosed):
            async for _ in client:
                pass
        assert client.close_code == 1012
    media = start_server(tmp_path).client("kinesis-video-media")
    body = media.get_media(StreamName="call", StartSelector={"StartSelectorType": "EARLIEST"})["Payload"].read()
    assert b"".join(event.data for event in Demuxer().feed(body) if isinstance(event, BlockRead)) == samples
    assert "Traceback" not in (tmp_path / "server.log").read_text()


async def test_a_process_that_is_frozen_takes_what_came_meanwhile_for_no_silence(
    start_server: Any, tmp_path: Path
) -> None:
    patience = {"CARILLON_INGEST_IDLE_SECONDS": "2", "CARILLON_INGEST_SILENCE_SECONDS": "0.5"}
    server = start_server(tmp_path, **patience)
    server.client("kinesisvideo").create_stream(StreamName="call", DataRetentionInHours=1)
    url = await ingest_url(config.load(tmp_path, environment={}), "call", "pcm", None, None, server.url)
    samples = bytes(range(1, 251)) * 64 * 5  # 5 s
    second = len(samples) // 5
    async with connect(url + "?rate=8000", proxy=None) as client:
        await client.send(samples[:second])
        await (await client.ping())
        server.process.send_signal(signal.SIGSTOP)
        for at in range(second, len(samples), second):
            await sleep(1)  # as it is spoken
            await client.send(samples[at : at + second])
        server.process.send_signal(signal.SIGCONT)
    media = server.client("kinesis-video-media")
    body = media.get_media(StreamName="call", StartSelector={"StartSelectorType": "EARLIEST"})["Payload"].read()
    assert b"".join(event.data for event in Demuxer().feed(body) if isinstance(event, BlockRead)) == samples
