"""A track's bytes as 16-bit samples: PCM s16le, G.711 A-law and mu-law.

What Amazon Chime SDK reads is s16le (`A_PCM/INT/LIT`); G.711 comes as `A_MS/ACM` from producers that pass telephone
audio through. A track whose CodecID says nothing is taken for s16le, as AWS's own samples take every track.
"""

import math
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from carillon.audio import Pcm16
from carillon.errors import InvalidRequest
from carillon.matroska import Track

_WAVE_FORMAT: Final = struct.Struct("<HHI")  # format tag, channels, rate; the rest of WAVEFORMATEX is not to be trusted
_WAVE_BITS_AT: Final = 14
_SUPPORTED: Final = "s16le PCM (A_PCM/INT/LIT), or A_MS/ACM with PCM, A-law or mu-law"


class UnsupportedMedia(InvalidRequest):
    """The stream holds audio that we cannot read, or not the channels that were declared."""


class Encoding(Enum):
    """How one sample is written; the values are WAVEFORMATEX format tags."""

    S16LE = 1
    A_LAW = 6
    MU_LAW = 7

    @property
    def bytes_per_sample(self) -> int:
        """Return 2 for PCM, 1 for G.711."""
        return 2 if self is Encoding.S16LE else 1

    def to_pcm16(self, data: bytes) -> Pcm16:
        """Decode whole samples; all channels interleaved as they come."""
        if self is Encoding.S16LE:
            return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
        table = _A_LAW if self is Encoding.A_LAW else _MU_LAW
        decoded: Pcm16 = table[np.frombuffer(data, np.uint8)]
        return decoded


@dataclass(frozen=True, slots=True)
class Codec:
    """What a track says of its audio; None where it says nothing."""

    encoding: Encoding
    rate_hz: int | None
    channels: int | None


def codec_of(track: Track) -> Codec:
    """Tell how to read a track.

    Raises:
        UnsupportedMedia: another codec, or PCM of another width.
    """
    if track.codec_id == "A_MS/ACM":
        return _wave_codec(track)
    if track.codec_id == "A_PCM/INT/LIT":
        if track.bit_depth not in {None, 0, 16}:
            raise UnsupportedMedia(f"Track {track.number} has {track.bit_depth}-bit samples; send 16 bits.")
        return Codec(Encoding.S16LE, _rate(track.rate_hz), track.channels or None)
    if track.codec_id.startswith(("A_", "V_", "S_")):
        raise UnsupportedMedia(f"Track {track.number} is {track.codec_id[:40]!r}; send {_SUPPORTED}.")
    return Codec(Encoding.S16LE, None, None)


def _wave_codec(track: Track) -> Codec:
    private = track.codec_private
    if len(private) < _WAVE_FORMAT.size:
        raise UnsupportedMedia(f"Track {track.number} is A_MS/ACM without a WAVEFORMATEX; send {_SUPPORTED}.")
    tag, channels, rate_hz = _WAVE_FORMAT.unpack_from(private)
    try:
        encoding = Encoding(tag)
    except ValueError:
        raise UnsupportedMedia(f"Track {track.number} is A_MS/ACM with format {tag}; send {_SUPPORTED}.") from None
    bits = int.from_bytes(private[_WAVE_BITS_AT : _WAVE_BITS_AT + 2], "little")
    if encoding is Encoding.S16LE and bits not in {0, 16}:  # the KVS producer SDK leaves the bits 0
        raise UnsupportedMedia(f"Track {track.number} has {bits}-bit samples; send 16 bits.")
    return Codec(encoding, rate_hz or _rate(track.rate_hz), channels or track.channels or None)


def _rate(rate_hz: float) -> int | None:
    return round(rate_hz) if math.isfinite(rate_hz) and rate_hz >= 1 else None


def _mu_law() -> Pcm16:
    """Return what each of the 256 codes means (ITU-T G.711, table 2; 14 bits scaled to 16)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law() -> Pcm16:
    """Return what each of the 256 codes means (ITU-T G.711, table 1; 13 bits scaled to 16)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent, (step + 0x100) << np.maximum(exponent - 1, 0), step)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_MU_LAW: Final = _mu_law()
_A_LAW: Final = _a_law()
