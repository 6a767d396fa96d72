"""Plain samples, and the ways to say what they are."""

import pytest

from carillon.api.ingest.errors import NotUnderstood
from carillon.api.ingest.heard import Audio, Ended, Opened
from carillon.api.ingest.pcm import PlainPcm
from carillon.media.splicer import Layout, SampleFormat


def opened(rate_hz: int, channels: int = 1) -> Opened:
    return Opened(Layout(SampleFormat.S16LE, rate_hz, channels))


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
def test_a_first_message_says_what_samples_are(message: str, said: Opened) -> None:
    assert PlainPcm(b"").read(message) == (said,)


def test_then_samples_follow_and_text_is_not_for_us_but_for_the_end() -> None:
    reader = PlainPcm(b"rate=8000")
    reader.begin()
    assert reader.read(b"\x01\x02\x03") == (Audio(0, b"\x01\x02\x03"),)
    for other in ("hello", '{"event": "websocket:dtmf"}', '{"rate": 9000}', "{" * 10_000):
        assert reader.read(other) == ()
    assert reader.read('{"event": "stop"}') == (Ended(),)


@pytest.mark.parametrize("query", [b"rate=7999", b"rate=48001", b"rate=x", b"rate=8000&channels=3", b"a=b&" * 200])
def test_a_query_that_makes_no_sense_is_refused(query: bytes) -> None:
    with pytest.raises(NotUnderstood):
        PlainPcm(query).begin()


@pytest.mark.parametrize(
    "message",
    ["", "x", "{}", "[]", '{"rate": "8000"}', '{"rate": 1}', '{"rate": 8000, "channels": 0}', b"\0\0",
     '{"content-type": "audio/opus;rate=8000"}', '{"event": "stop"}', "[" * 10_000],
)  # fmt: skip
def test_a_first_message_that_makes_no_sense_is_refused(message: str | bytes) -> None:
    with pytest.raises(NotUnderstood):
        PlainPcm(b"").read(message)
