"""What tasks found out, as rows: written with the event that tells of it, there after a restart, gone with the task."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from carillon.arns import AwsAccount
from carillon.notifications import (
    EventContext,
    Outbox,
    ProfileMatch,
    SpeakerSearchStatus,
    VoiceToneStatus,
    speaker_search_event,
)
from carillon.profiles import Voiceprint
from carillon.tasks import SearchResult, ToneResult
from carillon.tasks.model import Task, TaskState
from carillon.tasks.results import PublishedResult
from carillon.tasks.store import TaskOutcome

pytestmark = pytest.mark.anyio

RATE_HZ = 8_000
MATCHES = (ProfileMatch("vp-1", 0.987654321), ProfileMatch("vp-2", 0.5))


def found(room: Any, task: Task) -> PublishedResult:
    """An answer with two matches."""
    result = SearchResult(room.clock.now(), SpeakerSearchStatus.IDENTIFIED, MATCHES)
    context = EventContext(AwsAccount(), task.pipeline_id, "arn:pipeline", task.id, task.leg.stream_arn, 0, None)
    return PublishedResult(result, speaker_search_event(context, result.status, result.at, matches=result.matches))


async def enrolled(room: Any) -> tuple[str, str]:
    """A domain's ARN, and the id of the profile in it that everybody sounds like to `QuickModels`."""
    domain, voice = await room.domain(), np.full(256, 1 / 16, np.float32)
    known = Voiceprint("known", domain.id, voice, np.zeros(16_000, np.int16), "quick", room.clock.now())
    async with room.database.transaction() as connection:
        await room.profiles.keep_voiceprint(connection, known)
    return domain.arn, (await room.profiles.enroll("known")).id


async def test_a_search_is_read_back_as_it_was_told_also_by_a_new_process(
    quick_room: Any, tape: Any, noise: Any
) -> None:
    room = quick_room
    domain_arn, profile_id = await enrolled(room)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline, domain_arn=domain_arn)
        tape.play(noise[: 22 * RATE_HZ])
        await room.until_state(task, TaskState.STOPPED)
    results, events = room.again().store.results, await room.events(task)
    identified, voiceprint = await results.of_task(task.id, SearchResult)
    assert [identified.status, voiceprint.status] == [
        SpeakerSearchStatus.IDENTIFIED,
        SpeakerSearchStatus.VOICEPRINT_READY,
    ]
    (match,) = identified.matches
    assert events[0].body["detail"]["speakerSearchDetails"]["results"] == [
        {"voiceProfileId": profile_id, "confidenceScore": match.score}
    ]
    assert [identified.at, voiceprint.at] == [event.at for event in events]
    every = await room.outbox.events(0, 100)
    assert await results.of_events([event.id for _, event in every]) == {
        events[0].id: identified,
        events[1].id: voiceprint,
    }


async def test_the_tone_over_time_is_read_back_as_it_was_told(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.tone(pipeline)
        tape.play(noise[: 21 * RATE_HZ])
        await room.until_told(task, VoiceToneStatus.REPORTED.value)
        await room.stop(task)
        await room.until_state(task, TaskState.STOPPED)
    results = await room.store.results.of_task(task.id, ToneResult)
    assert results[-1].status is VoiceToneStatus.COMPLETED
    assert len(results) >= 3
    for result, event in zip(results, await room.events(task), strict=True):
        told = event.body["detail"]["voiceToneAnalysisDetails"]
        for window, name in ((result.current, "currentAverageVoiceTone"), (result.overall, "overallAverageVoiceTone")):
            assert window is not None
            assert (window.begin_ms, window.end_ms, window.label) == (
                told[name]["beginOffsetMillis"],
                told[name]["endOffsetMillis"],
                told[name]["voiceToneLabel"],
            )


async def test_a_failure_is_a_result_that_says_why(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline)
        tape.play(noise[: 3 * RATE_HZ])
        await room.until_state(task, TaskState.RUNNING)
        await room.stop(task)
        await room.until_state(task, TaskState.STOPPED)
    results = await room.store.results.of_task(task.id, SearchResult)
    assert [(result.status.value, result.message) for result in results] == list(
        zip(await room.told(task), await room.messages(task), strict=True)
    )


async def test_a_result_is_there_exactly_if_its_event_is(quick_room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    task = await room.search(pipeline)
    lease, outcome = await room.lease(pipeline), TaskOutcome((found(room, task),))
    post = Outbox.post

    async def post_and_fail(*given: Any) -> None:
        await post(*given)
        raise ZeroDivisionError

    monkeypatch.setattr(Outbox, "post", post_and_fail)
    with pytest.raises(ZeroDivisionError):
        await room.store.commit(pipeline, task, outcome, None, lease)
    assert await room.store.results.of_task(task.id, SearchResult) == []
    assert await room.told(task) == []
    monkeypatch.setattr(Outbox, "post", post)
    assert await room.store.commit(pipeline, task, outcome, None, lease)
    assert await room.store.results.of_task(task.id, SearchResult) == [outcome.results[0].result]
    assert await room.told(task) == ["IdentificationSuccessful"]


async def test_results_go_with_their_task(quick_room: Any) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    old, young = await room.search(pipeline), await room.search(pipeline, channel=1)
    lease = await room.lease(pipeline)
    for task in (old, young):
        ends_as = TaskState.FAILED if task is old else None
        await room.store.commit(pipeline, task, TaskOutcome((found(room, task),)), None, lease, ends_as=ends_as)
    room.clock.advance(timedelta(days=7))
    await room.store.sweep(timedelta(days=7))
    async with room.database.reading() as connection:
        rows = await connection.exec_driver_sql("SELECT task_id FROM task_results")
        assert rows.scalars().all() == [young.id]


async def test_a_sweep_of_many_tasks_goes_on_to_the_end(quick_room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    room = quick_room
    monkeypatch.setattr("carillon.tasks.store._SWEPT_AT_ONCE", 2)
    pipeline = await room.pipeline(channels=5)
    lease = await room.lease(pipeline)
    for channel in range(5):
        task = await room.search(pipeline, channel=channel)
        outcome = TaskOutcome((found(room, task),))
        await room.store.commit(pipeline, task, outcome, None, lease, ends_as=TaskState.FAILED)
    await room.store.sweep(timedelta(0))
    async with room.database.reading() as connection:
        for table in ("tasks", "task_results"):
            assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one() == 0
