"""What a track says of its audio: how a sample is written, how many a second, how many side by side.

What Amazon Chime SDK documents is s16le (`A_PCM/INT/LIT`). Producers that pass telephone audio through send G.711 as
`A_MS/ACM`, browsers send Opus, cameras AAC. A track whose CodecID says nothing is taken for s16le, as AWS's own samples
take every track.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carillon.errors import InvalidRequest
from carillon.matroska import Track
from carillon.media.encodings import BIG_INTEGERS, FLOATS, INTEGERS, Encoding, WaveFormat, Widths

_OPUS_CHANNELS_AT: Final = 9
OPUS_RATE_HZ: Final = 48_000
"""Opus always decodes at this rate, whatever the microphone had: RFC 7845, section 5.1."""


class UnsupportedMedia(InvalidRequest):
    """The stream holds audio that we cannot read, or not the channels that were declared."""


_PCM: Final[Mapping[str, Widths]] = {
    "A_PCM/INT/LIT": INTEGERS,
    "A_PCM/INT/BIG": BIG_INTEGERS,
    "A_PCM/FLOAT/IEEE": FLOATS,
}
"""Source: Matroska codec specification, "Audio Codec Mappings"; integers are signed unless they have 8 bits."""
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
    """Return how to read a track.

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
    said = WaveFormat.read(track.codec_private)
    if said is None:
        raise UnsupportedMedia(f"Track {track.number} is A_MS/ACM without a WAVEFORMATEX; send {_SUPPORTED}.")
    encoding = said.encoding()
    if encoding is None:
        raise UnsupportedMedia(
            f"Track {track.number} is A_MS/ACM with {said.bits}-bit samples of format {said.tag}; send {_SUPPORTED}."
        )
    return Codec(encoding, said.rate_hz or _rate(track.rate_hz), said.channels or track.channels or None)


def _of_width(track: Track, widths: Widths, bits: int | None) -> Encoding:
    encoding = widths.by_bits.get(bits or widths.default)  # the KVS producer SDK leaves the bits 0
    if encoding is None:
        known = ", ".join(map(str, widths.by_bits))
        raise UnsupportedMedia(f"Track {track.number} has {bits}-bit samples; {track.codec_id} may have {known}.")
    return encoding


def _rate(rate_hz: float) -> int | None:
    return round(rate_hz) if math.isfinite(rate_hz) and rate_hz >= 1 else None
