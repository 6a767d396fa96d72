import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.matroska import BlockRead, Track
from carillon.media import ChannelSource, Fragment, RateMismatch, UnsupportedMedia, decode
from carillon.media.codecs import Encoding

SAID_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MONO = ChannelSource(count=1, index=0, rate_hz=8_000)
LEFT, RIGHT = ChannelSource(2, 0, 8_000), ChannelSource(2, 1, 8_000)


def pcm_track(number: int = 1, channels: int = 1, rate_hz: float = 8_000.0, kind: int = 2) -> Track:
    return Track(number, number, kind, "", "A_PCM/INT/LIT", b"", rate_hz, channels, 16)


def a_fragment(tracks: Sequence[Track], *blocks: tuple[int, int, bytes]) -> Fragment:
    """A fragment whose Cluster has the timecode 5000 ms; a block is (track, ms after that, data)."""
    read = [BlockRead(0, 1, track, 5_000 + after_ms, data) for track, after_ms, data in blocks]
    return Fragment("77", SAID_AT + timedelta(seconds=1), SAID_AT, tuple(tracks), tuple(read), {}, timecode_ms=5_000)


def s16le(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def heard(fragment: Fragment, source: ChannelSource) -> list[int]:
    return (decode(fragment, source).samples * 32_768).astype(int).tolist()


def test_a_mono_track_is_its_one_channel() -> None:
    chunk = decode(a_fragment([pcm_track()], (1, 0, s16le(1, 2)), (1, 20, s16le(-3))), MONO)
    assert chunk.fragment_number == "77"
    assert chunk.rate_hz == 8_000
    assert chunk.samples.dtype == np.float32
    assert (chunk.samples * 32_768).tolist() == [1, 2, -3]
    assert "array" not in repr(chunk)


def test_the_second_stream_of_a_pair_is_mono_too() -> None:
    assert heard(a_fragment([pcm_track()], (1, 0, s16le(4, 5))), ChannelSource(1, 1, 8_000)) == [4, 5]


def test_a_stereo_track_interleaves_left_and_right() -> None:
    fragment = a_fragment([pcm_track(channels=2)], (1, 0, s16le(1, -1, 2, -2)), (1, 20, s16le(3, -3)))
    assert heard(fragment, LEFT) == [1, 2, 3]
    assert heard(fragment, RIGHT) == [-1, -2, -3]


def test_of_two_mono_tracks_the_lower_number_comes_first() -> None:
    fragment = a_fragment([pcm_track(9), pcm_track(4)], (9, 0, s16le(9)), (4, 0, s16le(4)), (9, 20, s16le(99)))
    assert heard(fragment, LEFT) == [4]
    assert heard(fragment, RIGHT) == [9, 99]


def test_video_beside_the_audio_does_not_count() -> None:
    video = Track(1, 1, 1, "", "V_VP8", b"", 0.0, 0, None)
    assert heard(a_fragment([video, pcm_track(2)], (2, 0, s16le(7))), MONO) == [7]


def test_g_711_is_decoded_in_stereo_too() -> None:
    private = struct.pack("<HHIIHHH", 7, 2, 8_000, 16_000, 2, 8, 0)
    track = Track(1, 1, 2, "", "A_MS/ACM", private, 8_000.0, 2, None)
    codes = bytes(range(100))
    fragment = a_fragment([track], (1, 0, codes[:33]), (1, 20, codes[33:]))
    assert heard(fragment, RIGHT) == Encoding.MU_LAW.to_pcm16(codes[1::2]).tolist()


@given(st.lists(st.integers(0, 40), max_size=6), st.booleans())
def test_blocks_cut_anywhere_give_the_same_samples(cuts: list[int], stereo: bool) -> None:
    data = s16le(*range(-10, 10))
    places = sorted({0, len(data), *cuts})
    blocks = [(1, 20 * at, data[first:after]) for at, (first, after) in enumerate(pairwise(places))]
    track, source = pcm_track(channels=2 if stereo else 1), RIGHT if stereo else MONO
    assert heard(a_fragment([track], *blocks), source) == heard(a_fragment([track], (1, 0, data)), source)


def test_an_incomplete_sample_frame_at_the_end_of_a_fragment_is_dropped() -> None:
    fragment = a_fragment([pcm_track(channels=2)], (1, 0, s16le(1, 2, 3)))
    assert (heard(fragment, LEFT), heard(fragment, RIGHT)) == ([1], [2])


def test_a_chunk_begins_when_its_first_block_does() -> None:
    fragment = a_fragment([pcm_track(1), pcm_track(2)], (1, 0, s16le(1)), (2, 40, s16le(2)))
    assert decode(fragment, LEFT).started_at == SAID_AT
    assert decode(fragment, RIGHT).started_at == SAID_AT + timedelta(milliseconds=40)


def test_a_fragment_without_a_block_of_the_channel_gives_no_samples() -> None:
    chunk = decode(a_fragment([pcm_track(1), pcm_track(2)], (1, 0, s16le(1))), RIGHT)
    assert chunk.samples.shape == (0,)
    assert chunk.started_at == SAID_AT


def test_a_track_that_says_nothing_is_s16le_as_declared() -> None:
    silent = Track(1, 1, 0, "", "", b"", 0.0, 0, None)
    fragment = a_fragment([silent], (1, 0, s16le(1, 2, 3, 4)))
    assert decode(fragment, ChannelSource(1, 0, 16_000)).rate_hz == 16_000
    assert heard(fragment, MONO) == [1, 2, 3, 4]
    assert heard(fragment, RIGHT) == [2, 4]


@pytest.mark.parametrize(
    ("tracks", "source", "error"),
    [
        ([pcm_track(rate_hz=16_000.0)], MONO, RateMismatch),
        ([pcm_track(rate_hz=8_000.7)], MONO, RateMismatch),
        ([pcm_track(channels=2)], MONO, UnsupportedMedia),
        ([pcm_track()], LEFT, UnsupportedMedia),
        ([pcm_track(channels=3)], LEFT, UnsupportedMedia),
        ([pcm_track(1), pcm_track(2, channels=2)], RIGHT, UnsupportedMedia),
        ([pcm_track(kind=1)], MONO, UnsupportedMedia),
        ([], MONO, UnsupportedMedia),
    ],
)
def test_a_stream_that_is_not_as_declared_is_refused(
    tracks: list[Track], source: ChannelSource, error: type[UnsupportedMedia]
) -> None:
    with pytest.raises(UnsupportedMedia) as raised:
        decode(a_fragment(tracks, (1, 0, s16le(1, 2))), source)
    assert type(raised.value) is error


def test_block_times_far_from_their_fragment_are_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="timecode"):
        decode(a_fragment([pcm_track()], (1, 1 << 70, s16le(1))), MONO)
