"""What there is, as the command line shows it: calls, notifications and who has them, domains, profiles."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from carillon.cli import app

QUEUE = "arn:aws:sqs:us-east-1:111122223333:calls"
SOURCE = {"MediaEncoding": "pcm", "MediaSampleRate": 8000}
ROLES = [{"ChannelId": 0, "ParticipantRole": "CUSTOMER"}, {"ChannelId": 1, "ParticipantRole": "AGENT"}]
ELEMENTS = [
    {
        "Type": "VoiceAnalyticsProcessor",
        "VoiceAnalyticsProcessorConfiguration": {
            "SpeakerSearchStatus": "Enabled",
            "VoiceToneAnalysisStatus": "Enabled",
        },
    },
    {"Type": "SqsQueueSink", "SqsQueueSinkConfiguration": {"InsightsTarget": QUEUE}},
]

Shown = Callable[..., str]
Said = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def server(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return start_server(tmp_path_factory.mktemp("lists"))


@pytest.fixture(scope="module")
def shown(server: Any) -> Shown:
    def run(*command: str) -> str:
        result = CliRunner().invoke(app, [*command, "--data-dir", str(server.data_dir)])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture(scope="module")
def said(shown: Shown) -> Said:
    return lambda *command: [json.loads(line) for line in shown(*command, "--json").splitlines()]


@pytest.fixture(scope="module")
def call(server: Any, carillon: Any, recordings: Any) -> dict[str, str]:
    """A call that was heard to its voiceprint, whose queue never answers; its caller is enrolled."""
    voice, pipelines = server.client("chime-sdk-voice"), server.client("chime-sdk-media-pipelines")
    key = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
    domain = voice.create_voice_profile_domain(Name="callers 1", ServerSideEncryptionConfiguration=key)
    domain = domain["VoiceProfileDomain"]
    configuration = pipelines.create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName="lists",
        ResourceAccessRoleArn="arn:aws:iam::111122223333:role/any",
        Elements=ELEMENTS,
    )["MediaInsightsPipelineConfiguration"]
    arn = server.client("kinesisvideo").create_stream(StreamName="support", DataRetentionInHours=1)["StreamARN"]
    definition = {"NumberOfChannels": 2, "ChannelDefinitions": ROLES}
    pipeline = pipelines.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
        KinesisVideoStreamSourceRuntimeConfiguration={
            **SOURCE, "Streams": [{"StreamArn": arn, "StreamChannelDefinition": definition}]
        },
    )["MediaInsightsPipeline"]["MediaPipelineId"]  # fmt: skip
    search = pipelines.start_speaker_search_task(
        Identifier=pipeline,
        VoiceProfileDomainArn=domain["VoiceProfileDomainArn"],
        KinesisVideoStreamSourceTaskConfiguration={"StreamArn": arn, "ChannelId": 0},
    )["SpeakerSearchTask"]["SpeakerSearchTaskId"]
    folder = ("--data-dir", str(server.data_dir))
    follower = carillon.background("events", "--json", "--follow", "--task", search, *folder)
    recording = str(recordings / "call_1.flac")
    carillon("push", recording, "--stream", "support", "--speed", "20", *folder, AWS_ENDPOINT_URL="")
    with follower:
        for line in follower.stdout:
            if "VoiceprintGeneration" in line:
                break
        follower.send_signal(signal.SIGINT)
    assert follower.returncode == 130
    profile = voice.create_voice_profile(SpeakerSearchTaskId=search)["VoiceProfile"]
    return {
        "pipeline": pipeline,
        "search": search,
        "domain": domain["VoiceProfileDomainId"],
        "domain_arn": domain["VoiceProfileDomainArn"],
        "profile": profile["VoiceProfileId"],
    }


def test_calls_show_the_tasks_on_them(call: dict[str, str], said: Said, shown: Shown) -> None:
    (found,) = said("calls")
    assert found["id"] == call["pipeline"]
    (task,) = found["tasks"]
    assert (task["id"], task["kind"], task["channel_id"]) == (call["search"], "speaker_search", 0)
    table = shown("calls").splitlines()
    assert len(table) == 2
    for part in (call["pipeline"], call["search"], "support, channel 0", "speaker search"):
        assert part in table[1]


def test_domains_and_profiles_are_listed_whole(call: dict[str, str], said: Said, shown: Shown) -> None:
    (domain,) = said("domains")
    assert (domain["id"], domain["name"], domain["profiles"]) == (call["domain"], "callers 1", 1)
    table = shown("domains")
    assert call["domain"] in table
    assert "callers 1" in table
    for named in (call["domain"], call["domain_arn"]):
        (profile,) = said("profiles", "list", "--domain", named)
        assert profile["id"] == call["profile"]
    assert call["profile"] in shown("profiles", "list", "--domain", call["domain"])


def test_events_show_date_call_stream_task_and_who_lacks_them(call: dict[str, str], shown: Shown) -> None:
    lines = shown("events").splitlines()
    assert all(line[:4].isdigit() and f"call {call['pipeline']}" in line for line in lines)
    of_task = [line for line in lines if call["search"] in line]
    assert len(of_task) >= 2
    for line in of_task:
        assert "stream support" in line
        assert "pending" in line
        assert line.endswith(f"SqsQueueSink {QUEUE}")


def test_events_are_told_apart_by_task_time_and_delivery(call: dict[str, str], said: Said) -> None:
    def ids(*filters: str) -> list[str]:
        return [event["id"] for event in said("events", *filters)]

    of_task = said("events", "--task", call["search"])
    assert {event["deliveries"][0]["state"] for event in of_task} == {"pending"}
    found = [event["id"] for event in of_task]
    assert len(found) >= 2
    assert ids("--undelivered") == found
    everything = ids()
    assert set(everything) > set(found)  # those of the pipeline have no target
    assert ids("--since", "2h")[: len(everything)] == everything
    assert ids("--task", "no-such-task") == []
    assert ids("--since", "2999-01-01T00:00") == []


def test_what_is_empty_has_its_headings(server: Any, shown: Shown, said: Said) -> None:
    key = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
    made = server.client("chime-sdk-voice").create_voice_profile_domain(
        Name="nobody", ServerSideEncryptionConfiguration=key
    )
    domain = made["VoiceProfileDomain"]["VoiceProfileDomainId"]
    assert shown("profiles", "list", "--domain", domain).split() == [
        "voice",
        "profile",
        "created",
        "refreshed",
        "expires",
    ]
    assert said("profiles", "list", "--domain", domain) == []


def test_the_first_key_says_when_it_was_made(shown: Shown) -> None:
    (key,) = json.loads(shown("keys", "list", "--json"))
    assert key["created_at"] is not None
