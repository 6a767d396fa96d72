"""Notes how deliveries ended, those of all targets in one commit: durable commits are few, deliveries are many."""

from collections.abc import Sequence

import anyio
from anyio import fail_after

from carillon.clock import Clock
from carillon.notifications.deliveries import DATABASE_TROUBLE, Deliveries, DeliveryOutcome
from carillon.notifications.settings import NotificationSettings
from carillon.telemetry import get_logger

log = get_logger()


class OutcomeWriter:
    """Gathers outcomes while a commit is under way and writes them with the next. Queues wait for it."""

    def __init__(self, deliveries: Deliveries, clock: Clock, settings: NotificationSettings) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._settings = settings
        self._waiting: list[DeliveryOutcome] = []
        self._wanted = anyio.Event()
        self._noted = anyio.Event()

    async def note(self, outcomes: Sequence[DeliveryOutcome]) -> None:
        """Return once these outcomes are committed."""
        self._waiting += outcomes
        noted = self._noted
        self._wanted.set()
        await noted.wait()

    async def run(self) -> None:
        """Commit whatever is noted, until canceled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            outcomes, self._waiting = self._waiting, []
            noted, self._noted = self._noted, anyio.Event()
            await self._commit(outcomes)
            noted.set()

    async def _commit(self, outcomes: Sequence[DeliveryOutcome]) -> None:
        while True:
            try:
                with fail_after(self._settings.commit_seconds, shield=True):  # a stop must not tear a commit
                    await self._deliveries.record(outcomes)
            except (TimeoutError, *DATABASE_TROUBLE) as error:
                log.warning("deliveries.not_recorded", count=len(outcomes), reason=type(error).__name__)
                await self._clock.sleep(self._settings.first_retry_seconds)
            else:
                return
