"""A fragment as it is kept, and the Matroska document that GetMedia makes of it.

A fragment is kept as two byte strings: what stands before the Cluster (`head`: EBML header, Segment, Info, Tracks,
whatever else the producer sent, and tags that came early) and the rest (`body`: the Cluster as sent, and tags that came
late). GetMedia puts its own tags between the two and at the end. Those at the end say that the fragment is complete, so
a consumer may be given the rest of it while it arrives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carillon.clock import to_millis
from carillon.matroska import UNKNOWN_SIZE_SEGMENT, tags_element

NUMBER_TAG: Final = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"
SERVER_TIME_TAG: Final = "AWS_KINESISVIDEO_SERVER_TIMESTAMP"
PRODUCER_TIME_TAG: Final = "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"
BEHIND_TAG: Final = "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"
TOKEN_TAG: Final = "AWS_KINESISVIDEO_CONTINUATION_TOKEN"  # noqa: S105 - a tag's name
ERROR_TEXT_TAG: Final = "AWS_KINESISVIDEO_ERROR_CODE"
ERROR_ID_TAG: Final = "AWS_KINESISVIDEO_ERROR_ID"

_PIECE_BYTES: Final = 256 * 1024
_EBML_HEADER: Final = bytes.fromhex(  # of a document that reports an error and therefore has no producer's header
    "1A45DFA3 A3 4286 81 01 42F7 81 01 42F2 81 04 42F3 81 08 4282 88 6D6174726F736B61 4287 81 04 4285 81 02"
)


@dataclass(frozen=True, slots=True)
class ReceivedFragment:
    """One complete fragment."""

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
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many bytes it takes in memory and on disk."""
        return len(self.head) + len(self.body)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.duration_ms / 1000


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
        end = min(self._shown, since + _PIECE_BYTES)
        return bytes(memoryview(self._data)[since:end]) if since < end else b""


def opening(fragment: ReceivedFragment | ArrivingFragment) -> bytes:
    """Return the document up to the Cluster."""
    tags = (
        (NUMBER_TAG, fragment.number),
        (SERVER_TIME_TAG, seconds_text(fragment.server_at)),
        (PRODUCER_TIME_TAG, seconds_text(fragment.producer_at)),
    )
    return fragment.head + tags_element(tags)


def closing(fragment: ReceivedFragment, newest_at: datetime) -> bytes:
    """Return what follows the body. `newest_at` is the server time of the stream's newest fragment."""
    behind_ms = max(0, to_millis(newest_at) - to_millis(fragment.server_at))
    return tags_element(((BEHIND_TAG, str(behind_ms)), (TOKEN_TAG, fragment.number)))


def document(fragment: ReceivedFragment, newest_at: datetime) -> Iterator[bytes]:
    """Yield the whole document, in pieces that a slow connection can take one by one."""
    return rest(opening(fragment), fragment, 0, newest_at)


def rest(unsent: bytes, fragment: ReceivedFragment, sent: int, newest_at: datetime) -> Iterator[bytes]:
    """Yield the end of a document, likewise.

    Args:
        unsent: what else is still to be sent before it.
        fragment: whose document.
        sent: how much of the body was sent before that.
        newest_at: the server time of the stream's newest fragment.
    """
    return pieces(unsent, fragment, sent, closing(fragment, newest_at))


def pieces(before: bytes, fragment: ReceivedFragment, sent: int, after: bytes) -> Iterator[bytes]:
    """Yield what a fragment's body is between, and what of the body was not sent before, not too much at a time."""
    if len(fragment.body) - sent <= _PIECE_BYTES:
        yield before + fragment.body[sent:] + after
        return
    yield before
    for start in range(sent, len(fragment.body), _PIECE_BYTES):
        yield fragment.body[start : start + _PIECE_BYTES]
    yield after


def error_document(number: str, error_id: int, text: str) -> bytes:
    """Return a document without a Cluster that says why a fragment is not there."""
    return tags_document(((NUMBER_TAG, number), (ERROR_TEXT_TAG, text), (ERROR_ID_TAG, str(error_id))))


def tags_document(tags: Sequence[tuple[str, str]]) -> bytes:
    """Return a document that has nothing but tags."""
    return _EBML_HEADER + UNKNOWN_SIZE_SEGMENT + tags_element(tags)


def seconds_text(at: datetime) -> str:
    """Return epoch seconds with exactly three decimals."""
    seconds, millis = divmod(to_millis(at), 1000)
    return f"{seconds}.{millis:03d}"
