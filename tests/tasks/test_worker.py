"""A worker and a database that stutters: nothing is lost, nothing is told twice."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from anyio import Event, create_task_group, fail_after, move_on_after, sleep_forever, wait_all_tasks_blocked

from carillon.clock import ManualClock
from carillon.matroska import AUDIO, Track
from carillon.profiles import Profiles
from carillon.storage import DatabaseBusy
from carillon.tasks import TaskSettings, TaskState, TaskStore
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, CheckpointUnreadable

pytestmark = pytest.mark.anyio

STEREO = Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 2, 16)
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
    room = room.again(settings=TaskSettings(silence_seconds=1))
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
    room = room.again(settings=TaskSettings(silence_seconds=1))
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


async def test_both_tasks_of_a_leg_have_the_detector_asked_once(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    push = type(room.models).push

    def counted(self: Any, frames: Any, state: Any) -> Any:
        asked.extend(frame.tobytes() for frame in frames)
        return push(self, frames, state)

    monkeypatch.setattr(type(room.models), "push", counted)
    pipeline = await room.pipeline()
    search, tone = await room.search(pipeline), await room.tone(pipeline)
    async with room.running():
        tape.play(call[: 17 * SECOND])
        await room.until_told(search, FOUND[0])
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")

        async def is_heard() -> bool:
            return len(set(asked)) > 500  # of 531 frames: reports come before the last

        await room.until(is_heard)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("is_committed", [True, False])
async def test_of_a_commit_that_nobody_confirmed_the_database_knows_whether_it_happened(
    room: Any, tape: Any, call: Any, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    room = room.again(settings=TaskSettings(silence_seconds=1, commit_seconds=0.3))
    commit = TaskStore.commit
    hung: list[Any] = []

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
    with fail_after(120):
        async with create_task_group() as group:

            async def run() -> None:
                async with room.running():
                    await sleep_forever()

            group.start_soon(run)
            search = await room.search(pipeline)
            tape.play(call[: 17 * SECOND])
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
        tape.play(call[: 17 * SECOND])
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
        tape.play(call[: 17 * SECOND])
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


async def test_times_of_a_report_leave_out_what_was_missing(
    room: Any, tape: Any, call: Any, clock: ManualClock
) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(call[: 8 * SECOND])
        tape.pause(600)
        tape.play(call[8 * SECOND : 17 * SECOND])
        await room.until(lambda: _told(room, tone, 1))
    (event,) = await room.events(tone)
    current = event.body["detail"]["voiceToneAnalysisDetails"]["currentAverageVoiceTone"]
    began_at = clock.now() + timedelta(seconds=1)
    assert (current["beginOffsetMillis"], current["endOffsetMillis"]) == (0, 15_000)
    assert current["startTime"] == _iso(began_at)
    assert current["endTime"] == _iso(began_at + timedelta(seconds=615))


async def test_speech_from_before_a_gap_counts(room: Any, tape: Any, call: Any) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        for second in range(22):
            tape.play(call[second * SECOND : (second + 1) * SECOND])
            tape.pause(5)
        await room.until_state(search, TaskState.STOPPED)
    assert await room.told(search) == FOUND


async def test_leniently_a_call_is_heard_at_the_rate_that_it_has(room: Any, tape: Any, call: Any) -> None:
    room = room.again(settings=TaskSettings(silence_seconds=2, rate_mismatch="lenient", checkpoint_seconds=1))
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        tape.play(call[: 30 * SECOND], replace(STEREO, rate_hz=16_000.0))  # so they are half as long
        await room.until_told(search, FOUND[0])
        await room.until(lambda: _heard(room, search, 14_000))
        assert await room.told(search) == FOUND[:1]
    again = room.again()
    async with again.running():
        tape.play(call[30 * SECOND : 44 * SECOND], replace(STEREO, rate_hz=16_000.0))
        await again.until_state(search, TaskState.STOPPED)
    assert await room.told(search) == FOUND


async def _heard(room: Any, task: Any, milliseconds: int) -> bool:
    heard: int = await room.heard_ms(task)
    return heard >= milliseconds


async def test_a_call_in_aac_goes_on_in_another_process(room: Any, tape: Any, call: Any) -> None:
    room = room.again(settings=TaskSettings(silence_seconds=2, checkpoint_seconds=1))
    track, packets = _aac(call[: 25 * SECOND])
    fragments = [packets[at : at + 8] for at in range(0, len(packets), 8)]  # of 1.024 s
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline, channel=1)
        for fragment in fragments[:7]:
            tape.send(track, fragment, 128)
        await room.until(lambda: _heard(room, search, 6_900))
    again = room.again()
    async with again.running():
        for fragment in fragments[7:]:
            tape.send(track, fragment, 128)
        await again.until_state(search, TaskState.STOPPED)
    assert await room.told(search) == FOUND


def _aac(samples: Any) -> tuple[Track, list[bytes]]:
    """(n, 2) samples at 8 kHz as AAC packets of 128 ms."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SECOND, "stereo", "fltp"
    encoder.time_base = Fraction(1, SECOND)
    planes = np.ascontiguousarray(samples.T.astype(np.float32) / 32_768)
    packets = []
    for at in range(0, planes.shape[1] - 1_023, 1_024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes[:, at : at + 1_024]), "fltp", "stereo")
        frame.sample_rate, frame.pts = SECOND, at
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return replace(STEREO, codec_id="A_AAC", codec_private=bytes(encoder.extradata or b""), bit_depth=None), packets


async def test_a_checkpoint_shows_nothing_of_a_voice_and_knows_its_own_kind(room: Any, clock: ManualClock) -> None:
    checkpoint = Checkpoint("1", clock.now(), 1, 1, clock.now(), clock.now(), b"a voice")
    assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint
    assert "voice" not in repr(checkpoint)
    with pytest.raises(CheckpointUnreadable):
        Checkpoint.from_bytes(b"\x80")
