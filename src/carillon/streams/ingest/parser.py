"""PutMedia's bytes in; acknowledgements and complete fragments out. No I/O, no clock.

The contract. The same bytes bring about the same, whatever the cuts, if they all arrive at the same time. A fragment is
one Cluster and what follows it up to the next. It begins with the first byte of its Cluster, which is when it gets its
number; BUFFERING follows once its timecode is known, and RECEIVED once it is complete. It is handed out as it was sent,
and what was handed out is never taken back: whatever happens later, an ERROR comes after it and is the last outcome.

How it works. `Demuxer` makes events of bytes. Where in the body we are is a `BodyState`, and `_READERS` says, for each
state, which events may come and what reads them. Any other event is INVALID_MKV_DATA: no reader asks whether it is its
turn. A reader returns what it brought about, moves to the next state, or raises `BodyRefused`.

    EMPTY --EBML header--> DOCUMENT --Segment--> HEAD --Tracks--> READY --Cluster--> CLUSTER --Timecode--> FRAMES
    CLUSTER, FRAMES --end of the Cluster--> WHOLE --Cluster--> CLUSTER
    WHOLE --the producer's tag, or a pause--> BETWEEN --Cluster--> CLUSTER
    any --a rule is broken, or the body ends--> ENDED

In WHOLE nothing tells whether tags are still to come, so the fragment waits there: for the next Cluster, for the end of
the body, or for `finalize`, which whoever owns the clock calls when nothing has come for a moment. Tags that come after
that stand before the next Cluster and are part of that fragment. A connection that breaks off in WHOLE still completes
its fragment; in CLUSTER or FRAMES it is torn.

What was decided against. A generator that reads the body from top to bottom would need no states, but could neither
say where it is (`is_whole`) nor be ended from outside (`fail`). Keeping what the blocks say, and not the bytes, would
lose whatever else the producer sent; so the bytes are held, once, and readers look at them there (`arriving`). Waiting
in WHOLE for the next Cluster alone would make every listener a fragment late.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, ClassVar, Final, TypeAlias

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
from carillon.streams.ingest.frames import FrameTimes, TrackPaces, pace
from carillon.streams.ingest.partial import BodyRefused, PartialFragment
from carillon.streams.settings import StreamSettings

MIN_FRAGMENT_BYTES: Final = 8
"""No fragment is shorter: the id, size and timecode of a Cluster. Tells how many numbers some bytes can need."""

_MAX_CLUSTER_HEADER_BYTES: Final = 12

IngestEvent: TypeAlias = FragmentAck | ReceivedFragment
_Reader: TypeAlias = Callable[["PutMediaParser", Any, datetime], Sequence[IngestEvent]]


class BodyState(Enum):
    """Where in a body we are: what was read last."""

    EMPTY = auto()
    DOCUMENT = auto()
    """The EBML header."""
    HEAD = auto()
    """The beginning of the Segment."""
    READY = auto()
    """Its Tracks."""
    CLUSTER = auto()
    """The beginning of a Cluster."""
    FRAMES = auto()
    """Its timecode, and frames."""
    WHOLE = auto()
    """All of a Cluster, and tags behind it."""
    BETWEEN = auto()
    """All of a fragment, and tags of the next one."""
    ENDED = auto()


_BEFORE_CLUSTERS: Final = frozenset({BodyState.EMPTY, BodyState.DOCUMENT, BodyState.HEAD, BodyState.READY})
_IN_CLUSTER: Final = frozenset({BodyState.CLUSTER, BodyState.FRAMES})
_NOT_ABOUT_WHOLE_CLUSTERS: Final = frozenset(
    {
        AckErrorCode.STREAM_READ_ERROR,
        AckErrorCode.MAX_CONNECTION_DURATION_REACHED,
        AckErrorCode.INVALID_MKV_DATA,
        AckErrorCode.STREAM_NOT_ACTIVE,
        AckErrorCode.INTERNAL_ERROR,
    }
)


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
        self._demuxer = Demuxer(
            Limits(max_element_bytes=settings.max_fragment_bytes, max_header_bytes=settings.max_header_bytes)
        )
        self._held = bytearray()  # everything fed from offset _held_from on
        self._held_from = 0
        self._document = b""  # the EBML header and a Segment of unknown size
        self._body_from = 0  # offset of the Segment's content
        self._head = b""  # what stands before the first Cluster
        self._paces: TrackPaces = {}
        self._fragment = PartialFragment(settings)
        self._fragment_limit = math.inf  # offset behind which nothing of the fragment may begin
        self._last = FrameTimes()  # of the fragment before
        self._has_tags = False  # between its Clusters
        self._enter(BodyState.EMPTY)

    @property
    def ended(self) -> bool:
        """Whether no more bytes are looked at."""
        return self._state is BodyState.ENDED

    @property
    def arriving(self) -> ArrivingFragment | None:
        """What there is of a fragment that is not complete. It tells by itself when it is, or never will be."""
        return self._fragment.arriving

    @property
    def is_whole(self) -> bool:
        """Whether all of a Cluster is here and nothing behind it, so that `finalize` would complete the fragment."""
        return self._state is BodyState.WHOLE and self._fragment.whole_at == self._held_until

    @property
    def expects_tags(self) -> bool:
        """Whether tags may follow a Cluster: not if none followed one of this producer's yet."""
        return self._has_tags or not self._last.tracks

    def feed(self, data: bytes, at: datetime) -> list[IngestEvent]:
        """Take the next bytes of the body, which arrived at this time; return what they brought about."""
        outcomes: list[IngestEvent] = []
        if self.ended:
            return outcomes
        try:
            self._held += data
            self._read(self._demuxer.feed(data), at, outcomes)
            if self._demuxer.error:
                raise self._demuxer.error
            self._check_size()
        except ElementTooLarge:
            is_frame = self._state in _IN_CLUSTER
            code = AckErrorCode.MAX_FRAGMENT_SIZE_REACHED if is_frame else AckErrorCode.INVALID_MKV_DATA
            outcomes += self._refuse(code, at)
        except MatroskaError:
            outcomes += self._refuse(AckErrorCode.INVALID_MKV_DATA, at)
        except BodyRefused as refused:
            outcomes += self._refuse(refused.error_code, at)
        return outcomes

    def finalize(self, at: datetime) -> list[IngestEvent]:
        """Complete the fragment if its Cluster is: nothing has arrived for a moment.

        Tags that come later after all will stand before the next Cluster.
        """
        return self._complete_or_refuse(at) if self.is_whole else []

    def end(self, at: datetime) -> list[IngestEvent]:
        """End the body: complete the last fragment, or report that it is cut off."""
        outcomes: list[IngestEvent] = []
        if self.ended:
            return outcomes
        try:
            self._read(self._demuxer.end(), at, outcomes)
        except MatroskaError:
            outcomes += self._refuse(AckErrorCode.STREAM_READ_ERROR, at)
        except BodyRefused as refused:
            outcomes += self._refuse(refused.error_code, at)
        if self._state is BodyState.WHOLE:
            outcomes += self._complete_or_refuse(at)
        self._enter(BodyState.ENDED)
        return outcomes

    def fail(self, error_code: AckErrorCode, at: datetime) -> list[IngestEvent]:
        """End the connection for a reason that is not in its bytes; an incomplete fragment is discarded."""
        return [] if self.ended else self._refuse(error_code, at)

    def discard(self) -> None:
        """End without a word, and without the fragment that is arriving."""
        if self.arriving:
            self.arriving.tear()
        self._fragment = PartialFragment(self._settings)
        self._held.clear()
        self._enter(BodyState.ENDED)

    def _enter(self, state: BodyState) -> None:
        self._state = state
        self._readers = self._READERS[state]

    def _read(self, events: Sequence[MatroskaEvent], at: datetime, outcomes: list[IngestEvent]) -> None:
        for event in events:
            if event.start > self._fragment_limit:
                raise BodyRefused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
            reader = self._readers.get(type(event))
            if reader is None:
                raise BodyRefused(AckErrorCode.INVALID_MKV_DATA)
            outcomes += reader(self, event, at)
        if events and self.arriving:
            self.arriving.show(events[-1].end - self._fragment.start)

    def _read_document(self, event: DocumentStarted, _: datetime) -> Sequence[IngestEvent]:
        self._document = self._bytes(event.start, event.end)
        self._enter(BodyState.DOCUMENT)
        return ()

    def _read_segment(self, event: SegmentStarted, _: datetime) -> Sequence[IngestEvent]:
        """Give it an unknown size: it will hold one fragment only."""
        self._document += UNKNOWN_SIZE_SEGMENT
        self._body_from = event.end
        self._enter(BodyState.HEAD)
        return ()

    def _read_info(self, _: InfoRead, __: datetime) -> Sequence[IngestEvent]:
        return ()

    def _read_tracks(self, event: TracksRead, _: datetime) -> Sequence[IngestEvent]:
        if not event.tracks:
            raise BodyRefused(AckErrorCode.INVALID_MKV_DATA)
        if len(event.tracks) > self._settings.max_tracks:
            raise BodyRefused(AckErrorCode.MORE_THAN_ALLOWED_TRACKS_FOUND)
        self._paces = {track.number: pace(track) for track in event.tracks}
        self._enter(BodyState.READY)
        return ()

    def _read_header_tags(self, event: TagsRead, _: datetime) -> Sequence[IngestEvent]:
        """Refuse names that would pass for ours; the limits of a fragment do not apply to the header."""
        if producer_tags.are_ours(event.tags):
            raise BodyRefused(AckErrorCode.INVALID_FRAGMENT_METADATA)
        return ()

    def _read_first_cluster(self, event: ClusterStarted, at: datetime) -> Sequence[IngestEvent]:
        if event.start > self._settings.max_header_bytes:
            raise BodyRefused(AckErrorCode.INVALID_MKV_DATA)
        self._head = self._document + self._bytes(self._body_from, event.start)
        self._drop_until(event.start)
        return self._read_cluster(event, at)

    def _read_cluster(self, event: ClusterStarted, at: datetime) -> Sequence[IngestEvent]:
        head = self._head + self._bytes(self._held_from, event.start)  # with tags that came early
        self._drop_until(event.start)
        server_at = from_millis(to_millis(at))
        self._fragment.begin(self._numbers.next(server_at), server_at, head, event.start)
        self._fragment_limit = event.start + self._settings.max_fragment_bytes
        self._enter(BodyState.CLUSTER)
        return ()

    def _read_next_cluster(self, event: ClusterStarted, at: datetime) -> Sequence[IngestEvent]:
        outcomes = self._complete(event.start, at)
        self._read_cluster(event, at)
        return outcomes

    def _read_timecode(self, event: ClusterTimecode, _: datetime) -> Sequence[IngestEvent]:
        fragment = self._fragment
        fragment.timecode_ms = event.timecode_ms
        try:
            producer_at = self._producer_start + timedelta(milliseconds=event.timecode_ms)
        except OverflowError:
            raise BodyRefused(AckErrorCode.INVALID_PRODUCER_TIMESTAMP) from None
        fragment.arriving = ArrivingFragment(
            fragment.number, fragment.server_at, producer_at, fragment.head, self._held
        )
        self._enter(BodyState.FRAMES)
        return (FragmentAck(AckEventType.BUFFERING, event.timecode_ms, fragment.number),)

    def _read_block(self, event: BlockRead, _: datetime) -> Sequence[IngestEvent]:
        self._fragment.add_block(event, self._paces, self._last)
        return ()

    def _read_cluster_end(self, event: ClusterEnded, _: datetime) -> Sequence[IngestEvent]:
        self._fragment.whole_at = event.end
        self._enter(BodyState.WHOLE)
        return ()

    def _read_tags(self, event: TagsRead, at: datetime) -> Sequence[IngestEvent]:
        self._read_header_tags(event, at)
        self._has_tags = True
        self._fragment.add_tags(event.tags)
        return ()

    def _read_late_tags(self, event: TagsRead, at: datetime) -> Sequence[IngestEvent]:
        """Take them into the fragment; with one of them the producer may complete it."""
        self._read_tags(event, at)
        self._fragment.whole_at = event.end
        return self._complete(event.end, at) if producer_tags.end_fragment(event.tags) else ()

    _READERS: ClassVar[Mapping[BodyState, Mapping[type, _Reader]]] = {
        BodyState.EMPTY: {DocumentStarted: _read_document},
        BodyState.DOCUMENT: {SegmentStarted: _read_segment},
        BodyState.HEAD: {InfoRead: _read_info, TracksRead: _read_tracks, TagsRead: _read_header_tags},
        BodyState.READY: {InfoRead: _read_info, TagsRead: _read_header_tags, ClusterStarted: _read_first_cluster},
        BodyState.CLUSTER: {ClusterTimecode: _read_timecode, ClusterEnded: _read_cluster_end},
        BodyState.FRAMES: {BlockRead: _read_block, ClusterEnded: _read_cluster_end},
        BodyState.WHOLE: {TagsRead: _read_late_tags, ClusterStarted: _read_next_cluster},
        BodyState.BETWEEN: {TagsRead: _read_tags, ClusterStarted: _read_cluster},
        BodyState.ENDED: {},
    }

    def _complete_or_refuse(self, at: datetime) -> list[IngestEvent]:
        try:
            return self._complete(self._held_until, at)
        except BodyRefused as refused:
            return self._refuse(refused.error_code, at)

    def _complete(self, end: int, at: datetime) -> list[IngestEvent]:
        """Hand out the fragment, which reaches up to offset `end`."""
        fragment = self._fragment
        if end > self._fragment_limit:
            raise BodyRefused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
        received = fragment.completed(self._bytes(fragment.start, end), at, self._paces)
        self._last = fragment.frames
        self._fragment, self._fragment_limit = PartialFragment(self._settings), math.inf
        self._drop_until(end)
        self._enter(BodyState.BETWEEN)
        return [received, FragmentAck(AckEventType.RECEIVED, received.timecode_ms, received.number)]

    def _refuse(self, error_code: AckErrorCode, at: datetime) -> list[IngestEvent]:
        """End with an ERROR for the fragment that is open, but keep one whose Cluster is whole."""
        outcomes: list[IngestEvent] = []
        if self._state is BodyState.WHOLE and error_code in _NOT_ABOUT_WHOLE_CLUSTERS:
            try:
                outcomes = self._complete(self._fragment.whole_at, at)
            except BodyRefused as refused:
                error_code = refused.error_code
        timecode_ms, number = self._fragment.timecode_ms, self._fragment.number or None
        self.discard()
        return [*outcomes, FragmentAck(AckEventType.ERROR, timecode_ms, number, error_code)]

    def _check_size(self) -> None:
        """Hold what is kept to the limits while it arrives; the header of the next Cluster may be among it already."""
        surely_held = len(self._held) - _MAX_CLUSTER_HEADER_BYTES
        if self._state in _BEFORE_CLUSTERS and surely_held > self._settings.max_header_bytes:
            raise BodyRefused(AckErrorCode.INVALID_MKV_DATA)
        if surely_held > self._settings.max_fragment_bytes:
            raise BodyRefused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)

    @property
    def _held_until(self) -> int:
        return self._held_from + len(self._held)

    def _bytes(self, start: int, end: int) -> bytes:
        return bytes(memoryview(self._held)[start - self._held_from : end - self._held_from])

    def _drop_until(self, offset: int) -> None:
        del self._held[: offset - self._held_from]
        self._held_from = offset
