"""The fragment that is arriving, or comes next: what there is of it, and the rules that it can break."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carillon.clock import from_millis
from carillon.matroska import BlockRead
from carillon.streams.fragments import ArrivingFragment, ReceivedFragment
from carillon.streams.ingest import producer_tags
from carillon.streams.ingest.acknowledgements import AckErrorCode
from carillon.streams.ingest.frames import FrameTimes, TrackPaces
from carillon.streams.ingest.producer_tags import ProducerTags
from carillon.streams.settings import StreamSettings

_EPOCH: Final = from_millis(0)


class BodyRefused(Exception):
    """The body breaks a rule, and so ends its connection."""

    def __init__(self, error_code: AckErrorCode) -> None:
        self.error_code = error_code


@dataclass(slots=True)
class PartialFragment:
    """A fragment that is not complete. Offsets are counted from the first byte of the body."""

    settings: StreamSettings
    tags: int = 0
    """Those before its Cluster count, too."""
    number: str = ""
    """This and what follows mean something once its Cluster has begun,"""
    server_at: datetime = _EPOCH
    head: bytes = b""
    start: int = 0
    timecode_ms: int | None = None
    arriving: ArrivingFragment | None = None
    """this once its timecode is known,"""
    whole_at: int = 0
    """and this once its Cluster has ended: up to where it could be complete."""
    frames: FrameTimes = field(default_factory=FrameTimes)
    blocks: int = 0

    def begin(self, number: str, server_at: datetime, head: bytes, start: int) -> None:
        """Take the first byte of its Cluster."""
        self.number, self.server_at, self.head, self.start = number, server_at, head, start

    def add_block(self, block: BlockRead, paces: TrackPaces, before: FrameTimes) -> None:
        """Take a frame.

        Args:
            block: the frame.
            paces: of the tracks that it may belong to.
            before: the frames of the fragment before this one.

        Raises:
            BodyRefused: its track is not declared, or the fragment is too long, or not later than the one before.
        """
        pace = paces.get(block.track)
        if pace is None:
            raise BodyRefused(AckErrorCode.TRACK_NUMBER_MISMATCH)
        self.blocks += 1
        if self.blocks > self.settings.max_fragment_blocks:
            raise BodyRefused(AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)
        longest_ms = self.settings.max_fragment_seconds * 1000
        is_first = not self.frames.tracks
        self.frames.add(block, pace, longest_ms)
        if is_first and not self.frames.follow(before):
            raise BodyRefused(AckErrorCode.FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS)
        if self.frames.span_ms > longest_ms:
            raise BodyRefused(AckErrorCode.MAX_FRAGMENT_DURATION_REACHED)

    def add_tags(self, tags: ProducerTags) -> None:
        """Take tags that stand before its Cluster or behind it.

        Raises:
            BodyRefused: there are too many now, or they are too long.
        """
        self.tags += producer_tags.counted(tags)
        if producer_tags.exceed(tags, self.tags, self.settings):
            raise BodyRefused(AckErrorCode.FRAGMENT_METADATA_LIMIT_REACHED)

    def completed(self, body: bytes, at: datetime, paces: TrackPaces) -> ReceivedFragment:
        """Return the fragment, whose last byte arrived at this time.

        Raises:
            BodyRefused: its Cluster has no timecode, or there is a track without a frame.
        """
        if self.timecode_ms is None or self.arriving is None:
            raise BodyRefused(AckErrorCode.INVALID_MKV_DATA)
        if self.frames.tracks != paces.keys():
            raise BodyRefused(AckErrorCode.FRAMES_MISSING_FOR_TRACK)
        received = ReceivedFragment(
            number=self.number,
            server_at=self.server_at,
            producer_at=self.arriving.producer_at,
            received_at=at,
            timecode_ms=self.timecode_ms,
            duration_ms=max(0, self.frames.end_ms - self.timecode_ms),
            head=self.head,
            body=body,
        )
        self.arriving.finish(received)
        return received
