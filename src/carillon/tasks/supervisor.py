"""Keeps a runner alive for every pipeline that has tasks, and keeps house: limits of time, and expiry.

There may be one in each of several processes. Each runs the pipelines whose lease it holds, and looks now and then for
those that nobody holds any more (`leases.py`); keeping house, they may do the same chore twice and come to the same.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from anyio import CancelScope, CapacityLimiter, create_task_group
from anyio.abc import TaskGroup

from carillon.clock import Clock, StallDetector
from carillon.concurrency import repeatedly
from carillon.errors import CarillonError, Transient
from carillon.notifications import Outbox
from carillon.pipelines import Pipeline, PipelineNotFound, Pipelines, PipelineState, WrongPipelineState
from carillon.profiles import Profiles
from carillon.storage import Database
from carillon.tasks.analyses import Analyses
from carillon.tasks.lag import Lag
from carillon.tasks.leases import Lease, LeaseLost, Leases
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, Task
from carillon.tasks.reading import OpenStream
from carillon.tasks.runner import Runner
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskStore
from carillon.tasks.worker import Worker
from carillon.telemetry import get_logger, log_failure

log = get_logger()


class Supervisor:
    """The parent of every runner in this process."""

    def __init__(
        self,
        *,
        database: Database,
        pipelines: Pipelines,
        profiles: Profiles,
        store: TaskStore,
        lifecycle: Lifecycle,
        leases: Leases,
        outbox: Outbox,
        open_stream: OpenStream,
        analyses: Analyses,
        clock: Clock,
        settings: TaskSettings,
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._profiles = profiles
        self._store = store
        self._lifecycle = lifecycle
        self._leases = leases
        self._outbox = outbox
        self._open_stream = open_stream
        self._analyses = analyses
        self._clock = clock
        self._settings = settings
        self._stalls = StallDetector(clock)
        self._limiter = CapacityLimiter(settings.analysis_threads)
        self._lag = Lag(clock, settings.behind_seconds)
        self._runners: dict[str, Runner] = {}  # of pipelines whose lease we hold, or are about to take
        self._held: dict[Lease, CancelScope] = {}
        self._ages: dict[tuple[str, datetime], tuple[float, timedelta]] = {}  # since when, and how old it was then
        self._group: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up every pipeline that was active, and run until the block is left."""
        with self._leases.held(), self._lag.shown():
            async with create_task_group() as group:
                self._group = group
                group.start_soon(self._stalls.run)
                await self._take_up()
                for act, seconds, failed in (
                    (self._keep_leases, self._settings.lease_seconds / 3, "leases.not_renewed"),
                    (self.keep_house, self._settings.housekeeping_seconds, "housekeeping.failed"),
                ):
                    group.start_soon(repeatedly, act, seconds, self._clock, failed)
                try:
                    yield
                finally:
                    self._group = None
                    group.cancel_scope.cancel()

    def wake(self, pipeline: Pipeline) -> None:
        """Something about a pipeline's tasks has changed in the database."""
        runner = self._runners.get(pipeline.id)
        if runner is not None and not runner.is_over:
            runner.wake()
        else:
            self._start(pipeline)

    async def _take_up(self) -> None:
        """Give a runner to every pipeline that needs one and has none: after a start, or after a runner was lost."""
        busy = await self._store.busy_pipelines()  # one that is paused may still have last events to send
        for pipeline in await self._pipelines.active():
            is_idle = pipeline.state in (PipelineState.NOT_STARTED, PipelineState.PAUSED) and pipeline.id not in busy
            if not is_idle and pipeline.id not in self._runners:
                self._start(pipeline, is_resumed=True)

    def _start(self, pipeline: Pipeline, *, is_resumed: bool = False) -> None:
        if self._group is None or not self._settings.run_here:  # whoever runs next takes it up
            return
        self._age(pipeline.id, pipeline.created_at)
        runner = Runner(
            pipeline=pipeline,
            database=self._database,
            pipelines=self._pipelines,
            store=self._store,
            lifecycle=self._lifecycle,
            open_stream=self._open_stream,
            make_worker=self._make_worker,
            clock=self._clock,
            settings=self._settings,
            stalls=self._stalls,
        )
        self._runners[pipeline.id] = runner
        self._group.start_soon(self._run, pipeline, runner, is_resumed)

    async def _run(self, pipeline: Pipeline, runner: Runner, is_resumed: bool) -> None:
        """Run a pipeline to its end, or until another process does, if none does now."""
        lease: Lease | None = None
        try:
            if (lease := await self._leases.acquire(pipeline.id)) is None:
                return
            if is_resumed:
                log.info("pipeline.resumed", pipeline_id=pipeline.id, state=pipeline.state.value, epoch=lease.epoch)
            await self._run_under(lease, pipeline, runner)
        except Transient as error:  # the next look for pipelines that nobody runs finds it
            log.warning("pipeline.held_up", pipeline_id=pipeline.id, reason=str(error))
        finally:
            if self._runners.get(pipeline.id) is runner:
                del self._runners[pipeline.id]
            if lease is not None:
                await self._release(lease)

    async def _run_under(self, lease: Lease, pipeline: Pipeline, runner: Runner) -> None:
        with CancelScope() as scope:
            self._held[lease] = scope
            try:
                await runner.run(lease)
            except* LeaseLost:
                scope.cancel()
            except* Exception as group:  # one pipeline's failure is its own: the others go on
                kind = type(group.exceptions[0]).__name__
                log.error("pipeline.crashed", pipeline_id=pipeline.id, error=kind, exc_info=True)
                await self._abandon(lease, pipeline, runner)
            finally:
                del self._held[lease]
        if scope.cancel_called:
            log.warning("pipeline.taken_over", pipeline_id=pipeline.id, epoch=lease.epoch)

    async def _abandon(self, lease: Lease, pipeline: Pipeline, runner: Runner) -> None:
        try:
            await runner.abandon(lease)
        except Exception as error:  # housekeeping will take it up again
            log_failure(log, "pipeline.left", error, pipeline_id=pipeline.id)

    async def _release(self, lease: Lease) -> None:
        with CancelScope(shield=True):  # so that another process need not wait until it has expired
            try:
                await self._leases.release(lease)
            except CarillonError as error:
                log.warning("pipeline.lease_kept", pipeline_id=lease.pipeline_id, reason=str(error))

    async def _keep_leases(self) -> None:
        for lost in await self._leases.renew(tuple(self._held)):
            if (scope := self._held.get(lost)) is not None:
                scope.cancel()
        await self._take_up()

    def _make_worker(
        self, task: Task, pipeline: Pipeline, lease: Lease, checkpoint: Checkpoint | None
    ) -> Worker[object]:
        return Worker(
            task=task,
            pipeline=pipeline,
            lease=lease,
            analysis=self._analyses.make(task, pipeline, checkpoint),
            checkpoint=checkpoint,
            store=self._store,
            lifecycle=self._lifecycle,
            limiter=self._limiter,
            lag=self._lag,
            settings=self._settings,
        )

    async def keep_house(self) -> None:
        """Stop what has run or paused for too long; delete what has been kept for long enough."""
        for chore in (self._stop_overdue, self._take_up, self._forget_old, self._profiles.sweep, self._outbox.sweep):
            try:
                await chore()
            except Exception as error:  # a busy database now does not mean that there is no next time
                log_failure(log, "housekeeping.failed", error, chore=chore.__qualname__)

    async def _stop_overdue(self) -> None:
        active = await self._pipelines.active()
        ids = {pipeline.id for pipeline in active}
        self._ages = {key: age for key, age in self._ages.items() if key[0] in ids}
        for pipeline in active:
            if self._is_overdue(pipeline):
                await self._stop(pipeline)

    async def _forget_old(self) -> None:
        await self._store.sweep(timedelta(days=self._settings.kept_days))
        async with self._database.transaction() as connection:
            await self._leases.sweep(connection)
            await self._pipelines.sweep(connection)

    def _is_overdue(self, pipeline: Pipeline) -> bool:
        if pipeline.state is PipelineState.STOPPING:
            return False
        age = self._age(pipeline.id, pipeline.created_at)
        paused = self._age(pipeline.id, pipeline.updated_at) if pipeline.state is PipelineState.PAUSED else timedelta()
        return age >= timedelta(hours=self._settings.longest_call_hours) or paused >= timedelta(
            hours=self._settings.longest_pause_hours
        )

    def _age(self, pipeline_id: str, since: datetime) -> timedelta:
        """Return how long ago that was, however the wall clock has been set since we first looked."""
        monotonic = self._clock.monotonic()
        first = (monotonic, max(timedelta(), self._clock.now() - since))
        looked_at, age = self._ages.setdefault((pipeline_id, since), first)
        return age + timedelta(seconds=monotonic - looked_at)

    async def _stop(self, pipeline: Pipeline) -> None:
        try:
            async with self._database.transaction() as connection:
                current = await self._pipelines.find_in(connection, pipeline.id)
                await self._lifecycle.stop_pipeline(connection, current)
        except (WrongPipelineState, PipelineNotFound):
            return  # it has ended meanwhile
        log.info("pipeline.overdue", pipeline_id=pipeline.id)
        self.wake(pipeline)
