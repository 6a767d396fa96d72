"""The Matroska document that GetMedia makes of a fragment.

Its tags stand between head and body, and at the end. Those at the end say that the fragment is complete, so a consumer
may be given the rest of it while it arrives.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from carillon import fragment_tags
from carillon.clock import to_millis
from carillon.fragment_tags import FragmentTags
from carillon.matroska import UNKNOWN_SIZE_SEGMENT, tags_element
from carillon.streams.fragments import PIECE_BYTES, ArrivingFragment, FragmentInfo, ReceivedFragment

_EBML_HEADER: Final = bytes.fromhex(  # of a document that reports an error and therefore has no producer's header
    "1A45DFA3 A3 4286 81 01 42F7 81 01 42F2 81 04 42F3 81 08 4282 88 6D6174726F736B61 4287 81 04 4285 81 02"
)


def opening(fragment: ReceivedFragment | ArrivingFragment) -> bytes:
    """Return the document up to the Cluster."""
    tags = fragment_tags.before(fragment.number, fragment.server_at, fragment.producer_at)
    return fragment.head + tags_element(tags)


def closing(fragment: FragmentInfo, newest_at: datetime) -> bytes:
    """Return what follows the body. `newest_at` is the server time of the stream's newest fragment."""
    behind_ms = max(0, to_millis(newest_at) - to_millis(fragment.server_at))
    return tags_element(fragment_tags.behind(fragment.number, behind_ms))


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
    if len(fragment.body) - sent <= PIECE_BYTES:
        yield before + fragment.body[sent:] + after
        return
    yield before
    for start in range(sent, len(fragment.body), PIECE_BYTES):
        yield fragment.body[start : start + PIECE_BYTES]
    yield after


def error_document(number: str, error_id: int, text: str) -> bytes:
    """Return a document without a Cluster that says why a fragment is not there."""
    return tags_document(
        (
            (fragment_tags.NUMBER, number),
            (fragment_tags.ERROR_CODE, text),
            (fragment_tags.ERROR_ID, str(error_id)),
        )
    )


def tags_document(tags: FragmentTags) -> bytes:
    """Return a document that has nothing but tags."""
    return _EBML_HEADER + UNKNOWN_SIZE_SEGMENT + tags_element(tags)
