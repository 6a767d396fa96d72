import pytest

from carillon.matroska import Track
from carillon.media import ChannelSource, UnsupportedMedia
from carillon.media.channels import find_channel

MONO = ChannelSource(count=1, index=0, rate_hz=8_000)
LEFT, RIGHT = ChannelSource(2, 0, 8_000), ChannelSource(2, 1, 8_000)
VIDEO = Track(1, 1, 1, "", "V_VP8", b"", 0.0, 0, None)


def pcm(number: int = 1, channels: int = 1, kind: int = 2) -> Track:
    return Track(number, number, kind, "", "A_PCM/INT/LIT", b"", 8_000.0, channels, 16)


def opus(number: int, channels: int) -> Track:
    return Track(number, number, 2, "", "A_OPUS", b"", 48_000.0, channels, None)


@pytest.mark.parametrize(
    ("tracks", "source", "found"),
    [
        ([pcm()], MONO, (1, 1, 0)),
        ([pcm()], ChannelSource(1, 1, 8_000), (1, 1, 0)),  # the second stream of a pair is mono too
        ([pcm(channels=2)], LEFT, (1, 2, 0)),
        ([pcm(channels=2)], RIGHT, (1, 2, 1)),
        ([opus(1, 2)], RIGHT, (1, 2, 1)),
        ([pcm(9), pcm(4)], LEFT, (4, 1, 0)),
        ([pcm(9), pcm(4)], RIGHT, (9, 1, 0)),
        ([opus(9, 1), opus(4, 1)], RIGHT, (9, 1, 0)),
        ([VIDEO, pcm(2)], MONO, (2, 1, 0)),
        ([pcm(3, kind=0)], MONO, (3, 1, 0)),
        ([Track(1, 1, 0, "", "", b"", 0.0, 0, None)], RIGHT, (1, 2, 1)),
    ],
)
def test_what_was_declared_is_found(tracks: list[Track], source: ChannelSource, found: tuple[int, int, int]) -> None:
    channel = find_channel(tuple(tracks), source)
    assert (channel.track.number, channel.count, channel.at) == found


@pytest.mark.parametrize(
    ("tracks", "source"),
    [
        ([pcm(channels=2)], MONO),
        ([opus(1, 2)], MONO),
        ([pcm()], LEFT),
        ([pcm(channels=3)], LEFT),
        ([pcm(1), pcm(2, channels=2)], RIGHT),
        ([pcm(kind=1)], MONO),
        ([], MONO),
    ],
)
def test_a_stream_that_is_not_as_declared_is_refused(tracks: list[Track], source: ChannelSource) -> None:
    with pytest.raises(UnsupportedMedia):
        find_channel(tuple(tracks), source)
