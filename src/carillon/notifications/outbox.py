"""The outbox: events are rows in the transaction that decided them, and leave from there.

An event that was posted survives a crash, and one whose transaction failed was never posted. Without any sink it can
still be read back, in order, for as long as it is kept.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.clock import Clock
from carillon.concurrency import Notifier
from carillon.notifications.deliveries import Deliveries, SinkTarget, event_from
from carillon.notifications.events import Event
from carillon.notifications.following import FollowCursor
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.tables import deliveries, events
from carillon.storage import Database
from carillon.telemetry import get_logger

log = get_logger()

_SWEPT_AT_ONCE: Final = 1_000  # more would keep other writers waiting
_FOLLOWED_AT_ONCE: Final = 200
_LOOKED_SECONDS: Final = 0.5  # for what other processes post


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader wants."""

    task_id: str | None = None
    """Only those of this task."""
    since: datetime | None = None
    """Only those of this time, or later."""
    undelivered: bool = False
    """Only those that some target does not have."""


class Outbox:
    """Takes events in, gives them to dispatchers and readers, and forgets them in time."""

    def __init__(self, database: Database, clock: Clock, settings: NotificationSettings | None = None) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or NotificationSettings()
        self._posted = Notifier()
        self.deliveries = Deliveries(database, clock, timedelta(seconds=self._settings.longest_retry_seconds))

    async def post(self, connection: AsyncConnection, event: Event, targets: Iterable[SinkTarget]) -> None:
        """Add an event, to be delivered to each target, within the caller's transaction; `wake` when it is committed.

        An event without targets can only be read back.
        """
        now = self._clock.now()
        posted = await connection.execute(
            events.insert()
            .values(
                event_id=event.id,
                detail_type=event.detail_type,
                task_id=event.task_id,
                pipeline_id=event.pipeline_id,
                at=event.at,
                posted_at=now,
                body=event.to_json(),
            )
            .returning(events.c.sequence)
        )
        sequence = posted.scalar_one()
        rows = [
            {"sequence": sequence, "kind": target.kind, "target_arn": target.arn, "attempts": 0, "due_at": now}
            for target in dict.fromkeys(targets)
        ]
        if rows:
            await connection.execute(deliveries.insert(), rows)

    def wake(self) -> None:
        """Wake dispatchers: something posted is committed and can leave."""
        self._posted.notify()

    def next_post(self) -> anyio.Event:
        """Return what the next `wake` sets. Take it before looking for rows, wait for it afterwards."""
        return self._posted.next_event

    async def events(
        self,
        after: int = 0,
        limit: int = 100,
        wanted: EventFilter = EventFilter(),
    ) -> list[tuple[int, Event]]:
        """Return up to `limit` events with their sequence numbers, oldest first, from the first after `after`.

        Args:
            after: a sequence number; 0 for the beginning.
            limit: at most so many.
            wanted: only these.
        """
        async with self._database.reading() as connection:
            return await self._read(connection, self._select(wanted).where(events.c.sequence > after).limit(limit))

    async def follow(
        self, after: int = 0, wanted: EventFilter = EventFilter()
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        """Yield events with their sequence numbers, first those that are there, then others as they are posted.

        Each comes once, none is missed, whoever posts it: also one that becomes visible after others with higher
        numbers, since numbers that were passed over are looked for again (`following.py`). Within a batch events are
        in the order of their numbers; a late one comes in a later batch. It never ends.

        Args:
            after: a sequence number; 0 for the beginning.
            wanted: only these.
        """
        cursor = FollowCursor(after)
        while True:
            posted = self.next_post()
            numbered = sa.select(events.c.sequence, events.c.posted_at).where(cursor.wants(events.c.sequence))
            numbered = numbered.order_by(events.c.sequence).limit(_FOLLOWED_AT_ONCE)
            async with self._database.reading() as connection:
                seen = [(row.sequence, row.posted_at) for row in await connection.execute(numbered)]
                numbers = [number for number, _ in seen]
                found = await self._read(connection, self._select(wanted).where(events.c.sequence.in_(numbers)))
            cursor = cursor.advanced(seen)
            if found:
                yield found
            if len(seen) < _FOLLOWED_AT_ONCE:
                with anyio.move_on_after(_LOOKED_SECONDS):
                    await posted.wait()

    def _select(self, wanted: EventFilter) -> sa.Select[Any]:
        query = sa.select(events).order_by(events.c.sequence)
        if wanted.task_id is not None:
            query = query.where(events.c.task_id == wanted.task_id)
        if wanted.since is not None:
            query = query.where(events.c.at >= wanted.since)
        if wanted.undelivered:
            query = query.where(events.c.sequence.in_(self.deliveries.undelivered()))
        return query

    async def _read(self, connection: AsyncConnection, query: sa.Select[Any]) -> list[tuple[int, Event]]:
        return [(row.sequence, event_from(row)) for row in await connection.execute(query)]

    async def sweep(self) -> int:
        """Set aside deliveries that are too old, delete events that were kept long enough; return how many events."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            too_old = await self.deliveries.set_aside_posted_before(
                connection, now - timedelta(days=self._settings.drop_after_days)
            )
        for target, count in too_old:
            log.warning("deliveries.set_aside", sink=target.kind, target_arn=target.arn, count=count)
        old = (
            sa.select(events.c.sequence)
            .where(events.c.posted_at <= now - timedelta(days=self._settings.retention_days))
            .limit(_SWEPT_AT_ONCE)
        )
        total = 0
        while True:
            async with self._database.transaction() as connection:
                deleted = await connection.execute(events.delete().where(events.c.sequence.in_(old)))
            total += deleted.rowcount
            if deleted.rowcount < _SWEPT_AT_ONCE:
                return total
