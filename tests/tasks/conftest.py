"""A stream that is a tape, and a whole room of tasks around it: real database, real models, real outbox."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from anyio import Event, fail_after, sleep
from structlog.testing import capture_logs

from carillon.access import Explanations
from carillon.analysis import AnalysisSettings
from carillon.arns import AwsAccount
from carillon.audio import Embedding, Pcm
from carillon.clock import ManualClock
from carillon.errors import CarillonError
from carillon.inference import AcousticJudgment, Compensated, Models, SpeakerBaseline, VadState
from carillon.matroska import AUDIO, BlockRead, Track
from carillon.media import After, Fragment, Newest, Oldest, Position
from carillon.notifications import Event as Notification
from carillon.notifications import Outbox
from carillon.pipelines import (
    Element,
    ElementKind,
    Elements,
    NewPipeline,
    Pipeline,
    Pipelines,
    PipelineState,
    SourceRequest,
    StreamSource,
)
from carillon.profiles import Profiles
from carillon.storage import Database, IdempotencyToken, Vault
from carillon.tasks import (
    Analyses,
    Enrollment,
    Identifier,
    Lifecycle,
    StartTask,
    Supervisor,
    Task,
    Tasks,
    TaskSettings,
    TaskStore,
)
from carillon.tasks.leases import Lease, Leases, Owner
from carillon.tasks.model import TaskState
from clocks import RestlessClock

PLACE = AwsAccount()
STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
OTHER_STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/other/1732270000001"
STEREO = Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 2, 16)
RATE_HZ = 8_000
Stereo = npt.NDArray[np.int16]
"""(n, 2) samples: the customer left, the agent right."""


class Tape:
    """A stream that grows when the test says so; a real reader in all but the network."""

    def __init__(self, clock: ManualClock) -> None:
        self._start = clock.now()
        self._paused = timedelta()
        self._fragments: list[Fragment] = []
        self._grown = Event()
        self.opened: list[Position] = []
        self.open_now = 0
        self.failure: CarillonError | None = None
        self.failure_after: CarillonError | None = None
        """Raised instead of what follows a fragment number that a caller gave."""
        self.is_unreachable = False

    async def newest_position(self, stream_arn: str) -> str:
        """What a task begins after that is asked for now."""
        return str(len(self._fragments) or "")

    def record(self, count: int = 1) -> None:
        """Append fragments 1, 2, 3, ... one second apart, without audio."""
        for _ in range(count):
            self._append((), ())
        self._wake()

    def play(self, samples: Stereo, track: Track = STEREO) -> None:
        """Append (n, 2) samples at 8 kHz as fragments of a second each, all at once."""
        for at in range(0, len(samples), RATE_HZ):
            data = samples[at : at + RATE_HZ].tobytes()
            timecode_ms = len(self._fragments) * 1000
            self._append((track,), (BlockRead(0, len(data), track.number, timecode_ms, data),))
        self._wake()

    def send(self, track: Track, packets: Sequence[bytes], packet_ms: float) -> None:
        """Append compressed audio as one fragment of a second, however long it is."""
        at_ms = len(self._fragments) * 1000
        blocks = [BlockRead(0, 1, track.number, at_ms + int(i * packet_ms), data) for i, data in enumerate(packets)]
        self._append((track,), tuple(blocks))
        self._wake()

    def pause(self, seconds: float) -> None:
        """Let time pass without audio before the next fragment."""
        self._paused += timedelta(seconds=seconds)

    def fail(self, error: CarillonError) -> None:
        """Every reader is refused from now on."""
        self.failure = error
        self._wake()

    def open(self, stream_arn: str, position: Position) -> "Reader":
        self.opened.append(position)
        return Reader(self, position)

    def _append(self, tracks: tuple[Track, ...], blocks: tuple[BlockRead, ...]) -> None:
        count = len(self._fragments)
        at = self._start + timedelta(seconds=count + 1) + self._paused
        self._fragments.append(Fragment(str(count + 1), at, at, tracks, blocks, {}, timecode_ms=count * 1000))

    def _wake(self) -> None:
        self._grown.set()
        self._grown = Event()


class Reader:
    """One connection to a tape."""

    @property
    def is_unreachable(self) -> bool:
        return self._tape.is_unreachable

    def __init__(self, tape: Tape, position: Position) -> None:
        self._tape = tape
        self._position = position

    async def fragments(self) -> AsyncGenerator[Fragment]:
        tape = self._tape
        is_asked_for = isinstance(self._position, After) and self._position.server_at is None
        if tape.failure_after is not None and is_asked_for:
            raise tape.failure_after
        at = self._begin()
        tape.open_now += 1
        try:
            while True:
                if tape.failure:
                    raise tape.failure
                if at < len(tape._fragments):
                    at += 1
                    yield replace(tape._fragments[at - 1], behind_ms=(len(tape._fragments) - at) * 1000)
                else:
                    await tape._grown.wait()
        finally:
            tape.open_now -= 1

    def _begin(self) -> int:
        fragments = self._tape._fragments
        match self._position:
            case Newest():
                return max(0, len(fragments) - 1)
            case After(number):
                return int(number)
            case Oldest():
                return 0


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What was logged; nothing of a voice may be in it, whatever a test does."""
    with capture_logs() as entries:
        yield entries
    assert all(isinstance(value, str | int | float | None) for entry in entries for value in entry.values())


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves only when the test says so; a runner looks at the database every now and then all the same."""
    return RestlessClock()


@pytest.fixture
def tape(clock: ManualClock) -> Tape:
    """The stream that every pipeline of a test declares."""
    return Tape(clock)


@pytest.fixture(scope="session")
def models() -> Models:
    """Every model that ships."""
    loaded = Models()
    loaded.load()
    return loaded


class QuickModels:
    """In the place of real models where only the course of things matters: loud is speech, everybody sounds alike."""

    id = "quick"
    words = None
    words_missing = "quick models do not listen to words"

    @property
    def vad(self) -> "QuickModels":
        return self

    speaker = tone = vad

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        return (np.abs(frames).mean(axis=1) > 0.01).astype(np.float32), state

    def embed(self, speech: Pcm, band: str) -> Embedding:
        return np.full(256, 1 / 16, np.float32)

    def compensated(self, voice: Embedding, band: str, speech_seconds: float) -> Compensated:
        return Compensated(voice, 0.0)

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: str) -> float:
        return 20.0 * score - 10.0

    def judge(self, speech: Pcm, baseline: SpeakerBaseline) -> tuple[AcousticJudgment, SpeakerBaseline]:
        return AcousticJudgment((0.1, 0.6, 0.3), 0.5), baseline


@pytest.fixture(scope="session")
def noise() -> Stereo:
    """60 s that `QuickModels` takes for speech, on both channels."""
    drawn: Stereo = np.random.default_rng(1).integers(-9_000, 9_000, (60 * RATE_HZ, 2), dtype=np.int16)
    return drawn


@pytest.fixture(scope="session")
def call(recordings: Path) -> Stereo:
    """The first packaged call: left, 10 s of speech are there after 13 s and 20 s after 41 s; right, after 39 s."""
    samples: Stereo = soundfile.read(recordings / "call_1.flac", dtype="int16")[0]
    return samples


class _BothStreams:
    async def has_stream(self, stream_arn: str) -> bool:
        return stream_arn in (STREAM, OTHER_STREAM)


@dataclass
class Room:
    """All parts of the tasks room, joined as `app.py` joins them; may be made anew over the same database."""

    database: Database
    vault: Vault
    clock: ManualClock
    models: Any
    open_stream: Callable[[str, Position], Any]
    settings: TaskSettings = field(default_factory=lambda: TaskSettings(silence_seconds=2, housekeeping_seconds=1000))
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    newest_position: Callable[[str], Awaitable[str | None]] | None = None
    owner: Owner = field(default_factory=Owner)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.database, self.clock)
        self.profiles = Profiles(self.database, self.vault, PLACE, self.clock)
        self.pipelines = Pipelines(
            database=self.database, vault=self.vault, account=PLACE, clock=self.clock, streams=_BothStreams()
        )
        explained = Explanations(PLACE)
        self.store = TaskStore(self.database, self.vault, self.clock, self.outbox, self.profiles, explained)
        self.lifecycle = Lifecycle(
            database=self.database,
            pipelines=self.pipelines,
            store=self.store,
            profiles=self.profiles,
            outbox=self.outbox,
            account=PLACE,
            clock=self.clock,
            event_bus_arn="arn:bus",
        )

    @cached_property
    def supervisor(self) -> Supervisor:
        return Supervisor(
            database=self.database,
            pipelines=self.pipelines,
            profiles=self.profiles,
            store=self.store,
            lifecycle=self.lifecycle,
            leases=self.leases,
            outbox=self.outbox,
            open_stream=self.open_stream,
            analyses=Analyses(
                models=self.models,
                profiles=self.profiles,
                account=PLACE,
                clock=self.clock,
                settings=self.settings,
                analysis=self.analysis,
            ),
            clock=self.clock,
            settings=self.settings,
        )

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.database, self.owner, self.settings.lease_seconds, self.clock)

    async def lease(self, pipeline: Pipeline) -> Lease:
        """Take a pipeline, as a runner would."""
        lease = await self.leases.acquire(pipeline.id)
        assert lease is not None
        return lease

    @cached_property
    def tasks(self) -> Tasks:
        identifier = Identifier(self.profiles, self.models.speaker, self.settings)
        enrollment = Enrollment(self.profiles, lambda: identifier, self.store, self.settings)
        return Tasks(
            database=self.database,
            pipelines=self.pipelines,
            profiles=self.profiles,
            store=self.store,
            enrollment=enrollment,
            lifecycle=self.lifecycle,
            supervisor=self.supervisor,
            account=PLACE,
            clock=self.clock,
            newest_position=self.newest_position,
        )

    def again(self, **changes: Any) -> "Room":
        """A new process over the same database."""
        return replace(self, **changes)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run what there is to run."""
        return self.supervisor.running()

    async def pipeline(self, *streams: str, channels: int = 2, elements: tuple[Element, ...] = ()) -> Pipeline:
        """Make a pipeline on some streams, by default on one of two channels."""
        processor = Element(ElementKind.VOICE_ANALYTICS, speaker_search=True, voice_tone=True)
        name = f"configuration-{len(await self.pipelines.configurations.page('', 100))}"
        configuration = await self.pipelines.configurations.create(name, "arn:role", Elements((processor, *elements)))
        sources = tuple(StreamSource(arn, channels, dict.fromkeys(range(channels))) for arn in streams or (STREAM,))
        return await self.pipelines.create(NewPipeline(configuration.arn, sources, RATE_HZ, {"callId": "1"}))

    async def search(self, pipeline: Pipeline, channel: int = 0, **more: Any) -> Task:
        """Start a speaker search in a domain of its own."""
        domain_arn = more.pop("domain_arn", None) or (await self.domain()).arn
        return await self.tasks.start_speaker_search(_start(pipeline, channel, **more), domain_arn)

    async def tone(self, pipeline: Pipeline, channel: int = 0, **more: Any) -> Task:
        """Start a voice tone analysis."""
        language = more.pop("language", "en-US")
        return await self.tasks.start_voice_tone(_start(pipeline, channel, **more), language)

    async def domain(self) -> Any:
        return await self.profiles.create_domain("x", None, "arn:aws:kms:us-east-1:111122223333:key/1")

    async def stop(self, task: Task) -> None:
        await self.tasks.stop(task.kind, task.pipeline_id, task.id)

    async def set_state(self, item: Pipeline | Task, state: PipelineState | TaskState) -> None:
        """Put a pipeline or a task into a state without asking any table."""
        table = "tasks" if isinstance(item, Task) else "insights_pipelines"
        async with self.database.transaction() as connection:
            await connection.exec_driver_sql(f"UPDATE {table} SET state = '{state.value}' WHERE id = '{item.id}'")

    async def events(self, task: Task | None = None) -> list[Notification]:
        """What was posted, of one task or of the pipelines themselves, oldest first."""
        found = [event for _, event in await self.outbox.events(0, 1000)]
        return [event for event in found if event.task_id == (task.id if task else None)]

    async def told(self, task: Task | None = None) -> list[str]:
        return [event.status for event in await self.events(task)]

    async def messages(self, task: Task) -> list[str | None]:
        return [event.body["detail"].get("statusMessage") for event in await self.events(task)]

    async def state(self, task: Task) -> TaskState:
        return (await self.store.current(task.id)).state

    async def heard_ms(self, task: Task) -> int:
        """How far a task's checkpoint has come."""
        pipeline = await self.pipelines.find(task.pipeline_id)
        checkpoint = await self.store.checkpoint(pipeline, task.id)
        return checkpoint.heard_ms if checkpoint else 0

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float = 120) -> None:
        """Wait for what other children do."""
        with fail_after(seconds):
            while not await holds():
                await sleep(0.05)

    async def until_state(self, task: Task, *states: TaskState) -> None:
        async def is_there() -> bool:
            return await self.state(task) in states

        await self.until(is_there)

    async def until_told(self, task: Task, status: str) -> None:
        async def is_told() -> bool:
            return status in await self.told(task)

        await self.until(is_told)

    async def until_ended(self, pipeline: Pipeline) -> Pipeline:
        """Wait for the end of a pipeline; return it as it then stands."""

        async def is_over() -> bool:
            return (await self.pipelines.find(pipeline.id)).ended_at is not None

        await self.until(is_over)
        return await self.pipelines.find(pipeline.id)


def _start(
    pipeline: Pipeline,
    channel: int,
    stream: str = STREAM,
    after: str | None = None,
    token: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> StartTask:
    claim = IdempotencyToken(f"Start/{pipeline.id}", token, parameters or {}) if token else None
    return StartTask(pipeline.id, SourceRequest(stream, channel, after), claim)


@pytest.fixture
def room(database: Database, vault: Vault, clock: ManualClock, models: Models, tape: Tape) -> Room:
    """The room; `async with room.running()` sets it to work."""
    return Room(database, vault, clock, models, tape.open, newest_position=tape.newest_position)


@pytest.fixture
def quick_room(room: Room) -> Room:
    """The room with quick models."""
    return room.again(models=QuickModels())
