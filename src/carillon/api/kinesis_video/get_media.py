"""GetMedia: a stream's fragments, from some place on, as they arrive."""

from collections.abc import Mapping
from typing import Any

from carillon.api.protocol import operation
from carillon.streams import (
    AfterFragment,
    AtProducerTime,
    AtServerTime,
    Earliest,
    InvalidStartSelector,
    Now,
    StartSelector,
    Streams,
)


class GetMedia:
    """Answers the one modeled operation of the service `kinesis-video-media`.

    Args:
        streams: where streams are kept.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    @operation("GetMedia")
    async def get_media(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return fragments, each as a Matroska document of its own, until none comes for a while."""
        start = read_start(request["StartSelector"])
        stream = await self._streams.catalog.find(request.get("StreamName"), request.get("StreamARN"))
        return {"ContentType": "video/webm", "Payload": await self._streams.tail(stream, start)}


def read_start(selector: Mapping[str, Any]) -> StartSelector:
    """Return what a `StartSelector` means.

    Raises:
        InvalidStartSelector: the member that its type needs is missing, or is no fragment number.
    """
    match selector["StartSelectorType"]:
        case "EARLIEST":
            return Earliest()
        case "FRAGMENT_NUMBER":
            return AfterFragment(_companion(selector, "AfterFragmentNumber"))
        case "CONTINUATION_TOKEN":  # AWS: in every recording it is the number of the fragment it came with.
            return AfterFragment(_companion(selector, "ContinuationToken"))
        case "SERVER_TIMESTAMP":
            return AtServerTime(_companion(selector, "StartTimestamp"))
        case "PRODUCER_TIMESTAMP":
            return AtProducerTime(_companion(selector, "StartTimestamp"))
        case _:
            return Now()


def _companion(selector: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - wire JSON
    if name not in selector:
        raise InvalidStartSelector(f"A StartSelector of type {selector['StartSelectorType']} needs {name}.")
    return selector[name]
