"""Which channel of which track carries a participant.

A stream holds one mono track, one track of interleaved stereo, or two mono tracks (as Amazon Connect writes them). What
was declared in the API counts; a stream that contradicts it is refused and not guessed at.
"""

from dataclasses import dataclass
from typing import Final

from carillon.matroska import AUDIO, Track
from carillon.media.codecs import Codec, UnsupportedMedia, codec_of

_VIDEO: Final = 1
_STEREO: Final = 2


@dataclass(frozen=True, slots=True)
class ChannelSource:
    """Where a participant's audio is, as declared when the pipeline was created."""

    count: int
    """Channels in the stream: 1 or 2."""
    index: int
    """Which of them: 0 is the left, or the track with the lowest number."""
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of one track."""

    track: Track
    codec: Codec
    count: int
    """Channels that the track has side by side."""
    at: int
    """Which of those."""


def find_channel(tracks: tuple[Track, ...], source: ChannelSource) -> Channel:
    """Return the channel that was declared.

    Raises:
        UnsupportedMedia: no such channel, or a codec that we do not read.

    Source: `ChannelDefinition` in the API reference; the two tracks are Amazon Connect's layout.
    """
    audio = sorted(_audio_tracks(tracks), key=lambda track: track.number)
    if not audio:
        raise UnsupportedMedia("The stream has no audio track.")
    first = codec_of(audio[0])
    if source.count == 1:
        if first.channels not in {1, None}:
            raise UnsupportedMedia(f"The stream has {first.channels} channels, but 1 was declared: NumberOfChannels.")
        return Channel(audio[0], first, 1, 0)
    if first.channels == _STEREO or (first.channels is None and len(audio) == 1):
        return Channel(audio[0], first, _STEREO, source.index)
    if len(audio) < _STEREO:
        raise UnsupportedMedia(
            f"2 channels were declared, but the stream's only audio track has {first.channels}. "
            "Send one stereo track or two mono tracks, or set NumberOfChannels to 1."
        )
    track = audio[source.index]
    codec = codec_of(track)
    if codec.channels not in {1, None}:
        raise UnsupportedMedia(
            f"Track {track.number} has {codec.channels} channels; with two tracks each must be mono."
        )
    return Channel(track, codec, 1, 0)


def _audio_tracks(tracks: tuple[Track, ...]) -> list[Track]:
    """Return the audio tracks; if none says so, those that at least are no video."""
    return [track for track in tracks if track.kind == AUDIO] or [track for track in tracks if track.kind != _VIDEO]
