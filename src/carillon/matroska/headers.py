"""The elements that are read whole: EBML header, Info, Tracks, Tags.

Each function takes an element's content and its offset in the stream, and is bounded by the limits it is given.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from carillon.matroska import elements as ids
from carillon.matroska.elements import TAG_NAME, TAG_STRING, Child, children, write_id
from carillon.matroska.errors import ElementTooLarge, InvalidElement, NestedTooDeep
from carillon.matroska.events import AUDIO, Track

Tags: TypeAlias = tuple[tuple[str, str], ...]

_DOC_TYPES: Final = frozenset({"matroska", "webm"})
_DEFAULT_RATE_HZ: Final = 8_000.0
_MAX_NUMBER_BYTES: Final = 8
_PLAIN_PARTS: Final = 2
_LONGEST: Final = {ids.EBML_MAX_ID_LENGTH: 4, ids.EBML_MAX_SIZE_LENGTH: 8}
_TAG_NAME: Final = write_id(TAG_NAME)
_TAG_STRING: Final = write_id(TAG_STRING)
_SHORTEST_TAG: Final = len(_TAG_NAME + _TAG_STRING) + 2
_ONE_BYTE_SIZE: Final = 0x80
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
    entries = [child for child in children(body, offset) if child[0] == ids.TRACK_ENTRY]
    if len(entries) > max_tracks:
        raise ElementTooLarge(f"There are {len(entries)} tracks; the limit is {max_tracks}", offset)
    return tuple(_read_track(entry, entry_offset) for _, entry_offset, entry in entries)


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
        if tag_id == ids.TAG:
            _read_simple_tags(children(tag, tag_offset), tags, max_tags, max_depth)
    return tuple(tags)


def _read_simple_tags(among: list[Child], tags: list[tuple[str, str]], max_tags: int, depth_left: int) -> None:
    for element_id, offset, body in among:
        if element_id != ids.SIMPLE_TAG:
            continue
        if not depth_left:
            raise NestedTooDeep("SimpleTags are nested too deep", offset)
        if len(tags) == max_tags:
            raise ElementTooLarge(f"There are more than {max_tags} tags in one element", offset)
        plain = _read_plain_tag(body)
        if plain:
            tags.append(plain)
            continue
        parts = children(body, offset)
        name = text = b""
        for part_id, _, part in parts:
            if part_id == TAG_NAME:
                name = part
            elif part_id == TAG_STRING:
                text = part
        tags.append((_text(name), _text(text)))
        if len(parts) > _PLAIN_PARTS:
            _read_simple_tags(parts, tags, max_tags, depth_left - 1)


def _read_plain_tag(body: bytes) -> tuple[str, str] | None:
    """Read a SimpleTag of a short TagName, a short TagString and nothing else, as Kinesis adds five to each fragment.

    None for any other, right or wrong; reading it the general way takes three times as long.
    """
    if not _SHORTEST_TAG <= len(body) < _ONE_BYTE_SIZE - 1 or not body.startswith(_TAG_NAME):
        return None  # (no longer, so that neither size can be the reserved 127)
    name_at = len(_TAG_NAME) + 1
    name_end = name_at + body[name_at - 1] - _ONE_BYTE_SIZE
    text_at = name_end + len(_TAG_STRING) + 1
    if name_end < name_at or text_at > len(body) or not body.startswith(_TAG_STRING, name_end):
        return None
    if body[text_at - 1] != _ONE_BYTE_SIZE + len(body) - text_at:
        return None
    return _text(body[name_at:name_end]), _text(body[text_at:])


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
    return value


def _text(body: bytes) -> str:
    """Return the text up to its first NUL; bytes that are not UTF-8 are replaced."""
    text = body.decode("utf-8", "replace")
    return text if "\0" not in text else text.partition("\0")[0]
