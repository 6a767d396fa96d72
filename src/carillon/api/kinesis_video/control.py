"""Streams: create, describe, list, update, delete, tag, and where to send media."""

from collections.abc import Mapping
from typing import Any, Final

from carillon.access import is_visible
from carillon.api.protocol import operation, reached_at
from carillon.streams import Stream, Streams

_SIGNS: Final = {"INCREASE_DATA_RETENTION": 1, "DECREASE_DATA_RETENTION": -1}


class StreamOperations:
    """Answers the operations of the service `kinesisvideo`.

    Args:
        streams: where streams are kept.
        own_url: where this server is reached from its own machine.
        public_url: where producers and consumers of media reach us; empty means by the address that they use now.
    """

    def __init__(self, streams: Streams, own_url: str, public_url: str = "") -> None:
        self._streams = streams
        self._own_url = own_url
        self._public_url = public_url

    @operation("CreateStream")
    async def create_stream(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Make a stream; it is ACTIVE at once."""
        stream = await self._streams.catalog.create(
            request["StreamName"],
            retention_hours=request.get("DataRetentionInHours", 0),
            device_name=request.get("DeviceName"),
            media_type=request.get("MediaType"),
            kms_key_id=request.get("KmsKeyId"),
            tags=request.get("Tags"),
        )
        return {"StreamARN": stream.arn}

    @operation("DescribeStream")
    async def describe_stream(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return everything that can be known of a stream."""
        return {"StreamInfo": render_stream(await self._find(request))}

    @operation("ListStreams")
    async def list_streams(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return streams by name, those with a prefix if one is given."""
        condition = request.get("StreamNameCondition", {})
        page = await self._streams.catalog.list(
            prefix=condition.get("ComparisonValue", ""),
            token=request.get("NextToken"),
            limit=request.get("MaxResults", 10_000),
        )
        return {
            "StreamInfoList": [render_stream(stream) for stream in page.streams if is_visible(stream.arn)],
            "NextToken": page.next_token,
        }

    @operation("UpdateStream")
    async def update_stream(self, request: Mapping[str, Any]) -> None:
        """Change the device name or the media type."""
        await self._streams.update(
            await self._find(request),
            request["CurrentVersion"],
            device_name=request.get("DeviceName"),
            media_type=request.get("MediaType"),
        )

    @operation("UpdateDataRetention")
    async def update_data_retention(self, request: Mapping[str, Any]) -> None:
        """Keep fragments for longer or shorter."""
        by_hours = _SIGNS[request["Operation"]] * request["DataRetentionChangeInHours"]
        await self._streams.change_retention(await self._find(request), request["CurrentVersion"], by_hours)

    @operation("DeleteStream")
    async def delete_stream(self, request: Mapping[str, Any]) -> None:
        """Delete a stream and what it holds, at once."""
        await self._streams.delete(request["StreamARN"], request.get("CurrentVersion"))

    @operation("TagStream")
    async def tag_stream(self, request: Mapping[str, Any]) -> None:
        """Add tags, replacing those of the same name."""
        await self._streams.catalog.tag(await self._find(request), request["Tags"])

    @operation("UntagStream")
    async def untag_stream(self, request: Mapping[str, Any]) -> None:
        """Remove tags."""
        await self._streams.catalog.untag(await self._find(request), request["TagKeyList"])

    @operation("ListTagsForStream")
    async def list_tags_for_stream(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return all tags; there are never so many that it takes a second page."""
        return {"Tags": (await self._find(request)).tags}

    @operation("GetDataEndpoint")
    async def get_data_endpoint(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return our own address, without a trailing slash: clients append `/putMedia` and the like."""
        await self._find(request)
        return {"DataEndpoint": (self._public_url or reached_at() or self._own_url).rstrip("/")}

    async def _find(self, request: Mapping[str, Any]) -> Stream:
        return await self._streams.catalog.find(request.get("StreamName"), request.get("StreamARN"))


def render_stream(stream: Stream) -> Mapping[str, object]:
    """Return a `StreamInfo`."""
    return {
        "DeviceName": stream.device_name,
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "MediaType": stream.media_type,
        "KmsKeyId": stream.kms_key_id,
        "Version": stream.version,
        "Status": "ACTIVE",
        "CreationTime": stream.created_at,
        "DataRetentionInHours": stream.retention_hours,
    }
