"""What an operator may change about notifications."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Where pipeline events go besides the pipelines' own sinks, and how patiently everything is delivered."""

    event_bus_arn: str = ""
    """EventBridge bus for `Media Insights State Change`; empty means that these events stay in the outbox."""
    event_source: str = "carillon.chime"
    """`Source` of what is put on EventBridge; the real one, `aws.chime`, is reserved there."""
    voiceprint_ready: str = "VoiceprintGenerationSuccess"
    """How that status is spelled; one page of the AWS guide says VoiceprintGenerationSuccessful."""
    connect_seconds: float = 3.0
    """How long a sink may take to accept a connection."""
    send_seconds: float = 5.0
    """How long one delivery may take altogether."""
    sends_per_target: int = 4
    """Deliveries to one target at the same time; those of one task keep their order."""
    sends: int = 64
    """Deliveries at the same time over all targets."""
    batch: int = 100
    """Deliveries of one target that are read at once."""
    first_retry_seconds: float = 0.5
    """Pause after a first failure; it doubles with each one that follows."""
    longest_retry_seconds: float = 60.0
    """The pause grows no further than this."""
    drop_after_days: float = 7.0
    """A delivery that has failed for so long is given up."""
    retention_days: float = 7.0
    """How long events can be read back from the outbox."""
    poll_seconds: float = 1.0
    """How often the outbox is looked at even if nobody in this process has posted."""
    commit_seconds: float = 5.0
    """How long noting what was delivered may take, also while stopping."""
