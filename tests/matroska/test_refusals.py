"""What the demuxer does not read, it names; what it would have to hold beyond its limits, it refuses."""

import math

import pytest

from bodies.parts import (
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
    ClusterEnded,
    Demuxer,
    ElementTooLarge,
    InvalidElement,
    Limits,
    MatroskaError,
    NestedTooDeep,
    TruncatedElement,
    tags_element,
)
from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_float, write_id, write_text, write_uint, write_vint


def tracks_at(rate_hz: float) -> bytes:
    settings = write_element(ids.AUDIO_SETTINGS, write_float(ids.SAMPLING_FREQUENCY, rate_hz))
    return write_element(ids.TRACKS, write_element(ids.TRACK_ENTRY, write_uint(ids.TRACK_NUMBER, 1) + settings))


@pytest.mark.parametrize(
    ("body", "error", "offset"),
    [
        (b"RIFF\x10\0\0\0WAVEfmt ", InvalidElement, 0),
        (b"\0" * 20, InvalidElement, 0),
        (UNKNOWN_SIZE_SEGMENT, InvalidElement, 0),
        (write_element(ids.EBML, write_text(ids.DOC_TYPE, "avi")), InvalidElement, 5),
        (EBML_HEADER + tags_element([]), InvalidElement, len(EBML_HEADER)),
        (EBML_HEADER + write_id(ids.EBML) + b"\xff", InvalidElement, len(EBML_HEADER)),
        (in_cluster(simple_block(b"no timecode")), InvalidElement, len(in_cluster())),
        (in_cluster(TIMECODE_0, TIMECODE_0), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, EBML_HEADER), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, simple_block(b"")[:-1]), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, write_element(ids.SIMPLE_BLOCK, b"\x81\0")), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, write_element(ids.SIMPLE_BLOCK, b"\x81\0") * 2), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, simple_block(b"x", track=0)), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, write_id(ids.BLOCK_GROUP) + b"\xff"), InvalidElement, len(in_cluster()) + 3),
        (in_cluster(TIMECODE_0, write_element(ids.TIMECODE, bytes(9))), InvalidElement, len(in_cluster()) + 3),
        (in_cluster() + simple_block(b"outside"), InvalidElement, len(in_cluster())),
        (in_cluster(TIMECODE_0) + write_element(ids.INFO, write_uint(ids.TIMECODE_SCALE, 0)), InvalidElement, None),
        (in_cluster() + write_element(ids.TRACKS, write_element(ids.TRACK_ENTRY, b"")), InvalidElement, None),
        (in_cluster() + write_element(ids.TAGS, b"\x73\x73\x90"), InvalidElement, None),
        (in_cluster() + tracks_at(math.nan), InvalidElement, None),
        (in_cluster() + tracks_at(math.inf), InvalidElement, None),
        (in_cluster()[:-1], TruncatedElement, len(in_cluster()) - 1),
        (in_cluster(TIMECODE_0, VOID)[:-1], TruncatedElement, len(in_cluster(TIMECODE_0, VOID)) - 1),
        (in_cluster() + b"\xec", TruncatedElement, len(in_cluster()) + 1),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_what_cannot_be_read_is_named_with_its_byte(
    body: bytes, error: type[MatroskaError], offset: int | None, size: int
) -> None:
    with pytest.raises(error) as raised:
        demux(cut(body, (size,)))
    assert type(raised.value) is error
    assert offset is None or raised.value.offset == offset
    assert f"byte {raised.value.offset}" in str(raised.value)


@pytest.mark.parametrize("track", [b"\x80", b"\xff"], ids=["zero", "reserved"])
@pytest.mark.parametrize("size", [1, 1_000])
def test_a_block_of_no_track_is_refused_in_a_row_of_good_ones_too(track: bytes, size: int) -> None:
    good, bad = (write_element(ids.SIMPLE_BLOCK, number + b"\0\0\x80x") for number in (b"\x81", track))
    body = in_cluster(TIMECODE_0, good, good, bad, good)
    with pytest.raises(InvalidElement) as raised:
        demux(cut(body, (size,)))
    assert raised.value.offset == body.index(bad)


def test_events_before_an_error_are_handed_out_first_and_the_error_stays() -> None:
    demuxer = Demuxer()
    events = demuxer.feed(in_cluster(TIMECODE_0, simple_block(b"good")) + b"\0\0")
    assert isinstance(events[-1], ClusterEnded)
    for _ in range(2):
        with pytest.raises(InvalidElement):
            demuxer.feed(b"")
    with pytest.raises(InvalidElement):
        demuxer.end()


def test_an_element_that_would_have_to_be_held_is_refused_as_soon_as_its_size_is_known() -> None:
    limits = Limits(max_element_bytes=1_000, max_header_bytes=500)
    for body in (
        in_cluster()[:-1] + b"\xff" + TIMECODE_0 + write_id(ids.SIMPLE_BLOCK) + write_vint(1_001),
        in_cluster() + write_id(ids.TAGS) + write_vint(501),
        write_id(ids.EBML) + write_vint((1 << 56) - 2),
    ):
        with pytest.raises(ElementTooLarge):
            demux([body], limits)


def test_more_tracks_tags_or_depth_than_the_limits_are_refused() -> None:
    limits = Limits(max_tracks=2, max_tags=3, max_depth=2)
    start = EBML_HEADER + UNKNOWN_SIZE_SEGMENT
    entry = write_element(ids.TRACK_ENTRY, write_uint(ids.TRACK_NUMBER, 1))
    nested = b""
    for _ in range(3):
        nested = write_element(ids.SIMPLE_TAG, write_text(ids.TAG_NAME, "n") + write_text(ids.TAG_STRING, "") + nested)
    assert demux([start + write_element(ids.TRACKS, entry * 2) + tags_element([("a", "b")] * 3)], limits)
    with pytest.raises(ElementTooLarge):
        demux([start + write_element(ids.TRACKS, entry * 3)], limits)
    with pytest.raises(ElementTooLarge):
        demux([start + tags_element([("a", "b")] * 4)], limits)
    with pytest.raises(NestedTooDeep):
        demux([start + write_element(ids.TAGS, write_element(ids.TAG, nested))], limits)


def test_what_nobody_wants_is_passed_over_whatever_its_size() -> None:
    demuxer = Demuxer(Limits(max_element_bytes=100, max_header_bytes=100))
    demuxer.feed(EBML_HEADER + UNKNOWN_SIZE_SEGMENT + write_id(ids.VOID) + write_vint(1 << 40))
    for _ in range(100):
        assert demuxer.feed(bytes(100_000)) == []
        assert len(demuxer._pending) == 0
    with pytest.raises(TruncatedElement):
        demuxer.end()


def test_a_cluster_is_never_held_only_the_block_at_hand() -> None:
    demuxer = Demuxer()
    demuxer.feed(EBML_HEADER + UNKNOWN_SIZE_SEGMENT + UNKNOWN_SIZE_CLUSTER + TIMECODE_0)
    for piece in cut(simple_block(bytes(5_000)) * 200, (999,)):
        demuxer.feed(piece)
        assert len(demuxer._pending) < 6_100
