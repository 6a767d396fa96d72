"""PutMedia keeps its promises whatever the endpoint, the maker of the media or the listener does."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anyio import Event, create_task_group, fail_after, sleep_forever
from anyio.lowlevel import checkpoint

from carillon.clock import SystemClock
from carillon.errors import CarillonError, Transient
from carillon.matroska import Block, Muxer, Track
from carillon.media import (
    Acknowledgement,
    AcknowledgementType,
    FragmentParser,
    KinesisVideoClient,
    MediaSettings,
    NotAuthorized,
    PutMediaRefused,
    RemoteStreamNotFound,
    StreamUnavailable,
    UnreadableRecording,
    as_live,
    put_media,
    read_recording,
)

pytestmark = pytest.mark.anyio

BUFFERING, RECEIVED, PERSISTED = (
    AcknowledgementType.BUFFERING,
    AcknowledgementType.RECEIVED,
    AcknowledgementType.PERSISTED,
)
IDLE = b'{"EventType":"IDLE"}\n'
MUXER = Muxer(Track(1, 1, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))


class Maker:
    """Makes a document, and remembers how far it came."""

    def __init__(self, *pieces: bytes, then: Exception | None = None, lingers: bool = False) -> None:
        self.made = 0
        self.is_closed = False
        self._pieces = pieces
        self._then = then
        self._lingers = lingers

    async def document(self) -> AsyncGenerator[bytes]:
        try:
            for piece in self._pieces:
                yield piece
                self.made += 1
            if self._then is not None:
                raise self._then
            if self._lingers:
                await sleep_forever()
        finally:
            self.is_closed = True


class Ear:
    """Hears acknowledgements."""

    def __init__(self) -> None:
        self.heard: list[Acknowledgement] = []

    def __call__(self, acknowledgement: Acknowledgement) -> None:
        self.heard.append(acknowledgement)

    def timecodes(self, kind: AcknowledgementType) -> list[Any]:
        return [heard.fragment_timecode for heard in self.heard if heard.type is kind]


Send = Callable[..., Any]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def send(client: KinesisVideoClient, swift: MediaSettings, ear: Ear) -> Send:
    """Send a document to the endpoint; never for ever."""

    async def send(
        document: AsyncIterator[bytes], listener: Callable[[Acknowledgement], None] = ear, **changed: Any
    ) -> None:
        with fail_after(120):
            await put_media(client, "call", document, listener, settings=replace(swift, **changed))

    return send


async def acknowledge_all(request: Any) -> None:
    """Answer at once, say IDLE for whatever comes, and end when the document does."""
    await request.start()
    while await request.read() is not None:
        await request.write(IDLE)
    await request.end()


async def test_the_document_arrives_as_it_was_made(endpoint: Any, send: Send, ear: Ear) -> None:
    endpoint.handlers["/putMedia"] = acknowledge_all
    maker = Maker(b"", b"one", b"", b"two", b"three", b"")
    await send(maker.document())
    (request,) = endpoint.asked("/putMedia")
    assert request.body == b"onetwothree"
    assert {heard.type for heard in ear.heard} == {AcknowledgementType.IDLE}
    assert maker.is_closed
    headers = request.headers
    assert headers["x-amzn-stream-name"] == "call"
    assert headers["x-amzn-fragment-timecode-type"] == "ABSOLUTE"
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["transfer-encoding"] == "chunked"
    assert "x-amzn-producer-start-timestamp" not in headers
    assert "x-amzn-stream-name" in headers["authorization"]


async def test_relative_timecodes_say_what_they_count_from(
    endpoint: Any, client: KinesisVideoClient, swift: MediaSettings
) -> None:
    endpoint.handlers["/putMedia"] = acknowledge_all
    at = datetime(2026, 3, 1, 12, 0, 0, 5_000, UTC)
    await put_media(client, "call", Maker(b"x").document(), lambda _: None, started_at=at, settings=swift)
    headers = endpoint.asked("/putMedia")[0].headers
    assert headers["x-amzn-fragment-timecode-type"] == "RELATIVE"
    assert headers["x-amzn-producer-start-timestamp"] == "1772366400.005"


async def test_an_empty_document_is_one_too(endpoint: Any, send: Send) -> None:
    endpoint.handlers["/putMedia"] = acknowledge_all
    await send(Maker().document())
    assert endpoint.asked("/putMedia")[0].body == b""


async def test_each_piece_is_sent_before_the_next_is_made_and_heard_of_at_once(endpoint: Any, send: Send) -> None:
    endpoint.handlers["/putMedia"] = acknowledge_all
    acknowledged = Event()

    async def document() -> AsyncGenerator[bytes]:
        yield b"first"
        await acknowledged.wait()
        yield b"second"

    await send(document(), lambda _: acknowledged.set())
    assert endpoint.asked("/putMedia")[0].body == b"firstsecond"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ResourceNotFoundException", 404, RemoteStreamNotFound),
        ("NotAuthorizedException", 401, NotAuthorized),
        ("ExpiredTokenException", 403, NotAuthorized),
        ("InvalidArgumentException", 400, PutMediaRefused),
        ("", 400, PutMediaRefused),
        ("", 302, PutMediaRefused),
        ("ConnectionLimitExceededException", 400, StreamUnavailable),
        ("InvalidEndpointException", 400, StreamUnavailable),
        ("InternalFailure", 500, StreamUnavailable),
    ],
)
async def test_who_can_act_on_a_refusal(
    endpoint: Any, send: Send, code: str, status: int, error: type[CarillonError]
) -> None:
    async def refuse(request: Any) -> None:
        await request.read()
        await request.answer(b'{"Message":"so it is"}', status, x_amzn_errortype=code, location="/elsewhere")

    endpoint.handlers["/putMedia"] = refuse
    maker = Maker(b"x", lingers=True)
    with pytest.raises(error) as raised:
        await send(maker.document())
    assert isinstance(raised.value, Transient) == (error is StreamUnavailable)
    assert "so it is" in str(raised.value) or error is not PutMediaRefused
    assert endpoint.asked("/elsewhere") == []
    assert maker.is_closed


async def test_an_endpoint_that_does_not_serve_the_stream_is_asked_for_again(endpoint: Any, send: Send) -> None:
    async def move(request: Any) -> None:
        await request.read_all()
        await request.refuse("InvalidEndpointException")

    endpoint.handlers["/putMedia"] = move
    with pytest.raises(StreamUnavailable):
        await send(Maker(b"x").document())
    endpoint.handlers["/putMedia"] = acknowledge_all
    await send(Maker(b"x").document())
    await send(Maker(b"x").document())
    assert len(endpoint.asked("/getDataEndpoint")) == 2


async def test_an_error_acknowledgement_ends_it_and_stops_the_maker(endpoint: Any, send: Send, ear: Ear) -> None:
    async def reject(request: Any) -> None:
        await request.start()
        await request.read()
        await request.write(IDLE + json.dumps({"EventType": "ERROR", "ErrorId": 4006, "ErrorCode": "BAD"}).encode())
        await request.hang()

    endpoint.handlers["/putMedia"] = reject
    maker = Maker(b"x", lingers=True)
    with pytest.raises(PutMediaRefused, match=r"call refused the media: BAD \(4006\)"):
        await send(maker.document())
    assert [heard.error_id for heard in ear.heard] == [None, 4_006]
    assert maker.is_closed


FAILURES = [ValueError("mine"), OSError(5, "mine"), TimeoutError("mine"), UnreadableRecording("mine")]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_what_the_maker_raises_comes_out_as_it_is(endpoint: Any, send: Send, failure: Exception) -> None:
    started, over = Event(), Event()
    ended_properly: list[bool] = []

    async def listen(request: Any) -> None:
        await request.start()
        await request.write(IDLE)
        started.set()
        while (message := await request.receive())["type"] == "http.request" and message["more_body"]:
            pass
        ended_properly.append(message["type"] == "http.request")
        over.set()

    async def document() -> AsyncGenerator[bytes]:
        yield b"one"
        yield b"two"
        await started.wait()
        raise failure

    endpoint.handlers["/putMedia"] = listen
    with pytest.raises(type(failure)) as raised:
        await send(document(), acknowledgement_seconds=60)
    assert raised.value is failure
    with fail_after(120):
        await over.wait()
    assert ended_properly == [False]  # the torn fragment must not look whole


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_a_maker_that_fails_before_it_begins_opens_no_connection(
    endpoint: Any, send: Send, failure: Exception
) -> None:
    with pytest.raises(type(failure)) as raised:
        await send(Maker(then=failure).document())
    assert raised.value is failure
    assert endpoint.asked("/putMedia") == []


async def test_what_the_listener_raises_comes_out_as_it_is(endpoint: Any, send: Send) -> None:
    endpoint.handlers["/putMedia"] = acknowledge_all

    def listen(_: Acknowledgement) -> None:
        raise OSError("the screen is full")

    maker = Maker(b"x", lingers=True)
    with pytest.raises(OSError, match="the screen is full"):
        await send(maker.document(), listen)
    assert maker.is_closed


async def _never_answer(request: Any) -> None:
    await request.read()
    await request.hang()


async def _answer_and_fall_silent(request: Any) -> None:
    await request.start()
    await request.write(IDLE)
    await request.hang()


async def _never_read(request: Any) -> None:
    await request.start()
    await request.over.wait()


SILENT = [_never_answer, _answer_and_fall_silent, _never_read]


@pytest.mark.parametrize("peer", SILENT, ids=lambda peer: peer.__name__)
@pytest.mark.parametrize("lingers", [True, False])
async def test_a_peer_that_falls_silent_is_given_up(endpoint: Any, send: Send, peer: Any, lingers: bool) -> None:
    endpoint.handlers["/putMedia"] = peer
    maker = Maker(*[bytes(1_000_000)] * 20, lingers=lingers) if peer is _never_read else Maker(b"x", lingers=lingers)
    short = {"connect_seconds": 0.1, "answer_seconds": 0.1, "acknowledgement_seconds": 0.2}
    with pytest.raises(StreamUnavailable, match="nothing came in time"):
        await send(maker.document(), **short)
    assert maker.is_closed
    assert maker.made < 20


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The producer's own time, which stands still unless a test appends to it."""
    passed = [0.0]
    monkeypatch.setattr("carillon.media.producer.current_time", lambda: passed[-1])
    return passed


async def _idle_and_never_read(request: Any) -> None:
    await request.start()
    while not request.over.is_set():
        await request.write(IDLE)
        await checkpoint()


async def test_idling_counts_while_the_maker_has_nothing_to_send(endpoint: Any, send: Send, hours: list[float]) -> None:
    endpoint.handlers["/putMedia"] = _idle_and_never_read
    enough = Event()

    async def document() -> AsyncGenerator[bytes]:
        yield b"x"
        await enough.wait()
        raise ValueError("enough")

    def listen(_: Acknowledgement) -> None:
        hours.append(hours[-1] + 20)
        if hours[-1] > 1_000:
            enough.set()

    with pytest.raises(ValueError, match="enough"):
        await send(document(), listen, acknowledgement_seconds=30)


@pytest.mark.parametrize("pieces", [[b"x"], [bytes(1_000_000)] * 20], ids=["over", "stuck"])
async def test_idling_does_not_count_once_the_endpoint_has_something_to_do(
    endpoint: Any, send: Send, hours: list[float], pieces: list[bytes]
) -> None:
    endpoint.handlers["/putMedia"] = _idle_and_never_read
    maker = Maker(*pieces)

    def listen(_: Acknowledgement) -> None:
        if maker.is_closed or maker.made in range(1, 20):
            hours.append(hours[-1] + 20)

    with pytest.raises(StreamUnavailable, match="nothing came in time"):
        await send(maker.document(), listen, acknowledgement_seconds=30)


async def test_a_refusal_is_one_even_if_its_reason_never_comes(endpoint: Any, send: Send) -> None:
    async def refuse_and_fall_silent(request: Any) -> None:
        await request.start(400, x_amzn_errortype="InvalidArgumentException")
        await request.write(b'{"Mess')
        await request.hang()

    endpoint.handlers["/putMedia"] = refuse_and_fall_silent
    with pytest.raises(PutMediaRefused, match="InvalidArgumentException"):
        await send(Maker(b"x").document(), answer_seconds=0.1)


@pytest.mark.parametrize("garbage", [b"<html>hello</html>}", bytes(20_000), b'{"EventType":"NEW"}\n', b'{"Event'])
async def test_an_answer_that_makes_no_sense_is_a_refusal(endpoint: Any, send: Send, garbage: bytes) -> None:
    async def babble(request: Any) -> None:
        await request.start()
        await request.read_all()
        await request.end(garbage)

    endpoint.handlers["/putMedia"] = babble
    with pytest.raises(PutMediaRefused, match="sends no acknowledgements"):
        await send(Maker(b"x").document())


async def test_a_connection_that_breaks_is_not_taken_for_the_end(endpoint: Any, send: Send, cut: Any) -> None:
    async def break_off(request: Any) -> None:
        await request.start()
        await request.write(IDLE)
        await request.read()
        raise cut

    async def hang_up(request: Any) -> None:
        raise cut

    for peer in (break_off, hang_up):
        endpoint.handlers["/putMedia"] = peer
        for lingers in (True, False):
            maker = Maker(b"x", lingers=lingers)
            with pytest.raises(StreamUnavailable):
                await send(maker.document())
            assert maker.is_closed


async def test_an_answer_that_ends_before_the_document_is_no_success(endpoint: Any, send: Send) -> None:
    async def end_early(request: Any) -> None:
        await request.read()
        await request.answer(IDLE, connection="close")

    endpoint.handlers["/putMedia"] = end_early
    maker = Maker(b"x", lingers=True)
    with pytest.raises(StreamUnavailable, match="before the media did"):
        await send(maker.document())
    assert maker.is_closed


async def test_being_stopped_closes_the_maker_and_the_connection(endpoint: Any, send: Send) -> None:
    gone, heard = Event(), Event()

    async def watch(request: Any) -> None:
        await request.start()
        await request.write(IDLE)
        await request.hang()
        gone.set()

    endpoint.handlers["/putMedia"] = watch
    maker = Maker(b"x", lingers=True)
    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(send, maker.document(), lambda _: heard.set())
            await heard.wait()
            group.cancel_scope.cancel()
        assert maker.is_closed
        await gone.wait()


async def test_a_plain_iterator_will_do(endpoint: Any, send: Send) -> None:
    class Once:
        def __init__(self) -> None:
            self._left = [b"y", b"x"]

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    endpoint.handlers["/putMedia"] = acknowledge_all
    await send(Once())
    assert endpoint.asked("/putMedia")[0].body == b"xy"


async def test_our_own_server_acknowledges_each_fragment(
    carillon_url: str, create_stream: Any, client_of: Any, swift: MediaSettings, ear: Ear, a_call: Any
) -> None:
    path, _ = a_call(seconds=3)
    await create_stream("acknowledged")
    async with client_of(carillon_url) as client:
        await put_media(client, "acknowledged", as_live(read_recording(path), 0), ear, settings=swift)
    first, second, third = ear.timecodes(PERSISTED)
    assert ear.timecodes(BUFFERING) == ear.timecodes(RECEIVED) == [first, second, third]
    assert (second - first, third - second) == (1_000, 1_000)
    assert abs(first - SystemClock().now().timestamp() * 1_000) < 10_000


async def test_our_own_server_keeps_what_was_whole_before_the_maker_failed(
    carillon_url: str, create_stream: Any, client_of: Any, swift: MediaSettings, ear: Ear
) -> None:
    arn = await create_stream("torn")
    clusters = [MUXER.cluster(second * 1_000, [Block(1, second * 1_000, b"ab")]) for second in range(3)]
    at = datetime(2026, 3, 1, tzinfo=UTC)
    received = Event()

    async def document() -> AsyncGenerator[bytes]:
        yield MUXER.header() + clusters[0] + clusters[1] + clusters[2][:-1]
        await received.wait()
        raise ValueError("mine")

    def listen(acknowledgement: Acknowledgement) -> None:
        ear(acknowledgement)
        if len(ear.timecodes(RECEIVED)) == 2:
            received.set()

    async with client_of(carillon_url) as client:
        with fail_after(120), pytest.raises(ValueError, match="mine"):
            await put_media(client, "torn", document(), listen, started_at=at, settings=swift)
        parser = FragmentParser()
        async with client.get_media(arn, {"StartSelectorType": "EARLIEST"}) as body:
            kept: list[Any] = [fragment async for data in body for fragment in parser.feed(data)]
    assert [fragment.producer_at - at for fragment in kept] == [timedelta(0), timedelta(seconds=1)]


async def test_mistakes_are_understood_from_our_own_server(
    carillon_url: str, create_stream: Any, client_of: Any, swift: MediaSettings
) -> None:
    await create_stream("refused")
    async with client_of(carillon_url) as client:
        with pytest.raises(RemoteStreamNotFound):
            await put_media(client, "missing", Maker(b"x").document(), lambda _: None, settings=swift)
        with pytest.raises(PutMediaRefused, match="INVALID_MKV_DATA"):
            await put_media(client, "refused", Maker(b"no Matroska").document(), lambda _: None, settings=swift)
