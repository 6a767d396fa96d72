"""Two clients at once on voices that were really heard: never a 5xx, never two profiles, none that comes back."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from referee.racing import answers, codes, race
from referee.world import KEY_ARN, World

REPEATS = 3
PIPELINES, VOICE = "chime-sdk-media-pipelines", "chime-sdk-voice"
Heard = tuple[str, str]
"""The id of a domain, and of a speaker search in it that has made its voiceprint."""


@pytest.fixture(scope="module")
def voice(server: Any) -> Any:
    """A client that threads share."""
    return server.client(VOICE)


@pytest.fixture(scope="module")
def voices(server: Any, carillon: Callable[..., Any], recordings: Path) -> list[Heard]:
    """The same voice in domains of their own, two for each repeat."""
    client = cache(server.client)
    return [heard for _ in range(2) for heard in hear(World.make(client), server, carillon, recordings)]


def hear(world: World, server: Any, carillon: Callable[..., Any], recordings: Path) -> list[Heard]:
    """Play a call to as many pipelines as there are repeats: a stream admits no more readers."""
    searches = []
    for number in range(REPEATS):
        pipeline_id = world.another_pipeline() if number else world.pipeline_id
        domain = world.client(VOICE).create_voice_profile_domain(
            Name=f"race-{uuid.uuid4().hex[:12]}", ServerSideEncryptionConfiguration={"KmsKeyArn": KEY_ARN}
        )["VoiceProfileDomain"]
        started = world.client(PIPELINES).start_speaker_search_task(
            Identifier=pipeline_id,
            VoiceProfileDomainArn=domain["VoiceProfileDomainArn"],
            KinesisVideoStreamSourceTaskConfiguration=world.channel(0),
        )["SpeakerSearchTask"]
        searches.append((pipeline_id, domain["VoiceProfileDomainId"], started["SpeakerSearchTaskId"]))
    carillon(
        "push", str(recordings / "call_1.flac"), "--stream", world.name, "--speed", "0",
        "--data-dir", str(server.data_dir), "--endpoint", server.url,
    )  # fmt: skip
    for pipeline_id, _, task_id in searches:
        until_stopped(world, pipeline_id, task_id)
        world.client(PIPELINES).delete_media_pipeline(MediaPipelineId=pipeline_id)
    return [(domain_id, task_id) for _, domain_id, task_id in searches]


def until_stopped(world: World, pipeline_id: str, task_id: str) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    get = world.client(PIPELINES).get_speaker_search_task
    named = {"Identifier": pipeline_id, "SpeakerSearchTaskId": task_id}
    while get(**named)["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] != "Stopped":
        assert datetime.now(UTC) < deadline


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_one_voiceprint_makes_one_profile_until_it_is_deleted(voice: Any, voices: list[Heard], repeat: int) -> None:
    domain_id, task_id = voices[repeat]
    enroll = race(*[lambda: voice.create_voice_profile(SpeakerSearchTaskId=task_id)] * 4)
    made = [answer["VoiceProfile"] for answer in answers(enroll)]
    assert made
    assert not set(codes(enroll)) - {"ConflictException"}
    assert {profile["VoiceProfileId"] for profile in made} == {made[0]["VoiceProfileId"]}
    assert profiles_of(voice, domain_id) == made[:1]

    which = {"VoiceProfileId": made[0]["VoiceProfileId"]}
    update = race(*[lambda: voice.update_voice_profile(**which, SpeakerSearchTaskId=task_id)] * 2)
    renewed = [answer["VoiceProfile"]["UpdatedTimestamp"] for answer in answers(update)]
    assert renewed
    assert not set(codes(update)) - {"ConflictException"}
    assert voice.get_voice_profile(**which)["VoiceProfile"]["UpdatedTimestamp"] == max(renewed)

    updated, again, deleted = race(
        lambda: voice.update_voice_profile(**which, SpeakerSearchTaskId=task_id),
        lambda: voice.create_voice_profile(SpeakerSearchTaskId=task_id),
        lambda: voice.delete_voice_profile(**which),
    )
    assert isinstance(deleted, dict), deleted
    for outcome in (updated, again):
        if isinstance(outcome, dict):
            assert outcome["VoiceProfile"]["VoiceProfileId"] == which["VoiceProfileId"]
        else:
            assert outcome in {"NotFoundException", "ConflictException"}
    assert profiles_of(voice, domain_id) == []
    assert code_of(lambda: voice.get_voice_profile(**which)) == "NotFoundException"
    assert code_of(lambda: voice.create_voice_profile(SpeakerSearchTaskId=task_id)) == "NotFoundException"


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_nobody_is_enrolled_into_a_domain_that_is_deleted(voice: Any, voices: list[Heard], repeat: int) -> None:
    domain_id, task_id = voices[REPEATS + repeat]
    enrolled, deleted = race(
        lambda: voice.create_voice_profile(SpeakerSearchTaskId=task_id),
        lambda: voice.delete_voice_profile_domain(VoiceProfileDomainId=domain_id),
    )
    assert isinstance(deleted, dict), deleted
    if isinstance(enrolled, dict):
        which = {"VoiceProfileId": enrolled["VoiceProfile"]["VoiceProfileId"]}
        assert code_of(lambda: voice.get_voice_profile(**which)) == "NotFoundException"
    else:
        assert enrolled == "NotFoundException"
    assert code_of(lambda: profiles_of(voice, domain_id)) == "NotFoundException"
    assert code_of(lambda: voice.create_voice_profile(SpeakerSearchTaskId=task_id)) == "NotFoundException"


def profiles_of(voice: Any, domain_id: str) -> list[Any]:
    return list(voice.list_voice_profiles(VoiceProfileDomainId=domain_id)["VoiceProfiles"])


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])
