"""Results: what tasks found out, each a row that is written in the transaction of the event that tells of it.

Who asks for results reads these, not notifications: how those are spelled and how long they are kept is another matter.
Like an event a result holds nothing of a voice, only ids, confidences, labels and times; it goes with its task. What
extensions add to a report of tone, words among it, is in the event alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.notifications import Event, ProfileMatch, SpeakerSearchStatus, ToneWindow, VoiceToneStatus
from carillon.storage import Database, RowNumber, metadata
from carillon.tasks.model import TaskKind

_results: Final = sa.Table(
    "task_results",
    metadata,
    sa.Column("sequence", RowNumber, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""`kind` is the task's; `value` is a `SearchResult` or a `ToneResult` as JSON."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a speaker search found out at one moment."""

    at: datetime
    status: SpeakerSearchStatus
    matches: tuple[ProfileMatch, ...] = ()
    """Best first; of IDENTIFIED and LIKELY only."""
    change: float | None = None
    """How sure it is that somebody else speaks, in [0, 1]; of CHANGED only."""
    message: str | None = None
    """What happened, for people."""


@dataclass(frozen=True, slots=True)
class ToneResult:
    """What a voice tone analysis found out at one moment."""

    at: datetime
    status: VoiceToneStatus
    current: ToneWindow | None = None
    """The last 30 s; None only if it failed. So with `overall`."""
    overall: ToneWindow | None = None
    """Everything since the task started."""
    message: str | None = None
    """What happened, for people."""


TaskResult = SearchResult | ToneResult
_Result = TypeVar("_Result", SearchResult, ToneResult)
_TYPES: Final[Mapping[TaskKind, type[TaskResult]]] = {
    TaskKind.SPEAKER_SEARCH: SearchResult,
    TaskKind.VOICE_TONE: ToneResult,
}


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A result, and the event that was made of it."""

    result: TaskResult
    event: Event


async def keep_result(connection: AsyncConnection, task_id: str, kind: TaskKind, published: PublishedResult) -> None:
    """Write a result, in the transaction that posts its event."""
    value = msgspec.json.encode(published.result)
    await connection.execute(
        _results.insert().values(task_id=task_id, event_id=published.event.id, kind=kind.value, value=value)
    )


class TaskResults:
    """Reads results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_task(self, task_id: str, kind: type[_Result]) -> list[_Result]:
        """Return the results of a speaker search or of a voice tone analysis, oldest first."""
        query = sa.select(_results.c.value).where(_results.c.task_id == task_id).order_by(_results.c.sequence)
        async with self._database.reading() as connection:
            return [msgspec.json.decode(value, type=kind) for value in (await connection.execute(query)).scalars()]

    async def of_events(self, event_ids: Collection[str]) -> Mapping[str, TaskResult]:
        """Return the results that events tell of, by the ids of these events; most others tell of none."""
        query = sa.select(_results).where(_results.c.event_id.in_(event_ids))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {row.event_id: msgspec.json.decode(row.value, type=_TYPES[TaskKind(row.kind)]) for row in rows}
