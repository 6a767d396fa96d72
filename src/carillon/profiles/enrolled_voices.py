"""What profiles are recognized by: an embedding for each channel that a person spoke through.

A profile has one voice under each label: "" for the one that the API enrolls and refreshes, others, such as "headset",
for those that an operator adds. The best of them counts. All functions work in the transaction they are given, inside a
domain that the caller has locked where they write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.audio import Band
from carillon.profiles import domains
from carillon.profiles.domains import DomainAccess
from carillon.profiles.sealing import Sealed
from carillon.profiles.tables import enrolled_voices, enrollment_speech, removed_voices
from carillon.storage import LONG

_BATCH: Final = 64  # expiring a voice overwrites some 640 kB of speech; more at once would keep other writers waiting


@dataclass(frozen=True, slots=True)
class EnrolledVoice:
    """A voice to be put into a profile, `sealed` for `sealed_row(profile id, label)`."""

    label: str
    band: Band
    model_id: str
    sealed: Sealed = field(repr=False)


def sealed_row(profile_id: str, label: str = "") -> str:
    """Return the name of the row that a voice is sealed for."""
    return f"voice_profile/{profile_id}/{label}" if label else f"voice_profile/{profile_id}"


async def put(
    connection: AsyncConnection,
    access: DomainAccess,
    domain_id: str,
    profile_number: int,
    voice: EnrolledVoice,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Give a profile a voice, in place of the one under the same label; all its voices expire when this one does."""
    of_profile = enrolled_voices.c.profile_number == profile_number
    await _remove(connection, access, domain_id, of_profile & (enrolled_voices.c.label == voice.label), now)
    added = await connection.execute(
        enrolled_voices.insert()
        .values(
            profile_number=profile_number,
            domain_id=domain_id,
            label=voice.label,
            band=voice.band,
            model_id=voice.model_id,
            revision=access.revision + 1,
            expires_at=expires_at,
            embedding=voice.sealed.embedding,
            narrowband=voice.sealed.narrowband,
        )
        .returning(enrolled_voices.c.number)
    )
    speech = {"number": added.scalar_one(), "speech": voice.sealed.speech}
    await connection.execute(enrollment_speech.insert().values(speech))
    await connection.execute(enrolled_voices.update().where(of_profile).values(expires_at=expires_at))
    await domains.set_revision(connection, domain_id, access.revision + 1)


async def remove_all(
    connection: AsyncConnection, access: DomainAccess, domain_id: str, profile_number: int, now: datetime
) -> None:
    """Delete every voice of a profile, with its speech, and list it as removed."""
    await _remove(connection, access, domain_id, enrolled_voices.c.profile_number == profile_number, now)
    await domains.set_revision(connection, domain_id, access.revision + 1)


async def find_expired_domain(connection: AsyncConnection, now: datetime) -> str | None:
    """Return a domain in which voices are to be deleted, None if there is none."""
    due = sa.select(enrolled_voices.c.domain_id).where(enrolled_voices.c.expires_at <= now).limit(1)
    return (await connection.execute(due)).scalar_one_or_none()


async def expire(connection: AsyncConnection, access: DomainAccess, domain_id: str, now: datetime) -> int:
    """Delete up to 64 voices of a locked domain whose time is over; return of how many profiles.

    The records of the profiles stay and can be refreshed.
    """
    due = (
        sa.select(enrolled_voices.c.number, enrolled_voices.c.profile_number)
        .where(enrolled_voices.c.domain_id == domain_id, enrolled_voices.c.expires_at <= now)
        .limit(_BATCH)
    )
    rows = (await connection.execute(due)).all()
    if rows:
        await _remove(connection, access, domain_id, enrolled_voices.c.number.in_([row.number for row in rows]), now)
        await domains.set_revision(connection, domain_id, access.revision + 1)
    return len({row.profile_number for row in rows})


async def compact_removals(connection: AsyncConnection, before: datetime) -> None:
    """Drop old entries from the list of removals; an index that has not seen them will be built anew."""
    old = removed_voices.c.removed_at <= before
    latest = (
        sa.select(removed_voices.c.domain_id, sa.func.max(removed_voices.c.revision))
        .where(old)
        .group_by(removed_voices.c.domain_id)
    )
    for domain_id, revision in (await connection.execute(latest)).all():
        await domains.set_compacted(connection, domain_id, revision)
    await connection.execute(removed_voices.delete().where(old))


async def _remove(
    connection: AsyncConnection, access: DomainAccess, domain_id: str, which: sa.ColumnElement[bool], now: datetime
) -> None:
    found = await connection.execute(sa.select(enrolled_voices.c.number).where(which))
    numbers: Sequence[int] = found.scalars().all()
    if not numbers:
        return
    gone = {"domain_id": domain_id, "revision": access.revision + 1, "removed_at": now}
    await connection.execute(removed_voices.insert().values([{"number": number, **gone} for number in numbers]))
    delete = enrolled_voices.delete().where(enrolled_voices.c.number.in_(numbers))
    await connection.execute(delete.execution_options(**LONG))
