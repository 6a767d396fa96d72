import struct
from io import BytesIO

import numpy as np
import pytest
import soundfile

from carillon.audio import Pcm16
from carillon.matroska import Track
from carillon.media.codecs import Codec, Encoding, UnsupportedMedia, codec_of

ALL_CODES = bytes(range(256))
MU_LAW_BY_FFMPEG = bytes.fromhex("0700 0100 401f0000 401f0000 0100 0800 0000")  # and by the KVS producer SDK


def track(codec_id: str, private: bytes = b"", bit_depth: int | None = None, rate_hz: float = 8_000.0) -> Track:
    return Track(1, 1, 2, "", codec_id, private, rate_hz, 1, bit_depth)


def wave_format(tag: int, channels: int = 1, rate_hz: int = 8_000, bits: int = 0) -> bytes:
    return struct.pack("<HHIIHHH", tag, channels, rate_hz, 0, 0, bits, 0)


def libsndfile(subtype: str) -> Pcm16:
    decoded: Pcm16 = soundfile.read(
        BytesIO(ALL_CODES), samplerate=8_000, channels=1, format="RAW", subtype=subtype, dtype="int16"
    )[0]
    return decoded


@pytest.mark.parametrize(("encoding", "subtype"), [(Encoding.MU_LAW, "ULAW"), (Encoding.A_LAW, "ALAW")])
def test_g_711_is_decoded_as_libsndfile_decodes_it(encoding: Encoding, subtype: str) -> None:
    np.testing.assert_array_equal(encoding.to_pcm16(ALL_CODES), libsndfile(subtype))


def test_the_corners_of_g_711_are_those_of_the_standard() -> None:
    assert Encoding.MU_LAW.to_pcm16(b"\xff\x7f\x80\x00").tolist() == [0, 0, 32_124, -32_124]
    assert Encoding.A_LAW.to_pcm16(b"\xd5\x55\xaa\x2a").tolist() == [8, -8, 32_256, -32_256]


def test_s16le_is_taken_as_it_is() -> None:
    samples = np.array([0, 1, -1, 32_767, -32_768], np.int16)
    np.testing.assert_array_equal(Encoding.S16LE.to_pcm16(samples.astype("<i2").tobytes()), samples)


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        (track("A_PCM/INT/LIT", bit_depth=16), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_PCM/INT/LIT", rate_hz=float("nan")), Codec(Encoding.S16LE, None, 1)),
        (track("A_MS/ACM", wave_format(1, 2, 16_000, 16)), Codec(Encoding.S16LE, 16_000, 2)),
        (track("A_MS/ACM", wave_format(1)), Codec(Encoding.S16LE, 8_000, 1)),
        (track("A_MS/ACM", wave_format(6)), Codec(Encoding.A_LAW, 8_000, 1)),
        (
            track("A_MS/ACM", bytes.fromhex("0700 0100 401f0000 401f0000 0100 0800 0000")),
            Codec(Encoding.MU_LAW, 8_000, 1),
        ),
        (track("A_MS/ACM", wave_format(7, 0, 0), rate_hz=11_025.0), Codec(Encoding.MU_LAW, 11_025, 1)),
        (track(""), Codec(Encoding.S16LE, None, None)),
        (track("pcm"), Codec(Encoding.S16LE, None, None)),
    ],
)
def test_a_track_tells_how_it_is_read(declared: Track, codec: Codec) -> None:
    assert codec_of(declared) == codec


@pytest.mark.parametrize(
    "declared",
    [
        track("A_AAC"),
        track("A_OPUS"),
        track("A_PCM/INT/BIG", bit_depth=16),
        track("A_PCM/INT/LIT", bit_depth=24),
        track("A_MS/ACM"),
        track("A_MS/ACM", wave_format(2)),
        track("A_MS/ACM", wave_format(1, bits=8)),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(declared: Track) -> None:
    with pytest.raises(UnsupportedMedia, match=r"16 bits|A_PCM/INT/LIT"):
        codec_of(declared)
