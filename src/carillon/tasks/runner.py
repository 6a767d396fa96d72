"""One runner per pipeline: it reads each stream once, runs a worker for each task, and notices the end of the call."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from anyio import Event, create_task_group, move_on_after
from anyio.abc import TaskGroup

from carillon.clock import Clock
from carillon.media import After, At, Newest, Position
from carillon.pipelines import ACTIVE, Pipeline, PipelineNotFound, Pipelines, PipelineState, WrongPipelineState
from carillon.storage import Database
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, Task, TaskState
from carillon.tasks.reading import Listener, OpenStream, StreamReading
from carillon.tasks.settings import Settings
from carillon.tasks.store import TaskStore
from carillon.tasks.worker import Worker
from carillon.telemetry import get_logger

log = get_logger()

MakeWorker = Callable[[Task, Pipeline, Checkpoint | None], Worker[Any]]
"""Joins a task with its models; the supervisor knows how."""

_MARGIN: Final = timedelta(seconds=1)
_STOPPED_BY_REQUEST: Final = "The task was stopped."


class Runner:
    """Runs the tasks of one pipeline until the pipeline has ended."""

    def __init__(
        self,
        pipeline: Pipeline,
        database: Database,
        pipelines: Pipelines,
        store: TaskStore,
        lifecycle: Lifecycle,
        open_stream: OpenStream,
        make_worker: MakeWorker,
        clock: Clock,
        settings: Settings,
        *,
        is_exact: bool,
    ) -> None:
        self._pipeline = pipeline
        self._database = database
        self._pipelines = pipelines
        self._store = store
        self._lifecycle = lifecycle
        self._make_worker = make_worker
        self._settings = settings
        self._is_exact = is_exact
        self._readings: Mapping[str, StreamReading] = {
            source.stream_arn: StreamReading(source.stream_arn, open_stream, clock, settings.queued_fragments)
            for source in pipeline.sources
        }
        self._listeners: dict[str, Listener | None] = {}  # of every task that a worker runs; None until it listens
        self._stopped: set[str] = set()
        self._well_ended = 0
        self._wake = Event()
        self._log = log.bind(pipeline_id=pipeline.id)

    def wake(self) -> None:
        """Look at the database again: a task was started or stopped, or the pipeline was."""
        self._wake.set()

    async def run(self) -> None:
        """Run until the pipeline has ended."""
        async with create_task_group() as group:
            for reading in self._readings.values():
                group.start_soon(reading.run)
            await self._follow(group)
            group.cancel_scope.cancel()

    async def _follow(self, group: TaskGroup) -> None:
        while True:
            self._wake = Event()
            try:
                pipeline = await self._pipelines.find(self._pipeline.id)
            except PipelineNotFound:
                return
            if pipeline.state not in ACTIVE:
                return
            await self._follow_tasks(group)
            if not self._listeners and await self._has_ended(pipeline):
                return
            with move_on_after(self._settings.silence_seconds / 10):
                await self._wake.wait()
            await self._stop_if_silent(pipeline)

    async def _follow_tasks(self, group: TaskGroup) -> None:
        async with self._database.reading() as connection:
            tasks = await self._store.of_pipeline(connection, self._pipeline.id)
        for task in tasks:
            if task.id not in self._listeners:
                self._listeners[task.id] = None
                group.start_soon(self._run_worker, task)
            elif task.state is TaskState.STOPPING:
                self._stopped.add(task.id)
                listener = self._listeners[task.id]
                if listener is not None:
                    listener.queue.close()

    async def _run_worker(self, task: Task) -> None:
        reading = self._readings[task.leg.stream_arn]
        checkpoint = await self._store.checkpoint(self._pipeline, task.id)
        worker = self._make_worker(task, self._pipeline, checkpoint)
        if task.state is TaskState.QUEUED:
            await self._lifecycle.opening(task)
        async with reading.listening(self._position(task, checkpoint), task.created_at) as listener:
            self._listeners[task.id] = listener
            if task.state is TaskState.STOPPING or task.id in self._stopped or reading.failure is not None:
                listener.queue.close()
            if await worker.run(listener.fragments, partial(self._why_ended, task, reading)):
                self._well_ended += 1
        del self._listeners[task.id]
        self.wake()

    def _position(self, task: Task, checkpoint: Checkpoint | None) -> Position:
        if checkpoint is not None:
            # Not After: the fragment itself may have left the retention by now. Fragments that were sent faster than
            # spoken may share a time; what comes again is skipped by number.
            return At(checkpoint.fragment_at - _MARGIN)
        if task.leg.first_fragment is not None:
            return After(task.leg.first_fragment)
        return At(task.created_at) if self._is_exact else Newest()

    def _why_ended(self, task: Task, reading: StreamReading) -> str | None:
        """Tell why a task's fragments ended; an unreadable stream is the task's failure.

        Raises:
            CarillonError: what the reading met.
        """
        if reading.failure is not None:
            raise reading.failure
        return _STOPPED_BY_REQUEST if task.id in self._stopped else None

    async def _has_ended(self, pipeline: Pipeline) -> bool:
        """End the pipeline if its last worker has gone and nothing more can come."""
        failures = [str(reading.failure) for reading in self._readings.values() if reading.failure is not None]
        if failures and self._well_ended == 0:
            await self._lifecycle.end_pipeline(pipeline, failure=failures[0])
            return True
        if pipeline.state is PipelineState.STOPPING:
            await self._lifecycle.end_pipeline(pipeline)
            return True
        return False

    async def _stop_if_silent(self, pipeline: Pipeline) -> None:
        """Stop a pipeline in progress when a stream has sent nothing for too long: the call is over."""
        if pipeline.state is not PipelineState.IN_PROGRESS:
            return
        watched = self._readings.values()
        if self._settings.watch_unused_streams:
            for reading in watched:
                reading.watch()
        silent = [r for r in watched if r.quiet_seconds >= self._settings.silence_seconds and r.is_read]
        if not silent:
            return
        self._log.info("pipeline.silent", stream_arn=silent[0].stream_arn, seconds=self._settings.silence_seconds)
        try:
            async with self._database.transaction() as connection:
                await self._lifecycle.stop_pipeline(connection, await self._pipelines.find_in(connection, pipeline.id))
        except WrongPipelineState:
            return  # somebody else stopped it first
        for reading in watched:
            reading.close_all()
