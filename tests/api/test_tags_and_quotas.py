"""Tags, updates and quotas, by boto3 on a real server."""

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
ROLE = "arn:aws:iam::111122223333:role/any"
VOICE_ANALYTICS = {
    "Type": "VoiceAnalyticsProcessor",
    "VoiceAnalyticsProcessorConfiguration": {"SpeakerSearchStatus": "Enabled"},
}


def _configuration(client: Any, name: str, **more: Any) -> dict[str, Any]:
    made = client.create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName=name,
        ResourceAccessRoleArn=ROLE,
        Elements=[VOICE_ANALYTICS],
        **more,
    )
    return made["MediaInsightsPipelineConfiguration"]


def _tags(client: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceARN=arn)["Tags"]}


def test_tags_come_with_a_resource_change_and_go_with_it(server: Any) -> None:
    client = server.client("chime-sdk-media-pipelines")
    tags = [{"Key": "team", "Value": "a"}, {"Key": "call", "Value": ""}]
    arn = _configuration(client, "tagged", Tags=tags)["MediaInsightsPipelineConfigurationArn"]
    assert _tags(client, arn) == {"team": "a", "call": ""}
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "new", "Value": "1"}])
    client.untag_resource(ResourceARN=arn, TagKeys=["call", "never-there"])
    assert _tags(client, arn) == {"team": "b", "new": "1"}
    client.delete_media_insights_pipeline_configuration(Identifier=arn)
    with pytest.raises(client.exceptions.NotFoundException):
        client.list_tags_for_resource(ResourceARN=arn)
    assert _tags(client, _configuration(client, "tagged")["MediaInsightsPipelineConfigurationArn"]) == {}


def test_each_api_tags_its_own_resources(server: Any) -> None:
    voice, pipelines = server.client("chime-sdk-voice"), server.client("chime-sdk-media-pipelines")
    domain = voice.create_voice_profile_domain(
        Name="tagged", ServerSideEncryptionConfiguration=KEY, Tags=[{"Key": "team", "Value": "a"}]
    )["VoiceProfileDomain"]
    assert _tags(voice, domain["VoiceProfileDomainArn"]) == {"team": "a"}
    spelled_otherwise = domain["VoiceProfileDomainArn"].replace("arn:aws:", "arn:aws-us-gov:")
    voice.tag_resource(ResourceARN=spelled_otherwise, Tags=[{"Key": "team", "Value": "b"}])
    assert _tags(voice, domain["VoiceProfileDomainArn"]) == _tags(voice, spelled_otherwise) == {"team": "b"}
    voice.untag_resource(ResourceARN=domain["VoiceProfileDomainArn"], TagKeys=["team"])
    # AWS: the model's lists are never empty, but applications go through what they get.
    assert voice.list_tags_for_resource(ResourceARN=domain["VoiceProfileDomainArn"])["Tags"] == []
    missing = "arn:aws:chime:us-east-1:111122223333:media-pipeline/00000000-0000-0000-0000-000000000000"
    for client in (voice, pipelines):
        with pytest.raises(ClientError) as caught:
            client.tag_resource(ResourceARN=missing, Tags=[{"Key": "a", "Value": "b"}])
        assert caught.value.response["Error"]["Code"] == "NotFoundException"


def test_a_configuration_is_replaced_and_a_domain_renamed(server: Any) -> None:
    client, voice = server.client("chime-sdk-media-pipelines"), server.client("chime-sdk-voice")
    made = _configuration(client, "replaced")
    sink = {
        "Type": "SqsQueueSink",
        "SqsQueueSinkConfiguration": {"InsightsTarget": "arn:aws:sqs:us-east-1:111122223333:q"},
    }
    changed = client.update_media_insights_pipeline_configuration(
        Identifier="replaced", ResourceAccessRoleArn=ROLE + "2", Elements=[VOICE_ANALYTICS, sink]
    )["MediaInsightsPipelineConfiguration"]
    assert changed["Elements"] == [VOICE_ANALYTICS, sink]
    assert changed["ResourceAccessRoleArn"] == ROLE + "2"
    assert changed["CreatedTimestamp"] == made["CreatedTimestamp"] <= changed["UpdatedTimestamp"]
    with pytest.raises(client.exceptions.BadRequestException):
        client.update_media_insights_pipeline_configuration(
            Identifier="replaced", ResourceAccessRoleArn=ROLE, Elements=[sink]
        )
    with pytest.raises(client.exceptions.NotFoundException):
        client.update_media_insights_pipeline_configuration(
            Identifier="nowhere", ResourceAccessRoleArn=ROLE, Elements=[VOICE_ANALYTICS]
        )
    domain = voice.create_voice_profile_domain(Name="old", Description="kept", ServerSideEncryptionConfiguration=KEY)[
        "VoiceProfileDomain"
    ]
    renamed = voice.update_voice_profile_domain(VoiceProfileDomainId=domain["VoiceProfileDomainId"], Name="new")
    assert renamed["VoiceProfileDomain"]["Name"] == "new"
    assert renamed["VoiceProfileDomain"]["Description"] == "kept"


def test_the_aws_preset_counts_as_aws_does(start_server: Any, tmp_path: Path) -> None:
    server = start_server(
        tmp_path,
        CARILLON_QUOTAS_PRESET="aws",
        CARILLON_PIPELINES_MAX_CONFIGURATIONS="1",
        CARILLON_PIPELINES_MAX_ACTIVE="1",
    )
    client, voice = server.client("chime-sdk-media-pipelines"), server.client("chime-sdk-voice")
    for number in range(3):
        voice.create_voice_profile_domain(Name=f"d{number}", ServerSideEncryptionConfiguration=KEY)
    with pytest.raises(voice.exceptions.ResourceLimitExceededException):
        voice.create_voice_profile_domain(Name="d3", ServerSideEncryptionConfiguration=KEY)
    configuration = _configuration(client, "only")
    with pytest.raises(client.exceptions.ResourceLimitExceededException):
        _configuration(client, "other")
    stream_arn = server.client("kinesisvideo").create_stream(StreamName="call")["StreamARN"]
    request = {
        "MediaInsightsPipelineConfigurationArn": configuration["MediaInsightsPipelineConfigurationArn"],
        "KinesisVideoStreamSourceRuntimeConfiguration": {
            "MediaEncoding": "pcm",
            "MediaSampleRate": 8000,
            "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": {"NumberOfChannels": 1}}],
        },
    }
    made = client.create_media_insights_pipeline(**request)["MediaInsightsPipeline"]
    with pytest.raises(client.exceptions.ResourceLimitExceededException):
        client.create_media_insights_pipeline(**request)
    client.delete_media_pipeline(MediaPipelineId=made["MediaPipelineId"])
    deadline = time.monotonic() + 120
    while _status(client, made["MediaPipelineId"]) != "Stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.create_media_insights_pipeline(**request)


def _status(client: Any, pipeline_id: str) -> str:
    return client.get_media_pipeline(MediaPipelineId=pipeline_id)["MediaPipeline"]["MediaInsightsPipeline"]["Status"]
