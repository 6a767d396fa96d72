"""A fragment can be read while it arrives, and is never taken for complete before it is."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from carillon.clock import ManualClock
from carillon.matroska import Demuxer, DocumentStarted, tags_element
from carillon.media import FragmentParser
from carillon.streams import (
    AckErrorCode,
    AckEventType,
    AfterFragment,
    Earliest,
    Now,
    PutMediaSession,
    Stream,
    Streams,
    StreamSettings,
    Tail,
)
from carillon.streams.fragment_numbers import NumberSource
from carillon.streams.fragments import ArrivingFragment, ReceivedFragment
from carillon.streams.ingest.parser import PutMediaParser

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]
NOW = ManualClock().now()
END = b"CONTINUATION_TOKEN"


def new_ingest(settings: StreamSettings | None = None) -> PutMediaParser:
    numbers = NumberSource(0, lambda: 5)
    numbers.extend(1_000)
    return PutMediaParser(numbers, None, settings or StreamSettings())


def watch(
    ingest: PutMediaParser, pieces: Sequence[bytes]
) -> tuple[list[ArrivingFragment], list[ReceivedFragment], dict[str, bytes]]:
    """Feed pieces; return what arrived, what was complete, and what could be read of each before it was."""
    seen: list[ArrivingFragment] = []
    complete: list[ReceivedFragment] = []
    shown: dict[str, bytes] = {}
    for piece in pieces:
        complete += (o for o in ingest.feed(piece, NOW) if isinstance(o, ReceivedFragment))
        arriving = ingest.arriving
        if arriving:
            if arriving not in seen:
                seen.append(arriving)
            shown[arriving.number] = shown.get(arriving.number, b"") + arriving.read(
                len(shown.get(arriving.number, b""))
            )
    complete += (o for o in ingest.end(NOW) if isinstance(o, ReceivedFragment))
    return seen, complete, shown


@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("cut", [1, 7, 333, 5_000])
def test_what_is_shown_begins_the_body_that_it_becomes_whatever_the_cuts(
    known_size: bool, cut: int, make_producer: Any
) -> None:
    producer = make_producer(tracks=2)
    tags = tags_element([("CallId", "c")])
    body = producer.header + b"".join(producer.fragment(n, known_size) + tags for n in range(3))
    seen, complete, shown = watch(new_ingest(), [body[at : at + cut] for at in range(0, len(body), cut)])
    assert [arriving.complete for arriving in seen] == complete
    for arriving, fragment in zip(seen, complete, strict=True):
        assert fragment.body.startswith(shown[arriving.number])
        assert (arriving.number, arriving.head) == (fragment.number, fragment.head)
        assert (arriving.server_at, arriving.producer_at) == (fragment.server_at, fragment.producer_at)
        assert arriving.read(0) == b""  # its bytes are held once
    if cut < 1_000:
        assert all(len(shown[fragment.number]) > 0.8 * len(fragment.body) for fragment in complete)


def test_only_whole_elements_that_break_no_rule_are_shown(producer: Any) -> None:
    ingest = new_ingest()
    cluster = producer.fragment(0)
    block = len(producer.fragment(0, blocks=2)) - len(producer.fragment(0, blocks=1))
    until_first = len(cluster) - 9 * block
    ingest.feed(producer.header + cluster[: until_first + block // 2], NOW)
    assert ingest.arriving
    assert ingest.arriving.read(0) == cluster[:until_first]
    undeclared = producer.fragment(0, blocks=1, tracks=[2])[-block:]
    arriving = ingest.arriving
    ingest.feed(cluster[until_first + block // 2 : until_first + block] + undeclared, NOW)
    assert ingest.ended
    assert arriving.is_torn
    assert not arriving.has_begun
    assert arriving.read(0) == b""
    assert arriving.complete is None
    assert ingest.arriving is None


def test_the_next_cluster_is_never_shown_as_part_of_the_one_before(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1, known_size=False) + producer.fragment(1)[:3], NOW)
    assert ingest.arriving
    assert ingest.arriving.read(0) == producer.fragment(0, known_size=False)


def test_a_producer_that_never_sends_tags_behind_a_cluster_is_not_waited_for_twice(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1), NOW)
    assert ingest.is_whole
    assert ingest.expects_tags
    ingest.finalize(NOW)
    ingest.feed(producer.fragment(1), NOW)
    assert ingest.is_whole
    assert not ingest.expects_tags
    ingest.finalize(NOW)
    ingest.feed(tags_element([("late", "1")]) + producer.fragment(2), NOW)
    assert ingest.expects_tags  # from now on it is
    ingest.finalize(NOW)
    ingest.feed(producer.fragment(3), NOW)
    assert ingest.expects_tags


class Listener:
    """Reads a tail beside a producer and keeps what came."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.got = bytearray()
        self.has_ended = False
        self._came = anyio.Event()

    async def listen(self) -> None:
        async for piece in self.tail:
            self.got += piece
            self._came.set()
        self.has_ended = True
        self._came.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what came."""
        with anyio.fail_after(120):
            while not holds():
                await self._came.wait()
                self._came = anyio.Event()

    async def until_complete(self, count: int) -> None:
        """Wait until a consumer takes so many fragments for complete."""
        await self.until(lambda: len(self.complete()) >= count)

    def complete(self) -> list[Any]:
        """Return the numbers of what a consumer takes for complete."""
        return [fragment.number for fragment in FragmentParser().feed(bytes(self.got))]


async def drain(recording: PutMediaSession, told: list[str] | None = None) -> None:
    async for acknowledgement in recording.acknowledgements:
        if told is not None and acknowledgement.kind is AckEventType.RECEIVED:
            told.append(acknowledgement.number or "")


@asynccontextmanager
async def producing(streams: Streams, stream: Stream, told: list[str] | None = None) -> AsyncIterator[PutMediaSession]:
    """Write as one connection does, whose body ends with the block."""
    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(drain, recording, told)
        yield recording
        await recording.end()


async def listening(streams: Streams, stream: Stream, group: anyio.abc.TaskGroup) -> Listener:
    listener = Listener(await streams.tail(stream, Now()))
    group.start_soon(listener.listen)
    return listener


@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("hours", [0, 1])
async def test_a_reader_hears_every_block_as_it_comes(
    make_streams: Make, settings: StreamSettings, producer: Any, known_size: bool, hours: int
) -> None:
    async with make_streams(replace(settings, end_seconds=60)) as streams, anyio.create_task_group() as group:
        stream = await streams.catalog.create("call", retention_hours=hours)
        listener = await listening(streams, stream, group)
        numbers: list[str] = []
        async with producing(streams, stream, numbers) as recording:
            await recording.feed(producer.header)
            for index in range(3):
                cluster, before = producer.fragment(index, known_size), len(listener.got)
                for begin, end in itertools.pairwise([0, 20, *range(1_000, len(cluster), 5_000)]):
                    await recording.feed(cluster[begin:end])

                    def heard(cluster: bytes = cluster, before: int = before) -> bytes:
                        _, begun, rest = bytes(listener.got[before:]).rpartition(cluster[:9])
                        return rest if begun else b""

                    def all_but_a_cut_block(end: int = end, heard: Callable[[], bytes] = heard) -> bool:
                        return len(heard()) >= end - 1_700

                    await listener.until(all_but_a_cut_block)
                    assert cluster[9:end].startswith(heard())
                await recording.feed(cluster[end:])
                await recording.finalize()
                if not known_size:
                    await recording.feed(tags_element([("CallId", str(index))]))
                    await recording.finalize()
                await listener.until_complete(index + 1)
                await wait_all_tasks_blocked()  # until the producer was told so, too
                assert listener.complete() == numbers
                assert len(numbers) == index + 1
        group.cancel_scope.cancel()


async def test_what_a_reader_follows_is_what_is_stored(streams: Streams, make_producer: Any) -> None:
    producer = make_producer(tracks=2)
    stream = await streams.catalog.create("call", retention_hours=1)
    async with anyio.create_task_group() as group:
        listener = await listening(streams, stream, group)
        async with producing(streams, stream) as recording:
            body = producer.body(5, known_size=False)
            for at in range(0, len(body), 700):
                await recording.feed(body[at : at + 700])
    stored = b"".join([piece async for piece in await streams.tail(stream, Earliest())])
    assert [*FragmentParser().feed(bytes(listener.got))] == [*FragmentParser().feed(stored)]
    assert stored.count(END) == 5


ENDS: dict[str, Callable[[PutMediaSession, Streams, Stream], Any]] = {
    "cut off": lambda recording, *_: recording.end(),
    "gone": lambda recording, *_: recording.fail(AckErrorCode.STREAM_READ_ERROR),
    "garbage": lambda recording, *_: recording.feed(b"\xff" * 5_000),
    "our mistake": lambda recording, *_: recording.fail(AckErrorCode.INTERNAL_ERROR),
    "deleted": lambda _recording, streams, stream: streams.delete(stream.arn),
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_fragment_that_breaks_off_ends_the_body_and_is_not_complete(
    make_streams: Make, settings: StreamSettings, producer: Any, how: str
) -> None:
    async with make_streams(replace(settings, end_seconds=60)) as streams, anyio.create_task_group() as group:
        stream = await streams.catalog.create("call")
        listener = await listening(streams, stream, group)
        numbers: list[str] = []
        async with producing(streams, stream, numbers) as recording:
            await recording.feed(producer.body(1) + producer.fragment(1)[:9_000])
            await listener.until(lambda: bytes(listener.got).count(producer.header) == 2)
            await ENDS[how](recording, streams, stream)
            await listener.until(lambda: listener.has_ended)
        assert listener.complete() == numbers
        assert len(numbers) == 1


async def test_a_fragment_that_lacks_a_track_is_heard_but_not_complete(streams: Streams, make_producer: Any) -> None:
    producer = make_producer(tracks=2)
    stream = await streams.catalog.create("call")
    async with anyio.create_task_group() as group:
        listener = await listening(streams, stream, group)
        async with producing(streams, stream) as recording:
            await recording.feed(producer.header + producer.fragment(0, tracks=[1]))
            await listener.until(lambda: producer.fragment(0, tracks=[1]) in bytes(listener.got))
    assert listener.complete() == []


async def test_a_stop_in_mid_fragment_ends_the_body(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with anyio.create_task_group() as group:
        listener = await listening(streams, stream, group)
        with anyio.CancelScope() as scope:
            async with streams.record(stream, None) as recording:
                await recording.feed(producer.body(1)[:-10])
                await listener.until(lambda: bool(listener.got))
                scope.cancel()
    assert listener.complete() == []


async def test_a_producer_that_stalls_in_mid_fragment_ends_the_body_in_time(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with producing(streams, stream) as recording:
        await recording.feed(producer.body(1)[:-10])
        listener = Listener(await streams.tail(stream, Now()))
        await listener.listen()  # ends, while the producer is still there
        assert listener.complete() == []
        again = await streams.tail(stream, Now())
        await recording.feed(producer.body(1)[-10:])
        await recording.finalize()
        whole = b"".join([piece async for piece in again])
        assert len([*FragmentParser().feed(whole)]) == 1


async def test_whoever_joins_late_hears_the_open_fragment_from_its_beginning(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with producing(streams, stream) as recording:
        first, rest = producer.body(2)[:-5_000], producer.body(2)[-5_000:]
        await recording.feed(first)
        for start in (Now(), Earliest()):
            tail = await streams.tail(stream, start)
            complete, opened = await anext(tail), await anext(tail)
            assert producer.fragment(0) in complete
            assert producer.fragment(1)[:8_000] in opened
            await tail.aclose()
        await recording.feed(rest)


async def test_reading_goes_on_after_the_last_complete_fragment(streams: Streams, producer: Any) -> None:
    stream = await streams.catalog.create("call")
    async with anyio.create_task_group() as group:
        listener = await listening(streams, stream, group)
        async with producing(streams, stream) as recording:
            await recording.feed(producer.body(2)[:-10])
            await listener.until_complete(1)
    (last,) = listener.complete()
    async with producing(streams, stream) as recording:
        await recording.feed(producer.header + producer.fragment(1))
    body = b"".join([piece async for piece in await streams.tail(stream, AfterFragment(last))])
    assert [event.start for event in Demuxer().feed(body) if isinstance(event, DocumentStarted)] == [0]
    assert producer.fragment(1) in body


@pytest.mark.parametrize("hours", [0, 1])
async def test_a_slow_reader_holds_no_more_than_the_fragment_that_it_reads(
    make_streams: Make, settings: StreamSettings, producer: Any, hours: int
) -> None:
    limits: dict[str, Any] = {"ring_bytes": 40_000, "cache_bytes": 40_000}
    async with make_streams(replace(settings, **limits)) as streams:
        stream = await streams.catalog.create("call", retention_hours=hours)
        tail = await streams.tail(stream, Now())
        got = b""
        numbers: list[str] = []
        async with producing(streams, stream, numbers) as recording:
            body = producer.body(20)
            await recording.feed(body[:5_000])
            got += await anext(tail)  # and then takes nothing while nineteen more arrive
            for at in range(5_000, len(body), 1_000):
                await recording.feed(body[at : at + 1_000])
        await streams.sweep()
        live = await streams._store.live(stream)
        assert live.cached_bytes <= 40_000
        assert live.arriving is None
        got += b"".join([piece async for piece in tail])
        complete = [fragment.number for fragment in FragmentParser().feed(got)]
        assert complete[0] == numbers[0]  # what it was in the middle of, to its end
        assert complete == numbers if hours else complete[1:] == numbers[-2:]


async def test_a_reader_that_wants_whole_fragments_gets_them_when_they_are(
    make_streams: Make, settings: StreamSettings, producer: Any
) -> None:
    async with make_streams(replace(settings, end_seconds=60)) as streams, anyio.create_task_group() as group:
        stream = await streams.catalog.create("call")
        listener = Listener(await streams.tail(stream, Now(), is_whole=True))
        group.start_soon(listener.listen)
        async with producing(streams, stream) as recording:
            await recording.feed(producer.body(2)[:-10])
            await listener.until_complete(1)
            assert len(listener.complete()) == 1
            assert listener.got.count(producer.header) == 1
            await recording.feed(producer.body(2)[-10:])
            await recording.finalize()
            await listener.until_complete(2)
        group.cancel_scope.cancel()
