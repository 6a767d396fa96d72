"""Voiceprints: what a task made of a speaker, kept until 24 h after its call so that it may be enrolled.

A voiceprint passes through three states: enrollable, expired (its embedding and speech are gone, the record still says
that there was one), forgotten (no row). All functions work in the transaction they are given.

Source: Amazon Chime SDK Developer Guide, "Understanding data retention for Amazon Chime SDK voice analytics".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.audio import Band, Embedding, Pcm16
from carillon.errors import NotFound
from carillon.profiles import domains
from carillon.profiles.sealing import Sealed, seal
from carillon.profiles.settings import ProfileSettings
from carillon.profiles.tables import voiceprints
from carillon.storage import LONG, Vault

_BATCH: Final = 64  # wiping a voiceprint overwrites some 640 kB; more at once would keep other writers waiting


class VoiceprintNotFound(NotFound):
    """A task has no voiceprint: unknown, not yet made, failed, forgotten, or removed with its profile."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"Speaker search task {task_id} has no voiceprint. Enroll after its VoiceprintGenerationSuccess event."
        )
        self.task_id = task_id


class VoiceprintExpired(NotFound):
    """A task's voiceprint was kept for its time after the call and is deleted."""

    def __init__(self, task_id: str, expired_at: datetime) -> None:
        super().__init__(
            f"The voiceprint of speaker search task {task_id} expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}. "
            "Enroll the speaker from a newer call."
        )
        self.task_id = task_id
        self.expired_at = expired_at


@dataclass(frozen=True, slots=True, eq=False)
class Voiceprint:
    """What a task made of a speaker: an embedding of 20 s of speech, and that speech."""

    task_id: str
    domain_id: str
    embedding: Embedding = field(repr=False)  # (d,)
    speech: Pcm16 = field(repr=False)  # (n,) at 16 kHz, silence dropped
    model_id: str
    made_at: datetime
    band: Band = "tel"
    narrowband: Embedding | None = field(
        default=None, repr=False
    )  # (d,) of the same speech as a telephone would carry it


@dataclass(frozen=True, slots=True)
class EnrollableVoice:
    """What a voiceprint that may be enrolled sounds like."""

    domain_id: str
    model_id: str
    band: Band
    embedding: Embedding = field(repr=False)  # (d,), L2 norm 1


@dataclass(frozen=True, slots=True)
class KeptVoiceprint:
    """A voiceprint's row, still sealed."""

    task_id: str
    domain_id: str
    model_id: str
    band: Band
    enrolled_profile_id: str | None
    expires_at: datetime
    sealed: Sealed | None = field(repr=False)  # None once wiped

    def require(self, now: datetime) -> Sealed:
        """Return what can be enrolled.

        Raises:
            VoiceprintExpired: its time is over, whether wiped yet or not.
        """
        if self.sealed is None or self.expires_at <= now:
            raise VoiceprintExpired(self.task_id, self.expires_at)
        return self.sealed


def sealed_row(task_id: str) -> str:
    """Return the name of the row that a voiceprint is sealed for."""
    return f"voiceprint/{task_id}"


async def keep(connection: AsyncConnection, vault: Vault, voiceprint: Voiceprint, settings: ProfileSettings) -> None:
    """Keep a task's voiceprint. A task has one: keeping another changes nothing.

    Raises:
        DomainNotFound: its domain is gone.
    """
    access = await domains.find_access(connection, voiceprint.domain_id)
    known = sa.select(voiceprints.c.task_id).where(voiceprints.c.task_id == voiceprint.task_id)
    if (await connection.execute(known)).one_or_none() is not None:
        return
    row = sealed_row(voiceprint.task_id)
    sealed = seal(vault, access.data_key, row, voiceprint.embedding, voiceprint.speech, voiceprint.narrowband)
    kept_hours = settings.longest_call_hours + settings.voiceprint_hours
    await connection.execute(
        voiceprints.insert().values(
            task_id=voiceprint.task_id,
            domain_id=voiceprint.domain_id,
            made_at=voiceprint.made_at,
            expires_at=voiceprint.made_at + timedelta(hours=kept_hours),
            model_id=voiceprint.model_id,
            band=voiceprint.band,
            embedding=sealed.embedding,
            narrowband=sealed.narrowband,
            speech=sealed.speech,
        )
    )


async def end_call(
    connection: AsyncConnection, task_ids: Sequence[str], ended_at: datetime, settings: ProfileSettings
) -> None:
    """Start the clock of these tasks' voiceprints: at the end of the call, not earlier than they were made.

    Tasks without a voiceprint, and calls that have ended before, are passed over.
    """
    still_on = sa.select(voiceprints.c.task_id, voiceprints.c.made_at).where(
        voiceprints.c.task_id.in_(task_ids), voiceprints.c.call_ended_at.is_(None)
    )
    for task_id, made_at in (await connection.execute(still_on)).all():
        over_at = max(ended_at, made_at)
        await connection.execute(
            voiceprints.update()
            .where(voiceprints.c.task_id == task_id)
            .values(call_ended_at=over_at, expires_at=over_at + timedelta(hours=settings.voiceprint_hours))
        )


async def find(connection: AsyncConnection, task_id: str) -> KeptVoiceprint:
    """Return a task's voiceprint, still sealed.

    Raises:
        VoiceprintNotFound: there is none.
    """
    row = (await connection.execute(sa.select(voiceprints).where(voiceprints.c.task_id == task_id))).one_or_none()
    if row is None:
        raise VoiceprintNotFound(task_id)
    return KeptVoiceprint(
        task_id=row.task_id,
        domain_id=row.domain_id,
        model_id=row.model_id,
        band=row.band,
        enrolled_profile_id=row.enrolled_profile_id,
        expires_at=row.expires_at,
        sealed=None
        if row.embedding is None or row.speech is None
        else Sealed(row.embedding, row.speech, row.narrowband),
    )


async def domain_of(connection: AsyncConnection, task_id: str) -> str:
    """Return the domain of a task's voiceprint.

    Raises:
        VoiceprintNotFound: there is none.
    """
    query = sa.select(voiceprints.c.domain_id).where(voiceprints.c.task_id == task_id)
    domain_id: str | None = (await connection.execute(query)).scalar_one_or_none()
    if domain_id is None:
        raise VoiceprintNotFound(task_id)
    return domain_id


async def note_enrolled(connection: AsyncConnection, task_id: str, profile_id: str) -> None:
    """Remember which profile was made from a voiceprint."""
    await connection.execute(
        voiceprints.update().where(voiceprints.c.task_id == task_id).values(enrolled_profile_id=profile_id)
    )


async def note_refreshed(connection: AsyncConnection, task_id: str, profile_id: str) -> None:
    """Remember which profile last took this voiceprint."""
    await connection.execute(
        voiceprints.update().where(voiceprints.c.task_id == task_id).values(refreshed_profile_id=profile_id)
    )


async def remove_with_profile(connection: AsyncConnection, profile_id: str) -> None:
    """Delete the voiceprints that a profile was made or refreshed from: who opts out is not kept for 24 h more."""
    used_by = (voiceprints.c.enrolled_profile_id == profile_id) | (voiceprints.c.refreshed_profile_id == profile_id)
    await connection.execute(voiceprints.delete().where(used_by))


async def wipe_expired(connection: AsyncConnection, now: datetime) -> int:
    """Delete embeddings and speech of up to 64 voiceprints whose time is over; return of how many."""
    due = (
        sa.select(voiceprints.c.task_id)
        .where(voiceprints.c.expires_at <= now, voiceprints.c.embedding.is_not(None))
        .limit(_BATCH)
    )
    task_ids = (await connection.execute(due)).scalars().all()
    if task_ids:
        await connection.execute(
            voiceprints.update()
            .where(voiceprints.c.task_id.in_(task_ids))
            .values(embedding=None, narrowband=None, speech=None)
            .execution_options(**LONG)
        )
    return len(task_ids)


async def forget(connection: AsyncConnection, expired_before: datetime) -> None:
    """Delete the records of voiceprints that expired long ago."""
    await connection.execute(
        voiceprints.delete().where(voiceprints.c.expires_at <= expired_before, voiceprints.c.embedding.is_(None))
    )
