"""The end of a domain: gone for everybody at once, then overwritten piece by piece.

A domain may hold gigabytes of sealed speech, and to overwrite them in one transaction would make every other writer
wait for minutes. So the first transaction destroys the only key that opens them and hides the domain; what follows is a
few rows a transaction, and the domain's own row goes last: whoever finds it marked as deleted, after a crash too, goes
on.
"""

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.profiles.tables import domains, voice_profiles, voiceprints
from carillon.storage import LONG

_BATCH: Final = 16  # of some 640 kB each: about as long as another writer may notice


async def mark_deleted(connection: AsyncConnection, domain_id: str, now: datetime) -> None:
    """Destroy a locked domain's key, and hide the domain from everything but this module."""
    await connection.execute(
        domains.update().where(domains.c.domain_id == domain_id).values(data_key=b"", deleted_at=now)
    )


async def find_doomed(connection: AsyncConnection) -> str | None:
    """Return a domain of which something is left to be erased, None if there is none."""
    query = sa.select(domains.c.domain_id).where(domains.c.deleted_at.is_not(None)).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def erase_some(connection: AsyncConnection, domain_id: str) -> bool:
    """Delete up to 16 profiles and 16 voiceprints of a deleted domain, or else the domain; return whether it is gone.

    What belongs to a profile goes with it (the foreign keys cascade).
    """
    profiles = sa.select(voice_profiles.c.number).where(voice_profiles.c.domain_id == domain_id).limit(_BATCH)
    prints = sa.select(voiceprints.c.task_id).where(voiceprints.c.domain_id == domain_id).limit(_BATCH)
    erased = 0
    for statement in (
        voice_profiles.delete().where(voice_profiles.c.number.in_(profiles)),
        voiceprints.delete().where(voiceprints.c.task_id.in_(prints)),
    ):
        erased += (await connection.execute(statement.execution_options(**LONG))).rowcount
    if erased:
        return False
    await connection.execute(domains.delete().where(domains.c.domain_id == domain_id).execution_options(**LONG))
    return True
