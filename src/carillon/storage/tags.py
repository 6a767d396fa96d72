"""Tags of resources, by ARN: written and removed in the transactions that create and delete what they are on."""

from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.errors import LimitExceeded
from carillon.storage.database import metadata

MOST_TAGS: Final = 200
"""On one resource; more in one request is refused by the model."""

_tags: Final = sa.Table(
    "resource_tags",
    metadata,
    sa.Column("arn", sa.String(1024), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
)


class TooManyResourceTags(LimitExceeded):
    """A resource would have more tags than it may."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"{arn} would have more than {MOST_TAGS} tags. Remove some first.")


async def put_tags(connection: AsyncConnection, arn: str, tags: Mapping[str, str]) -> None:
    """Add tags; a key that is there already gets the new value.

    Raises:
        TooManyResourceTags: there would be more than a resource may have.
    """
    if not tags:
        return
    await remove_tags(connection, arn, tags.keys())
    await connection.execute(_tags.insert(), [{"arn": arn, "key": key, "value": tags[key]} for key in tags])
    if len(await tags_of(connection, arn)) > MOST_TAGS:
        raise TooManyResourceTags(arn)


async def remove_tags(connection: AsyncConnection, arn: str, keys: Collection[str]) -> None:
    """Remove tags by key; keys that are not there are no error."""
    await connection.execute(_tags.delete().where(_tags.c.arn == arn, _tags.c.key.in_(keys)))


async def tags_of(connection: AsyncConnection, arn: str) -> dict[str, str]:
    """Return a resource's tags by key."""
    query = sa.select(_tags.c.key, _tags.c.value).where(_tags.c.arn == arn).order_by(_tags.c.key)
    return {row.key: row.value for row in await connection.execute(query)}


async def forget_tags(connection: AsyncConnection, arn: str) -> None:
    """Remove every tag of a resource that is being deleted."""
    await connection.execute(_tags.delete().where(_tags.c.arn == arn))
