"""The words of this room: a pipeline, its sources, and the leg that a task listens to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from carillon.errors import InvalidRequest
from carillon.pipelines.elements import Elements
from carillon.pipelines.states import PipelineState
from carillon.storage import WrappedKey


class Role(StrEnum):
    """Who a channel belongs to; the values are AWS's names, which requests and events share."""

    AGENT = "AGENT"
    CUSTOMER = "CUSTOMER"


class FeatureDisabled(InvalidRequest):
    """A pipeline's configuration does not allow this kind of task."""

    def __init__(self, pipeline_id: str, feature: str) -> None:
        super().__init__(
            f"The configuration of media insights pipeline {pipeline_id} has no VoiceAnalyticsProcessor with {feature} "
            "enabled. Create a pipeline from a configuration that has."
        )


class ChannelNotDeclared(InvalidRequest):
    """A task asks for a stream or channel that its pipeline does not declare."""

    def __init__(self, pipeline_id: str, stream_arn: str, channel_id: int) -> None:
        super().__init__(
            f"Media insights pipeline {pipeline_id} does not declare channel {channel_id} of stream {stream_arn}. "
            "Name a stream and channel of its KinesisVideoStreamSourceRuntimeConfiguration."
        )


@dataclass(frozen=True, slots=True)
class StreamSource:
    """One declared stream: how many channels it carries, and which ids and roles they have."""

    stream_arn: str
    channel_count: int
    roles: Mapping[int, Role | None]
    """Channel id to role, in the order declared; every declared channel is here."""
    first_fragment: str | None = None


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What a task asks to listen to."""

    stream_arn: str
    channel_id: int
    first_fragment: str | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One participant: one channel of one stream, and all that is needed to read it."""

    stream_arn: str
    channel_id: int
    """As declared, 0 or 1; what notifications say."""
    channel_index: int
    """Which channel of the stream's audio it is, 0 or 1: a mono stream declared as channel 1 has index 0."""
    channel_count: int
    rate_hz: int
    role: Role | None
    first_fragment: str | None
    """Reading starts after this fragment; None means with the newest."""
    newest_fragment: str | None = None
    """The newest complete fragment when the task was asked for, as far as the endpoint tells: reading starts after it.
    Empty where there was none yet."""
    newest_at: datetime | None = None
    """When the endpoint began to receive that one, by the endpoint's clock."""


@dataclass(frozen=True, slots=True)
class NewPipeline:
    """What a request says of a pipeline to be made."""

    configuration_arn: str
    sources: tuple[StreamSource, ...]
    rate_hz: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The source configuration as it was sent, which AWS echoes."""
    recording: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the request says of recording, by the names of its members: not ours to do, but echoed."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as it stands."""

    id: str
    arn: str
    configuration_arn: str
    elements: Elements
    """As the configuration had them when the pipeline was created."""
    sources: tuple[StreamSource, ...]
    rate_hz: int
    metadata: Mapping[str, str]
    document: Mapping[str, Any] = field(repr=False)
    recording: Mapping[str, Any] = field(repr=False)
    state: PipelineState
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    key: WrappedKey = field(repr=False)
    """Seals the checkpoints of the pipeline's tasks."""

    def leg(self, request: SourceRequest) -> Leg:
        """Find the participant that a task asks for.

        Raises:
            ChannelNotDeclared: no declared stream has this ARN and channel.
        """
        for source in self.sources:
            if source.stream_arn == request.stream_arn and request.channel_id in source.roles:
                index = request.channel_id if source.channel_count > 1 else 0
                return Leg(
                    stream_arn=source.stream_arn,
                    channel_id=request.channel_id,
                    channel_index=index,
                    channel_count=source.channel_count,
                    rate_hz=self.rate_hz,
                    role=source.roles[request.channel_id],
                    first_fragment=request.first_fragment or source.first_fragment,
                )
        raise ChannelNotDeclared(self.id, request.stream_arn, request.channel_id)
