"""Keeps a runner alive for every pipeline that has tasks, and keeps house: limits of time, and expiry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from anyio import CapacityLimiter, Event, create_task_group, move_on_after
from anyio.abc import TaskGroup

from carillon.clock import Clock
from carillon.notifications import Outbox
from carillon.pipelines import Pipeline, Pipelines, PipelineState, WrongPipelineState
from carillon.profiles import Profiles
from carillon.storage import Database
from carillon.tasks.analyses import Analyses
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, Task
from carillon.tasks.reading import OpenStream
from carillon.tasks.runner import Runner
from carillon.tasks.settings import Settings
from carillon.tasks.store import TaskStore
from carillon.tasks.worker import Worker
from carillon.telemetry import get_logger

log = get_logger()


class Supervisor:
    """The parent of every runner in this process.

    With `same_clock`, streams are timed by our own clock: a task then begins exactly with the fragment that was the
    newest when it was asked for, however long opening the stream takes; else with the newest on opening.
    """

    def __init__(
        self,
        database: Database,
        pipelines: Pipelines,
        profiles: Profiles,
        store: TaskStore,
        lifecycle: Lifecycle,
        outbox: Outbox,
        open_stream: OpenStream,
        analyses: Analyses,
        clock: Clock,
        settings: Settings,
        *,
        same_clock: bool,
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._profiles = profiles
        self._store = store
        self._lifecycle = lifecycle
        self._outbox = outbox
        self._open_stream = open_stream
        self._analyses = analyses
        self._clock = clock
        self._settings = settings
        self._same_clock = same_clock
        self._limiter = CapacityLimiter(settings.analysis_threads)
        self._runners: dict[str, Runner] = {}
        self._group: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up every pipeline that was active, and run until the block is left."""
        async with create_task_group() as group:
            self._group = group
            for pipeline in await self._pipelines.active():
                if pipeline.state not in (PipelineState.NOT_STARTED, PipelineState.PAUSED):
                    log.info("pipeline.resumed", pipeline_id=pipeline.id, state=pipeline.state.value)
                    self._start(pipeline, is_resuming=True)
            group.start_soon(self._keep_house)
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    def wake(self, pipeline: Pipeline) -> None:
        """Something about a pipeline's tasks has changed in the database."""
        runner = self._runners.get(pipeline.id)
        if runner is not None:
            runner.wake()
        elif self._group is not None:
            self._start(pipeline, is_resuming=False)

    def _start(self, pipeline: Pipeline, *, is_resuming: bool) -> None:
        assert self._group is not None
        runner = Runner(
            pipeline,
            self._database,
            self._pipelines,
            self._store,
            self._lifecycle,
            self._open_stream,
            self._make_worker,
            self._clock,
            self._settings,
            is_exact=self._same_clock or is_resuming,
        )
        self._runners[pipeline.id] = runner
        self._group.start_soon(self._run, pipeline, runner)

    async def _run(self, pipeline: Pipeline, runner: Runner) -> None:
        try:
            await runner.run()
        except Exception as error:  # one pipeline's failure is its own: the others go on
            log.error("pipeline.crashed", pipeline_id=pipeline.id, error=type(error).__name__, exc_info=True)
            await self._lifecycle.end_pipeline(pipeline, failure="An internal error ended the pipeline.")
        finally:
            del self._runners[pipeline.id]

    def _make_worker(self, task: Task, pipeline: Pipeline, checkpoint: Checkpoint | None) -> Worker[object]:
        analysis = self._analyses.make(task, pipeline, checkpoint)
        return Worker(task, pipeline, analysis, checkpoint, self._store, self._lifecycle, self._limiter, self._settings)

    async def _keep_house(self) -> None:
        while True:
            with move_on_after(self._settings.housekeeping_seconds):
                await Event().wait()
            await self.keep_house_once()

    async def keep_house_once(self) -> None:
        """Stop what has run or paused for too long; delete what has been kept for long enough."""
        for pipeline in await self._pipelines.active():
            if self._is_overdue(pipeline):
                await self._stop(pipeline)
        async with self._database.transaction() as connection:
            await self._store.sweep(connection, timedelta(days=self._settings.kept_days))
            await self._pipelines.sweep(connection)
        await self._profiles.sweep()
        await self._outbox.sweep()

    def _is_overdue(self, pipeline: Pipeline) -> bool:
        now = self._clock.now()
        if pipeline.state is PipelineState.STOPPING:
            return False
        if pipeline.state is PipelineState.PAUSED:
            return now - pipeline.updated_at >= timedelta(hours=self._settings.longest_pause_hours)
        return now - pipeline.created_at >= timedelta(hours=self._settings.longest_call_hours)

    async def _stop(self, pipeline: Pipeline) -> None:
        try:
            async with self._database.transaction() as connection:
                current = await self._pipelines.find_in(connection, pipeline.id)
                await self._lifecycle.stop_pipeline(connection, current)
        except WrongPipelineState:
            return
        self.wake(pipeline)
