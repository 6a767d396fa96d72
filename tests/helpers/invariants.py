"""What holds for a demuxer whatever it is fed: one answer however the bytes are cut, no error but ours, little memory.

Used by the fuzz target and by the tests; knows neither atheris nor pytest.
"""

from collections.abc import Iterable
from typing import Final

from carillon.matroska import (
    BlockRead,
    ClusterEnded,
    ClusterStarted,
    ClusterTimecode,
    Demuxer,
    DocumentStarted,
    Limits,
    MatroskaError,
    MatroskaEvent,
    SegmentStarted,
    TagsRead,
    TracksRead,
)

SMALL: Final = Limits(max_element_bytes=2_000, max_header_bytes=1_500, max_tracks=4, max_tags=20, max_depth=3)
"""Limits that inputs of a few kilobytes can reach."""
LARGEST_HEADER: Final = 12
"""Bytes of an id and a size."""


def check(data: bytes) -> None:
    """Demux bytes whole and in pieces.

    Raises:
        AssertionError: the answers differ, or an event is not what stands in the bytes.
        Exception: any but a MatroskaError that `feed` or `end` let through.
    """
    whole = demux([data])
    size = 1 + sum(data[:64]) % 60
    assert demux(data[at : at + size] for at in range(0, len(data), size)) == whole
    check_events(data, whole[0])


def demux(pieces: Iterable[bytes]) -> tuple[list[MatroskaEvent], str]:
    """Return the events, and the error if one ended the stream."""
    demuxer = Demuxer(SMALL)
    events: list[MatroskaEvent] = []
    held = max(SMALL.max_element_bytes, SMALL.max_header_bytes) + LARGEST_HEADER
    try:
        for piece in pieces:
            events += demuxer.feed(piece)
            assert len(demuxer._pending) < held
        events += demuxer.end()
    except MatroskaError as error:
        return events, f"{type(error).__name__} {error}"
    return events, ""


def check_events(data: bytes, events: list[MatroskaEvent]) -> None:
    """See that events are in order, nested as they say, and found in the bytes where they say."""
    cluster: int | None = None
    in_document = in_segment = False
    reached = 0
    for event in events:
        assert 0 <= event.start < event.end <= len(data)
        if isinstance(event, ClusterEnded):
            assert event.start == cluster
            assert event.end >= reached
            cluster, reached = None, event.end
            continue
        assert event.start >= reached or isinstance(event, BlockRead)  # laced frames share a block
        reached = event.end
        match event:
            case DocumentStarted():
                in_document, in_segment = True, False
            case SegmentStarted():
                assert in_document
                in_segment = True
            case ClusterStarted():
                assert in_segment
                assert cluster is None
                cluster = event.start
            case BlockRead():
                assert cluster is not None
                assert event.data in data[event.start : event.end]
                assert event.track > 0
            case ClusterTimecode():
                assert cluster is not None
                assert event.timecode.to_bytes(8, "big").lstrip(b"\0") in data[event.start : event.end]
            case TracksRead():
                assert len(event.tracks) <= SMALL.max_tracks
                assert all(track.number for track in event.tracks)
            case TagsRead():
                assert len(event.tags) <= SMALL.max_tags
                assert not any("\0" in text for pair in event.tags for text in pair)
