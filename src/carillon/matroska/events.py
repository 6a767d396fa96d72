"""What a Matroska stream says, one event at a time, in the order of its bytes.

Every event carries `start` and `end`: the bytes it was read from, counted from the first byte ever fed, end exclusive.
Whoever stores a stream can therefore cut it exactly where its elements begin and end.

Events are msgspec Structs and not dataclasses: there are sixty of them in a second of every call, and a frozen
dataclass takes 0.8 us to make, a Struct 0.15 us. They cannot form cycles, hence `gc=False`.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec import Struct

AUDIO: Final = 2
"""`Track.kind` of sound; 1 is video."""


@dataclass(frozen=True, slots=True)
class Track:
    """One TrackEntry; what the stream leaves out has the default that RFC 9559 gives it."""

    number: int
    uid: int
    kind: int
    name: str
    codec_id: str
    codec_private: bytes = field(repr=False)
    rate_hz: float
    """Samples a second of one channel; 0.0 if this is no audio track."""
    channels: int
    """0 if this is no audio track."""
    bit_depth: int | None
    codec_delay_ns: int = 0
    """How much later a block's timecode is than its first decoded sample is to be heard: AAC and Opus start so."""


class DocumentStarted(Struct, frozen=True, gc=False):
    """An EBML header, all of it. It also ends whatever document came before."""

    start: int
    end: int
    doc_type: str


class SegmentStarted(Struct, frozen=True, gc=False):
    """The id and size of a Segment, nothing of its content."""

    start: int
    end: int


class InfoRead(Struct, frozen=True, gc=False):
    """A whole Info element."""

    start: int
    end: int
    timecode_scale_ns: int


class TracksRead(Struct, frozen=True, gc=False):
    """A whole Tracks element."""

    start: int
    end: int
    tracks: tuple[Track, ...]


class TagsRead(Struct, frozen=True, gc=False):
    """A whole Tags element: (TagName, TagString) of every SimpleTag in it, in order, whatever its Targets."""

    start: int
    end: int
    tags: tuple[tuple[str, str], ...]


class ClusterStarted(Struct, frozen=True, gc=False):
    """The id and size of a Cluster, nothing of its content."""

    start: int
    end: int


class ClusterTimecode(Struct, frozen=True, gc=False):
    """The Timecode element of the open Cluster: as sent, and in milliseconds since the Segment's zero."""

    start: int
    end: int
    timecode: int
    timecode_ms: int


class BlockRead(Struct, frozen=True, gc=False):
    """One frame of one track, lacing undone.

    `start` and `end` span the SimpleBlock or Block that carried it; laced frames share them, and share the timecode.
    """

    start: int
    end: int
    track: int
    timecode_ms: int
    """Since the Segment's zero, as the Cluster's timecode is; may be a little below 0."""
    data: bytes

    def __repr__(self) -> str:
        """Show where and when, never what was said."""
        return (
            f"BlockRead(start={self.start}, end={self.end}, track={self.track}, "
            f"timecode_ms={self.timecode_ms}, data=<{len(self.data)} bytes>)"
        )


class ClusterEnded(Struct, frozen=True, gc=False):
    """All of a Cluster, from the first byte of its id to its last, as sent."""

    start: int
    end: int


MatroskaEvent: TypeAlias = (
    DocumentStarted
    | SegmentStarted
    | InfoRead
    | TracksRead
    | TagsRead
    | ClusterStarted
    | ClusterTimecode
    | BlockRead
    | ClusterEnded
)
