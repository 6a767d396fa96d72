"""What every test may use: one event loop, a clock that stands still, a real database in a temporary folder."""

import gc
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryFile
from typing import Any

import boto3
import numpy as np
import pytest
from anyio import Event, create_task_group, fail_after, sleep
from anyio.abc import TaskGroup
from botocore.config import Config

from asked import answering
from carillon import config
from carillon.audio import Embedding, Pcm
from carillon.clock import ManualClock, SystemClock
from carillon.data_folder import opened
from carillon.environment import exports
from carillon.inference.speaker import SpeakerEncoder
from carillon.media import Acknowledgement, AcknowledgementType, KinesisVideoClient, as_live, read_recording, send_media
from carillon.notifications import Outbox
from carillon.storage import Database, Vault, metadata
from carillon.telemetry import configure_logging
from forked import ForkedCommand
from postgres import PostgresServer, postgres_server

SINKS_NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
"""A server in a test never looks for AWS beyond loopback."""
PATIENCE_SECONDS = 120
"""After which a wait is a hang, however busy the machine is."""
COMMAND = (sys.executable, "-m", "carillon")


LONGEST = (
    "training/tone/test_own.py",
    "test_commands_in_docs.py",
    "test_crash.py",
    "test_demo.py",
    "evaluation/test_evaluation.py",
    "compatibility/test_session.py",
    "api/kinesis_video/test_crash.py",
    "server/test_serving.py",
    "test_wall_clock.py",
    "test_cli.py",
    "compatibility/test_voice_races.py",
    "server/test_running.py",
    "test_push.py",
    "voices/test_commands.py",
    "server/test_tls.py",
    "inference/test_tone.py",
    "tasks/test_runner.py",
    "test_interrupt.py",
    "streams/stored/segments/test_s3.py",
    "storage/test_root_key.py",
    "peers/test_c_producer.py",
    "streams/stored/test_crash.py",
    "compatibility/test_javascript.py",
    "notifications/test_end_to_end.py",
    "matroska/test_hostile.py",
    "api/ingest/test_stop.py",
    "api/ingest/test_answers.py",
    "test_calibrate.py",
    "test_lists.py",
    "evaluation/tone/test_command.py",
)
"""Modules that take longest. They are begun first, so that no processor is left alone with one at the end."""


def pytest_xdist_auto_num_workers() -> int:
    """Half of the time tests wait: for silence, for a restart, for a disk. Meanwhile others run."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2 * (os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """Look at none of what was collected again, whenever garbage is: it stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order modules by how long they take; the tests of each stay as they stand."""
    places = {Path(__file__).parent / name: account for account, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything runs on asyncio: SQLAlchemy and aiobotocore know nothing else."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def everything_is_logged() -> None:
    """Tests may look at what is logged, whatever its level; pytest shows it where one fails."""
    configure_logging("debug")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves only when the test says so."""
    return ManualClock()


@pytest.fixture
def vault() -> Vault:
    """A vault with a root key known to no one."""
    return Vault(bytes(range(32)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when the first test wants it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'carillon.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    """An empty database with the tables of every room that the test has imported."""
    opened = Database(database_url)
    async with opened.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    yield opened
    await opened.close()


@dataclass
class ServerProcess:
    """A `carillon serve` of its own process, and plain boto3 clients for it."""

    data_dir: Path
    process: subprocess.Popen[str] | ForkedCommand
    url: str
    environment: dict[str, str]

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client with nothing set but endpoint, Region and credentials."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
            **options,
        )

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> int:
        """SIGTERM, as an operator would; return the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


StartServer = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """Start servers on free ports of loopback; whatever still runs at the end is killed.

    Each is forked from a process that has imported all, which takes a fifth of the time; `is_forked=False` starts
    `python -m carillon serve` as people do.
    """
    started: list[ServerProcess] = []

    def start(data_dir: Path, port: int = 0, *, is_forked: bool = True, **settings: str) -> ServerProcess:
        arguments = ["serve", "--port", str(port), "--data-dir", str(data_dir)]
        environment = _environment(settings)
        data_dir.mkdir(exist_ok=True)
        process: subprocess.Popen[str] | ForkedCommand
        with (data_dir / "server.log").open("a") as log:
            if is_forked:
                process = ForkedCommand(arguments, environment, None, log)
            else:
                command = [*COMMAND, *arguments]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert process.stdout is not None
        said = process.stdout.readline()
        process.stdout.close()
        log_text = (data_dir / "server.log").read_text()
        assert "ready at http" in said, f"{said!r}\n{log_text[-3000:]}"
        url = next(word for word in said.split() if word.startswith("http"))
        made = ServerProcess(data_dir, process, url, dict(exports(config.load(data_dir, environment={}), url)))
        started.append(made)
        return made

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="session")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """One server that many tests share; each makes resources under names of its own."""
    return start_server(tmp_path_factory.mktemp("server"), is_forked=False)


class Carillon:
    """The command line, each command in a process of its own."""

    def __call__(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a process forked from one that has imported all."""
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            process = ForkedCommand(arguments, _environment(environment), out, err)
            status = process.wait()  # pytest's own limit ends a hang
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(process.args, status, out.read(), err.read())
        if check:
            done.check_returncode()
        return done

    def background(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as people do, its output in pipes."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            text=True,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def _environment(changed: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    return {**inherited, **SINKS_NOWHERE, **changed}


@pytest.fixture
def worker_environment() -> dict[str, str]:
    """What a process of a test's own sees: no account of anybody, no sink that leads anywhere."""
    return _environment({})


@pytest.fixture(scope="session")
def carillon() -> Carillon:
    """Run a command of the command line in a process of its own."""
    return Carillon()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command line as a program for `subprocess`; what it runs is forked from a process that has imported all."""
    path = tmp_path_factory.mktemp("program") / "carillon"
    answers = answering(path)
    yield str(path)
    answers.kill()


@pytest.fixture(scope="session")
def node() -> str:
    """Node, beside which the AWS SDK for JavaScript is installed: `make test` does it where there is npm."""
    found = shutil.which("node")
    if found is not None and (Path(__file__).parent / "compatibility/js/node_modules").exists():
        return found
    missing = (
        "node is not on this machine" if found is None else "run `make test` once with npm: node_modules is missing"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


_embedded: dict[tuple[str, bool, bytes], Embedding] = {}


@pytest.fixture(scope="module")
def embeds_once() -> Iterator[None]:
    """Have the same speech embedded once in this process: a model says the same of it (tests/inference)."""
    embed = SpeakerEncoder._run

    def remembered(self: SpeakerEncoder, speech: Pcm, *, is_narrow: bool) -> Embedding:
        key = (self.id, is_narrow, speech.tobytes())
        if key not in _embedded:
            _embedded[key] = embed(self, speech, is_narrow=is_narrow)
        return _embedded[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SpeakerEncoder, "_run", remembered)
        yield


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The packaged recordings: two-channel calls at 8 kHz, the customer left."""
    return Path(__file__).parents[1] / "src/carillon/demo/recordings"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Where moto's server answers, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        ports: SimpleQueue[str] = SimpleQueue()

        def read() -> None:  # to the end, or a full pipe would stop the server
            for line in server.stderr or ():
                if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                    ports.put(found.group(1))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield ports.get(timeout=PATIENCE_SECONDS)
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
            reader.join(PATIENCE_SECONDS)


STARTED_AT = datetime(2026, 11, 22, 10, 15, 30, 640_000, tzinfo=UTC)
KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}


class Call:
    """A call on a server that may be replaced under it."""

    def __init__(self, server: Any) -> None:
        self.server = server
        pipelines, video = server.client("chime-sdk-media-pipelines"), server.client("kinesisvideo")
        domain = server.client("chime-sdk-voice").create_voice_profile_domain(
            Name="x", ServerSideEncryptionConfiguration=KEY
        )
        features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
        configuration = pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName="crash",
            ResourceAccessRoleArn="arn:aws:iam::111122223333:role/x",
            Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features}],
        )["MediaInsightsPipelineConfiguration"]
        stream_arn = video.create_stream(StreamName="call", DataRetentionInHours=1)["StreamARN"]
        channels = {"NumberOfChannels": 2, "ChannelDefinitions": [{"ChannelId": 0}, {"ChannelId": 1}]}
        self.pipeline_id = pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": channels}],
            },
        )["MediaInsightsPipeline"]["MediaPipelineId"]
        source = {"StreamArn": stream_arn, "ChannelId": 0}
        pipelines.start_speaker_search_task(
            Identifier=self.pipeline_id,
            VoiceProfileDomainArn=domain["VoiceProfileDomain"]["VoiceProfileDomainArn"],
            KinesisVideoStreamSourceTaskConfiguration=source,
        )
        pipelines.start_voice_tone_analysis_task(
            Identifier=self.pipeline_id, LanguageCode="en-US", KinesisVideoStreamSourceTaskConfiguration=source
        )

    async def push(
        self,
        file: Path,
        from_seconds: float,
        *,
        at: int = 0,
        then: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Send a part of the call as fast as it goes; return when all of it is durable.

        Once `at` fragments are durable, something happens to the server while the others are sent.
        """
        environment = self.server.environment
        client = KinesisVideoClient(
            endpoint_url=self.server.url,
            data_endpoint_url=self.server.url,
            region=environment["AWS_REGION"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        said: list[Acknowledgement] = []
        clock = ManualClock(STARTED_AT + timedelta(seconds=from_seconds))
        recording = read_recording(file)
        reached = Event()

        def hear(acknowledgement: Acknowledgement) -> None:
            said.append(acknowledgement)
            if sum(item.type is AcknowledgementType.PERSISTED for item in said) >= at:
                reached.set()

        async def body(group: TaskGroup) -> AsyncIterator[bytes]:
            made = 0
            async for piece in as_live(recording, 0, clock=clock):
                yield piece
                made += 1
                if then is not None and made == at + 1:  # the first piece is the head
                    await reached.wait()
                    group.start_soon(then)

        async with client, create_task_group() as group:
            await send_media(client, "call", body(group), hear)
        persisted = {item.fragment_timecode for item in said if item.type is AcknowledgementType.PERSISTED}
        assert len(persisted) == np.ceil(recording.seconds)

    async def events(self) -> list[dict[str, Any]]:
        """What the outbox holds, of tasks only."""
        async with opened(config.load(self.server.data_dir, environment={})) as data_folder:
            found = await Outbox(data_folder.database, SystemClock()).events(0, 1000)
        return [event.body["detail"] for _, event in found if "taskId" in event.body["detail"]]

    async def finish(self) -> list[dict[str, Any]]:
        """Let the stream fall silent, which ends the call; return every event."""
        with fail_after(120):
            while statuses_of(await self.events())[-1:] != ["VoiceToneAnalysisCompleted"]:
                await sleep(0.2)
        return await self.events()


@pytest.fixture(scope="session")
def begin_call() -> type[Call]:
    """Begins a call with both tasks on the customer's channel."""
    return Call


def statuses_of(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["detailStatus"] for event in events]


def told_of(events: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a listener learns, without ids that differ from run to run; by kind of task, each in order."""
    learned = [
        (event["detailStatus"], event.get("speakerSearchDetails"), event.get("voiceToneAnalysisDetails"))
        for event in events
    ]
    return sorted(learned, key=lambda item: item[0].startswith("VoiceTone"))


@pytest.fixture(scope="session")
def told() -> Callable[[Sequence[dict[str, Any]]], list[tuple[Any, ...]]]:
    """Makes of events what a listener learns from them."""
    return told_of
