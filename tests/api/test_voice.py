"""chime-sdk-voice by plain boto3 on a real server: domains, and profiles made from real speech."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anyio import run
from botocore.exceptions import ClientError

from carillon.media import KinesisVideoClient, as_live, put_media, read_recording

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
PLACE = "us-east-1:111122223333"
NOBODY = "8fca2a0e-3c1f-4d62-8f4e-7b1d2a9e6c10"
SOURCE = "KinesisVideoStreamSourceTaskConfiguration"


def refused(error: str, status: int, act: Callable[..., Any], **request: Any) -> str:
    """The message of a refusal, after a look at what SDKs raise it as."""
    with pytest.raises(ClientError) as caught:
        act(**request)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (error, status)
    assert type(caught.value).__name__ == error
    return str(response["Error"]["Message"])


@pytest.fixture(scope="module")
def client(server: Any) -> Any:
    return server.client("chime-sdk-voice")


@pytest.fixture
def domain(client: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.create_voice_profile_domain(
        Name="callers", Description="who calls us", ServerSideEncryptionConfiguration=KEY
    )["VoiceProfileDomain"]
    return made


# Domains


def test_a_domain_is_echoed_by_create_and_get(client: Any, domain: dict[str, Any]) -> None:
    domain_id = domain["VoiceProfileDomainId"]
    assert domain_id.startswith("vpd-")
    assert uuid.UUID(domain_id.removeprefix("vpd-"))
    assert domain["VoiceProfileDomainArn"] == f"arn:aws:chime:{PLACE}:voice-profile-domain/{domain_id}"
    assert (domain["Name"], domain["Description"]) == ("callers", "who calls us")
    assert domain["ServerSideEncryptionConfiguration"] == KEY
    assert domain["CreatedTimestamp"] == domain["UpdatedTimestamp"]
    assert abs(datetime.now(UTC) - domain["CreatedTimestamp"]) < timedelta(minutes=1)
    found = client.get_voice_profile_domain(VoiceProfileDomainId=domain_id)
    assert found["VoiceProfileDomain"] == domain


def test_a_domain_without_a_description_has_none(client: Any) -> None:
    made = client.create_voice_profile_domain(Name="x", ServerSideEncryptionConfiguration=KEY)["VoiceProfileDomain"]
    assert "Description" not in made


@pytest.mark.parametrize(
    "wrong",
    [
        {"Name": "no/slash"},
        {"Name": "x" * 257},
        {"Description": "x" * 1025},
        {"ServerSideEncryptionConfiguration": {"KmsKeyArn": "no arn"}},
        {"ServerSideEncryptionConfiguration": {"KmsKeyArn": "arn:x"}},
        {"ClientRequestToken": "!!"},
    ],
)
def test_a_domain_that_breaks_a_rule_is_a_bad_request(client: Any, wrong: dict[str, Any]) -> None:
    request = {"Name": "x", "ServerSideEncryptionConfiguration": KEY, **wrong}
    refused("BadRequestException", 400, client.create_voice_profile_domain, **request)


def test_a_domain_token_makes_one_domain(client: Any) -> None:
    request = {"Name": "once", "ServerSideEncryptionConfiguration": KEY, "ClientRequestToken": uuid.uuid4().hex}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.create_voice_profile_domain(**request), range(6)))
    made = [answer["VoiceProfileDomain"] for answer in answers]
    assert all(item == made[0] for item in made)
    refused("ConflictException", 409, client.create_voice_profile_domain, **{**request, "Name": "other"})
    client.delete_voice_profile_domain(VoiceProfileDomainId=made[0]["VoiceProfileDomainId"])
    assert "new token" in refused("ConflictException", 409, client.create_voice_profile_domain, **request)


def test_domains_of_one_name_are_different(client: Any, domain: dict[str, Any]) -> None:
    other = client.create_voice_profile_domain(Name=domain["Name"], ServerSideEncryptionConfiguration=KEY)
    assert other["VoiceProfileDomain"]["VoiceProfileDomainId"] != domain["VoiceProfileDomainId"]


def test_domains_are_listed_page_by_page_without_their_keys(client: Any) -> None:
    made = set()
    for _ in range(3):
        answer = client.create_voice_profile_domain(Name="x", ServerSideEncryptionConfiguration=KEY)
        made.add(answer["VoiceProfileDomain"]["VoiceProfileDomainId"])
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_voice_profile_domains(MaxResults=2, **token)
        found += page["VoiceProfileDomains"]
        if "NextToken" not in page:
            break
        assert len(page["VoiceProfileDomains"]) == 2
        token = {"NextToken": page["NextToken"]}
    ids = [item["VoiceProfileDomainId"] for item in found]
    assert made <= set(ids)
    assert len(ids) == len(set(ids))
    assert not any("ServerSideEncryptionConfiguration" in item for item in found)


def test_page_tokens_and_sizes_that_cannot_be_are_bad_requests(client: Any, domain: dict[str, Any]) -> None:
    client.create_voice_profile_domain(Name="x", ServerSideEncryptionConfiguration=KEY)
    token = client.list_voice_profile_domains(MaxResults=1)["NextToken"]
    refused("BadRequestException", 400, client.list_voice_profile_domains, NextToken="nonsense")
    refused("BadRequestException", 400, client.list_voice_profile_domains, MaxResults=101)
    of_domain = {"VoiceProfileDomainId": domain["VoiceProfileDomainId"]}
    refused("BadRequestException", 400, client.list_voice_profiles, **of_domain, NextToken=token)


def test_a_deleted_domain_is_not_found_nor_is_an_unknown_one(client: Any, domain: dict[str, Any]) -> None:
    domain_id = domain["VoiceProfileDomainId"]
    deleted = client.delete_voice_profile_domain(VoiceProfileDomainId=domain_id)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    for gone in (domain_id, f"vpd-{NOBODY}", "x"):
        for operation in ("get_voice_profile_domain", "delete_voice_profile_domain", "list_voice_profiles"):
            refused("NotFoundException", 404, getattr(client, operation), VoiceProfileDomainId=gone)


# Profiles


class Call:
    """A pipeline, and speaker searches on both channels of a recorded call."""

    def __init__(self, server: Any, stream: str | None = None) -> None:
        self.server = server
        self.pipelines = server.client("chime-sdk-media-pipelines")
        video = server.client("kinesisvideo")
        self.stream = stream or f"voice-{uuid.uuid4().hex[:12]}"
        if stream is None:
            video.create_stream(StreamName=self.stream, DataRetentionInHours=1)
        self.stream_arn = video.describe_stream(StreamName=self.stream)["StreamInfo"]["StreamARN"]
        configuration = self.pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName=f"voice-{uuid.uuid4().hex[:12]}",
            ResourceAccessRoleArn="arn:aws:iam::111122223333:role/x",
            Elements=[
                {
                    "Type": "VoiceAnalyticsProcessor",
                    "VoiceAnalyticsProcessorConfiguration": {"SpeakerSearchStatus": "Enabled"},
                }
            ],
        )["MediaInsightsPipelineConfiguration"]
        definition = {"StreamArn": self.stream_arn, "StreamChannelDefinition": {"NumberOfChannels": 2}}
        self.pipeline_id = self.pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [definition],
            },
        )["MediaInsightsPipeline"]["MediaPipelineId"]

    def search(self, domain: dict[str, Any], channel: int) -> str:
        started = self.pipelines.start_speaker_search_task(
            Identifier=self.pipeline_id,
            VoiceProfileDomainArn=domain["VoiceProfileDomainArn"],
            KinesisVideoStreamSourceTaskConfiguration={"StreamArn": self.stream_arn, "ChannelId": channel},
        )
        return str(started["SpeakerSearchTask"]["SpeakerSearchTaskId"])

    def status(self, task_id: str) -> str:
        found = self.pipelines.get_speaker_search_task(Identifier=self.pipeline_id, SpeakerSearchTaskId=task_id)
        return str(found["SpeakerSearchTask"]["SpeakerSearchTaskStatus"])

    def until_stopped(self, task_id: str) -> None:
        deadline = datetime.now(UTC) + timedelta(seconds=120)
        while self.status(task_id) != "Stopped":
            assert datetime.now(UTC) < deadline

    def play(self, file: Path) -> None:
        run(self._play, file)

    async def _play(self, file: Path) -> None:
        environment = self.server.environment
        client = KinesisVideoClient(
            endpoint_url=self.server.url,
            region=environment["AWS_REGION"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        async with client:
            await put_media(client, self.stream, as_live(read_recording(file), 0), lambda _: None)


@pytest.fixture(scope="module")
def call(server: Any) -> Iterator[Call]:
    """A call whose tasks have heard nothing yet."""
    made = Call(server)
    yield made
    made.pipelines.delete_media_pipeline(MediaPipelineId=made.pipeline_id)


Heard = tuple[dict[str, Any], str]
"""A domain, and a speaker search in it that has made its voiceprint."""


@pytest.fixture(scope="module")
def twice_heard(server: Any, client: Any, recordings: Path) -> Iterator[list[Heard]]:
    """The same call, heard by two pipelines."""
    first = Call(server)
    calls = [first, Call(server, first.stream)]
    domains = [client.create_voice_profile_domain(Name="x", ServerSideEncryptionConfiguration=KEY) for _ in calls]
    made = [answer["VoiceProfileDomain"] for answer in domains]
    task_ids = [call.search(domain, 0) for call, domain in zip(calls, made, strict=True)]
    first.play(recordings / "call_1.flac")
    for call, task_id in zip(calls, task_ids, strict=True):
        call.until_stopped(task_id)
    yield list(zip(made, task_ids, strict=True))
    for call in calls:
        call.pipelines.delete_media_pipeline(MediaPipelineId=call.pipeline_id)


@pytest.fixture
def heard(twice_heard: list[Heard]) -> Heard:
    return twice_heard[0]


def test_there_is_no_profile_before_there_is_a_voiceprint(client: Any, call: Call, domain: dict[str, Any]) -> None:
    task_id = call.search(domain, 0)
    assert "VoiceprintGenerationSuccess" in refused(
        "ConflictException", 409, client.create_voice_profile, SpeakerSearchTaskId=task_id
    )
    domain_id = domain["VoiceProfileDomainId"]
    assert "Stop the task" in refused(
        "ConflictException", 409, client.delete_voice_profile_domain, VoiceProfileDomainId=domain_id
    )
    call.pipelines.stop_speaker_search_task(Identifier=call.pipeline_id, SpeakerSearchTaskId=task_id)
    call.until_stopped(task_id)
    refused("NotFoundException", 404, client.create_voice_profile, SpeakerSearchTaskId=task_id)
    client.delete_voice_profile_domain(VoiceProfileDomainId=domain_id)
    for unknown in (NOBODY, "x"):
        refused("NotFoundException", 404, client.create_voice_profile, SpeakerSearchTaskId=unknown)


def test_a_voiceprint_makes_one_profile(client: Any, heard: Heard) -> None:
    domain, task_id = heard
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.create_voice_profile(SpeakerSearchTaskId=task_id), range(4)))
    assert [answer["ResponseMetadata"]["HTTPStatusCode"] for answer in answers] == [201] * 4
    profile = answers[0]["VoiceProfile"]
    assert all(answer["VoiceProfile"] == profile for answer in answers)
    profile_id = profile["VoiceProfileId"]
    assert profile_id.startswith("vp-")
    assert profile["VoiceProfileArn"] == f"arn:aws:chime:{PLACE}:voice-profile/{profile_id}"
    assert profile["VoiceProfileDomainId"] == domain["VoiceProfileDomainId"]
    assert profile["ExpirationTimestamp"].year == profile["UpdatedTimestamp"].year + 3
    assert client.get_voice_profile(VoiceProfileId=profile_id)["VoiceProfile"] == profile
    listed = client.list_voice_profiles(VoiceProfileDomainId=domain["VoiceProfileDomainId"])
    assert listed["VoiceProfiles"] == [profile]
    assert "NextToken" not in listed


def test_a_profile_is_renewed_by_a_voiceprint_of_its_own_domain(
    client: Any, heard: Heard, call: Call, domain: dict[str, Any]
) -> None:
    task_id = heard[1]
    profile = client.create_voice_profile(SpeakerSearchTaskId=task_id)["VoiceProfile"]
    update = client.update_voice_profile
    renewed = update(VoiceProfileId=profile["VoiceProfileId"], SpeakerSearchTaskId=task_id)["VoiceProfile"]
    assert renewed["UpdatedTimestamp"] > profile["UpdatedTimestamp"]
    assert renewed["ExpirationTimestamp"] > profile["ExpirationTimestamp"]
    assert {**renewed, "UpdatedTimestamp": 0, "ExpirationTimestamp": 0} == {
        **profile,
        "UpdatedTimestamp": 0,
        "ExpirationTimestamp": 0,
    }
    refused("NotFoundException", 404, update, VoiceProfileId=f"vp-{NOBODY}", SpeakerSearchTaskId=task_id)
    pending = call.search(domain, 1)
    request = {"VoiceProfileId": profile["VoiceProfileId"], "SpeakerSearchTaskId": pending}
    refused("ConflictException", 409, update, **request)
    call.pipelines.stop_speaker_search_task(Identifier=call.pipeline_id, SpeakerSearchTaskId=pending)
    call.until_stopped(pending)
    refused("NotFoundException", 404, update, **request)


def test_a_deleted_profile_is_gone_with_what_it_was_made_from(client: Any, twice_heard: list[Heard]) -> None:
    domain, task_id = twice_heard[1]
    profile_id = client.create_voice_profile(SpeakerSearchTaskId=task_id)["VoiceProfile"]["VoiceProfileId"]
    deleted = client.delete_voice_profile(VoiceProfileId=profile_id)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in ("get_voice_profile", "delete_voice_profile"):
        refused("NotFoundException", 404, getattr(client, operation), VoiceProfileId=profile_id)
    assert client.list_voice_profiles(VoiceProfileDomainId=domain["VoiceProfileDomainId"])["VoiceProfiles"] == []
    refused("NotFoundException", 404, client.create_voice_profile, SpeakerSearchTaskId=task_id)
