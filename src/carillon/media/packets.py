"""Compressed packets to samples: AAC and Opus, by libavcodec through PyAV, which is an optional extra.

A decoder remembers what it decoded, also from one fragment to the next: one decoder runs through all fragments of a
leg. What it remembers cannot be stored, but what made it can. So a decoder that goes on after a restart first hears the
last packets again (`lead`), by which its memory becomes what it was: AAC to the bit (all but substituted noise, which
is random by design), Opus to less than a 16-bit step for speech. A lone steady tone takes Opus seconds to agree on.

Source: RFC 7845, section 4.6 (80 ms of pre-roll before Opus is good); ISO/IEC 14496-3 (an AAC frame overlaps with one).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carillon.media.codecs import OPUS_RATE_HZ, Codec, UnsupportedMedia
from carillon.media.encodings import Encoding

_LEAD_SECONDS: Final[Mapping[Encoding, float]] = {Encoding.AAC: 0.25, Encoding.OPUS: 1.0}
_FEWEST_LEAD: Final = 2
_MOST_LEAD_BYTES: Final = 65_536  # a hostile packet may be as large as a fragment; a second of music is 20 kB
_OPUS_PRE_SKIP: Final = slice(10, 12)
_MOST_CHANNELS: Final = 2

Planes = npt.NDArray[np.float32]
"""(channels, n) samples in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What some packets hold."""

    planes: Planes = field(repr=False)
    """Without channels and samples if no packet could be read."""
    rate_hz: int
    """0 if no packet could be read."""
    delay_seconds: float
    """By how much the first sample is older than the first packet's time. 0 for the first packets of a stream: what
    would lie before their time is the encoder's or the decoder's own, and is dropped."""
    starts: Sequence[int] = ()
    """(packets,) the sample at which each packet begins, below 0 where it is dropped; none at all where frames unlike
    the last were left out."""


class PacketDecoder:
    """Decodes one track, packet after packet.

    Args:
        codec: AAC or Opus.
        lead: the packets right before those that will come; none at the start of a stream and after a gap.

    Raises:
        UnsupportedMedia: PyAV is not installed, or the codec's header cannot be read.
    """

    def __init__(self, codec: Codec, lead: Sequence[bytes] = ()) -> None:
        self.codec = codec
        self.lead = tuple(lead)
        self._av = _pyav(codec)
        self._decoder = _decoder(self._av, codec)
        for packet in lead:
            for _ in self._frames(packet):
                pass

    def decode(self, packets: Sequence[bytes], most_samples: int) -> Decoded:
        """Decode the next packets. One that is damaged is passed over.

        Args:
            packets: of one fragment.
            most_samples: of one channel; where there are more, the stream is not what it says it is.

        Raises:
            UnsupportedMedia: there are more than two channels, or more samples.
        """
        is_first = not self.lead
        frames: list[Any] = []
        starts: list[int] = []
        count = 0
        for packet in packets:
            starts.append(count)
            for frame in self._frames(packet):
                count += frame.samples
                if count > most_samples or frame.layout.nb_channels > _MOST_CHANNELS:
                    raise UnsupportedMedia(
                        f"A fragment decodes to over {most_samples} samples, or over {_MOST_CHANNELS} channels. "
                        "Send fragments of at most 20 s, in mono or stereo."
                    )
                frames.append(frame)
        seconds = frames[-1].samples / frames[-1].sample_rate if frames else 0.0
        self.lead = _last((*self.lead, *packets), _LEAD_SECONDS[self.codec.encoding], seconds)
        if not frames:
            return Decoded(np.zeros((0, 0), np.float32), 0, 0.0)
        planes = _planes(frames)
        delay_seconds = seconds
        if self.codec.encoding is Encoding.OPUS:  # libavcodec drops the first samples itself
            delay_seconds = int.from_bytes(self.codec.private[_OPUS_PRE_SKIP], "little") / OPUS_RATE_HZ
        is_whole = planes.shape[1] == count
        if is_first and self.codec.encoding is not Encoding.OPUS:
            priming = frames[0].samples
            planes, starts = planes[:, priming:], [start - priming for start in starts]
        return Decoded(planes, frames[-1].sample_rate, 0.0 if is_first else delay_seconds, starts if is_whole else ())

    def _frames(self, packet: bytes) -> Iterator[Any]:
        if not packet:  # means "the end" to libavcodec, after which it takes no more
            return
        try:
            yield from self._decoder.decode(self._av.Packet(packet))
        except self._av.FFmpegError:
            return


def _planes(frames: Sequence[Any]) -> Planes:
    """Join frames that are like the last one: AAC finds out about its extensions only while it decodes."""
    last = frames[-1]
    alike = [
        frame.to_ndarray()
        for frame in frames
        if (frame.sample_rate, frame.layout.nb_channels) == (last.sample_rate, last.layout.nb_channels)
    ]
    planes: Planes = np.clip(np.nan_to_num(np.concatenate(alike, axis=1)), -1.0, 1.0)
    return planes


def _last(packets: tuple[bytes, ...], seconds: float, packet_seconds: float) -> tuple[bytes, ...]:
    """Return the last packets, so long and so large at most."""
    most = max(_FEWEST_LEAD, math.ceil(seconds / packet_seconds)) if packet_seconds else _FEWEST_LEAD
    kept: list[bytes] = []
    left = _MOST_LEAD_BYTES
    for packet in reversed(packets[-most:]):
        left -= len(packet)
        if left < 0:
            break
        kept.append(packet)
    return tuple(reversed(kept))


def _pyav(codec: Codec) -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise UnsupportedMedia(
            f"The stream is {codec.encoding.name}, which needs PyAV: pip install 'carillon-voice[codecs]'."
        ) from error
    return av


def _decoder(av: ModuleType, codec: Codec) -> Any:  # noqa: ANN401 - PyAV is optional
    decoder = av.CodecContext.create(codec.encoding.value, "r")
    if codec.private:
        decoder.extradata = codec.private
    if codec.channels in {1, 2}:
        decoder.layout = "mono" if codec.channels == 1 else "stereo"
    try:
        decoder.open()
    except av.FFmpegError as error:
        raise UnsupportedMedia(
            f"The CodecPrivate of the {codec.encoding.name} track cannot be read ({error.strerror})."
        ) from error
    return decoder
