"""Two clients at once, on every change of state: never a 5xx, never two resources, never a lost update."""

import uuid
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from referee.racing import answers, codes, race
from referee.world import ELEMENTS, KEY_ARN, ROLE_ARN, World, source

REPEATS = 5
PIPELINES, VOICE, VIDEO = "chime-sdk-media-pipelines", "chime-sdk-voice", "kinesisvideo"


@pytest.fixture(scope="module")
def client(server: Any) -> Callable[[str], Any]:
    """One boto3 client a service; clients, unlike sessions, may be shared by threads."""
    return cache(server.client)


@pytest.fixture
def world(client: Callable[[str], Any]) -> World:
    return World.make(client)


def pages(call: Callable[..., Any], member: str) -> list[Any]:
    """Every item of a List operation."""
    found, token = [], None
    while True:
        page = call(**({"NextToken": token} if token else {}))
        found += page[member]
        token = page.get("NextToken")
        if token is None:
            return found


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_of_two_starts_on_one_channel_one_wins(world: World, client: Any, repeat: int) -> None:
    outcomes = race(
        lambda: client(PIPELINES).start_speaker_search_task(**search(world)),
        lambda: client(PIPELINES).start_speaker_search_task(**search(world)),
    )
    assert len(answers(outcomes)) == 1
    assert codes(outcomes) == {"ConflictException": 1}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_two_starts_with_one_token_start_one_task(world: World, client: Any, repeat: int) -> None:
    token = uuid.uuid4().hex
    wanted = {**search(world), "ClientRequestToken": token}
    outcomes = race(*[lambda: client(PIPELINES).start_speaker_search_task(**wanted)] * 3)
    ids = {answer["SpeakerSearchTask"]["SpeakerSearchTaskId"] for answer in answers(outcomes)}
    assert len(ids) == 1
    assert not codes(outcomes) - Counter({"ConflictException": 2})
    again = client(PIPELINES).start_speaker_search_task(**wanted)
    assert {again["SpeakerSearchTask"]["SpeakerSearchTaskId"]} == ids


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_two_starts_with_one_token_for_different_things_start_one(world: World, client: Any, repeat: int) -> None:
    token = uuid.uuid4().hex
    outcomes = race(*[
        lambda number=number: client(PIPELINES).start_speaker_search_task(
            **search(world, number), ClientRequestToken=token
        )
        for number in (0, 1)
    ])  # fmt: skip
    assert len(answers(outcomes)) == 1
    assert codes(outcomes) == {"ConflictException": 1}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_of_two_stops_one_wins(world: World, client: Any, repeat: int) -> None:
    named = {"Identifier": world.pipeline_id, "SpeakerSearchTaskId": world.start_search()}
    outcomes = race(*[lambda: client(PIPELINES).stop_speaker_search_task(**named)] * 2)
    assert len(answers(outcomes)) == 1
    assert codes(outcomes) == {"ConflictException": 1}
    task = client(PIPELINES).get_speaker_search_task(**named)["SpeakerSearchTask"]
    assert task["SpeakerSearchTaskStatus"] in {"Stopping", "Stopped"}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_start_that_races_with_the_end_of_its_pipeline_is_refused_or_stopped(
    world: World, client: Any, repeat: int
) -> None:
    outcomes = race(
        lambda: client(PIPELINES).start_speaker_search_task(**search(world)),
        lambda: client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id),
    )
    assert isinstance(outcomes[1], dict), outcomes
    assert isinstance(outcomes[0], dict) or outcomes[0] in {"ConflictException", "NotFoundException"}
    if isinstance(outcomes[0], dict):
        task_id = outcomes[0]["SpeakerSearchTask"]["SpeakerSearchTaskId"]
        assert eventually_ended(client, world.pipeline_id, task_id)


def eventually_ended(client: Any, pipeline_id: str, task_id: str) -> bool:
    for _ in range(400):
        try:
            task = client(PIPELINES).get_speaker_search_task(Identifier=pipeline_id, SpeakerSearchTaskId=task_id)
        except ClientError as error:
            return error.response["Error"]["Code"] == "NotFoundException"
        if task["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] in {"Stopped", "Failed"}:
            return True
    return False


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_two_deletions_of_a_pipeline_end_it_once(world: World, client: Any, repeat: int) -> None:
    outcomes = race(*[lambda: client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id)] * 2)
    assert answers(outcomes)
    assert not set(codes(outcomes)) - {"ConflictException", "NotFoundException"}


CREATIONS: dict[str, tuple[str, str, str, Callable[[World, str], dict[str, Any]]]] = {
    "CreateVoiceProfileDomain": (
        VOICE, "create_voice_profile_domain", "VoiceProfileDomain",
        lambda world, name: {"Name": name, "ServerSideEncryptionConfiguration": {"KmsKeyArn": KEY_ARN}},
    ),
    "CreateMediaInsightsPipelineConfiguration": (
        PIPELINES, "create_media_insights_pipeline_configuration", "MediaInsightsPipelineConfiguration",
        lambda world, name: {
            "MediaInsightsPipelineConfigurationName": name, "ResourceAccessRoleArn": ROLE_ARN, "Elements": ELEMENTS
        },
    ),
    "CreateMediaInsightsPipeline": (
        PIPELINES, "create_media_insights_pipeline", "MediaInsightsPipeline",
        lambda world, name: {
            "MediaInsightsPipelineConfigurationArn": world.configuration_arn,
            "KinesisVideoStreamSourceRuntimeConfiguration": source(world.stream_arn),
            "MediaInsightsRuntimeMetadata": {"name": name},
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("operation", CREATIONS)
def test_creations_with_one_token_make_one_resource(world: World, client: Any, operation: str, repeat: int) -> None:
    service, method, member, make = CREATIONS[operation]
    name, token = f"race-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    create = getattr(client(service), method)
    outcomes = race(*[lambda: create(**make(world, name), ClientRequestToken=token)] * 4)
    made = answers(outcomes)
    assert made, outcomes
    assert len({one[member][own_arn(member)] for one in made}) == 1
    assert not set(codes(outcomes)) - {"ConflictException", "BadRequestException"}
    assert count_of(client, operation, name, made) == 1


def own_arn(member: str) -> str:
    return {"MediaInsightsPipeline": "MediaPipelineArn"}.get(member, f"{member}Arn")


def count_of(client: Any, operation: str, name: str, made: list[Any]) -> int:
    if operation == "CreateVoiceProfileDomain":
        domains = pages(client(VOICE).list_voice_profile_domains, "VoiceProfileDomains")
        return sum(domain["Name"] == name for domain in domains)
    if operation == "CreateMediaInsightsPipelineConfiguration":
        listing = client(PIPELINES).list_media_insights_pipeline_configurations
        listed = pages(listing, "MediaInsightsPipelineConfigurations")
        return sum(one["MediaInsightsPipelineConfigurationName"] == name for one in listed)
    get = client(PIPELINES).get_media_pipeline
    found = [
        get(MediaPipelineId=one["MediaPipelineId"])["MediaPipeline"]["MediaInsightsPipeline"]
        for one in pages(client(PIPELINES).list_media_pipelines, "MediaPipelines")
    ]
    return sum(one.get("MediaInsightsRuntimeMetadata") == {"name": name} for one in found)


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_name_is_given_once(client: Any, repeat: int) -> None:
    name = f"race-{uuid.uuid4().hex[:12]}"
    wanted = {"MediaInsightsPipelineConfigurationName": name, "ResourceAccessRoleArn": ROLE_ARN, "Elements": ELEMENTS}
    outcomes = race(*[lambda: client(PIPELINES).create_media_insights_pipeline_configuration(**wanted)] * 3)
    assert len(answers(outcomes)) == 1
    assert codes(outcomes) == {"BadRequestException": 2}
    streams = race(*[lambda: client(VIDEO).create_stream(StreamName=name)] * 3)
    assert len(answers(streams)) == 1
    assert codes(streams) == {"ResourceInUseException": 2}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_of_two_deletions_one_wins(world: World, client: Any, repeat: int) -> None:
    client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id)
    for call, gone in (
        (lambda: client(VOICE).delete_voice_profile_domain(VoiceProfileDomainId=world.domain_id), "NotFoundException"),
        (
            lambda: client(PIPELINES).delete_media_insights_pipeline_configuration(Identifier=world.name),
            "NotFoundException",
        ),
        (lambda: client(VIDEO).delete_stream(StreamARN=world.stream_arn), "ResourceNotFoundException"),
    ):
        outcomes = race(call, call)
        assert len(answers(outcomes)) == 1, outcomes
        assert codes(outcomes) == {gone: 1}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_domain_is_deleted_or_searched_never_both(world: World, client: Any, repeat: int) -> None:
    started, deleted = race(
        lambda: client(PIPELINES).start_speaker_search_task(**search(world)),
        lambda: client(VOICE).delete_voice_profile_domain(VoiceProfileDomainId=world.domain_id),
    )
    if isinstance(started, dict):
        assert deleted == "ConflictException"
    else:
        assert started == "NotFoundException"
        assert isinstance(deleted, dict)


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_configuration_is_deleted_or_used_never_both(world: World, client: Any, repeat: int) -> None:
    client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id)
    made, deleted = race(
        world.another_pipeline,
        lambda: client(PIPELINES).delete_media_insights_pipeline_configuration(Identifier=world.name),
    )
    if made == "NotFoundException":
        assert isinstance(deleted, dict)
    else:
        assert deleted == "ConflictException", (made, deleted)


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_start_that_races_with_a_pause_is_refused_or_stopped(world: World, client: Any, repeat: int) -> None:
    started, paused = race(
        lambda: client(PIPELINES).start_speaker_search_task(**search(world)),
        lambda: change(client, world, "Pause"),
    )
    assert isinstance(paused, dict), paused
    assert status(client, world) == "Paused"
    if isinstance(started, dict):
        assert eventually_ended(client, world.pipeline_id, started["SpeakerSearchTask"]["SpeakerSearchTaskId"])
    else:
        assert started == "ConflictException"


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_pause_that_races_with_a_resume_ends_in_the_state_that_the_answers_say(
    world: World, client: Any, repeat: int
) -> None:
    paused, resumed = race(lambda: change(client, world, "Pause"), lambda: change(client, world, "Resume"))
    assert isinstance(paused, dict), paused
    if isinstance(resumed, dict):
        assert status(client, world) == "NotStarted"
    else:
        assert (resumed, status(client, world)) == ("ConflictException", "Paused")


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_of_two_pauses_one_wins_and_of_two_resumes(world: World, client: Any, repeat: int) -> None:
    for wanted, then in (("Pause", "Paused"), ("Resume", "NotStarted")):
        outcomes = race(*[lambda wanted=wanted: change(client, world, wanted)] * 2)
        assert len(answers(outcomes)) == 1
        assert codes(outcomes) == {"ConflictException": 1}
        assert status(client, world) == then


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_resume_does_not_bring_back_what_is_deleted(world: World, client: Any, repeat: int) -> None:
    change(client, world, "Pause")
    resumed, deleted = race(
        lambda: change(client, world, "Resume"),
        lambda: client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id),
    )
    assert isinstance(deleted, dict), deleted
    assert isinstance(resumed, dict) or resumed == "ConflictException"
    assert status(client, world) in {"Stopping", "Stopped"}


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_no_update_of_a_domain_is_lost(world: World, client: Any, repeat: int) -> None:
    update, which = client(VOICE).update_voice_profile_domain, {"VoiceProfileDomainId": world.domain_id}
    outcomes = race(lambda: update(**which, Name="new name"), lambda: update(**which, Description="new description"))
    assert len(answers(outcomes)) == 2
    domain = client(VOICE).get_voice_profile_domain(**which)["VoiceProfileDomain"]
    assert (domain["Name"], domain["Description"]) == ("new name", "new description")


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_no_tag_is_lost_and_none_outlives_its_resource(world: World, client: Any, repeat: int) -> None:
    tag, arn = client(PIPELINES).tag_resource, world.configuration_arn
    outcomes = race(*[
        lambda number=number: tag(ResourceARN=arn, Tags=[{"Key": f"key-{number}", "Value": "x"}]) for number in range(4)
    ])  # fmt: skip
    assert len(answers(outcomes)) == 4
    assert len(client(PIPELINES).list_tags_for_resource(ResourceARN=arn)["Tags"]) == 4
    end_pipeline(client, world)
    tagged, deleted = race(
        lambda: tag(ResourceARN=arn, Tags=[{"Key": "late", "Value": "x"}]),
        lambda: client(PIPELINES).delete_media_insights_pipeline_configuration(Identifier=arn),
    )
    assert isinstance(deleted, dict), deleted
    assert isinstance(tagged, dict) or tagged == "NotFoundException"
    client(PIPELINES).create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName=world.name, ResourceAccessRoleArn=ROLE_ARN, Elements=ELEMENTS
    )
    assert client(PIPELINES).list_tags_for_resource(ResourceARN=arn)["Tags"] == []


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_no_update_of_a_stream_is_lost(world: World, client: Any, repeat: int) -> None:
    tags = [{f"key-{number}": "value"} for number in range(4)]
    outcomes = race(*[lambda tag=tag: client(VIDEO).tag_stream(StreamARN=world.stream_arn, Tags=tag) for tag in tags])
    assert not codes(outcomes)
    found = client(VIDEO).list_tags_for_stream(StreamARN=world.stream_arn)["Tags"]
    assert found == {name: value for tag in tags for name, value in tag.items()}
    version = client(VIDEO).describe_stream(StreamARN=world.stream_arn)["StreamInfo"]["Version"]
    updates = race(*[
        lambda device=device: client(VIDEO).update_stream(
            StreamARN=world.stream_arn, CurrentVersion=version, DeviceName=device
        )
        for device in ("one", "two")
    ])  # fmt: skip
    assert len(answers(updates)) == 1
    assert codes(updates) == {"VersionMismatchException": 1}


def search(world: World, number: int = 0) -> dict[str, Any]:
    return {
        "Identifier": world.pipeline_id,
        "VoiceProfileDomainArn": world.domain_arn,
        "KinesisVideoStreamSourceTaskConfiguration": world.channel(number),
    }


def change(client: Any, world: World, wanted: str) -> Any:
    update = client(PIPELINES).update_media_insights_pipeline_status
    return update(Identifier=world.pipeline_id, UpdateStatus=wanted)


def status(client: Any, world: World) -> str:
    found = client(PIPELINES).get_media_pipeline(MediaPipelineId=world.pipeline_id)
    return str(found["MediaPipeline"]["MediaInsightsPipeline"]["Status"])


def end_pipeline(client: Any, world: World) -> None:
    client(PIPELINES).delete_media_pipeline(MediaPipelineId=world.pipeline_id)
    for _ in range(400):
        if status(client, world) == "Stopped":
            return
    raise AssertionError("The pipeline does not stop.")
