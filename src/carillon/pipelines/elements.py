"""The elements of a configuration, and the rules that they must keep together.

Source: Amazon Chime SDK Developer Guide, "Call analytics processor and output destinations" and "Using the console to
create call analytics configurations".
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from carillon.arns import Arn, AwsAccount
from carillon.errors import InvalidRequest


class ElementKind(StrEnum):
    """What an element does. The values are AWS's names, which configurations, statuses and sinks share."""

    TRANSCRIBE_CALL_ANALYTICS = "AmazonTranscribeCallAnalyticsProcessor"
    VOICE_ANALYTICS = "VoiceAnalyticsProcessor"
    TRANSCRIBE = "AmazonTranscribeProcessor"
    KINESIS_DATA_STREAM = "KinesisDataStreamSink"
    LAMBDA_FUNCTION = "LambdaFunctionSink"
    SQS_QUEUE = "SqsQueueSink"
    SNS_TOPIC = "SnsTopicSink"
    S3_RECORDING = "S3RecordingSink"
    VOICE_ENHANCEMENT = "VoiceEnhancementSink"


SINK_SERVICES: Final[Mapping[ElementKind, str]] = {
    ElementKind.KINESIS_DATA_STREAM: "kinesis",
    ElementKind.LAMBDA_FUNCTION: "lambda",
    ElementKind.SQS_QUEUE: "sqs",
    ElementKind.SNS_TOPIC: "sns",
}
"""The sinks that we deliver to, each with the service that its ARN must name."""

WITH_STATUS: Final = frozenset(
    {
        ElementKind.TRANSCRIBE_CALL_ANALYTICS,
        ElementKind.VOICE_ANALYTICS,
        ElementKind.TRANSCRIBE,
        ElementKind.S3_RECORDING,
        ElementKind.VOICE_ENHANCEMENT,
    }
)
"""Only processors, recording and voice enhancement have an element status; the other sinks have none."""

_TRANSCRIBERS: Final = frozenset({ElementKind.TRANSCRIBE_CALL_ANALYTICS, ElementKind.TRANSCRIBE})
_SOURCES_OF_INSIGHT: Final = _TRANSCRIBERS | {ElementKind.VOICE_ANALYTICS, ElementKind.S3_RECORDING}


class BrokenRule(InvalidRequest):
    """A configuration is well-formed, but its elements do not go together."""


@dataclass(frozen=True, slots=True)
class Element:
    """One processor or sink."""

    kind: ElementKind
    target_arn: str | None = None
    """Where a sink sends to."""
    speaker_search: bool = False
    """Whether the voice analytics processor may search for speakers."""
    voice_tone: bool = False
    """Whether the voice analytics processor may analyze voice tone."""


@dataclass(frozen=True, slots=True)
class Elements:
    """All elements of a configuration, in the order given."""

    items: tuple[Element, ...]
    document: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """The same elements as they were sent: AWS echoes them, settings of processors that we do not run included."""
    alerts: Mapping[str, Any] | None = field(default=None, repr=False)
    """The real-time alert configuration as it was sent."""

    @property
    def voice_analytics(self) -> Element | None:
        """Return the voice analytics processor, if there is one."""
        return next((item for item in self.items if item.kind is ElementKind.VOICE_ANALYTICS), None)

    @property
    def has_alerts(self) -> bool:
        """Return whether there are real-time alerts; such as are sent disabled need nothing."""
        return self.alerts is not None and not self.alerts.get("Disabled", False)

    @property
    def sinks(self) -> tuple[Element, ...]:
        """Return the sinks that notifications go to."""
        return tuple(item for item in self.items if item.kind in SINK_SERVICES and item.target_arn)


def check_elements(elements: Elements, account: AwsAccount, *, strict: bool, accounts: Container[str] = ()) -> None:
    """Raise unless the elements go together.

    Args:
        elements: what was sent.
        account: the Region and account that every sink must be in.
        strict: also demand the Kinesis data stream that the AWS console treats as the base output.
        accounts: others that a sink may be in.

    Raises:
        BrokenRule: which rule, and how to keep it.
    """
    kinds = [item.kind for item in elements.items]
    _check_combination(kinds, has_alerts=elements.has_alerts)
    if strict:
        _check_strict(frozenset(kinds))
    for item in elements.items:
        if item.kind in SINK_SERVICES:
            _check_sink(item, account, accounts)


def _check_combination(kinds: Sequence[ElementKind], *, has_alerts: bool) -> None:
    repeated = [kind for kind, count in Counter(kinds).items() if count > 1]
    if repeated:
        raise BrokenRule(f"Element {repeated[0].value} stands more than once; each type is allowed once.")
    present = frozenset(kinds)
    if not present & _SOURCES_OF_INSIGHT:
        raise BrokenRule("A configuration needs a processor or an S3RecordingSink; add a VoiceAnalyticsProcessor.")
    if present >= _TRANSCRIBERS:
        raise BrokenRule("The two Amazon Transcribe processors exclude each other; keep one.")
    if ElementKind.VOICE_ENHANCEMENT in present and ElementKind.S3_RECORDING not in present:
        raise BrokenRule("A VoiceEnhancementSink needs an S3RecordingSink.")
    if has_alerts and not present & _TRANSCRIBERS:
        raise BrokenRule("RealTimeAlertConfiguration needs an Amazon Transcribe processor.")


def _check_strict(present: frozenset[ElementKind]) -> None:
    processors = _TRANSCRIBERS | {ElementKind.VOICE_ANALYTICS}
    if present & processors and ElementKind.KINESIS_DATA_STREAM not in present:
        raise BrokenRule("A processor needs a KinesisDataStreamSink.")
    voice_only = present & {ElementKind.LAMBDA_FUNCTION, ElementKind.SQS_QUEUE, ElementKind.SNS_TOPIC}
    if voice_only and ElementKind.VOICE_ANALYTICS not in present:
        raise BrokenRule("Lambda, SQS and SNS sinks serve only the VoiceAnalyticsProcessor; add one.")


def _check_sink(item: Element, account: AwsAccount, accounts: Container[str]) -> None:
    if item.target_arn is None:
        raise BrokenRule(f"{item.kind.value} needs an InsightsTarget.")
    arn = Arn.parse(item.target_arn)
    service = SINK_SERVICES[item.kind]
    if arn.service != service:
        raise BrokenRule(f"InsightsTarget of {item.kind.value} must be an ARN of {service}, not of {arn.service}.")
    if arn.region != account.region or (arn.account != account.id and arn.account not in accounts):
        raise BrokenRule(
            f"InsightsTarget {item.target_arn} must be in account {account.id} and Region {account.region}. "
            "Let others in with the setting pipelines.sink_accounts."
        )
    if arn.resource.endswith(".fifo"):
        raise BrokenRule("FIFO topics and queues are not supported; use a standard one.")
