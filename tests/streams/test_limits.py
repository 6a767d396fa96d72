"""How fast a stream may be used, and who of two producers may write."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from carillon.clock import ManualClock
from carillon.matroska import AUDIO, Muxer, Track
from carillon.streams import (
    AckErrorCode,
    AckEventType,
    Earliest,
    FragmentAck,
    ProducerConnected,
    PutMediaSession,
    Stream,
    Streams,
    StreamSettings,
    StreamThrottled,
)

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]


async def gather(recording: PutMediaSession, told: list[FragmentAck]) -> None:
    async for acknowledgement in recording.acknowledgements:
        told.append(acknowledgement)  # noqa: PERF401 - a test looks at it meanwhile


async def write(streams: Streams, stream: Stream, body: bytes) -> list[FragmentAck]:
    told: list[FragmentAck] = []
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(gather, recording, told)
        await recording.feed(body)
        await recording.end()
    return told


async def test_a_stream_is_called_so_often_and_no_more(
    make_streams: Make, settings: StreamSettings, clock: ManualClock
) -> None:
    async with make_streams(replace(settings, calls_per_second=5)) as streams:
        stream, other = await streams.catalog.create("call"), await streams.catalog.create("other")
        for _ in range(5):
            await write(streams, stream, b"")
        with pytest.raises(StreamThrottled):
            await write(streams, stream, b"")
        for _ in range(5):  # which are counted for themselves
            await (await streams.tail(stream, Earliest())).aclose()
        with pytest.raises(StreamThrottled):
            await streams.tail(stream, Earliest())
        await write(streams, other, b"")
        clock.advance(timedelta(seconds=0.2))
        await write(streams, stream, b"")
        with pytest.raises(StreamThrottled):
            await write(streams, stream, b"")


@pytest.mark.parametrize("limit", [{"written_bytes_per_second": 10_000.0}, {"written_fragments_per_second": 1.0}])
async def test_whoever_writes_too_fast_waits_and_whoever_comes_too_soon_is_refused(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, limit: dict[str, Any]
) -> None:
    async with make_streams(replace(settings, **limit)) as streams:
        stream = await streams.catalog.create("call")
        told: list[FragmentAck] = []
        async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
            group.start_soon(gather, recording, told)
            fed: list[int] = []

            async def feed() -> None:
                await recording.feed(producer.header)
                for index in range(5):
                    await recording.feed(producer.fragment(index))
                    fed.append(index)

            group.start_soon(feed)
            await wait_all_tasks_blocked()
            assert len(fed) < 3
            group.cancel_scope.cancel()
        with pytest.raises(StreamThrottled):
            await write(streams, stream, b"")
        clock.advance(timedelta(seconds=10))
        assert await write(streams, stream, producer.body(1))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # while a server answers, everybody is blocked
@pytest.mark.parametrize("limit", [{"read_bytes_per_second": 10_000.0}, {"read_fragments_per_second": 1.0}])
async def test_a_reader_is_given_so_much_and_no_faster(
    make_streams: Make, settings: StreamSettings, producer: Any, limit: dict[str, Any]
) -> None:
    async with make_streams(replace(settings, **limit)) as streams:
        stream = await streams.catalog.create("call")
        await write(streams, stream, producer.body(9))
        tail = await streams.tail(stream, Earliest())
        got: list[bytes] = []

        async def read() -> None:
            async for piece in tail:
                got.append(piece)  # noqa: PERF401 - a test looks at it meanwhile

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await wait_all_tasks_blocked()
            assert 1 <= len(got) <= 2
            group.cancel_scope.cancel()


async def test_a_newcomer_takes_over_and_what_the_first_was_sending_is_torn(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(replace(settings, takeover_seconds=60)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        told: list[FragmentAck] = []
        async with streams.record(stream, None) as first, anyio.create_task_group() as group:
            group.start_soon(gather, first, told)
            await first.feed(producer.body(2) + producer.fragment(2)[:9_000])

            async def leave() -> None:
                await first.wanted()
                await first.fail(AckErrorCode.STREAM_READ_ERROR)

            group.start_soon(leave)
            later = await write(streams, stream, producer.header + producer.fragment(2) + producer.fragment(3))
            await first.feed(producer.fragment(2)[9_000:])  # to nobody's use
        assert (told[-1].kind, told[-1].error_code) == (AckEventType.ERROR, AckErrorCode.STREAM_READ_ERROR)
        assert told[-1].timecode_ms == 2000
        persisted = [a.number for a in (*told, *later) if a.kind is AckEventType.PERSISTED]
        body = b"".join([piece async for piece in await streams.tail(stream, Earliest())])
        assert len(persisted) == 4
        assert persisted == sorted(persisted, key=lambda number: number or "")
        assert [body.count(producer.fragment(index)) for index in range(5)] == [1, 1, 1, 1, 0]


async def test_a_first_producer_that_does_not_leave_in_time_stays(make_streams: Make, settings: StreamSettings) -> None:
    async with make_streams(replace(settings, takeover_seconds=0.01)) as streams:
        stream = await streams.catalog.create("call")
        async with streams.record(stream, None) as first:
            with pytest.raises(ProducerConnected):
                async with streams.record(stream, None):
                    pass
            with anyio.fail_after(120):
                await first.wanted()


async def test_the_stream_is_free_as_soon_as_a_connection_has_failed(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with streams.record(stream, None) as first, anyio.create_task_group() as group:
        group.start_soon(gather, first, [])
        await first.feed(b"garbage")
        assert await write(streams, stream, producer.body(1))  # while that one is still being told


def _many_blocks(count: int) -> bytes:
    """A body of one fragment with so many blocks of nothing, seven bytes each."""
    track = Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
    blocks = bytes.fromhex("a3 85 81 0000 80 00") * count
    timecode = bytes.fromhex("e7 81 00")
    size = (0x0100_0000_0000_0000 | (len(timecode) + len(blocks))).to_bytes(8, "big")
    return Muxer(track).header() + bytes.fromhex("1f43b675") + size + timecode + blocks


async def test_a_fragment_of_too_many_blocks_is_refused(make_streams: Make, settings: StreamSettings) -> None:
    async with make_streams(replace(settings, max_fragment_blocks=1_000)) as streams:
        stream = await streams.catalog.create("call")
        told = await write(streams, stream, _many_blocks(1_000))
        assert [one.kind for one in told] == [AckEventType.BUFFERING, AckEventType.RECEIVED]
        told = await write(streams, stream, _many_blocks(1_001))
        assert (told[-1].kind, told[-1].error_code) == (AckEventType.ERROR, AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)


async def test_a_connection_with_much_to_do_lets_the_others_run(make_streams: Make, settings: StreamSettings) -> None:
    """Measured in time of this thread: what else the machine does counts for nothing."""
    longest = 0.0

    async def watch(*, task_status: TaskStatus[None]) -> None:
        nonlocal longest
        task_status.started()
        since = time.thread_time()
        while True:
            await checkpoint()
            now = time.thread_time()
            longest, since = max(longest, now - since), now

    async with make_streams(replace(settings, max_fragment_blocks=100_000)) as streams:
        stream, body = await streams.catalog.create("call"), _many_blocks(100_000)
        async with anyio.create_task_group() as group:
            await group.start(watch)
            before = time.thread_time()
            await write(streams, stream, body)
            took = time.thread_time() - before
            group.cancel_scope.cancel()
    assert took > 0.1, "else there was not much to do"
    assert longest < 0.02
