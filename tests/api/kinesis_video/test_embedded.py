from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from carillon.api.kinesis_video import EmbeddedMedia
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.media import FragmentReader, Oldest, RemoteStreamNotFound, RequestRefused, StreamUnavailable
from carillon.storage import Database, Vault, metadata
from carillon.streams import Stream, Streams, StreamSettings

NEWEST = {"StartSelectorType": "NOW"}
EARLIEST = {"StartSelectorType": "EARLIEST"}


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[Streams]:
    database = Database(f"sqlite:///{tmp_path / 'carillon.db'}")
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    settings = StreamSettings(end_seconds=0.05, max_readers=1)
    async with Streams(
        database=database,
        vault=Vault(bytes(32)),
        account=AwsAccount(),
        clock=SystemClock(),
        directory=tmp_path / "streams",
        settings=settings,
    ) as opened:
        yield opened
    await database.close()


@pytest.fixture
async def stream(streams: Streams, call: Any) -> Stream:
    """A stream that holds three seconds."""
    made = await streams.catalog.create("call", retention_hours=1)
    async with streams.record(made, None) as session:
        await session.feed(call.body(3))
        await session.end()
        async for _ in session.acknowledgements:
            pass
    return made


async def read(streams: Streams, stream_arn: str, selector: dict[str, Any]) -> bytes:
    async with EmbeddedMedia(streams).get_media(stream_arn, selector) as body:
        return b"".join([piece async for piece in body])


@pytest.mark.anyio
async def test_a_body_holds_what_get_media_answers_and_ends_when_nothing_comes(
    streams: Streams, stream: Stream, call: Any
) -> None:
    found = call.documents(await read(streams, stream.arn, EARLIEST))
    assert [document["cluster"] for document in found] == [call.cluster(index).hex() for index in range(3)]
    number = found[1]["FRAGMENT_NUMBER"]
    after = {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": number}
    assert call.documents(await read(streams, stream.arn, after))[0]["cluster"] == call.cluster(2).hex()


@pytest.mark.anyio
async def test_a_reader_reads_it_like_any_endpoint(streams: Streams, stream: Stream) -> None:
    fragments = FragmentReader(stream.arn, Oldest(), EmbeddedMedia(streams)).fragments()
    numbers = [(await anext(fragments)).number for _ in range(3)]
    await fragments.aclose()
    assert numbers == sorted(numbers)


@pytest.mark.anyio
async def test_what_is_refused_is_refused_in_the_words_of_a_client(streams: Streams, stream: Stream) -> None:
    with pytest.raises(RemoteStreamNotFound):
        await read(streams, stream.arn.replace("call", "none"), NEWEST)
    with pytest.raises(RequestRefused, match="InvalidArgumentException"):
        await read(streams, stream.arn, {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "seven"})


@pytest.mark.anyio
async def test_who_cannot_be_served_now_is_told_to_come_back(streams: Streams, stream: Stream) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(EmbeddedMedia(streams).get_media(stream.arn, EARLIEST))
        with pytest.raises(StreamUnavailable, match="ConnectionLimitExceeded"):
            await read(streams, stream.arn, NEWEST)
    assert await read(streams, stream.arn, EARLIEST), "who has left does not count"


@pytest.mark.anyio
async def test_a_fault_of_ours_ends_a_body_and_not_the_reader(
    streams: Streams, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(streams._store, "next", broken)
    with pytest.raises(StreamUnavailable, match="InternalFailure"):
        await read(streams, stream.arn, EARLIEST)
