"""What an application may ask of tasks: start, look, stop; and of what stands around them: pause, enroll, delete."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.clock import Clock
from carillon.errors import LimitExceeded, StateConflict
from carillon.pipelines import (
    FeatureDisabled,
    Leg,
    Pipeline,
    Pipelines,
    SourceRequest,
    WrongPipelineState,
)
from carillon.pipelines.states import ACCEPTS_TASKS, TERMINAL
from carillon.profiles import Profile, Profiles, VoiceprintNotFound
from carillon.profiles import domains as profile_domains
from carillon.storage import Database, IdempotencyToken, make_once
from carillon.tasks.enrollment import Enrollment
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import ACTIVE as ACTIVE_TASKS
from carillon.tasks.model import Task, TaskConflict, TaskKind, TaskNotFound, TaskState, VoiceprintPending
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskStore
from carillon.tasks.supervisor import Supervisor
from carillon.telemetry import get_logger

log = get_logger()


class DomainInUse(StateConflict):
    """A domain cannot go while a speaker search looks into it."""

    def __init__(self, domain_id: str) -> None:
        super().__init__(f"An active speaker search uses voice profile domain {domain_id}. Stop the task first.")


class TooManyTasks(LimitExceeded):
    """The quota of active tasks of a kind is used up."""

    def __init__(self, kind: TaskKind, limit: int) -> None:
        super().__init__(f"{limit} {kind.value} tasks are active, as many as may be. Stop one first.")


NewestPosition = Callable[[str], Awaitable[str | None]]
"""Returns, for a stream ARN, the number of the fragment after which a task begins that is asked for now: empty for the
first of all, None if nobody can say."""


@dataclass(frozen=True, slots=True)
class StartTask:
    """What a request to start a task says."""

    pipeline: str
    """Id or ARN."""
    source: SourceRequest
    claim: IdempotencyToken | None = None


class Tasks:
    """Starts, finds and stops tasks."""

    def __init__(
        self,
        *,
        database: Database,
        pipelines: Pipelines,
        profiles: Profiles,
        store: TaskStore,
        enrollment: Enrollment,
        lifecycle: Lifecycle,
        supervisor: Supervisor,
        account: AwsAccount,
        clock: Clock,
        settings: TaskSettings | None = None,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
        newest_position: NewestPosition | None = None,
    ) -> None:
        self._newest_position = newest_position
        self._database = database
        self._pipelines = pipelines
        self._profiles = profiles
        self._store = store
        self._enrollment = enrollment
        self._lifecycle = lifecycle
        self._supervisor = supervisor
        self._account = account
        self._clock = clock
        self._new_id = new_id
        settings = settings or TaskSettings()
        self._limits = {
            TaskKind.SPEAKER_SEARCH: settings.max_speaker_searches,
            TaskKind.VOICE_TONE: settings.max_voice_tones,
        }

    async def start_speaker_search(self, start: StartTask, domain_arn: str) -> Task:
        """Search a domain for the voice on a leg, or return the task that the same client request token started.

        Raises:
            PipelineNotFound: no pipeline has this id or ARN.
            ForeignDomain: the ARN names no domain of this account and Region.
            DomainNotFound: there is no such domain.
            FeatureDisabled: the pipeline's configuration does not allow speaker search.
            ChannelNotDeclared: the pipeline does not declare this stream and channel.
            WrongPipelineState: the pipeline is paused or has ended.
            TaskConflict: a speaker search is active on this leg already.
            TooManyTasks: the quota is used up.
            TokenReused: the token came with other parameters before.
            TokenSpent: the task that the token started has been deleted.
        """
        pipeline = await self._pipelines.find(start.pipeline)
        domain_id = profile_domains.id_of_arn(domain_arn, self._account)
        return await self._start(TaskKind.SPEAKER_SEARCH, start, pipeline, domain_id=domain_id)

    async def start_voice_tone(self, start: StartTask, language: str) -> Task:
        """Analyze the tone of the voice on a leg, or return the task that the same client request token started.

        Args:
            start: what the request says.
            language: that is spoken, as AWS writes it: en-US.

        Raises:
            PipelineNotFound, FeatureDisabled, ChannelNotDeclared, WrongPipelineState, TaskConflict, TokenReused: as
                for a speaker search.
        """
        pipeline = await self._pipelines.find(start.pipeline)
        return await self._start(TaskKind.VOICE_TONE, start, pipeline, language=language)

    async def find(self, kind: TaskKind, pipeline_identifier: str, task_id: str) -> Task:
        """Find a task of one kind in a pipeline.

        Raises:
            TaskNotFound: the pipeline has no such task.
            PipelineNotFound: there is no such pipeline.
        """
        async with self._database.reading() as connection:
            return await self._find(connection, kind, pipeline_identifier, task_id)

    async def stop(self, kind: TaskKind, pipeline_identifier: str, task_id: str) -> None:
        """Stop a task: what was received is still analyzed, then its last events are sent.

        Raises:
            TaskNotFound: the pipeline has no such task.
            PipelineNotFound: there is no such pipeline.
            TaskConflict: the task is stopping already, or has ended.
        """
        async with self._database.transaction() as connection:
            task = await self._find(connection, kind, pipeline_identifier, task_id)
            await self._lifecycle.stop_task(connection, task)
            pipeline = await self._pipelines.find_in(connection, task.pipeline_id)
        self._supervisor.wake(pipeline)

    async def delete_pipeline(self, pipeline_id: str) -> None:
        """Stop a pipeline with all its tasks, or hide it if it has ended.

        Raises:
            PipelineNotFound: there is no such pipeline.
            WrongPipelineState: it is stopping already.
        """
        async with self._database.transaction() as connection:
            pipeline = await self._pipelines.find_in(connection, pipeline_id)
            if pipeline.state in TERMINAL:
                await self._pipelines.forget(connection, pipeline)
                return
            await self._lifecycle.stop_pipeline(connection, pipeline)
        self._supervisor.wake(pipeline)

    async def pause(self, identifier: str) -> None:
        """Stop listening to a pipeline's streams, and with it every task.

        Raises:
            PipelineNotFound: there is no such pipeline.
            WrongPipelineState: it is paused already, stopping, or has ended.
        """
        async with self._database.transaction() as connection:
            pipeline = await self._pipelines.find_in(connection, identifier)
            await self._lifecycle.pause(connection, pipeline)
        self._supervisor.wake(pipeline)

    async def resume(self, identifier: str) -> None:
        """Resume a paused pipeline; its tasks have to be started anew.

        Raises:
            PipelineNotFound: there is no such pipeline.
            WrongPipelineState: it is not paused.
        """
        async with self._database.transaction() as connection:
            pipeline = await self._pipelines.find_in(connection, identifier)
            await self._lifecycle.resume(connection, pipeline)
        self._supervisor.wake(pipeline)

    async def enroll(self, task_id: str) -> Profile:
        """Make a voice profile of a speaker search's voiceprint; the same one again for the same task.

        Raises:
            TaskNotFound: no speaker search has this id.
            VoiceprintPending: the task is active and has not made its voiceprint yet.
            VoiceprintNotFound: the task ended without one.
            VoiceprintExpired: the call ended more than 24 hours ago.
            VoiceKnown: the domain knows the voice already, and settings refuse it.
        """
        try:
            return await self._enrollment.enroll(task_id)
        except VoiceprintNotFound:
            await self._explain_missing(task_id)
            raise

    async def refresh(self, profile_id: str, task_id: str) -> Profile:
        """Replace a profile's voiceprint with that of a speaker search, and renew its expiry.

        Raises:
            ProfileNotFound: there is no such profile.
            TaskNotFound, VoiceprintPending, VoiceprintNotFound, VoiceprintExpired: as for `enroll`.
        """
        try:
            return await self._profiles.refresh(profile_id, task_id)
        except VoiceprintNotFound:
            await self._explain_missing(task_id)
            raise

    async def delete_domain(self, domain_id: str) -> None:
        """Delete a domain with every profile in it.

        Raises:
            DomainNotFound: there is no such domain.
            DomainInUse: an active speaker search looks into it.
        """

        async def refuse_if_used(connection: AsyncConnection, domain_id: str) -> None:
            if await self._store.uses_domain(connection, domain_id):
                raise DomainInUse(domain_id)

        await self._profiles.delete_domain(domain_id, refuse_if_used)

    async def _start(
        self,
        kind: TaskKind,
        start: StartTask,
        pipeline: Pipeline,
        *,
        domain_id: str | None = None,
        language: str | None = None,
    ) -> Task:
        now, task_id = self._clock.now(), str(self._new_id())
        newest = None if self._newest_position is None else await self._newest_position(start.source.stream_arn)

        async def insert(connection: AsyncConnection) -> Task:
            if domain_id is not None:
                await self._profiles.lock_domain(connection, domain_id)
            locked = await self._pipelines.lock(connection, pipeline.id)
            leg = replace(_allowed_leg(locked, kind, start.source), newest_fragment=newest)
            await self._require_start(connection, kind, locked, leg)
            task = Task(
                id=task_id,
                kind=kind,
                pipeline_id=locked.id,
                leg=leg,
                state=TaskState.QUEUED,
                created_at=now,
                updated_at=now,
                domain_id=domain_id,
                language=language,
            )
            await self._store.insert(connection, task)
            await self._lifecycle.started_task(connection, locked)
            return task

        task = await make_once(self._database, start.claim, task_id, now, make=insert, find=self._store.find)
        if task.id == task_id:
            log.info("task.started", task_id=task.id, pipeline_id=pipeline.id, kind=kind.value)
            self._supervisor.wake(pipeline)
        return task

    async def _require_start(self, connection: AsyncConnection, kind: TaskKind, pipeline: Pipeline, leg: Leg) -> None:
        """Make sure that nothing stands against a task now, and until the commit: the pipeline is held."""
        if pipeline.state not in ACCEPTS_TASKS:
            raise WrongPipelineState(pipeline.id, pipeline.state, "it accepts no tasks.")
        active = await self._store.on_leg(connection, kind, pipeline.id, leg)
        if active is not None:
            raise TaskConflict(
                f"Task {active.id} of the same kind is active on channel {leg.channel_id} of {leg.stream_arn}. "
                "Stop it first."
            )
        await self._require_room(connection, kind)

    async def _find(self, connection: AsyncConnection, kind: TaskKind, pipeline_identifier: str, task_id: str) -> Task:
        task = await self._store.seen(connection, pipeline_identifier, self._pipelines.shown_since, task_id)
        if task is None or task.kind is not kind:
            await self._pipelines.find_in(connection, pipeline_identifier)  # raises if that is what is missing
            raise TaskNotFound(task_id)
        return task

    async def _require_room(self, connection: AsyncConnection, kind: TaskKind) -> None:
        limit = self._limits[kind]
        if limit and await self._store.count_active(connection, kind) >= limit:
            raise TooManyTasks(kind, limit)

    async def _explain_missing(self, task_id: str) -> None:
        async with self._database.reading() as connection:
            task = await self._store.find(connection, task_id)
        if task.kind is not TaskKind.SPEAKER_SEARCH:
            raise TaskNotFound(task_id)
        if task.state in ACTIVE_TASKS:
            raise VoiceprintPending(task_id)


def _allowed_leg(pipeline: Pipeline, kind: TaskKind, source: SourceRequest) -> Leg:
    """Return the participant that a task asks for, if the configuration allows this kind of task."""
    element = pipeline.elements.voice_analytics
    if kind is TaskKind.SPEAKER_SEARCH and not (element and element.speaker_search):
        raise FeatureDisabled(pipeline.id, "SpeakerSearchStatus")
    if kind is TaskKind.VOICE_TONE and not (element and element.voice_tone):
        raise FeatureDisabled(pipeline.id, "VoiceToneAnalysisStatus")
    return pipeline.leg(source)
