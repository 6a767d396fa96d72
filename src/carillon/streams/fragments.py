"""A fragment while it arrives, and as it is kept.

It is kept as two byte strings: what stands before the Cluster (`head`: EBML header, Segment, Info, Tracks, whatever
else the producer sent, and tags that came early) and the rest (`body`: the Cluster as sent, and tags that came late).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

PIECE_BYTES: Final = 256 * 1024
"""As much as a slow connection can take at once."""


@dataclass(frozen=True, slots=True)
class FragmentInfo:
    """All about a complete fragment but its bytes."""

    number: str
    server_at: datetime
    """When its first byte arrived, in whole milliseconds."""
    producer_at: datetime
    received_at: datetime
    """When its last byte arrived."""
    timecode_ms: int
    """Of its Cluster, since the Segment's zero."""
    duration_ms: int
    """From the Cluster's timecode to the end of the last frame, as far as that can be told."""

    @property
    def info(self) -> tuple[str, datetime, datetime, datetime, int, int]:
        """Return these fields, in order, for another form of the same fragment."""
        return (
            self.number,
            self.server_at,
            self.producer_at,
            self.received_at,
            self.timecode_ms,
            self.duration_ms,
        )

    @property
    def duration(self) -> timedelta:
        """How long it is."""
        return timedelta(milliseconds=self.duration_ms)


@dataclass(frozen=True, slots=True)
class ReceivedFragment(FragmentInfo):
    """One complete fragment."""

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many bytes it takes in memory and on disk."""
        return len(self.head) + len(self.body)


class ArrivingFragment:
    """A fragment that is on its way. Whoever receives it adds to it; any number may read what there is of it.

    It never takes more memory than the fragment that it becomes, however many read it and however slowly.

    Args:
        number: of the fragment, as are those that follow.
        server_at: when its first byte arrived.
        producer_at: what the producer says of when it was recorded.
        head: what stands before the Cluster.
        data: grows elsewhere; begins with the Cluster's first byte.
    """

    __slots__ = ("_data", "_shown", "complete", "head", "is_torn", "number", "producer_at", "server_at")

    def __init__(self, number: str, server_at: datetime, producer_at: datetime, head: bytes, data: bytearray) -> None:
        self.number: Final = number
        self.server_at: Final = server_at
        self.producer_at: Final = producer_at
        self.head: Final = head
        self.complete: ReceivedFragment | None = None
        """What it became; its body begins with all that was shown."""
        self.is_torn = False
        """Whether it broke off, or broke a rule: it will never be complete."""
        self._data = data
        self._shown = 0

    @property
    def received(self) -> int:
        """How many bytes of it have come, whether or not they may be read."""
        return len(self._data)

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to read."""
        return self._shown > 0

    def show(self, length: int) -> None:
        """Make so many bytes readable, counted from the Cluster's first: whole elements that break no rule."""
        self._shown = length

    def finish(self, fragment: ReceivedFragment) -> None:
        """Mark it as complete; `data` is not looked at any more."""
        self.complete = fragment
        self._data = bytearray()

    def tear(self) -> None:
        """Mark it as never to be complete; `data` is not looked at any more."""
        self.is_torn = True
        self._data = bytearray()
        self._shown = 0

    def read(self, since: int) -> bytes:
        """Return what may be read behind the first `since` bytes, as much as a slow connection can take at once."""
        end = min(self._shown, since + PIECE_BYTES)
        return bytes(memoryview(self._data)[since:end]) if since < end else b""
