"""Messages of Twilio's media streams, and of those who write them a little otherwise."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.api.ingest.errors import FormatUnknown, MalformedMessage
from carillon.api.ingest.messages import MediaAudio, MediaEnded, MediaOpened
from carillon.api.ingest.twilio import MediaStreams
from carillon.media.splicer import Layout, SampleFormat

MU_LAW = Layout(SampleFormat.MU_LAW, 8_000, 1)
TELNYX = {
    "event": "start",
    "sequence_number": "1",
    "start": {
        "call_control_id": "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
        "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    },
    "stream_id": "32DE0DEA-53CB-4B21-89A4-9E1819C043BC",
}
EXOTEL = {
    "event": "start",
    "sequence_number": "1",
    "stream_sid": "MZ1",
    "start": {
        "stream_sid": "MZ1",
        "call_sid": "CA1",
        "custom_parameters": {"key1": "value1"},
        "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
    },
}


def media(payload: bytes = b"\x01\x02", **changed: Any) -> str:
    said = {"track": "inbound", "timestamp": "155", "payload": base64.b64encode(payload).decode(), **changed}
    return json.dumps({"event": "media", "media": {name: value for name, value in said.items() if value is not None}})


def test_both_tracks_are_two_channels_with_the_calls_ids_and_parameters(twilio: Any) -> None:
    reader, call = MediaStreams(), twilio()
    assert reader.begin() == ()
    assert reader.read(call.connected()) == ()
    (opened,) = reader.read(call.start())
    assert isinstance(opened, MediaOpened)
    assert (opened.layout, opened.tracks) == (Layout(SampleFormat.MU_LAW, 8_000, 2), 2)
    assert dict(opened.metadata) == {
        "CallId": "CA00000000000000000000000000000001",
        "MediaStreamId": "MZ00000000000000000000000000000001",
        "FirstName": "Jane",
        "RemoteParty": "Bob",
    }
    assert reader.read(call.media("inbound", 155, b"a")) == (MediaAudio(0, b"a", 155),)
    assert reader.read(call.media("outbound", 160, b"b")) == (MediaAudio(1, b"b", 160),)
    assert reader.read(call.dtmf()) == ()
    assert reader.read(call.mark()) == ()
    assert reader.read(call.stop()) == (MediaEnded(),)


@pytest.mark.parametrize("track", ["inbound", "outbound"])
def test_one_track_alone_is_one_channel(twilio: Any, track: str) -> None:
    reader, call = MediaStreams(), twilio((track,))
    (opened,) = reader.read(call.start())
    assert isinstance(opened, MediaOpened)
    assert (opened.layout, opened.tracks) == (MU_LAW, 1)
    assert reader.read(call.media(track, 0, b"a")) == (MediaAudio(0, b"a", 0),)


def test_telnyx_declares_no_tracks_so_both_are_expected() -> None:
    reader = MediaStreams()
    assert reader.read(json.dumps(TELNYX)) == ()
    opened, audio = reader.read(media(track="outbound_track", timestamp=40))
    assert isinstance(opened, MediaOpened)
    assert (opened.layout, opened.tracks) == (Layout(SampleFormat.A_LAW, 8_000, 2), 2)
    assert dict(opened.metadata)["CallId"].startswith("v3:")
    assert audio == MediaAudio(1, b"\x01\x02", 40)
    assert reader.read(media()) == (MediaAudio(0, b"\x01\x02", 155),)


def test_exotel_has_one_track_without_a_name() -> None:
    reader = MediaStreams()
    reader.read(json.dumps(EXOTEL))
    opened, audio = reader.read(media(track=None, timestamp="200"))
    assert isinstance(opened, MediaOpened)
    assert (opened.layout, opened.tracks) == (Layout(SampleFormat.S16LE, 8_000, 1), 1)
    assert dict(opened.metadata) == {"CallId": "CA1", "MediaStreamId": "MZ1", "key1": "value1"}
    assert audio == MediaAudio(0, b"\x01\x02", 200)


def test_who_does_not_say_the_time_is_taken_in_order(twilio: Any) -> None:
    reader = MediaStreams()
    reader.read(twilio().start())
    assert reader.read(media(timestamp=None)) == (MediaAudio(0, b"\x01\x02", None),)


def test_metadata_keeps_to_what_a_fragment_may_carry(twilio: Any) -> None:
    custom = {"AWS_FAKE": "x", "": "x", "n" * 129: "x", "long": "v" * 257, **{f"p{n}": n for n in range(20)}}
    (opened,) = MediaStreams().read(twilio().start(customParameters=custom))
    assert isinstance(opened, MediaOpened)
    assert [name for name, _ in opened.metadata] == ["CallId", "MediaStreamId", *(f"p{n}" for n in range(8))]


@pytest.mark.parametrize(
    "changed",
    [
        {"tracks": []},
        {"tracks": ["sideways"]},
        {"mediaFormat": {"encoding": "OPUS", "sampleRate": 8000}},
        {"mediaFormat": {"encoding": "audio/pcm;rate=16000;endian=big"}},
        {"mediaFormat": {"encoding": "L16", "byte_order": "big"}},
        {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 4000}},
        {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": True}},
        {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}},
    ],
)
def test_what_cannot_be_read_is_refused_at_the_start(twilio: Any, changed: Mapping[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        MediaStreams().read(twilio().start(**changed))


@pytest.mark.parametrize(
    "message",
    [
        "", "[]", "{}", "null", '{"event": 1}', "{" * 10_000, '{"event": "start"}', '{"event": "media"}',
        b"\xff\xfe", media(track="sideways"), media(timestamp="-1"), media(timestamp="soon"), media(timestamp=2**60),
        media(timestamp="1" * 400), media(payload=b"")[:-3], media().replace("AQI=", "AQI"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(twilio: Any, message: str | bytes) -> None:
    reader = MediaStreams()
    reader.read(twilio().start())
    with pytest.raises(MalformedMessage):
        reader.read(message)


def test_a_call_starts_once(twilio: Any) -> None:
    reader = MediaStreams()
    reader.read(twilio().start())
    assert reader.read(twilio().start()) == ()  # the same again
    with pytest.raises(MalformedMessage):
        reader.read(twilio().start(callSid="another"))


def test_a_message_that_is_sent_twice_is_heard_once_and_like_ones_are_not(twilio: Any) -> None:
    reader, call = MediaStreams(), twilio()
    reader.read(call.start())
    first, second = call.media("inbound", 0, b"a"), call.media("inbound", 20, b"a")
    assert [len(reader.read(message)) for message in (first, second, first, second, second)] == [1, 1, 0, 0, 0]
    resent = json.loads(first) | {"sequenceNumber": "99"}
    assert reader.read(json.dumps(resent)) == ()  # the same chunk under another number
    assert len(reader.read(call.media("outbound", 0, b"a"))) == 1
    for _ in range(3):  # who does not number them says nothing of the kind
        assert len(reader.read(media(timestamp=None))) == 1


def test_what_is_remembered_of_messages_is_bounded(twilio: Any) -> None:
    reader, call = MediaStreams(), twilio()
    reader.read(call.start())
    messages = [call.media("inbound", 20 * n, b"a") for n in range(2_000)]
    assert all(len(reader.read(message)) == 1 for message in messages)
    assert len(reader.read(messages[0])) == 1


def test_media_that_precedes_the_start_can_be_read_after_it(twilio: Any) -> None:
    reader, call = MediaStreams(), twilio()
    early = call.media("inbound", 0, b"a")
    with pytest.raises(FormatUnknown):
        reader.read(early)
    reader.read(call.start())
    assert reader.read(early) == (MediaAudio(0, b"a", 0),)


@pytest.mark.parametrize(
    ("said", "format_", "rate_hz"),
    [
        ({"encoding": "L16", "sample_rate": 16000, "channels": 1}, SampleFormat.S16LE, 16_000),
        ({"encoding": "audio/x-l16", "sampleRate": 8000}, SampleFormat.S16LE, 8_000),
        ({"encoding": "audio/x-l16;rate=16000"}, SampleFormat.S16LE, 16_000),
        ({"encoding": "audio/x-mulaw;rate=8000"}, SampleFormat.MU_LAW, 8_000),
        ({"encoding": "audio/x-alaw", "sampleRate": "8000"}, SampleFormat.A_LAW, 8_000),
        ({"encoding": "PCMU", "sampleRate": 8000}, SampleFormat.MU_LAW, 8_000),
        ({"encoding": "PCM16", "sampleRate": 16000}, SampleFormat.S16LE, 16_000),
    ],
)
@pytest.mark.parametrize("key", ["mediaFormat", "media_format"])
def test_encodings_are_known_by_all_their_names(
    said: dict[str, Any], format_: SampleFormat, rate_hz: int, key: str
) -> None:
    (opened,) = MediaStreams().read(json.dumps({"event": "start", "start": {"tracks": ["inbound"], key: said}}))
    assert isinstance(opened, MediaOpened)
    assert opened.layout == Layout(format_, rate_hz, 1)


def test_plivo_sends_16_bits() -> None:
    reader = MediaStreams()
    start = {
        "callId": "12345678-1234-1234-1234-123456789abc",
        "streamId": "87654321-4321-4321-4321-cba987654321",
        "accountId": "MAXXXXXXXXXXXXXXXXXX",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000},
    }
    (opened,) = reader.read(json.dumps({"event": "start", "sequenceNumber": 0, "start": start, "extra_headers": "{}"}))
    assert isinstance(opened, MediaOpened)
    assert opened.layout == Layout(SampleFormat.S16LE, 16_000, 1)
    assert dict(opened.metadata) == {"CallId": start["callId"], "MediaStreamId": start["streamId"]}
    message = {"event": "media", "sequenceNumber": 1, "streamId": start["streamId"]}
    audio = {"track": "inbound", "timestamp": "1690000000000", "chunk": 1, "payload": "AQA="}
    assert reader.read(json.dumps({**message, "media": audio})) == (MediaAudio(0, b"\1\0", 1_690_000_000_000),)


@pytest.mark.parametrize("has_formats", [True, False])
@pytest.mark.parametrize("names", [("inbound",), ("inbound", "outbound")])
def test_bandwidth_says_event_type_and_metadata(names: tuple[str, ...], has_formats: bool) -> None:
    reader = MediaStreams()
    format_ = {"encoding": "PCMU", "sampleRate": 8000}
    tracks = [{"name": name, "mediaFormat": format_} for name in names] if has_formats else list(names)
    metadata = {
        "accountId": "5555555",
        "callId": "c-2a913f94",
        "streamId": "s-fbf6b3d1",
        "streamName": "support",
        "tracks": tracks,
        "streamParams": {"queue": "billing"},
    }
    (opened,) = reader.read(json.dumps({"eventType": "start", "metadata": metadata}))
    assert isinstance(opened, MediaOpened)
    assert (opened.layout, opened.tracks) == (Layout(SampleFormat.MU_LAW, 8_000, len(names)), len(names))
    assert dict(opened.metadata) == {"CallId": "c-2a913f94", "MediaStreamId": "s-fbf6b3d1", "queue": "billing"}
    for number, name in enumerate(names):
        sent = json.dumps({"eventType": "media", "track": name, "payload": "AQI=", "sequenceNumber": str(number + 1)})
        assert reader.read(sent) == (MediaAudio(number, b"\x01\x02", None),)
        assert reader.read(sent) == ()
    assert reader.read(json.dumps({"eventType": "dtmf", "digit": "1"})) == ()
    assert reader.read(json.dumps({"eventType": "stop", "metadata": metadata})) == (MediaEnded(),)


def test_tracks_of_different_formats_are_refused() -> None:
    tracks = [{"name": name, "mediaFormat": {"encoding": e}} for name, e in (("inbound", "PCMU"), ("outbound", "PCMA"))]
    with pytest.raises(MalformedMessage, match="different formats"):
        MediaStreams().read(json.dumps({"eventType": "start", "metadata": {"tracks": tracks}}))


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda a: st.lists(a) | st.dictionaries(
    st.sampled_from([
        "event", "start", "media", "tracks", "mediaFormat", "payload", "track", "eventType", "metadata", "media_format",
        "encoding", "chunk",
    ]) | st.text(), a,
)))  # fmt: skip
def test_whatever_comes_is_understood_or_refused(said: Any) -> None:
    reader = MediaStreams()
    for message in (
        {"event": "start", "start": said},
        {"event": "media", "media": said},
        {"eventType": "start", "metadata": said},
        said,
    ):
        with suppress(MalformedMessage):
            reader.read(json.dumps(message))
