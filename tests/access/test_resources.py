from typing import Any

import pytest

from carillon.access.resources import required_permissions
from carillon.arns import AwsAccount

pytestmark = pytest.mark.anyio
PLACE = AwsAccount()
CHIME = "arn:aws:chime:us-east-1:111122223333:"
STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1700000000000"


class Known:
    """One of each."""

    async def stream_arn(self, name: str) -> str | None:
        return STREAM if name == "call" else None

    async def configuration_arn(self, identifier: str) -> str | None:
        return f"{CHIME}media-insights-pipeline-configuration/calls" if identifier in {"calls", "the-id"} else None

    async def domain_of_task(self, task_id: str) -> str | None:
        return "vpd-1" if task_id == "searched" else None


CONFIGURATION = f"{CHIME}media-insights-pipeline-configuration/calls"


@pytest.mark.parametrize(
    ("action", "request_", "resources"),
    [
        ("chime:ListMediaPipelines", {"MaxResults": 3}, ["*"]),
        ("chime:CreateVoiceProfileDomain", {"Name": "x"}, ["*"]),
        ("chime:GetMediaPipeline", {"MediaPipelineId": "p"}, [f"{CHIME}media-pipeline/p"]),
        ("chime:GetSpeakerSearchTask", {"Identifier": "p"}, [f"{CHIME}media-pipeline/p"]),
        ("chime:GetSpeakerSearchTask", {"Identifier": f"{CHIME}media-pipeline/p"}, [f"{CHIME}media-pipeline/p"]),
        ("chime:GetSpeakerSearchTask", {"VoiceConnectorId": "p"}, [f"{CHIME}media-pipeline/p"]),
        (
            "chime:StartSpeakerSearchTask",
            {
                "Identifier": "p",
                "VoiceProfileDomainArn": "arn:aws-cn:chime:us-east-1:111122223333:voice-profile-domain/d",
            },
            [f"{CHIME}media-pipeline/p", f"{CHIME}voice-profile-domain/d"],
        ),
        ("chime:GetMediaInsightsPipelineConfiguration", {"Identifier": "calls"}, [CONFIGURATION]),
        ("chime:GetMediaInsightsPipelineConfiguration", {"Identifier": "the-id"}, [CONFIGURATION]),
        ("chime:GetMediaInsightsPipelineConfiguration", {"Identifier": CONFIGURATION}, [CONFIGURATION]),
        (
            "chime:DeleteMediaInsightsPipelineConfiguration",
            {"Identifier": "new"},
            [f"{CHIME}media-insights-pipeline-configuration/new"],
        ),
        ("chime:CreateVoiceProfile", {"SpeakerSearchTaskId": "searched"}, [f"{CHIME}voice-profile-domain/vpd-1"]),
        ("chime:CreateVoiceProfile", {"SpeakerSearchTaskId": "other"}, [f"{CHIME}voice-profile-domain/*"]),
        (
            "chime:UpdateVoiceProfile",
            {"VoiceProfileId": "vp", "SpeakerSearchTaskId": "searched"},
            [f"{CHIME}voice-profile/vp", f"{CHIME}voice-profile-domain/vpd-1"],
        ),
        ("kinesisvideo:DescribeStream", {"StreamName": "call"}, [STREAM]),
        ("kinesisvideo:ListFragments", {"StreamName": "call", "MaxResults": 1}, [STREAM]),
        ("kinesisvideo:GetMediaForFragmentList", {"StreamARN": STREAM, "Fragments": ["1"]}, [STREAM]),
        ("kinesisvideo:PutMedia", {"StreamARN": STREAM}, [STREAM]),
        (
            "kinesisvideo:CreateStream",
            {"StreamName": "new"},
            ["arn:aws:kinesisvideo:us-east-1:111122223333:stream/new/*"],
        ),
        ("kinesisvideo:TagResource", {"ResourceARN": "nonsense"}, ["nonsense"]),
    ],
)
async def test_a_request_is_about_the_resources_that_it_names(
    action: str, request_: dict[str, Any], resources: list[str]
) -> None:
    found = await required_permissions(action, request_, PLACE, Known())
    assert [need.resource for need in found] == resources
    assert {need.action for need in found} == {action}


async def test_who_makes_us_listen_must_be_allowed_to_hear() -> None:
    source = {"Streams": [{"StreamArn": STREAM}], "MediaSampleRate": 8000}
    request = {
        "MediaInsightsPipelineConfigurationArn": CONFIGURATION,
        "KinesisVideoStreamSourceRuntimeConfiguration": source,
    }
    assert await required_permissions("chime:CreateMediaInsightsPipeline", request, PLACE, Known()) == [
        ("chime:CreateMediaInsightsPipeline", CONFIGURATION),
        ("kinesisvideo:GetMedia", STREAM),
    ]
