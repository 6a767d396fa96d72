"""libavcodec is the other side: the same packets, decoded in one go."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from carillon.matroska import AUDIO, Track
from carillon.media import UnsupportedMedia
from carillon.media.codecs import Codec, codec_of
from carillon.media.encodings import Encoding
from carillon.media.packets import Decoded, PacketDecoder, Planes

MANY = 10_000_000
ONE_STEP = 1 / 32_768
AAC = Codec(Encoding.AAC, None, 1, b"\x15\x88")
LAYOUTS = [
    ("aac", 8_000, 1),
    ("aac", 44_100, 2),
    ("libopus", 48_000, 1),
    ("libopus", 48_000, 2),
    ("libopus", 16_000, 1),
]

Encode = Callable[..., Any]
Babble = Callable[..., Planes]


def continuous(codec: Codec, packets: Sequence[bytes]) -> Planes:
    decoder = av.CodecContext.create(codec.encoding.value, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = codec.private
    return np.concatenate([f.to_ndarray() for packet in packets for f in decoder.decode(av.Packet(packet))], axis=1)


def by_fragments(decoder: PacketDecoder, packets: Sequence[bytes], per_fragment: int) -> list[Decoded]:
    return [decoder.decode(packets[at : at + per_fragment], MANY) for at in range(0, len(packets), per_fragment)]


def joined(decoded: Sequence[Decoded]) -> Planes:
    return np.concatenate([part.planes for part in decoded if part.rate_hz], axis=1)


@pytest.mark.parametrize(("name", "rate_hz", "channels"), LAYOUTS)
@pytest.mark.parametrize("per_fragment", [1, 7, 50])
def test_no_fragment_is_heard_by_its_beginning(
    encode: Encode, babble: Babble, name: str, rate_hz: int, channels: int, per_fragment: int
) -> None:
    encoded = encode(name, babble(4, rate_hz, channels), rate_hz)
    codec = codec_of(encoded.track)
    expected = continuous(codec, encoded.packets)
    decoded = by_fragments(PacketDecoder(codec), encoded.packets, per_fragment)
    np.testing.assert_array_equal(joined(decoded), expected[:, 1_024:] if name == "aac" else expected)


@pytest.mark.parametrize(("name", "rate_hz", "channels"), LAYOUTS)
def test_what_was_said_is_heard_when_it_was_said(
    encode: Encode, babble: Babble, name: str, rate_hz: int, channels: int
) -> None:
    sound = babble(3, rate_hz, channels)
    encoded = encode(name, sound, rate_hz, bit_rate=128_000)
    first, *others = by_fragments(PacketDecoder(codec_of(encoded.track)), encoded.packets, 20)
    heard = joined([first, *others])[:, :: first.rate_hz // rate_hz]
    for said, got in zip(sound, heard, strict=True):
        size = 2 * rate_hz
        match = np.fft.irfft(np.fft.rfft(got[:rate_hz], size) * np.conj(np.fft.rfft(said[:rate_hz], size)))
        assert int(np.argmax(match)) in {0, 1, size - 1}
    assert first.delay_seconds == 0
    assert {part.delay_seconds for part in others} == {1_024 / rate_hz if name == "aac" else 312 / 48_000}


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Planes:
    """12 s of a packaged call, at 48 kHz."""
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="float32", frames=12 * 8_000)
    assert rate_hz == 8_000
    return np.ascontiguousarray(soxr.resample(samples[:, :1], rate_hz, 48_000).T)


@pytest.mark.parametrize(
    ("name", "options", "most_apart"),
    [
        ("aac", {"aac_pns": "0"}, 0.0),
        ("libopus", {"application": "voip"}, ONE_STEP),
        ("libopus", {"application": "audio"}, ONE_STEP),
    ],
)
def test_a_restart_is_invisible(
    encode: Encode, speech: Planes, name: str, options: dict[str, str], most_apart: float
) -> None:
    encoded = encode(name, speech, 48_000, bit_rate=32_000, **options)
    codec, packets = codec_of(encoded.track), encoded.packets
    expected = joined(by_fragments(PacketDecoder(codec), packets, 50))
    for at in (1, 2, 49, 60, 333, 500):
        before = PacketDecoder(codec)
        before.decode(packets[:at], MANY)
        heard = PacketDecoder(codec, before.lead).decode(packets[at:], MANY).planes
        assert np.abs(heard - expected[:, -heard.shape[1] :]).max() <= most_apart


@pytest.mark.parametrize(("name", "count"), [("aac", 12), ("libopus", 50)])
def test_what_a_decoder_must_have_heard_is_not_much(encode: Encode, babble: Babble, name: str, count: int) -> None:
    encoded = encode(name, babble(3, 48_000), 48_000)
    decoder = PacketDecoder(codec_of(encoded.track))
    by_fragments(decoder, encoded.packets, 3)
    assert decoder.lead == tuple(encoded.packets[-count:])


def test_a_lead_is_never_large() -> None:
    decoder = PacketDecoder(AAC)
    decoder.decode([bytes(60_000), bytes(60_000), bytes(5_000)], MANY)
    assert [len(packet) for packet in decoder.lead] == [60_000, 5_000]
    decoder.decode([bytes(70_000)], MANY)
    assert decoder.lead == ()


@pytest.mark.parametrize("damaged", [b"", b"\0", b"\xff" * 40, bytes(300)])
@pytest.mark.parametrize("name", ["aac", "libopus"])
def test_a_damaged_packet_is_passed_over(encode: Encode, babble: Babble, name: str, damaged: bytes) -> None:
    encoded = (
        encode(name, babble(2, 48_000), 48_000, aac_pns="0")
        if name == "aac"
        else encode(name, babble(2, 48_000), 48_000)
    )
    codec = codec_of(encoded.track)
    packets = [*encoded.packets[:40], damaged, *encoded.packets[41:]]
    heard, expected = continuous(codec, encoded.packets), joined(by_fragments(PacketDecoder(codec), packets, 20))
    assert 0 <= heard.shape[1] - expected.shape[1] <= 3 * 1_024
    if name == "aac":
        np.testing.assert_array_equal(heard[:, -20_000:], expected[:, -20_000:])


def test_packets_of_which_none_can_be_read_hold_nothing() -> None:
    decoded = PacketDecoder(AAC).decode([b"\0", b"garbage"], MANY)
    assert (decoded.planes.size, decoded.rate_hz) == (0, 0)


def test_more_samples_than_a_fragment_can_hold_are_refused_before_they_pile_up(encode: Encode, babble: Babble) -> None:
    encoded = encode("libopus", babble(1, 48_000), 48_000)
    with pytest.raises(UnsupportedMedia, match="at most 20 s"):
        PacketDecoder(codec_of(encoded.track)).decode(encoded.packets, 20_000)


@pytest.mark.parametrize("private", [b"garbage garbage garbage", bytes(64)])
@pytest.mark.parametrize("codec_id", ["A_AAC", "A_OPUS"])
def test_a_header_that_cannot_be_read_is_refused(codec_id: str, private: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="CodecPrivate"):
        PacketDecoder(codec_of(Track(1, 1, AUDIO, "", codec_id, private, 8_000.0, 1, None)))


def test_without_pyav_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedMedia, match=r"pip install 'carillon-voice\[codecs\]'"):
        PacketDecoder(AAC)


def test_a_repr_shows_no_sound(encode: Encode, babble: Babble) -> None:
    encoded = encode("aac", babble(1, 8_000), 8_000)
    assert "array" not in repr(PacketDecoder(codec_of(encoded.track)).decode(encoded.packets, MANY))
