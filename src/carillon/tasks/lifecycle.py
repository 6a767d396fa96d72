"""Every change of state of a pipeline and its tasks, each one transaction with the event that tells of it."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import Place
from carillon.clock import Clock
from carillon.notifications import Outbox, PipelineEventType, SinkTarget, pipeline_event
from carillon.pipelines import ACTIVE, Pipeline, Pipelines, PipelineState, WrongPipelineState
from carillon.profiles import Profiles
from carillon.storage import Database
from carillon.tasks.model import ACTIVE as ACTIVE_TASKS
from carillon.tasks.model import STOPPABLE, Task, TaskConflict, TaskState
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


class Lifecycle:
    """Moves pipelines and tasks through their states."""

    def __init__(
        self,
        database: Database,
        pipelines: Pipelines,
        store: TaskStore,
        profiles: Profiles,
        outbox: Outbox,
        place: Place,
        clock: Clock,
        event_bus_arn: str = "",
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._store = store
        self._profiles = profiles
        self._outbox = outbox
        self._place = place
        self._clock = clock
        self._state_targets = (SinkTarget("EventBridge", event_bus_arn),) if event_bus_arn else ()

    async def opening(self, task: Task) -> None:
        """A runner has taken a task and waits for its audio."""
        async with self._database.transaction() as connection:
            await self._store.move(connection, task.id, TaskState.OPENING)

    async def hearing(self, task: Task) -> None:
        """The first audio of a task was decoded: it runs, and so does its pipeline."""
        async with self._database.transaction() as connection:
            await self._store.move(connection, task.id, TaskState.OPENING)
            await self._store.move(connection, task.id, TaskState.RUNNING)
            pipeline = await self._pipelines.find_in(connection, task.pipeline_id)
            if pipeline.state is PipelineState.INITIALIZING:
                await self._move(connection, pipeline, PipelineState.IN_PROGRESS)
        self._outbox.wake()

    async def stop_task(self, connection: AsyncConnection, task: Task) -> None:
        """Take a task's audio away; its runner then sends the last events.

        Raises:
            TaskConflict: it is stopping already, or has ended.
        """
        if task.state not in STOPPABLE:
            raise TaskConflict(f"Task {task.id} is {task.state.value}; only an active task can be stopped.")
        await self._store.move(connection, task.id, TaskState.STOPPING)

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
        for task in await self._store.of_pipeline(connection, pipeline.id, STOPPABLE):
            await self._store.move(connection, task.id, TaskState.STOPPING)

    async def end_pipeline(self, pipeline: Pipeline, *, failure: str | None = None) -> None:
        """Every task has ended: so does the pipeline, and with it the call.

        From here its voiceprints are kept for another 24 hours.
        """
        state = PipelineState.STOPPED if failure is None else PipelineState.FAILED
        async with self._database.transaction() as connection:
            current = await self._pipelines.find_in(connection, pipeline.id)
            if current.state not in ACTIVE:
                return
            if current.state is not PipelineState.STOPPING:
                await self._move(connection, current, PipelineState.STOPPING)
            await self._move(connection, current, state, failure)
            tasks = await self._store.of_pipeline(connection, pipeline.id, frozenset(TaskState))
            for task in tasks:
                if task.state in ACTIVE_TASKS:  # its runner broke: nobody else will end it
                    await self._store.move(connection, task.id, TaskState.FAILED, failure)
            await self._profiles.end_call(connection, [task.id for task in tasks], self._clock.now())
        self._outbox.wake()

    async def _move(
        self, connection: AsyncConnection, pipeline: Pipeline, state: PipelineState, failure: str | None = None
    ) -> None:
        moved = await self._pipelines.move(connection, pipeline, state)
        log.info("pipeline.moved", pipeline_id=pipeline.id, state=state.value, failure=failure)
        if state not in _TOLD:
            return
        event = pipeline_event(
            self._place,
            pipeline_id=moved.id,
            pipeline_arn=moved.arn,
            event_type=_TOLD[state],
            at=self._clock.now(),
            metadata=moved.metadata,
            failure_reason=failure,
        )
        await self._outbox.post(connection, event, self._state_targets)
