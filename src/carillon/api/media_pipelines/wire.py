"""Words of the wire that more than one resource of this API uses."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from carillon.api.errors import AwsError
from carillon.pipelines import Element, ElementKind, Elements, PipelineState, Role, SourceRequest, StreamSource
from carillon.storage import IdempotencyToken
from carillon.tasks import StartTask, TaskState

PIPELINE_STATUSES: Final[Mapping[PipelineState, str]] = {
    PipelineState.NOT_STARTED: "NotStarted",
    PipelineState.INITIALIZING: "Initializing",
    PipelineState.IN_PROGRESS: "InProgress",
    PipelineState.PAUSED: "Paused",
    PipelineState.STOPPING: "Stopping",
    PipelineState.STOPPED: "Stopped",
    PipelineState.FAILED: "Failed",
}

TASK_STATUSES: Final[Mapping[TaskState, str]] = {
    TaskState.QUEUED: "NotStarted",
    TaskState.OPENING: "Initializing",
    TaskState.RUNNING: "InProgress",
    TaskState.STOPPING: "Stopping",
    TaskState.STOPPED: "Stopped",
    TaskState.FAILED: "Failed",
}


class SourceConfiguration(TypedDict, total=False):
    """KinesisVideoStreamSourceTaskConfiguration."""

    StreamArn: str
    ChannelId: int
    FragmentNumber: str


class StartRequest(TypedDict, total=False):
    """What both Start operations have in common."""

    Identifier: str
    KinesisVideoStreamSourceTaskConfiguration: SourceConfiguration
    ClientRequestToken: str


_NO_PARAMETERS: Final = ("ClientRequestToken", "Identifier")
"""An identifier belongs to a claim's scope: the id and the ARN of a pipeline ask for the same."""


def read_claim(scope: str, request: Mapping[str, Any]) -> IdempotencyToken | None:
    """Return what a client request token stands for, None without a token."""
    token = request.get("ClientRequestToken")
    if token is None:
        return None
    return IdempotencyToken(
        scope, token, {name: value for name, value in request.items() if name not in _NO_PARAMETERS}
    )


def read_start(operation: str, request: StartRequest) -> StartTask:
    """Translate a Start request.

    Raises:
        AwsError: no source. The model makes it optional, but nothing else names the audio of a customer-owned stream.
    """
    source = request.get("KinesisVideoStreamSourceTaskConfiguration")
    if source is None:
        raise AwsError(
            "BadRequestException",
            "KinesisVideoStreamSourceTaskConfiguration is needed: name the StreamArn and ChannelId to analyze.",
        )
    return StartTask(
        pipeline=request["Identifier"],
        source=SourceRequest(source["StreamArn"], source["ChannelId"], source.get("FragmentNumber")),
        claim=read_claim(f"{operation}/{request['Identifier'][-36:]}", request),
    )


def read_elements(request: Mapping[str, Any]) -> Elements:
    """Translate the elements of a configuration; what we do not run is kept as it was sent."""
    document = tuple(request["Elements"])
    return Elements(
        tuple(_read_element(item) for item in document), document, request.get("RealTimeAlertConfiguration")
    )


def _read_element(item: Mapping[str, Any]) -> Element:
    kind = ElementKind(item["Type"])
    if kind is ElementKind.VOICE_ANALYTICS:
        features = item.get("VoiceAnalyticsProcessorConfiguration", {})
        return Element(
            kind,
            speaker_search=features.get("SpeakerSearchStatus") == "Enabled",
            voice_tone=features.get("VoiceToneAnalysisStatus") == "Enabled",
        )
    settings = item.get(f"{kind.value}Configuration", {})
    return Element(kind, target_arn=settings.get("InsightsTarget"))


def read_sources(source: Mapping[str, Any]) -> tuple[StreamSource, ...]:
    """Translate the declared streams of a pipeline."""
    return tuple(_read_stream(stream) for stream in source["Streams"])


def _read_stream(stream: Mapping[str, Any]) -> StreamSource:
    channels = stream["StreamChannelDefinition"]
    count: int = channels["NumberOfChannels"]
    definitions = channels.get("ChannelDefinitions")
    roles: dict[int, Role | None]
    if definitions is None:
        roles = dict.fromkeys(range(count))
    else:
        roles = {item["ChannelId"]: _read_role(item.get("ParticipantRole")) for item in definitions}
        if len(roles) < len(definitions):
            raise AwsError("BadRequestException", f"A ChannelId stands twice in the channels of {stream['StreamArn']}.")
    return StreamSource(stream["StreamArn"], count, roles, stream.get("FragmentNumber"))


def _read_role(role: str | None) -> Role | None:
    return None if role is None else Role(role)
