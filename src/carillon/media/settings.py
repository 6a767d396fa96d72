"""What can be set about reading and sending streams."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Deadlines and limits towards a Kinesis Video Streams endpoint."""

    connect_seconds: float = 3.0
    """Deadline for opening a connection."""
    answer_seconds: float = 15.0
    """Deadline for an answer: for the whole of a short one, for the start of one that streams."""
    read_seconds: float = 15.0
    """Longest silence of an open connection. A GetMedia body without fragments ends by itself after 3 s."""
    acknowledgement_seconds: float = 30.0
    """Longest time without an acknowledgement while media is sent. AWS says IDLE when there is none to send."""
    retry_first_seconds: float = 0.2
    """Pause after the first failure of a connection; doubles with each."""
    retry_last_seconds: float = 1.0
    """Longest such pause."""
    unreadable_tries: int = 3
    """How often a fragment that the endpoint cannot read is asked for before it is left out."""
    quiet_seconds: float = 1.0
    """A connection that ends sooner than this without a fragment counts as a failure. AWS ends it after 3 s."""
    endpoint_minutes: float = 45.0
    """How long a data endpoint is remembered. AWS's own producers: 45."""
    most_endpoints: int = 32
    """Endpoints with a client kept ready; beyond it, the one that was unused for longest is closed."""
    max_fragment_bytes: int = 52_428_800
    """A fragment larger than this ends the reading. AWS: 50 MB."""
    fragment_seconds: float = 1.0
    """How much of a recording is sent as one fragment; 0.02 to 20. AWS advises 1 to 10."""
