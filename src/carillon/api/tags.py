"""TagResource, UntagResource and ListTagsForResource of both Chime APIs, which model them alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from carillon.api.protocol import operation
from carillon.storage import Database, put_tags, remove_tags, tags_of

FindResource = Callable[[str], Awaitable[object]]
"""Finds a taggable resource by ARN, or raises that there is none."""


def read_tags(request: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the tags of a request to create or tag something, by key; the last of a repeated key counts."""
    tags: Sequence[Mapping[str, str]] = request.get("Tags", ())
    return {tag["Key"]: tag["Value"] for tag in tags}


class TagOperations:
    """The three operations on tags, for the resources of one API."""

    def __init__(self, database: Database, find: FindResource) -> None:
        self._database = database
        self._find = find

    @operation("TagResource")
    async def tag(self, request: Mapping[str, Any]) -> None:
        """Add tags to a resource."""
        await self._find(request["ResourceARN"])
        async with self._database.transaction() as connection:
            await put_tags(connection, request["ResourceARN"], read_tags(request))

    @operation("UntagResource")
    async def untag(self, request: Mapping[str, Any]) -> None:
        """Remove tags from a resource by key."""
        await self._find(request["ResourceARN"])
        async with self._database.transaction() as connection:
            await remove_tags(connection, request["ResourceARN"], request["TagKeys"])

    @operation("ListTagsForResource")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a resource's tags."""
        await self._find(request["ResourceARN"])
        async with self._database.reading() as connection:
            tags = await tags_of(connection, request["ResourceARN"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
