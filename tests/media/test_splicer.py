"""Pieces in, fragments out: where each piece stands, what is silent, and when a fragment is whole."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.matroska import BlockRead, ClusterStarted, ClusterTimecode, Demuxer, TagsRead, TracksRead
from carillon.media import BadFragmentLength
from carillon.media.codecs import codec_of
from carillon.media.splicer import Layout, SampleFormat, Splicer

MU_LAW = Layout(SampleFormat.MU_LAW, 8_000, 1)
BOTH = Layout(SampleFormat.MU_LAW, 8_000, 2)
STARTED_AT_MS = 1_800_000_000_000
SILENT = 0xFF
PIECE = 160  # bytes: 20 ms


def piece(value: int, pieces: int = 1) -> bytes:
    return bytes([value]) * PIECE * pieces


def heard(fragments: Sequence[bytes], splicer: Splicer) -> list[bytes]:
    """The samples of each fragment, as a demuxer reads them; on the way, that their times count the samples."""
    found: list[bytes] = []
    frame_bytes = rate_hz = first_ms = 0
    demuxer = Demuxer()
    for event in [*demuxer.feed(splicer.header() + b"".join(fragments)), *demuxer.end()]:
        if isinstance(event, TracksRead):
            (track,) = event.tracks
            frame_bytes, rate_hz = track.channels * (track.bit_depth or 0) // 8, int(track.rate_hz)
        elif isinstance(event, ClusterStarted):
            found.append(b"")
        elif isinstance(event, BlockRead):
            sent = sum(len(data) for data in found)
            first_ms = first_ms or event.timecode_ms
            assert event.timecode_ms == first_ms + sent // frame_bytes * 1000 // rate_hz
            found[-1] += event.data
    return found


def splicer_of(layout: Layout = MU_LAW, tracks: int = 1, late_seconds: float = 0.2) -> Splicer:
    return Splicer(layout, STARTED_AT_MS, tracks=tracks, late_seconds=late_seconds)


def test_pieces_without_times_follow_one_another() -> None:
    splicer = splicer_of()
    sent = np.random.default_rng(1).integers(0, 256, 20_000, np.uint8).tobytes()
    fragments = [fragment for at in range(0, len(sent), 777) for fragment in splicer.push(0, sent[at : at + 777])]
    assert len(fragments) == 2
    assert heard([*fragments, *splicer.end()], splicer) == [sent[:8000], sent[8000:16000], sent[16000:]]
    assert splicer.seconds == 2.5


@pytest.mark.parametrize("size", [1, 3, 7, 1000, 100_000])
def test_however_pieces_are_cut_the_same_comes_out(size: int) -> None:
    sent = np.random.default_rng(2).integers(0, 256, 70_002, np.uint8).tobytes()
    splicer = Splicer(Layout(SampleFormat.S16LE, 16_000, 2), STARTED_AT_MS)
    fragments = [fragment for at in range(0, len(sent), size) for fragment in splicer.push(0, sent[at : at + size])]
    whole = Splicer(Layout(SampleFormat.S16LE, 16_000, 2), STARTED_AT_MS)
    assert [*fragments, *splicer.end()] == [*whole.push(0, sent), *whole.end()]


def test_a_frame_that_is_cut_off_at_the_end_is_dropped() -> None:
    splicer = Splicer(Layout(SampleFormat.S16LE, 16_000, 2), STARTED_AT_MS)
    splicer.push(0, bytes(7))
    assert splicer.seconds == 1 / 16_000


def test_two_tracks_become_two_channels() -> None:
    splicer = splicer_of(BOTH, 2)
    fragments: list[bytes] = []
    for n in range(50):
        fragments += splicer.push(0, piece(1), 20 * n)
        assert fragments == []
        fragments += splicer.push(1, piece(2), 20 * n)
    assert heard(fragments, splicer) == [bytes([1, 2]) * 8000]
    assert splicer.filled_seconds == 0


def test_sixteen_bit_tracks_are_interleaved_by_sample() -> None:
    splicer = Splicer(Layout(SampleFormat.S16LE, 8_000, 2), STARTED_AT_MS, tracks=2)
    assert splicer.push(0, b"\x01\x02" * 8000) == []
    assert heard(splicer.push(1, b"\x03\x04" * 8000), splicer) == [b"\x01\x02\x03\x04" * 8000]


def test_a_lost_piece_leaves_silence_of_its_length() -> None:
    splicer = splicer_of()
    splicer.push(0, piece(1, 10), 0)
    splicer.push(0, piece(2), 220)
    assert heard(splicer.end(), splicer) == [piece(1, 10) + piece(SILENT) + piece(2)]
    assert splicer.filled_seconds == 0.02


@pytest.mark.parametrize("jitter", [[0, 19, 41, 60, 77, 100], [0, 20, 39, 58, 90, 95], [5, 5, 5, 5, 5, 5]])
def test_times_that_are_rounded_tear_nothing(jitter: Sequence[int]) -> None:
    splicer = splicer_of()
    for n, at_ms in enumerate(jitter):
        splicer.push(0, piece(n), at_ms)
    assert heard(splicer.end(), splicer) == [b"".join(piece(n) for n in range(6))]


def test_the_senders_zero_may_be_anywhere() -> None:
    splicer = splicer_of(BOTH, 2)
    splicer.push(0, piece(1, 2), 155)
    splicer.push(1, piece(2), 175)
    assert heard(splicer.end(), splicer) == [bytes([1, SILENT]) * PIECE + bytes([1, 2]) * PIECE]


def test_a_track_that_is_silent_holds_up_the_other_only_for_a_moment() -> None:
    splicer = splicer_of(BOTH, 2, late_seconds=0.2)
    fragments = [fragment for n in range(60) for fragment in splicer.push(0, piece(1), 20 * n)]
    assert heard(fragments, splicer) == [bytes([1, SILENT]) * 8000]
    assert len(splicer.push(1, piece(2), 1180)) == 0
    assert heard(splicer.end(), splicer)[0].endswith(bytes([1, 2]) * PIECE)


def test_a_piece_out_of_order_finds_its_place() -> None:
    splicer = splicer_of()
    for n in (0, 1, 3, 4, 2, 7, 6, 5):
        splicer.push(0, piece(n), 20 * n)
    assert heard(splicer.end(), splicer) == [b"".join(piece(n) for n in range(8))]
    assert splicer.filled_seconds == 0


def test_a_fragment_waits_for_a_piece_that_is_missing_in_it_but_not_for_ever() -> None:
    splicer = splicer_of(late_seconds=0.2)
    sent = [n for n in range(50) if n != 40]
    assert [splicer.push(0, piece(n), 20 * n) for n in sent] == [[]] * 49
    fragments = splicer.push(0, piece(40), 800)
    assert heard(fragments, splicer) == [b"".join(piece(n) for n in range(50))]
    waited = splicer_of(late_seconds=0.2)
    came = [len(waited.push(0, piece(n), 20 * n)) for n in [*sent, *range(50, 60)]]
    assert came == [0] * 58 + [1]
    assert waited.push(0, piece(40), 800) == []
    assert waited.dropped_seconds == 0.02


def test_a_repeated_piece_is_dropped() -> None:
    splicer = splicer_of()
    for n in (0, 1, 2, 1):
        splicer.push(0, piece(n), 20 * n)
    assert heard(splicer.end(), splicer) == [piece(0) + piece(1) + piece(2)]
    assert splicer.dropped_seconds == 0.02


def test_audio_that_was_held_up_is_kept_and_shifts_the_clock_of_both_tracks() -> None:
    splicer = splicer_of(BOTH, 2)
    fragments = splicer.push(0, piece(1, 50), 0) + splicer.push(1, piece(2, 50), 0)
    fragments += splicer.fill_until(4.0)
    fragments += splicer.push(0, piece(3, 50), 1000) + splicer.push(1, piece(4, 50), 1000)
    assert heard(fragments, splicer) == [
        bytes([1, 2]) * 8000,
        *[bytes([SILENT, SILENT]) * 8000] * 3,
        bytes([3, 4]) * 8000,
    ]


@pytest.mark.parametrize("at_ms", [10_000_000, 0])
def test_another_clock_leaves_no_gap(at_ms: int) -> None:
    splicer = splicer_of()
    splicer.push(0, piece(1), 5_000_000)
    splicer.push(0, piece(2), at_ms)
    splicer.push(0, piece(3), at_ms + 20)
    assert heard(splicer.end(), splicer) == [piece(1) + piece(2) + piece(3)]


def test_a_long_silence_is_handed_out_on_the_way_and_never_held() -> None:
    splicer = splicer_of()
    splicer.push(0, piece(1, 50), 0)
    fragments = splicer.push(0, piece(2), 40_000)
    assert heard(fragments, splicer) == [piece(SILENT, 50)] * 38
    assert heard(splicer.end(), splicer) == [piece(SILENT, 50), piece(2)]


def test_where_nothing_comes_it_is_silent_up_to_the_time_that_is_asked_for() -> None:
    splicer = splicer_of(BOTH, 2)
    assert len(splicer.fill_until(2.5)) == 2
    assert splicer.fill_until(1.0) == []
    assert splicer.seconds == 2.5
    splicer.push(0, piece(1), 77)
    assert heard(splicer.end(), splicer) == [bytes([SILENT]) * 8000 + bytes([1, SILENT]) * PIECE]


def test_nothing_in_nothing_out() -> None:
    splicer = splicer_of()
    assert splicer.push(0, b"") == []
    assert splicer.end() == []


@given(
    pieces=st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=60),
    late=st.floats(0, 0.5),
)
def test_audio_in_order_is_never_lost_whatever_its_times(pieces: list[tuple[int, int]], late: float) -> None:
    splicer = splicer_of(late_seconds=late)
    at_ms, fragments, sent = 0, [], b""
    for value, (waited_ms, size) in enumerate(pieces):
        at_ms += waited_ms
        data = bytes([value]) * size
        fragments += splicer.push(0, data, at_ms)
        sent += data
    samples = b"".join(heard([*fragments, *splicer.end()], splicer))
    assert samples.replace(bytes([SILENT]), b"") == sent
    assert len(samples) == len(sent) + round(splicer.filled_seconds * 8000)
    assert splicer.dropped_seconds == 0


def test_the_first_sample_has_the_time_that_was_given() -> None:
    splicer = splicer_of()
    events = Demuxer().feed(splicer.header() + splicer.push(0, piece(1, 50), 155)[0])
    assert [event.timecode_ms for event in events if isinstance(event, ClusterTimecode)] == [STARTED_AT_MS]


@pytest.mark.parametrize("format_", list(SampleFormat))
def test_the_track_says_what_the_samples_are(format_: SampleFormat) -> None:
    splicer = Splicer(Layout(format_, 16_000, 2), STARTED_AT_MS, metadata=[("CallId", "CA1")])
    demuxer = Demuxer()
    events = demuxer.feed(splicer.header() + splicer.push(0, format_.silence * 32_000)[0])
    (tracks,) = [event.tracks for event in events if isinstance(event, TracksRead)]
    (tags,) = [event.tags for event in events if isinstance(event, TagsRead)]
    codec = codec_of(tracks[0])
    assert (codec.rate_hz, codec.channels) == (16_000, 2)
    assert tags == (("CallId", "CA1"),)


def test_fragments_have_the_length_that_is_asked_for_within_what_kinesis_takes() -> None:
    splicer = Splicer(MU_LAW, STARTED_AT_MS, fragment_seconds=0.25)
    assert len(splicer.push(0, piece(1, 50))) == 4
    with pytest.raises(BadFragmentLength):
        Splicer(MU_LAW, STARTED_AT_MS, fragment_seconds=30)
