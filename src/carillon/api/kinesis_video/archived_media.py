"""Archived media: which fragments are stored, and their bytes by number."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from carillon.api.paging import DEFAULT_PAGE, PageTokens, UnusablePageToken
from carillon.api.protocol import operation
from carillon.errors import InvalidRequest
from carillon.streams import FragmentSelectorType, ListPosition, StoredFragment, Stream, Streams, TimestampRange

_LIST: Final = "ListFragments"
_TIMES: Final = {"SERVER_TIMESTAMP": FragmentSelectorType.SERVER, "PRODUCER_TIMESTAMP": FragmentSelectorType.PRODUCER}


class InvalidSelection(InvalidRequest):
    """What is to be listed is not said, or makes no sense."""


class _Rest(msgspec.Struct, array_like=True, frozen=True):
    """What a page token holds: the span, since a request may leave the selector out, and where the page ended."""

    by: FragmentSelectorType
    start: datetime
    end: datetime
    at: datetime
    number: str

    @property
    def span(self) -> TimestampRange:
        return TimestampRange(self.by, self.start, self.end)


class ArchivedMedia:
    """Answers operations of the service `kinesis-video-archived-media`.

    Args:
        streams: where streams are kept.
        tokens: makes tokens of pages, which are good for one stream only.
    """

    def __init__(self, streams: Streams, tokens: PageTokens) -> None:
        self._streams = streams
        self._tokens = tokens

    @operation(_LIST)
    async def list_fragments(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return stored fragments that begin in a span of time, in the order of their times."""
        stream = await self._find(request)
        rest = self._rest(stream, request)
        span = rest.span if rest else read_selector(request)
        after = ListPosition(rest.at, rest.number) if rest else None
        limit: int = request.get("MaxResults", DEFAULT_PAGE)
        found = await self._streams.list_fragments(stream, span, after, limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return {
            "Fragments": [render_fragment(fragment) for fragment in page],
            "NextToken": self._token(stream, span, page[-1]) if more else None,
        }

    @operation("GetMediaForFragmentList")
    async def get_media_for_fragment_list(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return fragments by number, each as a Matroska document of its own, in the order of the list."""
        replay = self._streams.replay(await self._find(request), request["Fragments"])
        return {"ContentType": "video/webm", "Payload": replay}

    async def _find(self, request: Mapping[str, Any]) -> Stream:
        return await self._streams.catalog.find(request.get("StreamName"), request.get("StreamARN"))

    def _rest(self, stream: Stream, request: Mapping[str, Any]) -> _Rest | None:
        """Return where a list goes on; None for a first page.

        Raises:
            UnusablePageToken: not of a list of this stream, or of another selector than the one given.
        """
        if "NextToken" not in request:
            return None
        rest = msgspec.json.decode(self._tokens.read(_LIST, request["NextToken"], _bound_to(stream)), type=_Rest)
        if "FragmentSelector" in request and read_selector(request) != rest.span:
            raise UnusablePageToken(_LIST)
        return rest

    def _token(self, stream: Stream, span: TimestampRange, last: StoredFragment) -> str:
        at = last.server_at if span.by is FragmentSelectorType.SERVER else last.producer_at
        rest = _Rest(span.by, span.start, span.end, at, last.number)
        return self._tokens.make(_LIST, msgspec.json.encode(rest).decode(), _bound_to(stream))


def read_selector(request: Mapping[str, Any]) -> TimestampRange:
    """Return what a `FragmentSelector` means.

    Raises:
        InvalidSelection: there is none, or its end is before its start.
    """
    if "FragmentSelector" not in request:
        raise InvalidSelection("Give a FragmentSelector, or the NextToken of an earlier page.")
    selector = request["FragmentSelector"]
    times = selector["TimestampRange"]
    if times["EndTimestamp"] < times["StartTimestamp"]:
        raise InvalidSelection("The EndTimestamp of a TimestampRange is not before its StartTimestamp.")
    return TimestampRange(_TIMES[selector["FragmentSelectorType"]], times["StartTimestamp"], times["EndTimestamp"])


def render_fragment(fragment: StoredFragment) -> Mapping[str, object]:
    """Return a `Fragment`."""
    return {
        "FragmentNumber": fragment.number,
        "FragmentSizeInBytes": fragment.media_bytes,
        "ProducerTimestamp": fragment.producer_at,
        "ServerTimestamp": fragment.server_at,
        "FragmentLengthInMilliseconds": fragment.duration_ms,
    }


def _bound_to(stream: Stream) -> Mapping[str, str]:
    return {"StreamARN": stream.arn}
