"""Plain samples, and the ways to say what they are."""

import json

import pytest

from carillon.api.ingest.errors import FormatUnknown, MalformedMessage
from carillon.api.ingest.messages import MediaAudio, MediaEnded, MediaOpened
from carillon.api.ingest.pcm import PlainPcm
from carillon.media.splicer import Layout, SampleFormat


def opened(rate_hz: int, channels: int = 1) -> MediaOpened:
    return MediaOpened(Layout(SampleFormat.S16LE, rate_hz, channels))


def test_the_query_says_what_samples_are() -> None:
    assert PlainPcm(b"rate=48000&channels=2&X-Amz-Date=x").begin() == (opened(48_000, 2),)
    assert PlainPcm(b"rate=8000").begin() == (opened(8_000),)
    assert PlainPcm(b"channels=2").begin() == ()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('{"rate": 16000, "channels": 2, "more": []}', opened(16_000, 2)),
        ('{"event": "websocket:connected", "content-type": "audio/l16;rate=8000", "x": 1}', opened(8_000)),
        ('{"content-type": "audio/L16; rate=24000"}', opened(24_000)),
    ],
)
def test_a_first_message_says_what_samples_are(message: str, said: MediaOpened) -> None:
    assert PlainPcm(b"").read(message) == (said,)


def test_then_samples_follow_and_text_is_not_for_us_but_for_the_end() -> None:
    reader = PlainPcm(b"rate=8000")
    reader.begin()
    assert reader.read(b"\x01\x02\x03") == (MediaAudio(0, b"\x01\x02\x03"),)
    for other in ("hello", '{"event": "websocket:dtmf"}', '{"rate": 9000}', "{" * 10_000):
        assert reader.read(other) == ()
    assert reader.read('{"event": "stop"}') == (MediaEnded(),)


JAMBONZ = {
    "callSid": "9fb35c28-9688-4531-943c-e280b04f3adf",
    "direction": "inbound",
    "from": "+15083084809",
    "to": "+15083728299",
    "sampleRate": 8000,
    "mixType": "mono",
    "metadata": {"queue": "billing"},
}
ASTERISK = {
    "event": "MEDIA_START",
    "connection_id": "e226e283-c90a-4ea9-9e37-389000b9ef47",
    "channel": "WebSocket/carillon/0x7f0638004770",
    "channel_id": "1790617675.20",
    "format": "slin16",
    "optimal_frame_size": 640,
    "ptime": 20,
}


@pytest.mark.parametrize(("mix", "channels"), [("mono", 1), ("mixed", 1), ("stereo", 2)])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_jambonz_says_rate_and_mix_and_is_told_nothing(mix: str, channels: int, rate_hz: int) -> None:
    reader = PlainPcm(b"")
    assert reader.answers
    (said,) = reader.read(json.dumps({**JAMBONZ, "mixType": mix, "sampleRate": rate_hz}))
    assert isinstance(said, MediaOpened)
    assert (said.layout, said.tracks) == (Layout(SampleFormat.S16LE, rate_hz, channels), 1)
    assert dict(said.metadata) == {"CallId": JAMBONZ["callSid"]}
    assert not reader.answers
    assert reader.read('{"event": "dtmf", "dtmf": "2", "duration": "1600"}') == ()
    assert reader.read(b"\1\0") == (MediaAudio(0, b"\1\0"),)


@pytest.mark.parametrize(
    ("name", "format_", "rate_hz"),
    [
        ("ulaw", SampleFormat.MU_LAW, 8_000),
        ("alaw", SampleFormat.A_LAW, 8_000),
        ("slin", SampleFormat.S16LE, 8_000),
        ("slin16", SampleFormat.S16LE, 16_000),
        ("slin44", SampleFormat.S16LE, 44_100),
        ("slin48", SampleFormat.S16LE, 48_000),
    ],
)
@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("query", [b"", b"rate=11025&channels=2"])
def test_asterisk_says_its_format_in_text_or_json(
    name: str, format_: SampleFormat, rate_hz: int, is_json: bool, query: bytes
) -> None:
    fields = {**ASTERISK, "format": name}
    text = " ".join(["MEDIA_START", *(f"{key}:{value}" for key, value in fields.items() if key != "event")])
    reader = PlainPcm(query)
    reader.begin()
    (said,) = reader.read(json.dumps(fields) if is_json else text)
    assert isinstance(said, MediaOpened)
    assert said.layout == Layout(format_, rate_hz, 1)
    assert dict(said.metadata) == {"CallId": fields["channel"], "MediaStreamId": fields["connection_id"]}
    assert not reader.answers
    for other in ("DTMF_END digit:1", "MEDIA_XON", "STATUS queue_length:43", '{"event": "MEDIA_XOFF"}'):
        assert reader.read(other) == ()


def test_a_media_start_of_old_that_has_no_format_needs_the_query() -> None:
    text = "MEDIA_START connection_id:a channel:b optimal_frame_size:320"
    reader = PlainPcm(b"rate=8000")
    assert reader.begin() == (opened(8_000),)
    assert reader.read(text) == ()
    with pytest.raises(MalformedMessage, match="ulaw"):
        PlainPcm(b"").read(text)


def test_samples_that_precede_their_explanation_can_be_read_after_it() -> None:
    reader = PlainPcm(b"")
    with pytest.raises(FormatUnknown):
        reader.read(b"\1\0")
    reader.read('{"rate": 8000}')
    assert reader.read(b"\1\0") == (MediaAudio(0, b"\1\0"),)


@pytest.mark.parametrize("query", [b"rate=7999", b"rate=48001", b"rate=x", b"rate=8000&channels=3", b"a=b&" * 200])
def test_a_query_that_makes_no_sense_is_refused(query: bytes) -> None:
    with pytest.raises(MalformedMessage):
        PlainPcm(query).begin()


@pytest.mark.parametrize(
    "message",
    ["", "x", "{}", "[]", '{"rate": "8000"}', '{"rate": 1}', '{"rate": 8000, "channels": 0}', b"\0\0",
     '{"sampleRate": 64000, "mixType": "mono"}', '{"sampleRate": 8000, "mixType": "quad"}', '{"event": "MEDIA_START"}',
     "MEDIA_START format:opus", "MEDIA_START", "MEDIA_START format", '{"event": "MEDIA_START", "format": "g722"}',
     '{"content-type": "audio/opus;rate=8000"}', '{"event": "stop"}', "[" * 10_000],
)  # fmt: skip
def test_a_first_message_that_makes_no_sense_is_refused(message: str | bytes) -> None:
    with pytest.raises(MalformedMessage):
        PlainPcm(b"").read(message)
