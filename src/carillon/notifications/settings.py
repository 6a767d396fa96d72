"""What an operator may change about notifications."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from carillon.bounds import Count, Days, Seconds

VoiceprintStatusName = Literal["VoiceprintGenerationSuccess", "VoiceprintGenerationSuccessful"]


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Where pipeline events go besides the pipelines' own sinks, and how patiently everything is delivered."""

    event_bus_arn: Annotated[str, Meta(pattern=r"^(arn:\S+)?\Z", description="empty, or an ARN")] = ""
    """EventBridge bus for `Media Insights State Change`; empty means that these events stay in the outbox."""
    event_source: Annotated[str, Meta(min_length=1, max_length=256, description="a text of 1 to 256 characters")] = (
        "carillon.chime"
    )
    """`Source` of what is put on EventBridge; the real one, `aws.chime`, is reserved there."""
    voiceprint_ready: Literal["VoiceprintGenerationSuccess", "VoiceprintGenerationSuccessful"] = (
        "VoiceprintGenerationSuccess"
    )
    """How that status is spelled; one page of the AWS guide says VoiceprintGenerationSuccessful."""
    connect_seconds: Seconds = 3.0
    """How long a sink may take to accept a connection."""
    send_seconds: Seconds = 5.0
    """How long one delivery may take altogether."""
    sends_per_target: Count = 4
    """Deliveries to one target at the same time; those of one task keep their order."""
    sends: Count = 64
    """Deliveries at the same time over all targets."""
    batch: Count = 100
    """Deliveries of one target that are read at once."""
    first_retry_seconds: Seconds = 0.5
    """Pause after a first failure; it doubles with each one that follows."""
    longest_retry_seconds: Seconds = 60.0
    """The pause grows no further than this."""
    drop_after_days: Days = 7.0
    """A delivery that has failed for so long is set aside."""
    retention_days: Days = 7.0
    """How long events can be read back from the outbox."""
    poll_seconds: Seconds = 1.0
    """How often the outbox is looked at even if nobody in this process has posted."""
    commit_seconds: Seconds = 5.0
    """How long noting what was delivered may take, also while stopping."""
