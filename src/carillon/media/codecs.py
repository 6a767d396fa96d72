"""What a track says of its audio: how a sample is written, how many a second, how many side by side.

What Amazon Chime SDK documents is s16le (`A_PCM/INT/LIT`). Producers that pass telephone audio through send G.711 as
`A_MS/ACM`, browsers send Opus, cameras AAC. A track whose CodecID says nothing is taken for s16le, as AWS's own samples
take every track.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from carillon.errors import InvalidRequest
from carillon.matroska import Track

_WAVE_FORMAT: Final = struct.Struct("<HHI")  # format tag, channels, rate; the rest of WAVEFORMATEX is not to be trusted
_WAVE_BITS_AT: Final = 14
_OPUS_CHANNELS_AT: Final = 9
OPUS_RATE_HZ: Final = 48_000
"""Opus always decodes at this rate, whatever the microphone had: RFC 7845, section 5.1."""


class UnsupportedMedia(InvalidRequest):
    """The stream holds audio that we cannot read, or not the channels that were declared."""


class Encoding(Enum):
    """How audio is written. The values of compressed ones are FFmpeg's names."""

    U8 = "u8"
    S16LE = "s16le"
    S16BE = "s16be"
    S24LE = "s24le"
    S24BE = "s24be"
    S32LE = "s32le"
    S32BE = "s32be"
    F32LE = "f32le"
    F64LE = "f64le"
    A_LAW = "alaw"
    MU_LAW = "mulaw"
    AAC = "aac"
    OPUS = "opus"

    @property
    def is_compressed(self) -> bool:
        """Tell whether it comes in packets that need a decoder, instead of samples that can be cut anywhere."""
        return self in {Encoding.AAC, Encoding.OPUS}


class _Widths(NamedTuple):
    """The encodings of one family by bits per sample, and how many bits there are where a track does not say."""

    by_bits: Mapping[int, Encoding]
    default: int


_LITTLE: Final = _Widths({8: Encoding.U8, 16: Encoding.S16LE, 24: Encoding.S24LE, 32: Encoding.S32LE}, 16)
_BIG: Final = _Widths({8: Encoding.U8, 16: Encoding.S16BE, 24: Encoding.S24BE, 32: Encoding.S32BE}, 16)
_FLOATING: Final = _Widths({32: Encoding.F32LE, 64: Encoding.F64LE}, 32)

_PCM: Final[Mapping[str, _Widths]] = {
    "A_PCM/INT/LIT": _LITTLE,
    "A_PCM/INT/BIG": _BIG,
    "A_PCM/FLOAT/IEEE": _FLOATING,
}
"""Source: Matroska codec specification, "Audio Codec Mappings"; integers are signed unless they have 8 bits."""
_WAVE_PCM: Final[Mapping[int, _Widths]] = {1: _LITTLE, 3: _FLOATING}
_WAVE_G711: Final[Mapping[int, Encoding]] = {6: Encoding.A_LAW, 7: Encoding.MU_LAW}
"""WAVEFORMATEX format tags."""

_SUPPORTED: Final = (
    "PCM (best A_PCM/INT/LIT with 16 bits), A_MS/ACM with PCM, A-law or mu-law, A_AAC with its CodecPrivate, or A_OPUS"
)


@dataclass(frozen=True, slots=True)
class Codec:
    """What a track says of its audio; None where it says nothing."""

    encoding: Encoding
    rate_hz: int | None
    """Of PCM; compressed audio has the rate that it decodes to."""
    channels: int | None
    private: bytes = field(default=b"", repr=False)
    """What a decoder must know beforehand."""


def codec_of(track: Track) -> Codec:
    """Tell how to read a track.

    Raises:
        UnsupportedMedia: another codec, or PCM of another width.
    """
    if track.codec_id == "A_MS/ACM":
        return _wave_codec(track)
    if track.codec_id in _PCM:
        encoding = _of_width(track, _PCM[track.codec_id], track.bit_depth)
        return Codec(encoding, _rate(track.rate_hz), track.channels or None)
    if track.codec_id == "A_AAC":
        return Codec(Encoding.AAC, None, track.channels or None, track.codec_private)
    if track.codec_id == "A_OPUS":
        head = track.codec_private
        channels = head[_OPUS_CHANNELS_AT] if len(head) > _OPUS_CHANNELS_AT else track.channels
        return Codec(Encoding.OPUS, OPUS_RATE_HZ, channels or None, head)
    if track.codec_id.startswith(("A_", "V_", "S_")):
        raise UnsupportedMedia(f"Track {track.number} is {track.codec_id[:40]!r}; send {_SUPPORTED}.")
    return Codec(Encoding.S16LE, None, None)


def _wave_codec(track: Track) -> Codec:
    private = track.codec_private
    if len(private) < _WAVE_FORMAT.size:
        raise UnsupportedMedia(f"Track {track.number} is A_MS/ACM without a WAVEFORMATEX; send {_SUPPORTED}.")
    tag, channels, rate_hz = _WAVE_FORMAT.unpack_from(private)
    if tag in _WAVE_G711:
        encoding = _WAVE_G711[tag]
    elif tag in _WAVE_PCM:
        bits = int.from_bytes(private[_WAVE_BITS_AT : _WAVE_BITS_AT + 2], "little")
        encoding = _of_width(track, _WAVE_PCM[tag], bits)
    else:
        raise UnsupportedMedia(f"Track {track.number} is A_MS/ACM with format {tag}; send {_SUPPORTED}.")
    return Codec(encoding, rate_hz or _rate(track.rate_hz), channels or track.channels or None)


def _of_width(track: Track, widths: _Widths, bits: int | None) -> Encoding:
    encoding = widths.by_bits.get(bits or widths.default)  # the KVS producer SDK leaves the bits 0
    if encoding is None:
        known = ", ".join(map(str, widths.by_bits))
        raise UnsupportedMedia(f"Track {track.number} has {bits}-bit samples; {track.codec_id} may have {known}.")
    return encoding


def _rate(rate_hz: float) -> int | None:
    return round(rate_hz) if math.isfinite(rate_hz) and rate_hz >= 1 else None
