"""Client request tokens: the same token with the same parameters names one resource for a day.

AWS: the models flag the token as an idempotency token and say no more; the window of 24 hours and the conflict on other
parameters are our reading. A claim is a row with a unique key inside the transaction that creates the resource, so two
requests that race cannot both create.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.errors import StateConflict
from carillon.storage.database import Timestamp, metadata

REMEMBERED: Final = timedelta(hours=24)

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


@dataclass(frozen=True, slots=True)
class Claim:
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


async def claimed(connection: AsyncConnection, claim: Claim | None, now: datetime) -> str | None:
    """Return the resource that an earlier request made with this token; None if the token is new or there is none.

    Raises:
        TokenReused: the token was used with other parameters less than 24 hours ago.
    """
    if claim is None:
        return None
    query = sa.select(_tokens).where(
        _tokens.c.scope == claim.scope, _tokens.c.token == claim.token, _tokens.c.expires_at > now
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != claim.fingerprint:
        raise TokenReused(claim.token)
    return str(row.resource_id)


async def remember(connection: AsyncConnection, claim: Claim | None, resource_id: str, now: datetime) -> None:
    """Record, in the transaction that creates the resource, which resource a token made."""
    if claim is not None:
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
