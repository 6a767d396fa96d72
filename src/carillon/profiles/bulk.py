"""What an operator does with many voices: enroll recordings, read a domain out, put it back, make embeddings anew.

The same rows as in `profiles.py`, under the same locks; a server that runs meanwhile sees every change at its next
search. What comes out of here is open, so it is for the operator's own commands, never for the API.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.audio import Band, Embedding, Pcm16
from carillon.clock import Clock
from carillon.errors import AlreadyExists, StateConflict
from carillon.profiles import domains, enrolled_voices, voice_profiles
from carillon.profiles.domains import DomainAccess
from carillon.profiles.enrolled_voices import EnrolledVoice, sealed_row
from carillon.profiles.sealing import seal, unseal_embedding, unseal_speech
from carillon.profiles.settings import ProfileSettings
from carillon.profiles.tables import enrolled_voices as _rows
from carillon.profiles.tables import enrollment_speech
from carillon.profiles.tables import voice_profiles as _profiles
from carillon.profiles.voice_profiles import Profile, ProfileNotFound
from carillon.storage import Database, Vault

OnProfileChanged: TypeAlias = Callable[[AsyncConnection, Profile], Awaitable[None]]
"""Called with the transaction that changes a profile, and the profile: what it writes is there if the change is."""

_PREFIX: Final = "file-"
"""Of the name that stands for a task in a profile that no task made."""


class ProfileExists(AlreadyExists):
    """A profile that is to be put back is there."""

    def __init__(self, profile_id: str) -> None:
        super().__init__(f"Voice profile {profile_id} exists already. Delete it first, or leave it out.")
        self.profile_id = profile_id


class ProfileElsewhere(AlreadyExists):
    """A profile that is to be put back is in another domain."""

    def __init__(self, profile_id: str, domain_id: str) -> None:
        super().__init__(
            f"Voice profile {profile_id} is in domain {domain_id}, and can be in one only. Delete it there first, or "
            "import it on another server."
        )


class VoiceChanged(StateConflict):
    """A voice was replaced or removed while another was made of it."""

    def __init__(self, profile_id: str) -> None:
        super().__init__(f"Voice profile {profile_id} was changed meanwhile. Run the command again.")


@dataclass(frozen=True, slots=True, eq=False)
class OpenVoice:
    """A voice, open."""

    label: str
    band: Band
    model_id: str
    embedding: Embedding = field(repr=False)  # (d,), L2 norm 1
    narrowband: Embedding | None = field(repr=False)  # (d,), L2 norm 1
    speech: Pcm16 = field(repr=False)  # (n,) at 16 kHz


@dataclass(frozen=True, slots=True, eq=False)
class KnownVoice:
    """A voice and whose it is."""

    number: int
    profile: Profile
    voice: OpenVoice


class BulkProfiles:
    """Many voices of one database, for commands. Arguments as for `Profiles`."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        account: AwsAccount,
        clock: Clock,
        settings: ProfileSettings | None = None,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._vault = vault
        self._account = account
        self._clock = clock
        self._settings = settings or ProfileSettings()
        self._new_id = new_id

    async def enroll(self, domain_id: str, voice: OpenVoice, note: OnProfileChanged) -> Profile:
        """Make a profile of a voice.

        Raises:
            DomainNotFound: there is no such domain.
            TooManyProfiles: the domain's quota is used up.
        """
        now = self._clock.now()
        years = self._settings.profile_years
        profile = voice_profiles.new(f"vp-{self._new_id()}", domain_id, self._account, now, years)
        async with self._database.transaction() as connection:
            access = await domains.lock_access(connection, domain_id)
            await self._add(connection, access, profile, voice)
            await note(connection, profile)
        return profile

    async def add_voice(self, domain_id: str, profile_id: str, voice: OpenVoice, note: OnProfileChanged) -> Profile:
        """Add one more voice that a profile is recognized by, or a newer one of a label; renew its expiry.

        Raises:
            DomainNotFound: there is no such domain.
            ProfileNotFound: there is no such profile in it.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            access = await domains.lock_access(connection, domain_id)
            old = await voice_profiles.find(connection, profile_id, self._account)
            if old.domain_id != domain_id:
                raise ProfileNotFound(profile_id)
            profile = voice_profiles.renewed(old, now, self._settings.profile_years)
            number = await voice_profiles.renew(connection, profile)
            await self._put(connection, access, profile, number, voice)
            await note(connection, profile)
        return profile

    async def put_back(self, domain_id: str, profile: Profile, voice: OpenVoice) -> None:
        """Take in a voice of a profile that was read out of a domain: the profile is made if it is not there.

        Raises:
            DomainNotFound: there is no such domain.
            ProfileExists: a profile of this id has such a voice.
            ProfileElsewhere: a profile of this id is in another domain.
            TooManyProfiles: the domain's quota is used up.
        """
        moved = replace(profile, arn=voice_profiles.arn_of(profile.id, self._account), domain_id=domain_id)
        async with self._database.transaction() as connection:
            access = await domains.lock_access(connection, domain_id)
            known = sa.select(_profiles.c.number, _profiles.c.domain_id).where(_profiles.c.profile_id == profile.id)
            row = (await connection.execute(known)).one_or_none()
            if row is None:
                await self._add(connection, access, moved, voice)
                return
            same = sa.select(_rows.c.number).where(_rows.c.profile_number == row.number, _rows.c.label == voice.label)
            if row.domain_id != domain_id:
                raise ProfileElsewhere(profile.id, row.domain_id)
            if (await connection.execute(same)).first() is not None:
                raise ProfileExists(profile.id)
            await self._put(connection, access, moved, row.number, voice)

    async def voices(self, domain_id: str, after: int = 0, limit: int = 4) -> list[KnownVoice]:
        """Return up to `limit` voices of a domain that have not expired, by number, those after `after`.

        Each takes some 700 kB, and as much again while it is opened.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row was tampered with.
        """
        query = (
            sa.select(_rows, enrollment_speech.c.speech, _profiles.c.profile_id)
            .join(_profiles, _profiles.c.number == _rows.c.profile_number)
            .join(enrollment_speech, enrollment_speech.c.number == _rows.c.number)
            .where(_rows.c.domain_id == domain_id, _rows.c.number > after, _rows.c.expires_at > self._clock.now())
            .order_by(_rows.c.number)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            access = await domains.find_access(connection, domain_id)
            rows = (await connection.execute(query)).mappings().all()
            profiles = [await voice_profiles.find(connection, row["profile_id"], self._account) for row in rows]
        return [
            KnownVoice(row["number"], profile, self._open(access, row))
            for row, profile in zip(rows, profiles, strict=True)
        ]

    async def replace(
        self, known: KnownVoice, embedding: Embedding, narrowband: Embedding | None, model_id: str
    ) -> None:
        """Replace a voice's embedding with another model's of the same speech; its expiry stays.

        Raises:
            DomainNotFound, ProfileNotFound: it is gone.
            VoiceChanged: it has been replaced since it was read.
        """
        voice = replace(known.voice, embedding=embedding, narrowband=narrowband, model_id=model_id)
        async with self._database.transaction() as connection:
            access = await domains.lock_access(connection, known.profile.domain_id)
            profile = await voice_profiles.find(connection, known.profile.id, self._account)
            there = sa.select(_rows.c.number).where(_rows.c.number == known.number)
            if (await connection.execute(there)).one_or_none() is None:
                raise VoiceChanged(profile.id)
            number = await voice_profiles.number_of(connection, profile.id)
            await self._put(connection, access, profile, number, voice)

    async def _add(self, connection: AsyncConnection, access: DomainAccess, profile: Profile, voice: OpenVoice) -> None:
        await voice_profiles.require_room(connection, profile.domain_id, self._settings.max_profiles_per_domain)
        number = await voice_profiles.add(connection, profile, f"{_PREFIX}{profile.id}")
        await self._put(connection, access, profile, number, voice)

    async def _put(
        self, connection: AsyncConnection, access: DomainAccess, profile: Profile, number: int, voice: OpenVoice
    ) -> None:
        row = sealed_row(profile.id, voice.label)
        sealed = seal(self._vault, access.data_key, row, voice.embedding, voice.speech, voice.narrowband)
        enrolled = EnrolledVoice(voice.label, voice.band, voice.model_id, sealed)
        now = self._clock.now()
        await enrolled_voices.put(connection, access, profile.domain_id, number, enrolled, profile.expires_at, now)

    def _open(self, access: DomainAccess, row: sa.RowMapping) -> OpenVoice:
        name, key = sealed_row(row["profile_id"], row["label"]), access.data_key
        narrowband = row["narrowband"] and unseal_embedding(self._vault, key, name, row["narrowband"], "narrowband")
        return OpenVoice(
            label=row["label"],
            band=row["band"],
            model_id=row["model_id"],
            embedding=unseal_embedding(self._vault, key, name, row["embedding"]),
            narrowband=narrowband,
            speech=unseal_speech(self._vault, key, name, row["speech"]),
        )
