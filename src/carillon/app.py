"""The one place where the parts are joined."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from anyio import create_task_group, to_thread

from carillon.access import (
    AuditTrail,
    Explanations,
    PolicyAuthorizer,
    StoredNames,
    WatchedKeys,
    recording,
)
from carillon.access.request_counter import RequestCounter
from carillon.access.throttle import Throttle
from carillon.api import kinesis_video, media_pipelines, voice
from carillon.api.ingest import KEY_PURPOSE, IngestTokens, WebSocketIngest
from carillon.api.mounts import Mount, MountedApplications, is_websocket
from carillon.api.paging import Pages, PageTokens
from carillon.api.protocol import Api, Liveness, Service, SignatureVerifier, asks_for_liveness
from carillon.api.tags import TagOperations
from carillon.clock import Clock, SystemClock
from carillon.config import Settings
from carillon.data_folder import CREDENTIALS_FILE, OWNERS_FOLDER, STREAMS_FOLDER, DataFolder, opened
from carillon.inference import Models
from carillon.media import Connect, FragmentReader, KinesisVideoClient, Position
from carillon.notifications import Dispatcher, Outbox
from carillon.pipelines import Pipelines, StreamDirectory
from carillon.profiles import Profiles
from carillon.streams import Streams
from carillon.tasks import Analyses, Enrollment, Identifier, Leases, Lifecycle, Owner, Supervisor, Tasks, TaskStore
from carillon.tasks.tasks import NewestPosition


@dataclass(frozen=True, slots=True)
class Application:
    """A whole server, joined."""

    asgi: MountedApplications
    """Answers every request: ASGI 3."""
    api: Api
    """The AWS edge among what is mounted there, which knows what it covers."""
    work: AbstractAsyncContextManager[None]
    """Reads, analyzes and delivers while entered."""
    drain: Callable[[], Awaitable[None]]
    """Wait until every producer has finished the fragment that it is sending, and all is stored. To be called
    before the work is left."""


@asynccontextmanager
async def assembled(settings: Settings, own_url: str, clock: Clock | None = None) -> AsyncIterator[Application]:
    """Yield a whole server, its parts open but nothing running yet.

    Args:
        settings: everything that can be set.
        own_url: where the application is reached from this machine, without a trailing slash.
        clock: stands in for the machine's own.
    """
    clock = clock or SystemClock()
    async with (
        opened(settings) as data_folder,
        data_folder.database.served(),
        _trail(settings, data_folder, clock) as trail,
        _elsewhere(settings, clock) as source,
        _streams(settings, data_folder, clock) as streams,
        _rooms(settings, data_folder, clock, source or streams) as rooms,
    ):
        lifecycle = _lifecycle(rooms)
        supervisor = _supervisor(rooms, lifecycle, source or kinesis_video.EmbeddedMedia(streams))
        newest_position = streams.newest_position if source is None else None
        tasks = _tasks(rooms, lifecycle, supervisor, newest_position)
        edge = _Edge.of(rooms, streams, trail)
        ingest = edge.websockets(streams)
        api = edge.api(_services(rooms, streams, tasks, own_url))
        asgi = MountedApplications(
            default=api,
            mounts=[Mount(asks_for_liveness, Liveness(settings.api)), Mount(is_websocket, ingest)],
        )

        async def drain() -> None:
            await streams.drain()
            await ingest.ended()  # who has been let in, but writes to no stream yet, has sent something all the same

        dispatcher = Dispatcher(rooms.outbox, clock, settings.notifications)
        yield Application(asgi, api, _working(supervisor, rooms.models, dispatcher), drain)


@asynccontextmanager
async def assembled_worker(
    settings: Settings, server_url: str, ca_bundle: Path | None
) -> AsyncIterator[AbstractAsyncContextManager[None]]:
    """Yield what runs tasks while entered, beside the server of a data folder, which does all the rest.

    Args:
        settings: those of the server.
        server_url: where it is reached: its streams are read there.
        ca_bundle: file of the authorities by which to trust it; None if that needs none.

    Raises:
        NoDataFolder: no server has run there.
    """
    clock = SystemClock()
    settings = replace(settings, tasks=replace(settings.tasks, run_here=True))
    async with (
        opened(settings, must_exist=True) as data_folder,
        _elsewhere(settings, clock) as elsewhere,
        _of_server(settings, data_folder, clock, server_url, ca_bundle) as of_server,
    ):
        source = elsewhere or of_server
        async with _rooms(settings, data_folder, clock, source) as rooms:
            yield _working(_supervisor(rooms, _lifecycle(rooms), source), rooms.models)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """The rooms that keep things, open; and what they were opened with."""

    settings: Settings
    data_folder: DataFolder
    clock: Clock
    models: Models
    profiles: Profiles
    pipelines: Pipelines
    outbox: Outbox
    store: TaskStore


@asynccontextmanager
async def _rooms(
    settings: Settings, data_folder: DataFolder, clock: Clock, directory: StreamDirectory
) -> AsyncIterator[_Rooms]:
    database, vault, account = data_folder.database, data_folder.vault, settings.account
    async with Profiles(database, vault, account, clock, settings.profiles) as profiles:
        outbox = Outbox(database, clock, settings.notifications)
        yield _Rooms(
            settings=settings,
            data_folder=data_folder,
            clock=clock,
            models=Models(settings.inference),
            profiles=profiles,
            pipelines=Pipelines(
                database=database,
                vault=vault,
                account=account,
                clock=clock,
                streams=directory,
                settings=settings.pipelines,
            ),
            outbox=outbox,
            store=TaskStore(database, vault, clock, outbox, profiles, _explained(settings)),
        )


def _streams(settings: Settings, data_folder: DataFolder, clock: Clock) -> Streams:
    folder = settings.data_dir / STREAMS_FOLDER
    return Streams(
        database=data_folder.database,
        vault=data_folder.vault,
        account=settings.account,
        clock=clock,
        directory=folder,
        settings=settings.streams,
    )


@asynccontextmanager
async def _trail(settings: Settings, data_folder: DataFolder, clock: Clock) -> AsyncIterator[AuditTrail | None]:
    if not settings.audit.is_on:
        yield None
        return
    async with recording(data_folder.database, settings.account, clock, settings.audit) as trail:
        yield trail


def _explained(settings: Settings) -> Explanations | None:
    """Return what keeps the explanations of answers: the audit trail, if there is one."""
    return Explanations(settings.account) if settings.audit.is_on else None


def _enrollment(rooms: _Rooms) -> Enrollment:
    def identifier() -> Identifier:
        return Identifier(rooms.profiles, rooms.models.speaker, rooms.settings.tasks)

    return Enrollment(rooms.profiles, identifier, rooms.store, rooms.settings.tasks)


def _lifecycle(rooms: _Rooms) -> Lifecycle:
    return Lifecycle(
        database=rooms.data_folder.database,
        pipelines=rooms.pipelines,
        store=rooms.store,
        profiles=rooms.profiles,
        outbox=rooms.outbox,
        account=rooms.settings.account,
        clock=rooms.clock,
        event_bus_arn=rooms.settings.notifications.event_bus_arn,
    )


def _supervisor(rooms: _Rooms, lifecycle: Lifecycle, connect: Connect) -> Supervisor:
    settings, clock, database = rooms.settings, rooms.clock, rooms.data_folder.database

    def open_stream(stream_arn: str, position: Position) -> FragmentReader:
        return FragmentReader(stream_arn, position, connect, settings.media, clock=clock)

    owner = Owner(settings.data_dir / OWNERS_FOLDER)
    return Supervisor(
        database=database,
        pipelines=rooms.pipelines,
        profiles=rooms.profiles,
        store=rooms.store,
        lifecycle=lifecycle,
        leases=Leases(database, owner, settings.tasks.lease_seconds, clock),
        outbox=rooms.outbox,
        open_stream=open_stream,
        analyses=Analyses(
            models=rooms.models,
            profiles=rooms.profiles,
            account=settings.account,
            clock=clock,
            settings=settings.tasks,
            analysis=settings.analysis,
            voiceprint_ready=settings.notifications.voiceprint_ready,
        ),
        clock=clock,
        settings=settings.tasks,
    )


def _tasks(
    rooms: _Rooms, lifecycle: Lifecycle, supervisor: Supervisor, newest_position: NewestPosition | None
) -> Tasks:
    return Tasks(
        database=rooms.data_folder.database,
        pipelines=rooms.pipelines,
        profiles=rooms.profiles,
        store=rooms.store,
        enrollment=_enrollment(rooms),
        lifecycle=lifecycle,
        supervisor=supervisor,
        account=rooms.settings.account,
        clock=rooms.clock,
        settings=rooms.settings.tasks,
        newest_position=newest_position,
    )


def _services(rooms: _Rooms, streams: Streams, tasks: Tasks, own_url: str) -> list[Service]:
    settings = rooms.settings
    tokens = PageTokens(rooms.data_folder.vault.derive("page tokens"))
    pages = Pages(tokens)
    calls = RequestCounter(settings.rates.concurrent_calls)
    return [
        _media_pipelines(rooms, tasks, pages, calls),
        _voice(rooms, tasks, pages, calls),
        *kinesis_video.services(streams, own_url, settings.putmedia, tokens, settings.server.public_url),
    ]


def _media_pipelines(rooms: _Rooms, tasks: Tasks, pages: Pages, calls: RequestCounter) -> Service:
    operations = [
        media_pipelines.SpeakerSearchOperations(tasks, calls),
        media_pipelines.VoiceToneAnalysisOperations(tasks, calls),
        media_pipelines.ConfigurationOperations(rooms.pipelines.configurations, pages),
        media_pipelines.PipelineOperations(rooms.pipelines, tasks, pages),
        TagOperations(rooms.data_folder.database, rooms.pipelines.find_taggable),
    ]
    languages = rooms.settings.tasks.languages
    return Service("chime-sdk-media-pipelines", operations, {media_pipelines.TONE_LANGUAGES: languages})


def _voice(rooms: _Rooms, tasks: Tasks, pages: Pages, calls: RequestCounter) -> Service:
    operations = [
        voice.VoiceProfileDomainOperations(rooms.profiles, tasks, pages, calls),
        voice.VoiceProfileOperations(rooms.profiles, tasks, pages, calls),
        voice.TaskResultOperations(tasks, rooms.store.results),
        TagOperations(rooms.data_folder.database, rooms.profiles.find_domain_of_arn),
    ]
    return Service("chime-sdk-voice", operations)


@dataclass(frozen=True, slots=True)
class _Edge:
    """What every door asks: who it is, what it may do, and where that is written down."""

    rooms: _Rooms
    keys: WatchedKeys
    verifier: SignatureVerifier
    guard: PolicyAuthorizer
    trail: AuditTrail | None

    @classmethod
    def of(cls, rooms: _Rooms, streams: Streams, trail: AuditTrail | None) -> Self:
        settings, clock = rooms.settings, rooms.clock
        keys = WatchedKeys(settings.data_dir / CREDENTIALS_FILE, clock)
        names = StoredNames(streams, rooms.pipelines.configurations, rooms.store)
        return cls(
            rooms=rooms,
            keys=keys,
            verifier=SignatureVerifier(keys, settings.account.region, clock),
            guard=PolicyAuthorizer(keys, names, settings.account, Throttle(settings.rates, clock)),
            trail=trail,
        )

    def api(self, services: Sequence[Service]) -> Api:
        return Api(
            services=services,
            verifier=self.verifier,
            settings=self.rooms.settings.api,
            guard=self.guard,
            auditor=self.trail,
            keys=self.keys,
        )

    def websockets(self, streams: Streams) -> WebSocketIngest:
        settings, vault = self.rooms.settings.ingest, self.rooms.data_folder.vault
        return WebSocketIngest(
            streams=streams,
            tokens=IngestTokens(vault.derive(KEY_PURPOSE), settings.generation),
            keys=self.keys,
            verifier=self.verifier,
            guard=self.guard,
            auditor=self.trail,
            clock=self.rooms.clock,
            settings=settings,
        )


@asynccontextmanager
async def _working(supervisor: Supervisor, models: Models, dispatcher: Dispatcher | None = None) -> AsyncIterator[None]:
    async with create_task_group() as group:
        group.start_soon(to_thread.run_sync, models.load)  # so that the first call does not wait for it
        if dispatcher is not None:
            group.start_soon(dispatcher.run)
        async with supervisor.running():
            yield
        group.cancel_scope.cancel()


def _of_server(
    settings: Settings, data_folder: DataFolder, clock: Clock, url: str, ca_bundle: Path | None
) -> KinesisVideoClient:
    """Return a client of the streams of a server of ours."""
    key = data_folder.keys.default
    return KinesisVideoClient(
        endpoint_url=url,
        region=settings.account.region,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        clock=clock,
        settings=settings.media,
        data_endpoint_url=url,
        ca_bundle=ca_bundle,
    )


@asynccontextmanager
async def _elsewhere(settings: Settings, clock: Clock) -> AsyncIterator[KinesisVideoClient | None]:
    """Yield the client that reads call audio from where settings say; None for the embedded streams, the default."""
    if settings.source.endpoint_url == "":
        yield None
        return
    async with KinesisVideoClient(
        endpoint_url=None if settings.source.endpoint_url == "aws" else settings.source.endpoint_url,
        region=settings.source.region or settings.account.region,
        clock=clock,
        settings=settings.media,
        data_endpoint_url=settings.source.data_endpoint_url or None,
    ) as client:
        yield client
