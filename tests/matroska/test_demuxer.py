from struct import pack
from typing import Any

import pytest

from bodies.kinesis import wide
from bodies.parts import (
    CRC_32,
    EBML_HEADER,
    TIMECODE_0,
    UNKNOWN_SIZE_CLUSTER,
    VOID,
    cut,
    demux,
    in_cluster,
    simple_block,
)
from carillon.matroska import (
    UNKNOWN_SIZE_SEGMENT,
    Block,
    BlockRead,
    ClusterEnded,
    ClusterStarted,
    ClusterTimecode,
    Demuxer,
    DocumentStarted,
    InfoRead,
    Muxer,
    SegmentStarted,
    TagsRead,
    Track,
    TracksRead,
    tags_element,
)
from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_id, write_text, write_uint, write_vint

PHONE = Track(
    number=1,
    uid=7,
    kind=2,
    name="AUDIO_FROM_CUSTOMER",
    codec_id="A_PCM/INT/LIT",
    codec_private=b"",
    rate_hz=8_000.0,
    channels=1,
    bit_depth=16,
)
AGENT = Track(
    number=2,
    uid=8,
    kind=2,
    name="AUDIO_TO_CUSTOMER",
    codec_id="A_MS/ACM",
    codec_private=bytes.fromhex("070001 00401f0000401f00000100080000 00"),
    rate_hz=8_000.0,
    channels=1,
    bit_depth=None,
)


def last(data: bytes) -> Any:
    """Return the last event."""
    return demux([data])[-1]


def a_call() -> bytes:
    """Everything that a stream may hold, as ffmpeg, the KVS producer SDK and GetMedia write it."""
    muxer = Muxer(PHONE, AGENT)
    twenty = [Block(1, 20 * i, bytes([i]) * 320) for i in range(10)]
    both = [Block(1 + i % 2, 1_000 + 20 * i, bytes([i]) * 160) for i in range(10)]
    producer_sdk = wide(ids.TIMECODE, b"\x07\xd0") + b"".join(
        wide(ids.SIMPLE_BLOCK, b"\x81" + pack(">hB", 20 * i, 0x80) + bytes([i]) * 320) for i in range(5)
    )
    block = write_element(ids.BLOCK, b"\x82" + pack(">hB", 7, 0) + b"in a group")
    group = write_element(ids.BLOCK_GROUP, write_uint(0x9B, 20) + block + VOID)
    ffmpeg = CRC_32 + write_uint(ids.TIMECODE, 3_000) + write_uint(0xA7, 99) + simple_block(b"ab", -5) + group + VOID
    laced = write_uint(ids.TIMECODE, 4_000) + simple_block(b"\2\2\3aabbbcccc", 1, flags=0x82)
    seek_head = write_element(ids.SEEK_HEAD, b"whatever" * 40)
    return b"".join(
        [
            muxer.header(),
            tags_element([("before", "every cluster")]),
            muxer.cluster(0, twenty),
            muxer.cluster(1_000, both, known_size=False),
            tags_element([("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "0"), ("CallId", "ä-1")]),
            VOID,
            write_element(ids.EBML, write_text(ids.DOC_TYPE, "webm")),
            write_id(ids.SEGMENT) + b"\xff",
            seek_head,
            write_element(ids.TRACKS, CRC_32),
            wide(ids.CLUSTER, producer_sdk),
            muxer.header(),
            muxer.header(),
            muxer.cluster(3_500, [], known_size=False),
            write_element(ids.CUES, bytes(500)),
            write_element(ids.CLUSTER, ffmpeg),
            muxer.header(),
            UNKNOWN_SIZE_CLUSTER,
            laced,
        ]
    )


@pytest.mark.parametrize(
    "sizes", [(1,), (2, 3), (7,), (1, 331, 5), (327,), (328, 326), (64, 0, 1), (4_096,), (1, 9_000)]
)
def test_any_split_gives_the_same_events(sizes: tuple[int, ...]) -> None:
    assert demux(cut(a_call(), sizes)) == demux([a_call()])


def test_every_event_says_which_bytes_it_was_read_from() -> None:
    body = a_call()
    for event in demux(cut(body, (100,))):
        assert 0 <= event.start < event.end <= len(body)
        match event:
            case DocumentStarted():
                assert body.startswith(write_id(ids.EBML), event.start)
            case BlockRead(data=data):
                assert data in body[event.start : event.end]
            case TagsRead(tags=tags):
                assert tags_element(tags) == body[event.start : event.end]


def test_the_events_of_a_kvs_body_tell_its_whole_story() -> None:
    muxer = Muxer(PHONE)
    body = (
        muxer.header()
        + tags_element([("n", "1")])
        + muxer.cluster(40, [Block(1, 60, b"xy")])
        + tags_element([("z", "")])
    )
    events: list[Any] = demux([body])
    cluster_at = body.index(write_id(ids.CLUSTER))
    assert [type(event) for event in events] == [
        DocumentStarted,
        SegmentStarted,
        InfoRead,
        TracksRead,
        TagsRead,
        ClusterStarted,
        ClusterTimecode,
        BlockRead,
        ClusterEnded,
        TagsRead,
    ]
    assert events[2].timecode_scale_ns == 1_000_000
    assert events[3].tracks == (PHONE,)
    assert events[4].tags == (("n", "1"),)
    assert events[5] == ClusterStarted(cluster_at, cluster_at + 5)
    assert events[6] == ClusterTimecode(cluster_at + 5, cluster_at + 8, 40, 40)
    assert events[7] == BlockRead(cluster_at + 8, cluster_at + 16, 1, 60, b"xy")
    assert events[8] == ClusterEnded(cluster_at, cluster_at + 16)
    assert events[9].tags == (("z", ""),)


def test_a_cluster_of_known_size_ends_with_its_last_byte() -> None:
    demuxer = Demuxer()
    events = demuxer.feed(in_cluster(TIMECODE_0, simple_block(b"x")))
    assert isinstance(events[-1], ClusterEnded)


@pytest.mark.parametrize(
    "following",
    [
        tags_element([("a", "b")]),
        UNKNOWN_SIZE_CLUSTER + TIMECODE_0,
        write_element(ids.CUES, b""),
        write_element(ids.SEEK_HEAD, b""),
        write_element(ids.TRACKS, b""),
        Muxer(PHONE).header(),
        EBML_HEADER,
        UNKNOWN_SIZE_SEGMENT,
        b"",
    ],
)
def test_a_cluster_of_unknown_size_ends_before_what_cannot_be_its_child(following: bytes) -> None:
    before = EBML_HEADER + UNKNOWN_SIZE_SEGMENT
    cluster = UNKNOWN_SIZE_CLUSTER + TIMECODE_0 + VOID + simple_block(b"x") + write_element(0x4FFF, b"who knows")
    ended = [event for event in demux([before + cluster + following]) if isinstance(event, ClusterEnded)]
    assert ended[0] == ClusterEnded(len(before), len(before + cluster))


def test_a_segment_of_known_size_bounds_a_cluster_of_unknown_size() -> None:
    cluster = UNKNOWN_SIZE_CLUSTER + TIMECODE_0 + simple_block(b"x")
    body = EBML_HEADER + write_element(ids.SEGMENT, cluster)
    assert demux([body * 2])[5] == ClusterEnded(len(body) - len(cluster), len(body))
    assert len(demux(cut(body * 2, (1,)))) == 12


def test_an_opening_that_comes_again_gives_the_same_events_further_on() -> None:
    header = Muxer(PHONE, AGENT).header()
    once: list[Any] = demux([header])
    twice: list[Any] = demux([header * 3])
    assert twice[:4] == once
    for event, again in zip(once, twice[8:], strict=True):
        assert type(again) is type(event)
        assert (again.start, again.end) == (event.start + 2 * len(header), event.end + 2 * len(header))
    assert twice[11].tracks == once[3].tracks


def test_timecodes_are_scaled_to_milliseconds() -> None:
    info = write_element(ids.INFO, write_uint(ids.TIMECODE_SCALE, 125_000))
    cluster = write_element(
        ids.CLUSTER, write_uint(ids.TIMECODE, 8_000) + simple_block(b"a", 160) + simple_block(b"b", -9)
    )
    events: list[Any] = demux([EBML_HEADER + UNKNOWN_SIZE_SEGMENT + info + cluster])
    _, _, scale, _, timecode, *read, _ = events
    assert scale.timecode_scale_ns == 125_000
    assert (timecode.timecode, timecode.timecode_ms) == (8_000, 1_000)
    assert [block.timecode_ms for block in read] == [1_020, 998]


def test_track_and_timecode_numbers_of_any_legal_length_are_read() -> None:
    element = write_element(ids.SIMPLE_BLOCK, write_vint(300, 3) + pack(">hB", 0, 0) + b"x")
    events = demux([in_cluster(wide(ids.TIMECODE, (1 << 40).to_bytes(8, "big")), element * 3)])
    assert [(event.track, event.timecode_ms) for event in events if isinstance(event, BlockRead)] == [
        (300, 1 << 40)
    ] * 3


def test_the_defaults_of_rfc_9559_fill_what_a_track_leaves_out() -> None:
    audio = write_uint(ids.TRACK_NUMBER, 3) + write_uint(ids.TRACK_TYPE, 2)
    video = write_uint(ids.TRACK_NUMBER, 4) + write_uint(ids.TRACK_TYPE, 1)
    entries = write_element(ids.TRACK_ENTRY, audio) + VOID + write_element(ids.TRACK_ENTRY, video)
    read = last(EBML_HEADER + UNKNOWN_SIZE_SEGMENT + write_element(ids.TRACKS, entries)).tracks
    assert [(track.number, track.rate_hz, track.channels, track.bit_depth) for track in read] == [
        (3, 8_000.0, 1, None),
        (4, 0.0, 0, None),
    ]


def test_a_rate_may_be_a_float_of_four_bytes() -> None:
    settings = write_element(ids.SAMPLING_FREQUENCY, pack(">f", 44_100.0)) + write_uint(ids.CHANNELS, 2)
    entry = (
        write_uint(ids.TRACK_NUMBER, 1) + write_uint(ids.TRACK_TYPE, 2) + write_element(ids.AUDIO_SETTINGS, settings)
    )
    tracks = write_element(ids.TRACKS, write_element(ids.TRACK_ENTRY, entry))
    track = last(EBML_HEADER + UNKNOWN_SIZE_SEGMENT + tracks).tracks[0]
    assert (track.rate_hz, track.channels) == (44_100.0, 2)


def test_tags_within_tags_follow_them_and_targets_are_passed_over() -> None:
    inner = write_element(ids.SIMPLE_TAG, write_text(ids.TAG_NAME, "inner") + write_text(ids.TAG_STRING, "2\0\0"))
    outer = write_element(ids.SIMPLE_TAG, write_text(ids.TAG_NAME, "outer") + inner + write_text(ids.TAG_STRING, "1"))
    tag = write_element(ids.TAG, write_element(0x63C0, write_uint(0x63C5, 1)) + outer)
    tags = last(EBML_HEADER + UNKNOWN_SIZE_SEGMENT + write_element(ids.TAGS, tag + tag)).tags
    assert tags == (("outer", "1"), ("inner", "2")) * 2


def test_a_repr_shows_no_sound() -> None:
    assert "secret" not in repr(demux([in_cluster(TIMECODE_0, simple_block(b"secret"))]))


def test_a_track_says_how_late_its_blocks_are() -> None:
    late = Track(1, 1, 2, "", "A_OPUS", b"", 48_000.0, 1, None, codec_delay_ns=6_500_000)
    assert last(Muxer(late).header()).tracks == (late,)


def test_a_stream_may_go_on_with_a_new_document_after_its_end() -> None:
    demuxer = Demuxer()
    body = in_cluster(TIMECODE_0, simple_block(b"x"))
    demuxer.feed(body)
    assert demuxer.end() == []
    assert demuxer.feed(body)[0].start == len(body)
