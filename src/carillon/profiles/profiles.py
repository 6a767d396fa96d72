"""The one way into this room: who is known, who is added, who sounds like this.

A change is committed first and followed by the index afterwards, so what fails leaves both as they were.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from uuid import UUID, uuid4

import prometheus_client
from anyio import CapacityLimiter, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.audio import Band, Embedding
from carillon.clock import Clock
from carillon.errors import Transient
from carillon.profiles import domains, enrolled_voices, erasure, voice_profiles, voiceprints
from carillon.profiles.domains import Domain, DomainNotFound, NewDomain
from carillon.profiles.enrolling import Enroller
from carillon.profiles.index.resident import Probe, ResidentIndexes, VoiceMatch
from carillon.profiles.likeness import Likeness, likenesses
from carillon.profiles.settings import ProfileSettings
from carillon.profiles.sweeper import Sweeper, Swept
from carillon.profiles.voice_profiles import Profile, ProfileNotFound
from carillon.profiles.voiceprints import EnrollableVoice, Voiceprint
from carillon.storage import Database, Vault, forget_tags, make_once, put_tags
from carillon.telemetry import get_logger

if TYPE_CHECKING:
    from carillon.profiles.index.exact import ExactIndex

log = get_logger()

DeletionCheck: TypeAlias = Callable[[AsyncConnection, str], Awaitable[None]]
"""Called with the deleting transaction and the domain id; raises what should be raised if the domain is in use."""

_SEARCH_SECONDS: Final = prometheus_client.Histogram(
    "carillon_voice_search_seconds",
    "Time of one search among a domain's voice profiles, reading the domain into memory included.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


class Profiles:
    """Domains, voiceprints and voice profiles over one database.

    Args:
        limiter: threads that may search at the same time; its own, of `settings.search_threads`, if none is given.
        new_id: where ids come from.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        account: AwsAccount,
        clock: Clock,
        settings: ProfileSettings | None = None,
        *,
        limiter: CapacityLimiter | None = None,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._vault = vault
        self._account = account
        self._clock = clock
        self._settings = settings or ProfileSettings()
        self._new_id = new_id
        limiter = limiter or CapacityLimiter(self._settings.search_threads)
        self._index = ResidentIndexes(
            database, vault, clock, limiter, self._settings.resident_profiles, self._new_index
        )
        self._enroller = Enroller(vault, account, self._settings, new_id)
        self._sweeper = Sweeper(database, clock, self._settings, self._follow)

    async def __aenter__(self) -> Self:
        """Open the room; domains are read into memory when they are first searched."""
        await to_thread.run_sync(_exact_index)  # before the first search would wait for it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop every embedding in memory."""
        self._index.clear()

    def _new_index(self, dimensions: int) -> "ExactIndex":
        return _exact_index()(dimensions, self._settings.int8_above)

    async def create_domain(
        self,
        name: str,
        description: str | None,
        kms_key_arn: str,
        token: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Domain:
        """Create a domain with a fresh data key; a token that came before returns the domain it made then.

        Raises:
            InvalidDomain: name, description or token breaks its rule.
            MalformedArn: `kms_key_arn` is not an ARN.
            TokenReused: the token came within the last day with other parameters.
            TokenSpent: the domain that the token made has been deleted.
            TooManyDomains: the quota is used up.
        """
        asked = NewDomain(name, description, kms_key_arn, tags or {})
        now = self._clock.now()
        domain_id = f"vpd-{self._new_id()}"

        async def insert(connection: AsyncConnection) -> Domain:
            await domains.require_room(connection, self._settings.max_domains)
            made = await domains.add(connection, domain_id, asked, self._vault.new_key(), now, self._account)
            await put_tags(connection, made.arn, asked.tags)
            return made

        async def find(connection: AsyncConnection, domain_id: str) -> Domain:
            return await domains.find(connection, domain_id, self._account)

        made = await make_once(self._database, asked.claim(token), domain_id, now, make=insert, find=find)
        if made.id == domain_id:
            log.info("voice_profile_domain.created", domain_id=domain_id)
        return made

    async def domain(self, domain_id: str) -> Domain:
        """Return a domain.

        Raises:
            DomainNotFound: there is none with this id.
        """
        async with self._database.reading() as connection:
            return await domains.find(connection, domain_id, self._account)

    async def lock_domain(self, connection: AsyncConnection, domain_id: str) -> None:
        """Make sure, in the caller's transaction, that a domain is there and stays until the commit.

        Raises:
            DomainNotFound: there is none with this id.
        """
        await domains.lock_access(connection, domain_id)

    async def find_domain_of_arn(self, connection: AsyncConnection, arn: str) -> Domain:
        """Find the domain that an ARN names, with a connection of the caller's.

        Raises:
            MalformedArn: not an ARN.
            ForeignDomain: of something else, or of another Region or account.
            DomainNotFound: there is none with this id.
        """
        return await domains.find(connection, domains.id_of_arn(arn, self._account), self._account)

    async def domains(self, after: str | None = None, limit: int = 100) -> list[Domain]:
        """Return up to `limit` domains ordered by id, those after the id `after`."""
        async with self._database.reading() as connection:
            return await domains.find_page(connection, after, limit, self._account)

    async def update_domain(self, domain_id: str, name: str | None, description: str | None) -> Domain:
        """Change a domain's name, description, or both; None leaves what is there.

        Raises:
            DomainNotFound: there is none with this id.
            InvalidDomain: the name or description breaks its rule.
        """
        async with self._database.transaction() as connection:
            await domains.lock_access(connection, domain_id)  # of two in flight neither undoes what the other says
            old = await domains.find(connection, domain_id, self._account)
            asked = NewDomain(
                old.name if name is None else name,
                old.description if description is None else description,
                old.kms_key_arn,
            )
            await domains.describe(connection, domain_id, asked, self._clock.now())
            return await domains.find(connection, domain_id, self._account)

    async def delete_domain(self, domain_id: str, guard: DeletionCheck | None = None) -> None:
        """Delete a domain with its key, profiles and voiceprints: from here on nothing of it is found or can be opened.

        Its rows are overwritten as well; what takes longer than some seconds is left to sweeps.

        Raises:
            DomainNotFound: there is none with this id.
            Exception: whatever `guard` raises; nothing is deleted then.
        """
        async with self._database.transaction() as connection:
            await domains.lock_access(connection, domain_id)
            if guard is not None:
                await guard(connection, domain_id)
            await erasure.mark_deleted(connection, domain_id, self._clock.now())
            await forget_tags(connection, domains.arn_of(domain_id, self._account))
        self._index.drop(domain_id)
        self._vault.forget_keys()
        log.info("voice_profile_domain.deleted", domain_id=domain_id)
        await self._sweeper.finish()

    async def keep_voiceprint(self, connection: AsyncConnection, voiceprint: Voiceprint) -> None:
        """Store a task's voiceprint, within the caller's transaction; a second voiceprint of a task changes nothing.

        Raises:
            DomainNotFound: its domain is gone.
        """
        await voiceprints.keep(connection, self._vault, voiceprint, self._settings)

    async def end_call(self, connection: AsyncConnection, task_ids: Sequence[str], ended_at: datetime) -> None:
        """Start the 24 h in which these tasks' voiceprints can be enrolled, within the caller's transaction."""
        await voiceprints.end_call(connection, task_ids, ended_at, self._settings)

    async def enrollable_voice(self, task_id: str) -> EnrollableVoice | None:
        """Return the voice that `enroll` would make a profile of; None if it has made one, or its time is over.

        Raises:
            VoiceprintNotFound: the task has no voiceprint.
        """
        async with self._database.reading() as connection:
            return await self._enroller.enrollable_voice(connection, task_id, self._clock.now())

    async def enroll(self, task_id: str) -> Profile:
        """Make a profile from a task's voiceprint; the same profile again for the same task.

        Raises:
            VoiceprintNotFound: the task has no voiceprint (yet), or it was deleted with its domain or profile.
            VoiceprintExpired: the call ended more than 24 h ago.
            TooManyProfiles: the domain's quota is used up.
        """
        async with self._database.transaction() as connection:
            profile, is_new = await self._enroller.enroll(connection, task_id, self._clock.now())
        if is_new:
            log.info(
                "voice_profile.enrolled", voice_profile_id=profile.id, domain_id=profile.domain_id, task_id=task_id
            )
            await self._follow(profile.domain_id)
        return profile

    async def refresh(self, profile_id: str, task_id: str) -> Profile:
        """Replace what a profile holds by a task's voiceprint and renew its expiry; revives an expired profile.

        Raises:
            ProfileNotFound: there is no such profile.
            VoiceprintNotFound: the task has no voiceprint.
            VoiceprintExpired: the call ended more than 24 h ago.
            WrongDomain: profile and task belong to different domains.
        """
        async with self._database.transaction() as connection:
            profile = await self._enroller.refresh(connection, profile_id, task_id, self._clock.now())
        log.info("voice_profile.refreshed", voice_profile_id=profile_id, domain_id=profile.domain_id, task_id=task_id)
        await self._follow(profile.domain_id)
        self._sweeper.is_scrub_due = True  # what it held before may be in the log; the next sweep is soon enough
        return profile

    async def profile(self, profile_id: str) -> Profile:
        """Return a profile, expired or not.

        Raises:
            ProfileNotFound: there is none with this id.
        """
        async with self._database.reading() as connection:
            found = await voice_profiles.find(connection, profile_id, self._account)
            try:
                await domains.find_access(connection, found.domain_id)
            except DomainNotFound as error:
                raise ProfileNotFound(profile_id) from error
            return found

    async def count_profiles(self, domain_id: str) -> int:
        """Return how many profiles a domain has, expired ones included; 0 if there is no such domain."""
        async with self._database.reading() as connection:
            return await voice_profiles.count(connection, domain_id)

    async def profiles(self, domain_id: str, after: str | None = None, limit: int = 100) -> list[Profile]:
        """Return up to `limit` profiles of a domain ordered by id, those after the id `after`, expired ones too.

        Raises:
            DomainNotFound: there is no such domain.
        """
        async with self._database.reading() as connection:
            await domains.find_access(connection, domain_id)
            return await voice_profiles.find_page(connection, domain_id, after, limit, self._account)

    async def delete_profile(self, profile_id: str) -> None:
        """Delete a profile with its embedding, its speech, and the voiceprints it was made from: an opt-out.

        Raises:
            ProfileNotFound: there is none with this id.
        """
        async with self._database.transaction() as connection:
            domain_id = (await voice_profiles.find(connection, profile_id, self._account)).domain_id
            access = await domains.lock_access(connection, domain_id)
            number = await voice_profiles.number_of(connection, profile_id)
            await enrolled_voices.remove_all(connection, access, domain_id, number, self._clock.now())
            await voice_profiles.remove(connection, profile_id)
            await voiceprints.remove_with_profile(connection, profile_id)
        log.info("voice_profile.deleted", voice_profile_id=profile_id, domain_id=domain_id)
        await self._follow(domain_id)
        await self._sweeper.finish()

    async def search(
        self, domain_id: str, embedding: Embedding, model_id: str, limit: int = 10, *, band: Band = "tel"
    ) -> list[VoiceMatch]:
        """Return the profiles whose voices of this model are nearest to (d,), of speech in a band.

        Up to `limit` for each channel that can be compared, best first within it: cosines of different channels cannot
        be. A profile may come once for each.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row of the domain was tampered with. Rather no answer than one that lacks somebody.
        """
        with _SEARCH_SECONDS.time():
            return await self._index.search(domain_id, Probe(embedding, band, model_id), limit)

    async def likenesses(self, domain_id: str, profile_ids: Collection[str], model_id: str) -> Sequence[Likeness]:
        """Return how alike profiles of a domain are, for each pair of their voices of this model.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row was tampered with.
        """
        async with self._database.reading() as connection:
            return await likenesses(connection, self._vault, domain_id, profile_ids, model_id)

    async def warm(self, domain_id: str) -> None:
        """Read a domain into memory, so that a search that is coming need not: 100,000 profiles take a second or two.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row of the domain was tampered with.
        """
        await self._index.warm(domain_id)

    async def sweep(self) -> Swept:
        """Delete what has outlived its time: voiceprints 24 h after their call, embeddings after 3 years.

        To be called every few minutes. Expiry itself does not wait for it: what is over is refused, and not found.
        """
        return await self._sweeper.sweep()

    async def _follow(self, domain_id: str) -> None:
        """Bring the index up to a change that is committed already, so nothing that fails here may undo it."""
        try:
            await self._index.follow(domain_id)
        except Transient as error:
            log.warning("voice_index.behind", domain_id=domain_id, reason=str(error))  # the next search catches up


def _exact_index() -> "type[ExactIndex]":
    from carillon.profiles.index.exact import ExactIndex  # FAISS takes a while to import; most commands search nothing

    return ExactIndex
