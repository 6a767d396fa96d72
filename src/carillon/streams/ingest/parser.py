"""PutMedia's bytes in; acknowledgements and complete fragments out. No I/O, no clock.

A fragment is one Cluster and whatever follows it up to the next. It begins with the Cluster's first byte, which is when
it gets its number, and is complete when the next Cluster begins or the body ends. `finalize` completes it sooner: the
Cluster is whole and nothing came after it for a moment, so a listener need not wait for the next one to begin. What
there is of it before that can be read from `arriving`.

Every rule that a byte stream can break ends the connection: the last outcome is then an ERROR and `ended` is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from carillon.clock import from_millis, to_millis
from carillon.matroska import (
    UNKNOWN_SIZE_SEGMENT,
    BlockRead,
    ClusterEnded,
    ClusterStarted,
    ClusterTimecode,
    Demuxer,
    DocumentStarted,
    ElementTooLarge,
    InfoRead,
    Limits,
    MatroskaError,
    MatroskaEvent,
    SegmentStarted,
    TagsRead,
    TracksRead,
)
from carillon.streams.fragment_numbers import NumberSource
from carillon.streams.fragments import ArrivingFragment, ReceivedFragment
from carillon.streams.ingest import producer_tags
from carillon.streams.ingest.acknowledgements import AckErrorCode, AckEventType, FragmentAck
from carillon.streams.ingest.frames import FrameTimes, pace
from carillon.streams.settings import StreamSettings

MIN_FRAGMENT_BYTES: Final = 8
"""No fragment is shorter: the id, size and timecode of a Cluster. Tells how many numbers some bytes can need."""

_MAX_CLUSTER_HEADER_BYTES: Final = 12

IngestEvent: TypeAlias = FragmentAck | ReceivedFragment


class _Refused(Exception):
    def __init__(self, error_code: AckErrorCode) -> None:
        self.error_code = error_code


@dataclass(slots=True)
class _Open:
    """The fragment that is arriving."""

    number: str
    server_at: datetime
    start: int  # offset of its Cluster
    lead: bytes  # tags that came after the fragment before had been completed
    timecode_ms: int | None = None
    arriving: ArrivingFragment | None = None  # since its timecode is known
    frames: FrameTimes = field(default_factory=FrameTimes)
    blocks: int = 0
    tags: int = 0
    whole_at: int | None = None  # offset up to which it could be complete


class PutMediaParser:
    """Everything that one PutMedia connection remembers.

    Args:
        numbers: with enough reserved before each `feed`: one for every MIN_FRAGMENT_BYTES bytes.
        producer_start: what timecodes count from; None if they are absolute.
        settings: the limits.
    """

    def __init__(self, numbers: NumberSource, producer_start: datetime | None, settings: StreamSettings) -> None:
        self._numbers = numbers
        self._producer_start = producer_start or from_millis(0)
        self._settings = settings
        self._longest_ms = settings.max_fragment_seconds * 1000
        self._demuxer = Demuxer(
            Limits(max_element_bytes=settings.max_fragment_bytes, max_header_bytes=settings.max_header_bytes)
        )
        self._held = bytearray()  # everything fed from offset _held_from on
        self._held_from = 0
        self._document: bytes = b""  # the EBML header and a Segment of unknown size
        self._body_from = 0  # offset of the Segment's content
        self._head: bytes | None = None  # what stands before the first Cluster
        self._paces: dict[int, float] | None = None  # by the numbers of the tracks
        self._open: _Open | None = None
        self._last: FrameTimes | None = None  # of the fragment before
        self._tags = 0  # between fragments
        self._is_followed_by_tags: bool | None = None  # as far as this producer's Clusters tell
        self.ended = False

    @property
    def arriving(self) -> ArrivingFragment | None:
        """What there is of a fragment that is not complete. It tells by itself when it is, or never will be."""
        return self._open.arriving if self._open else None

    @property
    def is_whole(self) -> bool:
        """Whether all of a Cluster is here and nothing behind it, so that `finalize` would complete the fragment."""
        return self._open is not None and self._open.whole_at == self._held_from + len(self._held)

    @property
    def expects_tags(self) -> bool:
        """Whether tags may follow a Cluster: not if none followed one of this producer's yet."""
        return self._is_followed_by_tags is not False

    def feed(self, data: bytes, at: datetime) -> list[IngestEvent]:
        """Take the next bytes of the body, which arrived at this time; return what they brought about.

        The same bytes bring about the same, whatever the cuts (if they all arrive at the same time).
        """
        if self.ended:
            return []
        outcomes: list[IngestEvent] = []
        try:
            self._held += data
            self._take(self._demuxer.feed(data), at, outcomes)
            if self._demuxer.has_failed:
                self._demuxer.feed(b"")  # raises what it held back until its events were out
            self._check_size()
        except ElementTooLarge:
            is_frame = self._open is not None and self._open.whole_at is None
            self._refuse(
                AckErrorCode.MAX_FRAGMENT_SIZE_REACHED if is_frame else AckErrorCode.INVALID_MKV_DATA, at, outcomes
            )
        except MatroskaError:
            self._refuse(AckErrorCode.INVALID_MKV_DATA, at, outcomes)
        except _Refused as refused:
            self._refuse(refused.error_code, at, outcomes)
        return outcomes

    def finalize(self, at: datetime) -> list[IngestEvent]:
        """Complete the fragment if its Cluster is: nothing has arrived for a moment.

        Tags that come later after all will stand before the next Cluster.
        """
        outcomes: list[IngestEvent] = []
        if not self.ended and self.is_whole:
            self._complete_checked(at, outcomes)
        return outcomes

    def end(self, at: datetime) -> list[IngestEvent]:
        """End the body: complete the last fragment, or report that it is cut off."""
        if self.ended:
            return []
        outcomes: list[IngestEvent] = []
        try:
            self._take(self._demuxer.end(), at, outcomes)
        except MatroskaError:
            self._refuse(AckErrorCode.STREAM_READ_ERROR, at, outcomes)
        except _Refused as refused:
            self._refuse(refused.error_code, at, outcomes)
        else:
            if self._open:
                self._complete_checked(at, outcomes)
        self.ended = True
        return outcomes

    def fail(self, error_code: AckErrorCode, at: datetime) -> list[IngestEvent]:
        """End the connection for a reason that is not in its bytes; an incomplete fragment is discarded."""
        outcomes: list[IngestEvent] = []
        if not self.ended:
            self._refuse(error_code, at, outcomes)
        return outcomes

    def discard(self) -> None:
        """End without a word, and without the fragment that is arriving."""
        self.ended = True
        self._tear()

    def _take(self, events: Sequence[MatroskaEvent], at: datetime, outcomes: list[IngestEvent]) -> None:
        for event in events:
            if self._open and event.start - self._open.start > self._settings.max_fragment_bytes:
                raise _Refused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
            match event:
                case BlockRead():
                    self._take_frame(event)
                case ClusterStarted():
                    self._begin(event, at, outcomes)
                case ClusterTimecode():
                    self._take_timecode(event, outcomes)
                case ClusterEnded():
                    if self._open:
                        self._open.whole_at = event.end
                case TagsRead():
                    self._take_tags(event, at, outcomes)
                case TracksRead() | InfoRead():
                    self._take_header(event)
                case DocumentStarted() | SegmentStarted():
                    self._take_document(event)
        if events and self._open and self._open.arriving:
            self._open.arriving.show(events[-1].end - self._open.start)

    def _take_document(self, event: DocumentStarted | SegmentStarted) -> None:
        """Keep the EBML header, once, and give the Segment an unknown size: it will hold one fragment only."""
        is_header = isinstance(event, DocumentStarted)
        if is_header == bool(self._document) or self._body_from:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        if is_header:
            self._document = self._bytes(event.start, event.end)
        else:
            self._document += UNKNOWN_SIZE_SEGMENT
            self._body_from = event.end

    def _take_header(self, event: TracksRead | InfoRead) -> None:
        if self._head is not None:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        if isinstance(event, InfoRead):
            return
        if self._paces is not None or not event.tracks:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        if len(event.tracks) > self._settings.max_tracks:
            raise _Refused(AckErrorCode.MORE_THAN_ALLOWED_TRACKS_FOUND)
        self._paces = {track.number: pace(track) for track in event.tracks}

    def _begin(self, event: ClusterStarted, at: datetime, outcomes: list[IngestEvent]) -> None:
        if self._open:
            self._complete(self._open, event.start, at, outcomes)
        if self._paces is None or not self._body_from:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        lead = b""
        if self._head is None:
            if event.start > self._settings.max_header_bytes:
                raise _Refused(AckErrorCode.INVALID_MKV_DATA)
            self._head = self._document + self._bytes(self._body_from, event.start)
        else:
            lead = self._bytes(self._held_from, event.start)
        server_at = from_millis(to_millis(at))
        self._drop_until(event.start)
        self._open = _Open(self._numbers.next(server_at), server_at, event.start, lead, tags=self._tags)
        self._tags = 0

    def _take_timecode(self, event: ClusterTimecode, outcomes: list[IngestEvent]) -> None:
        fragment = self._open
        if fragment is None or fragment.timecode_ms is not None or self._head is None:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        fragment.timecode_ms = event.timecode_ms
        try:
            producer_at = self._producer_start + timedelta(milliseconds=event.timecode_ms)
        except OverflowError:
            raise _Refused(AckErrorCode.INVALID_PRODUCER_TIMESTAMP) from None
        head = self._head + fragment.lead
        fragment.arriving = ArrivingFragment(fragment.number, fragment.server_at, producer_at, head, self._held)
        outcomes.append(FragmentAck(AckEventType.BUFFERING, event.timecode_ms, fragment.number))

    def _take_frame(self, frame: BlockRead) -> None:
        fragment = self._open
        if fragment is None or fragment.timecode_ms is None or self._paces is None:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        its_pace = self._paces.get(frame.track)
        if its_pace is None:
            raise _Refused(AckErrorCode.TRACK_NUMBER_MISMATCH)
        fragment.blocks += 1
        if fragment.blocks > self._settings.max_fragment_blocks:
            raise _Refused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
        is_first = not fragment.frames.tracks
        fragment.frames.add(frame, its_pace, self._longest_ms)
        if is_first and self._last and not fragment.frames.follow(self._last):
            raise _Refused(AckErrorCode.FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS)
        if fragment.frames.span_ms > self._longest_ms:
            raise _Refused(AckErrorCode.MAX_FRAGMENT_DURATION_REACHED)

    def _take_tags(self, event: TagsRead, at: datetime, outcomes: list[IngestEvent]) -> None:
        """Refuse names that would pass for ours; behind the first Cluster, apply the limits of a fragment to tags."""
        if producer_tags.are_ours(event.tags):
            raise _Refused(AckErrorCode.INVALID_FRAGMENT_METADATA)
        if self._head is None:
            return
        self._is_followed_by_tags = True
        count = (self._open.tags if self._open else self._tags) + producer_tags.counted(event.tags)
        if producer_tags.exceed(event.tags, count, self._settings):
            raise _Refused(AckErrorCode.FRAGMENT_METADATA_LIMIT_REACHED)
        if not self._open:
            self._tags = count
            return
        self._open.tags = count
        self._open.whole_at = event.end
        if producer_tags.end_fragment(event.tags):
            self._complete(self._open, event.end, at, outcomes)

    def _complete_checked(self, at: datetime, outcomes: list[IngestEvent]) -> None:
        assert self._open
        try:
            self._complete(self._open, self._held_from + len(self._held), at, outcomes)
        except _Refused as refused:
            self._refuse(refused.error_code, at, outcomes)

    def _complete(self, fragment: _Open, end: int, at: datetime, outcomes: list[IngestEvent]) -> None:
        """Hand out the fragment, which reaches up to offset `end`."""
        if end - fragment.start > self._settings.max_fragment_bytes:
            raise _Refused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
        arriving = fragment.arriving
        if fragment.timecode_ms is None or arriving is None or self._paces is None:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        if fragment.frames.tracks != self._paces.keys():
            raise _Refused(AckErrorCode.FRAMES_MISSING_FOR_TRACK)
        complete = ReceivedFragment(
            number=fragment.number,
            server_at=fragment.server_at,
            producer_at=arriving.producer_at,
            received_at=at,
            timecode_ms=fragment.timecode_ms,
            duration_ms=max(0, fragment.frames.end_ms - fragment.timecode_ms),
            head=arriving.head,
            body=self._bytes(fragment.start, end),
        )
        arriving.finish(complete)
        outcomes += (complete, FragmentAck(AckEventType.RECEIVED, fragment.timecode_ms, fragment.number))
        self._last = fragment.frames
        self._is_followed_by_tags = self._is_followed_by_tags or fragment.tags > 0
        self._open = None
        self._drop_until(end)

    def _refuse(self, error_code: AckErrorCode, at: datetime, outcomes: list[IngestEvent]) -> None:
        """End with an ERROR for the fragment that is open, but keep one whose Cluster is whole."""
        self.ended = True
        fragment = self._open
        if fragment and fragment.whole_at is not None and error_code in _NOT_ABOUT_WHOLE_CLUSTERS:
            try:
                self._complete(fragment, fragment.whole_at, at, outcomes)
                fragment = None
            except _Refused as refused:
                error_code = refused.error_code
        self._tear()
        timecode_ms, number = (fragment.timecode_ms, fragment.number) if fragment else (None, None)
        outcomes.append(FragmentAck(AckEventType.ERROR, timecode_ms, number, error_code))

    def _tear(self) -> None:
        if self.arriving:
            self.arriving.tear()
        self._open = None
        self._held.clear()

    def _check_size(self) -> None:
        """Hold what is kept to the limits while it arrives; the header of the next Cluster may be among it already."""
        surely_held = len(self._held) - _MAX_CLUSTER_HEADER_BYTES
        if self._head is None and surely_held > self._settings.max_header_bytes:
            raise _Refused(AckErrorCode.INVALID_MKV_DATA)
        if surely_held > self._settings.max_fragment_bytes:
            raise _Refused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)

    def _bytes(self, start: int, end: int) -> bytes:
        return bytes(memoryview(self._held)[start - self._held_from : end - self._held_from])

    def _drop_until(self, offset: int) -> None:
        del self._held[: offset - self._held_from]
        self._held_from = offset


_NOT_ABOUT_WHOLE_CLUSTERS: Final = frozenset(
    {
        AckErrorCode.STREAM_READ_ERROR,
        AckErrorCode.MAX_CONNECTION_DURATION_REACHED,
        AckErrorCode.INVALID_MKV_DATA,
        AckErrorCode.STREAM_NOT_ACTIVE,
        AckErrorCode.INTERNAL_ERROR,
    }
)
