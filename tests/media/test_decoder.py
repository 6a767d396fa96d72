import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import av
import msgspec
import numpy as np
import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audio import Pcm
from carillon.matroska import BlockRead, ClusterTimecode, Demuxer, Track, TracksRead
from carillon.media import ChannelDecoder, ChannelSource, Chunk, DecoderState, Fragment, RateMismatch, UnsupportedMedia
from carillon.media.encodings import Encoding
from carillon.media.pcm import to_pcm
from carillon.tasks.timeline import Timeline

SAID_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MONO = ChannelSource(count=1, index=0, rate_hz=8_000)
LEFT, RIGHT = ChannelSource(2, 0, 8_000), ChannelSource(2, 1, 8_000)
SECOND = timedelta(seconds=1)


def said_at(after: timedelta) -> dict[str, Any]:
    return dict.fromkeys(("producer_at", "server_at"), SAID_AT + after)


def pcm_track(number: int = 1, channels: int = 1, rate_hz: float = 8_000.0, kind: int = 2) -> Track:
    return Track(number, number, kind, "", "A_PCM/INT/LIT", b"", rate_hz, channels, 16)


def a_fragment(tracks: Sequence[Track], *blocks: tuple[int, int, bytes]) -> Fragment:
    """A fragment whose Cluster has the timecode 5000 ms; a block is (track, ms after that, data)."""
    read = [BlockRead(0, 1, track, 5_000 + after_ms, data) for track, after_ms, data in blocks]
    return Fragment("77", SAID_AT + SECOND, SAID_AT, tuple(tracks), tuple(read), {}, timecode_ms=5_000)


def s16le(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def heard(fragment: Fragment, source: ChannelSource) -> list[int]:
    return (ChannelDecoder(source).decode(fragment).samples * 32_768).astype(int).tolist()


def test_a_mono_track_is_its_one_channel() -> None:
    chunk = ChannelDecoder(MONO).decode(a_fragment([pcm_track()], (1, 0, s16le(1, 2)), (1, 20, s16le(-3))))
    assert chunk.fragment_number == "77"
    assert chunk.rate_hz == 8_000
    assert chunk.samples.dtype == np.float32
    assert (chunk.samples * 32_768).tolist() == [1, 2, -3]
    assert not chunk.is_apart
    assert "array" not in repr(chunk)


def test_a_stereo_track_interleaves_left_and_right() -> None:
    fragment = a_fragment([pcm_track(channels=2)], (1, 0, s16le(1, -1, 2, -2)), (1, 20, s16le(3, -3)))
    assert heard(fragment, LEFT) == [1, 2, 3]
    assert heard(fragment, RIGHT) == [-1, -2, -3]


def test_of_two_mono_tracks_each_has_its_own_blocks() -> None:
    fragment = a_fragment([pcm_track(9), pcm_track(4)], (9, 0, s16le(9)), (4, 0, s16le(4)), (9, 20, s16le(99)))
    assert heard(fragment, LEFT) == [4]
    assert heard(fragment, RIGHT) == [9, 99]


def test_g_711_is_decoded_in_stereo_too() -> None:
    private = struct.pack("<HHIIHHH", 7, 2, 8_000, 16_000, 2, 8, 0)
    track = Track(1, 1, 2, "", "A_MS/ACM", private, 8_000.0, 2, None)
    codes = bytes(range(100))
    chunk = ChannelDecoder(RIGHT).decode(a_fragment([track], (1, 0, codes[:33]), (1, 20, codes[33:])))
    np.testing.assert_array_equal(chunk.samples, to_pcm(Encoding.MU_LAW, codes[1::2]))


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
    assert ChannelDecoder(LEFT).decode(fragment).started_at == SAID_AT
    assert ChannelDecoder(RIGHT).decode(fragment).started_at == SAID_AT + timedelta(milliseconds=40)


def test_a_fragment_without_a_block_of_the_channel_gives_no_samples() -> None:
    chunk = ChannelDecoder(RIGHT).decode(a_fragment([pcm_track(1), pcm_track(2)], (1, 0, s16le(1))))
    assert chunk.samples.shape == (0,)
    assert chunk.started_at == SAID_AT


def test_a_track_that_says_nothing_is_s16le_as_declared() -> None:
    silent = Track(1, 1, 0, "", "", b"", 0.0, 0, None)
    fragment = a_fragment([silent], (1, 0, s16le(1, 2, 3, 4)))
    assert ChannelDecoder(ChannelSource(1, 0, 16_000)).decode(fragment).rate_hz == 16_000
    assert heard(fragment, MONO) == [1, 2, 3, 4]
    assert heard(fragment, RIGHT) == [2, 4]


def test_a_fragment_with_over_a_minute_of_audio_is_refused() -> None:
    private = struct.pack("<HHIIHHH", 7, 1, 8_000, 8_000, 1, 8, 0)
    track = Track(1, 1, 2, "", "A_MS/ACM", private, 8_000.0, 1, None)
    with pytest.raises(UnsupportedMedia, match="over 2880000 samples"):
        ChannelDecoder(MONO).decode(a_fragment([track], (1, 0, bytes(2_880_001))))


def test_block_times_far_from_their_fragment_are_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="timecode"):
        ChannelDecoder(MONO).decode(a_fragment([pcm_track()], (1, 1 << 70, s16le(1))))


# Rates.


@pytest.mark.parametrize("rate_hz", [16_000.0, 8_000.7])
def test_another_rate_than_the_declared_one_is_refused(rate_hz: float) -> None:
    fragment = a_fragment([pcm_track(rate_hz=rate_hz)], (1, 0, s16le(1, 2)))
    with pytest.raises(RateMismatch, match="MediaSampleRate"):
        ChannelDecoder(MONO).decode(fragment)


def test_leniently_the_rate_is_that_of_the_track_and_every_change_is_told() -> None:
    decoder = ChannelDecoder(MONO, is_lenient=True)
    chunks = []
    at = SAID_AT
    for rate_hz in (16_000, 16_000, 8_000, 8_000):
        fragment = a_fragment([pcm_track(rate_hz=rate_hz)], (1, 0, bytes(2 * rate_hz)))
        chunks.append(decoder.decode(replace(fragment, producer_at=at, server_at=at)))
        at += SECOND
    assert [(chunk.rate_hz, chunk.is_apart) for chunk in chunks] == [
        (16_000, True),
        (16_000, False),
        (8_000, True),
        (8_000, False),
    ]


# Gaps, repeats and clocks.


def seconds(*begun: float, arrived: Sequence[float] | None = None, track: Track | None = None) -> Iterator[Fragment]:
    """Fragments of a second of different noise each: when they began by the producer's clock, and the endpoint's."""
    random = np.random.default_rng(1)
    for number, (at, received) in enumerate(zip(begun, arrived or begun, strict=True), start=1):
        data = random.bytes(16_000)
        blocks = tuple(BlockRead(0, 1, 1, 20 * i, data[320 * i : 320 * (i + 1)]) for i in range(50))
        producer_at, server_at = SAID_AT + at * SECOND, SAID_AT + received * SECOND
        yield Fragment(str(number), server_at, producer_at, (track or pcm_track(),), blocks, {})


def lost_seconds() -> float:
    value = prometheus_client.REGISTRY.get_sample_value("carillon_media_lost_seconds_total")
    assert value is not None
    return value


def apart(fragments: Iterator[Fragment]) -> tuple[list[str], float]:
    """Which fragments are apart from the one before, and how much was lost."""
    decoder, before = ChannelDecoder(MONO), lost_seconds()
    found = [chunk.fragment_number for chunk in map(decoder.decode, fragments) if chunk.is_apart]
    return found, round(lost_seconds() - before, 3)


@pytest.mark.parametrize(
    ("begun", "arrived", "found", "lost"),
    [
        ((0, 1, 2, 3), None, [], 0),
        ((0, 1.03, 1.98, 3.01), None, [], 0),  # clocks jitter
        ((0, 1, 3, 4), None, [], 1),  # a fragment that was left out: heard as if nothing were missing, but counted
        ((0, 1, 5.5, 6.5), None, ["3"], 3.5),
        ((0, 1, 2, 3), (0, 1, 9, 9.1), [], 0),  # held up, then sent in a rush: nothing is missing
        ((0, 1, 62, 63), (0, 1, 2, 3), ["3"], 0),  # a clock that was set forward
        ((0, 1, -58, -57), (0, 1, 2, 3), ["3"], 0),  # and back
        ((0, 1, 0.5, 1.5), (0, 1, 2, 3), ["3"], 0),
        ((0, 1, -58, -57), (0, 1, 12, 13), ["3"], 10),  # and back while nothing came
        ((0, 1, 62, 63), (0, 1, 12, 13), ["3"], 10),  # and forward
    ],
)
def test_what_does_not_adjoin_is_told_and_what_is_missing_is_counted(
    begun: Sequence[float], arrived: Sequence[float] | None, found: list[str], lost: float
) -> None:
    assert apart(seconds(*begun, arrived=arrived)) == (found, lost)


def test_a_producer_without_a_clock_that_begins_again_is_apart() -> None:
    since_1970 = (SAID_AT - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    fragments = seconds(*(at - since_1970 for at in (0, 1, 2, 0, 1)), arrived=(0, 1, 2, 8, 9))
    assert apart(fragments) == (["4"], 5)


def again(fragment: Fragment, number: str, blocks: slice = slice(None)) -> Fragment:
    return replace(fragment, number=number, server_at=fragment.server_at + 5 * SECOND, blocks=fragment.blocks[blocks])


def chunks_of(*fragments: Fragment) -> list[Chunk]:
    decoder = ChannelDecoder(MONO)
    return [decoder.decode(fragment) for fragment in fragments]


def joined(chunks: Sequence[Chunk]) -> Pcm:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_what_a_producer_sends_again_after_a_broken_connection_is_heard_once() -> None:
    first, second, third, fourth = seconds(0, 1, 2, 3)
    chunks = chunks_of(first, second, third, again(second, "8"), again(third, "9"), replace(fourth, number="10"))
    assert [len(chunk.samples) for chunk in chunks] == [8_000, 8_000, 8_000, 0, 0, 8_000]
    assert not any(chunk.is_apart for chunk in chunks)
    np.testing.assert_array_equal(joined(chunks), joined(chunks_of(first, second, third, fourth)))


def test_of_a_fragment_that_got_through_in_part_only_the_rest_is_heard_when_it_comes_again() -> None:
    first, second, third = seconds(0, 1, 2)
    chunks = chunks_of(first, again(second, "2", slice(0, 30)), again(second, "3"), again(second, "4"), third)
    assert [len(chunk.samples) for chunk in chunks] == [8_000, 4_800, 3_200, 0, 8_000]
    assert not any(chunk.is_apart for chunk in chunks)
    assert chunks[2].started_at == SAID_AT + 1.6 * SECOND
    np.testing.assert_array_equal(joined(chunks), joined(chunks_of(first, second, third)))


def test_the_same_time_with_other_audio_is_no_repeat() -> None:
    first, second, other = seconds(0, 1, 1, arrived=(0, 1, 2))
    assert [len(chunk.samples) for chunk in chunks_of(first, second, other)] == [8_000] * 3


def test_silence_is_no_repeat_of_silence() -> None:
    blocks = (BlockRead(0, 1, 1, 0, bytes(16_000)),)
    fragments = [replace(fragment, blocks=blocks) for fragment in seconds(0, 1, 2)]
    assert [len(chunk.samples) for chunk in chunks_of(*fragments)] == [8_000] * 3


def test_a_producer_without_a_clock_may_play_the_same_twice() -> None:
    since_1970 = (SAID_AT - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    (first,) = seconds(-since_1970)
    assert [len(chunk.samples) for chunk in chunks_of(first, again(first, "2"))] == [8_000] * 2


@pytest.mark.parametrize("at", range(1, 6))
def test_a_restart_is_invisible(at: int) -> None:
    first, second, third, fourth = seconds(0, 1, 4, 5)
    call = [first, second, again(first, "3"), third, again(third, "5"), fourth]
    never, before = ChannelDecoder(MONO), ChannelDecoder(MONO)
    expected = [never.decode(fragment) for fragment in call]
    kept = [before.decode(fragment) for fragment in call[:at]]
    after = ChannelDecoder(MONO, stored(before.state))
    kept += [after.decode(fragment) for fragment in call[at:]]
    assert stored(after.state) == stored(never.state)
    for chunk, wanted in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(chunk.samples, wanted.samples)
        assert (chunk.started_at, chunk.is_apart) == (wanted.started_at, wanted.is_apart)


def stored(state: DecoderState) -> DecoderState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=DecoderState)


def test_a_state_stays_small_and_shows_no_sound() -> None:
    decoder = ChannelDecoder(MONO)
    for fragment in seconds(*range(200)):
        decoder.decode(fragment)
    assert len(msgspec.msgpack.encode(decoder.state)) < 3_000
    assert "x8" not in repr(decoder.state)


# Pauses within a fragment.

NOISE = np.random.default_rng(9).integers(1, 30_000, 18 * 8_000).astype("<i2")


def spoken(*stretches: tuple[int, int], block_ms: int = 20, at_ms: int = 0) -> Fragment:
    """A fragment with blocks at such times, in ms, each with the noise of its time."""
    read = []
    for begin, end in stretches:
        for at in range(begin, end, block_ms):
            data = NOISE[at * 8 : min(at + block_ms, end) * 8].tobytes()
            read.append(BlockRead(0, 1, 1, at_ms + at, data))
    return Fragment("1", SAID_AT, SAID_AT, (pcm_track(),), tuple(read), {})


@pytest.mark.parametrize("block_ms", [10, 20, 100, 1_000])
@pytest.mark.parametrize("pauses", [((6_000, 12_000),), ((1_000, 2_000), (5_000, 5_500), (9_000, 17_000))])
def test_a_pause_within_a_fragment_is_silent_however_the_blocks_are_cut(
    block_ms: int, pauses: tuple[tuple[int, int], ...]
) -> None:
    edges = [0, *(edge for pause in pauses for edge in pause), 18_000]
    fragment = spoken(*zip(edges[::2], edges[1::2], strict=True), block_ms=block_ms)
    before = lost_seconds()
    decoder = ChannelDecoder(MONO)
    chunk = decoder.decode(fragment)
    expected = NOISE.copy()
    for begin, end in pauses:
        expected[begin * 8 : end * 8] = 0
    np.testing.assert_array_equal(chunk.samples * 32_768, expected)
    after = decoder.decode(replace(spoken((0, 1_000)), number="2", **said_at(18 * SECOND)))
    assert not after.is_apart
    assert lost_seconds() == before


def test_a_restart_between_fragments_with_pauses_is_invisible() -> None:
    call = [replace(spoken((0, 3_000), (6_000, 9_000)), number=str(n), **said_at(9 * n * SECOND)) for n in range(3)]
    never, decoder = ChannelDecoder(MONO), ChannelDecoder(MONO)
    for fragment in call:
        expected, chunk = never.decode(fragment), decoder.decode(fragment)
        np.testing.assert_array_equal(chunk.samples, expected.samples)
        assert (chunk.started_at, chunk.is_apart) == (expected.started_at, False)
        decoder = ChannelDecoder(MONO, stored(decoder.state))
    assert stored(decoder.state) == stored(never.state)


def test_what_is_said_after_a_pause_is_dated_by_its_block() -> None:
    timeline = Timeline.begun(ChannelDecoder(MONO).decode(spoken((0, 6_000), (12_000, 18_000))))
    assert timeline.heard_ms == 18_000
    assert timeline.wall(12_000) == SAID_AT + 12 * SECOND
    assert timeline.heard_until == SAID_AT + 18 * SECOND


@pytest.mark.parametrize(
    ("tolerance_seconds", "length"), [(0.2, 16_000), (0.299, 18_400), (0.301, 16_000), (1, 16_000)]
)
def test_times_that_jitter_leave_no_silence(tolerance_seconds: float, length: int) -> None:
    decoder = ChannelDecoder(MONO, tolerance_seconds=tolerance_seconds)
    late_ms = 200 if tolerance_seconds == 0.2 else 300
    first, second = spoken((0, 1_000)).blocks, spoken((0, 1_000), at_ms=1_000 + late_ms).blocks
    assert len(decoder.decode(replace(spoken((0, 20)), blocks=first + second)).samples) == length


def test_many_short_pauses_add_up() -> None:
    fragment = spoken(*((at, at + 100) for at in range(0, 10_000, 200)))
    assert abs(len(ChannelDecoder(MONO).decode(fragment).samples) - 9_900 * 8) <= 200 * 8


@pytest.mark.parametrize(
    "stretches",
    [
        ((0, 6_000), (3_000, 9_000)),  # overlapping
        ((6_000, 9_000), (0, 6_000)),  # running back
        ((0, 1_000), (0, 1_000), (0, 1_000)),  # standing still
    ],
)
def test_audio_whose_times_overlap_or_run_back_is_kept_in_its_order(stretches: tuple[tuple[int, int], ...]) -> None:
    chunk = ChannelDecoder(MONO).decode(spoken(*stretches))
    expected = np.concatenate([NOISE[begin * 8 : end * 8] for begin, end in stretches])
    np.testing.assert_array_equal(chunk.samples * 32_768, expected)
    assert chunk.started_at == SAID_AT + timedelta(milliseconds=stretches[0][0])


@pytest.mark.parametrize("far_ms", [60_001, 3_600_000, 1 << 70])
def test_a_block_of_another_clock_leaves_no_silence(far_ms: int) -> None:
    blocks = (*spoken((0, 1_000)).blocks, *spoken((0, 1_000), at_ms=far_ms).blocks)
    assert len(ChannelDecoder(MONO).decode(replace(spoken((0, 20)), blocks=blocks)).samples) == 16_000


@pytest.mark.parametrize("name", ["aac", "libopus"])
def test_a_pause_in_compressed_audio_is_silent_too(
    encode: Callable[..., Any], babble: Callable[..., Any], name: str
) -> None:
    encoded = encode(name, babble(4, 48_000), 48_000)
    (fragment,) = compressed(encoded, 10_000)
    source = ChannelSource(1, 0, 48_000)
    whole = ChannelDecoder(source).decode(fragment).samples
    half = len(fragment.blocks) // 2
    later = [msgspec.structs.replace(block, timecode_ms=block.timecode_ms + 5_000) for block in fragment.blocks[half:]]
    paused = ChannelDecoder(source).decode(replace(fragment, blocks=(*fragment.blocks[:half], *later))).samples
    assert len(paused) == pytest.approx(len(whole) + 5 * 48_000, abs=480)
    silent = np.flatnonzero(paused == 0)
    assert silent[-1] - silent[0] == pytest.approx(5 * 48_000, abs=4_800)
    np.testing.assert_array_equal(paused[-48_000:], whole[-48_000:])


# Compressed audio.


def compressed(encoded: Any, per_fragment: int, started_at: datetime = SAID_AT) -> list[Fragment]:
    fragments = []
    for number, blocks in enumerate(encoded.fragment_blocks(per_fragment), start=1):
        begins_ms = blocks[0].timecode_ms
        at = started_at + timedelta(milliseconds=begins_ms)
        read = tuple(BlockRead(0, 1, 1, block.timecode_ms, block.data) for block in blocks)
        fragments.append(Fragment(str(number), at, at, (encoded.track,), read, {}, timecode_ms=begins_ms))
    return fragments


@pytest.mark.parametrize(("name", "rate_hz"), [("aac", 8_000), ("aac", 48_000), ("libopus", 48_000)])
@pytest.mark.parametrize("channels", [1, 2])
def test_compressed_chunks_adjoin(
    encode: Callable[..., Any], babble: Callable[..., Any], name: str, rate_hz: int, channels: int
) -> None:
    encoded = encode(name, babble(3, rate_hz, channels), rate_hz)
    fragments = compressed(encoded, round(500 / encoded.packet_ms))
    lost = lost_seconds()
    decoder = ChannelDecoder(ChannelSource(channels, channels - 1, rate_hz))
    chunks = [decoder.decode(fragment) for fragment in fragments]
    assert len(chunks) > 3
    for chunk, after in pairwise(chunks):
        ended_at = chunk.started_at + timedelta(seconds=len(chunk.samples) / rate_hz)
        assert abs(after.started_at - ended_at) <= timedelta(milliseconds=2)
    assert not any(chunk.is_apart for chunk in chunks)
    assert lost_seconds() == lost


@pytest.mark.parametrize("name", ["aac", "libopus"])
def test_a_restart_in_compressed_audio_goes_on_with_what_was_heard(
    encode: Callable[..., Any], babble: Callable[..., Any], name: str
) -> None:
    options = {"aac_pns": "0"} if name == "aac" else {}
    fragments = compressed(encode(name, babble(4, 48_000), 48_000, bit_rate=96_000, **options), 50)
    source = ChannelSource(1, 0, 48_000)
    never, before = ChannelDecoder(source), ChannelDecoder(source)
    expected = [never.decode(fragment) for fragment in fragments]
    for fragment in fragments[:2]:
        before.decode(fragment)
    after = ChannelDecoder(source, stored(before.state))
    for fragment, wanted in zip(fragments[2:], expected[2:], strict=True):
        chunk = after.decode(fragment)
        assert chunk.started_at == wanted.started_at
        np.testing.assert_allclose(chunk.samples, wanted.samples, atol=1 / 32_768)


def test_after_a_gap_a_decoder_begins_anew(encode: Callable[..., Any], babble: Callable[..., Any]) -> None:
    first, *_ = compressed(encode("libopus", babble(2, 48_000), 48_000), 50)
    later = replace(first, number="9", producer_at=SAID_AT + 9 * SECOND, server_at=SAID_AT + 9 * SECOND)
    later = replace(later, blocks=later.blocks[:40])
    chunks = [ChannelDecoder(ChannelSource(1, 0, 48_000)).decode(fragment) for fragment in (first, later)]
    decoder = ChannelDecoder(ChannelSource(1, 0, 48_000))
    apart_chunks = [decoder.decode(fragment) for fragment in (first, later)]
    assert [chunk.is_apart for chunk in apart_chunks] == [False, True]
    np.testing.assert_array_equal(apart_chunks[1].samples, chunks[1].samples)


def test_a_producer_may_change_its_codec(encode: Callable[..., Any], babble: Callable[..., Any]) -> None:
    opus = compressed(encode("libopus", babble(1, 48_000), 48_000), 50)[0]
    aac = compressed(encode("aac", babble(1, 48_000), 48_000), 40, SAID_AT + SECOND)[0]
    decoder = ChannelDecoder(ChannelSource(1, 0, 48_000))
    heard_chunks = [decoder.decode(opus), decoder.decode(replace(aac, number="2"))]
    alone = ChannelDecoder(ChannelSource(1, 0, 48_000)).decode(aac)
    np.testing.assert_array_equal(heard_chunks[1].samples, alone.samples)


def test_a_track_of_which_nothing_can_be_decoded_is_refused_and_one_bad_fragment_is_not(
    encode: Callable[..., Any], babble: Callable[..., Any]
) -> None:
    good, second, *_ = compressed(encode("aac", babble(3, 8_000), 8_000), 8)
    bad = replace(second, blocks=(replace_data(second.blocks[0], b"garbage"),))
    with pytest.raises(UnsupportedMedia, match="AAC"):
        ChannelDecoder(MONO).decode(bad)
    decoder = ChannelDecoder(MONO)
    decoder.decode(good)
    assert len(decoder.decode(bad).samples) == 0


def replace_data(block: BlockRead, data: bytes) -> BlockRead:
    return BlockRead(block.start, block.end, block.track, block.timecode_ms, data)


def test_other_channels_than_the_track_says_are_refused(encode: Callable[..., Any], babble: Callable[..., Any]) -> None:
    fragment = compressed(encode("aac", babble(1, 8_000, 2), 8_000), 8)[0]
    track = replace(fragment.tracks[0], channels=1)
    with pytest.raises(UnsupportedMedia, match="2 channels instead of 1"):
        ChannelDecoder(MONO).decode(replace(fragment, tracks=(track,)))


# What libavformat writes, whole files of it.

WRITTEN = ["pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_f64le"]
WRITTEN += ["aac", "libopus"]


def written(codec: str, sound: Any, rate_hz: int) -> bytes:
    """A live Matroska stream as ffmpeg pipes it."""
    file = io.BytesIO()
    layout = "mono" if len(sound) == 1 else "stereo"
    with av.open(file, "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate_hz, frame_size=1_024)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", layout)
        frame.sample_rate = rate_hz
        if codec in {"aac", "libopus"}:
            resampler = av.AudioResampler(stream.codec_context.format, layout, rate_hz)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def fragments_of(body: bytes) -> list[Fragment]:
    """One fragment for each Cluster."""
    fragments: list[Fragment] = []
    tracks: tuple[Track, ...] = ()
    for event in Demuxer().feed(body):
        if isinstance(event, TracksRead):
            tracks = event.tracks
        elif isinstance(event, ClusterTimecode):
            at = SAID_AT + timedelta(milliseconds=event.timecode_ms)
            fragments.append(Fragment(str(len(fragments)), at, at, tracks, (), {}, timecode_ms=event.timecode_ms))
        elif isinstance(event, BlockRead):
            fragments[-1] = replace(fragments[-1], blocks=(*fragments[-1].blocks, event))
    return fragments


@pytest.mark.parametrize("codec", WRITTEN)
@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (16_000, 2), (44_100, 2), (48_000, 1)])
def test_what_ffmpeg_writes_is_heard_as_ffmpeg_hears_it(
    babble: Callable[..., Any], codec: str, rate_hz: int, channels: int
) -> None:
    if codec == "libopus":
        rate_hz = 48_000
    body = written(codec, babble(6, rate_hz, channels), rate_hz)
    with av.open(io.BytesIO(body), "r") as container:
        resampler = av.AudioResampler("fltp")
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
    expected = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    decoder = ChannelDecoder(ChannelSource(channels, channels - 1, rate_hz))
    chunks = [decoder.decode(fragment) for fragment in fragments_of(body)]
    assert len(chunks) > 1
    assert not any(chunk.is_apart for chunk in chunks)
    decoded = joined(chunks)
    most_apart = 1e-6 if codec != "aac" else 0.5  # of AAC the noise differs; that it is the same is tested without
    length = min(len(decoded), expected.shape[1])  # libavformat cuts what the encoder padded off at the end
    np.testing.assert_allclose(decoded[:length], expected[channels - 1][:length], atol=most_apart)
    assert abs(expected.shape[1] - len(decoded)) <= (0 if codec.startswith("pcm") else 1_024)
