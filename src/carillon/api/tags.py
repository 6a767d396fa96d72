"""TagResource, UntagResource and ListTagsForResource of both Chime APIs, which model them alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.api.protocol import operation
from carillon.storage import Database, put_tags, remove_tags, tags_of


class Taggable(Protocol):
    """What can carry tags."""

    @property
    def arn(self) -> str:
        """Return the one ARN that its tags are kept under, however a request spells it."""
        ...


FindResource = Callable[[AsyncConnection, str], Awaitable[Taggable]]
"""Finds a resource by ARN, or raises that there is none."""


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
        async with self._database.transaction() as connection:
            resource = await self._find(connection, request["ResourceARN"])
            await put_tags(connection, resource.arn, read_tags(request))

    @operation("UntagResource")
    async def untag(self, request: Mapping[str, Any]) -> None:
        """Remove tags from a resource by key."""
        async with self._database.transaction() as connection:
            resource = await self._find(connection, request["ResourceARN"])
            await remove_tags(connection, resource.arn, request["TagKeys"])

    @operation("ListTagsForResource")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a resource's tags.

        Without any, `Tags` is there and empty, for applications that go through it. AWS: the models allow no empty
        list, and know no other way to say that there are none; SDKs do not hold answers against them.
        """
        async with self._database.reading() as connection:
            resource = await self._find(connection, request["ResourceARN"])
            tags = await tags_of(connection, resource.arn)
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
