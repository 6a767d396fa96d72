"""A fragment as it is kept, and the Matroska document that GetMedia makes of it.

A fragment is kept as two byte strings: what stands before the Cluster (`head`: EBML header, Segment, Info, Tracks,
whatever else the producer sent, and tags that came early) and the rest (`body`: the Cluster as sent, and tags that came
late). GetMedia puts its own tags between the two and at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
class Fragment:
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

    def covers_server_time(self, at: datetime) -> bool:
        """Tell whether it was arriving, or playing from its arrival on, at this time."""
        return self.server_at <= at < max(self.received_at, self.server_at + self._duration)

    def covers_producer_time(self, at: datetime) -> bool:
        """Tell whether it was recorded at this time."""
        return self.producer_at <= at < self.producer_at + self._duration

    @property
    def _duration(self) -> timedelta:
        return timedelta(milliseconds=self.duration_ms)


def opening(fragment: Fragment) -> bytes:
    """Return the document up to the Cluster."""
    tags = (
        (NUMBER_TAG, fragment.number),
        (SERVER_TIME_TAG, seconds_text(fragment.server_at)),
        (PRODUCER_TIME_TAG, seconds_text(fragment.producer_at)),
    )
    return fragment.head + tags_element(tags)


def closing(fragment: Fragment, newest_at: datetime) -> bytes:
    """Return what follows the body. `newest_at` is the server time of the stream's newest fragment."""
    behind_ms = max(0, to_millis(newest_at) - to_millis(fragment.server_at))
    return tags_element(((BEHIND_TAG, str(behind_ms)), (TOKEN_TAG, fragment.number)))


def document(fragment: Fragment, newest_at: datetime) -> Iterator[bytes]:
    """Yield the whole document, in pieces that a slow connection can take one by one."""
    if fragment.size <= _PIECE_BYTES:
        yield opening(fragment) + fragment.body + closing(fragment, newest_at)
        return
    yield opening(fragment)
    for start in range(0, len(fragment.body), _PIECE_BYTES):
        yield fragment.body[start : start + _PIECE_BYTES]
    yield closing(fragment, newest_at)


def error_document(number: str, error_id: int, text: str) -> bytes:
    """Return a document without a Cluster that says why a fragment is not there."""
    tags = ((NUMBER_TAG, number), (ERROR_TEXT_TAG, text), (ERROR_ID_TAG, str(error_id)))
    return _EBML_HEADER + UNKNOWN_SIZE_SEGMENT + tags_element(tags)


def seconds_text(at: datetime) -> str:
    """Return epoch seconds with exactly three decimals."""
    seconds, millis = divmod(to_millis(at), 1000)
    return f"{seconds}.{millis:03d}"
