"""What a well-behaved client over a healthy server never sees."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from carillon.api.kinesis_video import PutMedia, PutMediaSettings
from carillon.api.protocol import ClientGone, RawCall
from carillon.arns import AwsAccount
from carillon.clock import ManualClock
from carillon.storage import Database, Vault
from carillon.streams import Earliest, PutMediaSession, Streams, StreamSettings

pytestmark = pytest.mark.anyio
HEADERS = {"x-amzn-stream-name": "call", "x-amzn-fragment-timecode-type": "ABSOLUTE"}


@pytest.fixture
async def streams(database: Database, vault: Vault, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Streams]:
    settings = StreamSettings(end_seconds=0.05, finalize_seconds=0.01)
    async with Streams(
        database=database,
        vault=vault,
        account=AwsAccount(),
        clock=clock,
        directory=tmp_path / "streams",
        settings=settings,
    ) as running:
        await running.catalog.create("call")
        yield running


async def test_a_mistake_of_ours_is_told_and_costs_this_connection_only(
    streams: Streams, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": call.body(1), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def fail(recording: PutMediaSession, data: bytes) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(PutMediaSession, "feed", fail)
        await PutMedia(streams).put_media(RawCall("id", "caller", HEADERS, receive, send))
    assert json.loads(sent[1]["body"]) == {"EventType": "ERROR", "ErrorId": 5000, "ErrorCode": "INTERNAL_ERROR"}
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    sent.clear()
    await PutMedia(streams).put_media(RawCall("id", "caller", HEADERS, receive, send))
    assert [json.loads(message["body"])["EventType"] for message in sent[1:-1]] == ["BUFFERING", "RECEIVED"]


async def test_a_client_that_reads_no_acknowledgements_is_let_go_and_its_fragments_are_kept(
    streams: Streams, call: Any
) -> None:
    pieces = [call.body(3)]

    async def receive() -> Any:
        if not pieces:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": pieces.pop(), "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    with pytest.raises(ClientGone):
        await PutMedia(streams, PutMediaSettings(write_seconds=0.1)).put_media(
            RawCall("id", "c", HEADERS, receive, send)
        )
    tail = await streams.tail(await streams.catalog.find("call"), Earliest())
    assert b"".join([piece async for piece in tail]).count(call.header[:20]) == 3
