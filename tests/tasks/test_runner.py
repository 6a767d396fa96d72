"""A pipeline's tasks on a tape of a real call: what they are told, how they end, and what one does to another."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from anyio import sleep_forever, wait_all_tasks_blocked

from carillon.access import read_trail
from carillon.clock import ManualClock
from carillon.matroska import AUDIO, Track
from carillon.media import FragmentNotFound, Position, RemoteStreamNotFound
from carillon.pipelines import Element, ElementKind, PipelineState, WrongPipelineState
from carillon.storage import Database
from carillon.tasks import TaskSettings, TaskState, TaskStore

pytestmark = pytest.mark.anyio

STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
OTHER_STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/other/1732270000001"
SECOND = 8_000


async def test_a_whole_call_is_told_as_the_guide_says(
    room: Any, tape: Any, call: Any, clock: ManualClock, logged: list[Any]
) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(call[: 45 * SECOND])
        await room.until_state(search, TaskState.STOPPED)
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
        assert (await room.pipelines.find(pipeline.id)).state is PipelineState.IN_PROGRESS
        await room.until(lambda: _has_told(room, tone, 6))
        clock.advance(timedelta(seconds=3))
        ended = await room.until_ended(pipeline)
    assert await room.told(search) == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]
    assert await room.told(tone) == ["VoiceToneAnalysisSuccessful"] * 6 + ["VoiceToneAnalysisCompleted"]
    assert await room.told() == ["chime:MediaInsightsInProgress", "chime:MediaInsightsStopped"]
    assert ended.state is PipelineState.STOPPED
    assert await room.state(tone) is TaskState.STOPPED
    assert tape.open_now == 0
    _assert_log_is_short(logged, tone.id)


def _assert_log_is_short(logged: list[Any], tone_id: str) -> None:
    """A report that follows its like is no news to whoever reads the log."""
    assert {line["log_level"] for line in logged} == {"info", "debug"}
    of_tone = [line for line in logged if line.get("task_id") == tone_id and line["log_level"] == "info"]
    assert [(line["event"], line.get("status")) for line in of_tone] == [
        ("task.started", None),
        ("task.receiving", None),
        ("notification.posted", "VoiceToneAnalysisSuccessful"),
        ("notification.posted", "VoiceToneAnalysisCompleted"),
        ("task.stopped", None),
    ]
    moves = [set(line) for line in logged if line["event"] == "pipeline.moved"]
    assert all("failure" not in move for move in moves)


async def _has_told(room: Any, task: Any, count: int) -> bool:
    return len(await room.told(task)) >= count


async def test_each_channel_hears_its_own_side(room: Any, tape: Any, call: Any) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        left, right = await room.search(pipeline, 0), await room.search(pipeline, 1)
        tape.play(call[: 20 * SECOND])
        await room.until_told(left, "IdentificationNoMatchesFound")
        await room.stop(right)
        await room.until_state(right, TaskState.STOPPED)
        assert await room.told(right) == ["IdentificationFailure", "VoiceprintGenerationFailure"]
        assert [event.body["detail"]["channelId"] for event in await room.events(right)] == [1, 1]


async def test_a_call_that_falls_silent_too_early_fails_what_it_did_not_reach_and_stops(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 4 * SECOND])
        await _heard(room, search, tone)
        clock.advance(timedelta(seconds=1.9))
        await room.until(lambda: _holds(tape.open_now == 1))
        assert (await room.pipelines.find(pipeline.id)).state is PipelineState.IN_PROGRESS
        clock.advance(timedelta(seconds=0.2))
        ended = await room.until_ended(pipeline)
    assert ended.state is PipelineState.STOPPED
    assert await room.told(search) == ["IdentificationFailure", "VoiceprintGenerationFailure"]
    assert await room.messages(search) == [
        "Less than 10 seconds of speech were available.",
        "Less than 20 seconds of speech were available.",
    ]
    assert await room.told(tone) == ["VoiceToneAnalysisFailure"]
    assert await room.messages(tone) == ["Less than 10 seconds of speech were available."]
    assert {await room.state(search), await room.state(tone)} == {TaskState.STOPPED}


async def _holds(truth: bool) -> bool:
    return truth


async def _heard(room: Any, *tasks: Any) -> None:
    """Wait until everything on the tape has been heard."""
    for task in tasks:
        await room.until_state(task, TaskState.RUNNING, TaskState.STOPPING, TaskState.STOPPED)
    await wait_all_tasks_blocked()


async def test_speech_that_nobody_can_be_known_by_fails_both_stages_with_the_reason(
    room: Any, tape: Any, call: Any
) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        loud = np.clip(call[: 45 * SECOND].astype(np.int32) * 60, -32768, 32767).astype(np.int16)
        tape.play(loud)
        await room.until_state(search, TaskState.STOPPED)
    assert await room.told(search) == ["IdentificationFailure", "VoiceprintGenerationFailure"]
    assert all("clipped" in message for message in await room.messages(search))


async def test_a_stopped_task_says_so_with_what_it_did_not_reach(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_told(search, "IdentificationNoMatchesFound")
        await room.stop(search)
        await room.until_state(search, TaskState.STOPPED)
        assert await room.told(search) == ["IdentificationNoMatchesFound", "VoiceprintGenerationFailure"]
        message = (await room.messages(search))[1]
        assert message == "The task was stopped. Less than 20 seconds of speech were available."
        assert await room.state(tone) is TaskState.RUNNING
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
        await room.stop(tone)
        await room.until_state(tone, TaskState.STOPPED)
        assert (await room.told(tone))[-1] == "VoiceToneAnalysisCompleted"
        assert (await room.pipelines.find(pipeline.id)).state is PipelineState.IN_PROGRESS


async def test_failures_of_stopped_tasks_can_be_left_out_but_not_those_of_calls_that_end(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock
) -> None:
    room = quick_room.again(settings=TaskSettings(silence_seconds=2, failure_events_on_stop=False))
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 4 * SECOND])
        await _heard(room, search, tone)
        await room.stop(search)
        await room.until_state(search, TaskState.STOPPED)
        clock.advance(timedelta(seconds=3))
        await room.until_ended(pipeline)
    assert await room.told(search) == []
    assert await room.told(tone) == ["VoiceToneAnalysisFailure"]


async def test_deleting_a_pipeline_ends_its_tasks_with_their_last_events(
    quick_room: Any, tape: Any, noise: Any
) -> None:
    room = quick_room
    sink = Element(ElementKind.SQS_QUEUE, "arn:aws:sqs:us-east-1:111122223333:q")
    pipeline = await room.pipeline(elements=(sink,))
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_told(search, "IdentificationNoMatchesFound")
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
        await room.tasks.delete_pipeline(pipeline.id)
        with pytest.raises(WrongPipelineState):
            await room.tasks.delete_pipeline(pipeline.id)
        ended = await room.until_ended(pipeline)
        await room.until(lambda: _holds(not room.supervisor._runners))
    assert ended.state is PipelineState.STOPPED
    assert (await room.told(search))[-1] == "VoiceprintGenerationFailure"
    assert (await room.messages(search))[-1] == "Less than 20 seconds of speech were available."
    assert (await room.told(tone))[-1] == "VoiceToneAnalysisCompleted"
    assert {await room.state(search), await room.state(tone)} == {TaskState.STOPPED}
    assert await room.told() == ["chime:MediaInsightsInProgress", "chime:MediaInsightsStopped"]
    assert [event.body["detail"]["callId"] for event in await room.events()] == ["1", "1"]
    assert tape.open_now == 0


async def test_a_pipeline_without_tasks_is_deleted_at_once(quick_room: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        await room.tasks.delete_pipeline(pipeline.id)
        assert (await room.until_ended(pipeline)).state is PipelineState.STOPPED
    assert await room.told() == ["chime:MediaInsightsStopped"]


async def test_a_task_that_is_stopped_before_anything_was_heard_ends(quick_room: Any, tape: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    tone = await room.tone(pipeline)  # nobody runs it yet
    await room.stop(tone)
    search = await room.search(pipeline)
    async with room.running():
        await room.until_state(tone, TaskState.STOPPED)
        await room.until_state(search, TaskState.OPENING)
        await room.stop(search)
        await room.until_state(search, TaskState.STOPPED)
    assert await room.messages(tone) == ["The task was stopped. Less than 10 seconds of speech were available."]
    assert await room.told(search) == ["IdentificationFailure", "VoiceprintGenerationFailure"]
    assert (await room.pipelines.find(pipeline.id)).state is PipelineState.INITIALIZING


@pytest.mark.parametrize(
    ("track", "says"),
    [
        (Track(1, 1, AUDIO, "", "A_AAC", b"", 8_000.0, 2, None), "A_AAC"),
        (Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 16_000.0, 2, 16), "16000 samples"),
        (Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16), "2 channels were declared"),
    ],
)
async def test_audio_in_the_wrong_format_fails_the_tasks_and_then_the_pipeline(
    quick_room: Any, tape: Any, noise: Any, track: Track, says: str
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 2 * SECOND], track)
        ended = await room.until_ended(pipeline)
    assert ended.state is PipelineState.FAILED
    assert await room.told(search) == ["IdentificationFailure", "VoiceprintGenerationFailure"]
    assert await room.told(tone) == ["VoiceToneAnalysisFailure"]
    for message in (*await room.messages(search), *await room.messages(tone)):
        assert says in message
    assert {await room.state(search), await room.state(tone)} == {TaskState.FAILED}
    told = (await room.events())[-1].body["detail"]
    assert told["eventType"] == "chime:MediaInsightsPermanentFailure"
    assert says in told["failureReason"]


async def test_a_stream_that_cannot_be_read_fails_its_tasks_and_then_the_pipeline(
    quick_room: Any, tape: Any, noise: Any
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_told(search, "IdentificationNoMatchesFound")
        tape.fail(RemoteStreamNotFound("call"))
        ended = await room.until_ended(pipeline)
    assert ended.state is PipelineState.FAILED
    assert await room.told(search) == ["IdentificationNoMatchesFound", "VoiceprintGenerationFailure"]
    assert "call does not exist" in str(await room.messages(search))


async def test_a_pipeline_of_which_one_task_went_well_does_not_fail(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(noise[: 2 * SECOND])
        await room.until_state(tone, TaskState.RUNNING)
        await room.stop(tone)
        await room.until_state(tone, TaskState.STOPPED)
        search = await room.search(pipeline)
        tape.fail(RemoteStreamNotFound("call"))
        await room.until_state(search, TaskState.FAILED)
        assert (await room.pipelines.find(pipeline.id)).state is PipelineState.IN_PROGRESS
        clock.advance(timedelta(seconds=3))  # nobody reads the stream any more: it counts as silent
        assert (await room.until_ended(pipeline)).state is PipelineState.STOPPED


async def test_a_fragment_that_does_not_exist_is_the_mistake_of_one_task(
    quick_room: Any, tape: Any, noise: Any
) -> None:
    room = quick_room
    tape.failure_after = FragmentNotFound("7")
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(noise[: 3 * SECOND])
        await room.until_state(tone, TaskState.RUNNING)
        search = await room.search(pipeline, after="1")
        await room.until_state(search, TaskState.FAILED)
        assert "no fragment 7" in str(await room.messages(search))
        tape.play(noise[3 * SECOND : 20 * SECOND])
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
        assert await room.heard_ms(tone) >= 15_000


async def test_a_task_that_crashes_does_not_hurt_another(
    quick_room: Any, tape: Any, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = quick_room

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    pipeline = await room.pipeline()
    async with room.running():
        monkeypatch.setattr(type(room.models.tone), "judge", broken)
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_state(tone, TaskState.FAILED)
        await room.until_told(search, "IdentificationNoMatchesFound")
    assert await room.messages(tone) == ["An internal error ended the analysis."]


async def test_a_checkpoint_that_cannot_be_read_fails_its_task_alone(
    quick_room: Any, tape: Any, noise: Any, database: Database
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search, tone = await room.search(pipeline), await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_told(search, "IdentificationNoMatchesFound")
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
    async with database.transaction() as connection:
        statement = sa.text("UPDATE tasks SET checkpoint = :unreadable WHERE id = :id")
        await connection.execute(statement, {"unreadable": b"\0", "id": tone.id})
    again = room.again()
    async with again.running():
        await again.until_state(tone, TaskState.FAILED)
        assert (await again.told(tone))[-1] == "VoiceToneAnalysisFailure"
        assert await again.state(search) is TaskState.RUNNING


async def test_what_was_being_done_when_a_process_died_goes_on(room: Any, tape: Any, call: Any) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        running = await room.tone(pipeline)
        tape.play(call[: 16 * SECOND])
        await room.until_told(running, "VoiceToneAnalysisSuccessful")
    queued = await room.search(pipeline, after="0")  # nobody takes it: the process is gone
    stopping = await room.tone(pipeline, 1)
    await room.stop(stopping)
    again = room.again()
    async with again.running():
        await again.until_state(stopping, TaskState.STOPPED)
        tape.play(call[16 * SECOND : 45 * SECOND])
        await again.until_state(queued, TaskState.STOPPED)
        await again.until(lambda: _has_told(again, running, 6))
    assert await again.told(queued) == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]
    assert await again.messages(stopping) == ["The task was stopped. Less than 10 seconds of speech were available."]
    details = [event.body["detail"]["voiceToneAnalysisDetails"] for event in await again.events(running)]
    ends = [detail["currentAverageVoiceTone"]["endOffsetMillis"] for detail in details]
    assert ends == [15_000, 20_000, 25_000, 30_000, 35_000, 40_000]


async def test_a_pipeline_that_was_stopping_when_a_process_died_ends(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND])
        await room.until_told(tone, "VoiceToneAnalysisSuccessful")
    await room.tasks.delete_pipeline(pipeline.id)
    again = room.again()
    async with again.running():
        assert (await again.until_ended(pipeline)).state is PipelineState.STOPPED
    assert (await again.told(tone))[-1] == "VoiceToneAnalysisCompleted"


@pytest.mark.parametrize("is_watched", [True, False])
async def test_silence_of_a_stream_that_no_task_listens_to_ends_the_call_unless_told_otherwise(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock, is_watched: bool
) -> None:
    room = quick_room

    class Silence:
        async def fragments(self) -> AsyncGenerator[None]:
            await sleep_forever()
            yield

    def open_stream(stream_arn: str, position: Position) -> Any:
        return Silence() if stream_arn == OTHER_STREAM else tape.open(stream_arn, position)

    room = room.again(
        open_stream=open_stream, settings=TaskSettings(silence_seconds=2, watch_unused_streams=is_watched)
    )
    pipeline = await room.pipeline(STREAM, OTHER_STREAM)
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(noise[:SECOND])
        await room.until_state(tone, TaskState.RUNNING)
        await _look_again(room, pipeline)
        clock.advance(timedelta(seconds=3))
        tape.play(noise[:SECOND])
        if is_watched:
            await room.until_ended(pipeline)
        else:
            await _look_again(room, pipeline)
            assert (await room.pipelines.find(pipeline.id)).state is PipelineState.IN_PROGRESS


async def _look_again(room: Any, pipeline: Any) -> None:
    """Let the runner look at the database and at its streams, all of it."""
    runner = room.supervisor._runners[pipeline.id]
    for _ in range(2):
        before = runner._wake
        runner.wake()
        await room.until(lambda before=before: _holds(runner._wake is not before))


async def test_a_call_by_somebody_known_is_recognized(room: Any, tape: Any, call: Any, clock: ManualClock) -> None:
    domain = await room.domain()
    first = await room.pipeline()
    async with room.running():
        search = await room.search(first, domain_arn=domain.arn)
        tape.play(call[: 45 * SECOND])
        await room.until_state(search, TaskState.STOPPED)
        profile = await room.tasks.enroll(search.id)
        clock.advance(timedelta(seconds=60))
        second = await room.pipeline()
        again = await room.search(second, domain_arn=domain.arn, after="45")
        tape.play(np.roll(call, -20 * SECOND, axis=0)[: 40 * SECOND])
        await room.until_told(again, "IdentificationSuccessful")
    found = (await room.events(again))[0].body["detail"]["speakerSearchDetails"]["results"]
    assert [match["voiceProfileId"] for match in found] == [profile.id]
    assert found[0]["confidenceScore"] > 0.9
    nobody, answer = [row for _, row in await read_trail(room.database, 0, 10)]
    assert nobody.details is not None
    assert answer.details is not None
    assert (nobody.request_id, nobody.details["candidates"]) == (search.id, [])
    assert (answer.request_id, answer.details["known_voices"]) == (again.id, 1)
    (candidate,) = answer.details["candidates"]
    assert candidate["voice_profile_id"] == profile.id
    assert candidate["confidence"] == pytest.approx(found[0]["confidenceScore"], abs=1e-4)
    assert 0.5 < candidate["cosine"] <= 1 < candidate["log_likelihood_ratio"]


async def test_a_task_that_ended_just_after_it_was_listed_is_not_run_again(
    quick_room: Any, tape: Any, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = quick_room
    of_pipeline = TaskStore.of_pipeline
    listed: list[Any] = []

    async def late(self: TaskStore, connection: Any, pipeline_id: str, *states: Any) -> Any:
        return listed.pop() if listed and not states else await of_pipeline(self, connection, pipeline_id, *states)

    monkeypatch.setattr(TaskStore, "of_pipeline", late)
    pipeline = await room.pipeline()
    async with room.running():
        tone = await room.tone(pipeline)
        tape.play(noise[:SECOND])
        await room.until_state(tone, TaskState.RUNNING)
        running = await room.store.current(tone.id)
        await room.stop(tone)
        await room.until_state(tone, TaskState.STOPPED)
        listed.append([running])
        await _look_again(room, pipeline)
        await room.tasks.delete_pipeline(pipeline.id)
        await room.until_ended(pipeline)
    assert await room.told(tone) == ["VoiceToneAnalysisFailure"]
