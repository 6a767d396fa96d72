"""Blocks to frames: one at a time, or a row of equal ones in one go (RFC 9559, sections 10.1 and 10.2)."""

import struct
from functools import lru_cache
from typing import Final

from carillon.matroska.elements import read_vint
from carillon.matroska.errors import InvalidElement
from carillon.matroska.events import BlockRead
from carillon.matroska.lacing import LACING_BITS, unlace

NANOS_PER_MILLI: Final = 1_000_000

_HEAD: Final = struct.Struct(">hB")  # after the track number: timecode within the Cluster, flags
_SMALLEST: Final = 1 + _HEAD.size
_NO_TRACK: Final = 0x80
_RESERVED_TRACK: Final = 0xFF
"""The bytes between these two are the track numbers 1 to 126, encoded."""


def read_block(body: bytes, start: int, end: int, timecode: int | None, scale_ns: int) -> list[BlockRead]:
    """Read the content of a SimpleBlock or Block that spans `start` to `end` of the stream.

    Args:
        body: what follows its id and size.
        start: offset of its id.
        end: offset after it.
        timecode: of its Cluster, None if that has not come.
        scale_ns: nanoseconds of one timecode unit.

    Raises:
        InvalidElement: no timecode, no track number, or sizes of laced frames that do not fit.
    """
    if timecode is None:
        raise InvalidElement("A block comes before the Timecode of its Cluster", start)
    track = read_vint(body, 0, start)
    if track is None or not track[0] or len(body) < track[1] + _HEAD.size:
        raise InvalidElement("A block has no track number, or is too short to be one", start)
    number, at = track[0], track[1]
    relative, flags = _HEAD.unpack_from(body, at)
    timecode_ms = (timecode + relative) * scale_ns // NANOS_PER_MILLI
    payload = body[at + _HEAD.size :]
    frames = unlace(payload, flags, start) if flags & LACING_BITS else [payload]
    return [BlockRead(start, end, number, timecode_ms, frame) for frame in frames]


def read_run(
    data: bytes, at: int, limit: int, header_bytes: int, size: int, start: int, timecode_ms: int
) -> list[BlockRead]:
    """Read SimpleBlocks whose id and size are those of the one at `at`, until one is laced or otherwise unusual.

    Nearly all bytes of a call pass here, hence one loop that unpacks in C and calls nothing that it need not.

    Args:
        data: where they lie.
        at: index of the first.
        limit: index that none may pass.
        header_bytes: length of id and size.
        size: length of what follows those.
        start: offset of the first in the stream.
        timecode_ms: of the Cluster; its unit must be the millisecond.

    Returns:
        What could be read, maybe nothing; the caller goes on after the last.
    """
    if size < _SMALLEST:
        return []
    length = header_bytes + size
    rows = memoryview(data)[at : limit - (limit - at) % length]
    header = data[at : at + header_bytes]
    run: list[BlockRead] = []
    append = run.append
    for its_header, track, relative, flags, payload in _layout(header_bytes, size).iter_unpack(rows):
        if its_header != header or not _NO_TRACK < track < _RESERVED_TRACK or flags & LACING_BITS:
            break
        end = start + length
        append(BlockRead(start, end, track - _NO_TRACK, timecode_ms + relative, payload))
        start = end
    return run


@lru_cache(maxsize=64)
def _layout(header_bytes: int, size: int) -> struct.Struct:
    """Id and size; track number; timecode within the Cluster; flags; payload."""
    return struct.Struct(f">{header_bytes}sBhB{size - _SMALLEST}s")
