"""One of everything on a server, so that requests can name what exists; the one module here that knows operations."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Client = Callable[[str], Any]

ROLE_ARN: Final = "arn:aws:iam::111122223333:role/any"
KEY_ARN: Final = "arn:aws:kms:us-east-1:111122223333:key/1"
ELEMENTS: Final = [
    {
        "Type": "VoiceAnalyticsProcessor",
        "VoiceAnalyticsProcessorConfiguration": {
            "SpeakerSearchStatus": "Enabled",
            "VoiceToneAnalysisStatus": "Enabled",
        },
    }
]


def source(stream_arn: str) -> dict[str, Any]:
    """Return the runtime configuration of a two-channel call at 8 kHz, the customer left."""
    channels = [{"ChannelId": 0, "ParticipantRole": "CUSTOMER"}, {"ChannelId": 1, "ParticipantRole": "AGENT"}]
    definition = {"NumberOfChannels": 2, "ChannelDefinitions": channels}
    streams = [{"StreamArn": stream_arn, "StreamChannelDefinition": definition}]
    return {"MediaEncoding": "pcm", "MediaSampleRate": 8000, "Streams": streams}


@dataclass(frozen=True, slots=True)
class World:
    """A domain, a configuration, a stream and a pipeline of names that nobody else has."""

    client: Client
    name: str
    domain_id: str
    domain_arn: str
    configuration_arn: str
    stream_arn: str
    pipeline_id: str
    pipeline_arn: str

    @classmethod
    def make(cls, client: Client) -> "World":
        """Make them by boto3."""
        name = f"world-{uuid.uuid4().hex[:12]}"
        encryption = {"KmsKeyArn": KEY_ARN}
        domain = client("chime-sdk-voice").create_voice_profile_domain(
            Name=name, ServerSideEncryptionConfiguration=encryption
        )["VoiceProfileDomain"]
        pipelines = client("chime-sdk-media-pipelines")
        configuration = pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName=name, ResourceAccessRoleArn=ROLE_ARN, Elements=ELEMENTS
        )["MediaInsightsPipelineConfiguration"]["MediaInsightsPipelineConfigurationArn"]
        stream = client("kinesisvideo").create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
        pipeline = pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration,
            KinesisVideoStreamSourceRuntimeConfiguration=source(stream),
        )["MediaInsightsPipeline"]
        ids = domain["VoiceProfileDomainId"], domain["VoiceProfileDomainArn"]
        return cls(client, name, *ids, configuration, stream, pipeline["MediaPipelineId"], pipeline["MediaPipelineArn"])

    def another_pipeline(self) -> str:
        """Make one more pipeline of the same configuration and stream; return its id."""
        made = self.client("chime-sdk-media-pipelines").create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=self.configuration_arn,
            KinesisVideoStreamSourceRuntimeConfiguration=source(self.stream_arn),
        )
        return str(made["MediaInsightsPipeline"]["MediaPipelineId"])

    def channel(self, number: int = 0) -> dict[str, Any]:
        """Return the source of a task."""
        return {"StreamArn": self.stream_arn, "ChannelId": number}

    def start_search(self, pipeline_id: str | None = None, number: int = 0) -> str:
        """Start a speaker search; return the task's id."""
        started = self.client("chime-sdk-media-pipelines").start_speaker_search_task(
            Identifier=pipeline_id or self.pipeline_id,
            VoiceProfileDomainArn=self.domain_arn,
            KinesisVideoStreamSourceTaskConfiguration=self.channel(number),
        )
        return str(started["SpeakerSearchTask"]["SpeakerSearchTaskId"])

    def start_tone(self, pipeline_id: str | None = None, number: int = 0) -> str:
        """Start a voice tone analysis; return the task's id."""
        started = self.client("chime-sdk-media-pipelines").start_voice_tone_analysis_task(
            Identifier=pipeline_id or self.pipeline_id,
            LanguageCode="en-US",
            KinesisVideoStreamSourceTaskConfiguration=self.channel(number),
        )
        return str(started["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskId"])

    def values(self, search_id: str, tone_id: str) -> Mapping[str, tuple[object, ...]]:
        """Return what exists, by the member that names it."""
        return {
            "Identifier": (self.pipeline_id, self.pipeline_arn, self.name, self.configuration_arn),
            "SpeakerSearchTaskId": (search_id, tone_id),
            "VoiceToneAnalysisTaskId": (tone_id, search_id),
            "VoiceProfileDomainArn": (self.domain_arn,),
            "VoiceProfileDomainId": (self.domain_id,),
            "MediaInsightsPipelineConfigurationArn": (self.configuration_arn,),
            "MediaPipelineId": (self.pipeline_id,),
            "StreamArn": (self.stream_arn,),
            "StreamARN": (self.stream_arn,),
            "StreamName": (self.name,),
            "ResourceARN": (self.stream_arn, self.domain_arn, self.pipeline_arn, self.configuration_arn),
            "ResourceArn": (self.domain_arn, self.pipeline_arn),
            "KinesisVideoStreamSourceTaskConfiguration": (self.channel(0), self.channel(1)),
            "KinesisVideoStreamSourceRuntimeConfiguration": (source(self.stream_arn),),
            "Elements": (ELEMENTS,),
            "ClientRequestToken": ("token-1", "token-2"),
        }
