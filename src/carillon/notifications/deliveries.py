"""Queries about which events must still be delivered where. Used by the dispatcher and its queues."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.clock import Clock
from carillon.errors import Transient
from carillon.notifications.events import Event
from carillon.notifications.following import FollowCursor
from carillon.notifications.tables import deliveries, events
from carillon.storage import Database

DATABASE_TROUBLE: Final = (Transient, sa.exc.OperationalError)
"""What a database may do to a dispatcher without stopping it: it tries again."""

DeliveryState: TypeAlias = Literal["pending", "delivered", "set_aside"]

_REASON_CHARACTERS: Final = 512
_PENDING: Final = deliveries.c.finished_at.is_(None)


@dataclass(frozen=True, slots=True)
class SinkTarget:
    """Where events go: a kind of sink, named as in a pipeline configuration, and the ARN of one."""

    kind: str  # SqsQueueSink, SnsTopicSink, KinesisDataStreamSink, LambdaFunctionSink, EventBridge
    arn: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one target."""

    id: int
    event: Event
    attempts: int  # made before
    posted_at: datetime


class DeliveryResult(Enum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How an attempt ended, ready to be recorded."""

    delivery_id: int
    result: DeliveryResult
    retry_at: datetime | None = None  # when to try again, for FAILED
    reason: str | None = None  # for FAILED and SET_ASIDE


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How far one event has come on its way to one target."""

    target: SinkTarget
    state: DeliveryState
    """`set_aside`: the target will never take it, or has failed to for too long; it is not tried again."""
    attempts: int
    reason: str | None
    """Why it is pending still, after a first attempt, or was set aside."""


class Deliveries:
    """Reads deliveries and records how they ended.

    Args:
        database: where they are rows.
        clock: tells what is due. It may be set back: see `_is_due`.
        longest_retry: no retry is ever further away than this.
    """

    def __init__(self, database: Database, clock: Clock, longest_retry: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._longest_retry = longest_retry

    async def newest(self) -> int:
        """Return the highest delivery id, 0 if there is none."""
        async with self._database.reading() as connection:
            query = sa.select(sa.func.coalesce(sa.func.max(deliveries.c.delivery_id), 0))
            return int((await connection.execute(query)).scalar_one())

    async def pending_targets(self) -> list[SinkTarget]:
        """Return the targets of pending deliveries."""
        query = sa.select(deliveries.c.kind, deliveries.c.target_arn).where(_PENDING).distinct()
        async with self._database.reading() as connection:
            return [SinkTarget(row.kind, row.target_arn) for row in await connection.execute(query)]

    async def new_targets(self, cursor: FollowCursor) -> tuple[frozenset[SinkTarget], FollowCursor]:
        """Return the targets of deliveries that have become visible, and where that leaves whoever asks."""
        number, now = deliveries.c.delivery_id, self._clock.now()
        query = sa.select(number, deliveries.c.kind, deliveries.c.target_arn).where(cursor.wants(number))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(number))).all()
        found = frozenset(SinkTarget(row.kind, row.target_arn) for row in rows)
        return found, cursor.advanced((row.delivery_id, now) for row in rows)

    async def due(self, target: SinkTarget, limit: int, *, least_tried: bool = False) -> list[Delivery]:
        """Return up to `limit` deliveries that may be tried now, in the order they were posted.

        Args:
            target: where to.
            limit: at most so many.
            least_tried: those with the fewest attempts first, so that one that always fails hides no other.
        """
        order = [deliveries.c.attempts, deliveries.c.delivery_id] if least_tried else [deliveries.c.delivery_id]
        query = (
            sa.select(deliveries.c.delivery_id, deliveries.c.attempts, events)
            .join(events, events.c.sequence == deliveries.c.sequence)
            .where(_to(target), _PENDING, self._is_due())
            .order_by(*order)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_delivery(row) for row in await connection.execute(query)]

    async def next_due_in(self, target: SinkTarget) -> timedelta | None:
        """Return how long until a target's next pending delivery may be tried, None if none is pending."""
        query = sa.select(sa.func.min(deliveries.c.due_at)).where(_to(target), _PENDING)
        async with self._database.reading() as connection:
            due_at: datetime | None = (await connection.execute(query)).scalar_one()
        return None if due_at is None else min(due_at - self._clock.now(), self._longest_retry)

    async def oldest_posted_at(self) -> datetime | None:
        """Return when the oldest event that is still on its way was posted."""
        query = (
            sa.select(sa.func.min(events.c.posted_at))
            .join(deliveries, deliveries.c.sequence == events.c.sequence)
            .where(_PENDING)
        )
        async with self._database.reading() as connection:
            posted_at: datetime | None = (await connection.execute(query)).scalar_one()
        return posted_at

    async def record(self, outcomes: Sequence[DeliveryOutcome]) -> None:
        """Record how attempts ended, in one transaction; what has ended already stays as it is."""
        if not outcomes:
            return
        now = self._clock.now()
        async with self._database.transaction(beside_others=True) as connection:
            for result in DeliveryResult:
                if rows := [_row(outcome) for outcome in outcomes if outcome.result is result]:
                    await connection.execute(_noted(result, now), rows)

    async def of_events(self, sequences: Collection[int]) -> dict[int, list[DeliveryReport]]:
        """Return how far these events have come, by sequence number: one report for each of their targets."""
        query = sa.select(deliveries).where(deliveries.c.sequence.in_(sequences)).order_by(deliveries.c.delivery_id)
        found: dict[int, list[DeliveryReport]] = {sequence: [] for sequence in sequences}
        async with self._database.reading() as connection:
            for row in await connection.execute(query):
                found[row.sequence].append(_report(row))
        return found

    def undelivered(self) -> sa.Select[tuple[int]]:
        """Return the query for the numbers of events that some target does not have: pending, or set aside."""
        return sa.select(deliveries.c.sequence).where(
            sa.or_(_PENDING, deliveries.c.outcome != DeliveryResult.DELIVERED.value)
        )

    async def make_due(self, target: SinkTarget | None = None) -> None:
        """Make pending deliveries due at once: of a target that answers again, or of all after a restart."""
        now = self._clock.now()
        waiting = _PENDING & (deliveries.c.due_at > now)
        if target is not None:
            waiting &= _to(target)
        async with self._database.transaction() as connection:
            await connection.execute(deliveries.update().where(waiting).values(due_at=now))

    def _is_due(self) -> sa.ColumnElement[bool]:
        """Return what holds for deliveries that may be tried now: a first attempt may always.

        A retry that is further away than any ever is was dated by a clock that has been set back since.
        """
        now = self._clock.now()
        due_at = deliveries.c.due_at
        return sa.or_(deliveries.c.attempts == 0, due_at <= now, due_at > now + self._longest_retry)

    async def set_aside_posted_before(
        self, connection: AsyncConnection, posted_before: datetime
    ) -> list[tuple[SinkTarget, int]]:
        """Set aside what was posted long ago, within the caller's transaction; return how many of each target."""
        old = sa.select(events.c.sequence).where(events.c.posted_at <= posted_before)
        too_old = _PENDING & deliveries.c.sequence.in_(old)
        counts = (
            sa.select(deliveries.c.kind, deliveries.c.target_arn, sa.func.count().label("pending"))
            .where(too_old)
            .group_by(deliveries.c.kind, deliveries.c.target_arn)
        )
        found = [(SinkTarget(row.kind, row.target_arn), row.pending) for row in await connection.execute(counts)]
        await connection.execute(
            deliveries.update()
            .where(too_old)
            .values(finished_at=self._clock.now(), outcome=DeliveryResult.SET_ASIDE.value)
        )
        return found


def _to(target: SinkTarget) -> sa.ColumnElement[bool]:
    return (deliveries.c.kind == target.kind) & (deliveries.c.target_arn == target.arn)


def _noted(result: DeliveryResult, now: datetime) -> sa.Update:
    attempted = (
        deliveries.update()
        .where(deliveries.c.delivery_id == sa.bindparam("id"), _PENDING)
        .values(attempts=deliveries.c.attempts + 1, reason=sa.bindparam("why"))
    )
    if result is DeliveryResult.FAILED:
        return attempted.values(due_at=sa.bindparam("retry_at"))
    return attempted.values(finished_at=now, outcome=result.value)


def _row(outcome: DeliveryOutcome) -> dict[str, object]:
    retry_at = {} if outcome.retry_at is None else {"retry_at": outcome.retry_at}
    return {"id": outcome.delivery_id, "why": _short(outcome.reason), **retry_at}


def _report(row: sa.Row[Any]) -> DeliveryReport:
    state: DeliveryState = "pending" if row.finished_at is None else row.outcome
    return DeliveryReport(SinkTarget(row.kind, row.target_arn), state, row.attempts, row.reason)


def _short(reason: str | None) -> str | None:
    return None if reason is None else reason[:_REASON_CHARACTERS]


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(row.delivery_id, event_from(row), row.attempts, row.posted_at)


def event_from(row: sa.Row[Any]) -> Event:
    """Return the event of a row that has all of an event's columns."""
    return Event(row.event_id, row.detail_type, row.at, msgspec.json.decode(row.body), row.task_id, row.pipeline_id)
