"""Matroska in and out: pure functions and small classes over bytes, no I/O, no clock.

Knows RFC 8794 (EBML) and the part of RFC 9559 (Matroska) that Kinesis Video Streams uses; knows nothing of fragments,
of AWS tags or of what the blocks hold. Start reading at `events.py`, which is all that a caller sees of a stream, then
`demuxer.py`. `muxer.py` writes what the demuxer reads.
"""

from carillon.matroska.demuxer import Demuxer, Limits
from carillon.matroska.elements import UNKNOWN_SIZE_SEGMENT
from carillon.matroska.errors import ElementTooLarge, InvalidElement, MatroskaError, NestedTooDeep, TruncatedElement
from carillon.matroska.events import (
    AUDIO,
    BlockRead,
    ClusterEnded,
    ClusterStarted,
    ClusterTimecode,
    DocumentStarted,
    InfoRead,
    MatroskaEvent,
    SegmentStarted,
    TagsRead,
    Track,
    TracksRead,
)
from carillon.matroska.muxer import Block, Muxer, tags_element

__all__ = [
    "AUDIO",
    "UNKNOWN_SIZE_SEGMENT",
    "Block",
    "BlockRead",
    "ClusterEnded",
    "ClusterStarted",
    "ClusterTimecode",
    "Demuxer",
    "DocumentStarted",
    "ElementTooLarge",
    "InfoRead",
    "InvalidElement",
    "Limits",
    "MatroskaError",
    "MatroskaEvent",
    "Muxer",
    "NestedTooDeep",
    "SegmentStarted",
    "TagsRead",
    "Track",
    "TracksRead",
    "TruncatedElement",
    "tags_element",
]
