"""Of several things that are wrong with a request, the first in AWS's order is told: by boto3 on a whole server.

What is named in the path, then what else is named, then rules, then states.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

PLACE = "us-east-1:111122223333"
NOBODY = "8fca2a0e-3c1f-4d62-8f4e-7b1d2a9e6c10"
ROLE = "arn:aws:iam::111122223333:role/any"
TONE_ONLY = {
    "Type": "VoiceAnalyticsProcessor",
    "VoiceAnalyticsProcessorConfiguration": {"VoiceToneAnalysisStatus": "Enabled"},
}


def code(act: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        act(**request)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def client(era: Any) -> Any:
    return era.client("chime-sdk-media-pipelines")


def source_of(stream_arn: str, channels: int = 1, *ids: int) -> dict[str, Any]:
    definition = {"NumberOfChannels": channels, "ChannelDefinitions": [{"ChannelId": number} for number in ids or (0,)]}
    streams = [{"StreamArn": stream_arn, "StreamChannelDefinition": definition}]
    return {"MediaEncoding": "pcm", "MediaSampleRate": 8000, "Streams": streams}


def test_a_start_looks_for_the_pipeline_the_domain_the_rules_and_the_state(client: Any, begin_call: Any) -> None:
    call = begin_call(start=False)
    client.update_media_insights_pipeline_configuration(
        Identifier=call.name, ResourceAccessRoleArn=ROLE, Elements=[TONE_ONLY]
    )
    arn = f"arn:aws:chime:{PLACE}:media-insights-pipeline-configuration/{call.name}"
    made = client.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=arn,
        KinesisVideoStreamSourceRuntimeConfiguration=source_of(call.stream_arn),
    )["MediaInsightsPipeline"]
    client.update_media_insights_pipeline_status(Identifier=call.pipeline_id, UpdateStatus="Pause")
    client.update_media_insights_pipeline_status(Identifier=made["MediaPipelineId"], UpdateStatus="Pause")
    declared = {"StreamArn": call.stream_arn, "ChannelId": 0}

    def start(pipeline_id: str, domain_id: str, channel_id: int = 0, region: str = "us-east-1") -> str:
        return code(
            client.start_speaker_search_task,
            Identifier=pipeline_id,
            VoiceProfileDomainArn=f"arn:aws:chime:{region}:111122223333:voice-profile-domain/{domain_id}",
            KinesisVideoStreamSourceTaskConfiguration={**declared, "ChannelId": channel_id},
        )

    assert start(NOBODY, "vpd-nobody", 1, "us-west-2") == "NotFoundException"
    assert start(made["MediaPipelineId"], "vpd-nobody", 1) == "NotFoundException"
    assert start(made["MediaPipelineId"], call.domain_id, 0, "us-west-2") == "BadRequestException"
    assert start(made["MediaPipelineId"], call.domain_id) == "BadRequestException"  # speaker search is not enabled
    assert start(call.pipeline_id, "vpd-nobody") == "NotFoundException"
    assert start(call.pipeline_id, call.domain_id, 1) == "BadRequestException"
    assert start(call.pipeline_id, call.domain_id) == "ConflictException"


def test_a_pipeline_looks_for_its_configuration_its_streams_and_the_rules(client: Any, begin_call: Any) -> None:
    call = begin_call(start=False)
    arn = f"arn:aws:chime:{PLACE}:media-insights-pipeline-configuration/{call.name}"
    unknown = f"arn:aws:kinesisvideo:{PLACE}:stream/nowhere/1732270000000"

    def create(configuration_arn: str, source: dict[str, Any]) -> str:
        return code(
            client.create_media_insights_pipeline,
            MediaInsightsPipelineConfigurationArn=configuration_arn,
            KinesisVideoStreamSourceRuntimeConfiguration=source,
        )

    for foreign in (arn.replace("us-east-1", "us-west-2"), arn.replace("1111", "9999"), "arn:x", call.stream_arn):
        assert create(foreign, source_of(unknown)) == "BadRequestException"
    assert create(f"{arn}-other", source_of(unknown)) == "NotFoundException"
    assert create(arn, source_of(unknown, 1, 0, 1)) == "NotFoundException"
    assert create(arn, source_of(call.stream_arn, 1, 0, 1)) == "BadRequestException"


def test_an_update_looks_for_the_configuration_and_then_the_rules(client: Any, begin_call: Any) -> None:
    update = client.update_media_insights_pipeline_configuration
    wrong = {"ResourceAccessRoleArn": ROLE, "Elements": [TONE_ONLY, TONE_ONLY]}
    assert code(update, Identifier="nowhere", **wrong) == "NotFoundException"
    assert code(update, Identifier=begin_call(start=False).name, **wrong) == "BadRequestException"


def test_what_is_said_of_recording_is_echoed(client: Any, begin_call: Any) -> None:
    call = begin_call(start=False)
    at = datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)
    selector = {
        "FragmentSelectorType": "ServerTimestamp",
        "TimestampRange": {"StartTimestamp": at, "EndTimestamp": at.replace(minute=5)},
    }
    recording = {
        "KinesisVideoStreamRecordingSourceRuntimeConfiguration": {
            "Streams": [{"StreamArn": call.stream_arn}],
            "FragmentSelector": selector,
        },
        "S3RecordingSinkRuntimeConfiguration": {"Destination": "arn:aws:s3:::bucket", "RecordingFileFormat": "Wav"},
    }
    made = client.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=f"arn:aws:chime:{PLACE}:media-insights-pipeline-configuration/{call.name}",
        KinesisVideoStreamSourceRuntimeConfiguration=source_of(call.stream_arn),
        **recording,
    )["MediaInsightsPipeline"]
    found = client.get_media_pipeline(MediaPipelineId=made["MediaPipelineId"])["MediaPipeline"]["MediaInsightsPipeline"]
    assert found == made
    assert {name: made[name] for name in recording} == recording
