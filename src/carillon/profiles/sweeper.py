"""Deletes what has outlived its time, and overwrites what was deleted, so that nothing of it is left in any file."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from carillon.clock import Clock
from carillon.errors import Transient
from carillon.profiles import domains, enrolled_voices, erasure, voiceprints
from carillon.profiles.domains import DomainNotFound
from carillon.profiles.settings import ProfileSettings
from carillon.storage import Database
from carillon.telemetry import get_logger

log = get_logger()

_REMOVALS_LISTED: Final = timedelta(days=1)
_ERASING_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep deleted."""

    voiceprints: int
    profiles: int


class Sweeper:
    """Sweeps one database.

    Args:
        database: to sweep.
        clock: tells what is over.
        settings: say how long things are kept.
        follow: called with each domain in which profiles were deleted.
    """

    def __init__(
        self, database: Database, clock: Clock, settings: ProfileSettings, follow: Callable[[str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._follow = follow
        self.is_scrub_due = True
        """Whether something deleted may still be in the files; an earlier process may have been killed before it could
        look after that."""

    async def sweep(self) -> Swept:
        """Delete voiceprints 24 h after their call and embeddings after 3 years, and what `finish` left to do."""
        now = self._clock.now()
        swept = Swept(await self._sweep_voiceprints(now), await self._sweep_profiles(now))
        async with self._database.transaction() as connection:
            recorded = timedelta(days=self._settings.voiceprint_record_days)
            enrollable = timedelta(hours=self._settings.voiceprint_hours)
            await voiceprints.forget(connection, now - (recorded - enrollable))
            await enrolled_voices.compact_removals(connection, now - _REMOVALS_LISTED)
        if swept.voiceprints or swept.profiles:
            self.is_scrub_due = True
            log.info("voice_profiles.swept", voiceprints=swept.voiceprints, profiles=swept.profiles)
        await self._erase_doomed()
        await self._scrub_if_due()
        return swept

    async def finish(self) -> None:
        """See to it that what was just deleted leaves the files for good; what cannot be done now, a sweep will do.

        It is committed already, so nothing that fails here may undo it.
        """
        self.is_scrub_due = True
        try:
            await self._erase_doomed()
            await self._scrub_if_due()
        except Transient as error:
            log.warning("voice_profiles.not_erased", reason=str(error))

    async def _sweep_voiceprints(self, now: datetime) -> int:
        total = 0
        while True:
            async with self._database.transaction() as connection:
                wiped = await voiceprints.wipe_expired(connection, now)
            if not wiped:
                return total
            total += wiped

    async def _sweep_profiles(self, now: datetime) -> int:
        total = 0
        while True:
            async with self._database.transaction() as connection:
                domain_id = await enrolled_voices.find_expired_domain(connection, now)
                if domain_id is None:
                    return total
                try:
                    access = await domains.lock_access(connection, domain_id)
                except DomainNotFound:
                    return total  # it is being erased, with all that is due in it
                total += await enrolled_voices.expire(connection, access, domain_id, now)
            await self._follow(domain_id)

    async def _erase_doomed(self) -> None:
        """Overwrite what deleted domains left behind, for some seconds at most."""
        until = self._clock.monotonic() + _ERASING_SECONDS
        while self._clock.monotonic() < until:
            async with self._database.transaction() as connection:
                domain_id = await erasure.find_doomed(connection)
                if domain_id is None:
                    return
                self.is_scrub_due = True
                if await erasure.erase_some(connection, domain_id):
                    log.info("voice_profile_domain.erased", domain_id=domain_id)

    async def _scrub_if_due(self) -> None:
        if self.is_scrub_due:
            self.is_scrub_due = not await self._database.scrub()
            if self.is_scrub_due:
                log.warning("database.not_scrubbed")
