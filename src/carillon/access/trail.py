"""The audit trail: who did what to which resource, when, from where, and with what result.

Rows can be added and, once they are old, removed; the database itself refuses everything else. They are gathered in
memory and written a few times a second, so that no request waits for them; a clean stop writes what is left.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from anyio import CancelScope, Event, create_task_group, move_on_after, sleep
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.access.access_log import AccessLogRecord
from carillon.access.resources import canonical, required_permissions
from carillon.arns import AwsAccount
from carillon.bounds import Count, OptionalSeconds
from carillon.clock import Clock
from carillon.concurrency import Notifier, repeatedly
from carillon.storage import Database, RowNumber, Timestamp, metadata
from carillon.telemetry import get_logger

TASK: Final = "task"
"""Source of a row of which no request was the cause: an answer of a task."""

COMMAND: Final = "cli"
"""Source of a row that a command on this machine wrote, which signs nothing."""

_READS: Final = ("Get", "List", "Describe", "Search")
_DENIED: Final = frozenset({401, 403})
_SWEEP_SECONDS: Final = 3600.0
_STOP_SECONDS: Final = 10.0
_STRANGER_SECONDS: Final = 60.0
_MOST_STRANGERS: Final = 1024
_LONGEST_RESOURCE: Final = 1024

log = get_logger()

_rows: Final = sa.Table(
    "audit_trail",
    metadata,
    sa.Column("sequence", RowNumber, primary_key=True, autoincrement=True),
    sa.Column("at", Timestamp, nullable=False, index=True),
    sa.Column("access_key_id", sa.String(128), nullable=False),
    sa.Column("action", sa.String(128), nullable=False),
    sa.Column("resource", sa.String(_LONGEST_RESOURCE), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("error", sa.String(128)),
    sa.Column("request_id", sa.String(36), nullable=False),
    sa.Column("details", sa.JSON(none_as_null=True)),
    sqlite_autoincrement=True,
)

_TRIGGERS: Final[Mapping[str, Sequence[str]]] = {  # what is older than a day may be due, and may go
    "sqlite": (
        (
            "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ),
        (
            "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail "
            "WHEN OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 86400) * 1000000 "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION refuse_change_of_audit_trail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        ),
        (
            "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
        (
            "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail FOR EACH ROW "
            "WHEN (OLD.at > (extract(epoch FROM clock_timestamp())::bigint - 86400) * 1000000) "
            "EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
        (
            "CREATE TRIGGER audit_trail_no_truncate BEFORE TRUNCATE ON audit_trail "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
    ),
}


def _protect(_table: sa.Table, connection: sa.Connection, **_options: object) -> None:
    """Have the database itself refuse changes, as the migration does."""
    for statement in _TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)


sa.event.listen(_rows, "after_create", _protect)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is written down of what clients do."""

    is_on: bool = True
    """Whether there is an audit trail."""
    reads: bool = False
    """Also requests that change nothing (Get, List, Describe, Search); denied ones are always written down."""
    kept_days: Annotated[int, Meta(ge=0, le=36_500)] = 365
    """How long; at least one day. 0 means for ever."""
    write_seconds: OptionalSeconds = 0.2
    """How long rows may wait in memory to be written together; what a crash can lose."""
    most_waiting: Count = 10_000
    """How many rows may wait; beyond it requests wait for the database."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the trail."""

    at: datetime
    access_key_id: str
    """Whose signature it was, or seemed to be; empty for a stranger."""
    action: str
    resource: str
    source: str
    """The client's address; `cli` for a command on this machine and `task` for a task, which sign nothing."""
    status: int
    error: str | None
    request_id: str
    """Or the id of the task that answered."""
    details: Mapping[str, Any] | None = None
    """What an answer was made from; None for requests."""


class AuditTrail:
    """Gathers rows, and writes them while it is entered (see `recording`)."""

    def __init__(self, database: Database, account: AwsAccount, clock: Clock, settings: AuditSettings) -> None:
        self._database = database
        self._account = account
        self._clock = clock
        self._settings = settings
        self._waiting: list[AuditRow] = []
        self._has_rows = Event()
        self._room = Notifier()
        self._is_closing = False
        self._strangers: dict[tuple[str, str], float] = {}

    async def note(self, record: AccessLogRecord) -> None:
        """Add a row for a request if it is one to write down; wait only while too many rows do."""
        if not self._is_notable(record):
            return
        while len(self._waiting) >= self._settings.most_waiting and not self._is_closing:
            await self._room.next_event.wait()
        action = f"{record.family}:{record.operation}"
        self._waiting.append(
            AuditRow(
                at=self._clock.now(),
                access_key_id=record.caller,
                action=action,
                resource=(await self._resource(action, record))[:_LONGEST_RESOURCE],
                source=record.source,
                status=record.status,
                error=record.error,
                request_id=record.request_id,
            )
        )
        self._has_rows.set()

    def _is_notable(self, record: AccessLogRecord) -> bool:
        if record.is_proven:
            changes = bool(record.operation) and not record.operation.startswith(_READS)
            return changes or record.status in _DENIED or self._settings.reads
        return record.status in _DENIED and self._is_new_stranger(record)

    def _is_new_stranger(self, record: AccessLogRecord) -> bool:
        """Return whether to write down a refusal without proof of identity: one a minute for each address and reason.

        Anybody can cause them, so they must not be able to fill the disk.
        """
        now = self._clock.monotonic()
        asked = (record.source, f"{record.caller} {record.error}")
        if self._strangers.get(asked, -_STRANGER_SECONDS) > now - _STRANGER_SECONDS:
            return False
        if len(self._strangers) >= _MOST_STRANGERS:
            fresh = {one: at for one, at in self._strangers.items() if at > now - _STRANGER_SECONDS}
            self._strangers = fresh
            if len(fresh) >= _MOST_STRANGERS:
                return False
        self._strangers[asked] = now
        return True

    async def _resource(self, action: str, record: AccessLogRecord) -> str:
        if record.operation.startswith("Create") and record.answer is not None:
            made = _arn_in(record.answer)
            if made is not None:
                return canonical(made)
        if record.request is None:
            return ""
        found = await required_permissions(action, record.request, self._account, None)
        return found[0].resource

    async def write(self) -> None:
        """Write what waits, in one transaction; on failure it goes on waiting."""
        batch = self._waiting[: self._settings.most_waiting]
        if not batch:
            return
        await write_trail(self._database, batch)
        del self._waiting[: len(batch)]
        self._room.notify()

    async def sweep(self) -> None:
        """Remove rows that are old enough."""
        if self._settings.kept_days <= 0:
            return
        before = self._clock.now() - timedelta(days=self._settings.kept_days)
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(_rows).where(_rows.c.at < before))

    async def keep_writing(self) -> None:
        """Write rows as they come, until cancelled."""
        while True:
            self._has_rows = Event()
            if not self._waiting:
                await self._has_rows.wait()
            await sleep(self._settings.write_seconds)
            with CancelScope(shield=True):  # A stop must not tear a write; `close` does the rest.
                await self._write_if_possible()

    async def keep_sweeping(self) -> None:
        """Remove old rows every now and then, until cancelled."""
        await repeatedly(self.sweep, _SWEEP_SECONDS, self._clock, "audit.not_swept", at_once=True)

    async def close(self) -> None:
        """Write what is left, also while being cancelled, for as long as a stop may take."""
        self._is_closing = True
        self._room.notify()
        with move_on_after(_STOP_SECONDS, shield=True):
            while self._waiting:
                if not await self._write_if_possible():
                    await sleep(self._settings.write_seconds)
        if self._waiting:
            log.error("audit.lost", rows=len(self._waiting))

    async def _write_if_possible(self) -> bool:
        try:
            await self.write()
        except Exception as error:  # whatever ails the database: the rows wait, and the log says so
            log.error("audit.not_written", error=type(error).__name__, rows=len(self._waiting))
            return False
        return True


@asynccontextmanager
async def recording(
    database: Database, account: AwsAccount, clock: Clock, settings: AuditSettings
) -> AsyncIterator[AuditTrail]:
    """Yield a trail whose rows are written meanwhile, all of them by the end."""
    trail = AuditTrail(database, account, clock, settings)
    try:
        async with create_task_group() as group:
            group.start_soon(trail.keep_writing)
            group.start_soon(trail.keep_sweeping)
            yield trail
            group.cancel_scope.cancel()
    finally:
        await trail.close()


async def write_trail(database: Database, rows: Sequence[AuditRow]) -> None:
    """Add rows, in one transaction: for whoever changes something without a request."""
    async with database.transaction(beside_others=True) as connection:
        await add_to_trail(connection, rows)


async def add_to_trail(connection: AsyncConnection, rows: Sequence[AuditRow]) -> None:
    """Add rows, in a transaction of which they are a part."""
    values = [{field.name: getattr(row, field.name) for field in fields(AuditRow)} for row in rows]
    await connection.execute(sa.insert(_rows), values)


async def read_trail(
    database: Database, after: int, limit: int, since: datetime | None = None, action: str = ""
) -> Sequence[tuple[int, AuditRow]]:
    """Return up to `limit` rows after a sequence number, oldest first.

    Args:
        database: holds the trail.
        after: 0 begins at the oldest row.
        limit: how many at most.
        since: only rows from then on.
        action: only rows whose action contains this, without regard to case.
    """
    query = sa.select(_rows).where(_rows.c.sequence > after).order_by(_rows.c.sequence).limit(limit)
    if since is not None:
        query = query.where(_rows.c.at >= since)
    if action:
        query = query.where(sa.func.lower(_rows.c.action).contains(action.lower(), autoescape=True))
    async with database.reading() as connection:
        found = (await connection.execute(query)).mappings().all()
    return [(row["sequence"], AuditRow(**{field.name: row[field.name] for field in fields(AuditRow)})) for row in found]


def _arn_in(answer: Mapping[str, Any]) -> str | None:
    """Return the ARN of what an operation made: `{"Domain": {"DomainArn": ...}}` or `{"StreamARN": ...}`."""
    for name, value in answer.items():
        if isinstance(value, Mapping):
            inner = _arn_in(value)
            if inner is not None:
                return inner
        elif isinstance(value, str) and name.endswith(("Arn", "ARN")) and ":kms:" not in value:
            return value
    return None
