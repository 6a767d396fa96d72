"""What the demonstration does, told with plain boto3: three calls, two people, one answer each.

Nothing here knows carillon from the inside: clients are made with an endpoint URL and credentials, audio goes in by
PutMedia, notifications come out of the sink.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import boto3
from anyio import create_task_group, sleep, to_thread
from botocore.config import Config
from botocore.exceptions import ClientError

from carillon.demo.receiver import Inbox

IDENTIFICATIONS: Final = ("IdentificationSuccessful", "IdentificationNoMatchesFound", "IdentificationFailure")
VOICEPRINTS: Final = ("VoiceprintGenerationSuccess", "VoiceprintGenerationFailure")
TONE_REPORT: Final = "VoiceToneAnalysisSuccessful"
LEAST_REPORTS: Final = 5
"""In a call of a minute: every 5 s once there are 10 s of speech."""
FINAL_TONES: Final = ("VoiceToneAnalysisCompleted", "VoiceToneAnalysisFailure")

_KMS_KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
_ROLE: Final = "arn:aws:iam::111122223333:role/carillon-demo"
_SINK: Final = "arn:aws:lambda:us-east-1:111122223333:function:carillon-demo"
_WAIT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02

Play = Callable[[str, str], Awaitable[None]]
"""Plays a recording into a stream: (call name, stream name), awaitable."""


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3 clients with nothing set but endpoint and credentials."""

    pipelines: Any
    voice: Any
    video: Any

    @classmethod
    def connect(cls, endpoint_url: str, environment: Mapping[str, str]) -> "Clients":
        """Make the clients that an application would make."""
        session = boto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
        )
        make = partial(session.client, endpoint_url=endpoint_url, config=Config(retries={"total_max_attempts": 2}))
        return cls(make("chime-sdk-media-pipelines"), make("chime-sdk-voice"), make("kinesisvideo"))


@dataclass(slots=True)
class CallResult:
    """What an application saw of one call."""

    name: str
    search_id: str = ""
    tone_id: str = ""
    statuses: list[str] = field(default_factory=list)
    """Of the voice tone task, in the order seen by polling."""
    identification: str = ""
    voiceprint: str = ""
    profile_id: str | None = None
    first_stop: str = ""
    """How stopping the running task was answered."""
    second_stop: str = ""
    """How a second stop of the stopped task was answered."""


class Story:
    """Sets up once, then runs call after call."""

    def __init__(self, clients: Clients, inbox: Inbox, play: Play) -> None:
        self._clients = clients
        self._inbox = inbox
        self._play = play
        self._domain_arn = ""
        self._configuration_arn = ""

    async def set_up(self) -> None:
        """Create the domain that profiles live in and the configuration that pipelines are made from."""
        domain = await _call(
            self._clients.voice.create_voice_profile_domain,
            Name="carillon demo",
            ServerSideEncryptionConfiguration={"KmsKeyArn": _KMS_KEY},
        )
        self._domain_arn = domain["VoiceProfileDomain"]["VoiceProfileDomainArn"]
        configuration = await _call(
            self._clients.pipelines.create_media_insights_pipeline_configuration,
            MediaInsightsPipelineConfigurationName="carillon-demo",
            ResourceAccessRoleArn=_ROLE,
            Elements=[
                {
                    "Type": "VoiceAnalyticsProcessor",
                    "VoiceAnalyticsProcessorConfiguration": {
                        "SpeakerSearchStatus": "Enabled",
                        "VoiceToneAnalysisStatus": "Enabled",
                    },
                },
                {"Type": "LambdaFunctionSink", "LambdaFunctionSinkConfiguration": {"InsightsTarget": _SINK}},
            ],
        )
        self._configuration_arn = configuration["MediaInsightsPipelineConfiguration"][
            "MediaInsightsPipelineConfigurationArn"
        ]

    async def run_call(self, name: str, *, enroll: bool) -> CallResult:
        """Stream one call while both tasks run on the customer's channel; stop, look, stop again, delete.

        Args:
            name: of the recording; the stream is named after it.
            enroll: whether to make a voice profile of the caller.
        """
        result = CallResult(name)
        stream = await _call(self._clients.video.create_stream, StreamName=name, DataRetentionInHours=1)
        source = {"StreamArn": stream["StreamARN"], "ChannelId": 0}
        pipeline_id = await self._create_pipeline(stream["StreamARN"])
        search_id, tone_id = result.search_id, result.tone_id = await self._start_tasks(pipeline_id, source)
        async with create_task_group() as group:
            group.start_soon(self._watch, pipeline_id, tone_id, result)
            await self._play(name, name)
            await self._collect_search(search_id, result)
            if enroll and result.voiceprint == VOICEPRINTS[0]:
                profile = await _call(self._clients.voice.create_voice_profile, SpeakerSearchTaskId=search_id)
                result.profile_id = profile["VoiceProfile"]["VoiceProfileId"]
            await self._stop_tone(pipeline_id, tone_id, result)
        await _call(self._clients.pipelines.delete_media_pipeline, MediaPipelineId=pipeline_id)
        return result

    async def _create_pipeline(self, stream_arn: str) -> str:
        roles = ("CUSTOMER", "AGENT")
        channels = [{"ChannelId": channel, "ParticipantRole": role} for channel, role in enumerate(roles)]
        made = await _call(
            self._clients.pipelines.create_media_insights_pipeline,
            MediaInsightsPipelineConfigurationArn=self._configuration_arn,
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [
                    {
                        "StreamArn": stream_arn,
                        "StreamChannelDefinition": {"NumberOfChannels": 2, "ChannelDefinitions": channels},
                    }
                ],
            },
        )
        pipeline_id: str = made["MediaInsightsPipeline"]["MediaPipelineId"]
        return pipeline_id

    async def _start_tasks(self, pipeline_id: str, source: Mapping[str, Any]) -> tuple[str, str]:
        search = await _call(
            self._clients.pipelines.start_speaker_search_task,
            Identifier=pipeline_id,
            VoiceProfileDomainArn=self._domain_arn,
            KinesisVideoStreamSourceTaskConfiguration=source,
        )
        tone = await _call(
            self._clients.pipelines.start_voice_tone_analysis_task,
            Identifier=pipeline_id,
            LanguageCode="en-US",
            KinesisVideoStreamSourceTaskConfiguration=source,
        )
        return search["SpeakerSearchTask"]["SpeakerSearchTaskId"], tone["VoiceToneAnalysisTask"][
            "VoiceToneAnalysisTaskId"
        ]

    async def _watch(self, pipeline_id: str, tone_id: str, result: CallResult) -> None:
        """Note every status that a Get shows, until the task has ended."""
        while not result.statuses or result.statuses[-1] not in ("Stopped", "Failed"):
            task = await _call(
                self._clients.pipelines.get_voice_tone_analysis_task,
                Identifier=pipeline_id,
                VoiceToneAnalysisTaskId=tone_id,
            )
            status = task["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskStatus"]
            if not result.statuses or result.statuses[-1] != status:
                result.statuses.append(status)
            await sleep(_POLL_SECONDS)

    async def _collect_search(self, search_id: str, result: CallResult) -> None:
        said = await self._inbox.wait_for(search_id, *IDENTIFICATIONS, seconds=_WAIT_SECONDS)
        result.identification = said.get("detailStatus", "")
        said = await self._inbox.wait_for(search_id, *VOICEPRINTS, seconds=_WAIT_SECONDS)
        result.voiceprint = said.get("detailStatus", "")

    async def _stop_tone(self, pipeline_id: str, tone_id: str, result: CallResult) -> None:
        stop = partial(
            self._clients.pipelines.stop_voice_tone_analysis_task,
            Identifier=pipeline_id,
            VoiceToneAnalysisTaskId=tone_id,
        )
        # The call is played faster than it lasted: a busy machine may have analyzed less of it than was said.
        await self._inbox.wait_for(tone_id, TONE_REPORT, seconds=_WAIT_SECONDS, count=LEAST_REPORTS)
        result.first_stop = await _outcome(stop)
        await self._inbox.wait_for(tone_id, *FINAL_TONES, seconds=_WAIT_SECONDS)
        result.second_stop = await _outcome(stop)


async def _outcome(function: Callable[..., Any]) -> str:
    """Make a call; return "OK", or the error's code."""
    try:
        await _call(function)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "OK"


async def _call(function: Callable[..., Any], **parameters: Any) -> Any:  # noqa: ANN401 - boto3 has no types
    """Make a boto3 call without holding up the receiver."""
    return await to_thread.run_sync(partial(function, **parameters))
