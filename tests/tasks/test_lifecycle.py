"""States, limits of time, and what keeps house when something breaks."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from anyio import create_task_group

from carillon.clock import ManualClock
from carillon.notifications import Outbox
from carillon.pipelines import PipelineNotFound, PipelineState
from carillon.storage import DatabaseBusy
from carillon.tasks import Supervisor, TaskNotFound, TaskSettings, TaskState
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import ACTIVE, ENDED, TRANSITIONS
from carillon.tasks.runner import Runner

pytestmark = pytest.mark.anyio

SECOND = 8_000


@pytest.fixture
def room(quick_room: Any) -> Any:
    return quick_room


async def test_only_the_table_of_transitions_moves_a_task(room: Any) -> None:
    task = await room.tone(await room.pipeline())
    for old, new in itertools.product(TaskState, TaskState):
        await room.set_state(task, old)
        async with room.database.transaction() as connection:
            moved = await room.store.move(connection, task.id, new)
        assert moved is (new in TRANSITIONS[old])
        assert await room.state(task) is (new if moved else old)


def test_from_every_state_a_task_can_end_and_from_an_end_it_goes_nowhere() -> None:
    assert all(TaskState.FAILED in TRANSITIONS[state] for state in ACTIVE)
    assert not any(TRANSITIONS[state] for state in ENDED)


Ends = tuple[list[TaskState], PipelineState, PipelineState | None]
ENDS: list[Ends] = [
    ([], PipelineState.STOPPING, PipelineState.STOPPED),
    ([], PipelineState.IN_PROGRESS, None),
    ([TaskState.STOPPED], PipelineState.IN_PROGRESS, None),
    ([TaskState.STOPPED], PipelineState.STOPPING, PipelineState.STOPPED),
    ([TaskState.STOPPED, TaskState.FAILED], PipelineState.IN_PROGRESS, None),
    ([TaskState.STOPPED, TaskState.FAILED], PipelineState.STOPPING, PipelineState.STOPPED),
    ([TaskState.FAILED, TaskState.RUNNING], PipelineState.IN_PROGRESS, None),
    ([TaskState.STOPPED, TaskState.STOPPING], PipelineState.STOPPING, None),
    ([TaskState.FAILED], PipelineState.INITIALIZING, PipelineState.FAILED),
    ([TaskState.FAILED, TaskState.FAILED], PipelineState.IN_PROGRESS, PipelineState.FAILED),
    ([TaskState.FAILED], PipelineState.STOPPING, PipelineState.FAILED),
]
"""States of the tasks, state of the pipeline, and what that ends as."""

TOLD = {
    None: [],
    PipelineState.STOPPED: ["chime:MediaInsightsStopped"],
    PipelineState.FAILED: ["chime:MediaInsightsPermanentFailure"],
}


async def test_a_pipeline_ends_when_it_should_and_fails_if_every_task_did(room: Any) -> None:
    for states, pipeline_state, ends_as in ENDS:
        pipeline, before = await room.pipeline(), len(await room.told())
        for channel, state in enumerate(states):
            await room.set_state(await room.tone(pipeline, channel), state)
        await room.set_state(pipeline, pipeline_state)
        assert await room.lifecycle.end_if_over(pipeline, await room.lease(pipeline)) is (ends_as is not None), (
            states,
            pipeline_state,
        )
        assert (await room.pipelines.find(pipeline.id)).state is (ends_as or pipeline_state)
        assert (await room.told())[before:] == TOLD[ends_as]


@pytest.mark.parametrize("state", [PipelineState.NOT_STARTED, PipelineState.INITIALIZING, PipelineState.IN_PROGRESS])
async def test_a_pipeline_is_stopped_eight_hours_after_its_creation(
    room: Any, clock: ManualClock, state: PipelineState
) -> None:
    room = room.again(settings=TaskSettings(silence_seconds=1_000_000))
    pipeline = await room.pipeline()
    task = await room.tone(pipeline) if state is not PipelineState.NOT_STARTED else None
    await room.set_state(pipeline, state)
    async with room.running():
        clock.advance(timedelta(hours=7.99))
        await room.supervisor.keep_house()
        assert (await room.pipelines.find(pipeline.id)).state is state
        clock.advance(timedelta(hours=0.02))
        await room.supervisor.keep_house()
        assert (await room.until_ended(pipeline)).state is PipelineState.STOPPED
    if task:
        assert await room.told(task) == ["VoiceToneAnalysisFailure"]
        assert await room.state(task) is TaskState.STOPPED


async def test_a_pipeline_that_was_paused_for_two_hours_is_stopped(room: Any, clock: ManualClock) -> None:
    pipeline = await room.pipeline()
    async with room.database.transaction() as connection:
        await room.pipelines.move(connection, pipeline, PipelineState.PAUSED)
    async with room.running():
        clock.advance(timedelta(hours=1.99))
        await room.supervisor.keep_house()
        assert (await room.pipelines.find(pipeline.id)).state is PipelineState.PAUSED
        clock.advance(timedelta(hours=0.02))
        await room.supervisor.keep_house()
        assert (await room.until_ended(pipeline)).state is PipelineState.STOPPED


async def test_an_ended_task_can_be_read_for_seven_days(room: Any, clock: ManualClock) -> None:
    pipeline = await room.pipeline()
    task = await room.tone(pipeline)
    async with room.running():
        await room.stop(task)
        await room.until_state(task, TaskState.STOPPED)
        await room.tasks.delete_pipeline(pipeline.id)
        await room.until_ended(pipeline)
        clock.advance(timedelta(days=6.99))
        await room.supervisor.keep_house()
        assert (await room.tasks.find(task.kind, pipeline.id, task.id)).id == task.id
        clock.advance(timedelta(days=0.02))
        with pytest.raises(PipelineNotFound):
            await room.tasks.find(task.kind, pipeline.id, task.id)
        await room.supervisor.keep_house()
    with pytest.raises(TaskNotFound):
        await room.store.current(task.id)


async def test_an_ended_task_keeps_no_speech(room: Any, tape: Any, noise: Any) -> None:
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        tape.play(noise[: 12 * SECOND])
        await room.until_told(search, "IdentificationNoMatchesFound")
        assert await room.store.checkpoint(pipeline, search.id)
        await room.stop(search)
        await room.until_state(search, TaskState.STOPPED)
        assert await room.store.checkpoint(pipeline, search.id) is None


async def test_every_pipeline_has_one_runner_however_it_is_woken(room: Any, tape: Any, noise: Any) -> None:
    pipeline = await room.pipeline()
    task = await room.tone(pipeline)  # the process begins to answer before it begins to run
    async with create_task_group() as group:

        async def run() -> None:
            async with room.running():
                tape.play(noise[: 17 * SECOND])
                await room.until_told(task, "VoiceToneAnalysisSuccessful")
                await room.supervisor.keep_house()
                room.supervisor.wake(pipeline)
                await room.tasks.delete_pipeline(pipeline.id)
                await room.until_ended(pipeline)

        group.start_soon(run)
        for _ in range(20):
            room.supervisor.wake(await room.pipelines.find(pipeline.id))
    assert await room.told(task) == ["VoiceToneAnalysisSuccessful", "VoiceToneAnalysisCompleted"]
    assert len(tape.opened) == 1


async def test_a_runner_that_breaks_fails_its_pipeline_and_every_task_in_it_and_no_other(
    room: Any, tape: Any, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_if_silent = Runner._stop_if_silent

    async def break_one(self: Runner, pipeline: Any) -> None:
        if pipeline.id == broken.id and pipeline.state is PipelineState.IN_PROGRESS:
            raise ZeroDivisionError
        await stop_if_silent(self, pipeline)

    monkeypatch.setattr(Runner, "_stop_if_silent", break_one)
    broken, whole = await room.pipeline(), await room.pipeline()
    async with room.running():
        search, tone = await room.search(broken), await room.tone(broken)
        other = await room.tone(whole)
        tape.play(noise[: 17 * SECOND])
        ended = await room.until_ended(broken)
        await room.until_told(other, "VoiceToneAnalysisSuccessful")
    assert ended.state is PipelineState.FAILED
    assert {await room.state(search), await room.state(tone)} == {TaskState.FAILED}
    assert (await room.told(search))[-1] == "VoiceprintGenerationFailure"
    assert (await room.told(tone))[-1] == "VoiceToneAnalysisFailure"
    assert "chime:MediaInsightsPermanentFailure" in await room.told()


async def test_a_runner_that_could_not_even_be_abandoned_is_replaced_by_housekeeping(
    room: Any, tape: Any, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(self: Runner, *_: object) -> None:
        raise ZeroDivisionError

    pipeline = await room.pipeline()
    with monkeypatch.context() as broken:
        broken.setattr(Runner, "_follow_tasks", break_down)
        broken.setattr(Runner, "abandon", break_down)
        async with room.running():
            task = await room.tone(pipeline)
            await room.until(lambda: _is_idle(room))
            broken.undo()
            await room.supervisor.keep_house()
            tape.play(noise[: 17 * SECOND])
            await room.until_told(task, "VoiceToneAnalysisSuccessful")


async def _is_idle(room: Any) -> bool:
    return not room.supervisor._runners


async def test_one_chore_that_fails_keeps_no_other_from_being_done(
    room: Any, logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[bool] = []

    async def busy(self: Supervisor) -> None:
        raise DatabaseBusy

    async def sweep(self: Outbox) -> int:
        swept.append(True)
        return 0

    monkeypatch.setattr(Supervisor, "_stop_overdue", busy)
    monkeypatch.setattr(Outbox, "sweep", sweep)
    for _ in range(2):
        await room.supervisor.keep_house()
    assert len(swept) == 2
    assert [entry["chore"] for entry in logged if entry["event"] == "housekeeping.failed"] == [busy.__qualname__] * 2


async def test_a_pipeline_that_is_gone_is_nothing_to_end(room: Any) -> None:
    pipeline = await room.pipeline()
    await room.set_state(pipeline, PipelineState.STOPPED)
    lease = await room.lease(pipeline)
    assert await room.lifecycle.end_if_over(pipeline, lease)
    await room.lifecycle.abandon_pipeline(pipeline, "x", lease)
    assert await room.told() == []


async def test_without_an_event_bus_state_changes_can_still_be_read_back(room: Any) -> None:
    lifecycle = Lifecycle(
        database=room.database,
        pipelines=room.pipelines,
        store=room.store,
        profiles=room.profiles,
        outbox=room.outbox,
        account=room.lifecycle._account,
        clock=room.clock,
    )
    pipeline = await room.pipeline()
    await room.set_state(pipeline, PipelineState.STOPPING)
    assert await lifecycle.end_if_over(pipeline, await room.lease(pipeline))
    assert await room.told() == ["chime:MediaInsightsStopped"]


async def test_a_pause_does_not_lengthen_the_eight_hours(room: Any, clock: ManualClock) -> None:
    pipeline = await room.pipeline()
    clock.advance(timedelta(hours=7))
    async with room.database.transaction() as connection:
        await room.pipelines.move(connection, pipeline, PipelineState.PAUSED)
    clock.advance(timedelta(hours=1))
    async with room.running():
        await room.supervisor.keep_house()
        assert (await room.until_ended(pipeline)).state is PipelineState.STOPPED


async def test_last_events_of_a_paused_pipeline_are_sent_by_the_next_process(room: Any) -> None:
    pipeline = await room.pipeline()
    task = await room.tone(pipeline)
    await room.set_state(task, TaskState.STOPPING)
    await room.set_state(pipeline, PipelineState.PAUSED)
    async with room.running():
        await room.until_state(task, TaskState.STOPPED)
    assert await room.told(task) == ["VoiceToneAnalysisFailure"]
    assert (await room.pipelines.find(pipeline.id)).state is PipelineState.PAUSED
