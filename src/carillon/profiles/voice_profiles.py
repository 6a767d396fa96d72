"""Voice profiles: who is known in a domain, made and refreshed from voiceprints, found until they expire.

All functions work in the transaction they are given, inside a domain that the caller has locked where they write.
What a profile is recognized by is in `enrolled_voices.py`.

Source: Amazon Chime SDK Developer Guide, "Understanding data retention for Amazon Chime SDK voice analytics".
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.errors import InvalidRequest, LimitExceeded, NotFound
from carillon.profiles.tables import voice_profiles

ARN_KIND: Final = "voice-profile"


class ProfileNotFound(NotFound):
    """No voice profile has this id."""

    def __init__(self, profile_id: str) -> None:
        super().__init__(f"Voice profile {profile_id} does not exist. List its domain's profiles to see their ids.")
        self.profile_id = profile_id


class TooManyProfiles(LimitExceeded):
    """The quota of profiles in a domain is used up."""

    def __init__(self, domain_id: str, limit: int) -> None:
        super().__init__(
            f"Voice profile domain {domain_id} holds {limit} profiles already. "
            "Delete one, or raise profiles.max_profiles_per_domain."
        )
        self.limit = limit


class WrongDomain(InvalidRequest):
    """A task searched another domain than the one of the profile that it should refresh."""

    def __init__(self, profile_id: str, task_id: str) -> None:
        super().__init__(
            f"Voice profile {profile_id} and speaker search task {task_id} belong to different domains. "
            "Start the search in the profile's domain."
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A known voice. After `expires_at` the record remains, but nobody is recognized by it until it is refreshed."""

    id: str  # vp-{uuid}
    arn: str
    domain_id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


def arn_of(profile_id: str, account: AwsAccount) -> str:
    """Return the ARN of a profile of ours."""
    return account.arn("chime", f"{ARN_KIND}/{profile_id}")


def years_later(at: datetime, years: int) -> datetime:
    """Return the same day and time some calendar years later; February 29 becomes 28 where there is none."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, day=28)


def new(profile_id: str, domain_id: str, account: AwsAccount, now: datetime, years: int) -> Profile:
    """Return a profile that begins now and expires so many years later."""
    arn, expires_at = arn_of(profile_id, account), years_later(now, years)
    return Profile(profile_id, arn, domain_id, created_at=now, updated_at=now, expires_at=expires_at)


def renewed(profile: Profile, now: datetime, years: int) -> Profile:
    """Return a profile that has changed now, and expires so many years later."""
    return replace(profile, updated_at=now, expires_at=years_later(now, years))


async def require_room(connection: AsyncConnection, domain_id: str, limit: int) -> None:
    """Check the quota of profiles in a locked domain; 0 is no quota.

    Raises:
        TooManyProfiles: another profile would exceed it.
    """
    if limit and await count(connection, domain_id) >= limit:
        raise TooManyProfiles(domain_id, limit)


async def count(connection: AsyncConnection, domain_id: str) -> int:
    """Return how many profiles a domain has, expired ones included."""
    inside = sa.select(sa.func.count()).where(voice_profiles.c.domain_id == domain_id)
    return int((await connection.execute(inside)).scalar_one())


async def add(connection: AsyncConnection, profile: Profile, task_id: str) -> int:
    """Add a profile for a task's voiceprint, without a voice yet; return its number."""
    row = {
        "profile_id": profile.id,
        "domain_id": profile.domain_id,
        "enrolled_task_id": task_id,
        "created_at": profile.created_at,
        "updated_at": profile.updated_at,
        "expires_at": profile.expires_at,
    }
    added = await connection.execute(voice_profiles.insert().values(row).returning(voice_profiles.c.number))
    return int(added.scalar_one())


async def renew(connection: AsyncConnection, profile: Profile) -> int:
    """Write down when a profile was updated and when it expires; return its number."""
    number = await number_of(connection, profile.id)
    await connection.execute(
        voice_profiles.update()
        .where(voice_profiles.c.number == number)
        .values(updated_at=profile.updated_at, expires_at=profile.expires_at)
    )
    return number


async def remove(connection: AsyncConnection, profile_id: str) -> None:
    """Delete a profile; whoever does has deleted its voices."""
    await connection.execute(voice_profiles.delete().where(voice_profiles.c.profile_id == profile_id))


async def find(connection: AsyncConnection, profile_id: str, account: AwsAccount) -> Profile:
    """Return a profile.

    Raises:
        ProfileNotFound: there is none with this id.
    """
    found = await connection.execute(_described().where(voice_profiles.c.profile_id == profile_id))
    row = found.mappings().one_or_none()
    if row is None:
        raise ProfileNotFound(profile_id)
    return _profile(row, account)


async def find_page(
    connection: AsyncConnection, domain_id: str, after: str | None, limit: int, account: AwsAccount
) -> list[Profile]:
    """Return up to `limit` profiles of a domain, by id, from the first after `after`."""
    query = _described().where(voice_profiles.c.domain_id == domain_id)
    if after is not None:
        query = query.where(voice_profiles.c.profile_id > after)
    rows = await connection.execute(query.order_by(voice_profiles.c.profile_id).limit(limit))
    return [_profile(row, account) for row in rows.mappings()]


async def number_of(connection: AsyncConnection, profile_id: str) -> int:
    """Return the number of a profile that is there."""
    query = sa.select(voice_profiles.c.number).where(voice_profiles.c.profile_id == profile_id)
    number: int = (await connection.execute(query)).scalar_one()
    return number


def _described() -> sa.Select[Any]:
    columns = voice_profiles.c
    return sa.select(columns.profile_id, columns.domain_id, columns.created_at, columns.updated_at, columns.expires_at)


def _profile(row: sa.RowMapping, account: AwsAccount) -> Profile:
    return Profile(
        id=row["profile_id"],
        arn=arn_of(row["profile_id"], account),
        domain_id=row["domain_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
    )
