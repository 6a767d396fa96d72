"""Bytes in, events out: a push demuxer for live streams.

How it works. Containers (Segment, Cluster, BlockGroup) are never held in memory: the demuxer keeps a stack of at most
three that are open, says that one began, and goes on with what is inside. Only the element at hand is gathered, up to a
limit that is checked as soon as its size is known; what is not of interest is skipped as it flows by. A container of
known size ends at its last byte, one of unknown size before the first element that cannot be its child.

The cost is linear however the bytes are cut: what is left over from one `feed` is looked at again only when it has
become long enough for another step. Nearly all of a call is SimpleBlocks of equal size, so `_read_run` unpacks a row of
those in one go; everything unusual goes through `_step`.
"""

from dataclasses import dataclass
from typing import Final

from carillon.matroska import elements as ids
from carillon.matroska import headers
from carillon.matroska.blocks import NANOS_PER_MILLI, read_block, read_run
from carillon.matroska.elements import read_header
from carillon.matroska.errors import ElementTooLarge, InvalidElement, MatroskaError, TruncatedElement
from carillon.matroska.events import (
    ClusterEnded,
    ClusterStarted,
    ClusterTimecode,
    DocumentStarted,
    InfoRead,
    MatroskaEvent,
    SegmentStarted,
    TagsRead,
    TracksRead,
)
from carillon.matroska.opening import Opening

_MAX_NUMBER_BYTES: Final = 8
_BLOCKS: Final = frozenset({ids.SIMPLE_BLOCK, ids.BLOCK})
_FILLERS: Final = frozenset({ids.VOID, ids.CRC_32})
_PARENTS: Final = {ids.SEGMENT: None, ids.CLUSTER: ids.SEGMENT, ids.BLOCK_GROUP: ids.CLUSTER}
_WHOLE: Final = frozenset(  # (what it lies in, what it is) of all that is read; the rest is skipped
    {
        (None, ids.EBML),
        (ids.SEGMENT, ids.INFO),
        (ids.SEGMENT, ids.TRACKS),
        (ids.SEGMENT, ids.TAGS),
        (ids.CLUSTER, ids.TIMECODE),
        (ids.CLUSTER, ids.SIMPLE_BLOCK),
        (ids.BLOCK_GROUP, ids.BLOCK),
    }
)
_STRUCTURE: Final = ids.LEVEL_1 | _BLOCKS | {ids.EBML, ids.SEGMENT, ids.BLOCK_GROUP}
_ENDS: Final[dict[int | None, frozenset[int]]] = {  # what ends a container of unknown size
    None: frozenset(),
    ids.SEGMENT: frozenset({ids.EBML, ids.SEGMENT}),
    ids.CLUSTER: ids.LEVEL_1 | {ids.EBML, ids.SEGMENT},
}
_UNKNOWN_SIZE_ENDS: Final = frozenset().union(*_ENDS.values())


@dataclass(frozen=True, slots=True)
class Limits:
    """What one element may cost; a stream that asks for more is refused, not obeyed."""

    max_element_bytes: int = 4 * 1024 * 1024
    """The largest block that is held in memory."""
    max_header_bytes: int = 256 * 1024
    """The largest EBML header, Info, Tracks or Tags."""
    max_tracks: int = 64
    """In one Tracks element."""
    max_tags: int = 1_000
    """In one Tags element."""
    max_depth: int = 8
    """How deep SimpleTags may lie within SimpleTags."""


@dataclass(slots=True)
class _Open:
    """A container whose end has not been seen; the lowest is the stream itself, with no id."""

    id: int | None
    start: int
    size: int | None
    bound: int | None = None  # offset that nothing inside may pass: its own end, or that of what it lies in
    timecode: int | None = None  # of the Cluster


class Demuxer:
    """Reads any number of Matroska documents, one after the other, from bytes cut anywhere.

    The same bytes give the same events, whatever the cuts. An error is raised only after every event before it has been
    handed out, so a `feed` that found some returns them, `error` then says what the next call raises; it is final. No
    bytes raise anything but MatroskaError.

    Memory, whatever is sent: between two feeds the element at hand (as large as the limits allow) and the last opening
    (5 `max_header_bytes`); during one, for a moment, the largest of 4 `max_element_bytes`, 10 `max_header_bytes` and
    100 bytes for each of `max_tags` as well; and for the events it returns up to 80 bytes for each byte fed, which
    is what frames of nothing come to when they are laced by the hundred.
    """

    def __init__(self, settings: Limits = Limits()) -> None:
        self._limits = settings
        self._pending = bytearray()  # fed but not used up
        self._needed = 1  # pending bytes without which the next step cannot be made
        self._skipping = 0  # bytes still to come of an element that nobody wants
        self._offset = 0  # of the first byte not used up
        self._open = [_Open(None, 0, None)]
        self._in_document = False
        self._scale_ns = ids.DEFAULT_TIMECODE_SCALE_NS
        self._opening: Opening | None = None
        self.error: MatroskaError | None = None
        """What the stream ended with; whoever asks for more gets it raised."""

    def feed(self, data: bytes) -> list[MatroskaEvent]:
        """Take the next bytes of the stream, any number; return what they complete.

        Raises:
            InvalidElement: malformed, or out of place.
            ElementTooLarge: larger than the limits.
            NestedTooDeep: tags within tags beyond the limit.
        """
        if self.error:
            raise self.error
        if self._pending:
            if len(self._pending) + len(data) < self._needed:
                self._pending += data
                return []
            data = b"".join((self._pending, data))
            self._pending.clear()
        events: list[MatroskaEvent] = []
        try:
            used = self._read(data, events)
        except MatroskaError as error:
            self.error = error
            if not events:
                raise
            return events
        self._offset += used
        self._pending += memoryview(data)[used:]
        return events

    def end(self) -> list[MatroskaEvent]:
        """End the stream; return the ends of Clusters that only this can tell.

        Raises:
            TruncatedElement: an element of known size is not complete.
            MatroskaError: an error that `feed` still owed.
        """
        if self.error:
            raise self.error
        here = self._offset + len(self._pending)
        if self._pending or self._skipping or any(container.size is not None for container in self._open):
            self.error = TruncatedElement("The stream ended in the middle of an element; send it whole", here)
            raise self.error
        events: list[MatroskaEvent] = []
        while len(self._open) > 1:
            self._close(here, events)
        self._in_document = False
        return events

    def _read(self, data: bytes, events: list[MatroskaEvent]) -> int:
        """Make every step that `data` is long enough for; return how many of its bytes were used up."""
        at = 0
        while True:
            if self._skipping:
                step = min(self._skipping, len(data) - at)
                self._skipping -= step
                at += step
                if self._skipping:
                    return at
            while self._open[-1].bound == self._offset + at:
                self._close(self._offset + at, events)
            if at == len(data):
                return at
            after = self._step(data, at, events)
            if after is None:
                return at
            at = after

    def _step(self, data: bytes, at: int, events: list[MatroskaEvent]) -> int | None:
        """Read one header and, unless it opens a container, its content; return the index after it.

        None if `data` ends before that; then `_needed` says how many bytes from `at` on the step takes.
        """
        start = self._offset + at
        header = read_header(data, at, start)
        if header is None:
            self._needed = len(data) - at + 1
            return None
        element_id, size, body_at = header
        if element_id in _UNKNOWN_SIZE_ENDS:
            self._close_unknown_sizes_before(element_id, start, events)
            if element_id == ids.EBML and (after := self._repeat_opening(data, at, events)):
                return after
        container = self._open[-1]
        level, bound = container.id, container.bound
        if bound is not None and self._offset + body_at + (size or 0) > bound:
            raise InvalidElement(f"Element {element_id:X} reaches beyond the one that it lies in", start)
        if element_id in _PARENTS and _PARENTS[element_id] == level:
            self._enter(_Open(element_id, start, size), self._offset + body_at, events)
            return body_at
        if size is None:
            raise InvalidElement(f"Element {element_id:X} has no size; only Segments and Clusters may lack one", start)
        if (level, element_id) not in _WHOLE:
            self._skipping = _size_to_skip(level, element_id, size, start)
            return body_at
        limit = self._limits.max_element_bytes if element_id in _BLOCKS else self._limits.max_header_bytes
        if size > limit:
            raise ElementTooLarge(f"Element {element_id:X} of {size} bytes is over the limit of {limit}", start)
        end_at = body_at + size
        if end_at > len(data):
            self._needed = end_at - at
            return None
        if element_id == ids.SIMPLE_BLOCK and (after := self._read_run(data, at, body_at - at, size, events)):
            return after
        self._emit(element_id, data[body_at:end_at], start, self._offset + end_at, events)
        if element_id == ids.TRACKS:
            self._remember_opening(data, events)
        return end_at

    def _emit(self, element_id: int, body: bytes, start: int, end: int, events: list[MatroskaEvent]) -> None:
        """Turn a whole element into its events."""
        offset = end - len(body)
        match element_id:
            case ids.SIMPLE_BLOCK | ids.BLOCK:
                events += read_block(body, start, end, self._open[-1].timecode, self._scale_ns)
            case ids.TIMECODE:
                events.append(self._read_timecode(body, start, end))
            case ids.TAGS:
                tags = headers.read_tags(body, offset, self._limits.max_tags, self._limits.max_depth)
                events.append(TagsRead(start, end, tags))
            case ids.TRACKS:
                events.append(TracksRead(start, end, headers.read_tracks(body, offset, self._limits.max_tracks)))
            case ids.INFO:
                self._scale_ns = headers.read_timecode_scale(body, offset)
                events.append(InfoRead(start, end, self._scale_ns))
            case ids.EBML:
                self._in_document = True
                events.append(DocumentStarted(start, end, headers.read_doc_type(body, offset)))

    def _enter(self, container: _Open, body_offset: int, events: list[MatroskaEvent]) -> None:
        container.bound = self._open[-1].bound if container.size is None else body_offset + container.size
        self._open.append(container)
        match container.id:
            case ids.SEGMENT:
                if not self._in_document:
                    raise InvalidElement("A Segment comes before any EBML header", container.start)
                self._scale_ns = ids.DEFAULT_TIMECODE_SCALE_NS
                events.append(SegmentStarted(container.start, body_offset))
            case ids.CLUSTER:
                events.append(ClusterStarted(container.start, body_offset))
            case ids.BLOCK_GROUP:
                if container.size is None:
                    raise InvalidElement("A BlockGroup has no size", container.start)
                container.timecode = self._open[-2].timecode

    def _close_unknown_sizes_before(self, element_id: int, offset: int, events: list[MatroskaEvent]) -> None:
        while self._open[-1].size is None and element_id in _ENDS[self._open[-1].id]:
            self._close(offset, events)

    def _close(self, offset: int, events: list[MatroskaEvent]) -> None:
        container = self._open.pop()
        if container.id == ids.CLUSTER:
            events.append(ClusterEnded(container.start, offset))

    def _read_timecode(self, body: bytes, start: int, end: int) -> ClusterTimecode:
        cluster = self._open[-1]
        if cluster.timecode is not None or len(body) > _MAX_NUMBER_BYTES:
            raise InvalidElement("A Cluster has a second Timecode, or one longer than 8 bytes", start)
        cluster.timecode = int.from_bytes(body, "big")
        return ClusterTimecode(start, end, cluster.timecode, self._to_ms(cluster.timecode))

    def _read_run(self, data: bytes, at: int, header_bytes: int, size: int, events: list[MatroskaEvent]) -> int | None:
        """Read the SimpleBlocks from `at` on that are as long as the first; return the index after them.

        None if there are not two of them, or none can be read so. Stops early, never wrongly: `_step` reads the rest.
        """
        cluster = self._open[-1]
        if self._scale_ns != NANOS_PER_MILLI or cluster.timecode is None:
            return None
        if not data.startswith(data[at : at + header_bytes], at + header_bytes + size):
            return None
        limit = len(data) if cluster.bound is None else min(len(data), cluster.bound - self._offset)
        run = read_run(data, at, limit, header_bytes, size, self._offset + at, cluster.timecode)
        events += run
        return at + len(run) * (header_bytes + size) if run else None

    def _remember_opening(self, data: bytes, events: list[MatroskaEvent]) -> None:
        if self._open[-1].size is None:  # else its end, too, would have to be moved
            found = Opening.find(data, self._offset, events)
            if found and len(found.data) <= self._limits.max_header_bytes:
                self._opening = found

    def _repeat_opening(self, data: bytes, at: int, events: list[MatroskaEvent]) -> int | None:
        """Pass over an opening just like the last one; return the index after it, None if there is none here."""
        opening, start = self._opening, self._offset + at
        if opening is None or len(self._open) > 1 or not data.startswith(opening.data, at):
            return None
        self._in_document = True
        self._scale_ns = opening.info.timecode_scale_ns
        events += opening.again(start)
        self._open.append(_Open(ids.SEGMENT, start, None))
        return at + len(opening.data)

    def _to_ms(self, timecode: int) -> int:
        return timecode * self._scale_ns // NANOS_PER_MILLI


def _size_to_skip(level: int | None, element_id: int, size: int, offset: int) -> int:
    """Return the size of an element that may be passed over where it stands.

    Raises:
        InvalidElement: it may not; bytes were lost, or this is no Matroska.
    """
    if level is None:
        is_misplaced = element_id not in _FILLERS
    elif level == ids.SEGMENT:
        is_misplaced = element_id in _STRUCTURE - ids.LEVEL_1
    else:
        is_misplaced = element_id in _STRUCTURE
    if is_misplaced:
        raise InvalidElement(
            f"Element {element_id:X} may not stand here: bytes were lost, or it is no Matroska", offset
        )
    return size
