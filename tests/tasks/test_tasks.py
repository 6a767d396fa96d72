"""What an application may ask of tasks, and when it is refused."""

from datetime import timedelta
from typing import Any, Literal

import pytest
from anyio import create_task_group

from carillon.access import read_trail
from carillon.arns import MalformedArn
from carillon.clock import ManualClock
from carillon.pipelines import (
    ChannelNotDeclared,
    Element,
    ElementKind,
    Elements,
    FeatureDisabled,
    NewPipeline,
    PipelineNotFound,
    PipelineState,
    StreamSource,
    WrongPipelineState,
)
from carillon.profiles import DomainNotFound, ForeignDomain, Voiceprint, VoiceprintExpired, VoiceprintNotFound
from carillon.storage import TokenReused
from carillon.tasks import (
    DomainInUse,
    TaskConflict,
    TaskKind,
    TaskNotFound,
    TaskSettings,
    TaskState,
    VoiceKnown,
    VoiceprintPending,
)

pytestmark = pytest.mark.anyio

STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
NOBODY = "8fca2a0e-3c1f-4d62-8f4e-7b1d2a9e6c10"


async def test_only_a_live_pipeline_accepts_tasks(room: Any) -> None:
    live = {PipelineState.NOT_STARTED, PipelineState.INITIALIZING, PipelineState.IN_PROGRESS}
    for state in PipelineState:
        pipeline = await room.pipeline()
        await room.set_state(pipeline, state)
        if state in live:
            task = await room.tone(pipeline)
            assert task.state is TaskState.QUEUED
            awake = PipelineState.INITIALIZING if state is PipelineState.NOT_STARTED else state
            assert (await room.pipelines.find(pipeline.id)).state is awake
        else:
            with pytest.raises(WrongPipelineState, match=state.value):
                await room.tone(pipeline)


async def test_one_task_of_each_kind_may_run_on_a_channel(room: Any) -> None:
    pipeline = await room.pipeline()
    tone = await room.tone(pipeline)
    await room.search(pipeline)
    await room.tone(pipeline, 1)
    with pytest.raises(TaskConflict, match=tone.id):
        await room.tone(pipeline)
    await room.set_state(tone, TaskState.STOPPING)
    with pytest.raises(TaskConflict):
        await room.tone(pipeline)
    await room.set_state(tone, TaskState.STOPPED)
    assert (await room.tone(pipeline)).id != tone.id


async def test_of_starts_that_race_for_a_channel_one_wins(room: Any) -> None:
    pipeline = await room.pipeline()
    won, lost = [], []

    async def start() -> None:
        try:
            won.append(await room.tone(pipeline))
        except TaskConflict as error:
            lost.append(error)

    async with create_task_group() as group:
        for _ in range(8):
            group.start_soon(start)
    assert (len(won), len(lost)) == (1, 7)


async def test_a_token_starts_one_task_however_often_it_comes(room: Any) -> None:
    pipeline = await room.pipeline()
    started = set()

    async def start() -> None:
        started.add((await room.tone(pipeline, token="once")).id)

    async with create_task_group() as group:
        for _ in range(8):
            group.start_soon(start)
    assert len(started) == 1
    with pytest.raises(TokenReused):
        await room.tone(pipeline, 1, token="once", parameters={"ChannelId": 1})


async def test_a_token_is_looked_at_before_the_state_of_the_pipeline_and_the_domain(room: Any) -> None:
    pipeline, domain = await room.pipeline(), await room.domain()
    task = await room.search(pipeline, token="once", domain_arn=domain.arn)
    await room.set_state(task, TaskState.STOPPED)
    await room.set_state(pipeline, PipelineState.STOPPED)
    await room.tasks.delete_domain(domain.id)
    assert (await room.search(pipeline, token="once", domain_arn=domain.arn)).id == task.id


async def test_a_start_that_comes_again_wakes_nobody(room: Any, logged: Any) -> None:
    pipeline = await room.pipeline()
    for _ in range(2):
        await room.tone(pipeline, token="once")
    assert [entry["event"] for entry in logged].count("task.started") == 1


async def test_a_task_needs_its_feature_channel_and_domain(room: Any) -> None:
    processor = Element(ElementKind.VOICE_ANALYTICS, voice_tone=True)
    configuration = await room.pipelines.configurations.create("tone", "arn:role", Elements((processor,)))
    source = StreamSource(STREAM, 1, {1: None})
    deaf = await room.pipelines.create(NewPipeline(configuration.arn, (source,), 8_000))
    with pytest.raises(FeatureDisabled, match="SpeakerSearchStatus"):
        await room.search(deaf, 1)
    with pytest.raises(ChannelNotDeclared):
        await room.tone(deaf, 0)
    pipeline = await room.pipeline()
    with pytest.raises(MalformedArn):
        await room.search(pipeline, domain_arn="arn")
    with pytest.raises(ForeignDomain):
        await room.search(pipeline, domain_arn=f"arn:aws:chime:eu-west-1:111122223333:voice-profile-domain/{NOBODY}")
    with pytest.raises(ForeignDomain):
        await room.search(pipeline, domain_arn=pipeline.arn)
    with pytest.raises(DomainNotFound):
        await room.search(pipeline, domain_arn=f"arn:aws:chime:us-east-1:111122223333:voice-profile-domain/{NOBODY}")
    assert await room.told() == []


async def test_a_task_is_found_by_its_own_pipeline_and_kind_only(room: Any) -> None:
    pipeline, other = await room.pipeline(), await room.pipeline()
    task = await room.tone(pipeline)
    for identifier in (pipeline.id, pipeline.arn):
        assert (await room.tasks.find(TaskKind.VOICE_TONE, identifier, task.id)).id == task.id
    for kind, identifier in ((TaskKind.SPEAKER_SEARCH, pipeline.id), (TaskKind.VOICE_TONE, other.id)):
        with pytest.raises(TaskNotFound):
            await room.tasks.find(kind, identifier, task.id)
        with pytest.raises(TaskNotFound):
            await room.tasks.stop(kind, identifier, task.id)
    with pytest.raises(PipelineNotFound):
        await room.tasks.find(TaskKind.VOICE_TONE, NOBODY, task.id)


async def test_only_an_active_task_can_be_stopped(room: Any) -> None:
    task = await room.tone(await room.pipeline())
    for state in TaskState:
        await room.set_state(task, state)
        if state in {TaskState.QUEUED, TaskState.OPENING, TaskState.RUNNING}:
            await room.stop(task)
            assert await room.state(task) is TaskState.STOPPING
        else:
            with pytest.raises(TaskConflict, match=state.value):
                await room.stop(task)
            assert await room.state(task) is state


async def test_of_stops_that_race_one_wins(room: Any) -> None:
    task = await room.tone(await room.pipeline())
    refused = []

    async def stop() -> None:
        try:
            await room.stop(task)
        except TaskConflict as error:
            refused.append(error)

    async with create_task_group() as group:
        for _ in range(5):
            group.start_soon(stop)
    assert len(refused) == 4


async def test_a_live_pipeline_is_stopped_and_an_ended_one_hidden(room: Any) -> None:
    for state in PipelineState:
        pipeline = await room.pipeline()
        await room.set_state(pipeline, state)
        if state is PipelineState.STOPPING:
            with pytest.raises(WrongPipelineState):
                await room.tasks.delete_pipeline(pipeline.id)
            continue
        await room.tasks.delete_pipeline(pipeline.id)
        if state in {PipelineState.STOPPED, PipelineState.FAILED}:
            with pytest.raises(PipelineNotFound):
                await room.tasks.delete_pipeline(pipeline.id)
        else:
            assert (await room.pipelines.find(pipeline.id)).state is PipelineState.STOPPING


async def test_only_what_may_be_listened_to_is_paused_and_only_what_is_paused_resumed(room: Any) -> None:
    for state in PipelineState:
        for change, allowed in (
            (room.tasks.pause, {PipelineState.NOT_STARTED, PipelineState.INITIALIZING, PipelineState.IN_PROGRESS}),
            (room.tasks.resume, {PipelineState.PAUSED}),
        ):
            pipeline = await room.pipeline()
            await room.set_state(pipeline, state)
            if state in allowed:
                await change(pipeline.arn)
            else:
                with pytest.raises(WrongPipelineState):
                    await change(pipeline.id)
                assert (await room.pipelines.find(pipeline.id)).state is state


async def test_a_profile_is_made_once_of_a_voiceprint_and_never_before_it(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock
) -> None:
    room = quick_room
    pipeline = await room.pipeline()
    async with room.running():
        search = await room.search(pipeline)
        for early in (room.tasks.enroll(search.id), room.tasks.enroll(search.id)):
            with pytest.raises(VoiceprintPending):
                await early
        tape.play(noise[: 22 * 8_000])
        await room.until_state(search, TaskState.STOPPED)
        profile = await room.tasks.enroll(search.id)
        assert await room.tasks.enroll(search.id) == profile
        clock.advance(timedelta(hours=1))
        renewed = await room.tasks.refresh(profile.id, search.id)
    assert (renewed.id, renewed.created_at) == (profile.id, profile.created_at)
    assert renewed.expires_at > profile.expires_at


async def test_a_task_that_ended_without_a_voiceprint_makes_no_profile(room: Any) -> None:
    pipeline = await room.pipeline()
    search, tone = await room.search(pipeline), await room.tone(pipeline)
    await room.set_state(search, TaskState.STOPPED)
    with pytest.raises(VoiceprintNotFound):
        await room.tasks.enroll(search.id)
    for unknown in (tone.id, NOBODY):
        with pytest.raises(TaskNotFound):
            await room.tasks.enroll(unknown)


async def test_a_voiceprint_outlives_its_task_until_a_day_after_the_call(
    room: Any, clock: ManualClock, call: Any
) -> None:
    pipeline = await room.pipeline()
    search = await room.search(pipeline)
    await _keep_voiceprint(room, search, call)
    await room.set_state(search, TaskState.STOPPED)
    clock.advance(timedelta(hours=7))
    await room.tasks.delete_pipeline(pipeline.id)
    async with room.running():
        await room.until_ended(pipeline)
    clock.advance(timedelta(hours=23.9))
    await room.supervisor.keep_house()
    kept = await room.tasks.enroll(search.id)
    await room.profiles.delete_profile(kept.id)
    with pytest.raises(VoiceprintNotFound):  # who opts out is not kept for the rest of the day
        await room.tasks.enroll(search.id)


async def test_a_day_after_the_call_a_voiceprint_has_expired(room: Any, clock: ManualClock, call: Any) -> None:
    pipeline = await room.pipeline()
    search = await room.search(pipeline)
    await _keep_voiceprint(room, search, call)
    await room.tasks.delete_pipeline(pipeline.id)
    async with room.running():
        await room.until_ended(pipeline)
    clock.advance(timedelta(hours=24))
    for _ in range(2):
        with pytest.raises(VoiceprintExpired):
            await room.tasks.enroll(search.id)
        await room.supervisor.keep_house()


@pytest.mark.parametrize("known_voices", ["add", "refuse"])
async def test_a_voice_that_its_domain_knows_is_enrolled_again_only_if_settings_allow_it(
    known_voices: Literal["add", "refuse"], quick_room: Any, call: Any, logged: list[Any]
) -> None:
    room = quick_room.again(settings=TaskSettings(known_voices=known_voices))
    pipeline = await room.pipeline()
    domain = await room.domain()
    first, second = [await room.search(pipeline, channel, domain_arn=domain.arn) for channel in (0, 1)]
    for task in (first, second):
        await _keep_voiceprint(room, task, call, model_id="quick")
    profile = await room.tasks.enroll(first.id)
    assert await room.tasks.enroll(first.id) == profile  # of the same task it is no second time
    assert await read_trail(room.database, 0, 10) == []
    if known_voices == "refuse":
        with pytest.raises(VoiceKnown, match=profile.id):
            await room.tasks.enroll(second.id)
        return
    another = await room.tasks.enroll(second.id)
    assert another.id != profile.id
    (said,) = [line for line in logged if line["event"] == "voice_profile.known_already"]
    assert (said["voice_profile_id"], said["known_as"]) == (another.id, profile.id)
    ((_, row),) = await read_trail(room.database, 0, 10)
    assert row.request_id == second.id
    assert row.details is not None
    assert row.details["candidates"][0]["voice_profile_id"] == profile.id


async def _keep_voiceprint(room: Any, task: Any, call: Any, model_id: str = "model") -> None:
    embedding = room.models.speaker.embed(call[:16_000, 0].astype("float32") / 32_768, "tel")
    made = Voiceprint(task.id, task.domain_id, embedding, call[:16_000, 0].copy(), model_id, room.clock.now())
    async with room.database.transaction() as connection:
        await room.profiles.keep_voiceprint(connection, made)


async def test_a_domain_cannot_go_while_a_speaker_search_looks_into_it(room: Any) -> None:
    pipeline, domain = await room.pipeline(), await room.domain()
    search = await room.search(pipeline, domain_arn=domain.arn)
    with pytest.raises(DomainInUse):
        await room.tasks.delete_domain(domain.id)
    await room.set_state(search, TaskState.STOPPED)
    await room.tasks.delete_domain(domain.id)
    with pytest.raises(DomainNotFound):
        await room.tasks.delete_domain(domain.id)
