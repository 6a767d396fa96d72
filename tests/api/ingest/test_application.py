"""Calls over real WebSockets: what is stored of them, who may connect, and what those are told who may not."""

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from anyio import fail_after, sleep
from anyio.lowlevel import checkpoint
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.exceptions import ConnectionClosed, InvalidStatus

from carillon.streams import StreamSettings

pytestmark = pytest.mark.anyio

SECOND = 8_000


async def test_a_twilio_call_is_stored_sample_by_sample_in_two_channels(served: Any, twilio: Any, speech: Any) -> None:
    caller, heard = speech[0][: 12 * SECOND + 800], speech[1][: 12 * SECOND + 800]
    began_ms = datetime.now(UTC).timestamp() * 1000
    async with served.connect("twilio", "call") as client:
        for message in twilio().call(caller, heard):
            await client.send(message)
        assert await served.close_of(client) == (1000, "")
    stored = await served.stored("call")
    assert stored.samples == served.interleaved(caller, heard)
    assert (stored.rate_hz, stored.channels, stored.fragments) == (8000.0, 2, 13)
    assert 0 <= stored.first_ms - began_ms < 10_000
    assert stored.tags["CallId"] == "CA00000000000000000000000000000001"
    assert stored.tags["FirstName"] == "Jane"


async def test_one_track_is_one_channel(served: Any, twilio: Any, speech: Any) -> None:
    async with served.connect("twilio", "call") as client:
        for message in twilio(("inbound",)).call(speech[0][: 2 * SECOND]):
            await client.send(message)
        assert await served.close_of(client) == (1000, "")
    stored = await served.stored("call")
    assert (stored.samples, stored.channels) == (speech[0][: 2 * SECOND], 1)


async def test_what_is_missing_is_silent_and_the_rest_stays_in_its_place(served: Any, twilio: Any, speech: Any) -> None:
    caller, heard = speech[0][: 4 * SECOND], speech[1][: 4 * SECOND]
    lost = {json.dumps(str(155 + 20 * n)) for n in (70, 71, 130)}
    async with served.connect("twilio", "call") as client:
        call = twilio()
        await client.send(call.start())
        for at in range(0, len(caller), 160):
            at_ms = 155 + at // 8
            if json.dumps(str(at_ms)) not in lost:
                await client.send(call.media("inbound", at_ms, caller[at : at + 160]))
            if at < SECOND or at >= 2 * SECOND:  # silence is suppressed
                await client.send(call.media("outbound", at_ms, heard[at : at + 160]))
        await client.send(call.dtmf())
        await client.send(call.mark())
        await client.send(call.stop())
        assert await served.close_of(client) == (1000, "")
    gapped = caller[: 70 * 160] + b"\xff" * 320 + caller[72 * 160 : 130 * 160] + b"\xff" * 160 + caller[131 * 160 :]
    suppressed = heard[:SECOND] + b"\xff" * SECOND + heard[2 * SECOND :]
    assert (await served.stored("call")).samples == served.interleaved(gapped, suppressed)


async def test_a_connection_that_dies_loses_nothing_of_what_came(served: Any, twilio: Any, speech: Any) -> None:
    messages = list(twilio(("inbound",)).call(speech[0][: 3 * SECOND]))[:-40]
    async with served.connect("twilio", "call") as client:
        for message in messages:
            await client.send(message)
        await (await client.ping())
        client.transport.abort()
    sent = (len(messages) - 2) * 160
    with fail_after(120):
        while len((stored := await served.stored("call")).samples) < sent:
            pass
    assert stored.samples == speech[0][:sent]


async def test_plain_samples_are_stored_as_they_come_and_acknowledged(served: Any) -> None:
    samples = bytes(range(256)) * 500  # 2 s of stereo at 16 kHz
    async with served.connect("pcm", "call", "?rate=16000&channels=2") as client:
        for at in range(0, len(samples), 3_001):
            await client.send(samples[at : at + 3_001])
        await client.send('{"event": "stop"}')
        told = [json.loads(message) async for message in client]
        assert client.close_code == 1000
    assert [line["EventType"] for line in told if line["EventType"] != "BUFFERING"].count("PERSISTED") == 2
    stored = await served.stored("call")
    assert (stored.samples, stored.rate_hz, stored.channels) == (samples, 16_000.0, 2)


@pytest.mark.parametrize(
    "first", ['{"rate": 16000}', '{"event": "websocket:connected", "content-type": "audio/l16;rate=16000"}']
)
async def test_the_first_message_may_say_what_samples_are(served: Any, first: str) -> None:
    async with served.connect("pcm", "call") as client:
        await client.send(first)
        await client.send(bytes(32_000))
    stored = await served.stored("call")
    assert (stored.rate_hz, stored.channels) == (16_000.0, 1)


@pytest.mark.parametrize(
    ("format_", "query", "messages", "said"),
    [
        ("pcm", "", [bytes(320)], "First say"),
        ("pcm", "?rate=7000", [], "First say"),
        ("pcm", "", ["hello"], "First say"),
        ("twilio", "", ["hello"], "no message of Twilio's"),
        ("twilio", "", [b"\xff"], "no message of Twilio's"),
        ("twilio", "", ['{"event": "media", "media": {"payload": "AAAA"}}'], "before the start"),
    ],
)
async def test_who_sends_something_else_is_told_what_was_expected(
    serve: Any, format_: str, query: str, messages: list[Any], said: str
) -> None:
    async with serve(start_seconds=0.05, fragment_seconds=0.02) as served:
        await served.streams.catalog.create("call")
        async with served.connect(format_, "call", query) as client:
            for message in messages:
                await client.send(message)
            code, reason = await served.close_of(client)
    assert code == 4400
    assert said in reason


async def test_audio_that_precedes_its_explanation_is_kept(served: Any, twilio: Any, speech: Any) -> None:
    caller = speech[0][: 2 * SECOND]
    messages = list(twilio(("inbound",)).call(caller))
    async with served.connect("twilio", "call") as client:
        for message in (*messages[2:10], *messages[:2], *messages[10:]):
            await client.send(message)
        assert await served.close_of(client) == (1000, "")
    assert (await served.stored("call")).samples == caller


async def test_plain_samples_that_precede_their_explanation_are_kept(served: Any) -> None:
    samples = bytes(range(256)) * 100
    async with served.connect("pcm", "call") as client:
        await client.send(samples[:640])
        await client.send(samples[640:3_200])
        await client.send('{"sampleRate": 16000, "mixType": "stereo", "callSid": "c"}')
        await client.send(samples[3_200:])
    stored = await served.stored("call")
    assert (stored.samples, stored.rate_hz, stored.channels) == (samples, 16_000.0, 2)


async def test_what_is_kept_until_it_is_explained_is_bounded(serve: Any) -> None:
    async with serve(max_early_bytes=1_000) as served:
        await served.streams.catalog.create("call")
        async with served.connect("pcm", "call") as client:
            for _ in range(4):
                await client.send(bytes(320))
            assert (await served.close_of(client))[0] == 4400


async def test_a_message_that_is_sent_twice_is_heard_once(served: Any, twilio: Any, speech: Any) -> None:
    caller = speech[0][: 2 * SECOND]
    async with served.connect("twilio", "call") as client:
        for message in twilio(("inbound",)).call(caller):
            await client.send(message)
            if '"stop"' not in message:
                await client.send(message)
        assert await served.close_of(client) == (1000, "")
    assert (await served.stored("call")).samples == caller


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (["audio.jambonz.org"], "audio.jambonz.org"),
        (["audio.drachtio.org"], "audio.drachtio.org"),
        (["media"], "media"),
        (["something.else", "media", "audio.jambonz.org"], "media"),
        (["something.else"], None),
        (None, None),
    ],
)
async def test_the_subprotocol_that_a_platform_asks_for_is_answered(
    served: Any, offered: list[str] | None, answered: str | None
) -> None:
    async with served.at(served.ingest_url("pcm", "call"), subprotocols=offered) as client:
        assert client.subprotocol == answered
        assert client.response.headers.get_all("Sec-WebSocket-Protocol") == ([answered] if answered else [])


async def test_asterisk_sends_mu_law_and_is_told_nothing(served: Any, speech: Any) -> None:
    caller = speech[0][: 2 * SECOND]
    async with served.at(served.ingest_url("pcm", "call"), subprotocols=["media"]) as client:
        await client.send("MEDIA_START connection_id:e226 channel:WebSocket/c/0x1 format:ulaw optimal_frame_size:160")
        for at in range(0, len(caller), 160):
            await client.send(caller[at : at + 160])
        await client.send("DTMF_END digit:1")
        await client.send('{"event": "stop"}')
        assert [message async for message in client] == []
    stored = await served.stored("call")
    assert (stored.samples, stored.rate_hz, stored.channels) == (caller, 8_000.0, 1)
    assert stored.tags["CallId"] == "WebSocket/c/0x1"


async def test_a_stream_that_does_not_exist_is_named(served: Any) -> None:
    async with served.connect("pcm", "nowhere", "?rate=8000") as client:
        code, reason = await served.close_of(client)
    assert code == 4404
    assert "nowhere does not exist" in reason
    (row,) = served.notes.rows
    assert (row.operation, row.status, row.error) == ("PutMedia", 404, "ResourceNotFoundException")


async def test_a_stream_has_one_producer(served: Any) -> None:
    async with served.connect("pcm", "call", "?rate=8000") as first:
        await first.send(bytes(16_000))
        await first.recv()
        async with served.connect("pcm", "call", "?rate=8000") as second:
            code, reason = await served.close_of(second)
        assert code == 4409
        assert "is being written to" in reason
        await first.send(bytes(16_000))
    assert [(row.status, row.error) for row in served.notes.rows] == [
        (101, None),
        (400, "ConnectionLimitExceededException"),
    ]


async def test_a_stream_that_is_deleted_ends_its_connection(served: Any) -> None:
    async with served.connect("pcm", "call", "?rate=8000") as client:
        await client.send(bytes(16_000))
        await client.recv()
        await served.streams.delete((await served.streams.catalog.find("call")).arn)
        with suppress(ConnectionClosed):
            await client.send(bytes(16_000))
        code, _ = await served.close_of(client)
    assert code == 4404


async def test_a_stream_is_made_where_the_operator_allows_it(serve: Any) -> None:
    async with serve(creates_streams=True, retention_hours=3) as served:
        async with served.connect("pcm", "fresh", "?rate=8000") as client:
            await client.send(bytes(16_000))
            await client.recv()
        assert (await served.streams.catalog.find("fresh")).retention_hours == 3
        async with served.connect("pcm", "writable", "?rate=8000", served.writer) as client:
            assert (await served.close_of(client))[0] == 4404  # this key may not create


async def test_who_sends_nothing_is_disconnected(serve: Any, twilio: Any) -> None:
    async with serve(start_seconds=0.1, idle_seconds=0.2, fragment_seconds=0.05) as served:
        await served.streams.catalog.create("call", retention_hours=1)
        async with served.connect("twilio", "call") as client:
            assert await served.close_of(client) == (4408, "Nothing said what would be sent.")
        async with served.connect("twilio", "call") as client:
            await client.send(twilio().start())
            assert await served.close_of(client) == (4408, "Nothing came for 0.2 s.")


async def test_where_nothing_comes_the_stream_goes_on_silent(serve: Any, twilio: Any, speech: Any) -> None:
    async with serve(fragment_seconds=0.05, silence_seconds=0.1, idle_seconds=0.6) as served:
        await served.streams.catalog.create("call", retention_hours=1)
        async with served.connect("twilio", "call") as client:
            call = twilio(("inbound",))
            await client.send(call.start())
            await client.send(call.media("inbound", 155, speech[0][:160]))
            assert (await served.close_of(client))[0] == 4408
        samples = (await served.stored("call")).samples
    assert samples[:160] == speech[0][:160]
    assert set(samples[160:]) == {0xFF}
    assert 0.4 * SECOND <= len(samples) <= 2 * SECOND


async def test_who_sends_much_faster_than_anybody_speaks_is_stopped(serve: Any) -> None:
    async with serve(most_ahead_seconds=5) as served:
        await served.streams.catalog.create("call", retention_hours=1)
        async with served.connect("pcm", "call", "?rate=8000") as client:
            await client.send(bytes(10 * 16_000))
            code, reason = await served.close_of(client)
        assert code == 4429
        assert "ahead of the clock" in reason
        assert (await served.stored("call")).fragments == 10


async def test_a_message_that_is_too_large_ends_the_connection(serve: Any) -> None:
    async with serve(max_message_bytes=10_000) as served:
        await served.streams.catalog.create("call", retention_hours=1)
        async with served.connect("pcm", "call", "?rate=8000") as client:
            await client.send(bytes(8_000))
            await (await client.ping())
            await client.send(bytes(10_001))
            assert (await served.close_of(client))[0] == 1009
        assert len((await served.stored("call")).samples) == 8_000


async def test_another_producer_may_take_over_where_the_operator_allows_it(serve: Any) -> None:
    async with serve(streams=StreamSettings(takeover_seconds=10, end_seconds=0.05)) as served:
        await served.streams.catalog.create("call", retention_hours=1)
        async with served.connect("pcm", "call", "?rate=8000") as first:
            await first.send(bytes(8_000))
            await (await first.ping())
            async with served.connect("pcm", "call", "?rate=8000") as second:
                assert await served.close_of(first) == (4409, "Another connection writes to the stream now.")
                await second.send(bytes(16_000))
                await second.recv()
        assert len((await served.stored("call")).samples) == 24_000


def _changed(url: str, **parts: str) -> str:
    base, _, token = url.rpartition("/")
    key, expires, mac = token.split(".")
    changed = {"key": key, "expires": expires, "mac": mac, **parts}
    return f"{base}/{changed['key']}.{changed['expires']}.{changed['mac']}"


async def _status(served: Any, url: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with served.at(url):
            pass
    return caught.value.response.status_code, caught.value.response.body.decode()


async def test_a_url_is_good_for_its_stream_its_format_and_its_time_only(served: Any) -> None:
    url = served.ingest_url("pcm", "call")
    forged = [
        url.replace("/call/", "/other/"),
        url.replace("/pcm/", "/twilio/"),
        _changed(url, mac="A" * 43),
        _changed(url, expires="99999999999"),
        _changed(url, key=served.writer.access_key_id),
        url + "A",
        url[:-1],
        url.rpartition("/")[0] + "/x",
    ]
    for wrong in forged:
        status, said = await _status(served, wrong)
        assert status == 403
        assert "carillon ingest-url" in said
    past = served.ingest_url("pcm", "call", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await _status(served, past)) == (403, "This URL has expired. Make another: carillon ingest-url\n")
    async with served.at(
        served.ingest_url("pcm", "call", expires_at=datetime.now(UTC) + timedelta(minutes=1)) + "?rate=8000"
    ):
        pass


async def test_a_url_is_worthless_once_its_key_or_its_generation_is_withdrawn(serve: Any) -> None:
    async with serve(generation=1) as served:
        assert (await _status(served, served.ingest_url("pcm", "call", served.disabled)))[0] == 403
        old = served.tokens.make("pcm", "call", served.key.access_key_id, None)
    async with serve(generation=2) as served:
        assert (await _status(served, f"ws://127.0.0.1:{served.port}{old}"))[0] == 403


async def test_a_url_allows_no_more_than_its_key(served: Any) -> None:
    status, said = await _status(served, served.ingest_url("pcm", "call", served.writer))
    assert status == 403
    assert "kinesisvideo:PutMedia" in said
    (row,) = served.notes.rows
    assert (row.caller, row.is_proven, row.status) == (served.writer.access_key_id, True, 403)


async def test_other_paths_are_not_served(serve: Any, served: Any) -> None:
    for path in ("/", "/ingest/pcm", "/ingest/wav/call/x", "/ingest/pcm/a%2Fb/x", "/ingest/pcm/call/x/y"):
        assert (await _status(served, f"ws://127.0.0.1:{served.port}{path}"))[0] == 404


async def test_a_switched_off_door_serves_nobody(serve: Any) -> None:
    async with serve(is_on=False) as served:
        assert (await _status(served, served.ingest_url("pcm", "call")))[0] == 404


async def test_who_can_sign_needs_no_url_of_ours(served: Any) -> None:
    url = f"{served.url}/ingest/pcm/call?rate=8000"
    request = AWSRequest("GET", url)
    credentials = Credentials(served.key.access_key_id, served.key.secret_access_key)
    SigV4QueryAuth(credentials, "kinesisvideo", "us-east-1", expires=60).add_auth(request)
    signed = request.url.replace("http://", "ws://")
    async with served.at(signed) as client:
        await client.send(bytes(16_000))
    assert (await served.stored("call")).fragments == 1
    assert (await _status(served, signed.replace("rate=8000", "rate=9000")))[0] == 403
    assert (await _status(served, f"ws://127.0.0.1:{served.port}/ingest/pcm/call"))[0] == 403


async def test_nobody_logs_a_url(
    served: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("uvicorn.error", "uvicorn.access"):
        caplog.set_level(logging.DEBUG, name)
    url = served.ingest_url("pcm", "call")
    token = url.rpartition("/")[2]
    caplog.clear()
    async with served.at(url + "?rate=8000", logger=logging.getLogger("quiet")) as client:
        await client.send(bytes(16_000))
    await _status(served, _changed(url, mac="A" * 43))
    said = ""
    with fail_after(120):
        while "ingest.ended" not in said:
            await sleep(0.01)
            said += "".join(capfd.readouterr())
    said += "".join(
        record.getMessage() for record in caplog.records if record.name not in {"quiet", "websockets.client"}
    )
    assert token not in said
    assert "A" * 43 not in said
    assert token not in repr(served.notes.rows)


async def test_pings_whose_answers_nobody_reads_end_the_connection(served: Any) -> None:
    async with served.connect("pcm", "call", "?rate=8000") as client:
        numbers = count()
        client.transport.pause_reading()
        with pytest.raises((ConnectionClosed, ConnectionError)), fail_after(120):  # noqa: PT012 - any of them may be it
            while True:
                await client.ping(next(numbers).to_bytes(125))


async def test_a_message_in_ever_more_parts_ends_the_connection(served: Any) -> None:
    async def parts() -> Any:
        while True:
            yield b""
            await checkpoint()

    async with served.connect("pcm", "call", "?rate=8000") as client:
        with pytest.raises((ConnectionClosed, ConnectionError)), fail_after(120):
            await client.send(parts())
