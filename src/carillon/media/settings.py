"""What can be set about reading and sending streams."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Deadlines and limits towards a Kinesis Video Streams endpoint."""

    connect_seconds: float = 3.0
    """Deadline for opening a connection."""
    read_seconds: float = 15.0
    """Longest silence of an open connection. A GetMedia body without fragments ends by itself after 3 s."""
    retry_first_seconds: float = 0.2
    """Pause after the first failure of a connection; doubles with each."""
    retry_last_seconds: float = 1.0
    """Longest such pause."""
    endpoint_minutes: float = 45.0
    """How long a data endpoint is remembered. AWS's own producers: 45."""
    max_fragment_bytes: int = 52_428_800
    """A fragment larger than this ends the reading. AWS: 50 MB."""
