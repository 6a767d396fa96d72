"""The worked session of the API: every operation in its place, asserted one by one, whoever the client is."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from referee.world import ELEMENTS, KEY_ARN, ROLE_ARN, source

PIPELINES: Final = "chime-sdk-media-pipelines"
VOICE: Final = "chime-sdk-voice"
VIDEO: Final = "kinesisvideo"
MEDIA: Final = "kinesis-video-media"
ARCHIVED: Final = "kinesis-video-archived-media"
EBML: Final = bytes.fromhex("1a45dfa3")
_TURNS: Final = 200
_TURN_SECONDS: Final = 0.1


class Client(Protocol):
    """Some AWS client, with nothing set but endpoint, Region and credentials."""

    def call(self, service: str, operation: str, **values: object) -> Mapping[str, Any]:
        """Call an operation; return its members."""

    def refusal(self, service: str, operation: str, **values: object) -> str:
        """Call an operation that must fail; return the error's code as this client names it."""

    def media(self, service: str, operation: str, **values: object) -> bytes:
        """Call an operation that answers with a stream; return its first bytes."""


class Session:
    """One run of it, under a name that nobody else uses.

    Args:
        client: whose calls these are.
        name: of everything that is made.
        covered: "service operation" of all that the server answers; steps for others are left out.
        push: streams a call of somebody into the stream of that name.
    """

    def __init__(self, client: Client, name: str, covered: Collection[str], push: Callable[[str], None]) -> None:
        self._client = client
        self._name = name
        self._covered = covered
        self._push = push

    def run(self) -> None:
        """Do it all."""
        domain = self._domain()
        configuration = self._configuration()
        stream_arn = self._stream()
        pipeline = self._pipeline(configuration["MediaInsightsPipelineConfigurationArn"], stream_arn)
        arns = (domain["VoiceProfileDomainArn"], configuration["MediaInsightsPipelineConfigurationArn"])
        self._tags(VOICE, arns[0])
        self._tags(PIPELINES, arns[1])
        search_id = self._tasks(pipeline, stream_arn, domain["VoiceProfileDomainArn"])
        self._refusals(pipeline["MediaPipelineId"])
        profile_id = self._enroll(search_id, domain["VoiceProfileDomainId"])
        self._pause(pipeline["MediaPipelineId"])
        self._end(pipeline["MediaPipelineId"], domain["VoiceProfileDomainId"], profile_id, stream_arn)

    def _domain(self) -> Mapping[str, Any]:
        made = self._client.call(
            VOICE,
            "CreateVoiceProfileDomain",
            Name=self._name,
            Description="for the session",
            ServerSideEncryptionConfiguration={"KmsKeyArn": KEY_ARN},
        )["VoiceProfileDomain"]
        named = {"VoiceProfileDomainId": made["VoiceProfileDomainId"]}
        assert self._client.call(VOICE, "GetVoiceProfileDomain", **named)["VoiceProfileDomain"] == made
        listed = self._client.call(VOICE, "ListVoiceProfileDomains", MaxResults=1)
        assert len(listed["VoiceProfileDomains"]) == 1
        if f"{VOICE} UpdateVoiceProfileDomain" in self._covered:
            updated = self._client.call(VOICE, "UpdateVoiceProfileDomain", **named, Description="otherwise")
            assert updated["VoiceProfileDomain"]["Description"] == "otherwise"
            assert updated["VoiceProfileDomain"]["Name"] == self._name
        return dict(made)

    def _configuration(self) -> Mapping[str, Any]:
        wanted: dict[str, Any] = {"ResourceAccessRoleArn": ROLE_ARN, "Elements": ELEMENTS}
        made = self._client.call(
            PIPELINES,
            "CreateMediaInsightsPipelineConfiguration",
            MediaInsightsPipelineConfigurationName=self._name,
            **wanted,
        )["MediaInsightsPipelineConfiguration"]
        for identifier in (self._name, made["MediaInsightsPipelineConfigurationArn"]):
            found = self._client.call(PIPELINES, "GetMediaInsightsPipelineConfiguration", Identifier=identifier)
            assert found["MediaInsightsPipelineConfiguration"] == made
        listed = self._client.call(PIPELINES, "ListMediaInsightsPipelineConfigurations", MaxResults=100)
        assert listed["MediaInsightsPipelineConfigurations"]
        if f"{PIPELINES} UpdateMediaInsightsPipelineConfiguration" in self._covered:
            updated = self._client.call(
                PIPELINES, "UpdateMediaInsightsPipelineConfiguration", Identifier=self._name, **wanted
            )["MediaInsightsPipelineConfiguration"]
            assert updated["Elements"] == made["Elements"]
        return dict(made)

    def _stream(self) -> str:
        arn = self._client.call(VIDEO, "CreateStream", StreamName=self._name, DataRetentionInHours=1)["StreamARN"]
        info = self._client.call(VIDEO, "DescribeStream", StreamName=self._name)["StreamInfo"]
        assert info["StreamARN"] == arn
        assert self._client.call(VIDEO, "ListStreams")["StreamInfoList"]
        self._client.call(VIDEO, "TagStream", StreamARN=arn, Tags={"AWSServiceName": "ChimeSDK"})
        assert self._client.call(VIDEO, "ListTagsForStream", StreamARN=arn)["Tags"] == {"AWSServiceName": "ChimeSDK"}
        self._client.call(VIDEO, "UntagStream", StreamARN=arn, TagKeyList=["AWSServiceName"])
        if f"{VIDEO} TagResource" in self._covered:
            self._client.call(VIDEO, "TagResource", ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}])
        if f"{VIDEO} ListTagsForResource" in self._covered:
            assert self._client.call(VIDEO, "ListTagsForResource", ResourceARN=arn)["Tags"] == {"a": "b"}
        if f"{VIDEO} UntagResource" in self._covered:
            self._client.call(VIDEO, "UntagResource", ResourceARN=arn, TagKeyList=["a"])
        self._client.call(VIDEO, "UpdateStream", StreamARN=arn, CurrentVersion=info["Version"], DeviceName="pbx")
        info = self._client.call(VIDEO, "DescribeStream", StreamARN=arn)["StreamInfo"]
        assert info["DeviceName"] == "pbx"
        self._client.call(
            VIDEO,
            "UpdateDataRetention",
            StreamARN=arn,
            CurrentVersion=info["Version"],
            Operation="INCREASE_DATA_RETENTION",
            DataRetentionChangeInHours=1,
        )
        endpoint = self._client.call(VIDEO, "GetDataEndpoint", StreamARN=arn, APIName="GET_MEDIA")["DataEndpoint"]
        assert endpoint.startswith("http")
        return str(arn)

    def _pipeline(self, configuration_arn: str, stream_arn: str) -> Mapping[str, Any]:
        made = self._client.call(
            PIPELINES,
            "CreateMediaInsightsPipeline",
            MediaInsightsPipelineConfigurationArn=configuration_arn,
            KinesisVideoStreamSourceRuntimeConfiguration=source(stream_arn),
            MediaInsightsRuntimeMetadata={"callId": "b7c7b6a0"},
        )["MediaInsightsPipeline"]
        assert made["MediaInsightsRuntimeMetadata"] == {"callId": "b7c7b6a0"}
        found = self._client.call(PIPELINES, "GetMediaPipeline", MediaPipelineId=made["MediaPipelineId"])
        assert found["MediaPipeline"] == {"MediaInsightsPipeline": made}
        assert self._client.call(PIPELINES, "ListMediaPipelines", MaxResults=100)["MediaPipelines"]
        return dict(made)

    def _tags(self, service: str, arn: str) -> None:
        if f"{service} TagResource" not in self._covered:
            return
        tags = [{"Key": "team", "Value": "voice"}]
        self._client.call(service, "TagResource", ResourceARN=arn, Tags=tags)
        assert self._client.call(service, "ListTagsForResource", ResourceARN=arn)["Tags"] == tags
        self._client.call(service, "UntagResource", ResourceARN=arn, TagKeys=["team"])
        assert not self._client.call(service, "ListTagsForResource", ResourceARN=arn).get("Tags")

    def _tasks(self, pipeline: Mapping[str, Any], stream_arn: str, domain_arn: str) -> str:
        id_ = pipeline["MediaPipelineId"]
        channel: dict[str, Any] = {
            "KinesisVideoStreamSourceTaskConfiguration": {"StreamArn": stream_arn, "ChannelId": 0}
        }
        wanted: dict[str, Any] = {"Identifier": pipeline["MediaPipelineArn"], "VoiceProfileDomainArn": domain_arn}
        search = self._client.call(PIPELINES, "StartSpeakerSearchTask", **wanted, **channel)["SpeakerSearchTask"]
        tone = self._client.call(
            PIPELINES, "StartVoiceToneAnalysisTask", Identifier=id_, LanguageCode="en-US", **channel
        )["VoiceToneAnalysisTask"]
        searching = {"Identifier": id_, "SpeakerSearchTaskId": search["SpeakerSearchTaskId"]}
        listening = {"Identifier": id_, "VoiceToneAnalysisTaskId": tone["VoiceToneAnalysisTaskId"]}
        assert self._client.refusal(PIPELINES, "StartSpeakerSearchTask", **wanted, **channel) == "ConflictException"
        early = self._client.refusal(VOICE, "CreateVoiceProfile", SpeakerSearchTaskId=search["SpeakerSearchTaskId"])
        assert early == "ConflictException"
        self._push(self._name)
        self._eventually(
            lambda: (
                self._client.call(PIPELINES, "GetSpeakerSearchTask", **searching)["SpeakerSearchTask"][
                    "SpeakerSearchTaskStatus"
                ]
                == "Stopped"
            )
        )
        assert self._client.refusal(PIPELINES, "StopSpeakerSearchTask", **searching) == "ConflictException"
        heard = self._client.call(PIPELINES, "GetVoiceToneAnalysisTask", **listening)["VoiceToneAnalysisTask"]
        assert heard["VoiceToneAnalysisTaskStatus"] == "InProgress"
        self._results(id_, search["SpeakerSearchTaskId"], tone["VoiceToneAnalysisTaskId"])
        self._client.call(PIPELINES, "StopVoiceToneAnalysisTask", **listening)
        channel["KinesisVideoStreamSourceTaskConfiguration"]["ChannelId"] = 1
        other = self._client.call(PIPELINES, "StartSpeakerSearchTask", **wanted, **channel)["SpeakerSearchTask"]
        self._client.call(
            PIPELINES, "StopSpeakerSearchTask", Identifier=id_, SpeakerSearchTaskId=other["SpeakerSearchTaskId"]
        )
        selector = {"StartSelectorType": "EARLIEST"}
        assert self._client.media(MEDIA, "GetMedia", StreamARN=stream_arn, StartSelector=selector).startswith(EBML)
        self._archived(stream_arn)
        return str(search["SpeakerSearchTaskId"])

    def _archived(self, stream_arn: str) -> None:
        """Find what was streamed by its time, page by page, and read it back by number."""
        times = {"StartTimestamp": 0, "EndTimestamp": 4_000_000_000}
        selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": times}
        named = {"StreamARN": stream_arn, "MaxResults": 2}
        first = self._client.call(ARCHIVED, "ListFragments", **named, FragmentSelector=selector)
        rest = self._client.call(ARCHIVED, "ListFragments", **named, NextToken=first["NextToken"])
        numbers = [fragment["FragmentNumber"] for page in (first, rest) for fragment in page["Fragments"]]
        assert len(set(numbers)) == 4
        found = self._client.media(ARCHIVED, "GetMediaForFragmentList", StreamARN=stream_arn, Fragments=numbers)
        assert found.startswith(EBML)
        refused = self._client.refusal(ARCHIVED, "ListFragments", StreamARN=stream_arn)
        assert refused == "InvalidArgumentException"

    def _results(self, pipeline_id: str, search_id: str, tone_id: str) -> None:
        """Poll for results: our extension of the voice API."""
        if f"{VOICE} GetSpeakerSearchTask" in self._covered:
            found = self._client.call(
                VOICE, "GetSpeakerSearchTask", VoiceConnectorId=pipeline_id, SpeakerSearchTaskId=search_id
            )["SpeakerSearchTask"]
            assert found["SpeakerSearchDetails"]["VoiceprintGenerationStatus"] == "VoiceprintGenerationSuccess"
        if f"{VOICE} GetVoiceToneAnalysisTask" in self._covered:
            self._client.call(
                VOICE,
                "GetVoiceToneAnalysisTask",
                VoiceConnectorId=pipeline_id,
                VoiceToneAnalysisTaskId=tone_id,
                IsCaller=True,
            )

    def _refusals(self, pipeline_id: str) -> None:
        nowhere = "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11"
        refusal = self._client.refusal
        assert refusal(PIPELINES, "GetMediaPipeline", MediaPipelineId=nowhere) == "NotFoundException"
        assert refusal(PIPELINES, "GetMediaPipeline", MediaPipelineId="x" * 36) == "BadRequestException"
        missing = refusal(PIPELINES, "GetSpeakerSearchTask", Identifier=pipeline_id, SpeakerSearchTaskId=nowhere)
        assert missing == "NotFoundException"
        assert refusal(VIDEO, "DescribeStream", StreamName="nowhere") == "ResourceNotFoundException"

    def _enroll(self, search_id: str, domain_id: str) -> str:
        made = self._client.call(VOICE, "CreateVoiceProfile", SpeakerSearchTaskId=search_id)["VoiceProfile"]
        id_ = made["VoiceProfileId"]
        assert self._client.call(VOICE, "GetVoiceProfile", VoiceProfileId=id_)["VoiceProfile"] == made
        renewed = self._client.call(VOICE, "UpdateVoiceProfile", VoiceProfileId=id_, SpeakerSearchTaskId=search_id)
        assert renewed["VoiceProfile"]["VoiceProfileId"] == id_
        listed = self._client.call(VOICE, "ListVoiceProfiles", VoiceProfileDomainId=domain_id)["VoiceProfiles"]
        assert [one["VoiceProfileId"] for one in listed] == [id_]
        return str(id_)

    def _pause(self, pipeline_id: str) -> None:
        operation = "UpdateMediaInsightsPipelineStatus"
        if f"{PIPELINES} {operation}" not in self._covered:
            return
        for update, status in (("Pause", "Paused"), ("Resume", "InProgress")):
            self._client.call(PIPELINES, operation, Identifier=pipeline_id, UpdateStatus=update)
            found = self._client.call(PIPELINES, "GetMediaPipeline", MediaPipelineId=pipeline_id)
            said = found["MediaPipeline"]["MediaInsightsPipeline"]["Status"]
            assert said == status or (update == "Resume" and said != "Paused"), (update, said)

    def _end(self, pipeline_id: str, domain_id: str, profile_id: str, stream_arn: str) -> None:
        self._client.call(PIPELINES, "DeleteMediaPipeline", MediaPipelineId=pipeline_id)
        self._eventually(
            lambda: (
                self._client.call(PIPELINES, "GetMediaPipeline", MediaPipelineId=pipeline_id)["MediaPipeline"][
                    "MediaInsightsPipeline"
                ]["Status"]
                == "Stopped"
            )
        )
        self._client.call(PIPELINES, "DeleteMediaInsightsPipelineConfiguration", Identifier=self._name)
        self._client.call(VOICE, "DeleteVoiceProfile", VoiceProfileId=profile_id)
        gone = self._client.refusal(VOICE, "GetVoiceProfile", VoiceProfileId=profile_id)
        assert gone == "NotFoundException"
        self._client.call(VOICE, "DeleteVoiceProfileDomain", VoiceProfileDomainId=domain_id)
        self._client.call(VIDEO, "DeleteStream", StreamARN=stream_arn)

    def _eventually(self, holds: Callable[[], bool]) -> None:
        for _ in range(_TURNS):
            if holds():
                return
            time.sleep(_TURN_SECONDS)
        raise AssertionError("It did not come to pass.")
