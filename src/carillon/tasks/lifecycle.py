"""Every change of state of a pipeline and its tasks, each one transaction with the event that tells of it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.clock import Clock
from carillon.media import Fragment
from carillon.notifications import Outbox, PipelineEventType, SinkTarget, pipeline_event
from carillon.pipelines import ACTIVE, Pipeline, Pipelines, PipelineState, WrongPipelineState
from carillon.profiles import Profiles
from carillon.storage import Database
from carillon.tasks.leases import Lease
from carillon.tasks.model import ACTIVE as ACTIVE_TASKS
from carillon.tasks.model import Task, TaskConflict, TaskState
from carillon.tasks.store import TaskStore
from carillon.telemetry import get_logger

log = get_logger()

_TOLD: Final = {
    PipelineState.IN_PROGRESS: PipelineEventType.IN_PROGRESS,
    PipelineState.PAUSED: PipelineEventType.PAUSED,
    PipelineState.STOPPED: PipelineEventType.STOPPED,
    PipelineState.FAILED: PipelineEventType.PERMANENT_FAILURE,
}
"""AWS: no event type exists for the other states, so none is sent."""

_STOPPED_BY_REQUEST: Final = "The task was stopped."
_PAUSED: Final = "The pipeline was paused."


class Lifecycle:
    """Moves pipelines and tasks through their states."""

    def __init__(
        self,
        *,
        database: Database,
        pipelines: Pipelines,
        store: TaskStore,
        profiles: Profiles,
        outbox: Outbox,
        account: AwsAccount,
        clock: Clock,
        event_bus_arn: str = "",
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._store = store
        self._profiles = profiles
        self._outbox = outbox
        self._account = account
        self._clock = clock
        self._state_targets = (SinkTarget("EventBridge", event_bus_arn),) if event_bus_arn else ()

    async def opening(self, task: Task, lease: Lease) -> None:
        """A runner has taken a task and waits for its audio.

        Raises:
            LeaseLost: another process runs the pipeline. So with all that takes a lease.
        """
        async with self._database.transaction() as connection:
            await lease.fence(connection)
            await self._store.move(connection, task.id, TaskState.OPENING)

    async def hearing(self, task: Task, first: Fragment, lease: Lease) -> None:
        """The first audio of a task was decoded: it runs, and so does its pipeline.

        Where the task began is kept with it: what is "the newest" will be another fragment after a restart.
        """
        async with self._database.transaction() as connection:
            await lease.fence(connection)
            if task.leg.first_fragment is None and task.leg.newest_fragment is None:
                await self._store.begin_after(connection, task, str(int(first.number) - 1), first.server_at)
            await self._store.move(connection, task.id, TaskState.OPENING)
            await self._store.move(connection, task.id, TaskState.RUNNING)
            pipeline = await self._pipelines.find_in(connection, task.pipeline_id)
            if pipeline.state is PipelineState.INITIALIZING:
                await self._move(connection, pipeline, PipelineState.IN_PROGRESS)
        self._outbox.wake()

    async def stop_task(self, connection: AsyncConnection, task: Task) -> None:
        """Take a task's audio away because its caller wants so; its runner then sends the last events.

        Raises:
            TaskConflict: it is stopping already, or has ended.
        """
        if not await self._store.move(connection, task.id, TaskState.STOPPING, _STOPPED_BY_REQUEST):
            raise TaskConflict(f"Task {task.id} is {task.state.value}; only an active task can be stopped.")

    async def started_task(self, connection: AsyncConnection, pipeline: Pipeline) -> None:
        """The first task of a pipeline wakes it."""
        if pipeline.state is PipelineState.NOT_STARTED:
            await self._move(connection, pipeline, PipelineState.INITIALIZING)

    async def stop_pipeline(self, connection: AsyncConnection, pipeline: Pipeline) -> None:
        """Begin the end of a pipeline: its tasks take no more audio and send their last events.

        Raises:
            WrongPipelineState: it is stopping already, or has ended.
        """
        if pipeline.state not in ACTIVE or pipeline.state is PipelineState.STOPPING:
            raise WrongPipelineState(pipeline.id, pipeline.state, "it cannot be stopped again.")
        await self._move(connection, pipeline, PipelineState.STOPPING)
        for task in await self._store.of_pipeline(connection, pipeline.id):
            await self._store.move(connection, task.id, TaskState.STOPPING)

    async def pause(self, connection: AsyncConnection, pipeline: Pipeline) -> None:
        """Stop listening for a while: every task takes no more audio and sends its last events.

        AWS: Resume does not start them again; that needs notice and consent again.

        Raises:
            WrongPipelineState: it is paused already, stopping, or has ended.
        """
        await self._move(connection, pipeline, PipelineState.PAUSED)
        for task in await self._store.of_pipeline(connection, pipeline.id):
            await self._store.move(connection, task.id, TaskState.STOPPING, _PAUSED)

    async def resume(self, connection: AsyncConnection, pipeline: Pipeline) -> None:
        """Listen again, from the newest fragments on, to whatever tasks are started next.

        Raises:
            WrongPipelineState: it is not paused.
        """
        if pipeline.state is not PipelineState.PAUSED:
            raise WrongPipelineState(pipeline.id, pipeline.state, "only a paused one can be resumed.")
        tasks = await self._store.of_pipeline(connection, pipeline.id, frozenset(TaskState))
        await self._move(connection, pipeline, PipelineState.IN_PROGRESS if tasks else PipelineState.NOT_STARTED)

    async def end_if_over(self, pipeline: Pipeline, lease: Lease) -> bool:
        """End a pipeline that is stopping, or of which every task failed, once no task is active; tell whether it has.

        AWS: a pipeline goes on when its tasks have ended, until something stops it; it fails if nothing in it works.

        Raises:
            PipelineNotFound: it is gone.
        """
        async with self._database.reading() as connection:  # asked often, and the answer is mostly no
            if not _is_over(*await self._standing(connection, pipeline)):
                return False
        async with self._database.transaction() as connection:
            await lease.fence(connection)
            current, tasks = await self._standing(connection, pipeline)
            if not _is_over(current, tasks):
                return False
            if current.state in ACTIVE:
                await self._end(connection, current, tasks, _common_failure(tasks))
        self._outbox.wake()
        return True

    async def stop_silent(self, pipeline: Pipeline, lease: Lease) -> None:
        """Begin the end of a pipeline in progress of which a stream has fallen silent."""
        async with self._database.transaction() as connection:
            await lease.fence(connection)
            current = await self._pipelines.find_in(connection, pipeline.id)
            if current.state is PipelineState.IN_PROGRESS:  # else somebody else stopped it first
                await self.stop_pipeline(connection, current)

    async def abandon_pipeline(self, pipeline: Pipeline, failure: str, lease: Lease) -> None:
        """Fail a pipeline that nobody can run, with every task in it that is still active."""
        async with self._database.transaction() as connection:
            await lease.fence(connection)
            current, tasks = await self._standing(connection, pipeline)
            if current.state not in ACTIVE:
                return
            for task in tasks:
                await self._store.move(connection, task.id, TaskState.FAILED, failure)
            await self._end(connection, current, tasks, failure)
        self._outbox.wake()

    async def _standing(self, connection: AsyncConnection, pipeline: Pipeline) -> tuple[Pipeline, list[Task]]:
        """Return a pipeline and all of its tasks as they are now."""
        current = await self._pipelines.find_in(connection, pipeline.id)
        return current, await self._store.of_pipeline(connection, pipeline.id, frozenset(TaskState))

    async def _end(
        self, connection: AsyncConnection, pipeline: Pipeline, tasks: Sequence[Task], failure: str | None
    ) -> None:
        """The call is over: from here its voiceprints are kept for another 24 hours."""
        if pipeline.state is not PipelineState.STOPPING:
            pipeline = await self._move(connection, pipeline, PipelineState.STOPPING)
        state = PipelineState.STOPPED if failure is None else PipelineState.FAILED
        await self._move(connection, pipeline, state, failure)
        await self._profiles.end_call(connection, [task.id for task in tasks], self._clock.now())

    async def _move(
        self, connection: AsyncConnection, pipeline: Pipeline, state: PipelineState, failure: str | None = None
    ) -> Pipeline:
        moved = await self._pipelines.move(connection, pipeline, state)
        why = {} if failure is None else {"failure": failure}
        log.info("pipeline.moved", pipeline_id=pipeline.id, state=state.value, **why)
        if state not in _TOLD:
            return moved
        event = pipeline_event(
            self._account,
            pipeline_id=moved.id,
            pipeline_arn=moved.arn,
            event_type=_TOLD[state],
            at=self._clock.now(),
            metadata=moved.metadata,
            failure_reason=failure,
        )
        await self._outbox.post(connection, event, self._state_targets)
        return moved


def _is_over(pipeline: Pipeline, tasks: Sequence[Task]) -> bool:
    if pipeline.state not in ACTIVE:
        return True
    if any(task.state in ACTIVE_TASKS for task in tasks):
        return False
    return pipeline.state is PipelineState.STOPPING or _common_failure(tasks) is not None


def _common_failure(tasks: Sequence[Task]) -> str | None:
    """Return why a pipeline fails: every one of its tasks did."""
    failed = [task for task in tasks if task.state is TaskState.FAILED]
    if not failed or len(failed) < len(tasks):
        return None
    return failed[0].message or "Every task failed."
