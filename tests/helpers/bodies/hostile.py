"""Bodies meant to do harm: to take memory, time, the stack, or an error that nobody expects."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from bodies.lacing import FIXED, XIPH, laced_block
from carillon.matroska import AUDIO, UNKNOWN_SIZE_SEGMENT, Muxer, Track, tags_element
from carillon.matroska import elements as ids
from carillon.matroska.elements import UNKNOWN_SIZE_CLUSTER, write_element, write_id, write_uint, write_vint

Maker: TypeAlias = Callable[[int], bytes]
"""Makes a body of about so many bytes, at least 500."""

HEADER: Final = Muxer(Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)).header()
CLUSTER: Final = HEADER + UNKNOWN_SIZE_CLUSTER + write_uint(ids.TIMECODE, 0)
SEGMENT: Final = write_element(ids.EBML, b"") + UNKNOWN_SIZE_SEGMENT
EMPTY_BLOCK: Final = write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80")
SHORT_BLOCK: Final = write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80x")
VOID: Final = write_element(ids.VOID, b"")
ODD_TEXT: Final = "\N{BELL}".encode() + b"\xff"
"""Makes every character of what follows take four bytes, and is itself no text."""


def many(element: bytes, before: bytes = CLUSTER) -> Maker:
    """Make a body of one element, over and over."""
    return lambda size: before + element * ((size - len(before)) // len(element))


def full(child: bytes, *parents: int, first: bytes = b"") -> Maker:
    """Make a body of one element full of equal children; the parents are named from the inside out."""

    def make(size: int) -> bytes:
        body = first + child * (size // len(child))
        for parent in parents:
            body = write_element(parent, body)
        return SEGMENT + body

    return make


def promised(element_id: int) -> Maker:
    """Make the beginning of an element of a terabyte."""
    return lambda size: (CLUSTER + write_id(element_id) + write_vint(1 << 40)).ljust(size, b"\0")


def tags_in_tags(size: int) -> bytes:
    """Return SimpleTags in SimpleTags."""
    nested = b""
    while len(nested) < min(size, 4_000):  # deep enough for any stack; more would take us long to write
        nested = write_element(ids.SIMPLE_TAG, nested)
    return full(nested, ids.TAG, ids.TAGS)(len(nested))


BODIES: Final[Mapping[str, Maker]] = {
    "empty-frames-in-laces": many(laced_block([b""] * 256, XIPH)),
    "one-byte-frames-in-laces": many(laced_block([b"x"] * 256, FIXED)),
    "two-byte-frames-in-laces": many(laced_block([b"xy"] * 256, FIXED)),
    "empty-blocks": many(EMPTY_BLOCK),
    "sizes-that-alternate": many(EMPTY_BLOCK + SHORT_BLOCK),
    "runs-that-break-off": many(SHORT_BLOCK + laced_block([b""], XIPH)),
    "runs-between-voids": many(EMPTY_BLOCK * 2 + VOID),
    "empty-clusters": many(write_element(ids.CLUSTER, b""), SEGMENT),
    "empty-clusters-of-unknown-size": many(UNKNOWN_SIZE_CLUSTER, SEGMENT),
    "empty-groups": many(write_element(ids.BLOCK_GROUP, b"")),
    "empty-documents": many(SEGMENT, b""),
    "openings": many(HEADER, b""),
    "openings-that-differ": many(HEADER + HEADER[:-1] + b"\x01", b""),
    "voids": many(VOID),
    "tags-of-nothing": full(write_element(ids.SIMPLE_TAG, b""), ids.TAG, ids.TAGS),
    "tags-of-voids": full(VOID, ids.TAG, ids.TAGS),
    "tags-within-the-limits": many(tags_element([("a", "b")] * 15), SEGMENT),
    "tags-in-tags": tags_in_tags,
    "tags-that-are-no-text": full(b"\xff", ids.TAG_STRING, ids.SIMPLE_TAG, ids.TAG, ids.TAGS, first=ODD_TEXT),
    "tracks-of-nothing": full(write_element(ids.TRACK_ENTRY, write_uint(ids.TRACK_NUMBER, 1)), ids.TRACKS),
    "tracks-of-voids": full(VOID, ids.TRACKS),
    "a-name-that-is-no-text": full(b"\xff", ids.TRACK_NAME, ids.TRACK_ENTRY, ids.TRACKS, first=ODD_TEXT),
    "an-endless-block": promised(ids.SIMPLE_BLOCK),
    "an-endless-void": promised(ids.VOID),
    "an-endless-group": promised(ids.BLOCK_GROUP),
    "endless-tags": promised(ids.TAGS),
}
