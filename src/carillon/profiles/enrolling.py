"""What becomes of a task's voiceprint: a new profile, or the voice of one that there is.

All of it happens in the transaction that it is given, under the lock of the domain: of two enrollments in flight the
second sees the profile of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.profiles import domains, enrolled_voices, voice_profiles, voiceprints
from carillon.profiles.domains import DomainAccess
from carillon.profiles.enrolled_voices import EnrolledVoice
from carillon.profiles.sealing import Sealed, reseal, unseal_embedding
from carillon.profiles.settings import ProfileSettings
from carillon.profiles.voice_profiles import Profile, WrongDomain
from carillon.profiles.voiceprints import EnrollableVoice, KeptVoiceprint
from carillon.storage import Vault


@dataclass(frozen=True, slots=True)
class Enroller:
    """Makes profiles of voiceprints; see `Profiles` for the errors."""

    vault: Vault
    account: AwsAccount
    settings: ProfileSettings
    new_id: Callable[[], UUID]

    async def enrollable_voice(
        self, connection: AsyncConnection, task_id: str, now: datetime
    ) -> EnrollableVoice | None:
        """Return the voice that `enroll` would make a profile of; None if it has made one, or its time is over."""
        found = await voiceprints.find(connection, task_id)
        if found.enrolled_profile_id is not None or found.sealed is None or found.expires_at <= now:
            return None
        access = await domains.find_access(connection, found.domain_id)
        row = voiceprints.sealed_row(task_id)
        embedding = unseal_embedding(self.vault, access.data_key, row, found.sealed.embedding)
        return EnrollableVoice(found.domain_id, found.model_id, found.band, embedding)

    async def enroll(self, connection: AsyncConnection, task_id: str, now: datetime) -> tuple[Profile, bool]:
        """Return the profile of a task's voiceprint, and whether it has just been made."""
        domain_id = await voiceprints.domain_of(connection, task_id)
        access = await domains.lock_access(connection, domain_id)
        voiceprint = await voiceprints.find(connection, task_id)
        if voiceprint.enrolled_profile_id is not None:
            return await voice_profiles.find(connection, voiceprint.enrolled_profile_id, self.account), False
        sealed = voiceprint.require(now)
        await voice_profiles.require_room(connection, domain_id, self.settings.max_profiles_per_domain)
        years = self.settings.profile_years
        profile = voice_profiles.new(f"vp-{self.new_id()}", domain_id, self.account, now, years)
        number = await voice_profiles.add(connection, profile, task_id)
        await self._take_over(connection, access, profile, number, voiceprint, sealed)
        await voiceprints.note_enrolled(connection, task_id, profile.id)
        return profile, True

    async def refresh(self, connection: AsyncConnection, profile_id: str, task_id: str, now: datetime) -> Profile:
        """Replace what a profile holds by a task's voiceprint and renew its expiry."""
        domain_id = (await voice_profiles.find(connection, profile_id, self.account)).domain_id
        access = await domains.lock_access(connection, domain_id)
        old = await voice_profiles.find(connection, profile_id, self.account)
        voiceprint = await voiceprints.find(connection, task_id)
        if voiceprint.domain_id != domain_id:
            raise WrongDomain(profile_id, task_id)
        sealed = voiceprint.require(now)
        profile = voice_profiles.renewed(old, now, self.settings.profile_years)
        number = await voice_profiles.renew(connection, profile)
        await self._take_over(connection, access, profile, number, voiceprint, sealed)
        await voiceprints.note_refreshed(connection, task_id, profile_id)
        return profile

    async def _take_over(
        self,
        connection: AsyncConnection,
        access: DomainAccess,
        profile: Profile,
        number: int,
        voiceprint: KeptVoiceprint,
        sealed: Sealed,
    ) -> None:
        """Make a voiceprint the voice of a profile."""
        source, target = voiceprints.sealed_row(voiceprint.task_id), enrolled_voices.sealed_row(profile.id)
        resealed = reseal(self.vault, access.data_key, sealed, source, target)
        voice = EnrolledVoice("", voiceprint.band, voiceprint.model_id, resealed)
        await enrolled_voices.put(
            connection, access, profile.domain_id, number, voice, profile.expires_at, profile.updated_at
        )
