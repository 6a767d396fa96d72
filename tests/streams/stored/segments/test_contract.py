"""What every place where fragments stay must do, whatever it is made of."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from carillon.clock import ManualClock
from carillon.streams import StorageFailed, StreamSettings
from carillon.streams.stored.segments import Segment, Segments, choose

pytestmark = pytest.mark.anyio
Open = Callable[[], Segments]
OWNER = "an-owner"


@pytest.fixture
def open_segments(storage: StreamSettings, tmp_path: Path, clock: ManualClock) -> Open:
    """Open the same place again, as a restart does."""
    return lambda: choose(storage, tmp_path / "streams", OWNER, "us-east-1", clock)


@pytest.fixture
async def segments(open_segments: Open) -> AsyncIterator[Segments]:
    """The place, open."""
    async with open_segments() as opened:
        yield opened


async def listed(segments: Segments) -> set[Segment]:
    return {Segment(stream_id, name) async for stream_id, names in segments.listing() for name in names}


async def test_records_are_read_back_in_any_order(segments: Segments) -> None:
    first, second, third = (os.urandom(size) for size in (1, 5_000, 70_000))
    written = await segments.append("a", "1", [first, second, third])
    assert len(written.offsets) == 3
    segment = Segment("a", written.segment)
    for record, offset in zip([third, first, second], [written.offsets[index] for index in (2, 0, 1)], strict=True):
        assert await segments.read(segment, offset, len(record)) == record


async def test_what_is_appended_later_changes_nothing_of_what_was_there(segments: Segments) -> None:
    kept: list[tuple[Segment, int, bytes]] = []
    for number in range(4):
        record = os.urandom(300)
        written = await segments.append("a", str(number), [record])
        kept.append((Segment("a", written.segment), written.offsets[0], record))
        for segment, offset, before in kept:
            assert await segments.read(segment, offset, 300) == before
    assert {segment for segment, _, _ in kept} == await listed(segments)


@pytest.mark.parametrize("size", [10_000, 1_500_000])
async def test_streams_that_write_at_the_same_time_do_not_mix(segments: Segments, size: int) -> None:
    read: dict[str, bytes] = {}

    async def write(stream_id: str) -> None:
        for number in range(3):
            record = stream_id.encode() * size
            written = await segments.append(stream_id, str(number), [record, record])
            segment = Segment(stream_id, written.segment)
            read[stream_id] = await segments.read(segment, written.offsets[1], len(record))

    async with anyio.create_task_group() as group:
        for stream_id in "abcdef":
            group.start_soon(write, stream_id)
    assert read == {stream_id: stream_id.encode() * size for stream_id in "abcdef"}


async def test_what_was_written_is_there_after_a_restart_and_is_not_appended_to(open_segments: Open) -> None:
    async with open_segments() as segments:
        before = await segments.append("a", "1", [b"before"])
    async with open_segments() as segments:
        after = await segments.append("a", "2", [b"after"])
        assert after.segment != before.segment
        assert await segments.read(Segment("a", before.segment), before.offsets[0], 6) == b"before"
        assert await listed(segments) == {Segment("a", before.segment), Segment("a", after.segment)}


async def test_after_closing_a_segment_the_next_record_begins_another(segments: Segments) -> None:
    first = await segments.append("a", "1", [b"one"])
    segments.close([Segment("a", first.segment), Segment("b", "never was")])
    second = await segments.append("a", "2", [b"two"])
    assert second.segment != first.segment
    await segments.delete([Segment("a", first.segment)])
    assert await segments.read(Segment("a", second.segment), second.offsets[0], 3) == b"two"


async def test_what_is_deleted_is_gone_and_nothing_else(open_segments: Open) -> None:
    async with open_segments() as segments:
        written = []
        for number in range(3):
            written.append(await segments.append("a", str(number), [b"record"]))
            segments.close([Segment("a", written[-1].segment)])
        doomed = Segment("a", written[1].segment)
        assert await segments.read(doomed, 0, 6) == b"record"
        for _ in range(2):  # the second time, it is not there
            await segments.delete([doomed])
        with pytest.raises(StorageFailed):
            await segments.read(doomed, 0, 6)
        assert len(await listed(segments)) == 2
    async with open_segments() as segments:
        assert await listed(segments) == {Segment("a", written[0].segment), Segment("a", written[2].segment)}


async def test_a_deleted_stream_is_gone_and_no_other(open_segments: Open) -> None:
    async with open_segments() as segments:
        for stream_id in ("a", "aa", "b"):
            await segments.append(stream_id, "1", [b"record"])
        await segments.delete_stream("a")
        await segments.delete_stream("a")
        with pytest.raises(StorageFailed):
            await segments.read(Segment("a", "1"), 0, 6)
        assert await listed(segments) == {Segment("aa", "1"), Segment("b", "1")}
        await segments.append("a", "2", [b"again"])
        assert Segment("a", "2") in await listed(segments)
        await segments.delete_stream("a")
    async with open_segments() as segments:
        assert await listed(segments) == {Segment("aa", "1"), Segment("b", "1")}


async def test_what_is_not_there_cannot_be_read(segments: Segments) -> None:
    written = await segments.append("a", "1", [b"record"])
    for segment, offset, size in (
        (Segment("a", "2"), 0, 6),
        (Segment("b", "1"), 0, 6),
        (Segment("a", written.segment), 0, 7),
        (Segment("a", written.segment), 6, 1),
        (Segment("a", written.segment), 100, 1),
    ):
        with pytest.raises(StorageFailed):
            await segments.read(segment, offset, size)


async def test_many_segments_are_listed_and_deleted(segments: Segments) -> None:
    made = []
    for number in range(40):
        written = await segments.append(f"stream-{number % 3}", str(number), [b"x"])
        made.append(Segment(f"stream-{number % 3}", written.segment))
        segments.close(made[-1:])
    assert await listed(segments) == set(made)
    await segments.delete(made)
    assert await listed(segments) == set()
    await segments.tidy()
