"""A worker and a database that stutters: nothing is lost, nothing is told twice."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from anyio import Event, create_task_group, fail_after, move_on_after, sleep_forever, wait_all_tasks_blocked

from carillon.clock import ManualClock
from carillon.profiles import Profiles
from carillon.storage import DatabaseBusy
from carillon.tasks import Settings, TaskState, TaskStore
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, CheckpointUnreadable

pytestmark = pytest.mark.anyio

SECOND = 8_000  # of noise, which the quick models take for speech
FOUND = ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]


@pytest.fixture
def room(quick_room: Any) -> Any:
    return quick_room


@pytest.fixture
def call(noise: Any) -> Any:
    return noise


def stutter(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int) -> list[str]:
    """Make a method find the database busy on its first calls; return its calls, one name each."""
    method: Callable[..., Awaitable[Any]] = getattr(owner, name)
    calls: list[str] = []

    async def busy_at_first(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) <= times:
            raise DatabaseBusy
        return await method(*arguments, **named)

    monkeypatch.setattr(owner, name, busy_at_first)
    return calls


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (TaskStore, "commit"),
        (Profiles, "search"),
        (Profiles, "warm"),
        (Lifecycle, "hearing"),
        (Lifecycle, "opening"),
        (TaskStore, "checkpoint"),
        (TaskStore, "of_pipeline"),
    ],
)
async def test_a_busy_database_is_asked_again(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    room = room.again(settings=Settings(silence_seconds=1))
    pipeline = await room.pipeline()
    search = await room.search(pipeline)
    calls = stutter(monkeypatch, owner, name, times=2)
    async with room.running():
        tape.play(call[: 22 * SECOND])
        await room.until_state(search, TaskState.STOPPED)
    assert len(calls) >= 3
    assert await room.told(search) == FOUND


async def test_a_database_that_stays_busy_interrupts_a_task_which_then_goes_on_from_its_checkpoint(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = room.again(settings=Settings(silence_seconds=1))
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(call[: 17 * SECOND])
        await room.until_told(search, FOUND[0])
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
        calls = stutter(monkeypatch, TaskStore, "commit", times=12)  # a worker gives up after five
        tape.play(call[17 * SECOND : 22 * SECOND])
        await room.until_state(search, TaskState.STOPPED)
        await room.until(lambda: _told(room, tone, 2))
    assert len(calls) > 12
    assert await room.told(search) == FOUND
    assert await room.told(tone) == ["VoiceToneAnalysisSuccessful"] * 2


async def _told(room: Any, task: Any, count: int) -> bool:
    return len(await room.told(task)) == count


@pytest.mark.parametrize("is_committed", [True, False])
async def test_of_a_commit_that_nobody_confirmed_the_database_knows_whether_it_happened(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    room = room.again(settings=Settings(silence_seconds=1, commit_seconds=0.3))
    commit, hung = TaskStore.commit, []

    async def hang_once(self: TaskStore, pipeline: Any, task: Any, outcome: Any, *rest: Any, **more: Any) -> bool:
        if hung or not outcome.events:
            return await commit(self, pipeline, task, outcome, *rest, **more)
        hung.append(outcome)
        if is_committed:
            await commit(self, pipeline, task, outcome, *rest, **more)
        await sleep_forever()
        return False

    monkeypatch.setattr(TaskStore, "commit", hang_once)
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        tape.play(call[: 22 * SECOND])
        await room.until_state(search, TaskState.STOPPED)
    assert hung
    assert await room.told(search) == FOUND


async def test_a_stop_of_the_process_does_not_tear_a_commit(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, begun, go_on = TaskStore.commit, Event(), Event()

    async def slowly(self: TaskStore, pipeline: Any, task: Any, outcome: Any, *rest: Any, **more: Any) -> bool:
        if outcome.events:
            begun.set()
            await go_on.wait()
        return await commit(self, pipeline, task, outcome, *rest, **more)

    monkeypatch.setattr(TaskStore, "commit", slowly)
    pipeline = await room.pipeline()
    with fail_after(20):
        async with create_task_group() as group:

            async def run() -> None:
                async with room.running():
                    await sleep_forever()

            group.start_soon(run)
            search = await room.search(pipeline)
            tape.play(call[: 12 * SECOND])
            await begun.wait()
            group.cancel_scope.cancel()
            with move_on_after(5, shield=True):
                await wait_all_tasks_blocked()
                assert await room.told(search) == []
                go_on.set()
    assert await room.told(search) == FOUND[:1]
    assert await room.heard_ms(search) == 11_000


async def test_a_result_that_cannot_be_kept_is_told_as_a_failure_and_not_lost(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        monkeypatch.setattr(Profiles, "search", broken)
        tape.play(call[: 12 * SECOND])
        await room.until_state(search, TaskState.FAILED)
    assert await room.told(search) == ["IdentificationFailure", "VoiceprintGenerationFailure"]


async def test_what_was_told_before_a_failure_stays_told(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        tape.play(call[: 12 * SECOND])
        await room.until_told(search, FOUND[0])
        monkeypatch.setattr(Profiles, "keep_voiceprint", broken)
        tape.play(call[12 * SECOND : 22 * SECOND])
        await room.until_state(search, TaskState.FAILED)
    assert await room.told(search) == [FOUND[0], "VoiceprintGenerationFailure"]


async def test_times_of_a_report_are_those_of_the_audio(room: Any, tape: Any, call: Any, clock: ManualClock) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(call[: 22 * SECOND])
        await room.until(lambda: _told(room, tone, 2))
        task = await room.store.current(tone.id)
    assert task.start_fragment == "1"
    began_at = clock.now() + timedelta(seconds=1)
    for number, event in enumerate(await room.events(tone)):
        detail = event.body["detail"]
        assert detail["startFragmentNumber"] == "1"
        end = 15 + 5 * number
        current = detail["voiceToneAnalysisDetails"]["currentAverageVoiceTone"]
        overall = detail["voiceToneAnalysisDetails"]["overallAverageVoiceTone"]
        for average, begin in ((current, max(0, end - 30)), (overall, 0)):
            assert (average["beginOffsetMillis"], average["endOffsetMillis"]) == (begin * 1000, end * 1000)
            assert average["startTime"] == _iso(began_at + timedelta(seconds=begin))
            assert average["endTime"] == _iso(began_at + timedelta(seconds=end))


def _iso(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


async def test_a_checkpoint_shows_nothing_of_a_voice_and_knows_its_own_kind(room: Any, clock: ManualClock) -> None:
    checkpoint = Checkpoint("1", clock.now(), 1, 1, clock.now(), clock.now(), b"a voice")
    assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint
    assert "voice" not in repr(checkpoint)
    with pytest.raises(CheckpointUnreadable):
        Checkpoint.from_bytes(b"\x80")
