"""Every notification, exactly as Amazon Chime SDK sends it: envelope, spelling, order of members.

Sources: Amazon Chime SDK Developer Guide, "Understanding notifications", "Understanding the AWS Glue data catalog
tables", "Using Amazon EventBridge notifications". Nothing of a voice is in an event: ids, scores and times only; what
extensions add, words among it, an operator has asked for (`tone.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from carillon.arns import AwsAccount
from carillon.clock import to_iso_millis, to_millis
from carillon.notifications.tone import ToneExtension, ToneWindow, tone_details

_SCORE_DECIMALS: Final = 8
_SOURCE: Final = "aws.chime"


class SpeakerSearchStatus(Enum):
    """What a speaker search has to say."""

    IDENTIFIED = "IdentificationSuccessful"
    NO_MATCHES = "IdentificationNoMatchesFound"
    IDENTIFICATION_FAILED = "IdentificationFailure"
    # AWS: the guide lists VoiceprintGenerationSuccessful; its example and the API say ...Success.
    VOICEPRINT_READY = "VoiceprintGenerationSuccess"
    VOICEPRINT_FAILED = "VoiceprintGenerationFailure"
    LIKELY = "IdentificationLikely"
    """An extension, published only if the operator asks for it: who it may be, from little speech."""
    CHANGED = "SpeakerChangeDetected"
    """Likewise: somebody else speaks than when the caller was identified."""


class VoiceToneStatus(Enum):
    """What a voice tone analysis has to say."""

    REPORTED = "VoiceToneAnalysisSuccessful"
    COMPLETED = "VoiceToneAnalysisCompleted"
    FAILED = "VoiceToneAnalysisFailure"
    DRIFTED = "VoiceToneDriftDetected"
    """An extension, published only if the operator asks for it: the overall tone turned negative."""


class PipelineEventType(Enum):
    """What can happen to a pipeline. AWS: Created and CreateFailed exist for Voice Connector sessions only."""

    IN_PROGRESS = "chime:MediaInsightsInProgress"
    PAUSED = "chime:MediaInsightsPaused"
    STOPPED = "chime:MediaInsightsStopped"
    TEMPORARY_FAILURE = "chime:MediaInsightsTemporaryFailure"
    PERMANENT_FAILURE = "chime:MediaInsightsPermanentFailure"


_FAILURES: Final = frozenset(
    status.value
    for status in (
        SpeakerSearchStatus.IDENTIFICATION_FAILED,
        SpeakerSearchStatus.VOICEPRINT_FAILED,
        VoiceToneStatus.FAILED,
        PipelineEventType.TEMPORARY_FAILURE,
        PipelineEventType.PERMANENT_FAILURE,
    )
)


@dataclass(frozen=True, slots=True)
class Event:
    """One notification; its id stays the same however often it is delivered."""

    id: str  # Id-{uuid} from tasks; a bare UUID in EventBridge's own envelope
    detail_type: str
    at: datetime
    body: Mapping[str, Any] = field(repr=False)
    """The whole envelope, as JSON values in the published order."""
    task_id: str | None
    pipeline_id: str

    @property
    def status(self) -> str:
        """Return the outcome in AWS's word: `IdentificationSuccessful`, `chime:MediaInsightsPaused`."""
        detail = self.body["detail"]
        return str(detail.get("detailStatus") or detail.get("eventType"))

    @property
    def is_failure(self) -> bool:
        """Return whether it reports something that was not found out, or a pipeline that failed."""
        return self.status in _FAILURES

    @property
    def order_key(self) -> str:
        """Return what events share that should arrive in order: the task, else the pipeline."""
        return self.task_id or self.pipeline_id

    def to_json(self) -> str:
        """Return the envelope as it goes over the wire, the same text at every delivery."""
        return msgspec.json.encode(self.body).decode()


@dataclass(frozen=True, slots=True)
class EventContext:
    """What all events of one task have in common."""

    account: AwsAccount
    pipeline_id: str
    pipeline_arn: str
    task_id: str
    stream_arn: str  # unchanged as the caller gave it: consumers compare it
    channel_id: int
    role: str | None  # AGENT or CUSTOMER if the pipeline declares it
    voiceprint_ready: str = SpeakerSearchStatus.VOICEPRINT_READY.value


@dataclass(frozen=True, slots=True)
class ProfileMatch:
    """One voice profile that may be the speaker."""

    profile_id: str
    confidence: float  # in [0, 1]

    @property
    def score(self) -> float:
        """Return the confidence as it is told: 8 decimals, as the guide's examples print it."""
        return round(self.confidence, _SCORE_DECIMALS)


@dataclass(frozen=True, slots=True)
class ElementStatus:
    """How one element of a pipeline does, published when a pipeline has several."""

    type: str  # VoiceAnalyticsProcessor, ...
    status: str  # InProgress, ...
    updated_at: datetime
    detail: str | None = None


def speaker_search_event(
    context: EventContext,
    status: SpeakerSearchStatus,
    at: datetime,
    *,
    matches: Sequence[ProfileMatch] = (),
    change: float | None = None,
    message: str | None = None,
    event_id: UUID | None = None,
) -> Event:
    """Return a `SpeakerSearchStatus` event.

    Args:
        context: whose event it is.
        status: what happened. Matches belong to IDENTIFIED and LIKELY only, how sure a change is to CHANGED.
        at: wall time of the event.
        matches: up to 10, best first.
        change: how sure it is that somebody else speaks, in [0, 1].
        message: why it failed, for people.
        event_id: instead of a random one.
    """
    named = context.voiceprint_ready if status is SpeakerSearchStatus.VOICEPRINT_READY else status.value
    detail = _task_detail(context, named, message)
    if status in (SpeakerSearchStatus.IDENTIFIED, SpeakerSearchStatus.LIKELY):
        results = [{"voiceProfileId": match.profile_id, "confidenceScore": match.score} for match in matches]
        detail["speakerSearchDetails"] = {"results": results}
    if change is not None:
        detail["speakerChangeDetails"] = {"confidenceScore": round(change, _SCORE_DECIMALS)}
    return _task_event(context, "SpeakerSearchStatus", at, {**detail, **_origin(context)}, event_id)


def voice_tone_event(
    context: EventContext,
    status: VoiceToneStatus,
    at: datetime,
    *,
    current: ToneWindow | None = None,
    overall: ToneWindow | None = None,
    extension: ToneExtension | None = None,
    start_fragment: str | None = None,
    message: str | None = None,
    event_id: UUID | None = None,
) -> Event:
    """Return a `VoiceToneAnalysisStatus` event.

    Args:
        context: whose event it is.
        status: what happened. All but FAILED need both windows.
        at: wall time of the event.
        current: the last 30 s.
        overall: everything since the task started.
        extension: what AWS does not tell; None where no extension is on.
        start_fragment: number of the fragment that the analysis started at.
        message: what happened, for people.
        event_id: instead of a random one.

    Raises:
        ValueError: a report lacks a window.
    """
    detail = _task_detail(context, status.value, message)
    if status is not VoiceToneStatus.FAILED:
        if current is None or overall is None:
            raise ValueError(f"{status.value} needs the current and the overall tone.")
        detail["voiceToneAnalysisDetails"] = tone_details(current, overall, extension)
    if start_fragment is not None and status is not VoiceToneStatus.FAILED:
        detail["startFragmentNumber"] = start_fragment
    return _task_event(context, "VoiceToneAnalysisStatus", at, {**detail, **_origin(context)}, event_id)


def pipeline_event(
    account: AwsAccount,
    *,
    pipeline_id: str,
    pipeline_arn: str,
    event_type: PipelineEventType,
    at: datetime,
    metadata: Mapping[str, str] | None = None,
    failure_reason: str | None = None,
    elements: Sequence[ElementStatus] = (),
    event_id: UUID | None = None,
) -> Event:
    """Return a `Media Insights State Change` event in EventBridge's own envelope.

    Args:
        account: Region and account.
        pipeline_id: whose event it is.
        pipeline_arn: the same, as an ARN.
        event_type: what happened.
        at: wall time of the event; EventBridge tells it in whole seconds.
        metadata: the pipeline's runtime metadata, copied beside the fixed members, which it never overwrites.
        failure_reason: what a failure came from.
        elements: how each element does, if the pipeline has several.
        event_id: instead of a random one.
    """
    fixed: dict[str, Any] = {
        "version": "0",
        "mediaInsightsPipelineArn": pipeline_arn,
        "eventType": event_type.value,
    }
    if elements:
        fixed["mediaInsightsPipelineElementStatuses"] = [_element(element) for element in elements]
    if failure_reason is not None:
        fixed["failureReason"] = failure_reason
    copied = {key: value for key, value in (metadata or {}).items() if key not in _PIPELINE_MEMBERS}
    identifier = str(event_id or uuid4())
    detail_type = "Media Insights State Change"
    body = {
        "version": "0",
        "id": identifier,
        "detail-type": detail_type,
        "source": _SOURCE,
        "account": account.id,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": account.region,
        "resources": [],
        "detail": {**fixed, **copied},
    }
    return Event(identifier, detail_type, at, body, None, pipeline_id)


_PIPELINE_MEMBERS: Final = frozenset(
    {
        "version",
        "mediaInsightsPipelineArn",
        "eventType",
        "mediaInsightsPipelineElementStatuses",
        "mediaInsightsPipelineConfigurationArn",
        "failureReason",
        "failureOrigin",
        "httpStatusCode",
    }
)
"""Members of a state change that mean something; runtime metadata of the same name is left out."""


def _task_detail(context: EventContext, status: str, message: str | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"taskId": context.task_id, "detailStatus": status}
    if message is not None:
        detail["statusMessage"] = message
    return detail


def _origin(context: EventContext) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "mediaInsightsPipelineId": context.pipeline_id,
        "sourceArn": context.pipeline_arn,
        "streamArn": context.stream_arn,
        "channelId": context.channel_id,
    }
    if context.role is not None:
        origin["participantRole"] = context.role
    return origin


def _task_event(
    context: EventContext, detail_type: str, at: datetime, detail: Mapping[str, Any], event_id: UUID | None
) -> Event:
    identifier = f"Id-{event_id or uuid4()}"
    body = {
        "version": "0",
        "id": identifier,
        "detail-type": detail_type,
        "service-type": "VoiceAnalytics",
        "source": _SOURCE,
        "account": context.account.id,
        "time": to_iso_millis(at),
        "region": context.account.region,
        "resources": [],
        "detail": detail,
    }
    return Event(identifier, detail_type, at, body, context.task_id, context.pipeline_id)


def _element(element: ElementStatus) -> dict[str, Any]:
    status: dict[str, Any] = {
        "type": element.type,
        "status": element.status,
        "updatedOn": to_millis(element.updated_at),
    }
    if element.detail is not None:
        status["statusDetail"] = element.detail
    return status
