"""The other channel, sample beside sample; silence where it has nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import prometheus_client

from carillon.matroska import BlockRead, Track
from carillon.media import ChannelDecoder, ChannelSource, DecoderState, Fragment, OtherChannel

SAID_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEFT, RIGHT = ChannelSource(2, 0, 8_000), ChannelSource(2, 1, 8_000)


def _track(number: int, channels: int, codec: str = "A_PCM/INT/LIT", rate_hz: float = 8_000.0) -> Track:
    return Track(number, number, 2, "", codec, b"", rate_hz, channels, 16)


def _fragment(tracks: Sequence[Track], *blocks: tuple[int, int, Sequence[int]], number: int = 1) -> Fragment:
    """A fragment of a second; a block is (track, ms after its begin, samples)."""
    at = SAID_AT + timedelta(seconds=number)
    read = [BlockRead(0, 1, track, ms, np.array(samples, "<i2").tobytes()) for track, ms, samples in blocks]
    return Fragment(str(number), at, at, tuple(tracks), tuple(read), {})


def _beside(source: ChannelSource, fragment: Fragment) -> list[int]:
    chunk = ChannelDecoder(source).decode(fragment)
    other = OtherChannel(source).beside(fragment, chunk)
    assert other.dtype == np.float32
    assert len(other) == len(chunk.samples)
    return (other * 32_768).astype(int).tolist()


def test_of_a_stereo_track_it_is_the_other_half_of_each_pair() -> None:
    fragment = _fragment([_track(1, 2)], (1, 0, [1, -1, 2, -2, 3, -3]))
    assert _beside(LEFT, fragment) == [-1, -2, -3]
    assert _beside(RIGHT, fragment) == [1, 2, 3]


def test_of_two_tracks_it_is_laid_where_it_was_said() -> None:
    tracks = [_track(1, 1), _track(2, 1)]
    fragment = _fragment(tracks, (1, 0, list(range(24))), (2, 1, list(range(100, 124))))
    assert _beside(LEFT, fragment) == [0] * 8 + list(range(100, 116))
    assert _beside(RIGHT, fragment) == [*range(8, 24), *[0] * 8]


def test_what_is_not_there_is_silence() -> None:
    assert _beside(LEFT, _fragment([_track(1, 1), _track(2, 1)], (1, 0, [1, 2, 3]))) == [0, 0, 0]


def test_what_cannot_be_read_is_silence() -> None:
    odd = [_track(1, 1), _track(2, 1, "A_VORBIS")]
    assert _beside(LEFT, _fragment(odd, (1, 0, [1, 2]), (2, 0, [7, 7]))) == [0, 0]
    fast = [_track(1, 1), _track(2, 1, rate_hz=16_000.0)]
    assert _beside(LEFT, _fragment(fast, (1, 0, [1, 2]), (2, 0, [7, 7]))) == [0, 0]


def test_a_fragment_that_is_sent_again_is_heard_once_on_either_side_also_after_a_restart() -> None:
    fragment = _fragment([_track(1, 2)], (1, 0, [1, -1, 2, -2]))
    decoder, other = ChannelDecoder(LEFT), OtherChannel(LEFT)
    assert len(other.beside(fragment, decoder.decode(fragment))) == 2
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(other.state), type=DecoderState)
    assert len(OtherChannel(LEFT, kept).beside(fragment, decoder.decode(fragment))) == 0


def test_what_is_missing_is_counted_once() -> None:
    def lost() -> float:
        return prometheus_client.REGISTRY.get_sample_value("carillon_media_lost_seconds_total") or 0.0

    decoder, other, before = ChannelDecoder(LEFT), OtherChannel(LEFT), lost()
    for number in (1, 7):
        fragment = _fragment([_track(1, 2)], (1, 0, [1, -1] * 8_000), number=number)
        other.beside(fragment, decoder.decode(fragment))
    assert lost() - before == 5
