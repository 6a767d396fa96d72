"""The smallest bodies, put together by hand, and how to feed them."""

from collections.abc import Iterable, Sequence
from struct import pack

from carillon.matroska import UNKNOWN_SIZE_SEGMENT, Demuxer, Limits, MatroskaEvent
from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_id, write_text, write_uint, write_vint

UNKNOWN_SIZE_CLUSTER = write_id(ids.CLUSTER) + b"\xff"
VOID = write_element(ids.VOID, bytes(300))
CRC_32 = write_element(ids.CRC_32, b"\1\2\3\4")
EBML_HEADER = write_element(ids.EBML, write_text(ids.DOC_TYPE, "matroska"))
TIMECODE_0 = write_uint(ids.TIMECODE, 0)


def simple_block(data: bytes, relative: int = 0, track: int = 1, flags: int = 0x80) -> bytes:
    return write_element(ids.SIMPLE_BLOCK, write_vint(track) + pack(">hB", relative, flags) + data)


def demux(pieces: Iterable[bytes], *limits: Limits) -> list[MatroskaEvent]:
    demuxer = Demuxer(*limits)
    events = [event for piece in pieces for event in demuxer.feed(piece)]
    return events + demuxer.end()


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    return pieces


def in_cluster(*elements: bytes) -> bytes:
    return EBML_HEADER + UNKNOWN_SIZE_SEGMENT + write_element(ids.CLUSTER, b"".join(elements))
