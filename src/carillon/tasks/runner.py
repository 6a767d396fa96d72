"""One runner per pipeline: it reads each stream once, runs a worker for each task, and notices the end of the call.

The database says what must run; a runner only brings about what it says, looks again at every wake and every now and
then, and may be replaced by another at any time. So nothing that goes wrong between two looks is lost.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from anyio import Event, create_task_group
from anyio.abc import TaskGroup

from carillon.clock import Clock, StallDetector
from carillon.errors import CarillonError, Transient
from carillon.media import After, Newest, Oldest, Position
from carillon.pipelines import ACTIVE, Pipeline, PipelineNotFound, Pipelines, PipelineState
from carillon.storage import Database
from carillon.tasks.leases import Lease, LeaseLost
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import ENDED, Checkpoint, Task, TaskState
from carillon.tasks.reading import OpenStream, StreamReading
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskStore
from carillon.tasks.subscription import StreamSubscription
from carillon.tasks.worker import INTERNAL_ERROR, Worker
from carillon.telemetry import get_logger

log = get_logger()

MakeWorker = Callable[[Task, Pipeline, Lease, Checkpoint | None], Worker[Any]]
"""Joins a task with its models; the supervisor knows how."""

_TICKS_BETWEEN_LOOKS: Final = 3
"""A look at the database costs milliseconds, one at the streams next to nothing: in between only the latter."""


class Runner:
    """Runs the tasks of one pipeline until the pipeline has ended."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        database: Database,
        pipelines: Pipelines,
        store: TaskStore,
        lifecycle: Lifecycle,
        open_stream: OpenStream,
        make_worker: MakeWorker,
        clock: Clock,
        settings: TaskSettings,
        stalls: StallDetector,
    ) -> None:
        self._pipeline = pipeline
        self._lease: Lease
        self._database = database
        self._pipelines = pipelines
        self._store = store
        self._lifecycle = lifecycle
        self._make_worker = make_worker
        self._clock = clock
        self._settings = settings
        self._readings: Mapping[str, StreamReading] = {
            source.stream_arn: StreamReading(source.stream_arn, open_stream, clock, stalls, settings.queued_fragments)
            for source in pipeline.sources
        }
        self._subscriptions: dict[
            str, StreamSubscription | None
        ] = {}  # of every task that a worker runs; None until it listens
        self._wake = Event()
        self.is_over = False
        self._log = log.bind(pipeline_id=pipeline.id)

    def wake(self) -> None:
        """Look at the database again: a task was started or stopped, or the pipeline was."""
        self._wake.set()

    async def run(self, lease: Lease) -> None:
        """Run until the pipeline has ended.

        Raises:
            LeaseLost: in a group; another process runs the pipeline now.
        """
        self._lease = lease
        async with create_task_group() as group:
            for reading in self._readings.values():
                group.start_soon(reading.run)
            await self._follow(group)
            group.cancel_scope.cancel()

    async def abandon(self, lease: Lease) -> None:
        """Fail what is active: the runner itself is broken, and would break again.

        Raises:
            Transient: the database cannot keep up.
        """
        self._lease = lease
        async with self._database.reading() as connection:
            tasks = await self._store.of_pipeline(connection, self._pipeline.id)
        for task in tasks:
            try:
                worker = await self._worker(task)
                if worker is not None:
                    await worker.fail(INTERNAL_ERROR)
            except (Transient, LeaseLost):
                raise  # the next runner will come to the same end
            except Exception as error:  # then the task ends without its last events
                self._log.error("task.crashed", task_id=task.id, error=type(error).__name__, exc_info=True)
        await self._lifecycle.abandon_pipeline(self._pipeline, INTERNAL_ERROR, self._lease)

    async def _follow(self, group: TaskGroup) -> None:
        while True:
            self._wake = Event()
            try:
                if await self._is_finished(group) and not self._wake.is_set():
                    self.is_over = True
                    return
            except Transient as error:
                self._log.warning("pipeline.held_up", reason=str(error))
            await self._rest()

    async def _rest(self) -> None:
        """Wait to be woken, for a stream to fall silent, or until it is time to look again anyway."""
        for _ in range(_TICKS_BETWEEN_LOOKS):
            with self._clock.move_on_after(self._settings.silence_seconds / 10):
                await self._wake.wait()
            if self._wake.is_set() or self._silent_streams():
                return

    async def _is_finished(self, group: TaskGroup) -> bool:
        """Bring about what the database says; tell whether there is nothing more to do, until somebody wakes us."""
        try:
            pipeline = await self._pipelines.find(self._pipeline.id)
            if pipeline.state not in ACTIVE:
                return True
            await self._follow_tasks(group)
            if not self._subscriptions and (
                await self._lifecycle.end_if_over(pipeline, self._lease) or pipeline.state is PipelineState.PAUSED
            ):
                return True  # after a pause another runner reads the streams anew
        except PipelineNotFound:
            return True
        await self._stop_if_silent(pipeline)
        return False

    async def _follow_tasks(self, group: TaskGroup) -> None:
        async with self._database.reading() as connection:
            tasks = await self._store.of_pipeline(connection, self._pipeline.id)
        for task in tasks:
            if task.id not in self._subscriptions:
                self._subscriptions[task.id] = None
                group.start_soon(self._run_task, task.id)
            elif task.state is TaskState.STOPPING and (subscription := self._subscriptions[task.id]) is not None:
                subscription.close()

    async def _run_task(self, task_id: str) -> None:
        try:
            task = await self._store.current(task_id)  # it may have ended since it was listed
            worker = None if task.state in ENDED else await self._worker(task)
            if worker is not None:
                await self._listen(task, worker)
        except Transient as error:  # not woken: the next look takes it up again, from its checkpoint
            self._log.warning("task.interrupted", task_id=task_id, reason=str(error))
        else:
            self.wake()
        finally:
            del self._subscriptions[task_id]

    async def _worker(self, task: Task) -> Worker[Any] | None:
        """Return a worker that goes on where the task stands; None if nobody can read where that is: the task fails."""
        try:
            checkpoint = await self._store.checkpoint(self._pipeline, task.id)
            return self._make_worker(task, self._pipeline, self._lease, checkpoint)
        except Transient:
            raise
        except CarillonError as error:
            await self._make_worker(task, self._pipeline, self._lease, None).fail(str(error))
            return None

    async def _listen(self, task: Task, worker: Worker[Any]) -> None:
        if task.state is TaskState.QUEUED:
            await self._lifecycle.opening(task, self._lease)
        reading = self._readings[task.leg.stream_arn]
        async with reading.subscribed(_position_of(task), worker.last_fragment) as subscription:
            self._subscriptions[task.id] = subscription
            self.wake()  # a stop that came before had nobody to close
            await worker.run(subscription.fragments, partial(self._why_ended, task, subscription))

    async def _why_ended(self, task: Task, subscription: StreamSubscription) -> str | None:
        """Return why a task's fragments ended; an unreadable stream is the task's failure.

        Raises:
            CarillonError: what the reading met.
        """
        if subscription.failure is not None:
            raise subscription.failure
        return (await self._store.current(task.id)).message

    async def _stop_if_silent(self, pipeline: Pipeline) -> None:
        """Stop a pipeline in progress when a stream has sent nothing for too long: the call is over."""
        if pipeline.state is not PipelineState.IN_PROGRESS:
            return
        if self._settings.watch_unused_streams:
            for reading in self._readings.values():
                reading.watch()
        silent = self._silent_streams()
        if not silent:
            return
        self._log.info("pipeline.silent", stream_arn=silent[0], seconds=self._settings.silence_seconds)
        await self._lifecycle.stop_silent(pipeline, self._lease)
        self.wake()

    def _silent_streams(self) -> list[str]:
        limit = self._settings.silence_seconds
        return [arn for arn, reading in self._readings.items() if reading.is_read and reading.quiet_seconds >= limit]


def _position_of(task: Task) -> Position:
    """Return where a task begins in its stream: a place that was found when it was asked for, whenever that is read."""
    leg = task.leg
    if leg.first_fragment is not None:
        return After(leg.first_fragment)
    if leg.newest_fragment is None:
        return Newest()
    return After(leg.newest_fragment, leg.newest_at) if leg.newest_fragment else Oldest()
