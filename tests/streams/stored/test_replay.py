"""Stored fragments by time and by number, wherever they stay."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from carillon.clock import ManualClock, from_millis
from carillon.matroska import ClusterEnded, Demuxer, DocumentStarted, TagsRead
from carillon.streams import (
    FragmentNumber,
    FragmentSelectorType,
    ListPosition,
    NotAFragmentNumber,
    Replay,
    StorageFailed,
    StoredFragment,
    Stream,
    Streams,
    StreamSettings,
    TimestampRange,
    TooManyReplays,
)

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]
SECOND = timedelta(seconds=1)
RECORDED = from_millis(1_000_000_000)


async def record(streams: Streams, stream: Stream, producer: Any, clock: ManualClock, count: int) -> None:
    """Store a second after the other, as they are spoken."""
    async with streams.record(stream, RECORDED) as recording, anyio.create_task_group() as group:

        async def listen() -> None:
            async for _ in recording.acknowledgements:
                pass

        group.start_soon(listen)
        await recording.feed(producer.header)
        for index in range(count):
            await recording.feed(producer.fragment(index))
            clock.advance(SECOND)
            await recording.finalize()
        await recording.end()


async def all_of(
    streams: Streams, stream: Stream, by: FragmentSelectorType = FragmentSelectorType.SERVER
) -> list[StoredFragment]:
    ages = TimestampRange(by, from_millis(0), from_millis(10**13))
    return list(await streams.list_fragments(stream, ages, limit=1_000))


async def documents(replay: Replay) -> list[dict[str, str]]:
    body = b"".join([piece async for piece in replay])
    found: list[dict[str, str]] = []
    demuxer = Demuxer()
    for event in demuxer.feed(body) + demuxer.end():
        if isinstance(event, DocumentStarted):
            found.append({})
        elif isinstance(event, TagsRead):
            found[-1].update({name.removeprefix("AWS_KINESISVIDEO_"): text for name, text in event.tags})
        elif isinstance(event, ClusterEnded):
            found[-1]["cluster"] = body[event.start : event.end].hex()
    return found


async def test_a_list_tells_what_is_stored(
    make_streams: Make, storage: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        began = clock.now()
        await record(streams, stream, producer, clock, 3)
        found = await all_of(streams, stream)
    assert [fragment.server_at for fragment in found] == [began + index * SECOND for index in range(3)]
    assert [fragment.producer_at for fragment in found] == [RECORDED + index * SECOND for index in range(3)]
    assert [fragment.duration_ms for fragment in found] == [1000] * 3
    size = len(producer.header) + len(producer.fragment(0))
    assert [fragment.media_bytes for fragment in found] == [pytest.approx(size, abs=40)] * 3


async def test_a_span_includes_both_its_ends(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        began = clock.now()
        await record(streams, stream, producer, clock, 5)
        numbers = [fragment.number for fragment in await all_of(streams, stream)]
        for by, zero in ((FragmentSelectorType.SERVER, began), (FragmentSelectorType.PRODUCER, RECORDED)):
            for start, end, expected in (
                (1, 3, numbers[1:4]),
                (0.5, 3.9, numbers[1:4]),
                (2, 2, numbers[2:3]),
                (2.1, 2.9, []),
                (-9, 0, numbers[:1]),
                (4, 99, numbers[4:]),
                (5, 99, []),
            ):
                span = TimestampRange(by, zero + start * SECOND, zero + end * SECOND)
                assert [f.number for f in await streams.list_fragments(stream, span)] == expected, (by, start, end)


@pytest.mark.parametrize("by", list(FragmentSelectorType))
async def test_pages_of_any_size_make_the_same_list(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, by: FragmentSelectorType
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        for _ in range(3):  # each time recorded at the same times
            await record(streams, stream, producer, clock, 4)
        whole = await all_of(streams, stream, by)
        assert len({fragment.number for fragment in whole}) == 12
        ages = TimestampRange(by, from_millis(0), from_millis(10**13))
        for limit in (1, 2, 5, 11, 12, 100):
            paged: list[StoredFragment] = []
            after = None
            while page := await streams.list_fragments(stream, ages, after, limit):
                assert len(page) <= limit
                paged += page
                after = ListPosition(getattr(page[-1], by.value), page[-1].number)
            assert paged == whole, limit


async def test_only_stored_fragments_of_the_stream_are_listed(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(settings) as streams:
        fleeting = await streams.catalog.create("fleeting")
        kept = await streams.catalog.create("kept", retention_hours=1)
        for stream in (fleeting, kept):
            await record(streams, stream, producer, clock, 2)
        assert await all_of(streams, fleeting) == []
        assert len(await all_of(streams, kept)) == 2


async def test_fragments_come_in_the_order_asked_for(
    make_streams: Make, storage: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await record(streams, stream, producer, clock, 4)
        numbers = [fragment.number for fragment in await all_of(streams, stream)]
        found = await documents(streams.replay(stream, [numbers[2], numbers[0], numbers[2]]))
    assert [document["cluster"] for document in found] == [producer.fragment(index).hex() for index in (2, 0, 2)]
    assert found[1] == {
        "FRAGMENT_NUMBER": numbers[0],
        "SERVER_SIDE_TIMESTAMP": "1767225600.000",
        "PRODUCER_SIDE_TIMESTAMP": "1000000.000",
        "cluster": producer.fragment(0).hex(),
    }


async def test_long_lists_are_read_bit_by_bit(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await record(streams, stream, producer, clock, 3)
        numbers = [fragment.number for fragment in await all_of(streams, stream)] * 84
        found = await documents(streams.replay(stream, numbers))
    assert [document["FRAGMENT_NUMBER"] for document in found] == numbers


async def test_why_a_fragment_is_not_there_stands_in_its_place(
    make_streams: Make, storage: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        other = await streams.catalog.create("other", retention_hours=1)
        await record(streams, stream, producer, clock, 1)
        await record(streams, other, producer, clock, 1)
        (own,), (foreign,) = [[f.number for f in await all_of(streams, s)] for s in (stream, other)]
        unknown = str(replace(FragmentNumber.parse(own), random=7))
        found = await documents(streams.replay(stream, [foreign, own, unknown]))
        missing = {"ERROR_CODE": "FRAGMENT_NOT_FOUND", "ERROR_ID": "3000"}
        assert found[0] == {"FRAGMENT_NUMBER": foreign, **missing}
        assert found[1]["cluster"] == producer.fragment(0).hex()
        assert found[2] == {"FRAGMENT_NUMBER": unknown, **missing}

        async def fail(*_: object) -> bytes:
            raise StorageFailed("no answer")

        streams._segments.read = fail  # type: ignore[assignment, method-assign]  # an outage
        (document,) = await documents(streams.replay(stream, [own]))
        assert document["ERROR_ID"] == "5000"


async def test_what_expires_while_it_is_read_is_not_found(
    make_streams: Make, storage: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(replace(storage, segment_seconds=0.5, s3_object_fragments=1)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await record(streams, stream, producer, clock, 3)
        numbers = [fragment.number for fragment in await all_of(streams, stream)]
        replay = streams.replay(stream, numbers)
        first = await anext(replay)
        assert producer.fragment(0) in first
        clock.advance(timedelta(hours=2))
        await streams.sweep()
        rest = b"".join([piece async for piece in replay])
        assert rest.count(b"FRAGMENT_NOT_FOUND") == 2


async def test_numbers_that_are_none_are_refused(streams: Streams) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    for digits in ("1", "9" * 60):
        with pytest.raises(NotAFragmentNumber):
            streams.replay(stream, [digits])


async def test_not_too_many_read_a_stream_so_at_the_same_time(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(replace(settings, max_replays=2)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        other = await streams.catalog.create("other", retention_hours=1)
        await record(streams, stream, producer, clock, 1)
        (number,) = [fragment.number for fragment in await all_of(streams, stream)]
        first, second = (streams.replay(stream, [number]) for _ in range(2))
        with pytest.raises(TooManyReplays):
            streams.replay(stream, [number])
        streams.replay(other, [number])
        await first.aclose()
        third = streams.replay(stream, [number])
        assert len(await documents(second)) == 1
        streams.replay(stream, [number])
        await third.aclose()
