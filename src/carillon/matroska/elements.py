"""Element ids, and the variable-length integers that EBML is made of (RFC 8794, sections 4 to 7)."""

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

from carillon.matroska.errors import InvalidElement

EBML: Final = 0x1A45DFA3
EBML_MAX_ID_LENGTH: Final = 0x42F2
EBML_MAX_SIZE_LENGTH: Final = 0x42F3
DOC_TYPE: Final = 0x4282
SEGMENT: Final = 0x18538067
SEEK_HEAD: Final = 0x114D9B74
INFO: Final = 0x1549A966
TIMECODE_SCALE: Final = 0x2AD7B1
TRACKS: Final = 0x1654AE6B
TRACK_ENTRY: Final = 0xAE
TRACK_NUMBER: Final = 0xD7
TRACK_UID: Final = 0x73C5
TRACK_TYPE: Final = 0x83
TRACK_NAME: Final = 0x536E
CODEC_ID: Final = 0x86
CODEC_PRIVATE: Final = 0x63A2
CODEC_DELAY: Final = 0x56AA
AUDIO_SETTINGS: Final = 0xE1
SAMPLING_FREQUENCY: Final = 0xB5
CHANNELS: Final = 0x9F
BIT_DEPTH: Final = 0x6264
CLUSTER: Final = 0x1F43B675
TIMECODE: Final = 0xE7
SIMPLE_BLOCK: Final = 0xA3
BLOCK_GROUP: Final = 0xA0
BLOCK: Final = 0xA1
TAGS: Final = 0x1254C367
TAG: Final = 0x7373
SIMPLE_TAG: Final = 0x67C8
TAG_NAME: Final = 0x45A3
TAG_STRING: Final = 0x4487
CUES: Final = 0x1C53BB6B
CHAPTERS: Final = 0x1043A770
ATTACHMENTS: Final = 0x1941A469
VOID: Final = 0xEC
CRC_32: Final = 0xBF

LEVEL_1: Final = frozenset({SEEK_HEAD, INFO, TRACKS, CLUSTER, TAGS, CUES, CHAPTERS, ATTACHMENTS})
"""What may stand directly in a Segment; each of these ends a Cluster of unknown size."""

DEFAULT_TIMECODE_SCALE_NS: Final = 1_000_000

UNKNOWN_SIZE_SEGMENT: Final = bytes.fromhex("18538067 01ffffffffffffff")
"""The header of a Segment that ends where the stream, or the next EBML header, says so."""

UNKNOWN_SIZE_CLUSTER: Final = bytes.fromhex("1f43b675 01ffffffffffffff")


_LENGTHS: Final = bytes(9 - first.bit_length() for first in range(256))
"""By its first byte, how long an id or a size is; 9 if that is too long."""
_MAX_ID_LENGTH: Final = 4
_MAX_SIZE_LENGTH: Final = 8
_UNKNOWN: Final = tuple((1 << 7 * length) - 1 for length in range(_MAX_SIZE_LENGTH + 1))
"""By length, the value that is reserved for "unknown": all ones, hence also the mask that removes the marker."""


def read_vint(data: bytes, at: int, offset: int) -> tuple[int | None, int] | None:
    """Read a variable-length integer of 1 to 8 bytes, marker removed.

    Args:
        data: where to look.
        at: index of its first byte.
        offset: of that byte in the stream, for the error.

    Returns:
        (value, index after it), the value None if it is the reserved "unknown"; or None if `data` ends first.

    Raises:
        InvalidElement: longer than 8 bytes.
    """
    if at >= len(data):
        return None
    length = _LENGTHS[data[at]]
    if length > _MAX_SIZE_LENGTH:
        raise _bad_header(offset)
    after = at + length
    if after > len(data):
        return None
    unknown = _UNKNOWN[length]
    value = int.from_bytes(data[at:after], "big") & unknown
    return (None if value == unknown else value), after


def read_header(data: bytes, at: int, offset: int) -> tuple[int, int | None, int] | None:
    """Read an element's id and size.

    Args:
        data: where to look.
        at: index of its first byte.
        offset: of that byte in the stream, for the error.

    Returns:
        (id with its marker, size or None if unknown, index after the size); or None if `data` ends first.

    Raises:
        InvalidElement: the id is longer than 4 bytes, or the size longer than 8.
    """
    try:
        after_id = at + _LENGTHS[data[at]]
        body_at = after_id + _LENGTHS[data[after_id]]
    except IndexError:
        if at < len(data) and _LENGTHS[data[at]] > _MAX_ID_LENGTH:
            raise _bad_header(offset) from None
        return None
    if after_id - at > _MAX_ID_LENGTH or body_at - after_id > _MAX_SIZE_LENGTH:
        raise _bad_header(offset)
    if body_at > len(data):
        return None
    unknown = _UNKNOWN[body_at - after_id]
    size = int.from_bytes(data[after_id:body_at], "big") & unknown
    return int.from_bytes(data[at:after_id], "big"), None if size == unknown else size, body_at


def _bad_header(offset: int) -> InvalidElement:
    return InvalidElement("An element's id or size is too long: this is not Matroska, or bytes were lost", offset)


Child: TypeAlias = tuple[int, int, bytes]
"""One element inside another: its id, the offset of its body in the stream, its body."""


def children(body: bytes, offset: int) -> Iterator[Child]:
    """Yield the elements directly inside a body that starts at `offset` of the stream.

    One at a time: a list of those in 256 KiB, two bytes each, would take 13 MB.

    Raises:
        InvalidElement: one is malformed, of unknown size, or reaches beyond the body.
    """
    at, end = 0, len(body)
    while at < end:
        try:  # as `read_header` does, in half the time: every fragment has twenty of these
            after_id = at + _LENGTHS[body[at]]
            body_at = after_id + _LENGTHS[body[after_id]]
            unknown = _UNKNOWN[body_at - after_id]
        except IndexError:
            raise _runs_over(offset + at) from None
        size = int.from_bytes(body[after_id:body_at], "big") & unknown
        after = body_at + size
        if after > end or size == unknown or after_id - at > _MAX_ID_LENGTH:
            raise _runs_over(offset + at)
        yield int.from_bytes(body[at:after_id], "big"), offset + body_at, body[body_at:after]
        at = after


def _runs_over(offset: int) -> InvalidElement:
    return InvalidElement("An element is malformed, or reaches beyond the one that it lies in", offset)


def write_vint(value: int, length: int | None = None) -> bytes:
    """Encode an integer of at most 56 bits, in the fewest bytes or in exactly `length` of them."""
    if length is None:
        length = next(n for n in range(1, 9) if value < (1 << 7 * n) - 1)  # all ones is "unknown"
    return (value | 1 << 7 * length).to_bytes(length, "big")


def write_element(element_id: int, body: bytes) -> bytes:
    """Encode one element of known size."""
    return write_id(element_id) + write_vint(len(body)) + body


def write_id(element_id: int) -> bytes:
    """Encode an id, whose marker is part of its value."""
    return element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")


def write_uint(element_id: int, value: int) -> bytes:
    """Encode an unsigned integer element."""
    return write_element(element_id, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def write_float(element_id: int, value: float) -> bytes:
    """Encode a float element, in 8 bytes."""
    return write_element(element_id, struct.pack(">d", value))


def write_text(element_id: int, value: str) -> bytes:
    """Encode a UTF-8 element."""
    return write_element(element_id, value.encode())
