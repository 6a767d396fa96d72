"""One participant out of a fragment: the channel of the track that carries it, as samples with a wall time.

A stream holds one mono track, one track of interleaved stereo, or two mono tracks (as Amazon Connect writes them). What
was declared in the API counts; a stream that contradicts it is refused and not guessed at.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from carillon.audio import Pcm, from_pcm16
from carillon.matroska import AUDIO, Track
from carillon.media.codecs import Codec, UnsupportedMedia, codec_of
from carillon.media.fragments import Fragment

_VIDEO: Final = 1
_STEREO: Final = 2
_LONGEST_FRAGMENT_MS: Final = 60_000  # Kinesis allows 20 s


class RateMismatch(UnsupportedMedia):
    """The track's rate is not the declared one."""

    def __init__(self, track_hz: int, declared_hz: int) -> None:
        super().__init__(
            f"The stream has {track_hz} samples a second, but {declared_hz} were declared. "
            "Set MediaSampleRate to what the producer sends."
        )


@dataclass(frozen=True, slots=True)
class ChannelSource:
    """Where a participant's audio is, as declared when the pipeline was created."""

    count: int
    """Channels in the stream: 1 or 2."""
    index: int
    """Which of them: 0 is the left, or the track with the lowest number."""
    rate_hz: int


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One fragment's samples for one leg."""

    fragment_number: str
    started_at: datetime
    """Wall time of the first sample."""
    rate_hz: int
    samples: Pcm = field(repr=False)
    """(n,), maybe none."""


@dataclass(frozen=True, slots=True)
class _Channel:
    """One channel of one track."""

    track: Track
    codec: Codec
    stride: int  # samples between two of this channel
    at: int  # which of those


def decode(fragment: Fragment, source: ChannelSource) -> Chunk:
    """Return the samples that one participant has in a fragment.

    Samples are counted from the first block on: block times have only milliseconds. A sample frame that a block cuts
    off is completed by the next block, or dropped at the end of the fragment.

    Args:
        fragment: complete.
        source: what was declared.

    Raises:
        UnsupportedMedia: no such channel, or a codec that we do not read.
        RateMismatch: the track has another rate than was declared.
    """
    channel = _find(fragment.tracks, source)
    rate_hz = channel.codec.rate_hz or source.rate_hz
    if rate_hz != source.rate_hz:
        raise RateMismatch(rate_hz, source.rate_hz)
    blocks = [block for block in fragment.blocks if block.track == channel.track.number]
    data = b"".join(block.data for block in blocks)
    frame_bytes = channel.codec.encoding.bytes_per_sample * channel.stride
    samples = channel.codec.encoding.to_pcm16(data[: len(data) - len(data) % frame_bytes])
    offset_ms = blocks[0].timecode_ms - fragment.timecode_ms if blocks else 0
    if abs(offset_ms) > _LONGEST_FRAGMENT_MS:
        raise UnsupportedMedia(f"Fragment {fragment.number} has audio {offset_ms} ms from its Cluster's timecode.")
    return Chunk(
        fragment_number=fragment.number,
        started_at=fragment.wall_at + timedelta(milliseconds=offset_ms),
        rate_hz=rate_hz,
        samples=from_pcm16(samples[channel.at :: channel.stride]),
    )


def _find(tracks: tuple[Track, ...], source: ChannelSource) -> _Channel:
    """Return the channel that was declared.

    Source: `ChannelDefinition` in the API reference; the two tracks are Amazon Connect's layout.
    """
    heard = sorted(_audio_tracks(tracks), key=lambda track: track.number)
    if not heard:
        raise UnsupportedMedia("The stream has no audio track.")
    first = codec_of(heard[0])
    if source.count == 1:
        if first.channels not in {1, None}:
            raise UnsupportedMedia(f"The stream has {first.channels} channels, but 1 was declared: NumberOfChannels.")
        return _Channel(heard[0], first, 1, 0)
    if first.channels == _STEREO or (first.channels is None and len(heard) == 1):
        return _Channel(heard[0], first, _STEREO, source.index)
    if len(heard) < _STEREO:
        raise UnsupportedMedia(
            f"2 channels were declared, but the stream's only audio track has {first.channels}. "
            "Send one stereo track or two mono tracks, or set NumberOfChannels to 1."
        )
    track = heard[source.index]
    codec = codec_of(track)
    if codec.channels not in {1, None}:
        raise UnsupportedMedia(
            f"Track {track.number} has {codec.channels} channels; with two tracks each must be mono."
        )
    return _Channel(track, codec, 1, 0)


def _audio_tracks(tracks: tuple[Track, ...]) -> list[Track]:
    """Return the audio tracks; if none says so, those that at least are no video."""
    return [track for track in tracks if track.kind == AUDIO] or [track for track in tracks if track.kind != _VIDEO]
