"""Client request tokens: the same token with the same parameters names one resource for a day.

AWS: the models flag the token as an idempotency token and say no more. Our reading: it is good for 24 hours, belongs to
the account (whichever of its access keys signs), the Region and the operation, for a Start also to the pipeline; other
parameters conflict, and so does what was made and deleted since. A data folder is one account in one Region, so a scope
need not name them.

A claim is a row with a unique key, the first that the transaction writes which makes the resource: of two that race,
whatever the database, one waits for the other's commit and then finds what it made.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.errors import NotFound, StateConflict
from carillon.storage.database import Database, Timestamp, metadata

REMEMBERED: Final = timedelta(hours=24)

_Resource = TypeVar("_Resource")
Make = Callable[[AsyncConnection], Awaitable[_Resource]]
"""Makes a resource in the transaction that it is given."""
Find = Callable[[AsyncConnection, str], Awaitable[_Resource]]
"""Finds a resource by id, or raises a `NotFound`."""

_tokens = sa.Table(
    "idempotency_tokens",
    metadata,
    sa.Column("scope", sa.String(200), primary_key=True),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False, index=True),
)


class TokenReused(StateConflict):
    """A client request token came back with other parameters."""

    def __init__(self, token: str) -> None:
        super().__init__(
            f"ClientRequestToken {token!r} was used within the last 24 hours with other parameters. Use a new token."
        )


class TokenSpent(StateConflict):
    """A client request token came back after what it made was deleted."""

    def __init__(self, token: str) -> None:
        super().__init__(f"What ClientRequestToken {token!r} made has been deleted since. Use a new token.")


@dataclass(frozen=True, slots=True)
class IdempotencyToken:
    """What a request wants to do once, and only once."""

    scope: str
    """Operation and, where it has one, parent resource: `StartSpeakerSearchTask/<pipeline id>`."""
    token: str
    parameters: Mapping[str, Any]
    """Everything that makes two requests the same; JSON values."""

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the parameters, whatever order they came in."""
        return hashlib.sha256(msgspec.json.encode(self.parameters, order="sorted")).hexdigest()


async def make_once(
    database: Database,
    claim: IdempotencyToken | None,
    resource_id: str,
    now: datetime,
    *,
    make: Make[_Resource],
    find: Find[_Resource],
) -> _Resource:
    """Make a resource in a transaction, or return the one that an earlier request made with the same token.

    Args:
        database: holds the resource and the claim.
        claim: None makes it in any case.
        resource_id: of what is to be made; what comes back has another if it was there before.
        now: tells which tokens are forgotten.
        make: does it. Called again, in a new transaction, if somebody else wrote the same unique key at the same time:
            it then finds what it collided with, and says so in its own words.
        find: looks for what the token made.

    Raises:
        TokenReused: the token came with other parameters within the last 24 hours.
        TokenSpent: what the token made has been deleted.
        Exception: whatever `make` raises; nothing is written then.
    """
    try:
        return await _make_once(database, claim, resource_id, now, make, find)
    except sa.exc.IntegrityError:
        return await _make_once(database, claim, resource_id, now, make, find)


async def made_before(
    connection: AsyncConnection, claim: IdempotencyToken | None, now: datetime, find: Find[_Resource]
) -> _Resource | None:
    """Return what an earlier request made with the same token; None if the token is new or there is none.

    Raises:
        TokenReused, TokenSpent: as for `make_once`.
    """
    if claim is None:
        return None
    query = sa.select(_tokens.c.fingerprint, _tokens.c.resource_id).where(
        _tokens.c.scope == claim.scope, _tokens.c.token == claim.token, _tokens.c.expires_at > now
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != claim.fingerprint:
        raise TokenReused(claim.token)
    try:
        return await find(connection, row.resource_id)
    except NotFound as error:
        raise TokenSpent(claim.token) from error


async def _make_once(
    database: Database,
    claim: IdempotencyToken | None,
    resource_id: str,
    now: datetime,
    make: Make[_Resource],
    find: Find[_Resource],
) -> _Resource:
    async with database.transaction() as connection:
        earlier = await made_before(connection, claim, now, find)
        if earlier is not None:
            return earlier
        await _remember(connection, claim, resource_id, now)
        return await make(connection)


async def _remember(
    connection: AsyncConnection, claim: IdempotencyToken | None, resource_id: str, now: datetime
) -> None:
    if claim is None:
        return
    await connection.execute(_tokens.delete().where(_tokens.c.expires_at <= now))
    await connection.execute(
        _tokens.insert().values(
            scope=claim.scope,
            token=claim.token,
            fingerprint=claim.fingerprint,
            resource_id=resource_id,
            expires_at=now + REMEMBERED,
        )
    )
