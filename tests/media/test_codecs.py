import struct

import pytest

from carillon.matroska import Track
from carillon.media import UnsupportedMedia
from carillon.media.codecs import Codec, codec_of
from carillon.media.encodings import Encoding

OPUS_HEAD = bytes.fromhex("4f7075734865616401023801401f0000000000")


def track(codec_id: str, private: bytes = b"", rate_hz: float = 8_000.0, bit_depth: int | None = None) -> Track:
    return Track(1, 1, 2, "", codec_id, private, rate_hz, 1, bit_depth)


def wave_format(tag: int, channels: int = 1, rate_hz: int = 8_000, bits: int = 0) -> bytes:
    return struct.pack("<HHIIHHH", tag, channels, rate_hz, 0, 0, bits, 0)


def extensible(tag: int, bits: int) -> bytes:
    """A WAVEFORMATEXTENSIBLE: the true format is the beginning of a GUID."""
    guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    return struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8_000, 0, bits // 8, bits, 22, bits, 4) + guid


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        (track("A_PCM/INT/LIT", bit_depth=16), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_PCM/INT/LIT", rate_hz=float("nan")), Codec(Encoding.S16LE, None, 1)),
        (track("A_PCM/INT/LIT", bit_depth=8), Codec(Encoding.U8, 8_000, 1)),
        (track("A_PCM/INT/LIT", bit_depth=24), Codec(Encoding.S24LE, 8_000, 1)),
        (track("A_PCM/INT/LIT", bit_depth=32), Codec(Encoding.S32LE, 8_000, 1)),
        (track("A_PCM/INT/BIG", bit_depth=0), Codec(Encoding.S16BE, 8_000, 1)),
        (track("A_PCM/INT/BIG", bit_depth=24), Codec(Encoding.S24BE, 8_000, 1)),
        (track("A_PCM/FLOAT/IEEE"), Codec(Encoding.F32LE, 8_000, 1)),
        (track("A_PCM/FLOAT/IEEE", bit_depth=64), Codec(Encoding.F64LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(1, 2, 16_000, 16)), Codec(Encoding.S16LE, 16_000, 2)),
        (track("A_MS/ACM", wave_format(1)), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(1, bits=24)), Codec(Encoding.S24LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(3)), Codec(Encoding.F32LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(3, bits=64)), Codec(Encoding.F64LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(6)), Codec(Encoding.A_LAW, 8_000, 1)),
        (
            track("A_MS/ACM", bytes.fromhex("0700 0100 401f0000 401f0000 0100 0800 0000")),
            Codec(Encoding.MU_LAW, 8_000, 1),
        ),
        (track("A_MS/ACM", wave_format(6, bits=16)), Codec(Encoding.A_LAW, 8_000, 1)),
        (track("A_MS/ACM", wave_format(7, bits=12)), Codec(Encoding.MU_LAW, 8_000, 1)),
        (track("A_MS/ACM", wave_format(1, bits=12)), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(0xFFFE, bits=16)), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_MS/ACM", extensible(1, 16)), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_MS/ACM", extensible(3, 32)), Codec(Encoding.F32LE, 8_000, 1)),
        (track("A_MS/ACM", extensible(7, 8)), Codec(Encoding.MU_LAW, 8_000, 1)),
        (track("A_MS/ACM", wave_format(7, 0, 0), rate_hz=11_025.0), Codec(Encoding.MU_LAW, 11_025, 1)),
        (track("A_AAC", b"\x15\x88"), Codec(Encoding.AAC, None, 1, b"\x15\x88")),
        (track("A_OPUS", OPUS_HEAD), Codec(Encoding.OPUS, 48_000, 2, OPUS_HEAD)),
        (track("A_OPUS", rate_hz=16_000.0), Codec(Encoding.OPUS, 48_000, 1)),
        (track(""), Codec(Encoding.S16LE, None, None)),
        (track("pcm"), Codec(Encoding.S16LE, None, None)),
    ],
)
def test_a_track_tells_how_it_is_read(declared: Track, codec: Codec) -> None:
    assert codec_of(declared) == codec


@pytest.mark.parametrize(
    "declared",
    [
        track("A_VORBIS"),
        track("A_AAC/MPEG4/LC"),
        track("V_VP8"),
        track("A_PCM/INT/BIG", bit_depth=12),
        track("A_PCM/INT/LIT", bit_depth=64),
        track("A_PCM/FLOAT/IEEE", bit_depth=16),
        track("A_MS/ACM"),
        track("A_MS/ACM", wave_format(2)),
        track("A_MS/ACM", wave_format(1, bits=48)),
        track("A_MS/ACM", wave_format(3, bits=16)),
        track("A_MS/ACM", extensible(0x11, 4)),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(declared: Track) -> None:
    with pytest.raises(UnsupportedMedia, match=r"may have .*32|A_PCM/INT/LIT"):
        codec_of(declared)


def test_a_repr_shows_no_private_data() -> None:
    assert "Opus" not in repr(codec_of(track("A_OPUS", OPUS_HEAD)))
