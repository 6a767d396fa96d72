"""The elements that are read whole: EBML header, Info, Tracks, Tags.

Each function takes an element's content and its offset in the stream, and is bounded by the limits it is given.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from carillon.matroska import elements as ids
from carillon.matroska.elements import Child, children, write_id
from carillon.matroska.errors import ElementTooLarge, InvalidElement, NestedTooDeep
from carillon.matroska.events import AUDIO, Track

Tags: TypeAlias = tuple[tuple[str, str], ...]

_DOC_TYPES: Final = frozenset({"matroska", "webm"})
_DEFAULT_RATE_HZ: Final = 8_000.0
_MAX_NUMBER_BYTES: Final = 8
_LONGEST: Final = {ids.EBML_MAX_ID_LENGTH: 4, ids.EBML_MAX_SIZE_LENGTH: 8}
_SIMPLE_TAG: Final = write_id(ids.SIMPLE_TAG)
_TAG_NAME: Final = write_id(ids.TAG_NAME)
_TAG_STRING: Final = write_id(ids.TAG_STRING)
_PLAIN_HEAD: Final = struct.Struct(">2sB2sB")  # of a SimpleTag up to its name: two ids, each with a size of one byte
_SIMPLE_TAG_HEADER: Final = 3
_ONE_BYTE_SIZE: Final = 0x80
_RESERVED_SIZE: Final = 0xFF
_FLOATS: Final = {4: struct.Struct(">f"), 8: struct.Struct(">d")}


def read_doc_type(body: bytes, offset: int) -> str:
    """Read an EBML header; return its DocType.

    Raises:
        InvalidElement: neither Matroska nor WebM, or ids and sizes longer than we read.
    """
    doc_type = "matroska"
    for child in children(body, offset):
        match child[0]:
            case ids.DOC_TYPE:
                doc_type = _text(child[2])
            case ids.EBML_MAX_ID_LENGTH | ids.EBML_MAX_SIZE_LENGTH if _uint(child) > _LONGEST[child[0]]:
                raise InvalidElement("The EBML header asks for ids over 4 bytes or sizes over 8", child[1])
    if doc_type not in _DOC_TYPES:
        raise InvalidElement(f"The DocType is {doc_type[:40]!r}; send matroska or webm", offset)
    return doc_type


def read_timecode_scale(body: bytes, offset: int) -> int:
    """Read an Info; return the nanoseconds of one timecode unit.

    Raises:
        InvalidElement: malformed, or zero.
    """
    scale = ids.DEFAULT_TIMECODE_SCALE_NS
    for child in children(body, offset):
        if child[0] == ids.TIMECODE_SCALE:
            scale = _uint(child)
    if not scale:
        raise InvalidElement("The TimecodeScale is 0; use 1000000 for milliseconds", offset)
    return scale


def read_tracks(body: bytes, offset: int, max_tracks: int) -> tuple[Track, ...]:
    """Read a Tracks, in the order of the stream.

    Raises:
        InvalidElement: malformed, or a track without a number.
        ElementTooLarge: more than `max_tracks`.
    """
    tracks: list[Track] = []
    for entry_id, entry_offset, entry in children(body, offset):
        if entry_id != ids.TRACK_ENTRY:
            continue
        if len(tracks) == max_tracks:
            raise ElementTooLarge(f"There are more than {max_tracks} tracks; send at most as many", offset)
        tracks.append(_read_track(entry, entry_offset))
    return tuple(tracks)


@dataclass(slots=True)
class _Entry:
    """A track while it is read, with the defaults of RFC 9559."""

    number: int = 0
    uid: int = 0
    kind: int = 0
    name: str = ""
    codec_id: str = ""
    codec_private: bytes = field(default=b"", repr=False)
    rate_hz: float = _DEFAULT_RATE_HZ
    channels: int = 1
    bit_depth: int | None = None
    codec_delay_ns: int = 0


def _read_track(entry: bytes, offset: int) -> Track:
    read = _Entry()
    for child in children(entry, offset):
        match child[0]:
            case ids.TRACK_NUMBER:
                read.number = _uint(child)
            case ids.TRACK_UID:
                read.uid = _uint(child)
            case ids.TRACK_TYPE:
                read.kind = _uint(child)
            case ids.TRACK_NAME:
                read.name = _text(child[2])
            case ids.CODEC_ID:
                read.codec_id = _text(child[2])
            case ids.CODEC_PRIVATE:
                read.codec_private = child[2]
            case ids.CODEC_DELAY:
                read.codec_delay_ns = _uint(child)
            case ids.AUDIO_SETTINGS:
                _read_audio(child, read)
    if not read.number:
        raise InvalidElement("A track has no TrackNumber", offset)
    is_audio = read.kind == AUDIO
    return Track(
        number=read.number,
        uid=read.uid,
        kind=read.kind,
        name=read.name,
        codec_id=read.codec_id,
        codec_private=read.codec_private,
        rate_hz=read.rate_hz if is_audio else 0.0,
        channels=read.channels if is_audio else 0,
        bit_depth=read.bit_depth,
        codec_delay_ns=read.codec_delay_ns,
    )


def _read_audio(settings: Child, into: _Entry) -> None:
    _, offset, body = settings
    for child in children(body, offset):
        match child[0]:
            case ids.SAMPLING_FREQUENCY:
                into.rate_hz = _float(child)
            case ids.CHANNELS:
                into.channels = _uint(child)
            case ids.BIT_DEPTH:
                into.bit_depth = _uint(child)


def read_tags(body: bytes, offset: int, max_tags: int, max_depth: int) -> Tags:
    """Read a Tags; return (name, text) of each SimpleTag in order, those inside another after it.

    Raises:
        InvalidElement: malformed.
        ElementTooLarge: more than `max_tags`.
        NestedTooDeep: SimpleTags within SimpleTags more than `max_depth` deep.
    """
    tags: list[tuple[str, str]] = []
    for tag_id, tag_offset, tag in children(body, offset):
        if tag_id != ids.TAG:
            continue
        plain = _read_plain_tags(tag, max_tags - len(tags))
        if plain is None:
            _read_simple_tags(tag, tag_offset, tags, max_tags, max_depth)
        else:
            tags += plain
    return tuple(tags)


def _read_simple_tags(
    parent: bytes, parent_offset: int, tags: list[tuple[str, str]], max_tags: int, depth_left: int
) -> None:
    for element_id, offset, body in children(parent, parent_offset):
        if element_id != ids.SIMPLE_TAG:
            continue
        if not depth_left:
            raise NestedTooDeep("SimpleTags are nested too deep", offset)
        if len(tags) == max_tags:
            raise ElementTooLarge(f"There are more than {max_tags} tags in one element", offset)
        name = text = b""
        for part_id, _, part in children(body, offset):
            if part_id == ids.TAG_NAME:
                name = part
            elif part_id == ids.TAG_STRING:
                text = part
        tags.append((_text(name), _text(text)))
        _read_simple_tags(body, offset, tags, max_tags, depth_left - 1)


def _read_plain_tags(tag: bytes, limit: int) -> list[tuple[str, str]] | None:
    """Read a Tag of nothing but SimpleTags of a short TagName and a short TagString, as Kinesis adds to each fragment.

    None for any other, right or wrong, and if there are more than `limit`; the general way takes twice as long.
    """
    if b"\0" in tag:  # it may end a text early
        return None
    tags: list[tuple[str, str]] = []
    at, end = 0, len(tag)
    while at < end:
        if end - at < _PLAIN_HEAD.size or len(tags) == limit:
            return None
        tag_id, size, name_id, name_size = _PLAIN_HEAD.unpack_from(tag, at)
        name_at = at + _PLAIN_HEAD.size
        name_end = name_at + name_size - _ONE_BYTE_SIZE
        text_at = name_end + len(_TAG_STRING) + 1
        at += _SIMPLE_TAG_HEADER + size - _ONE_BYTE_SIZE  # now of the next
        fits = name_at <= name_end < text_at <= at <= end and size != _RESERVED_SIZE
        if not fits or tag_id != _SIMPLE_TAG or name_id != _TAG_NAME or not tag.startswith(_TAG_STRING, name_end):
            return None
        if tag[text_at - 1] != _ONE_BYTE_SIZE + at - text_at:
            return None
        tags.append((str(tag[name_at:name_end], "utf-8", "replace"), str(tag[text_at:at], "utf-8", "replace")))
    return tags


def _uint(child: Child) -> int:
    _, offset, body = child
    if len(body) > _MAX_NUMBER_BYTES:
        raise InvalidElement("An integer is longer than 8 bytes", offset)
    return int.from_bytes(body, "big")


def _float(child: Child) -> float:
    _, offset, body = child
    if not body:
        return 0.0
    layout = _FLOATS.get(len(body))
    if layout is None:
        raise InvalidElement("A float is not 4 or 8 bytes long", offset)
    value: float = layout.unpack(body)[0]
    if not math.isfinite(value):  # not even equal to itself, so no two such tracks would be
        raise InvalidElement("A float is infinite, or not a number", offset)
    return value


def _text(body: bytes) -> str:
    """Return the text up to its first NUL; bytes that are not UTF-8 are replaced."""
    text = body.decode("utf-8", "replace")
    return text if "\0" not in text else text.partition("\0")[0]
