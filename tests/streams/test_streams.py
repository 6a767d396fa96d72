"""What goes in comes out: recording and tailing, in memory, on disk, across restarts."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from carillon.clock import ManualClock, from_millis
from carillon.matroska import ClusterEnded, Demuxer, DocumentStarted, TagsRead
from carillon.streams import (
    AckErrorCode,
    AckEventType,
    AfterFragment,
    AtProducerTime,
    AtServerTime,
    Earliest,
    FragmentAck,
    FragmentNumber,
    Now,
    ProducerConnected,
    PutMediaSession,
    StartSelector,
    Stream,
    StreamNotFound,
    Streams,
    StreamSettings,
    TooManyReaders,
)

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]
EARLIEST = Earliest()


async def write(streams: Streams, stream: Stream, body: bytes, cut: int = 10**9) -> list[FragmentAck]:
    """Send a body as one connection does; return all acknowledgements."""
    told: list[FragmentAck] = []
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(gather, recording, told)
        for at in range(0, len(body), cut):
            await recording.feed(body[at : at + cut])
        await recording.end()
    return told


async def gather(recording: PutMediaSession, told: list[FragmentAck]) -> None:
    async for acknowledgement in recording.acknowledgements:
        told.append(acknowledgement)  # noqa: PERF401 - a test looks at it meanwhile


async def read(streams: Streams, stream: Stream, start: StartSelector = EARLIEST) -> list[dict[str, str]]:
    """Return the AWS tags of every fragment, as a reader gets them until the body ends."""
    return fragments(b"".join([piece async for piece in await streams.tail(stream, start)]))


def fragments(body: bytes) -> list[dict[str, str]]:
    documents: list[dict[str, str]] = []
    demuxer = Demuxer()
    for event in demuxer.feed(body) + demuxer.end():
        if isinstance(event, DocumentStarted):
            documents.append({})
        elif isinstance(event, TagsRead):
            documents[-1].update({name.removeprefix("AWS_KINESISVIDEO_"): text for name, text in event.tags})
        elif isinstance(event, ClusterEnded):
            documents[-1]["cluster"] = body[event.start : event.end].hex()
    return documents


def numbers(documents: list[dict[str, str]]) -> list[str]:
    return [document["FRAGMENT_NUMBER"] for document in documents]


def told_of(told: list[FragmentAck], kind: AckEventType) -> list[str]:
    return [ack.number or "" for ack in told if ack.kind is kind]


@pytest.mark.parametrize("hours", [0, 24])
async def test_a_reader_gets_each_fragment_as_a_document_of_its_own(
    streams: Streams, producer: Any, hours: int
) -> None:
    stream = await streams.catalog.create("call", retention_hours=hours)
    told = await write(streams, stream, producer.body(3), cut=1_000)
    documents = await read(streams, stream)
    assert numbers(documents) == told_of(told, AckEventType.RECEIVED)
    assert [d["cluster"] for d in documents] == [producer.fragment(n).hex() for n in range(3)]
    assert documents[1] == {
        "FRAGMENT_NUMBER": told_of(told, AckEventType.RECEIVED)[1],
        "SERVER_TIMESTAMP": "1767225600.000",
        "PRODUCER_TIMESTAMP": "1.000",
        "cluster": producer.fragment(1).hex(),
        "MILLIS_BEHIND_NOW": "0",
        "CONTINUATION_TOKEN": told_of(told, AckEventType.RECEIVED)[1],
    }


@pytest.mark.parametrize(("hours", "kinds"), [(0, "BRBR"), (24, "BRPBRP")])
async def test_acknowledgements_come_in_order_and_persisted_only_with_retention(
    streams: Streams, producer: Any, hours: int, kinds: str
) -> None:
    stream = await streams.catalog.create("call", retention_hours=hours)
    told = await write(streams, stream, producer.body(2))
    for number in told_of(told, AckEventType.BUFFERING):
        assert "".join(a.kind.value[0] for a in told if a.number == number) in kinds
    assert len(told) == len(kinds)
    assert {(a.timecode_ms, a.number) for a in told} == {(0, told[0].number), (1000, told[-1].number)}


async def test_sequences_grow_by_one_inside_a_connection_and_never_go_back(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    seen: list[int] = []
    for restart in range(3):
        async with make_streams(settings) as streams:
            stream = await (streams.catalog.create("call") if not restart else streams.catalog.find("call"))
            told = await write(streams, stream, producer.body(3))
            seen += [FragmentNumber.parse(number).sequence for number in told_of(told, AckEventType.RECEIVED)]
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert steps[0:2] == steps[3:5] == steps[6:8] == [1, 1]
    assert min(steps) == 1


async def test_a_restart_is_invisible_to_readers_of_what_was_persisted(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        told = await write(streams, stream, producer.body(2))
        before = await read(streams, stream)
    async with make_streams(settings) as streams:
        assert await read(streams, stream) == before
        told += await write(streams, stream, producer.body(2))
        documents = await read(streams, stream)
    assert numbers(documents) == told_of(told, AckEventType.PERSISTED)
    assert [d["cluster"] for d in documents] == [producer.fragment(n).hex() for n in (0, 1, 0, 1)]


async def test_a_torn_write_is_never_read_and_never_appended_to(
    make_streams: Make, settings: StreamSettings, producer: Any, tmp_path: Path
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await write(streams, stream, producer.body(1))
    (file,) = (tmp_path / "streams" / stream.id).iterdir()
    with file.open("ab") as torn:
        torn.write(b"half a fragment")
    (tmp_path / "streams" / stream.id / "9").write_bytes(b"a file that no row knows")
    (tmp_path / "streams" / "gone").mkdir()
    (tmp_path / "streams" / "gone" / "1").write_bytes(b"of a stream that was deleted")
    async with make_streams(settings) as streams:
        await write(streams, stream, producer.body(1))
        assert len(await read(streams, stream)) == 2
    assert {folder.name for folder in (tmp_path / "streams").iterdir()} == {stream.id, ".journal"}
    assert len(list((tmp_path / "streams" / stream.id).iterdir())) == 2


async def test_nothing_readable_lies_on_the_disk(streams: Streams, producer: Any, tmp_path: Path) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    await write(streams, stream, producer.body(3))
    stored = b"".join(path.read_bytes() for path in (tmp_path / "streams").rglob("*") if path.is_file())
    assert len(stored) > len(producer.body(3))
    assert b"A_PCM" not in stored
    assert producer.fragment(2)[100:200] not in stored


async def test_a_live_reader_sees_a_fragment_as_soon_as_its_cluster_is_whole(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    tail = await streams.tail(stream, Now())
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(gather, recording, [])
        await recording.feed(producer.body(1))
        await recording.finalize()
        (document,) = fragments(await anext(tail))
        assert document["cluster"] == producer.fragment(0).hex()
        await recording.end()
    with pytest.raises(StopAsyncIteration):
        await anext(tail)


async def test_a_reader_waits_for_what_is_still_to_come(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    got: list[bytes] = []
    async with make_streams(replace(settings, end_seconds=60)) as streams:
        stream = await streams.catalog.create("call")

        async def follow() -> None:
            tail = await streams.tail(stream, Earliest(), is_whole=True)
            got.extend([await anext(tail), await anext(tail)])
            await tail.aclose()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(follow)
            await wait_all_tasks_blocked()
            await write(streams, stream, producer.body(2))
    assert len(fragments(b"".join(got))) == 6


async def test_every_start(streams: Streams, producer: Any, clock: ManualClock) -> None:
    for hours in (0, 1):
        stream = await streams.catalog.create(f"call-{hours}", retention_hours=hours)
        times = []
        async with streams.record(stream, from_millis(1_000_000_000)) as recording, anyio.create_task_group() as group:
            group.start_soon(gather, recording, [])
            await recording.feed(producer.header)
            for index in range(4):
                times.append(clock.now())
                await recording.feed(producer.fragment(index))
                clock.advance(timedelta(seconds=1))
                await recording.finalize()
            await recording.end()
        documents = await read(streams, stream)
        given = numbers(documents)
        assert [document["MILLIS_BEHIND_NOW"] for document in documents] == ["3000", "2000", "1000", "0"]
        recorded = from_millis(1_000_000_000)
        second = timedelta(seconds=1)
        expected: dict[StartSelector, int] = {
            Now(): 3,
            Earliest(): 0,
            AfterFragment(given[1]): 2,
            AfterFragment(given[3]): 4,
            AtServerTime(times[0] - second): 0,
            AtServerTime(times[2]): 2,
            AtServerTime(times[2] + second / 2): 2,
            AtServerTime(times[3] + 2 * second): 4,
            AtProducerTime(recorded - second): 0,
            AtProducerTime(recorded + 2.5 * second): 2,
            AtProducerTime(recorded + 3 * second): 3,
            AtProducerTime(recorded + 9 * second): 4,
        }
        for start, index in expected.items():
            assert numbers(await read(streams, stream, start)) == given[index:], start


async def test_every_start_is_the_same_for_what_only_the_disk_has(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        times = []
        for index in range(3):
            times.append(clock.now())
            await write(streams, stream, producer.header + producer.fragment(index))
            clock.advance(timedelta(minutes=1))
        given = numbers(await read(streams, stream))
    async with make_streams(settings) as streams:
        expected: dict[StartSelector, int] = {
            Now(): 3,
            Earliest(): 0,
            AfterFragment(given[0]): 1,
            AtServerTime(times[1]): 1,
            AtServerTime(times[1] + timedelta(seconds=30)): 2,
            AtServerTime(times[2] + timedelta(seconds=30)): 3,
            AtProducerTime(from_millis(500)): 0,
            AtProducerTime(from_millis(1_999)): 1,
            AtProducerTime(from_millis(3_000)): 3,
        }
        for start, index in expected.items():
            assert numbers(await read(streams, stream, start)) == given[index:], start


async def test_newest_skips_a_fragment_of_long_ago(streams: Streams, producer: Any, clock: ManualClock) -> None:
    stream = await streams.catalog.create("call")
    await write(streams, stream, producer.body(2))
    clock.advance(timedelta(seconds=4))
    assert len(await read(streams, stream, Now())) == 1
    clock.advance(timedelta(seconds=2))
    assert await read(streams, stream, Now()) == []


async def test_a_number_that_the_stream_never_gave_is_an_error_in_the_body(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    await write(streams, stream, producer.body(1))
    (own,) = numbers(await read(streams, stream))
    parsed = FragmentNumber.parse(own)
    of_aws = "91343852333181432392682062607743920146159169392"
    for unknown in (of_aws, str(replace(parsed, sequence=10**6)), str(replace(parsed, server_millis=2**63))):
        (document,) = await read(streams, stream, AfterFragment(unknown))
        assert document == {
            "FRAGMENT_NUMBER": unknown,
            "ERROR_CODE": "Requested fragment is not found",
            "ERROR_ID": "4000",
        }


async def test_reading_goes_on_after_a_fragment_that_is_arriving_or_was_lost(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call")
        told: list[FragmentAck] = []
        async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
            group.start_soon(gather, recording, told)
            await recording.feed(producer.header + producer.fragment(0)[:50])
            await wait_all_tasks_blocked()
            arriving = AfterFragment(told_of(told, AckEventType.BUFFERING)[0])
            tail = await streams.tail(stream, arriving)
            await recording.feed(producer.fragment(0)[50:] + producer.fragment(1))
            await recording.finalize()
            assert fragments(await anext(tail))[0]["cluster"] == producer.fragment(1).hex()
            await recording.end()
    async with make_streams(settings) as streams:  # where nothing of it was stored
        await write(streams, stream, producer.body(2))
        assert len(await read(streams, stream, arriving)) == 2


async def test_what_is_past_retention_is_deleted_with_its_files(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, tmp_path: Path
) -> None:
    settings = replace(settings, cache_bytes=0, segment_seconds=60)
    async with make_streams(settings) as streams:
        short = await streams.catalog.create("short", retention_hours=1)
        long = await streams.catalog.create("long", retention_hours=24)
        for _ in range(3):
            await write(streams, short, producer.body(1))
            await write(streams, long, producer.body(1))
            clock.advance(timedelta(minutes=29))
        await streams.sweep()
        assert [len(await read(streams, stream)) for stream in (short, long)] == [2, 3]
        assert [len(list((tmp_path / "streams" / stream.id).iterdir())) for stream in (short, long)] == [2, 3]
        clock.advance(timedelta(hours=3))
        await streams.sweep()
        assert [len(await read(streams, stream)) for stream in (short, long)] == [0, 3]
        long = await streams.change_retention(long, long.version, -21)
        assert await read(streams, long) == []  # at once
        assert not [path for path in (tmp_path / "streams").rglob("*") if path.is_file()]


@pytest.mark.parametrize("limit", [{"ring_bytes": 50_000}, {"memory_bytes": 50_000}])
async def test_without_retention_a_few_minutes_and_megabytes_stay(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, limit: dict[str, Any]
) -> None:
    async with make_streams(replace(settings, **limit)) as streams:
        stream = await streams.catalog.create("call")
        told = await write(streams, stream, producer.body(8))
        received = told_of(told, AckEventType.RECEIVED)
        assert numbers(await read(streams, stream)) == received[5:]
        assert numbers(await read(streams, stream, AfterFragment(received[0]))) == received[5:]
        clock.advance(timedelta(seconds=301))
        await streams.sweep()
        assert not streams._store._live
        assert streams._store._cached_bytes == 0
        assert await read(streams, stream) == []


async def test_with_retention_a_slow_reader_reads_from_disk(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(replace(settings, cache_bytes=20_000)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        tail = await streams.tail(stream, Earliest())
        got: list[bytes] = []
        for index in range(5):
            told = await write(streams, stream, producer.header + producer.fragment(index))
            assert told_of(told, AckEventType.PERSISTED)
            live = await streams._store.live(stream)
            assert live.cached_bytes <= 40_000
        got = [piece async for piece in tail]
    assert [d["cluster"] for d in fragments(b"".join(got))] == [producer.fragment(n).hex() for n in range(5)]


async def test_who_has_to_leave_hears_that_the_fragment_that_was_just_received_is_stored(
    streams: Streams, producer: Any
) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        told: list[FragmentAck] = []

        async def send() -> None:
            await recording.feed(producer.body(1))
            await recording.end()

        group.start_soon(send)
        async for acknowledgement in recording.acknowledgements:
            told.append(acknowledgement)
            if acknowledgement.kind is AckEventType.RECEIVED:  # before `send` has gone on
                recording.leave(AckErrorCode.MAX_CONNECTION_DURATION_REACHED)
    assert [one.kind for one in told] == [
        AckEventType.BUFFERING,
        AckEventType.RECEIVED,
        AckEventType.PERSISTED,
        AckEventType.ERROR,
    ]


async def test_a_second_producer_is_turned_away_until_the_first_is_done(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with streams.record(stream, None):
        with pytest.raises(ProducerConnected):
            async with streams.record(stream, None):
                pass
    assert await write(streams, stream, producer.body(1))


async def test_a_second_producer_may_come_shortly_before_the_first_is_done(
    make_streams: Any, producer: Any, settings: StreamSettings
) -> None:
    told: list[FragmentAck] = []
    async with make_streams(replace(settings, handover_seconds=60)) as streams:
        stream = await streams.catalog.create("call")

        async def follow() -> None:
            told.extend(await write(streams, stream, producer.header + producer.fragment(1)))

        async with anyio.create_task_group() as group, streams.record(stream, None) as first:
            group.start_soon(gather, first, told)
            await first.feed(producer.body(1))
            group.start_soon(follow)
            await wait_all_tasks_blocked()
            await first.end()
    assert [(one.kind, one.timecode_ms) for one in told] == [
        (kind, timecode) for timecode in (0, 1000) for kind in (AckEventType.BUFFERING, AckEventType.RECEIVED)
    ]


async def test_a_fourth_reader_is_turned_away_until_one_is_done_or_dropped(streams: Streams) -> None:
    stream = await streams.catalog.create("call")
    tails = [await streams.tail(stream, Earliest()) for _ in range(3)]
    with pytest.raises(TooManyReaders):
        await streams.tail(stream, Earliest())
    await tails.pop().aclose()
    tails.append(await streams.tail(stream, Earliest()))
    assert [piece async for piece in tails[0]] == []
    await streams.tail(stream, Earliest())


async def test_deleting_a_stream_ends_its_connections_and_removes_its_files(
    streams: Streams, producer: Any, tmp_path: Path
) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    told: list[FragmentAck] = []
    tail = await streams.tail(stream, Earliest())
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(gather, recording, told)
        await recording.feed(producer.body(1) + producer.fragment(1)[:100])
        await streams.delete(stream.arn)
        await recording.feed(producer.fragment(1)[100:])
    assert (told[-1].kind, told[-1].error_code) == (AckEventType.ERROR, AckErrorCode.STREAM_NOT_ACTIVE)
    assert [piece async for piece in tail] == []
    assert not [path for path in (tmp_path / "streams").rglob("*") if path.is_file()]
    with pytest.raises(StreamNotFound):
        await streams.tail(stream, Earliest())


async def test_a_disk_that_fails_is_told_to_the_producer_and_readers_still_get_what_is_in_memory(
    streams: Streams, producer: Any, tmp_path: Path
) -> None:
    stream = await streams.catalog.create("call", retention_hours=1)
    folder = tmp_path / "streams" / stream.id
    folder.write_text("a file where the folder should be")
    told = await write(streams, stream, producer.body(1))
    assert [a.kind for a in told] == [AckEventType.BUFFERING, AckEventType.RECEIVED, AckEventType.ERROR]
    assert told[-1].error_code is AckErrorCode.ARCHIVAL_ERROR
    assert len(await read(streams, stream)) == 1
    folder.unlink()
    assert told_of(await write(streams, stream, producer.body(1)), AckEventType.PERSISTED)


async def test_a_stored_fragment_that_cannot_be_read_is_an_error_in_the_body_and_the_next_follows(
    make_streams: Make, settings: StreamSettings, producer: Any, tmp_path: Path
) -> None:
    async with make_streams(replace(settings, cache_bytes=0)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        told = await write(streams, stream, producer.body(2))
        await write(streams, stream, b"")
        (file,) = (tmp_path / "streams" / stream.id).iterdir()
        damaged = bytearray(file.read_bytes())
        damaged[100] ^= 1
        file.write_bytes(damaged)
    async with make_streams(settings) as streams:
        first, second = await read(streams, stream)
    assert (first["ERROR_ID"], first["FRAGMENT_NUMBER"]) == ("5000", told_of(told, AckEventType.PERSISTED)[0])
    assert second["cluster"] == producer.fragment(1).hex()


async def test_a_producer_waits_while_the_disk_is_behind(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(replace(settings, unwritten_bytes=20_000)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        fed = 0
        async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
            told: list[FragmentAck] = []
            group.start_soon(gather, recording, told)

            async def feed() -> None:
                nonlocal fed
                await recording.feed(producer.header)
                for index in range(10):
                    await recording.feed(producer.fragment(index))
                    fed = index
                await recording.end()

            async with streams._writer.paused(stream.id):
                group.start_soon(feed)
                await wait_all_tasks_blocked()
                assert fed < 4
        assert len(told_of(told, AckEventType.PERSISTED)) == 10


async def test_fragments_of_many_streams_are_committed_together(streams: Streams, producer: Any) -> None:
    made = [await streams.catalog.create(f"call-{n}", retention_hours=1) for n in range(20)]
    async with anyio.create_task_group() as group:
        for stream in made:
            group.start_soon(write, streams, stream, producer.body(3))
    for stream in made:
        assert len(await read(streams, stream)) == 3


async def test_stopping_writes_down_what_was_received(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        with anyio.CancelScope() as scope:
            async with streams.record(stream, None) as recording:
                await recording.feed(producer.body(2))
                scope.cancel()
                await checkpoint()
    async with make_streams(settings) as streams:
        assert len(await read(streams, stream)) == 2
