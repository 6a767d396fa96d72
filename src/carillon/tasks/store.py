"""Rows of tasks. A result, the checkpoint behind it and the event that tells of it are one transaction.

States change by compare-and-set: an update names the states that it may leave, so a Stop that comes while a chunk is
being committed is never overwritten.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.analysis.speaker import SpeakerChanged
from carillon.clock import Clock
from carillon.notifications import Event, Outbox, SinkTarget
from carillon.pipelines import Leg, Pipeline, is_visible
from carillon.profiles import Profiles, Voiceprint
from carillon.storage import LONG, Database, Timestamp, Vault, metadata
from carillon.tasks.identification import Identification
from carillon.tasks.leases import Lease
from carillon.tasks.model import ACTIVE, ENDED, TRANSITIONS, Checkpoint, Task, TaskKind, TaskNotFound, TaskState
from carillon.tasks.results import PublishedResult, TaskResults, keep_result

_LONGEST_MESSAGE: Final = 1024
_SWEPT_AT_ONCE: Final = 50  # each with some hundred results; more would keep other writers waiting

_tasks: Final = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("pipeline_id", sa.String(36), nullable=False, index=True),
    sa.Column("stream_arn", sa.String(1024), nullable=False),
    sa.Column("channel_id", sa.Integer, nullable=False),
    sa.Column("leg", sa.LargeBinary, nullable=False),
    sa.Column("domain_id", sa.String(64), index=True),
    sa.Column("language", sa.String(16)),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("start_fragment", sa.String(128)),
    sa.Column("message", sa.String(_LONGEST_MESSAGE)),
    sa.Column("checkpoint", sa.LargeBinary),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
)
_FIND: Final = sa.select(_tasks).where(_tasks.c.id == sa.bindparam("task_id"))
_FIND_VISIBLE: Final = _FIND.where(is_visible(_tasks.c.pipeline_id))


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What a chunk led to, ready to be committed."""

    results: tuple[PublishedResult, ...] = ()
    voiceprint: Voiceprint | None = field(default=None, repr=False)
    identifications: tuple[Identification, ...] = ()
    """What the results were made from."""
    changes: tuple[SpeakerChanged, ...] = ()
    """Of who speaks, that the results tell of."""
    is_final: bool = False
    """The task's work is done; nothing more will come."""

    def __bool__(self) -> bool:
        return bool(self.results or self.identifications) or self.voiceprint is not None or self.is_final

    @property
    def events(self) -> tuple[Event, ...]:
        """Return the events that tell of the results."""
        return tuple(published.event for published in self.results)


class DecisionRecorder(Protocol):
    """Where it is written down what an answer was made from: the trail of `access`, a room above this one."""

    async def explain(self, connection: AsyncConnection, at: datetime, task_id: str, found: Identification) -> None:
        """Write down one answer's explanation, in the transaction of the answer."""
        ...

    async def explain_change(
        self, connection: AsyncConnection, at: datetime, task_id: str, domain_id: str, change: SpeakerChanged
    ) -> None:
        """Write down that somebody else spoke, likewise."""
        ...


class TaskStore:
    """Reads and writes tasks.

    Args:
        explained: keeps the explanations of answers; None keeps none.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        outbox: Outbox,
        profiles: Profiles,
        explained: DecisionRecorder | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._outbox = outbox
        self._profiles = profiles
        self._explained = explained
        self.results = TaskResults(database)

    async def insert(self, connection: AsyncConnection, task: Task) -> None:
        """Add a new task."""
        await connection.execute(
            _tasks.insert().values(
                id=task.id,
                kind=task.kind.value,
                pipeline_id=task.pipeline_id,
                stream_arn=task.leg.stream_arn,
                channel_id=task.leg.channel_id,
                leg=msgspec.json.encode(task.leg),
                domain_id=task.domain_id,
                language=task.language,
                state=task.state.value,
                created_at=task.created_at,
                updated_at=task.updated_at,
            )
        )

    async def find(self, connection: AsyncConnection, task_id: str) -> Task:
        """Find a task by id.

        Raises:
            TaskNotFound: there is none.
        """
        row = (await connection.execute(_FIND, {"task_id": task_id})).first()
        if row is None:
            raise TaskNotFound(task_id)
        return _task_from(row)

    async def seen(
        self, connection: AsyncConnection, pipeline_identifier: str, shown_since: datetime, task_id: str
    ) -> Task | None:
        """Return a task of the pipeline with this id or ARN, None if there is no such task or pipeline.

        Args:
            connection: of the caller's transaction.
            pipeline_identifier: id or ARN.
            shown_since: of `Pipelines`.
            task_id: of the task.
        """
        names = {"task_id": task_id, "identifier": pipeline_identifier, "shown_since": shown_since}
        row = (await connection.execute(_FIND_VISIBLE, names)).first()
        return None if row is None else _task_from(row)

    async def current(self, task_id: str) -> Task:
        """Return a task as it stands now.

        Raises:
            TaskNotFound: there is none.
        """
        async with self._database.reading() as connection:
            return await self.find(connection, task_id)

    async def of_pipeline(
        self, connection: AsyncConnection, pipeline_id: str, states: Collection[TaskState] = ACTIVE
    ) -> list[Task]:
        """Return a pipeline's tasks in these states, oldest first."""
        query = sa.select(_tasks).where(_tasks.c.pipeline_id == pipeline_id, _in(states)).order_by(_tasks.c.created_at)
        return [_task_from(row) for row in await connection.execute(query)]

    async def busy_pipelines(self) -> frozenset[str]:
        """Return the ids of all pipelines with an active task."""
        async with self._database.reading() as connection:
            found = await connection.execute(sa.select(_tasks.c.pipeline_id).where(_in(ACTIVE)).distinct())
            return frozenset(found.scalars())

    async def on_leg(self, connection: AsyncConnection, kind: TaskKind, pipeline_id: str, leg: Leg) -> Task | None:
        """Return the task of this kind that is active on a leg of a pipeline."""
        query = sa.select(_tasks).where(
            _tasks.c.kind == kind.value,
            _tasks.c.pipeline_id == pipeline_id,
            _tasks.c.stream_arn == leg.stream_arn,
            _tasks.c.channel_id == leg.channel_id,
            _in(ACTIVE),
        )
        row = (await connection.execute(query)).first()
        return None if row is None else _task_from(row)

    async def count_active(self, connection: AsyncConnection, kind: TaskKind) -> int:
        """Return how many tasks of a kind are active, over all pipelines."""
        query = sa.select(sa.func.count()).where(_tasks.c.kind == kind.value, _in(ACTIVE))
        return int((await connection.execute(query)).scalar_one())

    async def uses_domain(self, connection: AsyncConnection, domain_id: str) -> bool:
        """Return whether an active speaker search looks into a domain."""
        query = sa.select(_tasks.c.id).where(_tasks.c.domain_id == domain_id, _in(ACTIVE)).limit(1)
        return (await connection.execute(query)).first() is not None

    async def checkpoint(self, pipeline: Pipeline, task_id: str) -> Checkpoint | None:
        """Return where a task can resume, None if it has analyzed nothing yet."""
        async with self._database.reading() as connection:
            query = sa.select(_tasks.c.checkpoint).where(_tasks.c.id == task_id)
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            return None
        return Checkpoint.from_bytes(self._vault.unseal(pipeline.key, sealed, _context(task_id)))

    async def move(
        self, connection: AsyncConnection, task_id: str, state: TaskState, message: str | None = None
    ) -> bool:
        """Take a task to another state if the table of transitions allows it; tell whether it did.

        A message says why; without one the task keeps what was said before. An ended task forgets its checkpoint: the
        speech in it has served its purpose.
        """
        leaves = [old for old, reachable in TRANSITIONS.items() if state in reachable]
        now = self._clock.now()
        values: dict[str, Any] = {"state": state.value, "updated_at": now}
        if message is not None:
            values["message"] = message[:_LONGEST_MESSAGE]
        if state in ENDED:
            values |= {"ended_at": now, "checkpoint": None}
        done = await connection.execute(_tasks.update().where(_tasks.c.id == task_id, _in(leaves)).values(**values))
        return bool(done.rowcount)

    async def begin_after(self, connection: AsyncConnection, task: Task, number: str, at: datetime) -> None:
        """Keep where a task began: after a fragment number, at a time by the endpoint's clock."""
        leg = replace(task.leg, newest_fragment=number, newest_at=at)
        await connection.execute(_tasks.update().where(_tasks.c.id == task.id).values(leg=msgspec.json.encode(leg)))

    async def commit(
        self,
        pipeline: Pipeline,
        task: Task,
        outcome: TaskOutcome,
        checkpoint: Checkpoint | None,
        lease: Lease,
        *,
        ends_as: TaskState | None = None,
        message: str | None = None,
    ) -> bool:
        """Keep what a chunk led to: voiceprint, results, their events, explanations, checkpoint, end: all or nothing.

        Nothing is written for a task that has ended meanwhile; tell whether it was.

        Raises:
            LeaseLost: another process runs the pipeline; nothing was written.
            CommitUnconfirmed: nobody knows whether it was; the checkpoint that is there tells.
        """
        async with self._database.transaction(beside_others=True) as connection:
            await lease.fence(connection)
            current = await self.find(connection, task.id)
            if current.state in ENDED:
                return False
            if outcome.voiceprint is not None:
                await self._profiles.keep_voiceprint(connection, outcome.voiceprint)
            for published in outcome.results:
                await keep_result(connection, task.id, task.kind, published)
                await self._outbox.post(connection, published.event, targets(pipeline))
            if self._explained is not None:
                for found in outcome.identifications:
                    await self._explained.explain(connection, self._clock.now(), task.id, found)
                for change in outcome.changes:
                    assert task.domain_id is not None  # only speaker searches hear changes
                    await self._explained.explain_change(connection, self._clock.now(), task.id, task.domain_id, change)
            if checkpoint is not None and ends_as is None:
                await self._keep_checkpoint(connection, pipeline, task, checkpoint)
            if ends_as is not None:
                if ends_as is TaskState.STOPPED and current.state is not TaskState.RUNNING:
                    await self.move(connection, task.id, TaskState.STOPPING)
                await self.move(connection, task.id, ends_as, message)
        if outcome.results:
            self._outbox.wake()
        return True

    async def explain(self, task_id: str, found: Identification) -> None:
        """Keep the explanation of an answer that changes nothing by itself."""
        if self._explained is not None:
            async with self._database.transaction() as connection:
                await self._explained.explain(connection, self._clock.now(), task_id, found)

    async def _keep_checkpoint(
        self, connection: AsyncConnection, pipeline: Pipeline, task: Task, checkpoint: Checkpoint
    ) -> None:
        sealed = self._vault.seal(pipeline.key, checkpoint.to_bytes(), _context(task.id))
        await connection.execute(
            _tasks.update()
            .where(_tasks.c.id == task.id)
            .values(
                checkpoint=sealed,
                start_fragment=sa.func.coalesce(_tasks.c.start_fragment, checkpoint.fragment_number),
            )
        )

    async def sweep(self, kept: timedelta) -> None:
        """Delete tasks that ended longer ago than they are kept, with their results."""
        old = sa.select(_tasks.c.id).where(_tasks.c.ended_at <= self._clock.now() - kept).limit(_SWEPT_AT_ONCE)
        deletion = _tasks.delete().where(_tasks.c.id.in_(old)).execution_options(**LONG)
        while True:
            async with self._database.transaction() as connection:
                deleted = await connection.execute(deletion)
            if deleted.rowcount < _SWEPT_AT_ONCE:
                return


async def tasks_of(connection: AsyncConnection, pipeline_ids: Collection[str]) -> list[Task]:
    """Return all tasks of some pipelines, oldest first."""
    query = sa.select(_tasks).where(_tasks.c.pipeline_id.in_(pipeline_ids)).order_by(_tasks.c.created_at, _tasks.c.id)
    return [_task_from(row) for row in await connection.execute(query)]


def targets(pipeline: Pipeline) -> tuple[SinkTarget, ...]:
    """Return where a pipeline's notifications go."""
    return tuple(SinkTarget(sink.kind.value, sink.target_arn) for sink in pipeline.elements.sinks if sink.target_arn)


def _context(task_id: str) -> str:
    return f"tasks.checkpoint/{task_id}"


def _in(states: Collection[TaskState]) -> sa.ColumnElement[bool]:
    return _tasks.c.state.in_([state.value for state in states])


def _task_from(row: sa.Row[Any]) -> Task:
    return Task(
        id=row.id,
        kind=TaskKind(row.kind),
        pipeline_id=row.pipeline_id,
        leg=msgspec.json.decode(row.leg, type=Leg),
        state=TaskState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        domain_id=row.domain_id,
        language=row.language,
        start_fragment=row.start_fragment,
        message=row.message,
    )
