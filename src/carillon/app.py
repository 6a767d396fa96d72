"""The one place where the parts are joined."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyio import create_task_group, to_thread

from carillon.api import credentials, kinesis_video, media_pipelines, voice
from carillon.api.access import Guard, StoredNames, recording
from carillon.api.credentials import AccessKey, KeyRing, WatchedKeys
from carillon.api.paging import Pages, PageTokens
from carillon.api.protocol import Api, Service, SignatureVerifier
from carillon.api.tags import TagOperations
from carillon.api.throttle import Throttle
from carillon.clock import Clock, SystemClock
from carillon.config import Settings
from carillon.inference import Models
from carillon.media import FragmentReader, KinesisVideoClient, Position
from carillon.notifications import Dispatcher, Outbox
from carillon.pipelines import Pipelines, StreamDirectory
from carillon.profiles import Profiles
from carillon.storage import Database, Vault, load_or_create_root_key, migrate
from carillon.streams import Streams
from carillon.tasks import Analyses, Lifecycle, Supervisor, Tasks, TaskStore
from carillon.tls import authorities

DATABASE_FILE: Final = "carillon.db"
ROOT_KEY_FILE: Final = "root.key"
CREDENTIALS_FILE: Final = "credentials.json"

_READING: Final = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["kinesisvideo:DescribeStream", "kinesisvideo:GetDataEndpoint", "kinesisvideo:GetMedia"],
        "Resource": "*",
    },
}
"""What the server may do with the key that it signs with when it reads its own streams; it lives in memory only."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What every command stands on: the data folder's database, vault and keys."""

    database: Database
    vault: Vault
    keys: KeyRing


def prepare(data_dir: Path) -> KeyRing:
    """Make the data folder, readable by this user alone, with its root key and access keys; return the latter."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    load_or_create_root_key(data_dir / ROOT_KEY_FILE)
    return credentials.load_or_create(data_dir / CREDENTIALS_FILE)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Ground]:
    """Open the data folder: make it if need be, and bring its tables up to date."""
    keys = prepare(settings.data_dir)
    url = settings.storage.url or f"sqlite:///{settings.data_dir / DATABASE_FILE}"
    database = Database(url, settings.storage)
    try:
        await migrate(database)
        yield Ground(database, Vault(load_or_create_root_key(settings.data_dir / ROOT_KEY_FILE)), keys)
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Application:
    """A whole server, joined."""

    api: Api
    """Answers requests: ASGI 3."""
    work: AbstractAsyncContextManager[None]
    """Reads, analyzes and delivers while entered. Enter it once requests are answered: the embedded streams are read
    over HTTP like any others."""


@asynccontextmanager
async def assembled(settings: Settings, base_url: str, clock: Clock | None = None) -> AsyncIterator[Application]:
    """Yield a whole server, its parts open but nothing running yet.

    Args:
        settings: everything that can be set.
        base_url: where clients reach the application, without a trailing slash.
        clock: stands in for the machine's own.
    """
    clock = clock or SystemClock()
    place = settings.place
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(opened(settings))
        database, vault = ground.database, ground.vault
        trail = None
        if settings.audit.is_on:
            trail = await stack.enter_async_context(recording(database, place, clock, settings.audit))
        models = Models(settings.inference)
        streams = await stack.enter_async_context(
            Streams(database, vault, place, clock, settings.data_dir / "streams", settings.streams)
        )
        profiles = await stack.enter_async_context(Profiles(database, vault, place, clock, settings.profiles))
        outbox = Outbox(database, clock, settings.notifications)
        own_key = AccessKey.generate(name="the server itself", policy=_READING)
        keys = WatchedKeys(settings.data_dir / CREDENTIALS_FILE, clock, own=[own_key])
        source = await stack.enter_async_context(_source(settings, base_url, own_key))
        pipelines = Pipelines(database, vault, place, clock, _directory(settings, streams, source), settings.pipelines)
        store = TaskStore(database, vault, clock, outbox, profiles)
        lifecycle = Lifecycle(
            database, pipelines, store, profiles, outbox, place, clock, settings.notifications.event_bus_arn
        )

        def open_stream(stream_arn: str, position: Position) -> FragmentReader:
            return FragmentReader(stream_arn, position, source, settings.media)

        supervisor = Supervisor(
            database,
            pipelines,
            profiles,
            store,
            lifecycle,
            outbox,
            open_stream,
            Analyses(models, profiles, place, clock, settings.tasks, settings.notifications.voiceprint_ready),
            clock,
            settings.tasks,
            same_clock=settings.source.endpoint_url == "",
        )
        tasks = Tasks(database, pipelines, profiles, store, lifecycle, supervisor, place, clock, settings.tasks)
        pages = Pages(PageTokens(vault.derive("page tokens")))
        services = [
            Service(
                "chime-sdk-media-pipelines",
                [
                    media_pipelines.SpeakerSearchOperations(tasks),
                    media_pipelines.VoiceToneAnalysisOperations(tasks),
                    media_pipelines.ConfigurationOperations(pipelines.configurations, pages),
                    media_pipelines.PipelineOperations(pipelines, tasks, pages),
                    TagOperations(database, pipelines.find_taggable),
                ],
            ),
            Service(
                "chime-sdk-voice",
                [
                    voice.VoiceProfileDomainOperations(profiles, tasks, pages),
                    voice.VoiceProfileOperations(profiles, tasks, pages),
                    voice.TaskResultOperations(tasks, outbox),
                    TagOperations(database, profiles.domain_of_arn),
                ],
            ),
            *kinesis_video.services(streams, base_url, settings.putmedia),
        ]
        yield Application(
            Api(
                services,
                SignatureVerifier(keys, place.region, clock),
                settings.api,
                Guard(
                    keys,
                    StoredNames(streams, pipelines.configurations, store),
                    place,
                    Throttle(settings.rates, clock),
                ),
                trail,
            ),
            _working(supervisor, Dispatcher(outbox, clock, settings.notifications), models),
        )


@asynccontextmanager
async def _working(supervisor: Supervisor, dispatcher: Dispatcher, models: Models) -> AsyncIterator[None]:
    async with create_task_group() as group:
        group.start_soon(to_thread.run_sync, models.load)  # so that the first call does not wait for it
        group.start_soon(dispatcher.run)
        async with supervisor.running():
            yield
        group.cancel_scope.cancel()


@asynccontextmanager
async def _source(settings: Settings, base_url: str, key: AccessKey) -> AsyncIterator[KinesisVideoClient]:
    """Yield the client that reads call audio: from the embedded streams by default, else from where settings say.

    The embedded streams are read over HTTP like any others: one way to read, and runners may move to other machines.
    """
    region = settings.source.region or settings.place.region
    if settings.source.endpoint_url == "":
        client = KinesisVideoClient(
            endpoint_url=base_url,
            region=region,
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
            settings=settings.media,
            ca_bundle=authorities(settings, base_url),
        )
    else:
        endpoint = None if settings.source.endpoint_url == "aws" else settings.source.endpoint_url
        client = KinesisVideoClient(endpoint_url=endpoint, region=region, settings=settings.media)
    async with client:
        yield client


def _directory(settings: Settings, streams: Streams, source: KinesisVideoClient) -> StreamDirectory:
    return streams if settings.source.endpoint_url == "" else source
