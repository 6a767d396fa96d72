"""Every fragment once and in order, however often the connection breaks; and no endpoint is hammered."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import prometheus_client
import pytest
import structlog.testing
from anyio import create_task_group, fail_after
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from carillon.clock import ManualClock, SystemClock
from carillon.errors import CarillonError
from carillon.matroska import MatroskaError, Muxer
from carillon.media import (
    After,
    ChannelDecoder,
    ChannelSource,
    Chunk,
    FragmentNotFound,
    FragmentReader,
    FragmentTooLarge,
    KinesisVideoClient,
    MediaEncrypted,
    MediaInterrupted,
    MediaSettings,
    Newest,
    NotAuthorized,
    Oldest,
    Position,
    RemoteStreamNotFound,
    RequestRefused,
    StreamUnavailable,
    as_live,
    put_media,
    read_recording,
)
from carillon.media.codecs import codec_of
from carillon.media.packets import PacketDecoder
from clocks import RecordingClock

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
NEWEST = Newest()
FIRST_AT = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Connection:
    """What one connection of a tape gives."""

    data: bytes = b""
    failure: Exception | None = None
    """How it ends; None is a proper end."""
    lasts_seconds: float = 0.0
    cuts: Sequence[int] = ()
    """Where the data is split."""
    refusal: Exception | None = None
    """Why it is not even opened."""


@dataclass
class Tape:
    """Connections to play one after the other, then a stream that is gone."""

    connections: list[Connection]
    clock: RecordingClock = field(default_factory=RecordingClock)
    selectors: list[Mapping[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        self.selectors.append(selector)
        if len(self.selectors) > len(self.connections):
            raise RemoteStreamNotFound(stream_arn)
        connection = self.connections[len(self.selectors) - 1]
        if connection.refusal is not None:
            raise connection.refusal
        async with aclosing(self._play(connection)) as body:
            yield body

    async def _play(self, connection: Connection) -> Any:
        places = sorted({0, len(connection.data), *(cut % (len(connection.data) + 1) for cut in connection.cuts)})
        for first, end in pairwise(places):
            await checkpoint()
            yield connection.data[first:end]
        self.clock.advance(timedelta(seconds=connection.lasts_seconds))
        if connection.failure is not None:
            raise connection.failure

    async def read(self, start: Position = NEWEST, settings: MediaSettings | None = None) -> list[Any]:
        """The fragments that a reader makes of it, until the stream is gone."""
        reader = FragmentReader(ARN, start, self, settings, clock=self.clock)
        *found, end = await collect(reader)
        assert end is RemoteStreamNotFound
        return found


async def collect(reader: FragmentReader, most: int | None = None) -> list[Any]:
    """The fragments of a reader by what their one block says; if it fails, the kind of error comes last."""
    found: list[Any] = []
    async with aclosing(reader.fragments()) as fragments:
        try:
            async for fragment in fragments:
                found.append(int(fragment.blocks[0].data))
                if len(found) == most:
                    break
        except CarillonError as error:
            found.append(type(error))
    return found


async def test_it_goes_on_after_the_last_complete_fragment(media: Any) -> None:
    torn = media.fragments(1, 3)[:-10]
    tape = Tape([Connection(torn, StreamUnavailable(ARN, "cut")), Connection(media.fragments(3, 5))])
    assert await tape.read() == [1, 2, 3, 4, 5]
    assert tape.selectors == [
        {"StartSelectorType": "NOW"},
        {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": media.number(2)},
        {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": media.number(5)},
    ]


async def test_until_there_is_a_fragment_it_begins_where_it_was_told(media: Any) -> None:
    for start, selector in (
        (Oldest(), {"StartSelectorType": "EARLIEST"}),
        (After("7"), {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "7"}),
    ):
        tape = Tape([Connection(media.fragment(1)[:-1], StreamUnavailable(ARN, "cut")), Connection()])
        assert await tape.read(start) == []
        assert tape.selectors == [selector] * 3


async def test_a_place_that_is_lost_before_anything_was_read_is_found_by_its_time_if_that_is_known(media: Any) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    lost = Connection(failure=FragmentNotFound("7"))
    tape = Tape([lost, Connection(media.fragments(1, 2))])
    assert await tape.read(After("7", at)) == [1, 2]
    assert tape.selectors[:2] == [
        {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "7"},
        {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": at},
    ]
    assert await collect(FragmentReader(ARN, After("7"), Tape([lost]))) == [FragmentNotFound]


async def test_it_tells_while_nobody_can_say_whether_there_are_fragments(media: Any) -> None:
    refused = Connection(refusal=StreamUnavailable(ARN, "nobody answers"))
    tape = Tape([refused, Connection(media.fragments(1, 2), StreamUnavailable(ARN, "cut")), refused, Connection()])
    told: list[bool] = []

    class Watching(ManualClock):
        async def sleep(self, seconds: float) -> None:
            told.append(reader.is_unreachable)

    reader = FragmentReader(ARN, NEWEST, tape, clock=Watching())
    assert await collect(reader) == [1, 2, RemoteStreamNotFound]
    assert told[:3] == [True, False, True]


async def test_what_it_has_had_already_is_dropped(media: Any) -> None:
    again = media.fragments(1, 2) + media.fragments(2, 2) + media.fragments(1, 3)
    tape = Tape([Connection(again), Connection(media.fragments(1, 4))])
    assert await tape.read() == [1, 2, 3, 4]
    assert await Tape([Connection(media.fragments(1, 4))]).read(After(media.number(2))) == [3, 4]


FAILURES = st.sampled_from([None, StreamUnavailable(ARN, "cut"), "tag"])


@given(
    count=st.integers(1, 6),
    breaks=st.lists(st.tuples(st.integers(0, 10_000), FAILURES, st.integers(0, 3), st.lists(st.integers(0, 5000)))),
)
async def test_any_cuts_give_every_fragment_once_and_in_order(
    media: Any, count: int, breaks: list[tuple[int, Exception | str | None, int, list[int]]]
) -> None:
    @dataclass
    class Server(Tape):
        """Serves what was asked for, and perhaps something before it; breaks off where it is told to."""

        @asynccontextmanager
        async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[Any]:
            after = media.index(selector.get("AfterFragmentNumber", media.number(0)))
            turn = len(self.selectors)
            at, how, extra, cuts = breaks[turn] if turn < len(breaks) else (None, None, 0, [])
            body = media.fragments(max(1, after + 1 - extra), count)
            data = body if at is None else body[: at % (len(body) + 1)]
            failure = how if isinstance(how, Exception) else None
            if how == "tag":
                failure = None
                data = media.fragments(max(1, after + 1 - extra), after) + media.error(5000, index=0)
            self.connections.append(Connection(data, failure, cuts=cuts))
            if turn > len(breaks):
                self.connections.clear()
            async with super().get_media(stream_arn, selector) as opened:
                yield opened

    assert await Server([]).read() == list(range(1, count + 1))


async def test_an_endpoint_that_ends_at_once_is_asked_ever_less_often() -> None:
    tape = Tape([Connection() for _ in range(6)])
    assert await tape.read() == []
    assert tape.clock.pauses == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


async def test_an_endpoint_that_repeats_itself_counts_as_one_that_sends_nothing(media: Any) -> None:
    tape = Tape([Connection(media.fragment(1)) for _ in range(4)])
    assert await tape.read() == [1]
    assert tape.clock.pauses == [0.2, 0.4, 0.8]


async def test_the_proper_end_of_a_silent_stream_costs_no_pause() -> None:
    tape = Tape([Connection(lasts_seconds=3) for _ in range(4)])
    assert await tape.read() == []
    assert tape.clock.pauses == []


async def test_a_connection_that_gave_something_is_followed_at_once(media: Any) -> None:
    tape = Tape([Connection(media.fragment(index)) for index in (1, 2, 3)])
    assert await tape.read() == [1, 2, 3]
    assert tape.clock.pauses == []


async def test_pauses_begin_anew_once_something_was_read(media: Any) -> None:
    down = Connection(failure=StreamUnavailable(ARN, "down"))
    quiet = Connection(lasts_seconds=3)
    tape = Tape([down, down, Connection(media.fragment(1)), down, down, quiet, down])
    assert await tape.read() == [1]
    assert tape.clock.pauses == [0.2, 0.4, 0.2, 0.4, 0.2]


async def test_a_thousand_failures_are_survived() -> None:
    tape = Tape([Connection(failure=StreamUnavailable(ARN, "down")) for _ in range(1_100)])
    assert await tape.read() == []
    assert set(tape.clock.pauses[3:]) == {1.0}


# What the endpoint has lost.


def after(media: Any, index: int) -> Mapping[str, Any]:
    return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": media.number(index)}


async def test_a_fragment_that_the_endpoint_can_never_read_is_left_out(media: Any) -> None:
    broken = Connection(media.error(5000, 3))
    tape = Tape([Connection(media.fragments(1, 2) + broken.data), broken, broken, Connection(media.fragments(4, 5))])
    with structlog.testing.capture_logs() as logs:
        assert await tape.read() == [1, 2, 4, 5]
    assert tape.selectors[1:4] == [after(media, 2), after(media, 2), after(media, 3)]
    assert tape.clock.pauses == [0.2, 0.4]
    left_out = [entry for entry in logs if entry["event"] == "stream.fragment_left_out"]
    assert [entry["fragment_number"] for entry in left_out] == [media.number(3)]


async def test_of_fragments_that_cannot_be_read_one_after_the_other_only_the_first_is_asked_for_again(
    media: Any,
) -> None:
    broken = [Connection(media.error(5000, index)) for index in (1, 1, 1, 2, 3)]
    tape = Tape([*broken, Connection(media.fragment(4))])
    assert await tape.read() == [4]
    assert tape.selectors[3:6] == [after(media, 1), after(media, 2), after(media, 3)]
    assert tape.clock.pauses == [0.2, 0.4]


async def test_an_endpoint_that_goes_on_behind_what_it_cannot_read_is_not_asked_again(media: Any) -> None:
    body = media.fragment(1) + media.error(5000, 2) + media.error(5000, 3) + media.fragment(4)
    tape = Tape([Connection(body), Connection(body), Connection(body)])
    assert await tape.read() == [1, 4]
    assert tape.selectors == [{"StartSelectorType": "NOW"}, after(media, 1), after(media, 1), after(media, 4)]


async def test_a_fragment_that_can_be_read_the_next_time_is_not_left_out(media: Any) -> None:
    broken = Connection(media.fragment(1) + media.error(3002, 2))
    tape = Tape([broken, Connection(media.error(3002, 2)), Connection(media.fragments(2, 3))])
    assert await tape.read() == [1, 2, 3]
    again = Tape([broken, Connection(media.fragments(2, 3) + media.error(3002, 4)), Connection(media.fragments(4, 5))])
    assert await again.read() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("index", [None, 1, 2])
async def test_where_nobody_knows_which_fragment_it_is_the_reader_goes_on_with_the_newest(
    media: Any, index: int | None
) -> None:
    error = media.error(5000, index or 1)
    broken = Connection(error if index else error.replace(media.number(1).encode(), b"x" * 47))
    newer = Connection(media.fragments(2, 2) + media.fragments(7, 8))
    tape = Tape([Connection(media.fragments(1, 2)), broken, broken, broken, newer])
    assert await tape.read() == [1, 2, 7, 8]
    assert tape.selectors[1:5] == [after(media, 2)] * 3 + [{"StartSelectorType": "NOW"}]


@pytest.mark.parametrize("error_id", [3000, 4000])
async def test_an_endpoint_that_lost_our_place_is_asked_for_the_time_and_gives_what_is_left(
    media: Any, error_id: int
) -> None:
    lost = Connection(media.error(error_id, 2))
    tape = Tape([Connection(media.fragments(1, 2)), lost, Connection(media.fragments(2, 2) + media.fragments(6, 7))])
    assert await tape.read(After(media.number(0))) == [1, 2, 6, 7]
    then = datetime(1970, 1, 1, 0, 0, 2, 500_000, UTC)
    assert tape.selectors[1:3] == [after(media, 2), {"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": then}]
    assert tape.clock.pauses == [0.2]


async def test_an_endpoint_that_lost_even_the_time_is_asked_for_what_is_new(media: Any) -> None:
    lost = Connection(media.error(4000, 2))
    tape = Tape([Connection(media.fragments(1, 2)), lost, lost, Connection(media.fragments(9, 9)), lost])
    assert await tape.read() == [1, 2, 9]
    kinds = [selector["StartSelectorType"] for selector in tape.selectors]
    assert kinds == ["NOW", "FRAGMENT_NUMBER", "SERVER_TIMESTAMP", "NOW", "FRAGMENT_NUMBER", "SERVER_TIMESTAMP"]


async def test_a_place_to_begin_that_is_not_there_is_an_error(media: Any) -> None:
    tape = Tape([Connection(media.error(4000, 5))])
    reader = FragmentReader(ARN, After(media.number(5)), tape, clock=tape.clock)
    assert await collect(reader) == [FragmentNotFound]


async def test_how_late_fragments_are_is_measured(media: Any) -> None:
    def lag(what: str) -> float:
        value = prometheus_client.REGISTRY.get_sample_value(f"carillon_media_lag_seconds_{what}")
        assert value is not None
        return value

    count, total = lag("count"), lag("sum")
    at = datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
    tape = Tape([Connection(media.fragments(1, 2)), Connection(media.fragment(30))], clock=RecordingClock(at))
    assert await tape.read() == [1, 2, 30]
    assert lag("count") - count == 3
    assert lag("sum") - total == pytest.approx(8.5 + 7.5)


async def test_a_reader_that_is_closed_closes_its_connection(media: Any) -> None:
    closed = []

    class Watched(Tape):
        @asynccontextmanager
        async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[Any]:
            try:
                async with super().get_media(stream_arn, selector) as body:
                    yield body
            finally:
                closed.append(selector)

    tape = Watched([Connection(media.fragments(1, 3))])
    reader = FragmentReader(ARN, NEWEST, tape, clock=tape.clock)
    assert await collect(reader, 2) == [1, 2]
    assert len(closed) == 1


# From here on the connection is a real one.


@pytest.fixture
def read(client: KinesisVideoClient, swift: MediaSettings) -> Callable[..., Awaitable[list[Any]]]:
    """Read from the endpoint, with next to no pauses."""

    async def read(most: int | None = None) -> list[Any]:
        with fail_after(120):
            return await collect(FragmentReader(ARN, NEWEST, client, swift), most)

    return read


async def test_every_way_to_break_off_costs_no_fragment(endpoint: Any, read: Any, media: Any, cut: Any) -> None:
    async def end_early(request: Any) -> None:
        await request.answer(media.fragments(1, 2) + media.fragment(3)[:-1])

    async def break_off(request: Any) -> None:
        await request.start()
        await request.write(media.fragment(request.after + 1) + media.fragment(request.after + 2)[:70])
        raise cut

    async def end_at_once(request: Any) -> None:
        await request.answer(b"")

    async def fall_ill(request: Any) -> None:
        await request.answer(media.fragment(request.after + 1) + media.error(3002, request.after + 2))

    async def be_busy(request: Any) -> None:
        await request.refuse("ConnectionLimitExceededException")

    async def move(request: Any) -> None:
        await request.refuse("InvalidEndpointException")

    async def crash(request: Any) -> None:
        raise cut

    async def repeat(request: Any) -> None:
        await request.answer(media.fragments(1, request.after + 1))

    ways = [end_early, break_off, end_at_once, crash, fall_ill, be_busy, move, repeat, break_off]

    async def next_way(request: Any) -> None:
        await ways[len(endpoint.asked("/getMedia")) - 1](request)

    endpoint.handlers["/getMedia"] = next_way
    assert await read(most=6) == [1, 2, 3, 4, 5, 6]
    assert len(endpoint.asked("/getMedia")) == len(ways)
    assert len(endpoint.asked("/getDataEndpoint")) == 3  # after the crash and the move


async def test_a_connection_that_stays_open_and_silent_is_replaced(
    endpoint: Any, client_of: Any, media: Any, swift: MediaSettings
) -> None:
    async def stall_once(request: Any) -> None:
        await request.start()
        await request.write(media.fragment(request.after + 1))
        if request.after == 0:
            await request.write(media.fragment(2)[:20])
            await request.hang()
        await request.end()

    endpoint.handlers["/getMedia"] = stall_once
    settings = replace(swift, read_seconds=0.1)
    async with client_of(endpoint.url, settings) as client:
        with fail_after(120):
            assert await collect(FragmentReader(ARN, NEWEST, client, settings), 2) == [1, 2]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ResourceNotFoundException", 404, RemoteStreamNotFound),
        ("InvalidArgumentException", 400, RequestRefused),
    ],
)
async def test_a_stream_that_cannot_be_read_is_not_asked_for_again(
    endpoint: Any, read: Any, code: str, status: int, error: type[CarillonError]
) -> None:
    async def refuse(request: Any) -> None:
        await request.refuse(code, status)

    endpoint.handlers["/getMedia"] = refuse
    assert await read() == [error]
    assert len(endpoint.asked("/getMedia")) == 1


async def test_a_request_that_is_denied_is_signed_anew_once(endpoint: Any, read: Any, media: Any) -> None:
    """A clock that is set between the signature and its check makes it look as if it were of another time."""
    answers = [None, media.fragment(1), None, media.fragment(2), None, None]

    async def answer(request: Any) -> None:
        data = answers[len(endpoint.asked("/getMedia")) - 1]
        await (request.refuse("InvalidSignatureException", 403) if data is None else request.answer(data))

    endpoint.handlers["/getMedia"] = answer
    assert await read() == [1, 2, NotAuthorized]
    assert len(endpoint.asked("/getMedia")) == len(answers)


@pytest.mark.parametrize("error_id", [4500, 4506])
async def test_errors_within_the_stream_come_after_the_fragments_before_them(
    endpoint: Any, read: Any, media: Any, error_id: int
) -> None:
    async def fail(request: Any) -> None:
        await request.answer(media.fragment(1) + media.error(error_id))

    endpoint.handlers["/getMedia"] = fail
    assert await read() == [1, MediaEncrypted]


async def test_what_is_no_kinesis_video_stream_is_refused(endpoint: Any, client: Any, media: Any) -> None:
    async def lie(request: Any) -> None:
        await request.answer(b"<html>" + bytes(1000))

    async def exaggerate(request: Any) -> None:
        await request.answer(media.fragment(1))

    for handler, error in ((lie, MatroskaError), (exaggerate, FragmentTooLarge)):
        endpoint.handlers["/getMedia"] = handler
        reader = FragmentReader(ARN, NEWEST, client, MediaSettings(max_fragment_bytes=10))
        with pytest.raises(error):
            await anext(reader.fragments())


async def test_an_interruption_is_told_once_and_its_end_too(media: Any) -> None:
    down = Connection(failure=MediaInterrupted("INTERNAL", 5000))
    tape = Tape([down, down, down, Connection(media.fragment(1))])
    with structlog.testing.capture_logs() as logs:
        await tape.read()
    assert [entry["event"] for entry in logs][:2] == ["stream.interrupted", "stream.resumed"]


async def test_a_call_that_is_sent_to_our_own_server_is_heard_while_it_is_spoken(
    carillon_url: str, create_stream: Any, client_of: Any, swift: MediaSettings, a_call: Any
) -> None:
    path, samples = a_call(seconds=4.25)
    arn = await create_stream("heard")
    began = SystemClock().now()
    heard: list[Chunk] = []

    async def listen(channel: int, position: Position, most: int) -> None:
        decoder = ChannelDecoder(ChannelSource(2, channel, 8_000))
        async with aclosing(FragmentReader(arn, position, client, swift).fragments()) as fragments:
            async for fragment in fragments:
                heard.append(decoder.decode(fragment))
                if len(heard) == most:
                    return

    async with client_of(carillon_url) as client:
        with fail_after(120):
            async with create_task_group() as group:
                group.start_soon(listen, 0, Oldest(), 5)
                await put_media(client, "heard", as_live(read_recording(path), 0), lambda _: None, settings=swift)
        np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in heard]), samples[:, 0] / 32_768)
        assert abs(heard[0].started_at - began) < timedelta(seconds=5)
        steps = {later.started_at - chunk.started_at for chunk, later in pairwise(heard)}
        assert steps == {timedelta(seconds=1)}
        first = heard[0].fragment_number
        heard.clear()
        with fail_after(120), pytest.raises(FragmentNotFound):
            await listen(1, After("9" * 47), 1)
        with fail_after(120):
            await listen(1, After(first), 4)
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in heard]), samples[8_000:, 1] / 32_768)


async def test_a_call_in_opus_comes_through_our_own_server_as_it_was_encoded(
    carillon_url: str, create_stream: Any, client_of: Any, swift: MediaSettings, encode: Any, babble: Any
) -> None:
    encoded = encode("libopus", babble(5, 48_000, 2), 48_000)
    muxer = Muxer(encoded.track)
    arn = await create_stream("opus")

    async def body() -> AsyncGenerator[bytes]:
        yield muxer.header()
        for blocks in encoded.fragment_blocks(50):
            yield muxer.cluster(blocks[0].timecode_ms, blocks)

    source = ChannelSource(2, 1, 48_000)
    async with client_of(carillon_url) as client:
        with fail_after(120):
            await put_media(client, "opus", body(), lambda _: None, settings=swift)
            async with aclosing(FragmentReader(arn, Oldest(), client, swift).fragments()) as fragments:
                first, second = await anext(fragments), await anext(fragments)
                decoder = ChannelDecoder(source)
                chunks = [decoder.decode(first), decoder.decode(second)]
                decoder = ChannelDecoder(source, decoder.state)  # as after a restart
                chunks += [decoder.decode(await anext(fragments)) for _ in range(2)]
    whole = PacketDecoder(codec_of(encoded.track)).decode(encoded.packets, 10_000_000).planes[1]
    heard = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(heard[:95_000], whole[:95_000])
    assert len(heard) == 4 * 48_000 - 312
